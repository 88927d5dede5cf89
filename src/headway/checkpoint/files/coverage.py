"""Decides whether to commit: segments in, a manifest out, or the reason why there must be none. Pure.

A manifest is made only of segments that hold every element of every object exactly once, inside of their files, with a hash
for every block. The proof uses what the writers sealed, not what the plan asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headway.checkpoint.files.manifest import (
    Coverage,
    Fragment,
    Json,
    Manifest,
    Object,
    Segment,
    SegmentRef,
    block_nbytes,
)
from headway.checkpoint.layout.boxes import Box, hole, overlap, whole
from headway.checkpoint.layout.dtypes import NBYTES
from headway.errors import SaveFailed

_HASH_DIGITS = 32


class Draft(msgspec.Struct, frozen=True):
    """A manifest without what the segments say."""

    id: str
    step: int
    serial: int
    created: float
    objects: dict[str, Object]
    values: dict[str, Json]
    parent: str = ""
    metrics: dict[str, float] = {}
    layout: dict[str, Json] = {}
    provenance: dict[str, Json] = {}


def commit_manifest(segments: Sequence[tuple[SegmentRef, Segment]], draft: Draft) -> Manifest:
    """Make the manifest of these segments. Raises SaveFailed, naming the tensor and the place, unless they cover the state."""
    held: dict[str, list[tuple[Box, str]]] = {}
    for _, segment in segments:
        for fragment in segment.fragments:
            if flaw := _flaw(fragment, draft.objects.get(fragment.name), segment):
                raise SaveFailed(f"{fragment.name}{fragment.box} in {segment.file} {flaw}")
            held.setdefault(fragment.name, []).append((fragment.box, segment.file))
    for name, kept in draft.objects.items():
        if not kept.alias_of:
            _prove(name, kept, held.get(name, []))
        elif (target := draft.objects.get(kept.alias_of)) is None or target.alias_of:
            raise SaveFailed(f"{name} is said to be tied to {kept.alias_of}, which holds no bytes: it can't be saved")
    nbytes = sum(kept.nbytes for kept in draft.objects.values() if not kept.alias_of)
    coverage = Coverage(len(draft.objects), sum(map(len, held.values())), nbytes)
    return Manifest(
        id=draft.id,
        step=draft.step,
        serial=draft.serial,
        created=draft.created,
        objects=draft.objects,
        values=draft.values,
        segments=tuple(ref for ref, _ in segments),
        coverage=coverage,
        parent=draft.parent,
        metrics=draft.metrics,
        layout=draft.layout,
        provenance=draft.provenance,
    )


def _flaw(fragment: Fragment, kept: Object | None, segment: Segment) -> str:
    """Say why a fragment can't count: not of this save, outside of its object or file, or without all hashes. "" if it can."""
    if kept is None or kept.alias_of:
        return "is not part of the state that is being saved"
    box = fragment.box
    if len(box.offset) != len(kept.shape) or not whole(kept.shape).holds(box):
        return f"lies outside of the tensor, whose shape is {list(kept.shape)}"
    itemsize = NBYTES[kept.dtype]
    nbytes = box.volume * itemsize
    if fragment.start < segment.header_nbytes or fragment.start + nbytes > segment.nbytes:
        return f"has {nbytes:,} bytes from {fragment.start:,}, which are not in the file's {segment.nbytes:,} bytes of data"
    blocks = -(-nbytes // block_nbytes(fragment.extent, itemsize))
    if len(fragment.hashes) != _HASH_DIGITS * blocks:
        return f"has {blocks} blocks, but {len(fragment.hashes)} digits of hashes"
    return ""


def _prove(name: str, kept: Object, held: list[tuple[Box, str]]) -> None:
    """Raise SaveFailed unless the boxes hold every element of the object exactly once."""
    if len(held) == 1 and held[0][0] == whole(kept.shape):
        return
    boxes = [box for box, _ in held]
    if (twice := overlap(boxes)) is not None:
        files = " and ".join(sorted({file for box, file in held if box in twice}))
        raise SaveFailed(f"{name}: {twice[0]} and {twice[1]} overlap ({files}): two writers were given the same elements")
    if (missing := hole(kept.shape, boxes)) is not None:
        raise SaveFailed(f"{name}: nobody wrote {missing} of its {list(kept.shape)} elements ({len(boxes)} boxes were written)")
