"""A store's Postgres database: its transactions, and what is done again where a connection broke.

One connection writes and one reads, each under a lock, as in a folder. Both are made when they are needed and made again when they
break. What was under way in a connection that broke is unknown: `again` asks once more, which is right for whatever gives the same
when it is done twice; a commit of rows is not like that, and finds out (`commit`).

A server that fails over may lack what it had reported as durable. So each store remembers what it was told, and looks for it when
another server, or another timeline of it, answers (`told`). This file must never let anything through to one that lacks some of it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Concatenate, ParamSpec, Self, TypeVar

from headway.errors import StoreError, UsageError
from headway.extras import explain_missing
from headway.journal.off_loop import check_thread
from headway.journal.postgres import schema
from headway.journal.postgres.address import Address
from headway.journal.postgres.clock import ServerClock
from headway.journal.postgres.link import FORGOTTEN_S, LOCK_TIMEOUT_S, Greeting, Link, Server, Statements
from headway.journal.postgres.told import Told
from headway.journal.postgres.troubles import explain, is_lost, may_pass
from headway.journal.sql.database import Connection, Tables

T = TypeVar("T")
P = ParamSpec("P")
PATIENCE_S = 20.0  # how long a server that is away is asked again: less than a lease lasts
OPENING_PATIENCE_S = 5.0  # and how long by somebody who has just begun
_LONGEST_PAUSE_S = 1.0
_NAME = """UPDATE run SET backend=?, backend_start=? WHERE uid IN (
    SELECT run.uid FROM run JOIN unnest(?::bigint[], ?::bigint[]) AS held(uid, fence) ON run.uid=held.uid AND run.fence=held.fence
    ORDER BY run.uid FOR UPDATE OF run SKIP LOCKED)"""
D = TypeVar("D", bound="PostgresDatabase")


def again(method: Callable[Concatenate[D, P], T]) -> Callable[Concatenate[D, P], T]:
    """Do what a method does once more where the connection broke or a lock stood in the way. Only for what gives the same twice."""

    def patient(self: D, /, *args: P.args, **options: P.kwargs) -> T:
        return self.insist(lambda: method(self, *args, **options), PATIENCE_S)

    functools.update_wrapper(patient, method)
    return patient


class PostgresDatabase(Tables):
    """The database that an address names; its tables are made where there are none."""

    def __init__(
        self, address: Address, *, readonly: bool = False, must_exist: bool = False, wall: Callable[[], float] = time.time
    ) -> None:
        check_thread(self)
        try:
            with explain_missing("a Postgres store"):
                import psycopg  # noqa: F401 - only to say that it is missing
        except ImportError as error:  # it is there, and finds no libpq
            raise UsageError("a Postgres store needs libpq: pip install 'headway[postgres]'") from error
        self.address = address
        self.readonly = readonly
        self._tries = threading.local()  # by thread: how long ago what is done again was first tried
        self._must_exist = must_exist
        self._clock = ServerClock(wall)
        self._told = Told()
        self._server: Server | None = None
        self._writer = Link(address, writes=True, greet=self._meet_to_write)
        self._reader = Link(address, writes=False, greet=self._meet)
        self._closed = threading.Event()
        try:
            self.insist(self._prepare, OPENING_PATIENCE_S)
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        return self.address.url

    @property
    def _ahead_s(self) -> float:
        """How far the server's clock is ahead of what a caller took for `now`: of its clock, and of the time since then where
        something is done again."""
        return self._clock.ahead_s() + getattr(self._tries, "late_s", 0.0)

    def close(self) -> None:
        self._closed.set()
        for link in (self._writer, self._reader):
            with link.lock:
                link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- transactions ------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def writing(self, *gates: str, lock_timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[Statements]:
        """One write transaction: committed durably when the block ends, undone when it raises. No other one that names one of the
        gates runs meanwhile. A lock that somebody keeps for longer than `lock_timeout_s` is an error that may pass."""
        with self.talking() as statements:
            try:
                statements.raw.execute(_begin(self.address.schema, gates, lock_timeout_s), prepare=False)
                yield statements
                statements.raw.execute("COMMIT", prepare=False)
            except BaseException:
                self._undo(statements)
                raise

    def _undo(self, statements: Statements) -> None:
        from psycopg.pq import TransactionStatus

        with contextlib.suppress(Exception):
            statements.raw.execute("ROLLBACK", prepare=False)
        if statements.raw.info.transaction_status is not TransactionStatus.IDLE:
            self._writer.close()

    @contextlib.contextmanager
    def talking(self) -> Iterator[Statements]:
        """The connection for writing, each statement a transaction of its own. Raises StoreError for whatever goes wrong."""
        check_thread(self)
        if self.readonly:
            raise StoreError(f"the store {self.url} was opened for reading")
        with self._writer.lock, self._explained(self._writer) as statements:
            yield statements
            self._writer.check_replicated(self.url)

    def reading(self, read: Callable[[Connection], T]) -> T:
        """What `read` finds; asked again where the connection broke."""
        check_thread(self)

        def once() -> T:
            with self._reader.lock, self._explained(self._reader) as statements:
                return read(statements)

        return self.insist(once, PATIENCE_S)

    @contextlib.contextmanager
    def _explained(self, link: Link) -> Iterator[Statements]:
        import psycopg

        self._check_open()
        try:
            yield link.open()
        except psycopg.Error as error:
            if is_lost(error):
                link.close()
            raise explain(error, self.url) from error

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise StoreError(f"the store {self.url} is closed: open it again with `open_store`")

    def insist(self, do: Callable[[], T], patience_s: float) -> T:
        """Do it, again where the connection broke or a lock stood in the way, for so long."""
        began, pause_s, late_s = time.monotonic(), 0.01, getattr(self._tries, "late_s", 0.0)
        try:
            while True:
                try:
                    return do()
                except StoreError as error:
                    if not may_pass(error) or time.monotonic() >= began + patience_s:
                        raise
                self.pause(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                self._tries.late_s = late_s + time.monotonic() - began
        finally:
            self._tries.late_s = late_s

    def pause(self, seconds: float) -> None:
        """Wait about so long. Raises StoreError when the store is closed meanwhile."""
        self._closed.wait(seconds * random.uniform(0.5, 1.0))
        self._check_open()

    # --- its server and its tables -----------------------------------------------------------------------------------

    def _meet(self, greeting: Greeting, statements: Statements) -> None:
        """A connection was made. Raises StoreDamaged where it leads to a server that lacks what was reported as durable."""
        self._clock.note(greeting.clock, greeting.began, greeting.ended)
        if self._server not in (None, greeting.server):
            self._told.check(statements, self.url)
        self._server = greeting.server

    def _meet_to_write(self, greeting: Greeting, statements: Statements) -> None:
        """The same for the connection that writes. Its session is named in the runs that are driven from here, before it can hang
        in one; where somebody has locked a run just now, the next renewal does it."""
        self._meet(greeting, statements)
        if (held := self._told.leases()) and statements.session.pid:
            uids, fences = zip(*held, strict=True)
            statements.execute(_NAME, (*statements.session, list(uids), list(fences)))

    def _prepare(self) -> None:
        """See that the tables are there, and those of this version; make them where they are not."""
        with self._reader.lock, self._explained(self._reader) as statements:
            found = schema.read_state(statements, self.address.schema, self.url)
        if found is not None and found.is_current:
            return
        if found is None and (self.readonly or self._must_exist):
            raise no_tables(self.url)
        if self.readonly and found is not None:
            if found.number < schema.VERSION:
                raise schema.is_older(found.number, self.url)
            return
        if found is None or found.number < schema.VERSION:
            with self._writer.lock, self._explained(self._writer) as statements:
                found = schema.migrate(statements, self.address.schema, self.url)
        if not found.is_current:
            self._make_indexes()

    def _make_indexes(self) -> None:
        """Make indexes that are missing. Where something stands in the way, whoever opens the store next does it."""
        try:
            with self._reader.lock, self._explained(self._reader) as lock, self._explained(self._writer) as statements:
                schema.make_indexes(lock, statements, self.address.schema)
        except StoreError as error:
            if not may_pass(error):
                raise


class NoTables(StoreError):
    """A database has no store in it."""


def no_tables(url: str) -> NoTables:
    """The error for a database without a store."""
    return NoTables(f"there is no store in {url}: a run makes one; name another with store= or --store, or ?schema=")


def _begin(schema_name: str, gates: tuple[str, ...], lock_timeout_s: float) -> str:
    """What begins a transaction, in one round trip. Behind a pooler it is the only place for settings."""
    lines = [
        "BEGIN ISOLATION LEVEL READ COMMITTED",
        f"SET LOCAL lock_timeout={lock_timeout_s * 1000:.0f}",
        f"SET LOCAL idle_in_transaction_session_timeout={FORGOTTEN_S * 1000:.0f}",
    ]
    numbers = sorted({_number(f"{schema_name} {gate}") for gate in gates})  # in one order, whoever asks
    return "; ".join([*lines, *(f"SELECT pg_advisory_xact_lock({number})" for number in numbers)])


def _number(gate: str) -> int:
    return int.from_bytes(hashlib.blake2b(gate.encode(), digest_size=8).digest(), "big", signed=True)
