"""One thread of LangGraph as this process knows it: built from its records, one by one, and nothing but its records.

It holds bytes and no live values, so nobody can change by accident what is recorded. A value is put together when it is asked for,
from the records that it was cut from. Its owner locks.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from headway.errors import StoreDamaged
from headway.integrations.langgraph.records import Cut, Form, Parts, Put, Record, Typed, Value, Writes

Place = tuple[str, str]
"""The namespace and the id of a checkpoint."""

KNOWN_VALUES = 256  # of the newest, put together, to cut the next ones from


@dataclass(eq=False, slots=True)
class Write:
    """One value that a task wrote after a checkpoint."""

    number: int  # of its record
    path: str
    task: str
    at: int
    channel: str
    value: Value


@dataclass(eq=False, slots=True)
class ThreadRecords:
    """The records of one thread."""

    name: str  # of its collection
    lock: threading.Lock = field(default_factory=threading.Lock)
    size: int = 0
    cut: int = 0  # everything before is gone
    puts: dict[int, Put] = field(default_factory=dict)
    number_of: dict[Place, int] = field(default_factory=dict)
    writes: dict[Place, dict[tuple[str, int], Write]] = field(default_factory=dict)
    moved: dict[int, int] = field(default_factory=dict)  # the new number of a checkpoint that a cut has moved
    newest: dict[str, str] = field(default_factory=dict)  # by namespace, the id of its newest checkpoint
    _known: dict[tuple[int, str], list[Typed]] = field(default_factory=dict)

    def add(self, record: Record | None) -> None:
        """The next record."""
        number, self.size = self.size, self.size + 1
        if isinstance(record, Put):
            if record.was is not None:
                self.moved[record.was] = number
            self.puts[number] = record
            self.number_of[record.ns, record.id] = number
            self.newest[record.ns] = max(record.id, self.newest.get(record.ns, ""))
        elif isinstance(record, Writes):
            known = self.writes.setdefault((record.ns, record.checkpoint), {})
            for at, channel, value in record.writes:
                old = known.get((record.task, at))
                if at < 0 or old is None or not self.is_made(old):  # what was written stays; errors and the like are replaced
                    known[record.task, at] = Write(number, record.path, record.task, at, channel, value)
        elif isinstance(record, Cut):
            self._cut(record.until)

    def _cut(self, until: int) -> None:
        self.cut = max(self.cut, until)
        self.puts = {number: put for number, put in self.puts.items() if number >= until}
        self.number_of = {place: number for place, number in self.number_of.items() if number >= until}
        kept = {place: {key: one for key, one in known.items() if one.number >= until} for place, known in self.writes.items()}
        self.writes = {place: known for place, known in kept.items() if known}
        self._known = {key: parts for key, parts in self._known.items() if key[0] >= until}
        self.newest = {}
        for ns, checkpoint in sorted(self.number_of):
            self.newest[ns] = checkpoint

    # --- what is there ---------------------------------------------------------------------------------------------------

    def find(self, ns: str, checkpoint: str | None) -> int | None:
        """The number of a checkpoint, or of the newest in a namespace; None where there is none."""
        if checkpoint:
            return self.number_of.get((ns, checkpoint))
        if ns not in self.newest:
            return None
        number = self.number_of[ns, self.newest[ns]]
        if self.is_whole(number):
            return number
        return next((found for found in self.numbers(ns) if self.is_whole(found)), None)

    def near(self, ns: str, checkpoint: str | None) -> int | None:
        """The number of a checkpoint whose values are like those of one that is to come: the one asked for, else the newest.
        LangGraph may bring what tasks wrote before it brings the checkpoint."""
        number = self.number_of.get((ns, checkpoint)) if checkpoint else None
        return number if number is not None and self.is_whole(number) else self.find(ns, None)

    def numbers(self, ns: str | None) -> list[int]:
        """The numbers of the checkpoints of a namespace, or of all, those with the newest ids first."""
        found = sorted((place[1], number) for place, number in self.number_of.items() if ns is None or place[0] == ns)
        return [number for _, number in reversed(found)]

    def is_whole(self, number: int) -> bool:
        """Whether the values of a checkpoint are there. They are not where a process built on what another one had just cut."""
        return not self.cut or all(self._is_there(number, channel) for channel in self.channels(number))

    def _is_there(self, number: int, channel: str) -> bool:
        try:
            return bool(self._chain(number, channel))
        except StoreDamaged:
            if self.cut:
                return False
            raise

    def writes_of(self, put: Put) -> list[Write]:
        """What tasks wrote after a checkpoint, in the order in which it is applied."""
        return sorted(self.writes.get((put.ns, put.id), {}).values(), key=lambda one: (one.path, one.task, one.at))

    def written(self, one: Write) -> Parts:
        """The value that a task wrote. Raises StoreDamaged where a part is lost."""
        value = one.value
        if value.base is None:
            return value.form, value.parts
        _, known = self.value(self._resolve(one.number, value.base), one.channel)
        return value.form, [*known[: value.head], *value.parts, *known[len(known) - value.tail :]]

    def is_made(self, one: Write) -> bool:
        """Whether what a written value was cut from is there."""
        if one.value.base is None or not self.cut:
            return True
        try:
            return self._is_there(self._resolve(one.number, one.value.base), one.channel)
        except StoreDamaged:
            return False

    def ancestors(self, put: Put) -> Iterator[int]:
        """The numbers of the checkpoints before one, nearest first."""
        while put.parent is not None and (number := self.number_of.get((put.ns, put.parent))) is not None:
            yield number
            put = self.puts[number]

    # --- values ----------------------------------------------------------------------------------------------------------

    def channels(self, number: int) -> list[str]:
        """The channels of a checkpoint that have a value."""
        put = self.puts[number]
        return [*put.values, *put.kept]

    def home(self, number: int, channel: str) -> int:
        """The number of the record that holds the value which a channel has in a checkpoint."""
        while channel not in self.puts[number].values:
            number = self._resolve(number, self.puts[number].kept[channel])
        return number

    def value(self, number: int, channel: str) -> Parts:
        """The form and the parts of a channel's value in a checkpoint. Raises StoreDamaged where a part is lost."""
        home = self.home(number, channel)
        form = self.puts[home].values[channel].form
        if (known := self._known.get((home, channel))) is not None:
            return form, known
        parts: list[Typed] = []
        for at in reversed(self._chain(home, channel)):
            if (known := self._known.get((at, channel))) is not None:
                parts = list(known)
            else:
                step = self.puts[at].values[channel]
                parts[step.head : len(parts) - step.tail] = step.parts
        self._known[home, channel] = parts
        while len(self._known) > KNOWN_VALUES:
            del self._known[next(iter(self._known))]
        return form, parts

    def _chain(self, number: int, channel: str) -> list[int]:
        """The records that a value is made of, the newest first, down to one whose value is known."""
        chain: list[int] = []
        base: int | None = self.home(number, channel)
        while base is not None:
            chain.append(base)
            if (base, channel) in self._known:
                break
            below = self.puts[base].values[channel].base
            base = None if below is None else self.home(self._resolve(base, below), channel)
        return chain

    def _resolve(self, number: int, reference: int) -> int:
        """The number that a reference in a record means now."""
        meant = reference if reference >= 0 else number + reference
        while meant not in self.puts and meant in self.moved:
            meant = self.moved[meant]
        if meant not in self.puts:
            raise StoreDamaged(
                f"collection {self.name!r}: item {number} needs item {meant}, which is lost: run `headway doctor` to see more"
            )
        return meant

    # --- making records --------------------------------------------------------------------------------------------------

    def holder(self, base: int | None, channel: str, form: Form, parts: list[Typed]) -> int | None:
        """The record that holds this very value, if a checkpoint has it in the channel."""
        same = base is not None and self._same_form(base, channel, form) == parts
        return self.home(base, channel) if base is not None and same else None

    def difference(self, base: int | None, channel: str, form: Form, parts: list[Typed]) -> Value:
        """A value as its difference from the one of a channel in another checkpoint."""
        known = None if base is None else self._same_form(base, channel, form)
        if base is None or known is None:
            return Value(form, parts)
        if form == "whole" and known != parts:
            return Value("whole", parts)
        head, most = 0, min(len(known), len(parts))
        while head < most and known[head] == parts[head]:
            head += 1
        tail = 0
        while tail < most - head and known[-1 - tail] == parts[-1 - tail]:
            tail += 1
        if head + tail == 0:
            return Value(form, parts)
        return Value(form, parts[head : len(parts) - tail], self.home(base, channel), head, tail)

    def _same_form(self, base: int, channel: str, form: Form) -> list[Typed] | None:
        if channel not in self.channels(base) or not self._is_there(base, channel):
            return None
        known_form, known = self.value(base, channel)
        return known if known_form == form else None

    def copies(self, numbers: Sequence[int], *, moves: bool) -> list[Record]:
        """Records that say of these checkpoints, oldest first, and of what was written after them, what is known: to be appended in
        one transaction, whatever their numbers will be. `moves`: they take the place of the old ones."""
        holds: dict[tuple[int, str], int] = {}  # where the value of a record is among the copies
        copied: list[Record] = []
        for at, number in enumerate(numbers):
            put = self.puts[number]
            values: dict[str, Value] = {}
            kept: dict[str, int] = {}
            for channel in self.channels(number):
                home = self.home(number, channel)
                if (held := holds.get((home, channel))) is not None:
                    kept[channel] = held - at
                    continue
                values[channel] = self._copied_value(home, channel, at, holds)
                holds[home, channel] = at
            copied.append(Put(put.ns, put.id, put.parent, put.checkpoint, put.metadata, values, kept, number if moves else None))
        wanted = {(self.puts[number].ns, self.puts[number].id) for number in numbers}
        for ns, checkpoint in self.writes:
            if (ns, checkpoint) in wanted or (ns, checkpoint) not in self.number_of:  # or its checkpoint is still to come
                copied += self._copied_writes(ns, checkpoint)
        return copied

    def _copied_value(self, home: int, channel: str, at: int, holds: dict[tuple[int, str], int]) -> Value:
        """The value of a record as one among copies: cut from another copy, or whole."""
        value = self.puts[home].values[channel]
        if value.base is not None:
            base = self.home(self._resolve(home, value.base), channel)
            if (held := holds.get((base, channel))) is not None:
                return Value(value.form, value.parts, held - at, value.head, value.tail)
        form, parts = self.value(home, channel)
        return Value(form, parts)

    def _copied_writes(self, ns: str, checkpoint: str) -> Iterator[Writes]:
        by_task: dict[tuple[str, str], list[tuple[int, str, Value]]] = {}
        for one in self.writes[ns, checkpoint].values():
            if self.is_made(one):
                form, parts = self.written(one)
                by_task.setdefault((one.task, one.path), []).append((one.at, one.channel, Value(form, parts)))
        for (task, path), writes in by_task.items():
            yield Writes(ns, checkpoint, task, path, writes)
