"""What calls cost: reserving before they start, charging while they run, settling when they end.

All of it happens on the engine's thread in one step with the decision it belongs to, and reaches the journal in the row of that
decision. A unit that was reserved and never charged is settled at its reservation (a fixed price); a unit that was charged is
settled at what was charged. `calls` and `seconds` are booked by the runtime wherever an enclosing budget bounds them; seconds are
those in which the call ran and did not wait for other calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headway.engine import events
from headway.engine.handle import Frame, Handle
from headway.errors import BudgetExceeded, UsageError
from headway.journal.known import encode_body
from headway.journal.ledger import Account, add, remaining_in
from headway.journal.records import COSTED, Amounts, Charge, Kind, Row

if TYPE_CHECKING:
    from headway.engine.engine import Engine


def checked(amounts: Amounts, what: str) -> Amounts:
    """The amounts as floats. Raises UsageError for what is no amount."""
    for unit, amount in amounts.items():
        if isinstance(amount, bool) or not isinstance(amount, (int, float)) or not amount >= 0:
            raise UsageError(f"{what}({unit}={amount!r}): an amount is a number, zero or more")
    return {unit: float(amount) for unit, amount in amounts.items()}


class Books:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ledger = engine.known.ledger
        self._spent = self._ledger.spent()
        self._scopes = self._ledger.scopes_of()
        self.accounts: dict[bytes, Account] = {}

    def open(self, key: bytes, outer: Account | None, limits: Amounts) -> Account:
        """The account of a budget scope, with what earlier processes spent in it."""
        account = Account(key, outer, limits, self._spent.get(key))
        self.accounts[key] = account
        if self._engine.emit:
            parent = outer.key.hex() if outer else ""
            self._engine.emit(
                events.BudgetOpened(at=self._engine.wall(), scope=key.hex(), parent=parent, limits=limits)
            )
            self._changed(account)
        return account

    def resume(self, call: Handle[Any]) -> None:
        """Take over what earlier processes recorded of this call's cost."""
        for scope in self._scopes.get(call.key, ()):
            call.extra().costs[scope] = self._ledger.cost_of(call.key, scope)

    def reserve(self, call: Handle[Any]) -> BudgetExceeded | None:
        """Promise the call what it will cost, or say which bound refuses it."""
        account = call._scope.account
        wanted = dict(call._spec.cost)
        if account is None:
            if wanted:
                call.extra().reserved = wanted
            return None
        if "calls" in account.units:
            wanted["calls"] = wanted.get("calls", 0.0) + 1.0
        if (refusal := account.refuses(wanted)) is not None:
            return BudgetExceeded(
                f"{call.describe()} was not started: {refusal}. Give hw.budget more, "
                "or read hw.remaining() before you spend"
            )
        account.reserve(wanted)
        x = call.extra()
        x.reserved = wanted
        x.charged.clear()
        return None

    def charge(self, frame: Frame, amounts: Amounts) -> None:
        """Book what a running call spent, in the account that is innermost where it charges."""
        call, account = frame.call, frame.scope.account
        x = call.extra()
        scope = account.key if account else b""
        if account is call._scope.account:
            for unit, amount in amounts.items():
                x.charged.add(unit)
                if used := min(amount, x.reserved.get(unit, 0.0)):
                    x.reserved[unit] -= used
                    if account is not None:
                        account.release({unit: used})
        self._book(call, scope, account, amounts)
        if account is not None:
            body = encode_body(Charge(call._spec.name, scope, x.costs[scope]))
            self._engine.append(Row(Kind.CHARGE | COSTED, call.key, call.parent_key, body))
        if self._engine.emit:
            self._engine.emit(
                events.CallCharged(at=self._engine.wall(), key=call.key.hex(), task=call.task, amounts=amounts)
            )

    def settle(self, call: Handle[Any], seconds: float) -> None:
        """Close the books of one attempt. Its row, which follows, carries the sum."""
        account = call._scope.account
        x = call._x
        if x is None:
            return
        if x.reserved:
            if account is not None:
                account.release(x.reserved)
            due = {unit: amount for unit, amount in x.reserved.items() if unit not in x.charged and amount}
            x.reserved = {}
            if due:
                self._book(call, account.key if account else b"", account, due)
        if account is not None and seconds > 0 and "seconds" in account.units and "seconds" not in x.charged:
            self._book(call, account.key, account, {"seconds": seconds})
        x.charged.clear()

    def _book(self, call: Handle[Any], scope: bytes, account: Account | None, amounts: Amounts) -> None:
        costs = call.extra().costs
        costs[scope] = add(costs.get(scope, {}), amounts)
        if account is not None:
            account.spend(amounts)
            self._changed(account)

    def _changed(self, account: Account | None) -> None:
        if not self._engine.emit:
            return
        while account is not None:
            event = events.BudgetChanged(
                at=self._engine.wall(),
                scope=account.key.hex(),
                spent=dict(account.spent),
                reserved={unit: amount for unit, amount in account.reserved.items() if amount},
                closed=account.closed,
            )
            self._engine.emit(event)
            account = account.parent

    def home_cost(self, call: Handle[Any]) -> Amounts:
        """What the call cost in the account it was made in."""
        if call._x is None:
            return {}
        account = call._scope.account
        return call._x.costs.get(account.key if account else b"", {})

    def cost(self, call: Handle[Any]) -> Amounts:
        """What the call cost in all accounts together."""
        total: Amounts = {}
        if call._x is not None:
            for amounts in call._x.costs.values():
                total = add(total, amounts)
        return total

    def allowance(self, call: Handle[Any]) -> Amounts:
        """What a worker may still charge: what is left, and what is reserved for this very call."""
        left = remaining_in(call._scope.account)
        reserved = call._x.reserved if call._x is not None else {}
        return {unit: amount + reserved.get(unit, 0.0) for unit, amount in left.items()}
