"""What a process pool and its workers say to each other, and how a message crosses a socket.

A message is a small msgpack struct, framed with the descriptor of a shared block that rides along (`ipc/framing.py`). A payload
(arguments or a result) is a head and its buffers: inside the message while it is small, in one shared block otherwise, so that no
large bytes go through the socket.

This file must never block the event loop: the pool's end of a socket is non-blocking and `Outbox` keeps what did not
fit.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

import msgspec

from headway.events import AnyEvent
from headway.ipc import framing, shm
from headway.ipc.framing import Outbox as Outbox
from headway.journal.records import Amounts, Error
from headway.pools.base import CallFacts, FunctionRef
from headway.pools.logs import Entry


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
    asks: bool = False  # whether the function may ask something of its run


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


class Opened(msgspec.Struct, frozen=True, array_like=True, tag="opened"):
    """Rank 0 of a gang waits for the other members at this address."""

    number: int
    address: str


class Done(msgspec.Struct, frozen=True, array_like=True, tag="done"):
    """The function returned; the payload is the value, encoded."""

    number: int
    payload: Payload


class Failed(msgspec.Struct, frozen=True, array_like=True, tag="failed"):
    number: int
    error: Error
    origins: list[int] = []  # errors that the run had told it


class Asked(msgspec.Struct, frozen=True, array_like=True, tag="asked"):
    """The function asks something of its run."""

    number: int
    payload: Payload


class Heard(msgspec.Struct, frozen=True, array_like=True, tag="heard"):
    """The run says something to the function."""

    number: int
    payload: Payload


class Stopped(msgspec.Struct, frozen=True, array_like=True, tag="stopped"):
    """The function was interrupted on request."""

    number: int


class Returned(msgspec.Struct, frozen=True, array_like=True, tag="returned"):
    """The function was not begun, and won't be: it was taken back while it waited for the one that runs."""

    number: int


Message = Work | Ready | Charged | Told | Logged | Asked | Heard | Opened | Done | Failed | Stopped | Returned


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


class Inbox(framing.Inbox[Message]):
    """Receives messages with their descriptors."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock, Message)
