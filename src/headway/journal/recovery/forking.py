"""Which rows a fork takes along.

A fork at a call knows everything its source knew, except what has to be found out again: the outcome of the call and of
everything below it, the outcomes of the calls it is part of, what those calls were told (who won, which event came) after the call
began, and which of their attempts failed since and asked for other calls from then on. The signals that nothing in the fork was
told wait in its queue. Siblings keep their results; one that got the call's result by handle is checked against the new one when it
is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import msgspec

from headway.errors import UsageError
from headway.journal.decisions import Event, Moved, decode_decision, is_told
from headway.journal.records import COSTED, NO_PARENT, Kind, Row, RunInfo, Signal, Status
from headway.journal.recovery.given import Given
from headway.journal.recovery.recovered import (
    decode_attempt,
    decode_outcome,
    decode_placed,
    encode_body,
)
from headway.journal.store import Store


def fork_rows(store: Store, source: RunInfo, at: str, new_id: str, now: float) -> str:
    """Make the fork; its id."""
    rows = list(store.rows(source.uid))
    key = find_recorded(at, rows, source)
    parents = {row.key: row.parent for _, row in rows if row.kind & (COSTED - 1) != Kind.DECISION}
    below = _below(key, parents)
    path = [key]
    parent = parents.get(key, NO_PARENT)
    while parent in parents and parent not in path:
        path.append(parent)
        parent = parents[parent]
    if source.spec.root not in path:
        path.append(source.spec.root)
    above = set(path[1:])
    attempts = _attempts_above(rows, path)
    began = next((seq for seq, row in rows if row.key in below), 0)

    def keep(seq: int, row: Row) -> bool | Row:
        kind = row.kind & (COSTED - 1)
        if kind == Kind.OUTCOME and (row.key == key or row.key in above):
            return _only_its_place(row)
        if row.key in below or row.parent in below:
            return False
        if seq in attempts:
            return attempts[seq]
        told = kind == Kind.DECISION and row.parent in above and seq > began and not row.kind & COSTED
        return not told or is_told(row.body, Moved)

    spec = msgspec.structs.replace(source.spec, run_id=new_id, created=now, forked_from=source.spec.run_id, forked_at=key)
    store.fork_run(spec, source.uid, keep)
    for signal in _not_told(store, source, rows, keep):
        store.send_signal(new_id, signal.name, signal.value, signal.at)
    return new_id


def _attempts_above(rows: Sequence[tuple[int, Row]], path: Sequence[bytes]) -> dict[int, bool | Row]:
    """What a fork keeps of the failed attempts of the calls above, by seq. `path`: the call that is found out again, and those
    above it from the bottom up.

    After one that began a new epoch the call below is asked under another key: it is forgotten, and so are those that follow. One
    that led to a success goes on, also where a call above it failed later, and would ask for all attempts anew.
    """
    kept: dict[int, bool | Row] = {}
    for below, call in pairwise(path):
        ended = max((seq for seq, row in rows if row.key == below and row.kind & (COSTED - 1) == Kind.OUTCOME), default=0)
        led: dict[int, Row] = {}
        epoch, forgotten = 0, False
        for seq, row in rows:
            if row.key != call:
                continue
            if row.kind & (COSTED - 1) == Kind.ATTEMPT:
                attempt = decode_attempt(row.body)
                forgotten = forgotten or (attempt.epoch > epoch and seq > ended)
                epoch = max(epoch, attempt.epoch)
                kept[seq] = not forgotten
                led[seq] = Row(row.kind, row.key, row.parent, encode_body(msgspec.structs.replace(attempt, goes_on=True)))
            elif row.kind & (COSTED - 1) == Kind.OUTCOME:
                outcome = decode_outcome(row.body)
                epoch = max(epoch, outcome.epoch)
                if outcome.status != Status.OK:
                    led.clear()
        kept.update((seq, row) for seq, row in led.items() if kept[seq])
    return kept


def _only_its_place(row: Row) -> bool | Row:
    """Of a call that is found out again a fork knows which of equal calls of its parent it was, where branches made them: without
    that, another branch could be given what the others have got."""
    outcome = decode_placed(row.body)
    if outcome.place is None:
        return False
    gone = msgspec.structs.replace(
        outcome,
        status=Status.CANCELLED,
        reason="the fork begins here",
        value=b"",
        blobs=(),
        error=None,
        scope=b"",
        cost={},
        shared=b"",
    )
    return Row(Kind.OUTCOME, row.key, row.parent, encode_body(gone))


def _not_told(
    store: Store, source: RunInfo, rows: Sequence[tuple[int, Row]], keep: Callable[[int, Row], bool | Row]
) -> list[Signal]:
    """The signals of the source that nothing in the fork was told, in the order in which they were sent."""
    known, told = Given(), set()
    for seq, row in rows:
        if is_told(row.body, Event) and isinstance(event := decode_decision(row.body).told, Event):
            known.read(seq, row.key, row.parent, event)
            if event.signal is not None and keep(seq, row):
                told.add(event.signal.number)
    known.signals.update((sent.number, sent) for sent in store.signals(source.uid))
    return [signal for number, signal in sorted(known.signals.items()) if number not in told and signal.name]


def _below(key: bytes, parents: dict[bytes, bytes]) -> set[bytes]:
    children: dict[bytes, list[bytes]] = {}
    for child, parent in parents.items():
        children.setdefault(parent, []).append(child)
    found, stack = {key}, [key]
    while stack:
        for child in children.get(stack.pop(), ()):
            if child not in found:
                found.add(child)
                stack.append(child)
    return found


def find_recorded(at: str, rows: Iterable[tuple[int, Row]], source: RunInfo) -> bytes:
    """The one recorded call that `at` names."""
    wanted = at.lower()
    calls = {row.key: row for _, row in rows if row.kind & (COSTED - 1) != Kind.DECISION}
    found = [key for key in calls if key.hex().startswith(wanted)] if wanted else []
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageError(
            f"run {source.spec.run_id!r} has no recorded call {wanted!r}: `headway show {source.spec.run_id}` lists them"
        )
    names = []
    for key in found[:4]:
        if calls[key].kind & (COSTED - 1) == Kind.OUTCOME:
            outcome = decode_outcome(calls[key].body)
            names.append(f"{key.hex()[:12]} {outcome.task}({outcome.label})")
    raise UsageError(f"{wanted!r} names {len(found)} calls of run {source.spec.run_id!r}: {', '.join(names)}, …")
