"""Every store that Headway has, opened fresh for each test. A new store is added here and must pass the whole folder."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headway.journal.memory import MemoryStore
from headway.journal.records import Lease, Row, RunSpec
from headway.journal.sqlite import SqliteStore
from headway.journal.store import Store

TTL_S = 30.0


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = SqliteStore(tmp_path / "store") if request.param == "sqlite" else MemoryStore()
    yield made
    made.close()


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
