"""Stores to copy between: folders, databases, objects."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from headway.journal.memory import MemoryStore
from headway.journal.open import open_store
from headway.journal.postgres.schema import TABLES
from headway.journal.store import Store
from postgres_server import shared_server

SCHEMA = "copying"
_numbers = itertools.count()


def empty_database(blobs: Path | None) -> Store:
    """The one database of these tests, emptied."""
    place = f"&blobs={blobs}" if blobs is not None else ""
    store = open_store(f"{shared_server().url}?schema={SCHEMA}{place}")
    with psycopg.connect(shared_server().url, autocommit=True) as connection:
        names = ", ".join(f"{SCHEMA}.{name}" for name in TABLES if name != "version")
        connection.execute(f"TRUNCATE {names} RESTART IDENTITY")
    return store


@pytest.fixture
def make(scratch: Path) -> Iterator[Callable[..., Store]]:
    """Makes a new, empty store of a kind, which is closed in the end."""
    made: list[Store] = []

    def make_one(kind: str, *, blobs: bool = True) -> Store:
        folder = scratch / f"{kind}-{next(_numbers)}"
        if kind == "memory":
            made.append(MemoryStore())
        elif kind == "sqlite":
            made.append(open_store(folder))
        else:
            made.append(empty_database(folder if blobs else None))
        return made[-1]

    yield make_one
    for store in made:
        store.close()


@pytest.fixture(params=["sqlite-postgres", "postgres-sqlite", "sqlite-sqlite", "memory-postgres", "postgres-memory"])
def pair(request: pytest.FixtureRequest, make: Callable[..., Store]) -> tuple[Store, Store]:
    """A source and a target of each kind."""
    source, target = request.param.split("-")
    return make(source), make(target)
