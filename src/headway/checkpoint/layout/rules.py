"""The rules of a layout: what a program declares about its tensors, as data.

A pattern (`*`, `?`, `[…]`) is matched against a tensor's name in the checkpoint, with or without its first word, which is the key
of the state that it is under: `embed.weight` matches `model.embed.weight`, and not `model.pos.embed.weight`. Rules that rename
(`Numbered`, `Renamed`) are applied first, to whole names; all other rules see the renamed names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from headway.checkpoint.layout.sharding import Range, chunk
from headway.errors import LayoutError


class Part(NamedTuple):
    """A part of a packed dimension, dealt in equal chunks or in widths of its own.

    Attributes:
        size: elements of the whole.
        widths: how much each rank has; without them, all have as much.
        copies: so many neighbouring ranks hold the same chunk (key and value heads that are fewer than the ranks).
    """

    size: int
    widths: tuple[int, ...] = ()
    copies: int = 1

    def range(self, rank: int, ranks: int) -> Range:
        """Find what of it a rank holds.

        Args:
            rank: the rank.
            ranks: how many there are.

        Returns:
            The range: begin and end, in elements of the part.
        """
        if not self.widths:
            return chunk(self.size, rank // self.copies, ranks // self.copies)
        begin = sum(self.widths[: rank // self.copies])
        return begin, begin + self.widths[rank // self.copies]


@dataclass(frozen=True)
class Split:
    """A dimension is split over an axis. Without more, in equal parts.

    Attributes:
        pattern: the names of the tensors.
        dim: which dimension.
        axis: over which axis.
        size: the whole size, dealt in chunks that are rounded up.
        widths: how much each rank has.
        parts: the dimension is several arrays packed one after another, each of which is split (`parts=(q, k, v)`, `parts=(gate,
            up)`: sizes of the whole, or `Part`s).
        copies: as in `Part`.
    """

    pattern: str
    dim: int
    axis: str
    size: int | None = None
    widths: tuple[int, ...] = ()
    parts: tuple[int | Part, ...] = ()
    copies: int = 1

    def __post_init__(self) -> None:
        _freeze(self, "widths", "parts")


@dataclass(frozen=True)
class Pad:
    """A dimension has padding (a vocabulary rounded up), which is not saved.

    Attributes:
        pattern: the names of the tensors.
        dim: which dimension.
        size: how many of its elements are no padding.
    """

    pattern: str
    dim: int
    size: int


@dataclass(frozen=True)
class Replicated:
    """The tensor is the same, and whole, on all ranks.

    Attributes:
        pattern: the names of the tensors; `Replicated("*")` is for every tensor that no other rule splits.
    """

    pattern: str


@dataclass(frozen=True)
class Numbered:
    """`{}` in the words of the pattern is a number that counts from 0 in each process.

    It stands for the layers of a pipeline stage (`Numbered("layers.{}", start=8)`), one expert per name (`Numbered("experts.{}",
    start=rank * 4)`), or layers that are not next to each other (`numbers=(1, 5)`).

    Attributes:
        pattern: words of a name, with `{}` for the number.
        start: what 0 is called in the checkpoint.
        numbers: what 0, 1, … are called in the checkpoint, instead of `start`.
        to: what to call them, where that differs, as for the second chunk of an interleaved schedule
            (`Numbered("model.1.layers.{}", start=4, to="model.layers.{}")`).
    """

    pattern: str
    start: int = 0
    numbers: tuple[int, ...] = ()
    to: str = ""

    def __post_init__(self) -> None:
        _freeze(self, "numbers")


@dataclass(frozen=True)
class Renamed:
    """Names are called otherwise in the checkpoint (`Renamed("model.0.*", "model.*")`).

    Attributes:
        pattern: the names here, with at most one `*`.
        to: the names in the checkpoint.
    """

    pattern: str
    to: str


@dataclass(frozen=True)
class Tied:
    """A tensor is another one (an output projection that is the embedding, on another stage): it is kept once.

    Attributes:
        name: the tensor.
        to: the one that it is.
    """

    name: str
    to: str


Rule = Split | Pad | Replicated | Numbered | Renamed | Tied


def _freeze(rule: Rule, *fields: str) -> None:
    """Let lists be given where tuples are meant: rules are looked up."""
    for name in fields:
        object.__setattr__(rule, name, tuple(getattr(rule, name)))


def check_split(rule: Split, axes: Mapping[str, tuple[int, int]]) -> None:
    """Refuse a rule that can't be right whatever the tensors are."""
    if rule.axis not in axes:
        raise LayoutError(f"{rule} splits along an axis that is not there: axes are {', '.join(axes) or 'none'}")
    ranks = axes[rule.axis][1]
    for part in (Part(-1, rule.widths, rule.copies), *(each for each in rule.parts if isinstance(each, Part))):
        if part.copies < 1 or ranks % part.copies:
            raise LayoutError(f"{rule}: {part.copies} copies of each chunk on {ranks} ranks: the ranks must be a multiple of it")
        if part.widths and len(part.widths) != ranks // part.copies:
            raise LayoutError(f"{rule}: {len(part.widths)} widths for {ranks // part.copies} chunks on axis {rule.axis!r}")
        if part.widths and part.size not in (-1, sum(part.widths)):
            raise LayoutError(f"{rule}: the widths of a part of {part.size} elements sum to {sum(part.widths)}")
    if (rule.size is not None) + bool(rule.widths) + bool(rule.parts) > 1:
        raise LayoutError(f"{rule}: give one of size, widths and parts")
