"""Servers to ask: ours, and one that misbehaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from servers import HERE, Server, start, stop


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
