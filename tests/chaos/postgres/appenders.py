"""Clients that append rows to one run and write down what they were told: the smallest driver there is, and its own witness.

An appender owns the run, reads it, appends groups after what it read, renews its lease, and begins again wherever it is told
anything but yes, as a driver does that is started again. Several of them want the same run at the same time.

    python appenders.py URL NOTES NAME SEED SECONDS LEASE_S

As a process it is killed and stopped; as a thread (`start`) it is one of many beside a proxy.
"""

from __future__ import annotations

import contextlib
import random
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import msgspec
from histories import Entry, Histories, Notebook, find_violations, read_histories

import headway as hw
from headway.errors import LeaseLost, RunOwned, StoreError, UnknownRun
from headway.journal.postgres.store import PostgresStore
from headway.journal.records import NO_PARENT, Kind, Lease, Row, RunSpec, RunStatus

RUN = "register"
PAUSE_S = 0.02


class Appender:
    """One client.

    Args:
        url: the store.
        notes: the folder of notebooks.
        name: its own; no other client has it.
        lease_s: how long its lease lasts.
        gives_up_run: how probable it is, at each group, that it gives the run back to others.
    """

    def __init__(self, url: str, notes: Path, name: str, seed: object, *, lease_s: float = 2.0, gives_up_run: float = 0.0) -> None:
        self.name = name
        self.heard: Counter[str] = Counter()  # names of errors
        self.said: dict[str, str] = {}  # the newest message of each
        self.appended = 0
        self.ended = threading.Event()
        self.error: BaseException | None = None
        self._url, self._notes, self._lease_s, self._gives_up_run = url, notes, lease_s, gives_up_run
        self._drawn = random.Random(f"{seed} {name}")
        self._lives = self._tries = 0
        self._thread: threading.Thread | None = None

    def start(self) -> Appender:
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """End it, and raise what it can't have expected."""
        self.ended.set()
        if self._thread is not None:
            self._thread.join(60)
            assert not self._thread.is_alive(), f"{self.name} hangs"
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            self.live()
        except BaseException as error:
            self.error = error

    def live(self) -> None:
        """Append until it is ended."""
        book = Notebook(self._notes / self.name, self.name)
        while not self.ended.is_set():
            try:
                with PostgresStore(self._url) as store:
                    while not self.ended.is_set():
                        self._drive(store, book)
            except StoreError as error:
                self._hear(error)
                self.ended.wait(PAUSE_S)

    def _hear(self, error: hw.HeadwayError) -> None:
        self.heard[type(error).__name__] += 1
        self.said[type(error).__name__] = str(error)

    def _drive(self, store: PostgresStore, book: Notebook) -> None:
        """Own the run for a while. Raises StoreError for whatever ends it."""
        store.create_run(RunSpec(run_id=RUN, task="register"))
        self._lives += 1
        try:
            lease = store.acquire(RUN, f"{self.name} life {self._lives}", self._lease_s, time.time())
        except RunOwned as error:
            self._hear(error)
            self.ended.wait(PAUSE_S)
            return
        found = [read_entry(row) for _, row in store.rows(lease.uid)]
        book.read([entry.name for entry in found])
        last, renewed = len(found), time.monotonic()
        while not self.ended.is_set() and self._drawn.random() >= self._gives_up_run:
            if time.monotonic() - renewed > self._lease_s / 3:
                store.renew(lease, time.time())
                renewed = time.monotonic()
            last += self._append(store, lease, book, last)
        store.release(lease, RunStatus.INTERRUPTED, time.time())

    def _append(self, store: PostgresStore, lease: Lease, book: Notebook, last: int) -> int:
        self._tries += 1
        size = self._drawn.choice((1, 1, 2, 5, 20))
        entries = [Entry(f"{self.name}.{self._tries}.{k}", self._drawn.randrange(100)) for k in range(size)]
        book.invoke(lease.fence, last + 1, entries)
        try:
            store.commit(lease, last + 1, [make_row(entry) for entry in entries], time.time())
        except LeaseLost as error:  # it was looked for, and is not there
            book.hear("fail", str(error))
            raise
        except StoreError as error:
            book.hear("info", str(error))
            raise
        book.hear("ok")
        self.appended += size
        return size


def make_row(entry: Entry) -> Row:
    return Row(Kind.DECISION, entry.name.encode()[-16:].rjust(16), NO_PARENT, msgspec.msgpack.encode(entry))


def read_entry(row: Row) -> Entry:
    return msgspec.msgpack.decode(row.body, type=Entry)


def check_register(url: str, notes: Path) -> Histories:
    """Compare what all clients were told with what the store holds. Returns what they were told."""
    told = read_histories(sorted(notes.iterdir()))
    with PostgresStore(url) as store, contextlib.suppress(UnknownRun):
        final = [(seq, read_entry(row)) for seq, row in store.rows(store.run(RUN).uid)]
    found = find_violations(told, final)
    assert not found, "\n".join(f"{violation.promise}: {violation.what}" for violation in found[:20])
    return told


if __name__ == "__main__":
    _, url, notes, name, seed, seconds, lease_s = sys.argv
    appender = Appender(url, Path(notes), name, seed, lease_s=float(lease_s), gives_up_run=0.01).start()
    time.sleep(float(seconds))
    appender.stop()
