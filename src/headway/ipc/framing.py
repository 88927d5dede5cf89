"""Records over a Unix socket: a length, how many file descriptors come along, then MessagePack.

Descriptors travel beside the bytes as ancillary data and are matched with their records in order. `Outbox` and `Inbox` never block
on a socket that does not (an event loop's end); `Wire` is both ends of a conversation between threads that may wait.

`multiprocessing.connection` is no substitute: it passes a descriptor only through a server thread or with an answer of the peer, it
pickles, and its writes can't be left half done and taken up again.
"""

from __future__ import annotations

import array
import os
import socket
import struct
import threading
from collections import deque
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")
SEND_TIMEOUT_S = 30
_HEADER = struct.Struct("<IB")  # length of the body, number of descriptors
_READ_BYTES = 1 << 18
_MAX_FDS = 8
_encode = msgspec.msgpack.Encoder().encode


class Outbox:
    """Sends records. `pending` says that a non-blocking socket took less: `flush` when it takes more."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._queue: deque[tuple[memoryview, int | None]] = deque()
        self.pending = False

    def send(self, record: msgspec.Struct, fd: int | None = None) -> None:
        """Send or keep the record, and own the descriptor until it is sent."""
        self._queue.append((memoryview(_frame(record, fd)), fd))
        self.flush()

    def flush(self) -> None:
        """Send what is kept, as far as the socket takes it."""
        while self._queue:
            data, fd = self._queue[0]
            try:
                sent = _send(self._sock, data, fd)
            except BlockingIOError:
                break
            if fd is not None:
                os.close(fd)
            if sent < data.nbytes:
                self._queue[0] = (data[sent:], None)
            else:
                self._queue.popleft()
        self.pending = bool(self._queue)

    def close(self) -> None:
        """Send nothing more, and let go of descriptors that were not sent."""
        for _, fd in self._queue:
            if fd is not None:
                os.close(fd)
        self._queue.clear()
        self.pending = False


class Inbox(Generic[T]):
    """Receives records of `kind` with their descriptors."""

    def __init__(self, sock: socket.socket, kind: Any) -> None:
        self._sock = sock
        self._decode = msgspec.msgpack.Decoder(kind).decode
        self._data = bytearray()
        self._fds: deque[int] = deque()

    def receive(self) -> list[tuple[T, int | None]]:
        """What one read completes, if anything. Raises EOFError at the end, BlockingIOError while there is nothing."""
        flags = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
        try:
            data, fds, _, _ = socket.recv_fds(self._sock, _READ_BYTES, _MAX_FDS, flags)
        except ConnectionError as error:
            raise EOFError from error
        for fd in fds:
            os.set_inheritable(fd, False)
        self._fds.extend(fds)
        if not data:
            raise EOFError
        self._data += data
        records = []
        while (record := self._next()) is not None:
            records.append(record)
        return records

    def _next(self) -> tuple[T, int | None] | None:
        if len(self._data) < _HEADER.size:
            return None
        length, count = _HEADER.unpack_from(self._data)
        end = _HEADER.size + length
        if len(self._data) < end:
            return None
        body = bytes(self._data[_HEADER.size : end])
        del self._data[:end]
        if count and not self._fds:
            raise OSError("a shared block was lost on its way: this process has no file descriptor left (see `ulimit -n`)")
        return self._decode(body), self._fds.popleft() if count else None

    def close(self) -> None:
        """Let go of descriptors that nobody took."""
        while self._fds:
            os.close(self._fds.popleft())


class Wire(Generic[T]):
    """One end of a connection. Any thread may send; one receives records of `kind`, and waits for them."""

    def __init__(self, connection: socket.socket, kind: Any) -> None:
        self._socket = connection
        # A peer that is stopped must not stop its trainer for ever.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_TIMEOUT_S, 0))
        self._sending = threading.Lock()
        self._inbox: Inbox[T] = Inbox(connection, kind)
        self._received: deque[tuple[T, int | None]] = deque()

    def send(self, record: msgspec.Struct, fd: int | None = None) -> None:
        """Send a record; the descriptor stays the caller's. Raises OSError where the peer is gone, and BlockingIOError where it
        takes nothing for 30 seconds."""
        data = memoryview(_frame(record, fd))
        with self._sending:
            self._socket.sendall(data[_send(self._socket, data, fd) :])

    def receive(self) -> tuple[T, int | None] | None:
        """The next record and its descriptor, None where the peer is gone. Raises OSError where a descriptor was lost."""
        while not self._received:
            try:
                self._received += self._inbox.receive()
            except EOFError:
                return None
        return self._received.popleft()

    def shut(self) -> None:
        """Send no more; the peer's `receive` gives None."""
        with self._sending:
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError:
                return  # gone already

    def close(self) -> None:
        """End the connection."""
        with self._sending:
            self._socket.close()

    def drop(self) -> None:
        """Close this process's copy after a fork, where no lock can be trusted."""
        self._socket.close()


def _frame(record: msgspec.Struct, fd: int | None) -> bytes:
    body = _encode(record)
    return _HEADER.pack(len(body), fd is not None) + body


def _send(sock: socket.socket, data: memoryview, fd: int | None) -> int:
    """How many bytes the socket took; the descriptor goes with the first of them."""
    rights = [] if fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
    return sock.sendmsg([data], rights)
