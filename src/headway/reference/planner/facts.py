"""What the steps of a plan do: `lookup` in an atlas, and plain functions of what was looked up.

A `Fact` is a value of an entity. Where the value is a name ("Rome"), a later lookup goes on from it, else from the entity: so after
`largest($1, $2)` of two areas, `lookup($3, "capital")` asks for the capital of the larger country. Two things that share a name get
their country's: "Victoria (Seychelles)".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import msgspec

from headway.errors import UsageError
from headway.extras import explain_missing
from headway.reference.planner.plans import Step


class Fact(msgspec.Struct, frozen=True):
    """A value of an entity: the area of Italy in km², or its capital's name.

    Attributes:
        entity: the atlas's name.
        field: which.
        value: a number (km², km, m, degrees or a count) or the name of a thing.
    """

    entity: str
    field: str
    value: float | str

    @property
    def subject(self) -> str:
        """What a later lookup asks of: the thing that the value names, else the entity."""
        return self.value if isinstance(self.value, str) else self.entity


Found: TypeAlias = Fact | float | bool | list[Fact]
"""What a step finds."""

Lookup: TypeAlias = Callable[[str, str], Fact]
"""Finds a field of an entity. Raises LookupError where the atlas has none."""


def compare(a: Fact | float, b: Fact | float) -> bool:
    """Whether the first has more than the second."""
    return _number(a) > _number(b)


def largest(*facts: Fact) -> Fact:
    """The fact with the largest value; of equal ones the first."""
    return max(facts, key=_number)


def smallest(*facts: Fact) -> Fact:
    """The fact with the smallest value; of equal ones the first."""
    return min(facts, key=_number)


def above(limit: Fact, *facts: Fact) -> list[Fact]:
    """Those that have more than the limit."""
    return [fact for fact in facts if _number(fact) > _number(limit)]


def below(limit: Fact, *facts: Fact) -> list[Fact]:
    """Those that have less than the limit."""
    return [fact for fact in facts if _number(fact) < _number(limit)]


def count(facts: Sequence[Fact]) -> float:
    """How many there are."""
    return float(len(facts))


def add(*values: Fact | float) -> float:
    """Their sum."""
    return sum(map(_number, values))


def average(*values: Fact | float) -> float:
    """Their mean."""
    return add(*values) / len(values)


def difference(a: Fact | float, b: Fact | float) -> float:
    """The first less the second."""
    return _number(a) - _number(b)


def ratio(a: Fact | float, b: Fact | float) -> float:
    """The first over the second.

    Raises:
        ZeroDivisionError: the second is 0, such as the coastline of a country without a coast.
    """
    return _number(a) / _number(b)


FUNCTIONS: Mapping[str, Callable[..., Found]] = {
    each.__name__: each for each in (compare, largest, smallest, above, below, count, add, average, difference, ratio)
}
"""The tools of a plan other than `lookup`."""


def run_step(step: Step, found: Mapping[int, Found], lookup: Lookup) -> Found:
    """Do one step of a plan.

    Args:
        step: which.
        found: what earlier steps found, by their numbers.
        lookup: finds a fact.

    Raises:
        UsageError: a tool gets what it has no use for.
        LookupError: the atlas has no such fact.
        ZeroDivisionError: a ratio to 0.
    """
    given = [found[each] if isinstance(each, int) else each for each in step.arguments]
    try:
        if step.tool == "lookup":
            entity, field = (each.subject if isinstance(each, Fact) else each for each in given)
            if not isinstance(entity, str) or not isinstance(field, str):
                raise UsageError(f"{step}: a lookup takes an entity and a field, not {entity!r:.40} and {field!r:.40}")
            return lookup(entity, field)
        return FUNCTIONS[step.tool](*given)
    except (TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{step} can't be done: {error}") from None


def run_plan(steps: Sequence[Step], lookup: Lookup) -> list[Found]:
    """Do a plan's steps one after another, as `run_step` does, and give what `answers` names."""
    found: dict[int, Found] = {}
    for number, step in enumerate(steps, 1):
        found[number] = run_step(step, found, lookup)
    return [found[number] for number in answers(steps)]


def answers(steps: Sequence[Step]) -> list[int]:
    """The numbers of the steps whose results are the answer: those that no other step uses.

    >>> answers((Step("lookup", ("Italy", "area")), Step("lookup", ("France", "area")), Step("add", (1, 2))))
    [3]
    """
    used = {each for step in steps for each in step.arguments if isinstance(each, int)}
    return [number for number in range(1, len(steps) + 1) if number not in used]


def _number(value: Fact | float) -> float:
    found = value.value if isinstance(value, Fact) else value
    if isinstance(found, str | bool):
        raise TypeError(f"{found!r} is no number")
    return found


@lru_cache(maxsize=1)
def read_atlas() -> Mapping[tuple[str, str], float | str]:
    """All facts of pyworldatlas that plans ask for, by entity and field.

    Areas are in km², coastlines and rivers in km, elevations in m, latitudes in degrees north.

    Raises:
        UsageError: pyworldatlas is not installed.
    """
    with explain_missing("the atlas"):
        from pyworldatlas import Atlas
    facts: dict[tuple[str, str], float | str] = {}
    with Atlas() as atlas:
        countries = {country.name: country for country in atlas.countries()}
        beside = {name: [each.name for each in atlas.neighbors(name)] for name in countries}
    taken = set(countries)
    for name, country in countries.items():
        near = [countries[each] for each in beside[name]]
        numbers = {
            "area": _area(country),
            "population": country.population,
            "neighbours": len(near),
            "coastline": _coastline(country),
        }
        things = {
            "largest neighbour": max(near, key=lambda each: _area(each) or 0, default=None),
            "most populous neighbour": max(near, key=lambda each: each.population or 0, default=None),
        }
        facts |= {(name, field): float(value) for field, value in numbers.items() if value is not None}
        facts |= {(name, field): each.name for field, each in things.items() if each}
        for field, thing, values in _things(country):
            said = f"{thing} ({name})" if thing in taken and facts.get((name, "capital")) != thing else thing
            taken.add(said)
            facts[name, field] = said
            facts |= {(said, each): float(value) for each, value in values.items() if value is not None}
    return facts


def lookup(entity: str, field: str) -> Fact:
    """Find a fact of the atlas.

    Example:
        >>> lookup("Italy", "capital").value  # doctest: +SKIP
        'Rome'

    Raises:
        LookupError: it has none.
        UsageError: pyworldatlas is not installed.
    """
    value = read_atlas().get((entity, field))
    if value is None:
        raise LookupError(f"the atlas has no {field!r} of {entity!r}")
    return Fact(entity, field, value)


def _things(country: Any) -> list[tuple[str, str, dict[str, float | None]]]:
    """The things of a country: the field that names each, its name, and its numbers."""
    found: list[tuple[str, str, dict[str, float | None]]] = []
    cities = {city.name: city for city in country.major_cities}
    capital = cities.get(country.capitals[0].name) if country.capitals else None
    for field, city in (
        ("capital", capital),
        ("largest city", max(country.major_cities, key=lambda each: each.population or 0, default=None)),
    ):
        if city:
            found.append((field, city.name, {"population": city.population, "latitude": city.coordinates.latitude}))
    physical = country.geography.physical
    if physical and physical.highest_point and physical.highest_point.elevation_m is not None:
        found.append(("highest point", physical.highest_point.name, {"elevation": physical.highest_point.elevation_m}))
    if physical and physical.rivers and (river := max(physical.rivers, key=lambda each: each.length_km or 0)).length_km:
        found.append(("longest river", river.name, {"length": river.length_km}))
    return found


def _area(country: Any) -> float | None:
    area = country.geography.area
    return area.total_km2 if area else None


def _coastline(country: Any) -> float | None:
    physical = country.geography.physical
    return physical.coastline_km if physical else None
