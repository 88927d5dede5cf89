"""What the tables that runs share need of a database, whichever it is.

Statements are written in the SQL that SQLite and Postgres both understand, with `?` for a parameter.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Cursor(Protocol):
    """What a statement found."""

    @property
    def rowcount(self) -> int: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """A connection in a transaction."""

    def execute(self, query: str, parameters: Sequence[Any] = (), /) -> Cursor: ...
    def executemany(self, query: str, parameters: Iterable[Sequence[Any]], /) -> Any: ...


class Tables:
    """A part of a store that keeps tables of its own."""

    @property
    @abstractmethod
    def url(self) -> str: ...

    @abstractmethod
    def writing(self, *gates: str) -> AbstractContextManager[Connection]:
        """One write transaction. No other one that names one of these gates runs meanwhile, in any process."""

    @abstractmethod
    def reading(self, read: Callable[[Connection], T]) -> T:
        """What `read` finds."""
