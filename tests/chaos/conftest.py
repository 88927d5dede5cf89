"""Programs to be killed: started in a folder of their own, and gone after the test.

A test that is marked `on_postgres` runs twice, with its stores in a folder and in a Postgres server. One that is marked
`on_postgres("make chaos")` does so only there.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from victims import PROGRAMS, Victims

from postgres_server import shared_server

sys.path.append(str(PROGRAMS))  # tests read the constants of some
_numbers = itertools.count(1)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if (mark := metafunc.definition.get_closest_marker("on_postgres")) is not None:
        skips = pytest.mark.skipif("HEADWAY_CHAOS" not in os.environ, reason="the same on Postgres: `make chaos`")
        postgres = pytest.param("postgres", marks=[skips] if mark.args else [])
        metafunc.parametrize("victims", ["folder", postgres], indirect=True)


@pytest.fixture
def victims(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Victims]:
    if getattr(request, "param", "folder") == "folder":
        started = Victims(tmp_path)
        yield started
        started.end()
        return
    number, schemas = next(_numbers), dict[str, str]()

    def place(name: str) -> str:
        schema = schemas.setdefault(name, f"victims{number}_{len(schemas)}")
        return f"{shared_server().url}?schema={schema}&blobs={tmp_path / name}"

    started = Victims(tmp_path, place)
    yield started
    started.end()
    with psycopg.connect(shared_server().url, autocommit=True) as connection:
        for schema in schemas.values():
            connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
