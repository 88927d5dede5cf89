"""Starts, awaits and stops the parts of one join whose width is known from the start.

    async with Joined("gather", awaitables) as joined:
        failed = await joined.until_failure()

When all parts are calls of the run, they are awaited directly. Otherwise each starts as a branch, and leaving the block stops those
that still run. Joins need not know the difference.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Generic, TypeVar

from headway.engine.call import Call, Frame, current
from headway.engine.handle import Handle
from headway.engine.waiting.until import Awaited, Until, cancel_and_drain
from headway.joins.branches import Branch, Branches, sort_signals
from headway.joins.recorded import D, name_decision, recall_newest, record
from headway.journal.decisions import Told

T = TypeVar("T")


class Joined(Generic[T]):
    """What one join waits for.

    Attributes:
        parts: In the order in which they were given.
        frame: Where the join stands; None outside of a run.
    """

    def __init__(self, join: str, given: Sequence[Awaitable[T]]) -> None:
        self.frame: Frame | None = current.get()
        self.parts: Sequence[Awaited[T]]
        self._join = join
        self._branches: Branches | None = None
        self._used: Callable[[Awaited[T]], bool] = _uses_none
        self._racing = False
        calls = [each._call for each in given if isinstance(each, Handle)] if self.frame is not None else []
        if self.frame is not None and len(calls) == len(given):
            self.parts = calls
        else:
            branches = self._branches = Branches(join, len(given).to_bytes(4, "big"), given)
            self.parts = [branches.begin(awaitable, place) for place, awaitable in enumerate(given)]

    async def __aenter__(self) -> Joined[T]:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._branches is not None:
            try:
                if kind is not GeneratorExit:  # else the loop is gone, and with it all that could be waited for
                    await self._branches.drain(self._own_branches())
            finally:
                sort_signals(self.parts, self._used, calls_too=self._racing)
        elif self._racing:
            sort_signals([part for part in self.parts if part.done()], self._used, calls_too=True)

    def until(self, stop_at: Callable[[Awaited[T]], bool] | None = None) -> Until:
        """Wait for the first that satisfies `stop_at`, or until all have ended."""
        return Until(self.parts, stop_at)

    def until_failure(self) -> Until:
        """Wait for the first that fails, or until all have ended."""
        return Until(self.parts, stop_at_failure=True)

    async def raise_error_of(self, part: Awaited[T]) -> None:
        """Raise its error, once everything that a deadline stops has ended."""
        if isinstance(part, Call):
            await Handle(part)
        part.result()

    async def stop(self, reason: str, parts: Sequence[Awaited[T]] | None = None) -> None:
        """Cancel those that still run (of `parts`, where given), and wait until they have ended."""
        if self._branches is not None:
            await self._branches.drain(
                self._own_branches() if parts is None else [part for part in parts if isinstance(part, Branch)]
            )
        else:
            await cancel_and_drain([part for part in parts or self.parts if isinstance(part, Call)], reason)

    def use(self, used: Callable[[Awaited[T]], bool], *, racing: bool = False) -> None:
        """Note whose results are used. A race has no use for the calls that lost, either."""
        self._used, self._racing = used, racing

    def name(self, what: str, detail: bytes = b"") -> bytes:
        """The name of what this join decides; nothing outside of a run."""
        if self.frame is None:
            return b""
        if self._branches is not None:
            return self._branches.name if what == self._join else name_decision(self.frame, what, self._branches.name + detail)
        return name_decision(self.frame, what, b"".join([part.key for part in self.parts if isinstance(part, Call)]) + detail)

    def recall(self, name: bytes, kind: type[D]) -> tuple[D | None, bytes]:
        """The decision recorded under this name, or None; and the name for recording a new one."""
        return (None, name) if self.frame is None else recall_newest(self.frame, name, kind)

    def record(self, name: bytes, told: Told) -> None:
        """Record what was decided."""
        if self.frame is not None:
            record(self.frame, name, told)

    def _own_branches(self) -> list[Branch[T]]:
        return [part for part in self.parts if isinstance(part, Branch)]


def _uses_none(_: object) -> bool:
    return False
