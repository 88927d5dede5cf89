"""What clients of a journal were told, and whether the journal that is left agrees: a checker of histories.

A journal is a register to which lists are appended. A client writes down what it is about to append (`invoke`), and then what it
was told: `ok`, it is durable; `fail`, it never happened; `info`, nobody knows. A client that was killed was told nothing, which is
`info`. Then there must be, in the journal that is left:

- every row that was acknowledged, at its place, and after all that was acknowledged before it was asked for;
- no row of what failed, and of what is unknown all rows or none;
- no row twice, no row that nobody sent, no gap;
- nothing of a fence after the first row of a newer one;
- whatever anybody has read before, as the beginning;
- in the ledger, the sum of the rows that are there.

`find_violations` is a pure function of logs and rows: it asks no store, so that a fault of one can't hide in it.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

from headway.sim.history import Violation

How = Literal["ok", "fail", "info"]
NEVER = 1 << 62


class Entry(NamedTuple):
    """One row: a name that no other has, and what it cost."""

    name: str
    cost: int = 0


@dataclass(frozen=True)
class Append:
    """One try to append a group."""

    client: str
    fence: int
    first: int  # the place of its first row
    entries: tuple[Entry, ...]
    began: int  # when it was asked for and answered, by one clock of all clients
    ended: int = NEVER
    how: How = "info"


class Reading(NamedTuple):
    """What a client found in the journal."""

    client: str
    names: tuple[str, ...]


class Histories(NamedTuple):
    """What all clients wrote down."""

    appends: Sequence[Append]
    readings: Sequence[Reading] = ()

    def count(self) -> Counter[str]:
        """How many tries ended in which way."""
        return Counter(one.how for one in self.appends)


# --- written down by clients ------------------------------------------------------------------------------------------


class Notebook:
    """Where one client writes down what it asks and hears; a line is there whole or not, whatever kills the client."""

    def __init__(self, file: Path, client: str) -> None:
        self._client = client
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def invoke(self, fence: int, first: int, entries: Sequence[Entry]) -> None:
        self._write({"what": "invoke", "fence": fence, "first": first, "entries": entries})

    def hear(self, how: How, why: str = "") -> None:
        """Write down how the newest try ended."""
        self._write({"what": how, "why": why})

    def read(self, names: Sequence[str]) -> None:
        self._write({"what": "read", "names": names})

    def _write(self, line: dict[str, object]) -> None:
        os.write(self._file, json.dumps({"client": self._client, "at": time.monotonic_ns(), **line}).encode() + b"\n")


def read_histories(files: Iterable[Path]) -> Histories:
    """Read the notebooks of all clients. A try without an answer is unknown."""
    appends: list[Append] = []
    readings: list[Reading] = []
    for file in files:
        open_one: dict[str, int] = {}  # by client: which of `appends` it waits for
        for line in file.read_text().splitlines():
            said = json.loads(line)
            client = said["client"]
            match said["what"]:
                case "invoke":
                    open_one[client] = len(appends)
                    entries = tuple(Entry(*one) for one in said["entries"])
                    appends.append(Append(client, said["fence"], said["first"], entries, said["at"]))
                case "read":
                    readings.append(Reading(client, tuple(said["names"])))
                case how:
                    at = open_one.pop(client)
                    appends[at] = replace(appends[at], ended=said["at"], how=how)
    return Histories(appends, readings)


# --- the verdict ------------------------------------------------------------------------------------------------------


def find_violations(histories: Histories, final: Sequence[tuple[int, Entry]], ledger: int | None = None) -> list[Violation]:
    """Every breach.

    Args:
        histories: what the clients were told.
        final: `(seq, entry)` of the journal that is left, as it is read.
        ledger: what was counted elsewhere as the cost of it; not compared where None.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for seq, entry in final:
        places[entry.name].append(seq)
    looks = {
        "no gap": _check_no_gap(final),
        "no row twice": _check_no_row_twice(places),
        "no row of nobody": _check_no_row_of_nobody(histories, places),
        "acknowledged is there": _check_acknowledged(histories, places),
        "failed is not there": _check_failed(histories, places),
        "all or nothing": _check_all_or_nothing(histories, places),
        "later comes after": _check_order(histories, places),
        "no late writer": _check_fences(histories, final),
        "read stays": _check_readings(histories, final),
        "ledger": _check_ledger(histories, final, ledger),
    }
    return [Violation(promise, what) for promise, found in looks.items() for what in found]


Places = dict[str, list[int]]


def _check_no_gap(final: Sequence[tuple[int, Entry]]) -> Iterator[str]:
    for expected, (seq, entry) in enumerate(final, 1):
        if seq != expected:
            yield f"row {entry.name} has number {seq} and is the {expected}th"
            return


def _check_no_row_twice(places: Places) -> Iterator[str]:
    yield from (f"row {name} is there at {found}" for name, found in places.items() if len(found) > 1)


def _check_no_row_of_nobody(histories: Histories, places: Places) -> Iterator[str]:
    sent = {entry.name for one in histories.appends for entry in one.entries}
    yield from (f"row {name} was sent by nobody" for name in places if name not in sent)


def _check_acknowledged(histories: Histories, places: Places) -> Iterator[str]:
    for one in histories.appends:
        if one.how == "ok":
            for seq, entry in enumerate(one.entries, one.first):
                if seq not in (found := places.get(entry.name, [])):
                    yield f"row {entry.name} was acknowledged at {seq} and is {f'at {found}' if found else 'lost'}"


def _check_failed(histories: Histories, places: Places) -> Iterator[str]:
    for one in histories.appends:
        if one.how == "fail":
            yield from (f"row {entry.name} is there, and {one.client} was told that it never would" for entry in one.entries
                        if entry.name in places)  # fmt: skip


def _check_all_or_nothing(histories: Histories, places: Places) -> Iterator[str]:
    for one in histories.appends:
        there = [places[entry.name][0] for entry in one.entries if entry.name in places]
        if there and there != list(range(there[0], there[0] + len(one.entries))):
            yield f"of the group of {one.entries[0].name} there are the rows {there}; it had {len(one.entries)} from {one.first} on"


def _check_order(histories: Histories, places: Places) -> Iterator[str]:
    """What was asked for after another was acknowledged comes after it."""
    there = sorted((one for one in histories.appends if one.entries[0].name in places), key=lambda one: one.began)
    acknowledged = sorted((one for one in there if one.how == "ok"), key=lambda one: one.ended)
    newest, before = 0, None
    at = 0
    for one in there:
        while at < len(acknowledged) and acknowledged[at].ended < one.began:
            if (last := places[acknowledged[at].entries[-1].name][0]) > newest:
                newest, before = last, acknowledged[at]
            at += 1
        if before is not None and places[one.entries[0].name][0] < newest:
            yield f"row {one.entries[0].name} was asked for after {before.entries[-1].name} was acknowledged, and stands before it"


def _check_fences(histories: Histories, final: Sequence[tuple[int, Entry]]) -> Iterator[str]:
    fences = {entry.name: one.fence for one in histories.appends for entry in one.entries}
    newest = 0
    for seq, entry in final:
        fence = fences.get(entry.name, newest)
        if fence < newest:
            yield f"row {seq} ({entry.name}) has fence {fence}, after a row of fence {newest}"
        newest = max(newest, fence)


def _check_readings(histories: Histories, final: Sequence[tuple[int, Entry]]) -> Iterator[str]:
    names = tuple(entry.name for _, entry in final)
    for one in histories.readings:
        if names[: len(one.names)] != one.names:
            yield f"{one.client} has read {len(one.names)} rows that are no longer the beginning"


def _check_ledger(histories: Histories, final: Sequence[tuple[int, Entry]], ledger: int | None) -> Iterator[str]:
    there = {entry.name for _, entry in final}
    expected = sum(entry.cost for one in histories.appends for entry in one.entries if one.how == "ok" or entry.name in there)
    counted = sum(entry.cost for _, entry in final)
    if counted != expected:
        yield f"the rows that are there cost {counted}, those that should be {expected}"
    if ledger is not None and ledger != counted:
        yield f"the ledger says {ledger}, the rows cost {counted}"
