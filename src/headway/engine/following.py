"""Followers of a collection: an index, a fold, anything that reads each item once and answers questions in between.

A follower lives as long as the run does in this process. Before it is asked it reads on, so a question costs what is new, however
large the collection is. It reads and answers off the event loop, one question at a time.

It is told which items are the run's own: those that the run has appended, and of a fork those that its source had appended when the
call was made at which the fork begins. Nothing here may be recorded: a follower is made anew in each life of the run.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar, cast

from headway.errors import UnknownRun
from headway.journal.codec.codec import decode
from headway.journal.records import COSTED, Kind
from headway.journal.recovery.recovered import decode_outcome
from headway.journal.store import Store

if TYPE_CHECKING:
    from headway.engine.run_context import RunContext

KNOWN_FOLLOWERS = 32


class Entry(NamedTuple):
    """An item as a follower reads it. `is_lost`: it was erased, or a repair could not save it; then it has no value."""

    number: int
    value: Any
    run: str
    at: float
    is_own: bool
    is_lost: bool = False


class Follower(Protocol):
    """What reads a collection item by item."""

    def read(self, entry: Entry, /) -> None: ...


F = TypeVar("F", bound=Follower)
T = TypeVar("T")


class _Followed:
    """A follower, how far it has read, and which items it was told are others'."""

    def __init__(self, follower: Follower) -> None:
        self.follower = follower
        self.size = 0
        self.of_others: set[int] = set()
        self.turn = asyncio.Lock()
        self.lock = threading.Lock()  # a question whose call was stopped goes on in its thread


class Following:
    """The followers of one run."""

    def __init__(self, run: RunContext) -> None:
        self._run = run
        self._followed: dict[Hashable, _Followed] = {}
        self._own: dict[str, set[int]] = {}
        self._until: dict[str, float] | None = None

    def note_own(self, name: str, number: int) -> None:
        """The program has been told that it appended this item, now or in an earlier life, or in what this run is a fork of."""
        self._own.setdefault(name, set()).add(number)

    async def ask(self, store: Store, name: str, key: Hashable, make: Callable[[], F], question: Callable[[F, int], T]) -> T:
        """Let a follower read what is there now and answer a question; it is told the version that it has read.

        Args:
            store: the run's.
            name: the collection.
            key: tells this follower from others of the collection.
            make: makes it.
            question: what it is asked, in a thread.
        """
        followed = self._followed.pop((name, key), None) or _Followed(make())
        own = frozenset(self._own.get(name, ()))
        if not own.isdisjoint(followed.of_others):
            followed = _Followed(make())
        self._followed[name, key] = followed  # the last one asked goes last
        while len(self._followed) > KNOWN_FOLLOWERS:
            del self._followed[next(iter(self._followed))]
        async with followed.turn:
            return await self._run.world.aside(self._answer, store, name, own, followed, question)

    def _answer(self, store: Store, name: str, own: frozenset[int], followed: _Followed, question: Callable[[Any, int], T]) -> T:
        with followed.lock:
            if self._until is None:
                self._until = _lineage(store, self._run.run_id)
            for number, item in enumerate(store.items(name, after=followed.size), followed.size):
                is_own = number in own or item.at <= self._until.get(item.run, -math.inf)
                value = None if item.is_lost else _read_value(store, item.value, item.blobs)
                followed.follower.read(Entry(number, value, item.run, item.at, is_own, item.is_lost))
                if not is_own:
                    followed.of_others.add(number)
                followed.size = number + 1
            return question(cast("Any", followed.follower), followed.size)


def _read_value(store: Store, head: bytes, blobs: Sequence[bytes]) -> Any:
    buffers = [store.get_blob(name) for name in blobs]
    return decode(head, buffers) if head else decode(bytes(buffers[0]), buffers[1:])


def _lineage(store: Store, run_id: str) -> dict[str, float]:
    """Until when what a run appended counts as this run's: of itself always, of its source until the fork begins."""
    until = {run_id: math.inf}
    spec = store.run(run_id).spec
    before = math.inf
    while spec.forked_from and spec.forked_from not in until:
        source, at, made = spec.forked_from, spec.forked_at, spec.created
        try:
            info = store.run(source)
            rows = store.rows(info.uid)
            ends = [row.body for _, row in rows if row.key == at and row.kind & (COSTED - 1) == Kind.OUTCOME]
        except UnknownRun:
            ends, info = [], None
        if ends:
            ended = decode_outcome(ends[0])
            made = ended.made or ended.started or made
        before = until[source] = min(before, made)
        if info is None:
            break
        spec = info.spec
    return until
