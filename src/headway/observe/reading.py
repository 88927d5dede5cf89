"""Reads a recorded run from its rows.

`build_run` is a pure function from rows to a `RecordedRun`, so it works the same on a run that is going on, was killed or is done.
A call is known by its last row. A call that was open when the journal ends is known by its START or ATTEMPT row, or only because a
recorded child names it as its parent; such a parent has no task name, and since nothing says who called it, it is shown under the
root. What was spent comes from the same `Ledger` that a resume starts from.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import msgspec

from headway.journal.decisions import (
    BudgetOpened,
    DeadlineOpened,
    Decision,
    Event,
    Item,
    StreamEnd,
    Waits,
    WaitsOver,
    decode_decision,
)
from headway.journal.records import COSTED, ENDED, NO_PARENT, Amounts, Attempt, Kind, Outcome, Row, RunInfo, Start
from headway.journal.recovery.ledger import Ledger
from headway.journal.recovery.recovered import decode_attempt, decode_charge, decode_outcome, decode_start
from headway.journal.store import Store
from headway.observe import words
from headway.observe.recorded import ENDS, Budget, Call, RecordedRun, State, Waiting

_KIND = COSTED - 1


def read_run(store: Store, run_id: str) -> RecordedRun:
    """Read a run from a store. Raises UnknownRun, StoreDamaged."""
    info = store.run(run_id)
    return build_run(info, store.rows(info.uid))


def build_run(info: RunInfo, rows: Iterable[tuple[int, Row]]) -> RecordedRun:
    """Put a run together from its rows."""
    builder = _RunBuilder(info)
    for seq, row in rows:
        builder.read(seq, row)
    return builder.run()


class _RunBuilder:
    """Reads rows in order, one at a time."""

    def __init__(self, info: RunInfo) -> None:
        self.info = info
        self.root = info.spec.root
        self.calls: dict[bytes, Call] = {}
        self.failures: dict[bytes, list[Attempt]] = {}
        self.decisions: dict[bytes, list[Decision]] = {}
        self.accounts: dict[bytes, tuple[bytes, bytes, Amounts]] = {}
        self.deadline: float | None = None
        self._deadline_key = b""
        self._waits: dict[bytes, tuple[int, Waiting]] = {}  # each with the seq of its row
        self._items: dict[bytes, int] = {}  # of streams, how many they have handed out
        self.ledger = Ledger()
        self.charged: set[bytes] = set()  # calls whose costs are in several rows

    def read(self, seq: int, row: Row) -> None:
        kind = row.kind & _KIND
        if kind == Kind.OUTCOME:
            self._outcome(seq, row, decode_outcome(row.body))
        elif kind == Kind.DECISION:
            self._decision(seq, row, decode_decision(row.body))
        elif kind == Kind.CHARGE:
            self._charge(seq, row)
        elif kind == Kind.ATTEMPT:
            self._attempt(seq, row, decode_attempt(row.body))
        elif kind == Kind.START:
            self._start(seq, row, decode_start(row.body))

    def _outcome(self, seq: int, row: Row, body: Outcome) -> None:
        self.calls[row.key] = Call(
            row.key,
            row.parent,
            seq,
            ENDS[body.status],
            body.task,
            body.label,
            body.started,
            body.ended,
            body.attempts,
            body.cost,
            body.error,
            body.value,
            body.blobs,
            body.edges,
            body.pool,
            body.reason,
            asked=body.asked,
            asked_blob=body.asked_blob,
            params=body.params,
        )
        if row.kind & COSTED:
            self.ledger.note_end(row.key, body.scope, body.cost)

    def _start(self, seq: int, row: Row, body: Start) -> None:
        before = self.calls.get(row.key)
        self.calls[row.key] = Call(
            row.key,
            row.parent,
            seq,
            State.OPEN,
            body.task,
            body.label,
            started=before.started if before and not before.is_over else body.at,
            attempts=body.attempt,
            cost=body.cost,
            error=before.error if before else None,
            effect=body.effect,
            asked=body.asked,
            params=body.params,
        )
        self.ledger.note_start(row.key, body)

    def _attempt(self, seq: int, row: Row, body: Attempt) -> None:
        self.failures.setdefault(row.key, []).append(body)
        self.calls[row.key] = Call(
            row.key,
            row.parent,
            seq,
            State.RETRYING,
            body.task,
            body.label,
            started=self.failures[row.key][0].started,
            attempts=body.attempt,
            cost=body.cost,
            error=body.error,
            retry_at=body.retry_at,
            asked=body.asked,
            params=body.params,
        )
        self.ledger.note_end(row.key, body.scope, body.cost)

    def _charge(self, seq: int, row: Row) -> None:
        body = decode_charge(row.body)
        before = self.calls.get(row.key)
        if before is None or before.is_over:
            self.calls[row.key] = Call(row.key, row.parent, seq, State.OPEN, body.task)
        self.charged.add(row.key)
        self.ledger.note_charge(row.key, body)

    def _decision(self, seq: int, row: Row, body: Decision) -> None:
        self.decisions.setdefault(row.parent, []).append(body)
        match body.told:
            case Waits(wait, name, until, who):
                self._waits[wait] = seq, Waiting(row.parent, who, name, body.at, until)
            case WaitsOver(wait):
                self._waits.pop(wait, None)
            case Event():
                self._waits.pop(row.key, None)
            case BudgetOpened(outer, limits):
                self.accounts[row.key] = (outer, row.parent, limits)
                self.ledger.note_budget(row.key, outer)
            case Item(number):
                self._items[row.parent] = number + 1
            case StreamEnd(count):
                self._items[row.parent] = count
            case DeadlineOpened(until) if self._deadline_key in (b"", row.key):
                self._deadline_key, self.deadline = row.key, until

    # --- when all rows are read --------------------------------------------------------------------------------------

    def run(self) -> RecordedRun:
        costs = self.ledger.costs() if self.charged else {}
        for key in self.charged:
            self.calls[key] = msgspec.structs.replace(self.calls[key], cost=costs[key])
        for key, items in self._items.items():
            if (stream := self.calls.get(key)) is not None:
                self.calls[key] = msgspec.structs.replace(stream, items=items)
        began, until = self._times()
        self._place_parents(began)
        return RecordedRun(
            info=self.info,
            root=self.root,
            calls=self.calls,
            children=_children(self.calls, self.root),
            failures=self.failures,
            decisions=self.decisions,
            budgets=self._budgets(),
            deadline=self.deadline,
            waiting=[wait for since, wait in self._waits.values() if not self._is_over(wait.call, since)],
            names=words.short_tasks({call.task for call in self.calls.values()}),
            began=began,
            until=until,
        )

    def _is_over(self, key: bytes, since: int) -> bool:
        """Whether the run is over, or this call or one of its ancestors has ended since this row."""
        if self.info.status in ENDED:
            return True
        while (call := self.calls.get(key)) is not None:
            if call.is_over and call.seq > since:
                return True
            key = call.parent
        return False

    def _times(self) -> tuple[float, float]:
        began, until = float("inf"), self.info.spec.created
        for call in self.calls.values():
            if call.started and call.started < began:
                began = call.started
            until = max(until, call.ended, call.started)
        for attempts in self.failures.values():
            until = max(until, attempts[-1].ended)
        for decisions in self.decisions.values():
            until = max(until, decisions[-1].at)
        return (began if began != float("inf") else self.info.spec.created), until

    def _place_parents(self, began: float) -> None:
        """Parents that only their children name, and the root while it has no row."""
        unnamed: dict[bytes, Call] = {}
        for call in self.calls.values():
            parent = call.parent
            if parent in self.calls or parent == self.root or call.key == self.root:
                continue
            if parent in (NO_PARENT, b"", self.info.spec.salt):
                continue
            known = unnamed.get(parent)
            started = min(filter(None, (call.started, known.started if known else 0.0)), default=0.0)
            unnamed[parent] = Call(parent, self.root, known.seq if known else call.seq, State.OPEN, started=started)
        self.calls.update(unnamed)
        if self.root not in self.calls:
            self.calls[self.root] = Call(self.root, self.info.spec.salt, 0, State.OPEN, self.info.spec.task, "…", began)

    def _budgets(self) -> list[Budget]:
        spent, held = self.ledger.settled(), self.ledger.held()
        depths: dict[bytes, int] = {b"": -1}
        for key, (outer, _, _) in self.accounts.items():
            depths[key] = depths.get(outer, -1) + 1
        budgets = [
            Budget(key, outer, call, depths[key], limits, spent.get(key, {}), held.get(key, {}))
            for key, (outer, call, limits) in self.accounts.items()
            if any(limit < math.inf for limit in limits.values())  # else it counts, and bounds nothing
        ]
        return sorted(budgets, key=lambda budget: budget.depth)


def _children(calls: Mapping[bytes, Call], root: bytes) -> dict[bytes, list[bytes]]:
    """Who called whom. A call of no known parent is put under the root."""
    children: dict[bytes, list[bytes]] = {}
    for call in sorted(calls.values(), key=lambda call: (call.started or call.ended, call.seq)):
        if call.key != root:
            parent = call.parent if call.parent in calls else root
            children.setdefault(parent, []).append(call.key)
    return children
