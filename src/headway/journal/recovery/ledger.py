"""The ledger: what the rows of a run say was spent, by account and call.

An account that is opened again after a crash starts from it. Amounts are sums over calls of the last cumulative cost of each, so
nothing is counted twice however often it is read. It knows no bounds: what may still be spent is for the engine to decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from headway.errors import StoreDamaged
from headway.journal.records import Amounts


class Line(NamedTuple):
    """The last word about one call in one account: what it cost, and what it had reserved when it was last heard of."""

    cost: Amounts
    reserved: Amounts


class Ledger:
    """What the rows of a run say was spent, before it goes on."""

    def __init__(self) -> None:
        self._lines: dict[tuple[bytes, bytes], Line] = {}
        self._parents: dict[bytes, bytes] = {}

    def note(self, call: bytes, scope: bytes, cost: Amounts, reserved: Amounts | None = None) -> None:
        """A row about `call` in account `scope`; a later row replaces an earlier one."""
        self._lines[call, scope] = Line(cost, reserved or {})

    def opened(self, scope: bytes, parent: bytes) -> None:
        self._parents[scope] = parent

    def cost_of(self, call: bytes, scope: bytes) -> Amounts:
        """What the call cost so far; a reservation that was never settled counts as spent (assumed)."""
        line = self._lines.get((call, scope))
        return add(line.cost, line.reserved) if line else {}

    def scopes_of(self) -> dict[bytes, list[bytes]]:
        """For each call, the accounts it has lines in."""
        found: dict[bytes, list[bytes]] = {}
        for call, scope in self._lines:
            found.setdefault(call, []).append(scope)
        return found

    def spent(self) -> dict[bytes, Amounts]:
        """Per account: everything spent in it and below it, assumed amounts included."""
        totals: dict[bytes, Amounts] = {}
        for (_, scope), line in self._lines.items():
            amounts = add(line.cost, line.reserved)
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
