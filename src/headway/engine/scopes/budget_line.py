"""The queues of calls that wait for a budget (`hw.budget(…, wait=True)`).

A call whose reservation does not fit now, but may when others have settled, gives its room back and stands in line at the account
that lacks it. Whatever may let it go (a settlement, a call that gives up) has the ready queue look at the lines; nothing polls.

Who goes first. In one account the first comes first: a small reservation must not overtake a large one, or the large one could wait
for ever. A call that asks nothing of an account takes nothing from those ahead, so it has a line of its own there. One exception: a
call passes those ahead as soon as it fits if a holder of a reservation in this account waits for it, and the first in line may
depend on that holder. Else the first would wait for the holder, the holder for the call, and the call for its turn. Where holders
that wait for nobody have enough to give back, the first in line depends on no other, and nobody passes it.

A call that is let go may still lack room: a slot, a limit, a resource. It reserves nothing until it has that, and keeps nothing
back from others: whoever holds one of two things while it waits for the other can block everybody. If the money is gone when there
is room, it has its old place in line again.

Who is refused. A call that would not fit even if all that is reserved were given back. And a call for which only those hold
something back that wait for it themselves, in whatever way (`standstill`). Of several that wait for each other, the last to come is
refused, and the rest go on.
"""

from __future__ import annotations

import heapq
import itertools

from headway import events
from headway.engine.call import Call
from headway.engine.dispatch.ready import Ready
from headway.engine.ports import Starts
from headway.engine.run_context import RunContext
from headway.engine.scopes.account import Account, Refusal
from headway.engine.scopes.reservations import Reservations, Waiter, list_waiting, measure_free
from headway.engine.scopes.standstill import find_circle, find_stuck
from headway.errors import BudgetExceeded
from headway.journal.records import Amounts

Place = tuple[Account, bool]
"""An account has two lines: calls that reserve something in it, and calls that only need some to be left."""

WAY_OUT = "Give hw.budget more, or read hw.remaining() before you spend"


class BudgetLine:
    def __init__(self, run: RunContext, starts: Starts, ready: Ready) -> None:
        self._run = run
        self._starts = starts
        self._ready = ready
        self._waiting: dict[Call, Waiter] = {}
        self._reservations = Reservations(ready, self._waiting)
        # heaps; the numbers in the middle are all different. Who has left may still be in one
        self._lines: dict[Place, list[tuple[int, int, Waiter]]] = {}  # the earliest ticket first
        self._largest: dict[tuple[Account, str], list[tuple[float, int, Waiter]]] = {}  # largest request first
        self._numbers = itertools.count()
        self._tickets = itertools.count(1)
        self._old_tickets: dict[Call, int] = {}  # of calls that were let go and have not begun
        self._called: dict[tuple[Account, str], float] = {}  # what those want that were let go a moment ago
        self._kept: dict[Call, Waiter] = {}

    def __bool__(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting)

    # --- asking ------------------------------------------------------------------------------------------------------

    def ask(self, call: Call, account: Account, wanted: Amounts) -> Refusal | None:
        """Why a call that has room can't begin; None where it may reserve now. Where it `may_fit` it stands in line from now on."""
        was_called = self._keep_no_longer(call)
        ticket = self._old_tickets.pop(call, 0) or next(self._tickets)
        refusal = account.refuses(wanted, self._called)
        if refusal is None and not was_called and (ahead := self._where_others_are_ahead(call, wanted, ticket)) is not None:
            unit = next(iter(ahead.limits))
            refusal = Refusal(ahead, unit, wanted.get(unit, 0.0), may_fit=True)
        if refusal is None:
            self._reservations.hold(call, account, wanted)
        elif refusal.may_fit:
            self._line_up(Waiter(call, wanted, ticket, refusal))
        return refusal

    def settled(self, call: Call, account: Account) -> None:
        """A call gave back what it had reserved."""
        self._reservations.give_back(call, account)
        self.changed()

    def changed(self) -> None:
        """Something was spent or given back."""
        if self._waiting:
            self._ready.dispatch_soon()

    def leave(self, call: Call) -> bool:
        """The call asks for no budget any more: it was asked to stop. Whether it stood in line."""
        self._keep_no_longer(call)
        self._old_tickets.pop(call, None)
        if call not in self._waiting:
            return False
        self._step_out(self._waiting[call])
        self._ready.dispatch_soon()
        return True

    def _line_up(self, waiter: Waiter) -> None:
        self._waiting[waiter.call] = waiter
        self._stand(waiter, waiter.account)
        for account in _chain(waiter.call):
            for unit in account.limits:
                if (much := waiter.wanted.get(unit)) != 0.0:  # a call that wants 0 of it is never refused for it
                    heap = self._largest.setdefault((account, unit), [])
                    heapq.heappush(heap, (-(much or 0.0), next(self._numbers), waiter))
        self._tell(waiter)
        self._ready.dispatch_soon()

    def _stand(self, waiter: Waiter, account: Account) -> None:
        waiter.account = account
        heapq.heappush(self._lines.setdefault(_place(account, waiter.wanted), []), (waiter.ticket, next(self._numbers), waiter))

    def _step_out(self, waiter: Waiter) -> None:
        """The rest of it is found to be out of date where it is met."""
        del self._waiting[waiter.call]
        self._tell(waiter, over=True)
        if not self._waiting:
            self._lines.clear()
            self._largest.clear()

    def _stands(self, waiter: Waiter) -> bool:
        return self._waiting.get(waiter.call) is waiter

    def _tell(self, waiter: Waiter, *, over: bool = False) -> None:
        run, call = self._run, waiter.call
        if run.emit:
            until = call.scope.deadline.due if call.scope.deadline is not None else None
            event = events.CallWaits(
                at=run.wall(), key=call.key.hex(), task=call.task, name=waiter.unit, until=until, over=over, budget=True
            )
            run.emit(event)

    # --- who goes first ----------------------------------------------------------------------------------------------

    def _head(self, place: Place) -> Waiter | None:
        """Who is first in a line."""
        line = self._lines.get(place)
        while line:
            waiter = line[0][2]
            if self._stands(waiter) and waiter.account is place[0]:
                return waiter
            heapq.heappop(line)
        self._lines.pop(place, None)
        return None

    def _where_others_are_ahead(self, call: Call, wanted: Amounts, ticket: int, *, but: Account | None = None) -> Account | None:
        """The innermost account that waits and where somebody with an earlier ticket stands, whom this call must not pass."""
        for each in list_waiting(call) if self._lines else ():
            if each is not but and (head := self._head(_place(each, wanted))) is not None and head.ticket < ticket:
                if not self._reservations.is_part_of_a_holder(call, each) or self._reservations.goes_on_for_sure(head):
                    return each
        return None

    def serve(self) -> None:
        """Let the calls go that can go on, and refuse those that never can."""
        self._called.clear()
        self._kept.clear()
        moved = bool(self._waiting)
        while moved and self._waiting:
            self._refuse_what_is_out_of_reach()
            for place in sorted(self._lines, key=self._first_ticket):
                self._serve(place)
            moved = self._refuse_one_that_is_stuck()

    def _first_ticket(self, place: Place) -> int:
        head = self._head(place)
        return head.ticket if head is not None else 0

    def _serve(self, place: Place) -> None:
        while (head := self._head(place)) is not None and self._moves(head):
            pass
        if head is not None and len(self._lines.get(place, ())) > 1 and not self._reservations.goes_on_for_sure(head):
            for waiter in sorted(self._reservations.find_passers(place[0]), key=lambda waiter: waiter.ticket):
                if self._stands(waiter) and waiter.account is place[0]:
                    self._moves(waiter)

    def _moves(self, waiter: Waiter) -> bool:
        """Whether a call leaves the line where it stands, which it may as far as the others in it are concerned."""
        inner = waiter.call.scope.account
        assert inner is not None
        refusal = inner.refuses(waiter.wanted, self._called)
        ahead = (
            self._where_others_are_ahead(waiter.call, waiter.wanted, waiter.ticket, but=waiter.account) if refusal is None else None
        )
        if refusal is None and ahead is None:
            self._let_go(waiter)
            return True
        if refusal is not None and not refusal.may_fit:
            self._refuse(waiter, f"{refusal}. {WAY_OUT}")
            return True
        there = ahead if refusal is None else refusal.account
        assert there is not None
        if there is waiter.account:
            return False
        self._stand(waiter, there)
        return True

    def _let_go(self, waiter: Waiter) -> None:
        """It has the money if it has room at once."""
        self._step_out(waiter)
        self._old_tickets[waiter.call] = waiter.ticket
        self._kept[waiter.call] = waiter
        for account in list_waiting(waiter.call):
            for unit in account.limits:
                self._called[account, unit] = self._called.get((account, unit), 0.0) + waiter.wanted.get(unit, 0.0)
        self._ready.push(waiter.call)

    def _keep_no_longer(self, call: Call) -> bool:
        """What was kept for a call that was let go a moment ago is its own, or nobody's, from here on; False where nothing was."""
        if (waiter := self._kept.pop(call, None)) is not None:
            for account in list_waiting(call):
                for unit in account.limits:
                    self._called[account, unit] -= waiter.wanted.get(unit, 0.0)
        return waiter is not None

    # --- who is refused ----------------------------------------------------------------------------------------------

    def _refuse(self, waiter: Waiter, why: str) -> None:
        self._step_out(waiter)
        self._starts.forbid(waiter.call, BudgetExceeded(f"{waiter.call.describe()} was not started: {why}"))

    def _refuse_what_is_out_of_reach(self) -> None:
        """Refuse calls that want more than is left unspent."""
        for (account, unit), line in list(self._largest.items()):
            while line:
                waiter = line[0][2]
                stands = self._stands(waiter)
                if stands and not account.is_out_of_reach(waiter.wanted, unit):
                    break
                heapq.heappop(line)
                if stands:
                    self._refuse(waiter, f"{Refusal(account, unit, waiter.wanted.get(unit, 0.0))}. {WAY_OUT}")

    def _refuse_one_that_is_stuck(self) -> bool:
        """Refuse the last to have come of those who wait for themselves; whether there was one."""
        heads = [head for place in list(self._lines) if (head := self._head(place)) is not None]
        doubtful = [head.call for head in heads if not self._reservations.goes_on_for_sure(head)]
        if not doubtful:
            return False
        parties = self._reservations.find_parties(doubtful)
        stuck = find_stuck(parties, {what: measure_free(what) for party in parties.values() for what in party.wants})
        for waiter in sorted((self._waiting[call] for call in stuck if call in self._waiting), key=lambda each: -each.ticket):
            if find_circle(parties, stuck, waiter.call):
                inner = waiter.call.scope.account
                refusal = inner.refuses(waiter.wanted) if inner is not None else None
                self._refuse(
                    waiter,
                    f"{refusal}, and all of those wait for it: neither could ever end. {WAY_OUT}, or let only the innermost "
                    "task say what it costs",
                )
                return True
        return False


def _place(account: Account, wanted: Amounts) -> Place:
    return account, any(wanted.get(unit) for unit in account.limits)


def _chain(call: Call) -> tuple[Account, ...]:
    return call.scope.account.chain if call.scope.account is not None else ()
