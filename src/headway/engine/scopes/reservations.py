"""Who holds what of the budgets that calls wait for, who lacks what, and which calls wait for each other because of it.

`budget_line` asks here when it has to know whether a call that waits can ever go on. A call waits for its inputs, its children and
what it awaits; one in line for a budget also for whoever has a reservation there, and one that lacks a resource for whoever has
that. Nothing here lets a call go or refuses one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from headway.engine.call import Call
from headway.engine.dispatch.ready import Ready
from headway.engine.scopes.account import NEVER_GIVEN_BACK, SLACK, Account, Refusal
from headway.engine.scopes.standstill import Party
from headway.engine.transitions import CONCLUDING, OK, READY
from headway.journal.records import Amounts


class Waiter:
    """A call in line. `ticket` is its turn, and `account` where it stands."""

    __slots__ = ("account", "call", "ticket", "unit", "wanted")

    def __init__(self, call: Call, wanted: Amounts, ticket: int, refusal: Refusal) -> None:
        self.call = call
        self.wanted = wanted
        self.ticket = ticket
        self.account = refusal.account
        self.unit = refusal.unit


class Reservations:
    """The reservations in accounts that wait. `waiting`: the calls in line, which the line itself changes."""

    def __init__(self, ready: Ready, waiting: Mapping[Call, Waiter]) -> None:
        self._ready = ready
        self._waiting = waiting
        self._holders: dict[Account, dict[Call, None]] = {}  # calls with a reservation in an account that waits

    def hold(self, call: Call, account: Account, wanted: Amounts) -> None:
        """A call reserves this now."""
        for each in account.waiting:
            if any(wanted.get(unit) for unit in each.limits if unit != NEVER_GIVEN_BACK):
                self._holders.setdefault(each, {})[call] = None

    def give_back(self, call: Call, account: Account) -> None:
        """A call has given back what it had reserved."""
        for each in account.waiting:
            holders = self._holders.get(each)
            if holders is not None and call in holders:
                del holders[call]
                if not holders:
                    del self._holders[each]

    def is_part_of_a_holder(self, call: Call, account: Account) -> bool:
        """Whether the call is a part of one that has a reservation in this account."""
        holders = self._holders.get(account, ())
        above = call.parent
        while above is not None and above not in holders:
            above = above.parent
        return above is not None

    def find_passers(self, account: Account) -> list[Waiter]:
        """Calls in line that a started call waits for."""
        found = self._closure(holder for holder in self._holders.get(account, ()) if not _ends_by_itself(holder))
        return [self._waiting[call] for call in found if call in self._waiting]

    def goes_on_for_sure(self, waiter: Waiter) -> bool:
        """Whether calls that depend on nobody hold enough of what lacks: the usual case, told without looking at all others."""
        for (account, unit), much in _wants(waiter).items():
            short = much - measure_free((account, unit))
            for holder in self._holders.get(account, ()):
                if short <= 0.0:
                    break
                if _ends_by_itself(holder):
                    short -= _find_returnable(holder).get(unit, 0.0)
            if short > 0.0:
                return False
        return True

    def find_parties(self, calls: Iterable[Call]) -> dict[Call, Party[Call]]:
        """These calls and all that they wait for, as the search for a standstill sees them."""
        return {call: self._party(call) for call in self._closure(calls)}

    def _closure(self, calls: Iterable[Call]) -> dict[Call, None]:
        """These calls and all that they wait for, in any way."""
        found = dict.fromkeys(calls)
        stack = list(found)
        while stack:
            call = stack.pop()
            for other in (*_after(call), *self._holders_of_what_lacks(call)):
                if other not in found:
                    found[other] = None
                    stack.append(other)
        return found

    def _holders_of_what_lacks(self, call: Call) -> Iterator[Call]:
        """Who has what a call waits for: money, or a resource that stays with its holder while that waits."""
        if call in self._waiting:
            for account in list_waiting(call):
                yield from self._holders.get(account, ())
        elif call.state == READY and call.spec.resources:
            lacks = self._ready.lacking(call)
            for other in _all_below(_root_of(call)) if lacks else ():
                if any(other.amount_held(resource) for resource in lacks):
                    yield other

    def _party(self, call: Call) -> Party[Call]:
        holds: dict[Any, float] = {
            (account, unit): much for unit, much in _find_returnable(call).items() for account in list_waiting(call)
        }
        for held in call.x.held if call.x is not None else ():
            holds[held.source] = holds.get(held.source, 0.0) + held.amount
        wants: dict[Any, float] = {}
        if (waiter := self._waiting.get(call)) is not None:
            wants = dict(_wants(waiter))
        elif call.state == READY and call.spec.resources:
            wants = dict(self._ready.lacking(call))
        return Party(_after(call), holds, wants, tuple(self._holders_of_what_lacks(call)))


def list_waiting(call: Call) -> tuple[Account, ...]:
    """The accounts around a call that wait for what others have reserved."""
    return call.scope.account.waiting if call.scope.account is not None else ()


def _after(call: Call) -> tuple[Call, ...]:
    """The calls that must end before this one can."""
    waited = (*call.inputs, *(call.children or ()), *(call.x.awaiting if call.x is not None else ()))
    return tuple([other for other in waited if other.state < OK])


def _ends_by_itself(call: Call) -> bool:
    """Whether a call that has begun waits for no other."""
    return call.state != READY and not call.children and (call.x is None or not call.x.awaiting)


def _find_returnable(call: Call) -> Amounts:
    """What a call may give back."""
    reserved = call.x.reserved if call.x is not None and call.state < CONCLUDING else {}
    return {unit: much for unit, much in reserved.items() if unit != NEVER_GIVEN_BACK}


def _wants(waiter: Waiter) -> dict[tuple[Account, str], float]:
    """How much of each unit must be free, in each account around the call that waits."""
    wants: dict[tuple[Account, str], float] = {}
    for each in list_waiting(waiter.call):
        for unit, limit in each.limits.items():
            if unit == NEVER_GIVEN_BACK:
                continue
            if unit not in waiter.wanted:
                wants[each, unit] = 3 * SLACK * limit  # something
            elif much := waiter.wanted[unit]:
                wants[each, unit] = much
    return wants


def measure_free(what: Any) -> float:
    """How much of an amount or resource is free."""
    if isinstance(what, tuple):
        account, unit = what
        left: float = account.limits[unit] * (1 + 2 * SLACK) - account.spent.get(unit, 0.0) - account.reserved.get(unit, 0.0)
        return left
    total: float = what.total - what.used
    return total


def _root_of(call: Call) -> Call:
    while call.parent is not None:
        call = call.parent
    return call


def _all_below(call: Call) -> Iterator[Call]:
    stack = [call]
    while stack:
        call = stack.pop()
        yield call
        stack += call.children or ()
