"""The header of a safetensors file, read strictly and written.

Eight bytes of length (little-endian), then JSON: for each tensor its type, shape and the bytes it has after the header. The format
allows no holes and no overlaps and fixes the size of the file, so a file that was cut off or pieced together is noticed here,
before one of its bytes is used. (The format: https://huggingface.co/docs/safetensors.)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from headway.checkpoint.dtypes import NBYTES
from headway.errors import CheckpointDamaged, UsageError

PAGE = 4096
_MOST_HEADER_BYTES = 100_000_000  # the format's own limit
_METADATA = "__metadata__"
_STORED_AS = {"C128": ("F64", (2,))}  # what the format has no name for: element type, further dimensions


class Tensor(NamedTuple):
    """A tensor in a file: it begins at byte `start` of the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    nbytes: int


class Header(NamedTuple):
    nbytes: int
    tensors: dict[str, Tensor]
    metadata: dict[str, str]


class _Entry(msgspec.Struct):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


def read_header(file: Path) -> Header:
    """The header of a file.

    Raises:
        CheckpointDamaged: it is not whole or contradicts itself.
        UsageError: it has elements of a type that can't be kept.
    """
    size = file.stat().st_size
    with file.open("rb") as source:
        length = int.from_bytes(source.read(8), "little")
        if size < 8 or length > min(size - 8, _MOST_HEADER_BYTES):
            raise CheckpointDamaged(f"{file}: {size} bytes, too short for its header of {length}: cut off, or no safetensors file")
        text = source.read(length)
    try:
        described = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        metadata = msgspec.json.decode(described.pop(_METADATA, msgspec.Raw(b"{}")), type=dict[str, str])
        entries = {name: msgspec.json.decode(entry, type=_Entry) for name, entry in described.items()}
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CheckpointDamaged(f"{file}: its header is not what safetensors files have ({error})") from None
    return Header(8 + length, _tensors(file, entries, 8 + length, size), metadata)


def write_header(tensors: Iterable[tuple[str, str, tuple[int, ...]]], metadata: Mapping[str, str]) -> tuple[bytes, dict[str, int]]:
    """The header of a file with these tensors (name, element type, shape), and the byte at which each begins.

    Larger elements come first and the data begins at a page, so every tensor is aligned for its elements.

    Example:
        >>> header, starts = write_header([("b", "F32", (2,)), ("w", "F64", (2, 2))], {"format": "pt"})
        >>> len(header), starts
        (4096, {'w': 4096, 'b': 4128})
    """
    described: dict[str, object] = {_METADATA: dict(metadata)}
    places: dict[str, int] = {}
    at = 0
    for name, dtype, shape in sorted(tensors, key=lambda each: (-NBYTES[each[1]], each[0])):
        nbytes = math.prod(shape) * NBYTES[dtype]
        stored, more = _STORED_AS.get(dtype, (dtype, ()))
        described[name] = {"dtype": stored, "shape": (*shape, *more), "data_offsets": (at, at + nbytes)}
        places[name] = at
        at += nbytes
    text = msgspec.json.encode(described)
    length = -(-(8 + len(text)) // PAGE) * PAGE - 8
    return length.to_bytes(8, "little") + text.ljust(length), {name: 8 + length + place for name, place in places.items()}


def _tensors(file: Path, entries: Mapping[str, _Entry], begin: int, size: int) -> dict[str, Tensor]:
    tensors = {}
    at = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1].data_offsets):
        if entry.dtype not in NBYTES:
            raise UsageError(f"{file}: {name} has elements of type {entry.dtype}, which can't be kept in a checkpoint")
        nbytes = math.prod(entry.shape) * NBYTES[entry.dtype]
        if min((*entry.shape, 0)) < 0 or entry.data_offsets != (at, at + nbytes):
            raise CheckpointDamaged(
                f"{file}: {name} of shape {list(entry.shape)} should have bytes {at} to {at + nbytes} of the data, "
                f"its header says {entry.data_offsets[0]} to {entry.data_offsets[1]}"
            )
        tensors[name] = Tensor(entry.dtype, entry.shape, begin + at, nbytes)
        at += nbytes
    if begin + at != size:
        raise CheckpointDamaged(f"{file}: has {size} bytes and should have {begin + at}: it is cut off or something was appended")
    return tensors
