"""Which place a user means by the name of a store.

Every part of Headway that gets the name of a store resolves it here, so that a name means the same to a run, a command and the
doctor. A URL names a kind of store. An unknown kind is refused: it must never become a folder of that name, where nobody would look
for the results. This file must never create anything.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from headway.errors import StoreError
from headway.journal.postgres.address import SCHEMES, hide_password, is_address
from headway.journal.sqlite.schema import DATABASE

MEMORY = ":memory:"
EXAMPLE = "postgresql://user@host/name"
KINDS = f"a store is a folder, such as store='.headway', a database, such as {EXAMPLE!r}, ':memory:', or None to keep nothing"
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")  # one slash is what `Path` leaves of two; a drive has one letter
_SCHEME = re.compile(
    r"(postgres|postgresql|mysql|sqlite3?|duckdb|redis|mongodb|s3|gs|gcs|az|abfss?|hdfs|https?|file):", re.IGNORECASE
)
_MOST_NEIGHBOURS = 1000


def name_place(store: str | bytes | os.PathLike[str]) -> str | Path:
    """The folder that a user means, with `~` expanded, or MEMORY or a URL as it is. Raises StoreError for what names none.

    >>> name_place("runs/sky"), name_place(":memory:")
    (PosixPath('runs/sky'), ':memory:')
    >>> name_place("s3://bucket/runs")
    Traceback (most recent call last):
    headway.errors.StoreError: store='s3://bucket/runs': there are no stores of the kind 's3': a store is a folder, ...
    """
    text = os.fspath(store)
    if not isinstance(text, str):
        raise StoreError(f"store={text!r}: {KINDS}")
    if text == MEMORY or is_address(text):
        return text
    if not text.strip():
        raise StoreError(f"store={text!r} names no folder: {KINDS}")
    if found := _URL.match(text) or _SCHEME.match(text):
        shown = hide_password(text)
        if found[1].lower() in SCHEMES:
            raise StoreError(f"store={shown!r}: write the URL of a database as a text with two slashes, as in {EXAMPLE!r}")
        raise StoreError(
            f"store={shown!r}: there are no stores of the kind {found[1]!r}: {KINDS}. Nothing was made. "
            f"For a folder of this name write './{shown}'"
        )
    if text.startswith(":"):
        raise StoreError(f"store={text!r}: did you mean ':memory:'? {KINDS}")
    if "\0" in text:
        raise StoreError(f"store={text!r}: a path has no NUL in it")
    try:
        path = Path(text).expanduser()
        return path.absolute() if _SCHEME.match(str(path)) or _URL.match(str(path)) else path
    except RuntimeError as error:
        raise StoreError(f"store={text!r}: there is no such home folder ({error}): write the path out") from error


def show_place(store: object) -> str:
    """How messages and documents name a store: as the user does, without a password.

    >>> show_place("postgresql://me:secret@db/app"), show_place(".headway")
    ('postgresql://me:***@db/app', '.headway')
    """
    return hide_password(str(getattr(store, "url", store)))


def name_folder(store: str | os.PathLike[str]) -> Path:
    """`name_place` for what can only be a folder. Raises StoreError."""
    place = name_place(store)
    if isinstance(place, str):
        raise StoreError(f"{hide_password(place)} is no folder: name the folder of a store")
    return place


def has_database(folder: Path) -> bool:
    """Whether there is a store in the folder. Raises StoreError where that can't be seen."""
    try:
        (folder / DATABASE).stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise unreadable(folder, error) from error
    return True


def no_store(folder: Path, hint: str = "") -> StoreError:
    """The error for a folder without a store, with stores near it."""
    meant = f"; {near}" if (near := stores_near(folder)) else ""
    return StoreError(
        f"there is no store {str(folder)!r} here{hint}{meant}: a run makes one; name another with store= or --store, "
        "or HEADWAY_STORE for the command line"
    )


def stores_near(folder: Path) -> str:
    """The stores near a folder without one, as the end of a sentence; empty where there are none."""
    near = [f"'{one}'" for one in _near(folder)][:3]
    return f"did you mean {' or '.join(near)}?" if near else ""


def _near(folder: Path) -> Iterator[Path]:
    """Stores that somebody may have meant who wrote `folder`: inside it, beside it, or further up."""
    if folder.name == DATABASE and _is_store(folder.parent):
        yield folder.parent
    if _is_store(folder / ".headway"):
        yield folder / ".headway"
    try:
        with os.scandir(folder.parent) as entries:
            names = [entry.name for entry, _ in zip(entries, range(_MOST_NEIGHBOURS), strict=False)]
    except OSError:
        names = []
    for name in difflib.get_close_matches(folder.name, names, n=3, cutoff=0.5):
        if _is_store(folder.parent / name):
            yield folder.parent / name
    if not folder.is_absolute():
        here = Path.cwd()
        yield from (above / folder for above in here.parents if _is_store(above / folder))


def _is_store(folder: Path) -> bool:
    try:
        return (folder / DATABASE).is_file()
    except OSError:
        return False


def unreadable(path: Path, error: OSError) -> StoreError:
    """The error for a file or folder of a store that may not be read."""
    said = StoreError(
        f"{path} cannot be read ({error.strerror}): ask its owner ({owner_of(path)}) for permission, or copy the store as its owner"
    )
    said.__cause__ = error
    return said


def owner_of(path: Path) -> str:
    """Name the owner of a file or folder, or of the nearest visible folder above it."""
    import pwd

    for place in (path, *path.absolute().parents):
        try:
            uid = place.stat().st_uid
        except OSError:
            continue
        try:
            return pwd.getpwuid(uid).pw_name
        except KeyError:
            return f"user {uid}"
    return "unknown"
