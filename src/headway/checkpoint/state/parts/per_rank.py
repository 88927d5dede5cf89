"""`PerRank` marks what each rank has for itself, and names it by rank.

Any other name of a state means the same on all ranks, and is saved from one of them. If every rank has a value of its own
(generators seeded with seed + rank, the counters of a data loader), all ranks would get the same one after a load. So it is named
`<path>.rank-<rank>-of-<ranks>`, and each rank gets its own back.

The number of ranks is part of the name, because nobody knows what the third of four ranks becomes when there are two. Such a load
is refused, or the value begins anew if the program allows that. What must survive a change of ranks belongs to the work: see
`Streams` and `Cursor`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from headway.checkpoint.layout.placing import Placer
from headway.checkpoint.state.inventory_builder import InventoryBuilder
from headway.checkpoint.state.parts.source import Source
from headway.checkpoint.state.walk import put_all
from headway.errors import CheckpointMismatch


class PerRank(Source):
    """A part of the state that each rank has for itself: an array, a number, a `Rng`, or a dictionary of such.

    Args:
        value: any state, as `Checkpoints.save` takes it. Arrays are loaded in place; read what is replaced by loading, a number or
            a string, from `.value` again.
        fresh: if another number of ranks saved it, leave it as it is in the state, with a warning. False: refuse such a load.

    Example:
        >>> import numpy, tempfile
        >>> from headway import Checkpoints
        >>> state = {"w": numpy.zeros(3), "seen": PerRank(12)}
        >>> with Checkpoints(tempfile.mkdtemp()) as ck:
        ...     ck.save(state, step=1).durable()
        ...     state["seen"].value = 0
        ...     _ = ck.load(into=state)
        ...     state["seen"].value, list(ck.latest().values)
        (12, ['seen.rank-0-of-1'])
    """

    def __init__(self, value: Any, *, fresh: bool = False) -> None:
        self.value = value
        self.fresh = fresh

    def __repr__(self) -> str:
        return f"PerRank({self.value!r})"

    def parts(self) -> Iterator[Any]:
        """List the one state inside."""
        yield self.value

    def put_into(self, builder: InventoryBuilder, path: str) -> None:
        """Put it there under this rank's name. No rule of a layout applies, because it is nobody's shard."""
        if others := _of_other_ranks(builder, path):
            differ = _differ(builder, path, others)
            if not self.fresh:
                raise CheckpointMismatch(
                    f"{differ}: which of them would get which is not known. Nothing was changed. Start as many ranks, or leave it "
                    f"as it is: PerRank(…, fresh=True), or select=lambda name: not name.startswith({path + '.'!r})"
                )
            builder.decline(others, f"{differ}: it begins as it is in the state")
            return
        before, builder.placer = builder.placer, Placer()
        try:
            put_all(self.value, builder, _add_rank(path, builder.rank, builder.ranks), self._replace)
        finally:
            builder.placer = before

    def _replace(self, value: Any) -> None:
        self.value = value


def _add_rank(path: str, rank: int, ranks: int) -> str:
    return f"{path}.rank-{rank}-of-{ranks}" if path else f"rank-{rank}-of-{ranks}"


def _of_other_ranks(builder: InventoryBuilder, path: str) -> dict[str, int]:
    """Find the names to load that another number of ranks saved, with that number; none if as many ranks saved them."""
    if builder.saved is None or not builder.strict:
        return {}
    pattern = re.compile(re.escape(f"{path}." if path else "") + r"rank-\d+-of-(\d+)(?:\..*)?")
    names = (name for name in (*builder.saved.objects, *builder.saved.values) if builder.select(name))
    found = {match[0]: int(match[1]) for match in map(pattern.fullmatch, names) if match}
    return {} if builder.ranks in found.values() else found


def _differ(builder: InventoryBuilder, path: str, others: dict[str, int]) -> str:
    before = min(others.values())
    saved = f"{before} rank{'s' if before > 1 else ''}"
    now = f"are {builder.ranks} ranks" if builder.ranks > 1 else "is 1 rank"
    return f"{path or 'the state'} is PerRank and was saved by {saved}, each its own, and there {now} now"
