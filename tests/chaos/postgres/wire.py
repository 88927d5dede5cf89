"""A proxy in front of a Postgres server that knows its protocol: where a message ends, and which statement is under way.

    with Proxy(server.port, plan=lambda statement: Fault.REPLY_SWALLOWED if statement.number == 7 else None) as proxy:
        PostgresStore(proxy.url)

What a client sends is held until it is a whole batch: the messages of one statement up to its Sync, or one simple query. Then
`plan` is asked what is to happen to it, which does not depend on how TCP cut the bytes. So a cut is exactly where it was asked for,
and `struck` counts what was done, never what was meant. `committed` counts the commits that the server has reported and whose
client will never hear of it.

Only what a plan names is hurt. Encryption is declined, as a server without certificates does.
"""

from __future__ import annotations

import contextlib
import enum
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple, Self

_APPENDS = re.compile(rb"INSERT INTO \S*\brecord\b")
_UNTYPED = {80877102, 80877103, 80877104}  # requests to cancel, to encrypt with TLS, to encrypt with GSSAPI
_CANCEL = 80877102


class Fault(enum.StrEnum):
    """What may happen to a statement."""

    UNSENT = "cut before the statement"
    BEFORE_SYNC = "cut before Sync"
    INSIDE_SYNC = "cut inside Sync"
    AFTER_SYNC = "cut after Sync"
    INSIDE_REPLY = "cut inside the reply"
    REPLY_SWALLOWED = "reply swallowed"
    DELAYED = "delayed"
    SYNC_HELD = "client gone, server left between Execute and Sync"
    MUTE = "no answer and no end"


class Statement(NamedTuple):
    """A statement that is about to be sent."""

    sql: bytes
    number: int  # among those that append rows, from 1; 0 for any other

    @property
    def appends(self) -> bool:
        """Whether it commits rows of a run."""
        return self.number > 0


Plan = Callable[[Statement], Fault | None]


class Proxy:
    """Listens on a free port of this machine and passes on to `port`.

    Args:
        port: where the server listens.
        plan: says what happens to a statement; asked under a lock, in the order of statements.
        delay_s: how long DELAYED holds a statement back, and MUTE a connection.
    """

    def __init__(self, port: int, plan: Plan = lambda _: None, *, delay_s: float = 0.05) -> None:
        self.plan = plan
        self.delay_s = delay_s
        self.refuses = False
        self.struck: Counter[str] = Counter()
        self.committed = 0
        self.appends = 0
        self.lock = threading.Lock()
        self.flows = threading.Event()
        self.flows.set()
        self.target = port
        self._connections: list[_Connection] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    @property
    def url(self) -> str:
        return f"postgresql://headway@127.0.0.1:{self.port}/postgres"

    def cut_all(self) -> None:
        """Cut every connection."""
        with self.lock:
            cut = [connection for connection in self._connections if not connection.is_cut]
            self.struck["all cut"] += len(cut)
        for connection in cut:
            connection.cut()

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """Take no new connection for a while."""
        self.refuses = True
        try:
            yield
        finally:
            self.refuses = False

    @contextlib.contextmanager
    def half_open(self) -> Iterator[None]:
        """Pass nothing on for a while, and close nothing."""
        self.flows.clear()
        with self.lock:
            self.struck["half-open"] += len([one for one in self._connections if not one.is_cut])
        try:
            yield
        finally:
            self.flows.set()

    def close(self) -> None:
        self.flows.set()
        self._listener.close()
        for connection in list(self._connections):
            connection.cut(orphan=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def judge(self, sql: bytes) -> Fault | None:
        """Say what happens to a statement, and count it."""
        with self.lock:
            appends = _APPENDS.search(sql) is not None
            self.appends += appends
            fault = self.plan(Statement(sql, self.appends if appends else 0))
            if fault is not None:
                self.struck[fault] += 1
            return fault

    def note_committed(self) -> None:
        with self.lock:
            self.committed += 1

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refuses:
                self.struck["refused"] += 1
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = _Connection(self, client, server)
            with self.lock:
                self._connections = [one for one in self._connections if not one.is_gone]
                self._connections.append(connection)
            connection.start()


class _Connection:
    """One client and its backend."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._statements: dict[bytes, bytes] = {}  # prepared ones, by name
        self._lasting: Fault | None = None  # what happens to the reply that is awaited
        self._appends = False  # whether that is the reply of a commit
        self.is_cut = self.is_gone = False

    def start(self) -> None:
        for pump in (self._pump_requests, self._pump_replies):
            threading.Thread(target=self._run, args=(pump,), name="proxy-pump", daemon=True).start()

    def _run(self, pump: Callable[[], None]) -> None:
        with contextlib.suppress(OSError, _Ended):
            pump()
        self.cut(orphan=self._lasting is Fault.SYNC_HELD)

    def cut(self, *, orphan: bool = False) -> None:
        """End both ends; the server's end stays open where the backend is to be left alone."""
        self.is_cut = True
        ends = [self._client] if orphan else [self._client, self._server]
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self.is_gone = not orphan

    # --- from the client ----------------------------------------------------------------------------------------------

    def _pump_requests(self) -> None:
        if not self._greet():
            return
        held: list[bytes] = []
        sql = b""
        while True:
            kind, message = _read_message(self._client)
            if kind in b"pdcf":  # a password, or a copy: no part of a statement
                self._server.sendall(message)
                continue
            held.append(message)
            if kind == b"P":
                name, _, rest = message[5:].partition(b"\0")
                sql = self._statements[name] = rest.partition(b"\0")[0]
            elif kind == b"B":
                sql = self._statements.get(message[5:].split(b"\0", 2)[1], b"")
            elif kind == b"Q":
                sql = message[5:-1]
            if kind in b"SQHX":
                self._send(held, sql, executes=kind == b"Q" or any(one[:1] == b"E" for one in held))
                held = []

    def _greet(self) -> bool:
        """Pass the client's first message on. Return whether messages with a type follow."""
        while True:
            (length,) = struct.unpack("!i", head := _read(self._client, 4))
            (code,) = struct.unpack("!i", body := _read(self._client, 4))
            rest = head + body + _read(self._client, length - 8)
            if code not in _UNTYPED or code == _CANCEL:
                self._server.sendall(rest)
                return code != _CANCEL
            self._client.sendall(b"N")

    def _send(self, messages: list[bytes], sql: bytes, *, executes: bool) -> None:
        """Pass a batch on, or as much of it as the plan says."""
        self._proxy.flows.wait()
        *before, last = messages
        fault = self._proxy.judge(sql) if executes else None
        if fault is Fault.UNSENT:
            raise _Ended
        if fault is Fault.DELAYED:
            time.sleep(self._proxy.delay_s)
        self._appends = executes and _APPENDS.search(sql) is not None
        self._lasting = fault
        self._server.sendall(b"".join(before))
        if fault in (Fault.BEFORE_SYNC, Fault.SYNC_HELD):
            if fault is Fault.SYNC_HELD:
                time.sleep(self._proxy.delay_s)  # so that the backend has executed, and has the lock
            raise _Ended
        if fault is Fault.INSIDE_SYNC:
            self._server.sendall(last[: len(last) // 2])
            raise _Ended
        self._server.sendall(last)
        if fault is Fault.AFTER_SYNC:
            raise _Ended

    # --- from the server ----------------------------------------------------------------------------------------------

    def _pump_replies(self) -> None:
        kept: list[bytes] = []
        while True:
            kind, message = _read_message(self._server)
            self._proxy.flows.wait()
            if self._lasting not in (Fault.REPLY_SWALLOWED, Fault.INSIDE_REPLY, Fault.MUTE):
                self._client.sendall(message)
                continue
            kept.append(message)
            if kind != b"Z":
                continue
            if self._appends and any(one[:1] == b"C" and one[5:-1].endswith(b" 1") for one in kept):
                self._proxy.note_committed()
            if self._lasting is Fault.INSIDE_REPLY:
                whole = b"".join(kept)
                self._client.sendall(whole[: len(whole) // 2])
            elif self._lasting is Fault.MUTE:
                time.sleep(self._proxy.delay_s)
            raise _Ended


class _Ended(Exception):
    """One end has closed, or is to be."""


def _read_message(end: socket.socket) -> tuple[bytes, bytes]:
    head = _read(end, 5)
    (length,) = struct.unpack("!i", head[1:])
    return head[:1], head + _read(end, length - 4)


def _read(end: socket.socket, nbytes: int) -> bytes:
    found = bytearray()
    while len(found) < nbytes:
        if not (more := end.recv(min(nbytes - len(found), 1 << 20))):
            raise _Ended
        found += more
    return bytes(found)
