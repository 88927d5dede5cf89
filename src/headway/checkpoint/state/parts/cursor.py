"""Cursors record exactly how far the data was read, whatever the number of ranks was and will be.

Samples are numbered through all epochs: index `i` is sample `i % total` of epoch `i // total`. They are dealt to shards in rounds
of `shards * block` indices, `block` for each shard in turn. A shard draws its own indices as fast as it likes. What it drew but has
not finished (prefetched, or half packed into a sequence) is its residual. So the unfinished indices are always these: the
residuals, the undrawn parts of rounds that some shard has begun, and everything after the last begun round.

A run with the same number of shards goes on exactly where each shard was. With another number, what is left of begun rounds is
merged in order and dealt to the new shards in turn, before the next whole round. No index is lost and none is finished twice. Every
new shard computes this for itself from what all old shards saved, so the ranks need no message.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from headway.checkpoint.state.inventory_builder import InventoryBuilder
from headway.checkpoint.state.parts.source import Source
from headway.checkpoint.state.torch.generators import as_array
from headway.checkpoint.state.values.tree import decode
from headway.errors import CheckpointMismatch, UsageError


class Dealt(NamedTuple):
    """Where a shard is. `base`: the first index of the first round. `rounds`: how many it began. `pending`: what to draw before the
    next round, in order: indices that were dealt and never drawn, or drawn and not finished when the state was saved."""

    shard: int
    shards: int
    block: int
    base: int
    rounds: int
    pending: tuple[int, ...]

    @property
    def next_round(self) -> int:
        """The first index of the round that it begins next."""
        return self.base + self.rounds * self.shards * self.block

    def deal(self, start: int) -> range:
        """Return what it gets of the round that begins at `start`."""
        first = start + self.shard * self.block
        return range(first, first + self.block)


def deal_anew(saved: Sequence[Dealt], shard: int, shards: int, block: int) -> Dealt:
    """Deal what all shards of an old deal have left, and return the part of one new shard."""
    first = saved[0]
    if (shards, block) == (first.shards, first.block):
        return next(each for each in saved if each.shard == shard)
    base = max(each.next_round for each in saved)
    left = sorted(index for each in saved for index in _list_left(each, base))
    return Dealt(shard, shards, block, base, 0, tuple(left[shard::shards]))


def _list_left(dealt: Dealt, stop: int) -> list[int]:
    """List what a shard has left of all rounds before `stop`."""
    step = dealt.shards * dealt.block
    return [*dealt.pending, *(index for start in range(dealt.next_round, stop, step) for index in dealt.deal(start))]


class Cursor(Source):
    """The place of one shard in the data, as a part of the state.

    Ranks that read the same data (those of one tensor-parallel group) have the same shard.

    Args:
        total: samples in an epoch.
        shard: which one this is, from 0.
        shards: how many there are.
        block: how many indices in a row a shard gets.

    Raises:
        UsageError: a number makes no sense.

    Example:
        >>> cursor = Cursor(10, shard=1, shards=2, block=2)
        >>> cursor.draw(3)
        [2, 3, 6]
        >>> cursor.done([2, 3]); cursor.residual
        [6]
    """

    def __init__(self, total: int, *, shard: int = 0, shards: int = 1, block: int = 1) -> None:
        if total < 1 or block < 1 or not 0 <= shard < shards:
            raise UsageError(f"a cursor over {total} samples for shard {shard} of {shards} in blocks of {block}")
        self.total = total
        self._dealt = Dealt(shard, shards, block, 0, 0, ())
        self._ahead: deque[int] = deque()
        self._residual: dict[int, None] = {}  # in order

    @property
    def residual(self) -> list[int]:
        """What was drawn and is not done, in the order in which it was drawn."""
        return list(self._residual)

    def draw(self, count: int = 1) -> list[int]:
        """Draw the next indices of this shard. They are residual until `done`.

        Args:
            count: how many.

        Returns:
            Indices: sample `index % total` of epoch `index // total`.
        """
        while len(self._ahead) < count:
            self._ahead.extend(self._dealt.deal(self._dealt.next_round))
            self._dealt = self._dealt._replace(rounds=self._dealt.rounds + 1)
        drawn = [self._ahead.popleft() for _ in range(count)]
        self._residual.update(dict.fromkeys(drawn))
        return drawn

    def done(self, indices: Iterable[int]) -> None:
        """Mark indices as done: the step that used them is part of the state, so they are never drawn again.

        Args:
            indices: what was drawn.

        Raises:
            UsageError: something was not drawn, or is done already.
        """
        for index in indices:
            if index not in self._residual:
                raise UsageError(f"index {index} was not drawn from this cursor, or is done with already")
            del self._residual[index]

    def take(self, count: int = 1) -> list[int]:
        """Draw indices and be done with them.

        Args:
            count: how many.

        Returns:
            Indices, as `draw` gives them.
        """
        drawn = self.draw(count)
        self.done(drawn)
        return drawn

    def dealt(self) -> Dealt:
        """Where it is. The residual would be drawn again, first."""
        return self._dealt._replace(pending=(*self._residual, *self._ahead))

    def put_into(self, builder: InventoryBuilder, path: str) -> None:
        """Put this shard's place there; when loading, fetch the places of all shards."""
        import numpy as np

        prefix = f"{path}." if path else ""
        if builder.saved is None:
            mine = self.dealt()
            tree: dict[str, Any] = {**mine._asdict(), "total": self.total, "pending": np.array(mine.pending, "int64")}
            builder.tree(f"{prefix}{mine.shard}", tree, "cursor", _nothing)
            return
        saved: dict[int, Dealt] = {}
        for name in self._saved_shards(builder, prefix):
            builder.tree(name, None, "cursor", lambda tree: saved.update({tree["shard"]: _parse_dealt(tree)}))
        builder.then(lambda values: self._go_on(list(saved.values())), path)

    def _saved_shards(self, builder: InventoryBuilder, prefix: str) -> list[str]:
        """List the names of all saved shards. Raises CheckpointMismatch if one is missing or they don't belong together."""
        values, where = builder.saved.values if builder.saved else {}, prefix.removesuffix(".") or "the state"
        names = [name for name in values if name.startswith(prefix) and name[len(prefix) :].isdigit() and builder.select(name)]
        if not names:
            return [f"{prefix}{self._dealt.shard}"]  # it is missing, which is reported as for any other name
        trees = [decode(values[name], lambda mark, at: None) for name in names]
        deals = {tuple(tree[key] for key in ("shards", "block", "base")) for tree in trees}
        if len(deals) > 1 or sorted(tree["shard"] for tree in trees) != list(range(trees[0]["shards"])):
            found = ", ".join(f"{tree['shard']} of {tree['shards']}" for tree in trees)
            raise CheckpointMismatch(f"the cursor {where} was saved by shards that are not those of one deal: {found}")
        if trees[0]["total"] != self.total:
            raise CheckpointMismatch(f"the cursor {where} has {self.total} samples, and had {trees[0]['total']} when it was saved")
        return names

    def _go_on(self, saved: list[Dealt]) -> None:
        if saved:
            dealt = deal_anew(saved, self._dealt.shard, self._dealt.shards, self._dealt.block)
            self._dealt, self._ahead, self._residual = dealt._replace(pending=()), deque(dealt.pending), {}


def _parse_dealt(tree: dict[str, Any]) -> Dealt:
    pending = tuple(map(int, as_array(tree["pending"])))
    return Dealt(tree["shard"], tree["shards"], tree["block"], tree["base"], tree["rounds"], pending)


def _nothing(value: object) -> None:
    """Nothing is loaded while saving."""
