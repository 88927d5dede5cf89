"""What a memory holds at a version: a fold of its records, read once each, with an index to search by.

A memory is a collection of `Entry` records, in one order for all runs. The newest record about an id is the case; those before it
are its history. A record that can't be (an update of a case that was forgotten meanwhile) changes nothing, and whoever wrote it is
told.

A pinned book reads the records up to a version and those of its own run, and leaves out what others wrote since. What anybody has
forgotten is gone from every book.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from headway.engine import following
from headway.journal.codec.codec import declare
from headway.methods.memory.records import Case, Edit, End, Hit, Kind
from headway.methods.memory.vectors import Directions
from headway.methods.memory.words import Words, score_words


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a memory, as its collection keeps it.

    Attributes:
        what: what it does.
        namespace: whose case.
        id: of which case; empty for one that is named by its number.
        case: of a put, the case.
        changes: of an update, the fields that change, by name.
        expects: of an update, the number of the record that it was made on; None for whatever is there.
        vector: of the text, float32, where an embedder made one.
    """

    what: Literal["put", "update", "forget"]
    namespace: str
    id: str
    case: Case | None = None
    changes: dict[str, Any] | None = None
    expects: int | None = None
    vector: bytes = b""


declare(Record)
declare(Case)


class Filter(NamedTuple):
    """Which cases are wanted; None where it does not matter."""

    namespace: str | None = None
    kind: Kind | None = None
    outcome: End | None = None
    trusted: bool = False

    def accepts(self, shelf: _Shelf) -> bool:
        return (
            (self.kind is None or shelf.kind == self.kind)
            and (self.outcome is None or shelf.outcome == self.outcome)
            and not (self.trusted and shelf.untrusted)
        )


class _Shelf(NamedTuple):
    """Cases that no filter tells apart, and their index."""

    kind: Kind
    outcome: End
    untrusted: bool
    words: Words
    directions: Directions


class _Kept(NamedTuple):
    """A case that is there."""

    hit: Hit
    shelf: _Shelf


class Book:
    """The cases of a memory.

    Args:
        as_of: for a pinned book, how many records it reads of others.
    """

    def __init__(self, as_of: int | None = None) -> None:
        self._as_of = as_of
        self._cases: dict[tuple[str, str], _Kept] = {}  # by namespace and id, in the order in which they were first put
        self._edits: dict[tuple[str, str], list[Edit]] = {}
        self._by_number: dict[int, _Kept] = {}
        self._shelves: dict[str, dict[tuple[Kind, End, bool], _Shelf]] = {}  # by namespace
        self.refused: dict[int, str] = {}  # by number: why a record changed nothing
        self.to_erase: dict[int, list[int]] = {}  # by the number of a forgetting: what it is about

    def read(self, entry: following.Entry) -> None:
        """Read the next record."""
        record = entry.value
        if entry.is_lost or not isinstance(record, Record):
            return
        if record.what == "forget":
            self._forget(record, entry)
        elif self._as_of is None or entry.number < self._as_of or entry.is_own:
            self._write(record, entry)

    def _write(self, record: Record, entry: following.Entry) -> None:
        case = self._written(record, entry.number)
        if case is None:
            return
        key = case.namespace, record.id or f"#{entry.number}"
        if (old := self._cases.get(key)) is not None:
            self._take_off(old)
        shelf = self._shelf(case)
        kept = _Kept(Hit(key[1], case, entry.number, entry.at, entry.run), shelf)
        self._cases[key] = self._by_number[entry.number] = kept
        shelf.words.add(entry.number, case.text)
        if record.vector:
            shelf.directions.add(entry.number, record.vector)
        elif old is not None and old.hit.case.text == case.text:
            shelf.directions.add(entry.number, old.shelf.directions.dropped)
        self._edits.setdefault(key, []).append(Edit(record.what, case, entry.number, entry.at, entry.run))

    def _written(self, record: Record, number: int) -> Case | None:
        """The case as a record has it; None where the record can't be, which is noted."""
        if record.case is not None:
            return record.case
        kept = self._cases.get((record.namespace, record.id))
        if kept is None:
            self.refused[number] = "gone"
            return None
        if record.expects is not None and kept.hit.number != record.expects:
            self.refused[number] = "changed"
            return None
        return replace(kept.hit.case, **record.changes or {})

    def _forget(self, record: Record, entry: following.Entry) -> None:
        key = record.namespace, record.id
        if (old := self._cases.pop(key, None)) is not None:
            self._take_off(old)
        self.to_erase[entry.number] = [edit.number for edit in self._edits.get(key, ()) if edit.what != "forget"]
        self._edits[key] = [Edit("forget", None, entry.number, entry.at, entry.run)]

    def _take_off(self, kept: _Kept) -> None:
        del self._by_number[kept.hit.number]
        kept.shelf.words.drop(kept.hit.number, kept.hit.case.text)
        kept.shelf.directions.drop(kept.hit.number)

    def _shelf(self, case: Case) -> _Shelf:
        parts = (case.kind, case.outcome, case.untrusted)
        shelves = self._shelves.setdefault(case.namespace, {})
        if parts not in shelves:
            shelves[parts] = _Shelf(*parts, Words(), Directions())
        return shelves[parts]

    def _wanted(self, wanted: Filter) -> Iterator[_Shelf]:
        among = self._shelves.values() if wanted.namespace is None else [self._shelves.get(wanted.namespace, {})]
        return (shelf for shelves in among for shelf in shelves.values() if wanted.accepts(shelf))

    # --- questions ---------------------------------------------------------------------------------------------------

    def search(self, query: str, vector: Sequence[float] | None, k: int, wanted: Filter) -> tuple[Hit, ...]:
        """The k cases that fit best, those with a score above zero. Of equal scores the newest case is first.

        Raises:
            UsageError: of a search by vectors, a case has none, or one of another length.
        """
        shelves = list(self._wanted(wanted))
        if vector is None:
            scores = score_words([shelf.words for shelf in shelves], query)
        else:
            scores = {}
            for shelf in shelves:
                scores.update(shelf.directions.scores(vector, len(shelf.words)))
        best = heapq.nsmallest(k, ((-score, -number) for number, score in scores.items() if score > 0))
        return tuple(replace(self._by_number[-number].hit, score=-score) for score, number in best)

    def get(self, namespace: str, id: str) -> Hit | None:
        """The case of an id."""
        kept = self._cases.get((namespace, id))
        return None if kept is None else kept.hit

    def history(self, namespace: str, id: str) -> tuple[Edit, ...]:
        """The records about an id, the oldest first; of a case that was forgotten, nothing from before."""
        return tuple(self._edits.get((namespace, id), ()))

    def cases(self, wanted: Filter, last: int | None) -> tuple[Hit, ...]:
        """The cases in the order in which they were last written, or the last of these."""
        shelves = set(map(id, self._wanted(wanted)))
        found = (kept.hit for kept in self._by_number.values() if id(kept.shelf) in shelves)  # in the order of their numbers
        return tuple(found) if last is None else tuple(deque(found, last))
