"""Questions to an atlas in SQLite: PyWorldAtlas (MIT), 248 countries, which comes as a package and needs no network."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from importlib.resources import as_file, files
from typing import Any


class UnknownPlace(LookupError):
    """A place that the atlas does not have."""


def ask(question: str, *values: Any) -> list[dict[str, Any]]:
    """The rows of an answer, by name."""
    with (
        as_file(files("pyworldatlas.data") / "atlas.sqlite3") as file,
        closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db,
    ):
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(question, values)]


def find_country(name: str) -> dict[str, Any]:
    """A country by any of its names."""
    found = ask(
        "SELECT DISTINCT country.* FROM country LEFT JOIN country_name ON country_id = country.id "
        "WHERE country.name = ?1 COLLATE NOCASE OR country_name.name = ?1 COLLATE NOCASE OR alpha2 = ?1 OR alpha3 = ?1",
        name.strip(),
    )
    if not found:
        raise UnknownPlace(f"the atlas has no country {name!r}")
    return found[0]


def find_city(name: str) -> dict[str, Any]:
    """The largest city of a name."""
    named = name.partition(",")[0].strip()
    found = ask(
        "SELECT * FROM city WHERE name = ? COLLATE NOCASE OR normalized_name = ? ORDER BY population DESC", named, named.lower()
    )
    if not found:
        raise UnknownPlace(f"the atlas has no city {name!r}")
    return found[0]


def distance_km(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Between two places on a sphere, along a great circle."""
    a, b = math.radians(one["latitude"]), math.radians(other["latitude"])
    turn = math.radians(one["longitude"] - other["longitude"])
    half = math.sin((a - b) / 2) ** 2 + math.cos(a) * math.cos(b) * math.sin(turn / 2) ** 2
    return 2 * 6371.0 * math.asin(math.sqrt(half))
