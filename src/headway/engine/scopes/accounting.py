"""What calls cost: reserving before they start, charging while they run, settling when they end.

All of it happens on the engine's thread in one step with the decision it belongs to, and reaches the journal in the row of that
decision. A unit that was reserved and never charged is settled at its reservation (a fixed price); a unit that was charged is
settled at what was charged. A call that is stopped before its code ran gives its reservation back.

After a crash a call that had reserved and left no outcome is settled at its reservation (assumed), and what it spends when it runs
again is new. A call that reserved nothing is not counted twice: what it charges again counts only beyond what it had charged.

`calls` and `seconds` are booked by the runtime wherever an enclosing budget bounds them; seconds are
those in which the call ran and did not wait for other calls.
"""

from __future__ import annotations

import difflib
import warnings

from headway import events
from headway.engine.call import NO_ENTRIES, NO_ITEMS, Call, Frame
from headway.engine.decisions import Decisions
from headway.engine.ports import Line
from headway.engine.run_context import RunContext
from headway.engine.scopes.account import Account, Refusal, remaining_in
from headway.errors import BudgetExceeded, UsageError
from headway.journal.decisions import Remaining
from headway.journal.records import COSTED, Amounts, Charge, Kind, Row
from headway.journal.recovery.ledger import add
from headway.journal.recovery.recovered import encode_body

BOOKED_BY_RUNTIME = ("calls", "seconds")
LIKE = 0.85  # how much the names of two units look like one: `token` and `tokens` do, `tokens_in` and `tokens_out` don't


def check_amounts(amounts: Amounts, what: str) -> Amounts:
    """The amounts as floats. Raises UsageError for anything that is not an amount."""
    for unit, amount in amounts.items():
        if isinstance(amount, bool) or not isinstance(amount, (int, float)) or not amount >= 0:
            raise UsageError(f"{what}({unit}={amount!r}): an amount is a number, zero or more")
    return {unit: float(amount) for unit, amount in amounts.items()}


def check_bounds(amounts: Amounts, what: str) -> Amounts:
    """The amounts of a budget, as floats. Raises UsageError also for a misspelling of a unit that the runtime books."""
    if "wait" in amounts:
        raise UsageError(
            f"{what}(wait={amounts['wait']!r}): wait is an option, True or False, and no unit: give the unit another name"
        )
    for unit in amounts:
        for booked in BOOKED_BY_RUNTIME:
            if unit != booked and str(unit).lower().rstrip("s") == booked.rstrip("s"):
                raise UsageError(
                    f"{what}({unit}={amounts[unit]!r}): did you mean {booked!r}, which the runtime books by itself? Give a unit of "
                    "your own another name"
                )
    return check_amounts(amounts, what)


def check_item(item: int | None, items: int | None, what: str, asked: str = "hw.charge({}, …)") -> None:
    """Raises UsageError where an item is not there for which something is charged or asked; `items` is None for a call that is no
    batch."""
    if item is None:
        return
    if items is None:
        raise UsageError(f"{asked.format(item)} in {what}: only a batch function has items")
    if not 0 <= item < items:
        raise UsageError(f"{asked.format(item)} in batch task {what}: this batch has items 0 to {items - 1}")


def warn_of_units(limits: Amounts, spent: Amounts) -> None:
    """Warn of a bound that bound nothing, where a unit of nearly the same name was charged and nobody bounded it."""
    charged = [unit for unit, amount in spent.items() if amount and unit not in limits]
    for unit in limits:
        if charged and not spent.get(unit) and (near := difflib.get_close_matches(unit, charged, 1, LIKE)):
            warnings.warn(
                f"budget of {unit!r}: nothing was charged in it, but {near[0]!r} was, which it does not bound. "
                f"Write the budget as {near[0]}={limits[unit]:g} if you mean that",
                RuntimeWarning,
                stacklevel=3,
            )


class Accounting:
    def __init__(self, run: RunContext, decisions: Decisions) -> None:
        self._run = run
        self._decisions = decisions
        self._ledger = run.known.ledger
        self._spent = self._ledger.spent()
        self._scopes = self._ledger.scopes_of()
        self.accounts: dict[bytes, Account] = {}
        self.line: Line  # of calls that wait for a budget; set by the engine, which makes both

    def open(self, key: bytes, outer: Account | None, limits: Amounts, *, waits: bool = False) -> Account:
        """The account of a budget scope, with what earlier processes spent in it. Opened again inside of another account than
        before, it counts there from now on."""
        account = self.accounts.get(key)  # a retry opens it again and goes on with what is spent
        if account is None or account.limits != limits or account.waits != waits or account.parent is not outer:
            account = Account(key, outer, limits, account.spent if account else self._spent.get(key), waits=waits)
            self.accounts[key] = account
        if self._run.emit:
            parent = outer.key.hex() if outer else ""
            self._run.emit(events.BudgetOpened(at=self._run.wall(), scope=key.hex(), parent=parent, limits=limits))
            self._changed(account)
        return account

    def resume(self, call: Call) -> None:
        """Take over what earlier processes recorded of this call's cost."""
        tried = self._run.known.attempts.get(call.key)
        for scope in self._scopes.get(call.key, ()):
            x = call.extra()
            cost = self._ledger.cost_of(call.key, scope)
            x.costs = {**x.costs, scope: cost}
            if not call.spec.cost:
                before = tried[1].cost if tried is not None and tried[1].scope == scope else {}
                again = {unit: amount - before.get(unit, 0.0) for unit, amount in cost.items() if unit not in BOOKED_BY_RUNTIME}
                x.recharged = {**x.recharged, scope: again}

    def take_over(self, call: Call) -> bool:
        """Go on counting where an earlier attempt of a call above, or an earlier process, stopped; whether it was an attempt."""
        if self.recall(call):
            return True
        if self._run.resumed:
            self.resume(call)
        return False

    def remember(self, call: Call) -> None:
        """Keep what a call has cost for when a call above it is tried again and asks for it once more."""
        if call.memo is not None and call.x is not None and call.x.costs:
            call.memo[costs_name(call.key)] = call.x.costs

    def recall(self, call: Call) -> bool:
        """Go on counting where an earlier attempt of a call above it stopped; False where there was none."""
        costs = call.memo.get(costs_name(call.key)) if call.memo is not None else None
        if costs is None:
            return False
        call.extra().costs = dict(costs)
        return True

    def reserve(self, call: Call, *, goes_on: bool = False) -> BudgetExceeded | Refusal | None:
        """Reserve what the call will cost, or return the bound that refuses it: a Refusal if the call now waits in line for it.

        A call that `goes_on` had begun before a crash: what it says nothing about was not used up then. It may be now, by what the
        call itself and its calls have spent since.
        """
        account = call.scope.account
        wanted = dict(call.spec.cost)
        if account is None:
            if wanted:
                call.extra().reserved = wanted
            return None
        if "calls" in account.units:
            wanted["calls"] = wanted.get("calls", 0.0) + 1.0
        asked = {**dict.fromkeys(account.units, 0.0), **wanted} if goes_on else wanted
        refusal = self.line.ask(call, account, asked) if account.waiting else account.refuses(asked)
        if refusal is not None:
            if refusal.may_fit:
                return refusal
            return BudgetExceeded(
                f"{call.describe()} was not started: {refusal}. Give hw.budget more, or read hw.remaining() before you spend"
            )
        account.reserve(wanted)
        x = call.extra()
        x.reserved, x.charged = wanted, NO_ITEMS
        return None

    def charge(self, frame: Frame, amounts: Amounts) -> None:
        """Book what a running call spent, in the account that is innermost where it charges."""
        call, account = frame.call, frame.scope.account
        x = call.extra()
        scope = account.key if account else b""
        over = frame.over  # code that was left behind spends, and what was promised to the attempt is not its any more
        if x.recharged and not over:
            amounts = _beyond(amounts, x.recharged.get(scope, {}))
            if not amounts:
                return
        if account is call.scope.account and not over:
            x.charged = {*x.charged, *amounts}
            for unit, amount in amounts.items():
                if used := min(amount, x.reserved.get(unit, 0.0)):
                    x.reserved[unit] -= used
                    if account is not None:
                        account.release({unit: used})
        self._book(call, scope, account, amounts)
        if account is not None:
            self._note(call, scope)
        if self._run.emit:
            self._run.emit(events.CallCharged(at=self._run.wall(), key=call.key.hex(), task=call.task, amounts=amounts))

    def _note(self, call: Call, scope: bytes, *, settled: bool = False) -> None:
        """Record what a call has spent so far in a scope, also while the run stops and ends are no longer recorded: what was spent
        is spent."""
        journal = self._run.journal
        if journal.failure is None:
            body = encode_body(Charge(call.spec.name, scope, call.extra().costs.get(scope, {}), settled))
            journal.append(Row(Kind.CHARGE | COSTED, call.key, call.parent_key, body))

    def settle(self, call: Call, seconds: float, *, ran: bool) -> None:
        """Close the books of one attempt; `ran`: whether its code has begun. Its row, which follows, carries the sum; where the run
        stops and none follows, a charge does."""
        account = call.scope.account
        x = call.x
        if x is None:
            return
        held = bool(x.reserved)
        if held:
            if account is not None:
                account.release(x.reserved)
                if account.waiting:
                    self.line.settled(call, account)
            due = {unit: amount for unit, amount in x.reserved.items() if unit not in x.charged and amount}
            if not ran:  # its code never ran: an attempt was begun and nothing spent, which its row must say
                due = {unit: amount if unit in BOOKED_BY_RUNTIME else 0.0 for unit, amount in due.items()}
            x.reserved = NO_ENTRIES
            if due and not self._run.parked:
                self._book(call, account.key if account else b"", account, due)
        if account is not None and seconds > 0 and "seconds" in account.units and "seconds" not in x.charged:
            self._book(call, account.key, account, {"seconds": seconds})
        x.charged = NO_ITEMS
        if held and account is not None and self._run.closing:
            self._note(call, account.key, settled=True)

    def _book(self, call: Call, scope: bytes, account: Account | None, amounts: Amounts) -> None:
        x = call.extra()
        x.costs = x.costs or {}
        x.costs[scope] = add(x.costs.get(scope, {}), amounts)
        if account is not None:
            account.spend(amounts)
            if account.waiting:
                self.line.changed()
            self._changed(account)

    def _changed(self, account: Account | None) -> None:
        if not self._run.emit:
            return
        while account is not None:
            event = events.BudgetChanged(
                at=self._run.wall(),
                scope=account.key.hex(),
                spent=dict(account.spent),
                reserved={unit: amount for unit, amount in account.reserved.items() if amount},
                closed=account.closed,
            )
            self._run.emit(event)
            account = account.parent

    def home_cost(self, call: Call) -> Amounts:
        """The cost of the call in the account it was made in."""
        if call.x is None:
            return {}
        account = call.scope.account
        return call.x.costs.get(account.key if account else b"", {})

    def cost(self, call: Call) -> Amounts:
        """The cost of the call in all accounts together."""
        total: Amounts = {}
        if call.x is not None:
            for amounts in call.x.costs.values():
                total = add(total, amounts)
        return total

    def allowance(self, call: Call) -> Amounts:
        """What a worker may still charge: what is left now, and what is reserved for this very call."""
        account = call.scope.account
        return self._measure_left(call, account, *self._taken(Frame(call, call.scope))) if account is not None else {}

    def left(self, frame: Frame, unit: str = "") -> Amounts:
        """What code in this frame may still spend, per bounded unit: what the budgets leave, what is reserved for this very call,
        and what it charged before a crash and is about to charge again. Empty where nothing bounds the unit that is asked for.

        Recorded, so that code which plans by it makes the same calls after a resume. What is recorded is how much others had taken,
        so that an amount that was changed since counts, and what this call has charged since by itself, in an attempt that failed;
        of a bound that is new, what is taken now is recorded besides.
        """
        account = frame.scope.account
        if account is None or (unit and unit not in account.units):
            return {}
        mine, taken = self._taken(frame)
        if frame.plans:
            decisions = self._decisions
            key = decisions.name_decision(frame, "remaining", account.key + unit.encode())
            told = decisions.recall(frame.call, key, Remaining)
            if told is not None:
                mine, then = told.mine, told.taken
                taken = then | {each: now | then.get(each, {}) for each, now in taken.items()}
            if told != (now_told := Remaining(mine, taken)):
                self._run.journal.hold()  # until what is charged because of it in the same breath is booked
                self._run.loop.call_soon(self._run.journal.release)
                decisions.record_decision(frame.call, key, now_told)
        return self._measure_left(frame.call, account, mine, taken)

    def _measure_left(self, call: Call, account: Account, mine: Amounts, taken: dict[bytes, Amounts]) -> Amounts:
        charged = self._charged(call)
        taken = {key: add(amounts, charged.get(key, {})) for key, amounts in taken.items()}
        return {unit: amount + mine.get(unit, 0.0) for unit, amount in remaining_in(account, taken).items()}

    def _taken(self, frame: Frame) -> tuple[Amounts, dict[bytes, Amounts]]:
        """What is reserved for this call, and what all other calls have taken from each enclosing account, by its key."""
        account, x = frame.scope.account, frame.call.x
        mine: Amounts = {}
        if account is not None and x is not None:
            mine = dict(x.reserved) if account is frame.call.scope.account else {}
            mine = add(mine, x.recharged.get(account.key, {}))
        taken: dict[bytes, Amounts] = {}
        charged = self._charged(frame.call)
        while account is not None:
            own = charged.get(account.key, {})
            taken[account.key] = {unit: amount - own.get(unit, 0.0) for unit, amount in account.taken.items()}
            account = account.parent
        return mine, taken

    def _charged(self, call: Call) -> dict[bytes, Amounts]:
        """What a call's own code has charged so far, per account that counts it. A charge from before a crash counts only once the
        code repeats it."""
        charged: dict[bytes, Amounts] = {}
        if call.x is None or call.spec.cost:
            return charged
        for scope, cost in call.x.costs.items():
            again = call.x.recharged.get(scope, {})
            own = {
                unit: round(amount - again.get(unit, 0.0), 9)  # equal sums, in whatever order they were added up
                for unit, amount in cost.items()
                if unit not in BOOKED_BY_RUNTIME
            }
            account = self.accounts.get(scope)
            while account is not None:
                charged[account.key] = add(charged.get(account.key, {}), own)
                account = account.parent
        return charged


def costs_name(key: bytes) -> bytes:
    """Where the memo of a retried call keeps what a call below it has cost."""
    return b"B" + key


def _beyond(amounts: Amounts, recorded: Amounts) -> Amounts:
    """What of a charge is new, when `recorded` was booked before a crash; the rest is taken off `recorded`."""
    new: Amounts = {}
    for unit, amount in amounts.items():
        known = min(amount, recorded.get(unit, 0.0))
        if known:
            recorded[unit] -= known
        if amount > known:
            new[unit] = amount - known
    return new
