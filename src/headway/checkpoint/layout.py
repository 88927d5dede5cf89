"""Declared layouts: what the tensors of this process are parts of, as data in one place.

A DTensor says how it is split. A Megatron-style shard, a padded vocabulary or a pipeline stage does not: it is a plain tensor
with a plain shape, and only the program knows that two of them side by side are a weight. A `Layout` says so once, in rules on
names, for saving and for loading, for parameters and for all that follows them (optimizer moments need no rules). Nothing is
guessed: a rule that fits no tensor, a tensor without a rule where others have one, and sizes that don't add up are errors, since
each of them is how a checkpoint gets silently wrong.

A pattern (`*`, `?`, `[…]`) is matched against a tensor's name in the checkpoint, with or without its first word, which is the key
of the state that it is under: `embed.weight` matches `model.embed.weight`, and not `model.pos.embed.weight`. Rules that rename
(`Numbered`, `Renamed`, `Tied`) come first; all others see the names that they give.
"""

from __future__ import annotations

import difflib
import fnmatch
import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from headway.checkpoint.cuts import Cut, Range, chunk, composed, length, taken, trimmed, uncut
from headway.errors import LayoutError


class Part(NamedTuple):
    """A part of a packed dimension: `size` elements of the whole, dealt in equal chunks, or in these `widths`, one per rank.
    With `copies=c`, each `c` neighbouring ranks hold the same chunk (key and value heads that are fewer than the ranks)."""

    size: int
    widths: tuple[int, ...] = ()
    copies: int = 1

    def range(self, rank: int, ranks: int) -> Range:
        """What of it a rank holds."""
        if not self.widths:
            return chunk(self.size, rank // self.copies, ranks // self.copies)
        begin = sum(self.widths[: rank // self.copies])
        return begin, begin + self.widths[rank // self.copies]


@dataclass(frozen=True)
class Split:
    """Dimension `dim` is split over an axis. Without more, in equal parts. `size`: the whole size, dealt in chunks that are rounded
    up. `widths`: how much each rank has. `parts`: the dimension is several arrays packed one after another, each of which is split
    (`parts=(q, k, v)`, `parts=(gate, up)`: sizes of the whole, or `Part`s). `copies`: as in `Part`."""

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
    """Dimension `dim` has only `size` elements; what is beyond is padding (a vocabulary rounded up), which is not saved."""

    pattern: str
    dim: int
    size: int


@dataclass(frozen=True)
class Replicated:
    """The tensor is the same, and whole, on all ranks. `Replicated("*")` is for every tensor that no other rule splits."""

    pattern: str


@dataclass(frozen=True)
class Numbered:
    """`{}` in the words of the pattern is a number that counts from 0 in each process: the layers of a pipeline stage
    (`Numbered("layers.{}", start=8)`), one expert per name (`Numbered("experts.{}", start=rank * 4)`), or those of an interleaved
    schedule (`numbers=(1, 5)`). `to` is what to call it, where that differs (`Numbered("model.1.layers.{}", to="model.layers.{}")`)."""

    pattern: str
    start: int = 0
    numbers: tuple[int, ...] = ()
    to: str = ""

    def __post_init__(self) -> None:
        _freeze(self, "numbers")


@dataclass(frozen=True)
class Renamed:
    """Names that fit `pattern`, which has at most one `*`, are called `to` (`Renamed("model.0.*", "model.*")`)."""

    pattern: str
    to: str


@dataclass(frozen=True)
class Tied:
    """The tensor `name` is the tensor `to` (an output projection that is the embedding, on another stage): it is kept once."""

    name: str
    to: str


Rule = Split | Pad | Replicated | Numbered | Renamed | Tied


@dataclass(frozen=True)
class Place:
    """Where a local array lies in the array called `name`: its `shape`, and a cut for each dimension; None: it is whole here."""

    name: str
    shape: tuple[int, ...]
    cuts: tuple[Cut, ...] | None = None


@dataclass(frozen=True)
class Layout:
    """Rules, and where this process is on each axis: `axes={"tp": (rank, ranks)}`. An axis along which nothing is split is one
    along which processes have different tensors (pipeline stages, one expert per name); then a rule may fit none of them here.

    Example:
        >>> layout = Layout([Split("*.up.weight", dim=0, axis="tp"), Replicated("*")], axes={"tp": (1, 2)})
        >>> layout.placer().place("model.0.up.weight", (8, 4))
        Place(name='model.0.up.weight', shape=(16, 4), cuts=((Run(whole=8, here=0, size=8),), (Run(whole=0, here=0, size=4),)))
    """

    rules: Sequence[Rule] = ()
    axes: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for axis, (rank, ranks) in self.axes.items():
            if not 0 <= rank < ranks:
                raise LayoutError(f"axis {axis!r}: rank {rank} of {ranks}; axes are name: (rank, ranks)")
        for rule in self.rules:
            if isinstance(rule, Split):
                _check_split(rule, self.axes)

    def placer(self, coords: Mapping[str, int] | None = None) -> Placer:
        """What places the tensors of one process; `coords` are the ranks of another one than this."""
        if unknown := set(coords or ()) - set(self.axes):
            raise LayoutError(f"no axis is called {', '.join(sorted(unknown))}; there are {', '.join(self.axes) or 'none'}")
        axes = {axis: ((coords or {}).get(axis, rank), ranks) for axis, (rank, ranks) in self.axes.items()}
        return Placer(tuple(self.rules), axes)

    def check_rules(self, names: Iterable[str]) -> None:
        """Check rules against the names (of the checkpoint) of all processes: each must fit one. Raises LayoutError."""
        known = list(names)
        for rule in self.rules:
            if isinstance(rule, Split | Pad | Replicated) and rule.pattern != "*":
                if not any(_fits(rule.pattern, name) for name in known):
                    raise _unmatched(rule, rule.pattern, known)

    def describe(self) -> dict[str, int]:
        """The size of each axis: a hint for readers of the checkpoint."""
        return {axis: ranks for axis, (_, ranks) in self.axes.items()}


class Placer:
    """Places the tensors of one process by the rules, and remembers what it saw, so that `finish` can tell what fits nothing.
    Answers are kept: a name costs its patterns once. Made anew where `Layout.placer` is called."""

    def __init__(self, rules: tuple[Rule, ...] = (), axes: Mapping[str, tuple[int, int]] | None = None) -> None:
        self._rules = rules
        self._axes = dict(axes or {})
        self._used: set[Rule] = set()
        self._bare: dict[str, tuple[int, ...]] = {}  # tensors that no rule fits
        self._split: dict[str, dict[int, int]] = {}  # their local sizes by dimension that is split
        self._local: dict[str, str] = {}  # name in the checkpoint: name here
        split_axes = {rule.axis for rule in rules if isinstance(rule, Split)}
        self._splits = any(ranks > 1 and axis in split_axes for axis, (_, ranks) in self._axes.items())
        self._stages = any(ranks > 1 and axis not in split_axes for axis, (_, ranks) in self._axes.items())

    def name(self, local: str) -> str:
        """What a tensor of this process is called in the checkpoint."""
        name = local
        for rule in self._rules:
            if isinstance(rule, Numbered | Renamed):
                new = _renamed(rule, name)
                if new is not None:
                    self._used.add(rule)
                    name = new
        return name

    def tied(self, name: str) -> str | None:
        """The name of the tensor that this one is declared to be, with the same first word."""
        for rule in self._rules:
            if isinstance(rule, Tied) and _fits(rule.name, name):
                self._used.add(rule)
                head = name[: len(name) - len(rule.name)] if name.endswith(rule.name) else ""
                return rule.to if name == rule.name else head + rule.to
        return None

    def place(self, local: str, shape: Sequence[int]) -> Place:
        """Where an array of this shape lies. Raises LayoutError where no rule says so, or sizes don't add up."""
        name, shape = self.name(local), tuple(shape)
        if not self._rules:
            return Place(name, shape)
        known = self._local.setdefault(name, local)
        if known != local:
            raise LayoutError(f"{known} and {local} are both called {name} in the checkpoint: check the rules that rename")
        name_of_rule = self.tied(name) or name
        matched = [rule for rule in self._rules if isinstance(rule, Split | Pad | Replicated) and _fits(rule.pattern, name_of_rule)]
        self._used.update(matched)
        splits = [rule for rule in matched if isinstance(rule, Split)]
        pads = [rule for rule in matched if isinstance(rule, Pad)]
        _refuse_contradictions(name, splits, pads, [rule for rule in matched if isinstance(rule, Replicated)])
        if not matched:
            self._refuse_bare(name, shape)
            self._bare[name] = shape
        self._split[name] = {rule.dim % len(shape): shape[rule.dim] for rule in splits if -len(shape) <= rule.dim < len(shape)}
        if not splits and not pads:
            return Place(name, shape)
        cuts = tuple(self._cut(name, shape, d, splits, pads) for d in range(len(shape)))
        return Place(name, tuple(size for size, _ in cuts), tuple(cut for _, cut in cuts))

    def finish(self) -> None:
        """Say what was not used. Raises LayoutError for a rule that fits no tensor, unless this is one stage of several (then
        `Layout.check_rules` tells, with the names of all), and for a bias without a rule whose weight is split."""
        for name, shape in self._bare.items():
            weight = name.removesuffix("bias") + "weight"
            if name.endswith("bias") and len(shape) == 1 and self._split.get(weight, {}).get(0) == shape[0] and self._splits:
                raise LayoutError(
                    f"{name} has {shape[0]} elements here, as the rows of {weight}, which is split, but no rule: add "
                    f"Split({name!r}, dim=0, …), or Replicated({name!r}) if it is whole"
                )
        for rule in self._rules:
            if rule not in self._used and not self._stages:
                pattern = rule.name if isinstance(rule, Tied) else rule.pattern
                if pattern != "*":
                    raise _unmatched(rule, pattern, self._local)

    def _refuse_bare(self, name: str, shape: tuple[int, ...]) -> None:
        if self._splits and len(shape) > 1:
            raise LayoutError(
                f"{name}, here of shape {shape}, has no rule in a layout that splits others: say Split({name!r}, …), "
                f'Replicated({name!r}), or Replicated("*") for all that no rule splits'
            )

    def _cut(self, name: str, shape: tuple[int, ...], d: int, splits: list[Split], pads: list[Pad]) -> tuple[int, Cut]:
        """The whole size of a dimension, and its cut. The first rule is the outermost, so sizes are found from the last."""
        size, cut = shape[d], uncut(shape[d])
        for rule in reversed(splits):
            if _dimension(rule, name, shape) == d:
                size, ranges = _ranges(rule, name, size, *self._axes[rule.axis])
                cut = composed(taken(ranges), cut)
        for pad in pads:
            if _dimension(pad, name, shape) == d:
                if pad.size > size:
                    raise LayoutError(f"{name}: {pad} leaves {pad.size} of {size} elements in dimension {d}: it has fewer")
                size, cut = pad.size, trimmed(cut, pad.size)
        return size, cut


# --- rules -----------------------------------------------------------------------------------------------------------


def _freeze(rule: Rule, *fields: str) -> None:
    """Let lists be given where tuples are meant: rules are looked up."""
    for name in fields:
        object.__setattr__(rule, name, tuple(getattr(rule, name)))


def _ranges(rule: Split, name: str, local: int, rank: int, ranks: int) -> tuple[int, list[Range]]:
    """The whole size of a split dimension, and what this rank has of it, which must be `local` elements."""
    parts = [each if isinstance(each, Part) else Part(each, copies=rule.copies) for each in rule.parts]
    if not parts:
        size = sum(rule.widths) if rule.widths else rule.size if rule.size is not None else local * (ranks // rule.copies)
        parts = [Part(size, rule.widths, rule.copies)]
    ranges, base = [], 0
    for part in parts:
        begin, end = part.range(rank, ranks)
        ranges.append((base + begin, base + end))
        base += part.size
    expected = length(taken(ranges))
    if expected != local:
        raise LayoutError(
            f"{name}: {rule} gives rank {rank} of {ranks} on axis {rule.axis!r} {expected} of {base} elements in dimension "
            f"{rule.dim}, but the tensor has {local} here"
        )
    return base, ranges


def _dimension(rule: Split | Pad, name: str, shape: tuple[int, ...]) -> int:
    if not -len(shape) <= rule.dim < len(shape):
        raise LayoutError(f"{name}: {rule} is about dimension {rule.dim}, but the tensor has shape {shape}")
    return rule.dim % len(shape)


def _check_split(rule: Split, axes: Mapping[str, tuple[int, int]]) -> None:
    """A rule that can't be right whatever the tensors are."""
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


def _refuse_contradictions(name: str, splits: list[Split], pads: list[Pad], replicated: list[Replicated]) -> None:
    seen: dict[tuple[int, str], Split] = {}
    for rule in splits:
        other = seen.setdefault((rule.dim, rule.axis), rule)
        if other is not rule:
            raise LayoutError(f"{name}: {other} and {rule} both fit it: make one pattern narrower")
    if splits and (narrow := [rule for rule in replicated if rule.pattern != "*"]):
        raise LayoutError(f"{name}: {splits[0]} and {narrow[0]} both fit it: make one pattern narrower")
    if len({pad.dim for pad in pads}) < len(pads):
        raise LayoutError(f"{name}: {pads[0]} and {pads[1]} both fit it: make one pattern narrower")


@functools.lru_cache(4096)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern))


@functools.lru_cache(1 << 16)
def _fits(pattern: str, name: str) -> bool:
    """Whether a pattern fits a name, or the name without its first word."""
    match = _pattern(pattern).match
    return match(name) is not None or ("." in name and match(name.split(".", 1)[1]) is not None)


@functools.lru_cache(4096)
def _numbered(pattern: str) -> re.Pattern[str]:
    before, _, after = pattern.partition("{}")
    return re.compile(rf"(?:^|(?<=\.)){re.escape(before)}(\d+){re.escape(after)}(?=\.|$)")


@functools.lru_cache(1 << 16)
def _renamed(rule: Numbered | Renamed, name: str) -> str | None:
    """The name that a rule gives; None where it does not fit."""
    if isinstance(rule, Renamed):
        before, star, after = rule.pattern.partition("*")
        if not star:
            return rule.to if name == rule.pattern else None
        if not (name.startswith(before) and name.endswith(after) and len(name) >= len(before) + len(after)):
            return None
        return rule.to.replace("*", name[len(before) : len(name) - len(after)], 1)
    found = _numbered(rule.pattern).search(name)
    if found is None:
        return None
    local = int(found[1])
    if rule.numbers and local >= len(rule.numbers):
        raise LayoutError(f"{name}: {rule} has numbers for {len(rule.numbers)} of them: number {local} is missing")
    number = rule.numbers[local] if rule.numbers else rule.start + local
    return name[: found.start()] + (rule.to or rule.pattern).replace("{}", str(number)) + name[found.end() :]


def _unmatched(rule: Rule, pattern: str, names: Iterable[str]) -> LayoutError:
    known = list(names)
    short = [name.split(".", 1)[-1] for name in known]
    close = difflib.get_close_matches(pattern.replace("*", "").strip("."), {*known, *short}, n=3, cutoff=0.3)
    hint = f"; close to it: {', '.join(close)}" if close else ""
    return LayoutError(f"{rule} fits none of {len(known)} tensors{hint}")
