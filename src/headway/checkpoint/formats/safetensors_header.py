"""Reads the header of another program's safetensors file, strictly. (`file_layout.py` makes our own.)

Eight bytes of length (little-endian), then JSON: for each tensor its type, shape and the bytes it has after the header. The format
allows no holes and no overlaps and fixes the size of the file, so a file that was cut off or pieced together is noticed here,
before one of its bytes is used. (The format: https://huggingface.co/docs/safetensors.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from headway.checkpoint.files.header_types import from_safetensors
from headway.checkpoint.layout.dtypes import NBYTES
from headway.errors import CheckpointDamaged, UsageError

_MOST_HEADER_BYTES = 100_000_000  # the format's own limit
_METADATA = "__metadata__"


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


_decode_entry = msgspec.json.Decoder(_Entry).decode


def read_header(file: Path) -> Header:
    """Read the header of a file.

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
        entries = {name: _decode_entry(entry) for name, entry in described.items()}
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CheckpointDamaged(f"{file}: its header is not what safetensors files have ({error})") from None
    return Header(8 + length, _tensors(file, entries, 8 + length, size), metadata)


def _tensors(file: Path, entries: Mapping[str, _Entry], begin: int, size: int) -> dict[str, Tensor]:
    tensors = {}
    at = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1].data_offsets):
        taken = from_safetensors(entry.dtype, entry.shape)
        if taken is None:
            raise UsageError(
                f"{file}: {name} has elements of type {entry.dtype} in shape {list(entry.shape)}, which can't be kept in a "
                "checkpoint"
            )
        dtype, shape = taken
        nbytes = math.prod(shape) * NBYTES[dtype]
        if min((*entry.shape, 0)) < 0 or entry.data_offsets != (at, at + nbytes):
            raise CheckpointDamaged(
                f"{file}: {name} of shape {list(entry.shape)} should have bytes {at} to {at + nbytes} of the data, "
                f"its header says {entry.data_offsets[0]} to {entry.data_offsets[1]}"
            )
        tensors[name] = Tensor(dtype, shape, begin + at, nbytes)
        at += nbytes
    if begin + at != size:
        raise CheckpointDamaged(f"{file}: has {size} bytes and should have {begin + at}: it is cut off or something was appended")
    return tensors
