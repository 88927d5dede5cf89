"""What a process pool and its workers say to each other, and how a message crosses a socket.

A message is a small msgpack struct behind a fixed header; descriptors of shared blocks ride along as ancillary data
and are matched with their messages in order. A payload (arguments or a result) is a head and its buffers: inside the
message while it is small, in one shared block otherwise, so that no large bytes go through the socket.

This file must never block the event loop: the pool's end of a socket is non-blocking and `Outbox` keeps what did not
fit.
"""

from __future__ import annotations

import array
import os
import socket
import struct
from collections import deque
from collections.abc import Sequence

import msgspec

from headway.events import AnyEvent
from headway.ipc import shm
from headway.journal.records import Amounts, Error
from headway.pools.base import CallFacts, FunctionRef
from headway.pools.logs import Entry

_HEADER = struct.Struct("<IB")  # length of the body, number of descriptors
_READ_BYTES = 256 * 1024
_MAX_FDS = 8


class Payload(msgspec.Struct, frozen=True, array_like=True):
    """A head and its buffers: in `parts`, or in a shared block as parts of these `sizes`."""

    parts: list[bytes] = []
    sizes: list[int] = []


class Work(msgspec.Struct, frozen=True, array_like=True, tag="work"):
    """Run this function; the payload is the pickled `(args, kwargs)`."""

    number: int
    ref: FunctionRef
    facts: CallFacts
    pickled: bool
    payload: Payload
    items: int | None = None  # of a batch
    around: FunctionRef | None = None
    carried: bytes = b""  # values of context variables
    levels: dict[str, int] = {}  # of the loggers in the program


class Ready(msgspec.Struct, frozen=True, array_like=True, tag="ready"):
    """The worker has started."""


class Charged(msgspec.Struct, frozen=True, array_like=True, tag="charged"):
    number: int
    amounts: Amounts
    item: int | None = None  # of a batch


class Told(msgspec.Struct, frozen=True, array_like=True, tag="told"):
    """The function said something for the run's stream of events."""

    event: AnyEvent


class Logged(msgspec.Struct, frozen=True, array_like=True, tag="logged"):
    """The function has logged something. It may come late, so it says whose it is."""

    key: str
    task: str
    entry: Entry


class Done(msgspec.Struct, frozen=True, array_like=True, tag="done"):
    """The function returned; the payload is the value, encoded."""

    number: int
    payload: Payload


class Failed(msgspec.Struct, frozen=True, array_like=True, tag="failed"):
    number: int
    error: Error


class Stopped(msgspec.Struct, frozen=True, array_like=True, tag="stopped"):
    """The function was interrupted on request."""

    number: int


Message = Work | Ready | Charged | Told | Logged | Done | Failed | Stopped

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Message).decode


def pack(head: bytes, buffers: Sequence[bytes | bytearray | memoryview]) -> tuple[Payload, int | None]:
    """A payload, and the descriptor of its block when it is large. The caller closes the descriptor after sending."""
    views = [memoryview(part).cast("B") for part in (head, *buffers)]
    if sum(view.nbytes for view in views) <= shm.INLINE_BYTES:
        return Payload(parts=[bytes(view) for view in views]), None
    return Payload(sizes=[view.nbytes for view in views]), shm.write_block(views)


def unpack_private(payload: Payload, fd: int | None) -> tuple[memoryview, list[memoryview]]:
    """The head and the buffers as memory that the caller may write without anybody else seeing it."""
    if fd is None:
        head, *buffers = payload.parts
        return memoryview(head), [memoryview(bytearray(part)) for part in buffers]
    mapped, *rest = shm.map_private(fd, payload.sizes)
    return mapped, rest


def unpack_shared(payload: Payload, fd: int | None) -> tuple[bytes, list[memoryview]]:
    """The head and the buffers as the sender wrote them, read-only."""
    if fd is None:
        head, *buffers = payload.parts
        return head, [memoryview(part) for part in buffers]
    mapped, *rest = shm.map_shared(fd, payload.sizes)
    return bytes(mapped), rest


class Outbox:
    """Sends messages. `pending` says that a non-blocking socket took less: `flush` when it takes more."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._queue: deque[tuple[memoryview, int | None]] = deque()
        self.pending = False

    def send(self, message: Message, fd: int | None = None) -> None:
        """Send or keep the message, and own the descriptor until it is sent."""
        body = _encode(message)
        self._queue.append((memoryview(_HEADER.pack(len(body), fd is not None) + body), fd))
        self.flush()

    def flush(self) -> None:
        while self._queue:
            data, fd = self._queue[0]
            rights = [] if fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
            try:
                sent = self._sock.sendmsg([data], rights)
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
        for _, fd in self._queue:
            if fd is not None:
                os.close(fd)
        self._queue.clear()
        self.pending = False


class Inbox:
    """Receives messages with their descriptors."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._data = bytearray()
        self._fds: deque[int] = deque()

    def receive(self) -> list[tuple[Message, int | None]]:
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
        messages = []
        while (message := self._next()) is not None:
            messages.append(message)
        return messages

    def _next(self) -> tuple[Message, int | None] | None:
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
        return _decode(body), self._fds.popleft() if count else None

    def close(self) -> None:
        while self._fds:
            os.close(self._fds.popleft())
