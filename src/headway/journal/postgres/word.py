"""Word from other processes: which runs were signalled or cancelled, and that something shared has changed.

A driver asks ten times a second whether anything is new, and that must cost nothing. So each process keeps one connection for each
store, which listens; what it hears is counted by run. Where nothing can be listened to, one small query a second asks instead.

`NOTIFY` takes a lock of the whole server through its commit, so nothing that commits results ever sends it: `Teller` sends what is
to be told afterwards, all at once, in a thread of its own, and marks it for those who can't hear. A word that is lost costs a
moment: everything is called new once in a while whatever was heard. This file must never make anybody wait.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from headway.journal.postgres.address import Address

if TYPE_CHECKING:
    import psycopg

POLL_S = 1.0  # how often a driver asks where nothing is heard
SURE_S = 5.0  # how often everything is called new although nothing was heard
GATHER_S = 0.02  # what is told meanwhile is told together
IDLE_S = 10.0  # after which a connection that tells nothing is given back
SHARED = "shared"
QUEUES = "0"  # no run has this number: there may be jobs to take
Pulse = tuple[int, int]  # of a run, and of all that is shared
_listeners: dict[Address, Listener] = {}
_all: weakref.WeakSet[Listener | Teller] = weakref.WeakSet()
_lock = threading.Lock()


class Listener:
    """What one process hears of one store."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._users = 0
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}  # of runs that somebody asks about, and of what is shared
        self._polled: dict[int, tuple[float, Pulse]] = {}
        self._hears = False
        self._ended = threading.Event()
        self._wire: socket.socket | None = None
        self._thread: threading.Thread | None = None
        _all.add(self)

    @classmethod
    def join(cls, address: Address) -> Listener:
        """The listener of this process; it lives until all that joined have left."""
        with _lock:
            found = _listeners.setdefault(address, cls(address))
            found._users += 1
            if found._users == 1 and address.listens:
                found._thread = threading.Thread(target=found._listen, name="headway-postgres-word", daemon=True)
                found._thread.start()
            return found

    def leave(self) -> None:
        with _lock:
            self._users -= 1
            if self._users:
                return
            if _listeners.get(self._address) is self:
                del _listeners[self._address]
        self._ended.set()
        with self._lock:
            if self._wire is not None:  # the thread wakes, and closes its connection itself
                with contextlib.suppress(OSError):
                    self._wire.shutdown(socket.SHUT_RDWR)
        if self._thread is not None:
            self._thread.join(1.0)  # unless it is just connecting

    def version(self, uid: int, poll: Callable[[], Pulse]) -> int:
        """A number that differs when something may be new for a run. `poll` asks the store for a number that changes with it; it is
        called once in a while, where nothing can be heard."""
        topic = str(uid)
        with self._lock:
            self._counts.setdefault(topic, 0)
            polled = self._polled.get(uid)
        now = time.monotonic()
        if not self._hears and (polled is None or now - polled[0] >= POLL_S):
            pulse = poll()
            self._polled[uid] = now, pulse
            if polled is not None and pulse != polled[1]:
                self.note(topic)
        with self._lock:
            heard = self._counts.get(topic, 0) + self._counts.get(SHARED, 0)
        return heard * 1_000_000_000 + int(now / SURE_S)

    def note(self, topic: str) -> None:
        """Count a word."""
        with self._lock:
            if topic in self._counts or topic == SHARED:
                self._counts[topic] = self._counts.get(topic, 0) + 1

    def forget(self, uid: int) -> None:
        """Nobody asks about this run any more."""
        with self._lock:
            self._counts.pop(str(uid), None)
            self._polled.pop(uid, None)

    def _listen(self) -> None:
        import psycopg

        pause_s = 0.1
        while not self._ended.is_set():
            try:
                with psycopg.connect(self._address.conninfo, autocommit=True) as connection, self._woken_by(connection):
                    connection.execute(f"LISTEN {channel(self._address)}")
                    self.note(SHARED)  # what was said before is heard by looking
                    self._hears, pause_s = True, 0.1
                    while not self._ended.is_set():
                        for said in connection.notifies(timeout=SURE_S):
                            for topic in said.payload.split():
                                self.note(topic)
            except (psycopg.Error, OSError):
                pass
            self._hears = False
            self._ended.wait(pause_s)
            pause_s = min(2 * pause_s, 10.0)

    @contextlib.contextmanager
    def _woken_by(self, connection: psycopg.Connection[Any]) -> Any:
        """While inside, `leave` wakes who waits on the connection by ending its socket, never by closing what a thread uses."""
        wire = socket.socket(fileno=os.dup(connection.fileno()))
        with self._lock:
            self._wire = wire
        try:
            yield
        finally:
            with self._lock:
                self._wire = None
            wire.close()

    def _forget_parent(self) -> None:
        self._lock, self._hears, self._thread = threading.Lock(), False, None
        self._ended = threading.Event()


class Teller:
    """Tells other processes, a moment later and all at once."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._topics: dict[str, None] = {}
        self._wanted = threading.Condition()
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        _all.add(self)

    def tell(self, topic: str) -> None:
        """Have it said; never waits. `topic` has no spaces."""
        with self._wanted:
            self._topics[topic] = None
            if self._thread is None and not self._ended.is_set():
                self._thread = threading.Thread(target=self._send_all, name="headway-postgres-teller", daemon=True)
                self._thread.start()
            self._wanted.notify_all()

    def close(self) -> None:
        """Say what is left, and end."""
        self._ended.set()
        with self._wanted:
            thread, self._thread = self._thread, None
            self._wanted.notify_all()
        if thread is not None:
            thread.join(5)

    def _send_all(self) -> None:
        import psycopg

        connection: psycopg.Connection[Any] | None = None
        try:
            while (topics := self._next()) is not None:
                if not topics:  # nothing to say for a while
                    if connection is not None:
                        connection.close()
                    continue
                try:
                    if connection is None or connection.closed:
                        connection = psycopg.connect(self._address.conninfo, autocommit=True, prepare_threshold=None)
                    connection.execute(self._say(topics), prepare=False)
                except (psycopg.Error, OSError):  # who listens looks once in a while all the same
                    if connection is not None:
                        connection.close()
                self._ended.wait(GATHER_S)
        finally:
            if connection is not None:
                connection.close()

    def _say(self, topics: list[str]) -> Any:
        """One round trip. It need not be durable: then it would keep the lock of all that notify until it is on the disk."""
        from psycopg import sql

        beat = f"UPDATE {self._address.schema}.version SET pulse=pulse+1; " if {SHARED, QUEUES} & set(topics) else ""
        notify = sql.SQL("SELECT pg_notify({}, {}); COMMIT").format(channel(self._address), " ".join(topics))
        return sql.SQL("BEGIN; SET LOCAL synchronous_commit=off; " + beat) + notify

    def _next(self) -> list[str] | None:
        """Topics to be said together; none where there was nothing to say for a while, None at the end."""
        with self._wanted:
            self._wanted.wait_for(lambda: self._topics or self._ended.is_set(), IDLE_S)
            if not self._topics:
                return None if self._ended.is_set() else []
            topics, nbytes = list[str](), 0
            for topic in list(self._topics):
                if (nbytes := nbytes + len(topic.encode()) + 1) > 7000 and topics:  # a payload has less than 8,000 bytes
                    break
                topics.append(topic)
                del self._topics[topic]
            return topics

    def _forget_parent(self) -> None:
        self._wanted, self._thread, self._ended = threading.Condition(), None, threading.Event()


def channel(address: Address) -> str:
    """What words of this store are sent on."""
    return f"headway_{address.schema}"


def _forget_parent() -> None:
    """In a fork there is none of its parent's threads, and whoever held a lock is not here."""
    global _lock
    _lock = threading.Lock()
    _listeners.clear()
    for one in list(_all):
        one._forget_parent()


os.register_at_fork(after_in_child=_forget_parent)
