"""Lays out one writer's data file, a valid safetensors file, before a byte of it is copied.

The shared buffer of a save is this file, header and data, so the helper process writes straight out of it. Two properties make that
work. The header is padded so that the data begins at a page: chunks of the buffer are chunks of the file, both aligned. And
fragments are ordered by element size, largest first, without holes: every array is aligned for its elements, and any safetensors
reader accepts the file. Within a size the order depends on names alone, so two saves of one state have the same layout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from headway.checkpoint.files.header_types import to_safetensors
from headway.checkpoint.files.manifest import Object, PlannedFragment
from headway.checkpoint.layout.boxes import Box
from headway.checkpoint.layout.dtypes import NBYTES
from headway.errors import UsageError

PAGE = 4096


class FileImage(NamedTuple):
    """A data file: its first bytes, and what comes after them."""

    header: bytes
    fragments: tuple[PlannedFragment, ...]
    nbytes: int


class SaveImage(NamedTuple):
    """The buffer of a save: first its data file, then what is expected to be on the disk already."""

    file: FileImage
    still: tuple[PlannedFragment, ...]
    nbytes: int

    @property
    def fragments(self) -> tuple[PlannedFragment, ...]:
        """All fragments, in the order of their bytes."""
        return (*self.file.fragments, *self.still)


def lay_out_save(parts: Sequence[tuple[str, Object, Box]], still: Sequence[tuple[str, Object, Box]], id: str) -> SaveImage:
    """Lay out the buffer of a save that writes `parts` and checks whether `still` is unchanged. Raises UsageError as `lay_out`."""
    file = lay_out(parts, id)
    at = -(-file.nbytes // PAGE) * PAGE
    fragments: list[PlannedFragment] = []
    for name, kept, box in sorted(still, key=_by_itemsize):
        fragments.append(PlannedFragment(name, kept, box.offset, box.extent, at))
        at += fragments[-1].nbytes
    return SaveImage(file, tuple(fragments), at if still else file.nbytes)


def lay_out(
    parts: Sequence[tuple[str, Object, Box]],
    id: str,
    metadata: Mapping[str, str] | None = None,
) -> FileImage:
    """Lay out the file that holds these boxes of these objects, for the checkpoint `id`, or, with `metadata`, for other programs.

    Raises UsageError where two of them would have one key.

    Example:
        >>> image = lay_out([("b", Object("F32", (8,)), Box((0,), (4,)))], "6a1f")
        >>> image.fragments[0].start, image.nbytes
        (4096, 4112)
    """
    described: dict[str, dict[str, object]] = {}
    placed: list[tuple[str, Object, Box, int]] = []
    at = 0
    for name, kept, box in sorted(parts, key=_by_itemsize):
        nbytes = box.volume * NBYTES[kept.dtype]
        dtype, shape = to_safetensors(kept.dtype, box.extent)
        key = key_of(name, kept.shape, box)
        if key in described or key == "__metadata__":
            raise UsageError(f"two parts of the state would both be {key!r} in {id}: rename one of them")
        described[key] = {"dtype": dtype, "shape": shape, "data_offsets": (at, at + nbytes)}
        placed.append((name, kept, box, at))
        at += nbytes
    about = {"format": "headway", "id": id} if metadata is None else metadata
    header = _header({"__metadata__": dict(about), **described})
    fragments = tuple(PlannedFragment(name, kept, *box, len(header) + start) for name, kept, box, start in placed)
    return FileImage(header, fragments, len(header) + at)


def _by_itemsize(part: tuple[str, Object, Box]) -> tuple[int, str, Box]:
    """Sort large elements first, so that no array needs a hole before it."""
    name, kept, box = part
    return -NBYTES[kept.dtype], name, box


def key_of(name: str, shape: tuple[int, ...], box: Box) -> str:
    """Name a box in a file's header: the object's name, and the box's place unless it is the whole object.

    Example:
        >>> key_of("w", (8, 8), Box((0, 4), (2, 4)))
        'w@0,4+2,4'
    """
    if box.is_whole(shape):
        return name
    return f"{name}@{','.join(map(str, box.offset))}+{','.join(map(str, box.extent))}"


def _header(described: dict[str, dict[str, object]]) -> bytes:
    text = msgspec.json.encode(described)
    size = -(-(8 + len(text)) // PAGE) * PAGE - 8
    return size.to_bytes(8, "little") + text.ljust(size)
