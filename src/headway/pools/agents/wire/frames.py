"""Frames on the connection of an agent: many workers share it, and none holds up the others.

A frame is a kind, a worker's number, and bytes. What a worker and its pool say to each other travels as it is, unread: a message
as it stands on the worker's own socket, and where a shared block goes with it, the block's bytes after it in pieces. Frames of one
worker keep their order; workers take turns, a piece at a time, so a result of a gigabyte delays a heartbeat by one piece.

A `Link` never blocks: both ends drive it from a loop of their own.
"""

from __future__ import annotations

import os
import socket
import ssl
import struct
import time
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from headway.ipc import shm

PIECE_BYTES = 256 * 1024
MOST_BODY = 1 << 30
_HEADER = struct.Struct("<BIQ")  # kind, worker, length of the body
_NBYTES = struct.Struct("<Q")
_READ_BYTES = 1 << 18

(BEAT, START, STARTED, REFUSED, MESSAGE, LARGE, PIECE, CONTROL, LEAVE, KILL, EXITED, BYE, STORED) = range(13)
"""What a frame is: a sign of life; start a worker, it has this pid, it can't be started; a message, one with a block, a piece of
the block; bytes for the control socket; close its sockets, kill it, it has ended with this code; the agent is dismissed; a result
whose large buffers are in the store."""


class Frame(NamedTuple):
    """What has arrived; the descriptor of a block is the receiver's."""

    kind: int
    worker: int
    body: bytes
    fd: int | None = None


class BrokenLink(OSError):
    """What came is not what this protocol sends."""


class _Block:
    """A block on its way in."""

    def __init__(self, body: bytes) -> None:
        (self.missing,) = _NBYTES.unpack_from(body)
        self.message = bytes(memoryview(body)[_NBYTES.size :])
        self.fd = shm.anonymous_file("headway")

    def add(self, piece: bytes) -> bool:
        """Whether the block is complete with this piece."""
        if len(piece) > self.missing:
            raise BrokenLink("a block is longer than it was said to be")
        view = memoryview(piece)
        while view.nbytes:
            view = view[os.write(self.fd, view) :]
        self.missing -= len(piece)
        return not self.missing


class Link:
    """One end of an agent's connection. Owns the socket."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.heard_at = time.monotonic()
        self.sent_at = 0.0
        self._data = bytearray()
        self._blocks: dict[int, _Block] = {}
        self._out = memoryview(b"")  # what the socket takes next
        self._lines: dict[int, deque[Iterator[bytes] | bytes]] = {}  # what each worker's number has to say, in turns

    def fileno(self) -> int:
        return self.sock.fileno()

    # --- out ----------------------------------------------------------------------------------------------------------

    @property
    def pending(self) -> bool:
        """Whether something waits for the socket to take more."""
        return bool(self._out.nbytes or self._lines)

    def send(self, kind: int, worker: int = 0, body: bytes = b"", fd: int | None = None) -> None:
        """Send or keep a frame; with a descriptor, a message and its block. The descriptor is the link's from now on. Raises
        OSError where the connection is gone."""
        self.put(kind, worker, body, fd)
        self.flush()

    def put(self, kind: int, worker: int = 0, body: bytes = b"", fd: int | None = None) -> None:
        """Keep a frame for the next `flush`: what is sent together costs one wake-up of the other end."""
        if fd is not None:
            self._line(worker).append(_in_pieces(worker, body, _Source(fd)))
        else:
            self._line(worker).append(_HEADER.pack(kind, worker, len(body)) + body)

    def flush(self) -> None:
        """Send what is kept, as far as the socket takes it."""
        while self._out.nbytes or self._fill():
            try:
                sent = self.sock.send(self._out)
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                return
            self._out = self._out[sent:]
            self.sent_at = time.monotonic()

    def _line(self, worker: int) -> deque[Iterator[bytes] | bytes]:
        return self._lines.setdefault(worker, deque())

    def _fill(self) -> bool:
        """Take from each worker in turn until there is enough for the socket; False where nobody has anything to say."""
        parts: list[bytes] = []
        size = 0
        while self._lines and size < PIECE_BYTES:
            for worker, line in list(self._lines.items()):
                first = line[0]
                part = first if isinstance(first, bytes) else next(first, None)
                if part is not None:
                    parts.append(part)
                    size += len(part)
                if part is None or part is first:
                    line.popleft()
                    if not line:
                        del self._lines[worker]
        self._out = memoryview(parts[0] if len(parts) == 1 else b"".join(parts))
        return bool(parts)

    # --- in -----------------------------------------------------------------------------------------------------------

    def receive(self) -> list[Frame]:
        """What has arrived. Raises EOFError at the end, OSError where the connection broke."""
        frames: list[Frame] = []
        try:
            while True:
                data = self.sock.recv(_READ_BYTES)
                if not data:
                    raise EOFError
                self._data += data
                frames += self._parse()
                if not isinstance(self.sock, ssl.SSLSocket) or not self.sock.pending():
                    break
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except (EOFError, OSError) as error:
            if not frames:  # else the next read says it again
                raise EOFError(str(error)) if isinstance(error, ConnectionError | ssl.SSLEOFError) else error from error
        if frames:
            self.heard_at = time.monotonic()
        return frames

    def _parse(self) -> list[Frame]:
        found, at, data = [], 0, self._data
        while len(data) - at >= _HEADER.size:
            kind, worker, length = _HEADER.unpack_from(data, at)
            if kind > STORED or length > MOST_BODY:
                raise BrokenLink(f"a frame of kind {kind} with {length} bytes came: the other end speaks something else")
            end = at + _HEADER.size + length
            if len(data) < end:
                break
            body = bytes(memoryview(data)[at + _HEADER.size : end])
            at = end
            if kind == LARGE:
                self._blocks[worker] = _Block(body)
            elif kind == PIECE:
                block = self._blocks.get(worker)
                if block is None:
                    raise BrokenLink("a piece of no block came")
                if block.add(body):
                    del self._blocks[worker]
                    found.append(Frame(MESSAGE, worker, block.message, block.fd))
            else:
                found.append(Frame(kind, worker, body))
        if at:
            del data[:at]
        self.heard_at = time.monotonic()
        return found

    def close(self) -> None:
        """End the connection, and let go of what was on its way."""
        for block in self._blocks.values():
            os.close(block.fd)
        self._blocks.clear()
        self._lines.clear()
        self._out = memoryview(b"")
        self.sock.close()


class _Source:
    """A block to be sent; closed when nobody wants it any more."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.nbytes = os.fstat(fd).st_size

    def __del__(self) -> None:
        os.close(self.fd)


def _in_pieces(worker: int, body: bytes, source: _Source) -> Iterator[bytes]:
    """A message and its block as frames, read from the block as the socket takes them."""
    first = _NBYTES.pack(source.nbytes) + body
    yield _HEADER.pack(LARGE, worker, len(first)) + first
    at = 0
    while at < source.nbytes:
        piece = os.pread(source.fd, PIECE_BYTES, at)
        if not piece:
            raise BrokenLink("a block became shorter while it was sent")
        at += len(piece)
        yield _HEADER.pack(PIECE, worker, len(piece)) + piece
