"""The ledger: what the rows of a run say was spent, by account and call.

An account that is opened again after a crash starts from it, and whoever looks at a run reads its budgets here too. Amounts are
sums over calls of the last cumulative cost of each, so nothing is counted twice however often it is read. It knows no bounds: what
may still be spent is for the engine to decide (`engine/scopes`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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

    def note_budget(self, scope: bytes, parent: bytes) -> None:
        """An account was opened below another one, or below none (an empty key)."""
        self._parents[scope] = parent

    def note_start(self, call: bytes, start: Start) -> None:
        """An attempt has begun, with what it reserved."""
        promised = {unit: start.cost.get(unit, 0.0) + amount for unit, amount in start.reserved.items()}
        self._lines[call, start.scope] = Line(start.cost, start.reserved, promised)

    def note_charge(self, call: bytes, charge: Charge) -> None:
        """A call has spent something; of what it reserved it holds the rest, until that is settled."""
        line = self._lines.get((call, charge.scope))
        promised = line.promised if line is not None and not charge.settled else {}
        left = {unit: max(0.0, amount - charge.cost.get(unit, 0.0)) for unit, amount in promised.items()}
        self._lines[call, charge.scope] = Line(charge.cost, left, promised)

    def note_end(self, call: bytes, scope: bytes, cost: Amounts) -> None:
        """An attempt has ended, and its reservation is settled."""
        self._lines[call, scope] = Line(cost, {}, {})

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
        return self._sum(lambda line: add(line.cost, line.reserved))

    def settled(self) -> dict[bytes, Amounts]:
        """Per account: what is known to be spent in it and below it."""
        return self._sum(lambda line: line.cost)

    def held(self) -> dict[bytes, Amounts]:
        """Per account: what is reserved in it and below it by calls that began and have not ended."""
        return self._sum(lambda line: line.reserved)

    def _sum(self, part: Callable[[Line], Amounts]) -> dict[bytes, Amounts]:
        totals: dict[bytes, Amounts] = {}
        for (_, scope), line in self._lines.items():
            amounts = part(line)
            above: set[bytes] = set()
            while scope:
                if scope in above:
                    raise StoreDamaged(f"budget {scope.hex()} is recorded as a part of itself: run `headway doctor` on the store")
                above.add(scope)
                totals[scope] = add(totals.get(scope, {}), amounts)
                scope = self._parents.get(scope, b"")
        return totals


def add(left: Mapping[str, float], right: Mapping[str, float]) -> Amounts:
    """The sum of two vectors."""
    total = dict(left)
    for unit, amount in right.items():
        total[unit] = total.get(unit, 0.0) + amount
    return total
