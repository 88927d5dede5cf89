"""What the tests of programs share: empty notes, runs that end, and the store in which they are kept.

A test that is marked `on_postgres` runs twice, in a folder and in a Postgres database, if it leaves the place to `go` or takes it
from `place`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from notes import RAN, SWITCH

from headway import testing
from headway.journal.open import open_store
from headway.journal.postgres.schema import TABLES
from postgres_server import shared_server

SCHEMA = "programs"


@pytest.fixture(autouse=True)
def _empty_notes() -> Iterator[None]:
    RAN.clear()
    SWITCH.clear()
    yield
    RAN.clear()
    SWITCH.clear()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker("on_postgres") is not None:
        metafunc.parametrize("place", ["folder", "postgres"], indirect=True)


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path | str]:
    """Where a test keeps its runs: a folder, or the URL of an empty store in Postgres."""
    if getattr(request, "param", "folder") == "folder":
        yield tmp_path / "store"
        return
    url = f"{shared_server().url}?schema={SCHEMA}&blobs={tmp_path}"
    _tables(url)
    yield url
    with psycopg.connect(shared_server().url, autocommit=True) as connection:
        names = ", ".join(f"{SCHEMA}.{name}" for name in TABLES if name != "version")
        connection.execute(f"TRUNCATE {names} RESTART IDENTITY")


@functools.cache
def _tables(url: str) -> None:
    """Make the tables once: all tests use them, one after another."""
    open_store(url).close()


@pytest.fixture
def go(place: Path | str, clock: testing.VirtualClock) -> Callable[..., Any]:
    """Run a program on the virtual clock; the same place and run id each time, so a second call resumes."""

    def start(program: Any, *args: Any, **options: Any) -> Any:
        options.setdefault("store", place)
        options.setdefault("run_id", "run")
        return testing.run(program, *args, clock=clock, **options)

    return start


@pytest.fixture
def soon(go: Callable[..., Any]) -> Callable[..., Any]:
    """As `go`, and what would wait for ever fails after an hour of the virtual clock."""
    return functools.partial(go, deadline_s=3600)
