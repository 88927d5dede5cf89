"""Large results that go from an agent into the blob store, where both it and the driver reach that: the driver is told the names.

An agent is told where the blobs of the run lie, and the name of one that the driver has put there. If it finds that one, the place
is the same. Then it puts each large buffer of a result there, under its hash, before it tells the result. The journal names blobs
in the same way, so it finds them written. Everything else goes over the connection.
"""

from __future__ import annotations

import secrets
from typing import NamedTuple

import msgspec

from headway.errors import HeadwayError
from headway.pools.workers import messages
from headway.storage.blobs import hash_blob
from headway.storage.large import LARGE_BYTES, LargeBlobs

DIRECT_BYTES = LARGE_BYTES
"""A buffer above this size is put into the store; what is smaller costs less on the connection than a synced file."""


class Stored(msgspec.Struct, frozen=True, array_like=True):
    """A result of a call whose large buffers are in the store.

    Attributes:
        number: the call, as in the worker's message.
        parts: the head and the buffers; None in the place of one that is in the store.
        names: the names of those, in order.
    """

    number: int
    parts: list[bytes | None]
    names: list[bytes]


class Fetched(NamedTuple):
    """A result as the driver has it: its head, its buffers as they were sent, and once more as memory of the value's own."""

    head: bytes
    buffers: list[memoryview]
    own: list[memoryview]


def leave_probe(place: str) -> bytes:
    """Put a blob into the store by which agents see that it is the same; its name, empty where nothing can be put there. Blocks."""
    mark = b"headway agents" + secrets.token_bytes(16)
    try:
        LargeBlobs(place).put(hash_blob(mark), mark)
    except (HeadwayError, OSError):
        return b""
    return hash_blob(mark)


def reach(place: str, probe: bytes) -> LargeBlobs | None:
    """The blobs of the run, where this machine sees those of the driver. Blocks."""
    if not place or not probe:
        return None
    blobs = LargeBlobs(place)
    try:
        blobs.get(probe)
    except (HeadwayError, OSError, ImportError):  # another machine's folder, or no library for the object store here
        return None
    return blobs


def is_large(body: bytes) -> bool:
    """Whether a message of a worker is a result with buffers for the store."""
    done = _as_done(body)
    return done is not None and any(size > DIRECT_BYTES for size in done.payload.sizes[1:])


def put_result(blobs: LargeBlobs, body: bytes, fd: int) -> Stored | None:
    """Put the large buffers of a result into the store. None where that can't be done: the result then goes over the connection.
    Blocks."""
    done = _as_done(body)
    if done is None:
        return None
    head, buffers = messages.unpack_shared(done.payload, fd)
    parts: list[bytes | None] = [head]
    names: list[bytes] = []
    try:
        for buffer in buffers:
            if buffer.nbytes <= DIRECT_BYTES:
                parts.append(bytes(buffer))
                continue
            name = hash_blob(buffer)
            blobs.put(name, buffer)
            parts.append(None)
            names.append(name)
    except (HeadwayError, OSError):  # a full disk here need not be one there
        return None
    return Stored(done.number, parts, names)


def fetch(blobs: LargeBlobs, stored: Stored) -> Fetched:
    """Read the buffers of a result. Raises StoreError. Blocks."""
    names = iter(stored.names)
    head, *rest = stored.parts
    buffers, own = [], []
    for part in rest:
        if part is None:
            name = next(names)
            buffers.append(blobs.get(name).toreadonly())
            own.append(blobs.get(name))
        else:
            buffers.append(memoryview(part))
            own.append(memoryview(bytearray(part)))
    return Fetched(head or b"", buffers, own)


def _as_done(body: bytes) -> messages.Done | None:
    try:
        return msgspec.msgpack.decode(body, type=messages.Done)
    except msgspec.DecodeError:  # what another kind of message is, is no business of an agent
        return None
