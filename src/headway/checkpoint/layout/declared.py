"""Declared layouts: which whole tensors the tensors of this process are parts of, as data in one place.

A DTensor says how it is split. A Megatron-style shard, a padded vocabulary or a pipeline stage does not: it is a plain tensor with
a plain shape, and only the program knows that two of them side by side are a weight. A `Layout` says so once, in rules on names.
The rules hold for saving and for loading, for parameters and for their optimizer moments. Nothing is guessed: a rule that fits no
tensor, a tensor without a rule where others have one, and sizes that don't add up are errors, because each of them would make a
checkpoint silently wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headway.checkpoint.layout.placing import Placer, Seen, fits, make_unmatched_error
from headway.checkpoint.layout.rules import Numbered as Numbered
from headway.checkpoint.layout.rules import Pad as Pad
from headway.checkpoint.layout.rules import Part as Part
from headway.checkpoint.layout.rules import Renamed as Renamed
from headway.checkpoint.layout.rules import Replicated as Replicated
from headway.checkpoint.layout.rules import Rule as Rule
from headway.checkpoint.layout.rules import Split as Split
from headway.checkpoint.layout.rules import Tied as Tied
from headway.checkpoint.layout.rules import check_split
from headway.errors import LayoutError


@dataclass(frozen=True)
class Layout:
    """How plain tensors are shards of larger ones.

    Attributes:
        rules: `Split`, `Pad`, `Replicated`, `Numbered`, `Renamed` and `Tied`, on names of tensors.
        axes: where this process is on each axis, such as `{"tp": (rank, ranks)}`. An axis along which nothing is split is one along
            which processes have different tensors (pipeline stages, one expert per name); then a rule may fit none of them here.

    Raises:
        LayoutError: the rules contradict each other, or name an axis that is not there.

    Example:
        >>> layout = Layout([Split("*.up.weight", dim=0, axis="tp"), Replicated("*")], axes={"tp": (1, 2)})
        >>> layout.placer().place("model.0.up.weight", (8, 4))
        Place(name='model.0.up.weight', shape=(16, 4), cuts=((Run(whole=8, here=0, size=8),), (Run(whole=0, here=0, size=4),)))
    """

    rules: Sequence[Rule] = ()
    axes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    _known: dict[object, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for axis, (rank, ranks) in self.axes.items():
            if not 0 <= rank < ranks:
                raise LayoutError(f"axis {axis!r}: rank {rank} of {ranks}; axes are name: (rank, ranks)")
        for rule in self.rules:
            if isinstance(rule, Split):
                check_split(rule, self.axes)

    def placer(self, coords: Mapping[str, int] | None = None) -> Placer:
        """Make what places the tensors of one process.

        Args:
            coords: the ranks of another process than this, by axis.

        Returns:
            The placer.

        Raises:
            LayoutError: there is no such axis or rank.
        """
        if unknown := set(coords or ()) - set(self.axes):
            raise LayoutError(f"no axis is called {', '.join(sorted(unknown))}; there are {', '.join(self.axes) or 'none'}")
        axes = {axis: ((coords or {}).get(axis, rank), ranks) for axis, (rank, ranks) in self.axes.items()}
        known: dict[tuple[str, tuple[int, ...]], Seen] = self._known.setdefault(tuple(axes.items()), {})
        return Placer(tuple(self.rules), axes, known)

    def check_rules(self, names: Iterable[str]) -> None:
        """Check that each rule fits a name.

        Args:
            names: the names (of the checkpoint) of all processes.

        Raises:
            LayoutError: a rule fits none of them.
        """
        known = list(names)
        for rule in self.rules:
            if isinstance(rule, Split | Pad | Replicated) and rule.pattern != "*":
                if not any(fits(rule.pattern, name) for name in known):
                    raise make_unmatched_error(rule, rule.pattern, known)

    def describe(self) -> dict[str, int]:
        """The size of each axis: a hint for readers of the checkpoint."""
        return {axis: ranks for axis, (_, ranks) in self.axes.items()}
