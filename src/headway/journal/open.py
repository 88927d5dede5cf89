"""Opens the store that a user names. This file must never know how a store works inside."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

from headway.errors import StoreError
from headway.journal.memory import MemoryStore
from headway.journal.place import KINDS, MEMORY, has_database, name_place, no_store
from headway.journal.sqlite.store import BLOBS, SqliteStore

if TYPE_CHECKING:
    from headway.journal.store import Store

DEFAULT_STORE = ".headway"


def open_store(store: str | Path | Store | None = None) -> Store:
    """Open a store: a folder (made if there is none), ":memory:", or a store that is open already. Raises StoreError.

    >>> open_store(":memory:").url
    ':memory:'
    """
    place = _place(store)
    if isinstance(place, Path):
        return SqliteStore(place)
    if place == MEMORY:
        return MemoryStore()
    return _open_postgres(place) if isinstance(place, str) else place


def open_existing(store: str | Path | Store | None = None) -> Store:
    """Open a store that must be there, to change something in it: it is never made. Raises StoreError, naming stores nearby."""
    place = _place(store)
    if isinstance(place, Path):
        _check_there(place)
    if _is_url(place):
        return _open_postgres(place, must_exist=True)
    return open_store(place)


def open_to_read(store: str | Path | Store | None = None) -> Store:
    """Open a store that must be there, to look at it: nothing is made or written, and no permission to write is needed. Raises
    StoreError, naming stores nearby."""
    place = _place(store)
    if _is_url(place):
        return _open_postgres(place, readonly=True)
    if not isinstance(place, Path):
        return open_store(place)
    _check_there(place)
    return SqliteStore(place, readonly=True)


def find_store(store: str | Path | Store) -> Store | None:
    """`open_to_read`, or None where there is no store yet."""
    place = _place(store)
    if _is_url(place):
        from headway.journal.postgres.database import NoTables

        try:
            return open_to_read(place)
        except NoTables:
            return None
    return None if isinstance(place, Path) and not has_database(place) else open_to_read(place)


def _is_url(place: str | Path | Store) -> TypeGuard[str]:
    return isinstance(place, str) and place != MEMORY


def _open_postgres(url: str, *, readonly: bool = False, must_exist: bool = False) -> Store:
    from headway.journal.postgres.store import PostgresStore  # only now: a folder needs nothing of it

    return PostgresStore(url, readonly=readonly, must_exist=must_exist)


def _place(store: str | Path | Store | None) -> str | Path | Store:
    """A folder as a Path, ":memory:" or a URL as a text, or a store that is open."""
    if store is None:
        return Path(DEFAULT_STORE)
    if isinstance(store, str | bytes | os.PathLike):
        return name_place(store)
    if not callable(getattr(store, "commit", None)):
        raise StoreError(f"store={store!r} ({type(store).__name__}): {KINDS}")
    return store


def _check_there(folder: Path) -> None:
    if not has_database(folder):
        blobs = " (it has blobs but no journal.db: restore that from a copy)" if (folder / BLOBS).is_dir() else ""
        raise no_store(folder, blobs)
