"""An empty store in Postgres for a test."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from headway.journal.postgres.store import PostgresStore
from postgres_server import shared_server


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """The URL of a store, with a place for large blobs; its tables are made by whoever opens it."""
    schema = f"u{hashlib.blake2b(str(tmp_path).encode(), digest_size=8).hexdigest()}"
    yield f"{shared_server().url}?schema={schema}&blobs={tmp_path / 'large'}"
    with psycopg.connect(shared_server().url, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


@pytest.fixture
def database(url: str) -> Iterator[PostgresStore]:
    with PostgresStore(url) as opened:
        yield opened
