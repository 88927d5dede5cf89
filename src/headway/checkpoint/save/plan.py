"""Plans who writes what: a pure function from what all ranks hold to what each of them puts into its file.

Every rank lists the boxes that it has in a `Table`. A box that several ranks have is written by one of them. Parameters and
moments go, largest first, to the holder that has least to write so far. Everything else is taken from the first rank that has it,
because a mix of buffers from several ranks would be a state that no rank ever had (`replicas.py` compares them). Boxes that overlap
without being equal (one rank has a whole tensor, another a half of it) are cut, so that every element is written exactly once. All
ranks compute the same plan from the same tables, so nothing has to be sent back. What ranks must agree on (types, shapes, plain
values such as the step) is compared here, and a hole is found here, before a byte is copied.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from headway.checkpoint.files.manifest import Json, Object
from headway.checkpoint.layout.boxes import Box, hole, overlap, whole
from headway.checkpoint.layout.dtypes import NBYTES
from headway.checkpoint.state.inventory import Inventory
from headway.errors import CheckpointMismatch

TRAINED = ("param", "moment")
"""Kinds that the optimizer changes, on all ranks in the same way."""


class Table(msgspec.Struct, frozen=True):
    """What one rank holds. `synced`: buffers that the first rank sends to the others before they are used."""

    objects: dict[str, Object]
    boxes: dict[str, tuple[Box, ...]]
    synced: tuple[str, ...] = ()


class Share(msgspec.Struct, frozen=True):
    """What one rank writes: boxes by the name of their object."""

    boxes: tuple[tuple[str, Box], ...]


class Replica(NamedTuple):
    """A box that several ranks have."""

    name: str
    box: Box
    ranks: tuple[int, ...]


class SavePlan(msgspec.Struct, frozen=True):
    """`replicas`: what must be the same on several ranks."""

    objects: dict[str, Object]
    shares: tuple[Share, ...]
    replicas: tuple[Replica, ...] = ()


def table_of(inventory: Inventory) -> Table:
    """Make the table of this process."""
    objects = {holding.name: holding.object for holding in inventory.holdings}
    boxes = {holding.name: tuple(piece.box for piece in holding.pieces) for holding in inventory.holdings}
    return Table(objects | inventory.aliases, boxes, tuple(holding.name for holding in inventory.holdings if holding.synced))


def plan_save(tables: Sequence[Table], *, balanced: bool = True) -> SavePlan:
    """Share the work out. `balanced`: parameters and moments are the same on all ranks that have them, so any may write them.
    Raises CheckpointMismatch if ranks contradict each other or leave a hole."""
    objects = _agree_on_objects(tables)
    holders: dict[str, dict[Box, list[int]]] = {}
    for rank, table in enumerate(tables):
        for name, boxes in table.boxes.items():
            for box in boxes:
                holders.setdefault(name, {}).setdefault(Box(*box), []).append(rank)
    parts: list[tuple[int, str, Box, list[int]]] = []
    for name, known in objects.items():
        if not known.alias_of:
            for box, ranks in _disjoint(name, known, holders.get(name, {})).items():
                parts.append((box.volume * NBYTES[known.dtype], name, box, ranks))
    load = [0] * len(tables)
    shares: list[list[tuple[str, Box]]] = [[] for _ in tables]
    free = {name for name, known in objects.items() if balanced and known.kind in TRAINED}
    for nbytes, name, box, ranks in sorted(parts, key=lambda part: (part[1] in free, -part[0], part[1], part[2])):
        rank = min(ranks, key=lambda each: (load[each], each)) if name in free else min(ranks)
        load[rank] += nbytes
        shares[rank].append((name, box))
    synced = {name for table in tables for name in table.synced}
    held = [part for part in parts if part[0] and len(part[3]) > 1 and part[1] not in synced]
    replicas = sorted(Replica(name, box, tuple(ranks)) for _, name, box, ranks in held)
    return SavePlan(objects, tuple(Share(tuple(share)) for share in shares), tuple(replicas))


def _disjoint(name: str, known: Object, held: dict[Box, list[int]]) -> dict[Box, list[int]]:
    """Cut the boxes so that none overlap, and find the ranks that have all of each."""
    if not math.prod(known.shape):
        return {whole(known.shape): sorted({rank for ranks in held.values() for rank in ranks} or {0})}
    held = {box: ranks for box, ranks in held.items() if box.volume}
    if overlap(held) is not None:
        cut: dict[Box, list[int]] = {}
        for box in sorted(held, key=lambda each: (-each.volume, each)):
            rest = [box]
            for taken in list(cut):
                rest = [part for left in rest for part in left.minus(taken)]
            for part in rest:
                cut[part] = sorted({rank for other, ranks in held.items() if other.holds(part) for rank in ranks})
        held = cut
    missing = hole(known.shape, held)
    if missing is not None:
        raise CheckpointMismatch(
            f"{name}: no rank has {missing} of its shape {list(known.shape)}. A shard that is a plain tensor has to be declared: "
            "give the layout (hw.checkpoint.Layout) or use DTensor"
        )
    return held


def _agree_on_objects(tables: Sequence[Table]) -> dict[str, Object]:
    objects: dict[str, Object] = {}
    for rank, table in enumerate(tables):
        for name, known in table.objects.items():
            first = objects.setdefault(name, known)
            if known.alias_of and not first.alias_of:
                continue  # tied here, but a stage of its own elsewhere
            if first.alias_of and not known.alias_of:
                objects[name] = known
            elif (first.dtype, first.shape) != (known.dtype, known.shape):
                raise CheckpointMismatch(
                    f"{name}: rank {rank} has {known.dtype} {list(known.shape)}, an earlier one {first.dtype} {list(first.shape)}"
                )
    return objects


def agree_on_values(held: Sequence[Mapping[str, Json]]) -> dict[str, Json]:
    """Merge the plain values of all ranks. Raises CheckpointMismatch if two contradict each other."""
    values: dict[str, Json] = {}
    for rank, mine in enumerate(held):
        for name, value in mine.items():
            if values.setdefault(name, value) != value:
                raise CheckpointMismatch(
                    f"{name}: rank {rank} has {value!r}, an earlier one {values[name]!r}. What differs by rank is "
                    "kept by what it belongs to (hw.checkpoint.Streams, hw.checkpoint.Cursor), or by rank (hw.checkpoint.PerRank)"
                )
    return values


def merge_values(held: Sequence[Mapping[str, Json]]) -> tuple[dict[str, Json], dict[str, tuple[int, ...]]]:
    """Merge the plain values of all ranks, each as the first rank has it, and find the ranks that have another one."""
    values: dict[str, Json] = {}
    wrong: dict[str, list[int]] = {}
    for rank, mine in enumerate(held):
        for name, value in mine.items():
            if values.setdefault(name, value) != value:
                wrong.setdefault(name, []).append(rank)
    return values, {name: tuple(ranks) for name, ranks in wrong.items()}
