"""The steps of the planner's plans as tools that a model may ask for, but for the lookup, which is the caller's.

Each calls the function of the same name in `facts`. Where that takes any number of values, the tool takes a list.
"""

from __future__ import annotations

from headway import tools
from headway.reference.planner import facts
from headway.reference.planner.facts import Fact


@tools.tool
async def compare(a: Fact | float, b: Fact | float) -> bool:
    """Whether the first has more than the second."""
    return facts.compare(a, b)


@tools.tool
async def largest(of: list[Fact]) -> Fact:
    """The one with the largest value."""
    return facts.largest(*of)


@tools.tool
async def smallest(of: list[Fact]) -> Fact:
    """The one with the smallest value."""
    return facts.smallest(*of)


@tools.tool
async def above(limit: Fact, of: list[Fact]) -> list[Fact]:
    """Those that have more than a limit."""
    return facts.above(limit, *of)


@tools.tool
async def below(limit: Fact, of: list[Fact]) -> list[Fact]:
    """Those that have less than a limit."""
    return facts.below(limit, *of)


@tools.tool
async def count(of: list[Fact]) -> float:
    """How many there are."""
    return facts.count(of)


@tools.tool
async def add(of: list[Fact | float]) -> float:
    """The sum."""
    return facts.add(*of)


@tools.tool
async def average(of: list[Fact | float]) -> float:
    """The mean."""
    return facts.average(*of)


@tools.tool
async def difference(a: Fact | float, b: Fact | float) -> float:
    """The first less the second."""
    return facts.difference(a, b)


@tools.tool
async def ratio(a: Fact | float, b: Fact | float) -> float:
    """The first over the second."""
    return facts.ratio(a, b)


COMPUTING = (compare, largest, smallest, above, below, count, add, average, difference, ratio)
"""The tools of this module, in the order in which a model is offered them."""
