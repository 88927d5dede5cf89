"""Every store that Headway has, and the one description of each that the whole suite goes by.

A new store joins with one entry in SUBJECTS and must pass this folder. What a store cannot do (be opened a second time, be
damaged from outside) is declared there as None, and the tests that need it are then not collected for that store; a store that
outlives its process has no such excuse, and a test says so. Tests must never ask which store they run on.
"""

from __future__ import annotations

import atexit
import dataclasses
import functools
import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from headway.journal.memory import MemoryStore
from headway.journal.open import open_store
from headway.journal.postgres import schema as postgres_schema
from headway.journal.postgres.address import parse_address
from headway.journal.records import Lease, Row, RunSpec
from headway.journal.sqlite import schema
from headway.journal.sqlite.store import BLOBS, SqliteStore
from headway.journal.store import Store
from headway.sim.store import SimStore
from pooler import Pooler
from postgres_server import shared_server

TTL_S = 30.0


@dataclass(frozen=True)
class Subject:
    """One kind of store under test. A store is named by its url wherever it may be closed, so that other processes can be told."""

    name: str
    make: Callable[[Path], Store]
    """A new, empty store; the path is unused by others and may serve as a folder or as a name."""
    rejected: Callable[[Store, int], list[tuple[int, int, Row]]]
    """`(fence, seq, row)` of what late writers brought to the run of this uid, oldest first."""
    damage_blob: Callable[[Store, bytes], None]
    """Change one byte of a blob behind the store's back."""
    open_again: Callable[[str], Store] | None = None
    """Open the store of this url, beside other openings or after them; None for a store that lives in one object.
    `open_store(url)` must do the same, for it is what other processes are told to call."""
    damage_row: Callable[[str, int, int], None] | None = None
    """Change the body of row `(uid, seq)` behind the back of a closed store."""
    write_newer: Callable[[str], tuple[int, int]] | None = None
    """Make a closed store look like one of a newer schema; `(its schema, ours)`."""
    contents: Callable[[str], object] | None = None
    """All that a closed store has written anywhere, to be compared."""
    empty: Callable[[Store], None] | None = None
    """Make a store as it was when it was new, where that costs less than a new one."""
    effort: float = 1.0
    """How much of a long search it is given: less where each step asks a server."""

    def __str__(self) -> str:
        return self.name

    def reopen(self, store: Store) -> Store:
        """The store as the next process finds it. Closing a store that lives in its object changes nothing."""
        store.close()
        return self.open_again(store.url) if self.open_again else store


# --- the folder --------------------------------------------------------------------------------------------------------


def _change_database(url: str, *statements: str) -> None:
    connection = sqlite3.connect(Path(url) / schema.DATABASE, isolation_level=None)
    try:
        for statement in statements:
            connection.execute(statement).fetchall()
    finally:
        connection.close()


def _rejected_in_folder(store: Store, uid: int) -> list[tuple[int, int, Row]]:
    assert isinstance(store, SqliteStore)
    query = "SELECT fence, seq, kind, key, parent, body FROM rejected WHERE run=? ORDER BY id"
    found = store.reading(lambda connection: connection.execute(query, (uid,)).fetchall())
    return [(fence, seq, Row(*row)) for fence, seq, *row in found]


def _damage_blob_in_folder(store: Store, digest: bytes) -> None:
    path = Path(store.url) / BLOBS / digest.hex()[:2] / digest.hex()[2:]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _damage_row_in_folder(url: str, uid: int, seq: int) -> None:
    _change_database(url, f"UPDATE record SET body=x'ff' WHERE run={uid} AND seq={seq}")


def _write_newer_folder(url: str) -> tuple[int, int]:
    newer = schema.VERSION + 1
    _change_database(url, "PRAGMA journal_mode=DELETE", "CREATE TABLE later (x)", f"PRAGMA user_version={newer}")
    return newer, schema.VERSION


def _files(url: str) -> object:
    return {str(file.relative_to(url)): file.read_bytes() for file in sorted(Path(url).rglob("*")) if file.is_file()}


# --- the object --------------------------------------------------------------------------------------------------------


def _rejected_in_object(store: Store, uid: int) -> list[tuple[int, int, Row]]:
    assert isinstance(store, MemoryStore)
    return [(fence, seq, row) for to, fence, seq, row in store.rejected if to == uid]


def _damage_blob_in_object(store: Store, digest: bytes) -> None:
    assert isinstance(store, MemoryStore)
    data = bytearray(store._blobs[digest])
    data[len(data) // 2] ^= 1
    store._blobs[digest] = bytes(data)


SUBJECTS = [
    Subject(
        "sqlite",
        make=SqliteStore,
        rejected=_rejected_in_folder,
        damage_blob=_damage_blob_in_folder,
        open_again=SqliteStore,
        damage_row=_damage_row_in_folder,
        write_newer=_write_newer_folder,
        contents=_files,
    ),
    Subject("memory", make=lambda _: MemoryStore(), rejected=_rejected_in_object, damage_blob=_damage_blob_in_object),
    Subject("simulated", make=lambda _: SimStore(), rejected=_rejected_in_object, damage_blob=_damage_blob_in_object),
]

# --- the database ------------------------------------------------------------------------------------------------------


def _make_in_postgres(path: Path) -> Store:
    schema = f"s{hashlib.blake2b(str(path).encode(), digest_size=8).hexdigest()}"
    return open_store(f"{shared_server().url}?schema={schema}&blobs={path}")


@functools.cache
def _beside() -> psycopg.Connection[Any]:
    """A connection that is no store's."""
    made = psycopg.connect(shared_server().url, autocommit=True)
    atexit.register(made.close)
    return made


def _in_postgres(url: str, query: str, *values: object) -> list[Any]:
    connection = _beside()
    connection.execute(f"SET search_path TO {parse_address(url).schema}")
    done = connection.execute(query, values or None, prepare=False)
    return done.fetchall() if done.description else []


def _rejected_in_postgres(store: Store, uid: int) -> list[tuple[int, int, Row]]:
    query = "SELECT fence, seq, kind, key, parent, body FROM rejected WHERE run=%s ORDER BY id"
    return [(fence, seq, Row(*row)) for fence, seq, *row in _in_postgres(store.url, query, uid)]


def _damage_blob_in_postgres(store: Store, digest: bytes) -> None:
    query = "UPDATE blob SET data=set_byte(data, length(data) / 2, get_byte(data, length(data) / 2) # 1) WHERE digest=%s"
    _in_postgres(store.url, query, digest)
    large = Path(parse_address(store.url).blobs) / BLOBS / digest.hex()[:2] / digest.hex()[2:]
    if large.exists():
        data = bytearray(large.read_bytes())
        data[len(data) // 2] ^= 1
        large.write_bytes(data)


def _damage_row_in_postgres(url: str, uid: int, seq: int) -> None:
    _in_postgres(url, "UPDATE record SET body='\\xff' WHERE run=%s AND seq=%s", uid, seq)


def _write_newer_postgres(url: str) -> tuple[int, int]:
    _in_postgres(url, "UPDATE version SET number=%s, least=%s", *[postgres_schema.VERSION + 1] * 2)  # ours can't go on with
    return postgres_schema.VERSION + 1, postgres_schema.VERSION


def _tables(url: str) -> object:
    schema = parse_address(url).schema
    names = _in_postgres(url, "SELECT tablename FROM pg_tables WHERE schemaname=%s ORDER BY 1", schema)
    return {name: _in_postgres(url, f"SELECT * FROM {name} ORDER BY 1, 2") for (name,) in names}


def _empty_tables(store: Store) -> None:
    names = [name for name in postgres_schema.TABLES if name != "version"]
    _in_postgres(store.url, f"TRUNCATE {', '.join(names)} RESTART IDENTITY")


SUBJECTS.append(
    Subject(
        "postgres",
        make=_make_in_postgres,
        rejected=_rejected_in_postgres,
        damage_blob=_damage_blob_in_postgres,
        open_again=open_store,
        damage_row=_damage_row_in_postgres,
        write_newer=_write_newer_postgres,
        contents=_tables,
        empty=_empty_tables,
        effort=0.1,
    )
)


@functools.cache
def _pooler() -> Pooler:
    """The pooler of this process."""
    made, owner = Pooler(), os.getpid()
    atexit.register(lambda: made.remove() if os.getpid() == owner else None)
    return made


def _make_behind_pooler(path: Path) -> Store:
    schema = f"p{hashlib.blake2b(str(path).encode(), digest_size=8).hexdigest()}"
    return open_store(f"{_pooler().url}?schema={schema}&blobs={path}&listen=off")


POOLED = dataclasses.replace(SUBJECTS[-1], name="pooled", make=_make_behind_pooler, effort=0.05)
if os.environ.get("HEADWAY_POOLED"):  # the whole suite behind a pooler
    SUBJECTS[-1:] = [POOLED]
LASTING = [subject for subject in SUBJECTS if subject.open_again is not None]


# --- fixtures ----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=SUBJECTS, ids=str)
def subject(request: pytest.FixtureRequest) -> Subject:
    """What the test runs on: every store."""
    return request.param


@pytest.fixture
def pooled() -> Subject:
    """The database once more, behind a pooler that gives each transaction another session."""
    return POOLED


@pytest.fixture(params=LASTING, ids=str)
def lasting(request: pytest.FixtureRequest) -> Subject:
    """What the test runs on: every store that outlives its object, and so can be opened twice."""
    return request.param


@pytest.fixture
def store(subject: Subject, tmp_path: Path) -> Iterator[Store]:
    made = subject.make(tmp_path / "store")
    yield made
    made.close()


@pytest.fixture
def url(lasting: Subject, tmp_path: Path) -> str:
    """The url of a new, closed store that outlives its object."""
    made = lasting.make(tmp_path / "store")
    made.close()
    return made.url


@pytest.fixture
def opened(lasting: Subject, url: str) -> Iterator[Callable[[], Store]]:
    """Opens the store of `url`, as often as it is called; closes them all in the end."""
    assert lasting.open_again is not None
    stores: list[Store] = []

    def open_one() -> Store:
        stores.append(lasting.open_again(url))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


SHARED = [pytest.param((subject, False), id=f"{subject}-one-object") for subject in SUBJECTS]
APART = [pytest.param((subject, True), id=f"{subject}-openings-apart") for subject in LASTING]


@pytest.fixture(params=SHARED + APART)
def openings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Hands a store to several users: one object that they share and, where the store can be opened twice, one opening each."""
    subject, apart = request.param
    stores = [subject.make(tmp_path / "store")]

    def open_one() -> Store:
        if apart:
            stores.append(open_store(stores[0].url))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


@pytest.fixture
def lease(store: Store) -> Lease:
    """A run named "sky" that "somebody" drives since time 0."""
    store.create_run(RunSpec(run_id="sky", task="demo.answer"))
    return store.acquire("sky", "somebody", TTL_S, 0.0)


@pytest.fixture
def make_row() -> Callable[..., Row]:
    def make(key: int, body: bytes = b"body", *, kind: int = 3, parent: int = 0) -> Row:
        return Row(kind, key.to_bytes(16, "big"), parent.to_bytes(16, "big"), body)

    return make
