"""Stores in schemas of their own, on the server that this process started."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from headway.journal.postgres.store import PostgresStore
from headway.journal.records import Lease, RunSpec
from postgres_server import Server, shared_server

_numbers = itertools.count()


@pytest.fixture
def url() -> str:
    """A store that nobody has opened yet."""
    return f"{shared_server().url}?schema=t{next(_numbers)}"


@pytest.fixture
def opened() -> Iterator[Callable[..., PostgresStore]]:
    """Opens stores, and closes them in the end."""
    stores: list[PostgresStore] = []

    def open_one(url: str, **options: Any) -> PostgresStore:
        stores.append(PostgresStore(url, **options))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


@pytest.fixture
def store(url: str, opened: Callable[..., PostgresStore]) -> PostgresStore:
    return opened(url)


@pytest.fixture
def lease(store: PostgresStore) -> Lease:
    """Of a run named "sky"."""
    store.create_run(RunSpec(run_id="sky", task="t"))
    return store.acquire("sky", "somebody", 30.0, 0.0)


@pytest.fixture
def admin() -> Iterator[psycopg.Connection[Any]]:
    """A connection of somebody who looks after the server."""
    with psycopg.connect(shared_server().url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def server() -> Iterator[Callable[..., Server]]:
    """Starts servers of a test's own."""
    servers: list[Server] = []

    def start(**settings: str) -> Server:
        servers.append(Server(**settings))
        return servers[-1]

    yield start
    for one in servers:
        one.remove()
