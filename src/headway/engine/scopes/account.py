"""One budget: what may be spent, what is reserved, what is spent.

An `Account` is a bound on a vector of amounts, opened by `hw.budget`, below another account or none. A call reserves before it
starts and settles when it ends; both walk from its account to the outermost one, in one step on the engine's thread, so
parallel calls can never pass the same stale check. Spending above a bound is recorded, never refused (the money is gone), and
closes that account for further reservations.

What earlier processes spent in an account comes from the journal (`journal/recovery/ledger.py`). Nothing here writes to it:
`accounting` does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from headway.journal.records import Amounts

NOTHING: Mapping[tuple[Account, str], float] = {}
SLACK = 1e-9  # of a limit: ten times 0.1 is 1
NEVER_GIVEN_BACK = "calls"  # a reservation of it is always spent: whoever has it begins an attempt


class Refusal(NamedTuple):
    """Why a reservation is refused now: this account, this unit; and whether it may fit when others have settled, in accounts that
    all wait for that."""

    account: Account
    unit: str
    wanted: float
    may_fit: bool = False

    def __str__(self) -> str:
        limit = self.account.limits[self.unit]
        spent, reserved = self.account.spent.get(self.unit, 0.0), self.account.reserved.get(self.unit, 0.0)
        held = f" and {reserved:g} reserved by running calls" if reserved else ""
        return f"{self.wanted:g} {self.unit} asked, but of {limit:g} {self.unit} {spent:g} are spent{held}"


class Account:
    """One budget scope. `limits`, `spent` and `reserved` map units to amounts. `waits`: a reservation that does not fit may wait
    until others have settled."""

    __slots__ = ("chain", "key", "limits", "parent", "reserved", "spent", "units", "waiting", "waits")

    def __init__(
        self, key: bytes, parent: Account | None, limits: Amounts, spent: Amounts | None = None, *, waits: bool = False
    ) -> None:
        self.key = key
        self.parent = parent
        self.limits = limits
        self.waits = waits
        self.spent: Amounts = dict(spent or {})
        self.reserved: Amounts = {}
        self.units: frozenset[str] = frozenset(limits) | (parent.units if parent else frozenset())
        self.chain: tuple[Account, ...] = (self, *(parent.chain if parent else ()))  # and all around it, the innermost first
        self.waiting: tuple[Account, ...] = tuple([account for account in self.chain if account.waits])

    @property
    def closed(self) -> bool:
        """Whether more was spent than allowed."""
        return any(self.spent.get(unit, 0.0) > limit for unit, limit in self.limits.items())

    @property
    def taken(self) -> Amounts:
        """What is spent and reserved here, per bounded unit."""
        return {unit: self.spent.get(unit, 0.0) + self.reserved.get(unit, 0.0) for unit in self.limits}

    @property
    def remaining(self) -> Amounts:
        """What is left here, per bounded unit, after what is spent and reserved; never below zero."""
        taken = self.taken
        return {unit: max(0.0, limit - taken[unit]) for unit, limit in self.limits.items()}

    def refuses(self, wanted: Mapping[str, float], called: Mapping[tuple[Account, str], float] = NOTHING) -> Refusal | None:
        """The bound that reserving `wanted` would break, here or further out: one that it breaks for good, or else the innermost.
        None where it fits. `called` is what accounts that wait keep for calls which are about to begin.

        A unit that is used up refuses calls that say nothing about it; one that asks for exactly 0 of it has promised to spend
        none and is let through.
        """
        found = None
        account: Account | None = self
        while account is not None:
            for unit, limit in account.limits.items():
                held = account.spent.get(unit, 0.0) + account.reserved.get(unit, 0.0)
                if called and account.waits:
                    held += called.get((account, unit), 0.0)
                if _breaks(limit, held, wanted, unit):
                    may_fit = account.waits and not account.is_out_of_reach(wanted, unit)
                    if not may_fit:
                        return Refusal(account, unit, wanted.get(unit, 0.0))
                    found = found or Refusal(account, unit, wanted.get(unit, 0.0), may_fit=True)
            account = account.parent
        return found

    def is_out_of_reach(self, wanted: Mapping[str, float], unit: str) -> bool:
        """Whether `wanted` could not be had here even if all that is reserved were given back."""
        gone = self.spent.get(unit, 0.0) + (self.reserved.get(unit, 0.0) if unit == NEVER_GIVEN_BACK else 0.0)
        return _breaks(self.limits[unit], gone, wanted, unit)

    def reserve(self, amounts: Mapping[str, float]) -> None:
        self._add("reserved", amounts, 1.0)

    def release(self, amounts: Mapping[str, float]) -> None:
        self._add("reserved", amounts, -1.0)

    def spend(self, amounts: Mapping[str, float]) -> None:
        self._add("spent", amounts, 1.0)

    def _add(self, book: str, amounts: Mapping[str, float], sign: float) -> None:
        account: Account | None = self
        while account is not None:
            entries: Amounts = getattr(account, book)
            for unit, amount in amounts.items():
                entries[unit] = entries.get(unit, 0.0) + sign * amount
            account = account.parent


def _breaks(limit: float, held: float, wanted: Mapping[str, float], unit: str) -> bool:
    """Whether `wanted` can't be had of a unit of which so much is held."""
    if unit not in wanted:
        return held >= limit
    return bool(amount := wanted[unit]) and held + amount > limit * (1 + SLACK)


def remaining_in(account: Account | None, taken: Mapping[bytes, Amounts]) -> Amounts:
    """What is left for each unit that any enclosing account bounds: the least over the chain. `taken` is what was spent and
    reserved in each account, by its key, now or at some other time."""
    left: Amounts = {}
    while account is not None:
        for unit, limit in account.limits.items():
            left[unit] = min(max(0.0, limit - taken[account.key][unit]), left.get(unit, math.inf))
        account = account.parent
    return left
