"""The ledger: what the rows of a run say was spent, by account and call.

An account that is opened again after a crash starts from it, and whoever looks at a run reads its budgets here too. Amounts are
sums over calls of the last cumulative cost of each, so nothing is counted twice however often it is read. It knows no bounds: what
may still be spent is for the engine to decide (`engine/scopes`).

What was spent counts in the accounts that were around it then. A program that was edited may open an account inside of another one
than before: from then on it counts there, and what it had spent until then stays where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from headway.errors import StoreDamaged
from headway.journal.records import Amounts, Charge, Start


class Line(NamedTuple):
    """The last word about one call in one account."""

    cost: Amounts
    reserved: Amounts  # what it had set aside and not spent when it was last heard of
    promised: Amounts  # its cost if it spent all that it reserved when its attempt began


class Ledger:
    """What the rows of a run say was spent. Rows are noted in their order; a later one about a call replaces an earlier one."""

    def __init__(self) -> None:
        self._lines: dict[tuple[bytes, bytes], Line] = {}
        self._parents: dict[bytes, bytes] = {}
        self._kept: dict[tuple[bytes, bytes], tuple[bytes, ...]] = {}  # lines from before an account moved: where they count
        self._before: dict[tuple[bytes, bytes], Amounts] = {}  # of a line's cost, what was spent before an account moved
        self._left: list[tuple[tuple[bytes, ...], Amounts]] = []  # what was, and where it counts

    def note_budget(self, scope: bytes, parent: bytes) -> None:
        """An account was opened below another one, or below none (an empty key)."""
        if self._parents.get(scope, parent) != parent:
            for line in self._lines:
                if line not in self._kept and scope in (around := self._around(line[1])):
                    self._kept[line] = around
        self._parents[scope] = parent

    def note_start(self, call: bytes, start: Start) -> None:
        """An attempt has begun, with what it reserved."""
        promised = {unit: start.cost.get(unit, 0.0) + amount for unit, amount in start.reserved.items()}
        self._note(call, start.scope, Line(start.cost, start.reserved, promised))

    def note_charge(self, call: bytes, charge: Charge) -> None:
        """A call has spent something; of what it reserved it holds the rest, until that is settled."""
        line = self._lines.get((call, charge.scope))
        promised = line.promised if line is not None and not charge.settled else {}
        left = {unit: max(0.0, amount - charge.cost.get(unit, 0.0)) for unit, amount in promised.items()}
        self._note(call, charge.scope, Line(charge.cost, left, promised))

    def note_end(self, call: bytes, scope: bytes, cost: Amounts) -> None:
        """An attempt has ended, and its reservation is settled."""
        self._note(call, scope, Line(cost, {}, {}))

    def _note(self, call: bytes, scope: bytes, line: Line) -> None:
        if self._kept and (around := self._kept.pop((call, scope), None)) is not None:
            before = self.cost_of(call, scope)
            self._left.append((around, _subtract(before, self._before.get((call, scope), {}))))
            self._before[call, scope] = before
        self._lines[call, scope] = line

    def cost_of(self, call: bytes, scope: bytes) -> Amounts:
        """What the call cost so far; a reservation that was never settled counts as spent (assumed)."""
        line = self._lines.get((call, scope))
        return add(line.cost, line.reserved) if line else {}

    def costs(self) -> dict[bytes, Amounts]:
        """What each call is known to have cost, in all accounts together."""
        found: dict[bytes, Amounts] = {}
        for (call, _), line in self._lines.items():
            found[call] = add(found.get(call, {}), line.cost)
        return found

    def scopes_of(self) -> dict[bytes, list[bytes]]:
        """For each call, the accounts it has lines in."""
        found: dict[bytes, list[bytes]] = {}
        for call, scope in self._lines:
            found.setdefault(call, []).append(scope)
        return found

    def spent(self) -> dict[bytes, Amounts]:
        """Per account: everything spent in it and below it, assumed amounts included."""
        return self._sum(self.cost_of, self._left)

    def settled(self) -> dict[bytes, Amounts]:
        """Per account: what is known to be spent in it and below it."""
        return self._sum(lambda call, scope: self._lines[call, scope].cost, self._left)

    def held(self) -> dict[bytes, Amounts]:
        """Per account: what is reserved in it and below it by calls that began and have not ended."""
        return self._sum(lambda call, scope: self._lines[call, scope].reserved)

    def _sum(
        self, part: Callable[[bytes, bytes], Amounts], left: Sequence[tuple[tuple[bytes, ...], Amounts]] | None = None
    ) -> dict[bytes, Amounts]:
        """Add up a part of each line; of costs, what was `left` in other accounts is added there."""
        totals: dict[bytes, Amounts] = {}
        chains: dict[bytes, tuple[bytes, ...]] = {}
        parts = list(left or ())
        for line in self._lines:
            scope = line[1]
            if (around := self._kept.get(line)) is None and (around := chains.get(scope)) is None:
                around = chains[scope] = self._around(scope)
            amounts = part(*line)
            parts.append((around, _subtract(amounts, self._before[line]) if left and line in self._before else amounts))
        for around, amounts in parts:
            for scope in around:
                totals[scope] = add(totals.get(scope, {}), amounts)
        return totals

    def _around(self, scope: bytes) -> tuple[bytes, ...]:
        """An account and all around it now. Raises StoreDamaged."""
        around: dict[bytes, None] = {}
        while scope:
            if scope in around:
                raise StoreDamaged(f"budget {scope.hex()} is recorded as a part of itself: run `headway doctor` on the store")
            around[scope] = None
            scope = self._parents.get(scope, b"")
        return tuple(around)


def add(left: Mapping[str, float], right: Mapping[str, float]) -> Amounts:
    """The sum of two vectors."""
    total = dict(left)
    for unit, amount in right.items():
        total[unit] = total.get(unit, 0.0) + amount
    return total


def _subtract(left: Mapping[str, float], right: Mapping[str, float]) -> Amounts:
    return add(left, {unit: -amount for unit, amount in right.items()})
