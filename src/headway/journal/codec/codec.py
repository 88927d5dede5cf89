"""The codec: values to bytes and back, by type, without pickle.

A result must come back equal and of the same type in a process that knows the same types, and must not run code that
happens to be named in it. `wire` has the format and the walk; the kinds live in `values` (the standard library),
`models` (types that users define), `arrays` (numpy, torch), `tables` (pandas, polars, Arrow) and `errors`
(exceptions). This file is the door: other rooms import from here.

    >>> head, buffers = encode({"answer": (42, {1, 2})})
    >>> decode(head, buffers)
    {'answer': (42, {1, 2})}
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from headway.errors import NotEncodable, StoreDamaged
from headway.journal.codec import arrays, models, tables, values  # noqa: F401 - each registers its kinds
from headway.journal.codec.declared import declare, register
from headway.journal.codec.errors import Kept, add_note, keep_error, rebuild_error, text_of
from headway.journal.codec.wire import OUT_OF_BAND, SCALARS, Reader, Refused, StandIn, Writer, pack
from headway.journal.records import Error
from headway.journal.store import Buffer

__all__ = [
    "OUT_OF_BAND",
    "Buffer",
    "Encoded",
    "Kept",
    "StandIn",
    "add_note",
    "declare",
    "decode",
    "decode_error",
    "digest",
    "encode",
    "encode_error",
    "keep_error",
    "register",
    "text_of",
    "value_digest",
]


class Encoded(NamedTuple):
    """A value as bytes: a head that describes itself, and the large buffers that it refers to by number."""

    head: bytes
    buffers: tuple[Buffer, ...] = ()


_new = tuple.__new__
_NO_BUFFERS: tuple[Buffer, ...] = ()


def encode(value: object, *, where: str = "result", pickle: bool = False, copy: bool = True) -> Encoded:
    """Encode a value.

    Buffers of at least `OUT_OF_BAND` bytes are put aside. With `copy=False` they are views of the value's memory, for a
    caller who writes them before anyone can change them. With `pickle=True` parts without an encoding are pickled.
    Raises NotEncodable, naming the part after `where`: "result.items[3].client is a Client, which has no encoding".
    """
    if type(value) in SCALARS:
        try:
            return _new(Encoded, (pack(value), _NO_BUFFERS))
        except (OverflowError, UnicodeEncodeError):
            pass
    return _encode(value, where, pickle, copy)


def _encode(value: object, where: str, pickle: bool, copy: bool) -> Encoded:
    try:
        try:
            writer = Writer(pickle=pickle, copy=copy)
            head = pack(writer.lower(value))
        except (OverflowError, UnicodeEncodeError):  # an int beyond 64 bits, or a broken string, somewhere inside
            writer = Writer(pickle=pickle, copy=copy, careful=True)
            head = pack(writer.lower(value))
    except Refused as refused:
        raise NotEncodable(refused.text(where)) from refused.__cause__
    except RecursionError:
        raise NotEncodable(f"{where} is nested too deep for the stack that is left here: store a flat list") from None
    return Encoded(head, tuple(writer.buffers))


def _meet_extension(code: int, data: memoryview) -> object:
    raise _HasExtension


class _HasExtension(Exception):
    pass


_decode_plain = msgspec.msgpack.Decoder(ext_hook=_meet_extension).decode


def decode(
    head: Buffer,
    buffers: Sequence[Buffer] | Callable[[int], Buffer] = (),
    *,
    lenient: bool = False,
    pickle: bool = False,
) -> Any:
    """The value that `encode` was given; `buffers` are its buffers, or a function that fetches one by number.

    With `lenient=True`, for people, parts of unknown types, missing buffers and pickles show as `StandIn`s.
    Raises NotDecodable where a type is not declared here, StoreDamaged where the head is not what `encode` wrote.
    """
    try:
        return _decode_plain(head)
    except _HasExtension:
        pass
    except msgspec.DecodeError as error:
        raise _make_damaged(error) from None
    try:
        return Reader(buffers, lenient=lenient, pickle=pickle).read(head)
    except msgspec.DecodeError as error:
        raise _make_damaged(error) from None


def _make_damaged(error: Exception) -> StoreDamaged:
    return StoreDamaged(f"a recorded value does not have the bytes that were written ({error}): run `headway doctor`")


def encode_error(exc: BaseException) -> Error:
    """An exception as data: type, text, the end of its traceback, and its arguments if they can be. Never fails."""
    return keep_error(exc).record


def decode_error(error: Error, *, remote: bool = False) -> BaseException:
    """The exception again: of the same class where that is loaded, else of one that stands for it, which the same `except` clauses
    catch; a RemoteError where another process has told of it (`remote`). Runs no `__init__` of a user, and never fails."""
    return rebuild_error(error, remote=remote)


def digest(data: Buffer) -> bytes:
    """The name of a buffer by its content: 16 bytes of BLAKE2b."""
    return hashlib.blake2b(data, digest_size=16).digest()


def value_digest(head: bytes, blob_digests: Sequence[bytes] = ()) -> bytes:
    """The name of an encoded value by its content, from its head and the digests of its buffers."""
    if not blob_digests:
        return hashlib.blake2b(head, digest_size=16).digest()
    whole = hashlib.blake2b(head, digest_size=16, person=b"headway.value")
    for one in blob_digests:
        whole.update(one)
    whole.update(len(blob_digests).to_bytes(8, "little"))
    return whole.digest()
