"""Rows that do something while a store is reading them: how a test gets into the middle of a commit without any clock.

A store asks for the rows of a commit, and for its cache entries, inside the commit. A sequence that raises there is a commit
that fails half-way; one that kills its process is a crash; one that starts a reader or a rival puts it beside an open transaction.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")

GRACE_S = 0.2  # a rival that the store makes wait goes on after the commit


class Midway(Sequence[T]):
    """`items`, where asking for number `at` (the end included) calls `do` first, but only once: a store may read twice."""

    def __init__(self, items: Sequence[T], at: int, do: Callable[[], Any]) -> None:
        self._items, self._at, self._do = items, at, do

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Midway(self._items[index], self._at - index.indices(len(self))[0], self._do)
        if index == self._at:
            self._at = -1
            self._do()
        return self._items[index]


class Rival:
    """Does something in another thread while a commit is open; the store may let it through at once or make it wait."""

    def __init__(self, do: Callable[[], Any]) -> None:
        self._do = do
        self._thread = threading.Thread(target=self._run)
        self.found: Any = None

    def _run(self) -> None:
        try:
            self.found = self._do()
        except Exception as error:
            self.found = error

    def enter(self) -> None:
        self._thread.start()
        self._thread.join(GRACE_S)

    def result(self) -> Any:
        self._thread.join()
        return self.found


def all_at_once(*jobs: Callable[[], T]) -> list[T | Exception]:
    """What each job returned or raised, run by threads that start together and take turns at every line of Python."""
    gate = threading.Barrier(len(jobs))
    found: list[Any] = [None] * len(jobs)

    one_by_one = threading.Lock()  # Python refuses to install a trace function while another thread installs its own

    def run(number: int, job: Callable[[], T]) -> None:
        with one_by_one:
            sys.settrace(_give_way)
        gate.wait()
        try:
            found[number] = job()
        except Exception as error:
            found[number] = error
        finally:
            with one_by_one:
                sys.settrace(None)

    threads = [threading.Thread(target=run, args=numbered) for numbered in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def _give_way(frame: FrameType, event: str, arg: object) -> Any:
    """Let another thread go on before each line of Headway, so that a lock that is missing is missed."""
    if not str(frame.f_globals.get("__name__", "")).startswith("headway."):
        return None
    time.sleep(0)
    return _give_way
