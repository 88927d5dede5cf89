"""The connections of a store to its Postgres database, and the transactions that go through them.

One connection writes and one reads, each under a lock, as in a folder. Both are made when they are needed and made again when they
break. What was under way in a connection that broke is unknown: `again` asks once more, which is right for whatever gives the same
when it is done twice; a commit of rows is not like that, and finds out (`commit`).

Statements are written with `?` and plain names of tables, and sent with the schema's name before each: a pooler gives every
transaction another session, in which nothing that was set before holds.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import random
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

from headway.errors import StoreError, StoreNotReplicated
from headway.extras import explain_missing
from headway.journal.off_loop import check_thread
from headway.journal.postgres import schema
from headway.journal.postgres.address import Address
from headway.journal.postgres.troubles import AGAIN, ConnectionLost, explain, is_lost
from headway.journal.sql.database import Connection, Tables

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")
P = ParamSpec("P")
PATIENCE_S = 20.0  # how long a server that is away is asked again: less than a lease lasts
_LONGEST_PAUSE_S = 1.0
_NAMES = re.compile(rf"\b(FROM|INTO|UPDATE|JOIN|USING|TABLE)(\s+)({'|'.join(schema.TABLES)})\b")
_NOT_REPLICATED = "canceling wait for synchronous replication"
D = TypeVar("D", bound="PostgresDatabase")


def again(method: Callable[Concatenate[D, P], T]) -> Callable[Concatenate[D, P], T]:
    """Do what a method does once more where the connection broke or a lock stood in the way. Only for what gives the same twice."""

    def patient(self: D, /, *args: P.args, **options: P.kwargs) -> T:
        return self.insist(lambda: method(self, *args, **options), PATIENCE_S)

    functools.update_wrapper(patient, method)
    return patient


class Statements:
    """One connection, which takes statements as SQLite does."""

    def __init__(self, raw: psycopg.Connection[Any], schema_name: str) -> None:
        self.raw = raw
        self._schema = schema_name
        self._texts: dict[str, str] = {}

    def execute(self, query: str, parameters: Sequence[Any] = (), /) -> psycopg.Cursor[Any]:
        return self.raw.execute(self.text(query), parameters or None, binary=True)

    def executemany(self, query: str, parameters: Iterable[Sequence[Any]], /) -> None:
        if found := list(parameters):
            self.raw.cursor().executemany(self.text(query), found)

    def text(self, query: str) -> str:
        """The statement as Postgres takes it."""
        if (known := self._texts.get(query)) is None:
            known = _NAMES.sub(rf"\1\2{self._schema}.\3", query).replace("?", "%s")
            self._texts[query] = known
        return known


class Link:
    """A connection that is made when it is needed."""

    def __init__(self, address: Address, *, writes: bool) -> None:
        self.lock = threading.RLock()
        self.pid = 0
        self._address = address
        self._writes = writes
        self._statements: Statements | None = None
        self._unreplicated = False

    def open(self) -> Statements:
        """The connection. Raises psycopg's errors."""
        if self._statements is None or self._statements.raw.closed:
            import psycopg

            # Named statements outlive a transaction, and a pooler's session does not.
            prepare = 5 if self._address.listens else None
            raw = psycopg.connect(self._address.conninfo, autocommit=True, prepare_threshold=prepare)
            raw.add_notice_handler(self._hear)
            self.pid = raw.info.backend_pid if self._address.listens else 0
            self._statements = Statements(raw, self._address.schema)
            if self._writes:
                self._check_durable(raw)
        return self._statements

    def check_replicated(self, where: str) -> None:
        """Raises StoreError where a commit was reported that standbys do not have, although they are to."""
        if self._unreplicated:
            self._unreplicated = False
            raise StoreNotReplicated(
                f"{where} stopped waiting for its standbys: what was written last is on one server alone, and is not durable"
            )

    def close(self) -> None:
        if self._statements is not None:
            with contextlib.suppress(Exception):
                self._statements.raw.close()
            self._statements = None

    def _hear(self, notice: psycopg.errors.Diagnostic) -> None:
        self._unreplicated |= _NOT_REPLICATED in (notice.message_primary or "")

    def _check_durable(self, raw: psycopg.Connection[Any]) -> None:
        """A commit that returns is to be on the disk."""
        (setting,) = raw.execute("SELECT current_setting('synchronous_commit')").fetchone() or ("on",)
        if setting != "off":
            return
        if not self._address.listens:
            self.close()
            raise StoreError(
                f"{self._address.url} reports commits before they are durable (synchronous_commit=off): "
                "ALTER ROLE … SET synchronous_commit = on, since a pooler keeps no setting of a session"
            )
        raw.execute("SET synchronous_commit = on")


class PostgresDatabase(Tables):
    """The database that an address names; its tables are made where there are none."""

    def __init__(self, address: Address, *, readonly: bool = False) -> None:
        check_thread(self)
        with explain_missing("a Postgres store"):
            import psycopg  # noqa: F401 - only to say that it is missing
        self.address = address
        self.readonly = readonly
        self._writer, self._reader = Link(address, writes=True), Link(address, writes=False)
        self._closed = threading.Event()
        try:
            self.insist(self._prepare, PATIENCE_S / 4)
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        raise NotImplementedError

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
    def writing(self, *gates: str) -> Iterator[Statements]:
        """One write transaction: committed durably when the block ends, undone when it raises. No other one that names one of the
        gates runs meanwhile."""
        with self.talking() as statements:
            try:
                statements.raw.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
                if gates:
                    numbers = sorted({_number(f"{self.address.schema} {gate}") for gate in gates})
                    statements.raw.execute("SELECT pg_advisory_xact_lock(number) FROM unnest(%s::bigint[]) AS number", (numbers,))
                yield statements
                statements.raw.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(Exception):
                    statements.raw.execute("ROLLBACK")
                raise

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

        if self._closed.is_set():
            raise StoreError(f"the store {self.url} is closed: open it again with `open_store`")
        try:
            yield link.open()
        except psycopg.Error as error:
            if is_lost(error):
                link.close()
            raise explain(error, self.url) from error

    def insist(self, do: Callable[[], T], patience_s: float) -> T:
        """Do it, again where the connection broke or a lock stood in the way, for so long."""
        until, pause_s = time.monotonic() + patience_s, 0.01
        while True:
            try:
                return do()
            except StoreError as error:
                state = getattr(error.__cause__, "sqlstate", None)
                if not (isinstance(error, ConnectionLost) or state in AGAIN) or time.monotonic() >= until:
                    raise
            if self._closed.wait(pause_s * random.uniform(0.5, 1.0)):
                raise StoreError(f"the store {self.url} is closed: open it again with `open_store`")
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    # --- its tables --------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """See that the tables are there, and those of this version; make them where they are not."""
        with self._reader.lock, self._explained(self._reader) as statements:
            version = schema.read_version(statements, self.address.schema, self.url)
        if version == schema.VERSION:
            return
        if self.readonly:
            raise no_tables(self.url) if not version else schema.is_older(version, self.url)
        with self._writer.lock, self._explained(self._writer) as statements:
            schema.migrate(statements, self.address.schema, self.url)


def no_tables(url: str) -> StoreError:
    """The error for a database without a store."""
    return StoreError(f"there is no store in {url}: a run makes one; name another with store= or --store")


def _number(gate: str) -> int:
    return int.from_bytes(hashlib.blake2b(gate.encode(), digest_size=8).digest(), "big", signed=True)
