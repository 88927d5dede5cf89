"""Samples of one step that race: the call that the executor makes for what a policy started.

The call's result holds what came of each sample, so that all that a policy may look at is recorded. A batch that ended is never
entered again; in one that was broken off, every attempt that had ended is found again. The policy's reason is part of the call's
label, for `headway show`, and no part of its name.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from headway.engine.call import current
from headway.engine.identity.signature import unkeyed
from headway.engine.tasks.callables import yes_or_no
from headway.joins.bound import bound_of
from headway.joins.gather import gather
from headway.joins.race import race
from headway.joins.recorded import name_bounds
from headway.methods.records import Verdict
from headway.methods.search.failures import Errors, Failed, Failures
from headway.scopes.budget import budget
from headway.task import task

NO_UNIT = "nothing that anybody charges"
Attempt = Callable[..., Awaitable[Any]]
Accept = Callable[[Any], bool]


class Samples(NamedTuple):
    """How many samples of a choice are started, and the number of the first."""

    choice: str
    first: int
    size: int


@dataclass(frozen=True, slots=True)
class Sample:
    """What one sample came to. `error`: what it failed with, empty where it returned."""

    choice: str
    index: int
    ok: bool
    cost: dict[str, float]
    seconds: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """What a batch of a step came to: the samples that ended, in the order in which they did; the value of one that succeeded; how
    many the budget refused, and under which bounds it did."""

    step: str
    samples: tuple[Sample, ...]
    value: Any = None
    refused: int = 0
    bounds: bytes = b""

    @property
    def ok(self) -> bool:
        return any(sample.ok for sample in self.samples)


@dataclass(frozen=True, slots=True)
class Rules:
    """How samples are made and judged. `cancel`: the first success stops the others of its batch."""

    attempt: Attempt
    accept: Accept | None
    errors: Errors
    cancel: bool


class _Ended(NamedTuple):
    """How a sample ended, for the race: whether it wins, its value, and an error that ends the race."""

    ok: bool
    value: Any = None
    fatal: Exception | None = None


def _label(name: str, work: Any, given: Any, starts: tuple[Samples, ...], rules: Rules, step: str, why: str) -> str:
    parts = " + ".join(f"{each.size} × {each.choice}" if each.choice else f"{each.size} ×" for each in starts)
    return f"{step}: {parts}{f': {why}' if why else ''}"


@task(name="allocate.batch", label=_label)
async def run_batch(
    name: str,
    work: Any,
    given: Any,
    starts: tuple[Samples, ...],
    rules: Annotated[Rules, unkeyed],
    step: Annotated[str, unkeyed],
    why: Annotated[str, unkeyed],
) -> Batch:
    """Run samples of one step side by side. `name` is that of the attempt: it names the call, together with what is done to what.

    Raises BudgetExceeded where the budget refused all of them and nothing else was to be had, and what an attempt raises that may
    not fail.
    """
    ended: list[Sample] = []
    units, refused = _units_here(), 0

    async def run_one(choice: str, index: int) -> _Ended:
        nonlocal refused
        began = asyncio.get_running_loop().time()
        error, value, ok = "", None, False
        with budget(wait=False, **dict.fromkeys(units, math.inf)) as book:  # it bounds nothing, and counts what this sample costs
            try:
                failures = Failures(rules.errors)
                value = await failures.spare(index, rules.attempt(work, choice, index, *more))
                if isinstance(value, Failed):
                    value, error = None, f"{type(failures.errors[-1]).__name__}: {failures.errors[-1]}"
                else:
                    ok = succeeds(value, rules.accept)
            except Exception as raised:
                if bound_of(raised) == "budget":
                    refused += 1
                    return _Ended(False)
                if not rules.cancel:
                    raise  # out of `gather`, which stops the others
                return _Ended(False, fatal=raised)
        cost = {unit: amount for unit, amount in book.spent.items() if unit != NO_UNIT}
        ended.append(Sample(choice, index, ok, cost, asyncio.get_running_loop().time() - began, error))
        return _Ended(ok, value)

    more = () if given is None else (given,)
    samples = [run_one(each.choice, index) for each in starts for index in range(each.first, each.first + each.size)]
    if rules.cancel:
        won: _Ended | None = await race(*samples, accept=lambda end: end.ok or end.fatal is not None, default=None)
        all_ended = [won] if won is not None else []
    else:
        all_ended = await gather(*samples)
    for end in all_ended:
        if end.fatal is not None:
            raise end.fatal
    value = next((end.value for end in all_ended if end.ok), None)
    return Batch(step, tuple(ended), value, refused, bounds_of_here() if refused else b"")


def _units_here() -> Iterable[str]:
    """The units that are bounded here, which a budget around a sample counts; where none is, it counts what is charged."""
    frame = current.get()
    return (NO_UNIT,) if frame is None or frame.scope.account is None else frame.scope.account.units


def bounds_of_here() -> bytes:
    """The amounts of the budgets and the deadline around this code, as a name."""
    frame = current.get()
    return b"" if frame is None else name_bounds(frame)


def succeeds(value: Any, accept: Accept | None) -> bool:
    """Whether a sample's result is good: what `accept` says. Without it, a verdict speaks for itself, False and None are failures
    and everything else is a success."""
    if accept is not None:
        return yes_or_no(accept(value), "allocate: accept=…")
    if isinstance(value, Verdict):
        return value.ok is True
    return value is not None and value is not False
