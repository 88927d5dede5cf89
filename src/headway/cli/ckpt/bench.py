"""`ckpt bench`: measures how fast this folder saves and loads, and how fast its disk can write and read at all.

It uses numpy arrays and the calls of a real training, in a folder of its own that is removed afterwards. Nothing guards numpy
arrays, so a save blocks for its whole copy; with torch's optimizers the training goes on meanwhile. Every save writes the whole
state: it never changes, so a save that shared unchanged arrays would write nothing, and there would be nothing to measure.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from rich.table import Table

from headway.checkpoint.catalog.retention import Keep
from headway.checkpoint.checkpoints import Checkpoints
from headway.checkpoint.save.save import Save
from headway.cli import console
from headway.cli.ckpt.disk import forget, read_speed, write_speed
from headway.cli.ckpt.roots import read_size
from headway.errors import UsageError
from headway.observe import words
from headway.storage.files import to_store_error

if TYPE_CHECKING:
    import numpy as np

    State = dict[str, np.ndarray[Any, np.dtype[Any]]]

ARRAYS = 16
LEAST = 1 << 20


class CkptBenchDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`headway ckpt bench --json`: medians. Rates are bytes per second; `raw_…`: a plain file of that size, past the cache.
    `written_nbytes`: the least that a save wrote; `read_nbytes`: the size of the file that is read."""

    folder: str
    nbytes: int
    written_nbytes: int
    read_nbytes: int
    repeats: int
    blocked_s: float
    durable_s: float
    durable_rate: float
    raw_write_rate: float
    load_s: float
    load_rate: float
    raw_read_rate: float


def bench(folder: str, size: str, repeats: int, *, as_json: bool) -> None:
    nbytes = read_size("--size", size)
    if nbytes < LEAST:
        raise UsageError(f"--size {size!r}: give at least 1MiB, below it only the overhead is measured")
    if "://" in folder:
        raise UsageError(f"{folder}: bench measures a folder of this machine")
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="headway-bench-", dir=folder) as below:
            document = _measure(Path(below), folder, nbytes, repeats)
    except OSError as error:
        raise to_store_error(error, folder) from error
    if as_json:
        console.print_json(document)
    else:
        console.out().print(_table(document))


def _measure(below: Path, folder: str, nbytes: int, repeats: int) -> CkptBenchDocument:
    state = _state(nbytes)
    with Checkpoints(below / "root", share=False) as checkpoints:
        # The first save makes the helper process and its buffers, as the first one of a training does; it is not counted.
        saves = [_save(checkpoints, state, number) for number in range(repeats + 1)][1:]
        raw_writes = [write_speed(below / "raw", nbytes) for _ in range(repeats)]
        data = max(below.rglob("*.safetensors"), key=lambda path: path.stat().st_size)
        data_nbytes = data.stat().st_size
        raw_reads = [read_speed(data, nbytes) or 0.0 for _ in range(repeats)]
        loads = [_load(checkpoints, state, data) for _ in range(repeats)]
    middle: Callable[[list[float]], float] = statistics.median
    blocked_s, durable_s = middle([save.blocked_s for save in saves]), middle([save.lag_s for save in saves])
    load_s = middle(loads)
    return CkptBenchDocument(
        folder=folder,
        nbytes=nbytes,
        written_nbytes=min(save.nbytes for save in saves),
        read_nbytes=data_nbytes,
        repeats=repeats,
        blocked_s=blocked_s,
        durable_s=durable_s,
        durable_rate=nbytes / durable_s,
        raw_write_rate=middle(raw_writes),
        load_s=load_s,
        load_rate=nbytes / load_s,
        raw_read_rate=middle(raw_reads),
    )


def _state(nbytes: int) -> State:
    import numpy as np

    random = np.random.default_rng(0)
    try:
        return {f"w{number}": random.random(nbytes // ARRAYS // 4, dtype=np.float32) for number in range(ARRAYS)}
    except MemoryError as error:
        raise UsageError(f"there is no memory for a state of this size ({error}): give a smaller --size") from None


def _save(checkpoints: Checkpoints, state: State, step: int) -> Save:
    """Save until it is durable, and remove the checkpoint before it, so that the disk needs room for two at most."""
    save = checkpoints.save(state, step=step)
    save.durable()
    checkpoints.gc(Keep(last=1))
    return save


def _load(checkpoints: Checkpoints, state: State, data: Path) -> float:
    forget(data)
    return checkpoints.load(into=state).seconds


def _table(done: CkptBenchDocument) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("")
    for name in ("time", "rate", "of the disk's"):
        table.add_column(name, justify="right", no_wrap=True)
    table.title = f"{words.nbytes(done.nbytes)} in {done.folder}, median of {done.repeats}"
    table.title_justify = "left"
    table.add_row("save: blocked", words.seconds(done.blocked_s), _rate(done.nbytes / done.blocked_s), "")
    share = f"{done.durable_rate / done.raw_write_rate:.0%}"
    table.add_row("save: durable", words.seconds(done.durable_s), _rate(done.durable_rate), share)
    table.add_row("load, verified", words.seconds(done.load_s), _rate(done.load_rate), f"{done.load_rate / done.raw_read_rate:.0%}")
    table.add_row("disk: write", words.seconds(done.nbytes / done.raw_write_rate), _rate(done.raw_write_rate), "", style="dim")
    table.add_row("disk: read", words.seconds(done.nbytes / done.raw_read_rate), _rate(done.raw_read_rate), "", style="dim")
    return table


def _rate(bytes_per_s: float) -> str:
    return f"{bytes_per_s / 1e9:.2f} GB/s"
