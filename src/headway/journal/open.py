"""From what a user calls a store to the store itself. This file must never know how a store works inside."""

from __future__ import annotations

from pathlib import Path

from headway.journal.memory import MemoryStore
from headway.journal.sqlite import SqliteStore
from headway.journal.store import Store

DEFAULT_STORE = ".headway"


def open_store(store: str | Path | Store | None = None) -> Store:
    """Open a store: a folder (made if there is none), ":memory:", or a store that is open already.

    >>> open_store(":memory:").url
    ':memory:'
    """
    if store is None:
        return SqliteStore(Path(DEFAULT_STORE))
    if isinstance(store, str | Path):
        return MemoryStore() if str(store) == ":memory:" else SqliteStore(Path(store))
    return store
