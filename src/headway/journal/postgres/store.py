"""The store of many machines, in a Postgres database.

A commit is one statement (`commit`). Whatever else writes is one short transaction that gives the same when it is done twice, so it
is done again where the connection broke. Locks are taken in one order: gates, then runs by number, then all else.

Time comes from whoever asks, as everywhere, and is taken to the server's clock: leases of all machines are counted by one.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from urllib.parse import quote

import msgspec

from headway.errors import StoreError
from headway.journal.owner import make_lease_lost, unknown_run
from headway.journal.postgres import blobs as blob_rows
from headway.journal.postgres import commit as commits
from headway.journal.postgres.address import Address, parse_address
from headway.journal.postgres.arrivals import ArrivingRuns
from headway.journal.postgres.database import PATIENCE_S, again
from headway.journal.postgres.queues.queues import PostgresQueues
from headway.journal.postgres.troubles import may_pass
from headway.journal.postgres.word import SHARED, Listener, Teller
from headway.journal.records import After, Ending, Lease, Row, RunStatus, Signal
from headway.journal.shared import outcome
from headway.journal.shared.claims import Reply, Waits, Wish
from headway.journal.shared.items import Item
from headway.journal.shared.limits import Ask, Grant, Want
from headway.journal.sql import checked_rows, jobs
from headway.journal.sql.claims import SharedClaims
from headway.journal.sql.items import SharedCollections
from headway.journal.sql.limits import SharedLimits
from headway.journal.store import Buffer
from headway.storage import large
from headway.storage.large import LARGE_BYTES, LargeBlobs


class PostgresStore(PostgresQueues, ArrivingRuns, SharedLimits, SharedCollections, SharedClaims):
    """A store in Postgres. Opening makes its tables where there are none.

    Args:
        url: `postgresql://user@host/database`, with what libpq takes, and `blobs`, `schema` and `listen` (see `address`).
        blobs: a folder that all machines share, or an object store, for values above 1 MiB and for checkpoints; where the URL does
            not name one.
        readonly: make nothing and write nothing.
        must_exist: make no tables; raise StoreError where there are none.
        wall: the clock that callers take `now` from, in seconds.

    Raises:
        StoreVersion: the tables are those of a newer Headway, with which this one can't go on.
        StoreError: the server can't be reached, or refuses.
    """

    def __init__(
        self,
        url: str | Address,
        *,
        blobs: str = "",
        readonly: bool = False,
        must_exist: bool = False,
        wall: Callable[[], float] = time.time,
    ) -> None:
        address = parse_address(url, blobs=blobs) if isinstance(url, str) else url
        self._large = LargeBlobs(address.blobs)
        self._waits: frozenset[str] = frozenset()  # limits for which somebody here waits
        self._words: dict[int, int] = {}  # by run: how much word it had when something was written
        super().__init__(address, readonly=readonly, must_exist=must_exist, wall=wall)
        self._listener = Listener.join(address)
        self._teller = Teller(address)

    @property
    def blob_place(self) -> str:
        return self._large.place

    def checkpoint_root(self, run_id: str) -> str | None:
        return f"{self._large.place.rstrip('/')}/checkpoints/{quote(run_id, safe='')}" if self._large.place else None

    def close(self) -> None:
        if not self._closed.is_set():
            super().close()
            if hasattr(self, "_teller"):
                self._teller.close()
                self._listener.leave()

    def release(
        self, lease: Lease, status: RunStatus, now: float, *, error_floor: int | None = None, after: After | None = None
    ) -> None:
        ending = self._by_server_clock(Ending(status, error_floor, after))
        group = commits.Group(lease, 0, (), (), ending, now + self._ahead_s)

        def once() -> None:
            with self.writing() as statements:
                commits.give_back(statements, group, self._locks)

        try:
            self.insist(once, PATIENCE_S)
        except StoreError:  # its driver has given it up all the same
            self._forget(lease, given_up=True)
            raise
        self._forget(lease)
        self._teller.tell(SHARED)

    def _by_server_clock(self, ending: Ending) -> Ending:
        """An ending whose times are the server's."""
        after = ending.after
        if after is None or not (ahead_s := self._ahead_s):
            return ending
        return ending._replace(after=msgspec.structs.replace(after, at=after.at + ahead_s))

    # rows

    def commit(
        self,
        lease: Lease,
        first_seq: int,
        rows: Sequence[Row],
        now: float,
        *,
        cache: Sequence[tuple[bytes, Row]] = (),
        ending: Ending | None = None,
    ) -> None:
        ends = self._by_server_clock(ending) if ending is not None else None
        group = commits.Group(lease, first_seq, rows, cache, ends, now + self._ahead_s)
        if not self._append(group, group.columns()):
            self._reject(group)
        self._told.note_rows(lease, group.last_seq)
        if ending is not None:
            self._forget(lease)
        if cache or ending is not None:
            self._teller.tell(SHARED)

    def _append(self, group: commits.Group, columns: commits.Columns) -> bool:
        """Have a group committed, whatever breaks, for as long as a lease lasts; False where the run is lost."""
        until, pause_s = time.monotonic() + group.lease.ttl_s, 0.01

        def send() -> bool:
            word = self._append_once(group, columns)
            if word is not None:
                self._hear_word(group.lease.uid, word)
            return word is not None

        def look() -> outcome.Found:
            return self.insist(lambda: self._look(group), max(0.0, until - time.monotonic()))

        def wait(broke: StoreError) -> None:
            nonlocal pause_s
            if time.monotonic() >= until:
                raise broke
            self.pause(pause_s)
            pause_s = min(2 * pause_s, 1.0)

        sums = list(enumerate(columns.crcs, group.first_seq))
        sent = outcome.Sent(group.lease, group.first_seq, sums, ends=group.ending is not None)
        reported = self._told.rows(group.lease)
        found = outcome.commit_surely(sent, reported, self.url, send=send, look=look, may_pass=may_pass, wait=wait)
        return found is outcome.Standing.DURABLE

    def _append_once(self, group: commits.Group, columns: commits.Columns) -> int | None:
        if group.ending is None:
            with self.talking() as statements:
                return commits.append(statements, group, columns)
        with self.writing() as statements:
            return commits.append_and_end(statements, group, columns, self._locks)

    def _look(self, group: commits.Group) -> outcome.Found:
        with self.writing() as connection:
            run = self._find(connection, "uid=?", group.lease.uid, "FOR UPDATE")
            query = "SELECT seq, crc FROM record WHERE run=? AND seq BETWEEN ? AND ? ORDER BY seq"  # after the lock, never with it
            there = connection.execute(query, (group.lease.uid, group.first_seq, group.last_seq)).fetchall()
            # this session may be another than before, and has to be known before it can hang in the next try
            query = "UPDATE run SET backend=?, backend_start=? WHERE uid=? AND fence=? AND owner=?"
            connection.execute(query, (*connection.session, group.lease.uid, group.lease.fence, group.lease.owner))
        return outcome.Found(run, there)

    def _reject(self, group: commits.Group) -> None:
        """Keep aside what came too late. Raises LeaseLost."""
        lease, tries = group.lease, 0
        self._forget(lease)

        def once() -> None:
            nonlocal tries
            tries += 1
            with self.writing(f"rejected {lease.uid}") as connection:  # after a first try that may still be under way
                run = self._find(connection, "uid=?", lease.uid)
                if run is None:
                    raise unknown_run(lease.run_id, [], self.url)
                if tries == 1 or not checked_rows.has_rejected(connection, lease, group.first_seq, group.now):
                    checked_rows.insert_rejected(connection, lease, group.first_seq, group.rows, group.now)
            raise make_lease_lost(run, lease.fence)

        self.insist(once, PATIENCE_S)

    def _forget(self, lease: Lease, *, given_up: bool = False) -> None:
        """Nothing more is written under this lease."""
        self._told.forget_run(lease, given_up=given_up)
        self._listener.forget(lease.uid)
        self._words.pop(lease.uid, None)

    def rows(self, uid: int, *, after: int = 0) -> Iterator[tuple[int, Row]]:
        def read(after: int) -> list[checked_rows.Stored]:
            return self.reading(lambda connection: checked_rows.read_rows(connection, uid, after))

        run = self.reading(lambda connection: self._by_uid(connection, uid))
        for part in checked_rows.read_parts(read, run, after):
            yield from part

    def cached(self, key: bytes) -> Row | None:
        return self.reading(lambda connection: checked_rows.read_cache(connection, key))

    # blobs

    @again
    def put_blob(self, digest: bytes, data: Buffer) -> None:
        with memoryview(data) as view:
            nbytes = view.nbytes
            small = bytes(view) if nbytes <= LARGE_BYTES else None
        if small is None:
            self._large.check_place(nbytes, self.url)
        with self.talking() as statements:
            blob_rows.put_row(statements, digest, nbytes, small)
        if small is None:  # after the row, which keeps collectors of garbage away
            self._large.put(digest, data)
        self._told.note_blob(digest)

    def get_blob(self, digest: bytes) -> memoryview:
        found = self.reading(lambda connection: blob_rows.read_row(connection, digest))
        if found is None:
            raise large.missing(digest, self.url)
        if found[1] is None:
            return large.check(digest, self._large.get(digest), self._large.place)
        return large.check(digest, memoryview(bytearray(found[1])), self.url)

    # control from outside

    def send_signal(self, run_id: str, name: str, value: bytes, now: float) -> int:
        token = secrets.token_bytes(16)  # tells a second try from a second signal
        return self.insist(lambda: self._send(run_id, name, value, float(now), token), PATIENCE_S)

    def _send(self, run_id: str, name: str, value: bytes, at: float, token: bytes) -> int:
        with self.writing() as connection:
            run = self._get_run(connection, run_id, "FOR UPDATE")  # numbers are given in the order of commits
            found = connection.execute("SELECT number FROM signal WHERE run=? AND token=?", (run.uid, token)).fetchall()
            if not found:
                found = connection.execute("UPDATE run SET word=word+1 WHERE uid=? RETURNING word", (run.uid,)).fetchall()
                crc = checked_rows.signal_crc(run.uid, name, value, at)
                query = "INSERT INTO signal (run, number, name, value, at, crc, token) VALUES (?, ?, ?, ?, ?, ?, ?)"
                connection.execute(query, (run.uid, found[0][0], name, value, at, crc, token))
                jobs.wake_job(connection, run, at + self._ahead_s)
        self._tell_of(run.uid)
        number: int = found[0][0]
        return number

    def signals(self, uid: int, *, after: int = 0) -> list[Signal]:
        found = self.reading(lambda connection: checked_rows.read_signals(connection, uid, after))
        self._told.note_signals(uid, found)
        return found

    def data_version(self, uid: int) -> int:
        return self._listener.version(uid, lambda: self._read_pulse(uid))

    def _read_pulse(self, uid: int) -> tuple[int, int]:
        """What changes with any word to a run, and with whatever is shared."""
        query = "SELECT COALESCE((SELECT word FROM run WHERE uid=?), 0), (SELECT pulse FROM version)"
        word, pulse = self.reading(lambda connection: connection.execute(query, (uid,)).fetchone())
        return word, pulse

    def _hear_word(self, uid: int, word: int) -> None:
        if self._words.setdefault(uid, word) != word:
            self._words[uid] = word
            self._listener.note(str(uid))

    # what runs share: each of these may be done twice. A start of a limit is then counted twice, which is safe.

    @again
    def append_items(self, name: str, items: Sequence[Item]) -> list[int]:
        numbers = super().append_items(name, items)
        self._told.note_items(name, max(numbers, default=-1) + 1)
        return numbers

    @again
    def erase_items(self, name: str, until: int, *, after: int = 0) -> None:
        super().erase_items(name, until, after=after)

    @again
    def share(self, holder: str, asks: Sequence[Ask], wants: Sequence[Want], now: float, ttl_s: float) -> dict[str, Grant]:
        grants = super().share(holder, asks, wants, now + self._ahead_s, ttl_s)
        waits = _find_short(asks, wants, grants)
        if waits - self._waits or any(grant.contended for grant in grants.values()):
            self._teller.tell(SHARED)
        self._waits = (self._waits - {ask.name for ask in asks}) | waits
        return grants

    def is_wanted(self, holder: str, names: Sequence[str], now: float) -> bool:
        return super().is_wanted(holder, names, now + self._ahead_s)

    def claim(
        self, lease: Lease, wishes: Sequence[Wish], now: float, *, waits: Waits | None = None, done: Sequence[bytes] = ()
    ) -> list[Reply]:
        left = set[bytes]()  # a second try finds claims of the first one, and has to say whose they were before

        def once() -> list[Reply]:
            return self.settle_claims(lease, wishes, now + self._ahead_s, waits or {}, done, left)

        replies = self.insist(once, PATIENCE_S)
        if done:
            self._teller.tell(SHARED)
        return replies

    @again
    def drop_void_claims(self, now: float) -> int:
        return super().drop_void_claims(now + self._ahead_s)


def _find_short(asks: Sequence[Ask], wants: Sequence[Want], grants: Mapping[str, Grant]) -> frozenset[str]:
    """The limits in which calls go on waiting for a place: whoever has one hears of it."""
    wanted = {ask.name: ask.used + sum(want.calls for want in wants if ask.name in want.names) for ask in asks}
    return frozenset(ask.name for ask in asks if ask.capacity is not None and grants[ask.name].room < wanted[ask.name])
