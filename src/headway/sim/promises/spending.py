"""What must be true of a run's ledger, added up from its rows independently of the ledger that the engine uses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from headway import events
from headway.engine.tasks.spec import TASKS
from headway.journal.decisions import BudgetOpened, decode_decision
from headway.journal.records import COSTED, Amounts, Kind, Row, Start, Status
from headway.journal.recovery.recovered import decode_attempt, decode_charge, decode_outcome, decode_start

if TYPE_CHECKING:
    from headway.sim.history import History

CLOSE = 1e-6


def check_never_overdrawn(history: History) -> Iterator[str]:
    """A budget that an edit gave other amounts may begin a life with more than they allow, and then takes nothing more."""
    if history.overcharged:
        return
    for life in history.lives:
        limits: dict[str, Amounts] = {}
        began_with: dict[str, Amounts] = {}
        for event in life.event_log:
            if isinstance(event, events.BudgetOpened):
                limits[event.scope] = event.limits
            elif isinstance(event, events.BudgetChanged):
                held = {unit: event.spent.get(unit, 0.0) + event.reserved.get(unit, 0.0) for unit in limits.get(event.scope, {})}
                before = began_with.setdefault(event.scope, held if history.budgets_moved else {})
                for unit, limit in limits.get(event.scope, {}).items():
                    if unit != "seconds" and held[unit] > max(limit, before.get(unit, 0.0)) * (1 + CLOSE):
                        yield f"{held[unit]:g} {unit} were spent or reserved in budget {event.scope[:8]}, which allows {limit:g}"


class _Sums:
    """What the rows say was spent, added up independently of the ledger."""

    def __init__(self, rows: list[Row], *, is_fork: bool) -> None:
        self._is_fork = is_fork
        self.lines: dict[tuple[bytes, bytes], tuple[Amounts, Amounts]] = {}  # (call, scope): cost, still reserved
        self.above: dict[bytes, bytes] = {}
        self.starts: Counter[tuple[bytes, bytes]] = Counter()
        self.broken_off: Counter[tuple[bytes, bytes]] = Counter()  # attempts without a result, some before their code ran
        self.task: dict[bytes, str] = {}
        self.charged: set[bytes] = set()
        self.spent: dict[bytes, Amounts] = {}
        for row in rows:
            self._add(row)

    def _add(self, row: Row) -> None:
        kind = row.kind & ~COSTED
        if kind == Kind.DECISION:
            told = decode_decision(row.body).told
            if isinstance(told, BudgetOpened):
                self.above[row.key] = told.outer
            return
        if kind == Kind.CHARGE:
            charge = decode_charge(row.body)
            self.charged.add(row.key)
            cost, held = self.lines.get((row.key, charge.scope), ({}, {}))
            left = {unit: max(0.0, amount + cost.get(unit, 0.0) - charge.cost.get(unit, 0.0)) for unit, amount in held.items()}
            self._set(row.key, charge.scope, charge.cost, {} if charge.settled else left)
            return
        if kind == Kind.START:
            start = decode_start(row.body)
            if self._is_fork and self._was_settled(row.key, start):
                self.broken_off[row.key, start.scope] += 1
            self._set(row.key, start.scope, start.cost, start.reserved)
            self.starts[row.key, start.scope] += 1
            self.task[row.key] = start.task
            return
        ended: Any = decode_attempt(row.body) if kind == Kind.ATTEMPT else decode_outcome(row.body)
        if row.kind & COSTED:
            self._set(row.key, ended.scope, ended.cost, {})
            if kind == Kind.ATTEMPT or ended.status != Status.OK:
                self.broken_off[row.key, ended.scope] += 1

    def _was_settled(self, call: bytes, start: Start) -> bool:
        """Whether an earlier attempt had ended, which a fork does not know: it forgets how the calls above its own ended."""
        cost, held = self.lines.get((call, start.scope), ({}, {}))
        return any(start.cost.get(unit, 0.0) < cost.get(unit, 0.0) + amount - CLOSE for unit, amount in held.items())

    def _set(self, call: bytes, scope: bytes, cost: Amounts, held: Amounts) -> None:
        """What a call has taken since its row before counts in each budget that is around it at this row."""
        before = self.lines.get((call, scope), ({}, {}))
        self.lines[call, scope] = (cost, held)
        while scope:
            total = self.spent.setdefault(scope, {})
            for sign, books in ((1, (cost, held)), (-1, before)):
                for amounts in books:
                    for unit, amount in amounts.items():
                        total[unit] = total.get(unit, 0.0) + sign * amount
            scope = self.above.get(scope, b"")


def check_counted_once(history: History) -> Iterator[str]:
    rows = history.rows()
    sums = _Sums(rows, is_fork=bool(rows and history.store.run(history.run_id).spec.forked_from))
    for (call, scope), times in sums.starts.items():
        spec = TASKS.get(sums.task[call])
        if spec is None or call in sums.charged or not scope or history.edited:
            continue  # outside of every budget a charge leaves no row of its own
        cost, held = sums.lines[call, scope]
        for unit, price in spec.cost.items():
            booked = cost.get(unit, 0.0) + held.get(unit, 0.0)
            least = times - sums.broken_off[call, scope]  # what was stopped before its code ran costs nothing
            if not least * price - CLOSE <= booked <= times * price + CLOSE or abs(booked / price - round(booked / price)) > CLOSE:
                yield f"call {call.hex()[:8]} started {times} times at {price:g} {unit} and is booked at {booked:g}"
    last = history.lives[-1]
    if not last.ended or last.engine is None or last.engine.journal.failure is not None:
        return
    if history.store.run(history.run_id).nrows != getattr(last.engine.journal, "last_seq", 0):
        return  # another driver went on
    for key, account in last.engine.accounting.accounts.items():
        for unit in account.limits:
            said, recorded = account.spent.get(unit, 0.0), sums.spent.get(key, {}).get(unit, 0.0)
            if abs(said - recorded) > CLOSE * max(1.0, said):
                yield f"budget {key.hex()[:8]} counts {said:g} {unit} as spent, its rows say {recorded:g}"
