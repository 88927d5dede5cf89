"""Lays out one rank's buffer from the plan of a save: what lies where, and from where in memory it is copied. Pure."""

from __future__ import annotations

from collections.abc import Collection

from headway.checkpoint.files.file_layout import SaveImage, lay_out_save
from headway.checkpoint.files.manifest import Object
from headway.checkpoint.layout.boxes import Box
from headway.checkpoint.layout.dtypes import NBYTES
from headway.checkpoint.save.expected import LEAST_BYTES
from headway.checkpoint.save.plan import SavePlan
from headway.checkpoint.save.snapshot import Copy
from headway.checkpoint.state.inventory import Inventory


def lay_out_share(plan: SavePlan, rank: int, expected: Collection[str], id: str) -> SaveImage:
    """Lay out the buffer of what a rank writes. Large boxes that are expected to be on disk already are not in its file."""
    parts: list[tuple[str, Object, Box]] = []
    still: list[tuple[str, Object, Box]] = []
    for name, box in plan.shares[rank].boxes:
        known = plan.objects[name]
        large = box.volume * NBYTES[known.dtype] >= LEAST_BYTES
        (still if large and name in expected else parts).append((name, known, box))
    return lay_out_save(parts, still, id)


def find_copies(inventory: Inventory, image: SaveImage) -> list[Copy]:
    """Find where in this process's memory the contents of the buffer are."""
    held = {holding.name: holding for holding in inventory.holdings}
    items: list[Copy] = []
    for fragment in image.fragments:
        if fragment.nbytes:
            holding = held[fragment.name]
            piece = next(piece for piece in holding.pieces if piece.box.holds(fragment.box))
            items.append(Copy(holding, piece.narrow(fragment.box), fragment.start))
    return items
