"""Records over a Unix socket: four bytes of length, then MessagePack. File descriptors travel beside the bytes."""

from __future__ import annotations

import socket
import struct
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")
SEND_TIMEOUT_S = 30
_READ_BYTES = 1 << 18
_MOST_FDS = 8


class Wire(Generic[T]):
    """One end of a connection. Any thread may send; one receives records of `kind`."""

    def __init__(self, connection: socket.socket, kind: Any) -> None:
        self._socket = connection
        # A peer that is stopped must not stop its trainer for ever.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_TIMEOUT_S, 0))
        self._decode = msgspec.msgpack.Decoder(kind).decode
        self._sending = threading.Lock()
        self._received = bytearray()
        self._fds: deque[int] = deque()

    def send(self, record: msgspec.Struct, fds: Sequence[int] = ()) -> None:
        """Raises OSError where the peer is gone, and BlockingIOError where it takes nothing for 30 seconds."""
        body = msgspec.msgpack.encode(record)
        data = len(body).to_bytes(4, "little") + body
        with self._sending:
            if fds:
                data = data[socket.send_fds(self._socket, [data], list(fds)) :]
            self._socket.sendall(data)

    def receive(self) -> T | None:
        """The next record, None where the peer is gone."""
        head = self._take(4)
        body = self._take(int.from_bytes(head, "little")) if head is not None else None
        return None if body is None else self._decode(body)

    def take_fd(self) -> int:
        """The next file descriptor that came."""
        return self._fds.popleft()

    def shut(self) -> None:
        """Send no more; the peer's `receive` gives None."""
        with self._sending:
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError:
                return  # gone already

    def close(self) -> None:
        with self._sending:
            self._socket.close()

    def drop(self) -> None:
        """Close this process's copy after a fork, where no lock can be trusted."""
        self._socket.close()

    def _take(self, count: int) -> bytes | None:
        while len(self._received) < count:
            try:
                data, fds, _, _ = socket.recv_fds(self._socket, _READ_BYTES, _MOST_FDS)
            except OSError:
                return None
            self._fds.extend(fds)
            if not data:
                return None
            self._received += data
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken
