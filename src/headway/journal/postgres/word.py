"""Word from other processes: which runs were signalled or cancelled, and that something shared has changed.

A driver asks ten times a second whether anything is new, and that must cost nothing. So each process keeps one connection for each
store, which listens; what it hears is counted by run. Where nothing can be listened to, everything is called new once a second.

`NOTIFY` takes a lock of the whole server through its commit, so nothing that commits results ever sends it: `Teller` sends what is
to be told afterwards, all at once, in a thread of its own. A word that is lost costs a second: `Listener` calls everything new once
in a while whatever it heard.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from headway.journal.postgres.address import Address

if TYPE_CHECKING:
    import psycopg

POLL_S = 1.0  # where nothing is heard
SURE_S = 5.0  # how often everything is called new although nothing was heard
SHARED = "shared"
_listeners: dict[Address, Listener] = {}
_lock = threading.Lock()
os.register_at_fork(after_in_child=_listeners.clear)


class Listener:
    """What one process hears of one store."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._users = 0
        self._counts: dict[str, int] = {}
        self._hears = False
        self._ended = threading.Event()
        self._connection: psycopg.Connection[Any] | None = None

    @classmethod
    def join(cls, address: Address) -> Listener:
        """The listener of this process; it lives until all that joined have left."""
        with _lock:
            found = _listeners.setdefault(address, cls(address))
            found._users += 1
            if found._users == 1 and address.listens:
                threading.Thread(target=found._listen, name="headway-postgres-word", daemon=True).start()
            return found

    def leave(self) -> None:
        with _lock:
            self._users -= 1
            if self._users:
                return
            _listeners.pop(self._address, None)
        self._ended.set()
        if (connection := self._connection) is not None:
            with contextlib.suppress(Exception):
                connection.close()

    def version(self, uid: int) -> int:
        """A number that differs when something may be new for a run."""
        every_s = SURE_S if self._hears else POLL_S
        heard = self._counts.get(str(uid), 0) + self._counts.get(SHARED, 0)
        return heard * 1_000_000_000 + int(time.monotonic() / every_s)

    def note(self, topic: str) -> None:
        """Count a word."""
        self._counts[topic] = self._counts.get(topic, 0) + 1

    def _listen(self) -> None:
        import psycopg

        pause_s = 0.1
        while not self._ended.is_set():
            try:
                with psycopg.connect(self._address.conninfo, autocommit=True) as connection:
                    self._connection = connection
                    connection.execute(f"LISTEN {channel(self._address)}")
                    self.note(SHARED)  # what was said before is heard by looking
                    self._hears, pause_s = True, 0.1
                    while not self._ended.is_set():
                        for said in connection.notifies(timeout=SURE_S):
                            for topic in said.payload.split():
                                self.note(topic)
            except (psycopg.Error, OSError):
                self._hears = False
            self._ended.wait(pause_s)
            pause_s = min(2 * pause_s, 10.0)


class Teller:
    """Tells other processes, a moment later and all at once."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._topics: dict[str, None] = {}
        self._wanted = threading.Condition()
        self._thread: threading.Thread | None = None
        self._ended = False

    def tell(self, topic: str) -> None:
        """Have it said; never waits."""
        with self._wanted:
            self._topics[topic] = None
            if self._thread is None:
                self._thread = threading.Thread(target=self._send_all, name="headway-postgres-teller", daemon=True)
                self._thread.start()
            self._wanted.notify_all()

    def close(self) -> None:
        """Say what is left, and end."""
        with self._wanted:
            self._ended = True
            self._wanted.notify_all()
        if self._thread is not None:
            self._thread.join(5)

    def _send_all(self) -> None:
        import psycopg

        connection: psycopg.Connection[Any] | None = None
        while (payload := self._next()) is not None:
            try:
                if connection is None or connection.closed:
                    connection = psycopg.connect(self._address.conninfo, autocommit=True, prepare_threshold=None)
                connection.execute("SELECT pg_notify(%s, %s)", (channel(self._address), payload))
            except (psycopg.Error, OSError):
                connection = None  # who listens looks once in a while all the same
        if connection is not None:
            connection.close()

    def _next(self) -> str | None:
        """Topics to be said together; None at the end."""
        with self._wanted:
            self._wanted.wait_for(lambda: self._topics or self._ended)
            if not self._topics:
                return None
            topics, nbytes = [], 0
            for topic in list(self._topics):
                if (nbytes := nbytes + len(topic) + 1) > 7000:  # a payload has less than 8,000 bytes
                    break
                topics.append(topic)
                del self._topics[topic]
            return " ".join(topics)


def channel(address: Address) -> str:
    """What words of this store are sent on."""
    return f"headway_{address.schema}"
