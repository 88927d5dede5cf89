"""Ranks that are threads of this process: all that a test of several ranks needs where torch has no part in it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from headway.checkpoint.process.ranks import host

WAIT_S = 60.0


class Gang:
    """So many ranks, which exchange messages through this object."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._said: list[bytes] = [b""] * size
        self._barrier = threading.Barrier(size)

    def run(self, act: Callable[[Member], Any]) -> list[Any]:
        """`act` on every rank at once; what it returns, or the exception that it raised, by rank."""

        def one(rank: int) -> Any:
            try:
                return act(Member(self, rank))
            except Exception as error:
                return error

        with ThreadPoolExecutor(self.size) as threads:
            return list(threads.map(one, range(self.size)))

    def exchange(self, rank: int, data: bytes) -> list[bytes]:
        self._said[rank] = data
        self._barrier.wait(WAIT_S)
        said = list(self._said)
        self._barrier.wait(WAIT_S)
        return said


class Member:
    def __init__(self, gang: Gang, rank: int) -> None:
        self._gang = gang
        self.rank, self.size = rank, gang.size

    def exchange(self, data: bytes) -> list[bytes]:
        return self._gang.exchange(self.rank, data)

    def hosts(self) -> list[str]:
        return [host()] * self.size
