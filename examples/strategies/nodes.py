"""The one thing that all searches share: how they count what they spend.

A search expands nodes (partial solutions) and calls `expand` once for each. `Nodes` adds them up, books them in chunks,
so that a search that is stopped half-way has still paid for what it did, and raises `OutOfNodes` when the limit
is reached. A search therefore never asks how much is left, and it is a plain function that a test can call.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import TracebackType

CHUNK = 2_000  # nodes between two bookings: often enough to be exact, seldom enough to cost nothing


class OutOfNodes(Exception):
    """A search wanted to expand one node more than it was given."""


class Nodes:
    """A meter with a limit: `with Nodes(limit, book) as nodes: search(question, nodes)`.

    `book` receives every chunk that was spent, the last one when the `with` block ends. The block swallows `OutOfNodes`.

    >>> booked = []
    >>> with Nodes(3, booked.append) as nodes:
    ...     for _ in range(10):
    ...         nodes.expand()
    >>> nodes.spent, booked
    (3, [3])
    """

    def __init__(self, limit: float = math.inf, book: Callable[[int], object] = lambda spent: None) -> None:
        self.limit = limit
        self.spent = 0
        self._book = book
        self._booked = 0
        self._pause = min(CHUNK, limit)  # where `expand` has to stop and think

    def expand(self) -> None:
        """Count one node. Raises `OutOfNodes` when the limit does not allow it."""
        if self.spent >= self._pause:
            self._settle()
            if self.spent + 1 > self.limit:
                raise OutOfNodes(f"all {self.limit:,.0f} nodes are spent")
            self._pause = min(self.spent + CHUNK, self.limit)
        self.spent += 1

    def _settle(self) -> None:
        if self.spent > self._booked:
            self._book(self.spent - self._booked)
            self._booked = self.spent

    def __enter__(self) -> Nodes:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        self._settle()
        return kind is OutOfNodes
