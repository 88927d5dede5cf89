"""Flat buffers: 1-D ranges of all parameters put one after another, as ZeRO-1/2 optimizers and FSDP1 keep them.

A rank has elements `start <= i < start + len(tensor)` of the buffer that all ranks' tensors make together, so a parameter may begin
on one rank and end on the next, and between parameters and at the end there may be alignment padding. The program declares this
once, with the names and shapes of the parameters in their order. A checkpoint holds only parameters, each with the boxes that this
rank has, so any other layout can load it. Where parameters are shards themselves (ZeRO-1 over tensor parallelism), the shapes are
those of the shards, and the rules of the layout apply to the names.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headway.checkpoint.files.manifest import Kind
from headway.checkpoint.state.inventory_builder import InventoryBuilder, Member
from headway.checkpoint.state.libraries import local_of
from headway.checkpoint.state.parts.source import Source
from headway.errors import LayoutError

Parameters = Mapping[str, Sequence[int]] | Sequence[tuple[str, Sequence[int]]]


@dataclass(frozen=True, eq=False)
class Flat(Source):
    """A rank's range of a flat buffer, as a part of the state.

    Attributes:
        tensor: 1-D, of numpy or torch: elements from `start` on of the buffer.
        parameters: names and (local) shapes of all parameters in the buffer, in order. In a state, the names come after the key
            that this is under; in a `FlatOptimizer`, they are the names that the parameters have in the state.
        start: which element of the buffer is this tensor's first.
        align: each parameter begins at a multiple of it.
        offsets: or where each begins, if that is no multiple of anything.

    Example:
        >>> import numpy
        >>> half = Flat(numpy.zeros(6), parameters={"w": (2, 4), "b": (2,)}, start=6)
        >>> [(name, begin, end) for name, _, begin, end, _ in half.ranges()]
        [('w', 6, 8), ('b', 0, 2)]
    """

    tensor: Any
    parameters: Parameters
    start: int = 0
    align: int = 1
    offsets: Sequence[int] | None = None

    def ranges(self) -> Iterator[tuple[str, tuple[int, ...], int, int, int]]:
        """Say where each parameter lies.

        Returns:
            For each parameter: its name, its shape, which of its elements are here (begin, end; the same where none are), and where
            in the tensor the first is.

        Raises:
            LayoutError: the parameters can't lie as declared.
        """
        items = list(self.parameters.items() if isinstance(self.parameters, Mapping) else self.parameters)
        if self.offsets is not None and len(self.offsets) != len(items):
            raise LayoutError(f"a flat buffer of {len(items)} parameters has {len(self.offsets)} offsets")
        if len(self.tensor.shape) != 1:
            raise LayoutError(f"a flat buffer has one dimension, but its tensor has shape {tuple(self.tensor.shape)}")
        stop, at = self.start + len(self.tensor), 0
        for number, (name, shape) in enumerate(items):
            begins = -(-at // self.align) * self.align if self.offsets is None else self.offsets[number]
            if begins < at:
                raise LayoutError(f"{name} begins at element {begins} of a flat buffer, inside the parameter before it")
            at = begins + math.prod(shape)
            begin, end = max(begins, self.start), min(at, stop)
            if begin < end:
                yield name, tuple(shape), begin - begins, end - begins, begin - self.start
            else:
                yield name, tuple(shape), 0, 0, 0

    def put_into(self, builder: InventoryBuilder, path: str) -> None:
        """Put the parameters there."""
        local = local_of(self.tensor, path, builder.saved is not None)
        kind: Kind = "param" if getattr(self.tensor, "requires_grad", False) else "array"
        members = self.members(builder, path)
        for member in members:
            builder.hold_range(member, member.place, local, kind)
        builder.remember(self.tensor, members)

    def members(self, builder: InventoryBuilder, path: str = "") -> list[Member]:
        """List the parameters in it, as optimizers must know them."""
        prefix = f"{path}." if path else ""
        return [
            Member(prefix + name, builder.placer.place(prefix + name, shape), shape, begin, end, at, flat=True)
            for name, shape, begin, end, at in self.ranges()
        ]


@dataclass(frozen=True, eq=False)
class FlatOptimizer(Source):
    """A torch optimizer whose parameters are flat buffers (ZeRO-1/2).

    Attributes:
        optimizer: the optimizer.
        flats: its buffers, in the order of its parameters.
        masters: whether the buffers themselves are kept too, as a slot `master` of each parameter: needed where the module has them
            in a shorter type.
    """

    optimizer: Any
    flats: Sequence[Flat]
    masters: bool = False

    last = True

    def parts(self) -> Iterator[Any]:
        """List the optimizer."""
        yield self.optimizer

    def put_into(self, builder: InventoryBuilder, path: str) -> None:
        """Put the optimizer's state there, by parameter."""
        from headway.checkpoint.state.torch.optim_state import put_optimizer

        for flat in self.flats:
            builder.remember(flat.tensor, flat.members(builder))
        put_optimizer(self.optimizer, builder, path, masters=self.masters)
