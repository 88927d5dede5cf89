"""Facts of the atlas, one at a time: `lookup("Italy", "capital")` is "Rome", and `lookup("Rome", "population")` its inhabitants.

The atlas is PyWorldAtlas (MIT), which comes as a package. A fact is a name or a number, so that it can be the entity of the next
lookup.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from assistant.atlas import UnknownPlace, ask, find_city, find_country

Fact = str | int | float


class UnknownFact(LookupError):
    """Something that the atlas does not know of an entity."""


def lookup(entity: str, field: str) -> Fact:
    """A field of a country, a city, a mountain or a river.

    Raises:
        UnknownFact: the atlas has no such entity, or nothing of that name about it.
    """
    if field not in FIELDS:
        raise UnknownFact(f"there is no field {field!r}; there are {', '.join(FIELDS)}")
    for find in FIELDS[field]:
        if (found := find(entity)) is not None:
            return found
    raise UnknownFact(f"the atlas does not know the {field} of {entity!r}")


def _of_country(column: str) -> Callable[[str], Fact | None]:
    def find(entity: str) -> Fact | None:
        country = _country(entity)
        return None if country is None else _number(country[column])

    return find


def _of_city(column: str) -> Callable[[str], Fact | None]:
    def find(entity: str) -> Fact | None:
        for table in ("city", "capital"):
            found = _first(
                f"SELECT {column} FROM {table} WHERE name = ? COLLATE NOCASE AND {column} IS NOT NULL ORDER BY population DESC", entity
            )
            if found is not None:
                return found
        return None

    return find


def _of_land(question: str) -> Callable[[str], Fact | None]:
    """A question about the country of an id."""

    def find(entity: str) -> Fact | None:
        country = _country(entity)
        return None if country is None else _first(question, country["id"])

    return find


def _by_name(question: str) -> Callable[[str], Fact | None]:
    return lambda entity: _first(question, entity)


def _country(name: str) -> Mapping[str, Any] | None:
    try:
        return find_country(name)
    except UnknownPlace:
        return None


def _first(question: str, value: Any) -> Fact | None:
    rows = ask(question, value)
    return _number(next(iter(rows[0].values()))) if rows else None


def _number(value: Any) -> Fact | None:
    """A whole number without its point."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_NEIGHBOURS = (
    "FROM country_border JOIN country ON country.id = country1_id + country2_id - ?1 WHERE ?1 IN (country1_id, country2_id)"
)
FIELDS: Mapping[str, tuple[Callable[[str], Fact | None], ...]] = {
    "area": (_of_country("total_area_km2"),),
    "population": (_of_country("population"), _of_city("population")),
    "coastline": (_of_land("SELECT coastline_km FROM country_physical WHERE country_id = ?"),),
    "currency": (_of_country("currency_name"),),
    "capital": (_of_land("SELECT name FROM capital WHERE country_id = ? ORDER BY is_primary DESC, population DESC"),),
    "largest city": (_of_land("SELECT name FROM city WHERE country_id = ? ORDER BY population DESC"),),
    "highest point": (_of_land("SELECT highest_point_name FROM country_physical WHERE country_id = ?"),),
    "longest river": (_of_land("SELECT name FROM country_river WHERE country_id = ? ORDER BY length_km DESC"),),
    "neighbours": (_of_land(f"SELECT count(*) {_NEIGHBOURS}"),),
    "largest neighbour": (_of_land(f"SELECT name {_NEIGHBOURS} ORDER BY total_area_km2 DESC"),),
    "most populous neighbour": (_of_land(f"SELECT name {_NEIGHBOURS} ORDER BY population DESC"),),
    "latitude": (_of_city("latitude"),),
    "longitude": (_of_city("longitude"),),
    "elevation": (
        _by_name("SELECT highest_point_elevation_m FROM country_physical WHERE highest_point_name = ? COLLATE NOCASE"),
        _of_city("elevation_m"),
    ),
    "length": (_by_name("SELECT length_km FROM country_river WHERE name = ? COLLATE NOCASE ORDER BY length_km DESC"),),
}
"""What can be asked for, and where it is found: of a country first, then of a city."""
