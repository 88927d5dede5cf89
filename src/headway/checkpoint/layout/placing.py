"""Finds where a local tensor lies in the whole, from the rules and the tensor's name and shape. Pure functions with a cache.

Several rules may fit one tensor. Rules that split different dimensions, or one dimension along different axes, are nested, the
first outermost. Rules that contradict each other are refused.
"""

from __future__ import annotations

import difflib
import fnmatch
import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from headway.checkpoint.layout.rules import Numbered, Pad, Part, Renamed, Replicated, Rule, Split, Tied
from headway.checkpoint.layout.sharding import DimSharding, Range, compose, from_ranges, full, length, trim
from headway.errors import LayoutError


@dataclass(frozen=True)
class Place:
    """Where a local array lies in the array called `name`: its `shape`, and a cut for each dimension; None: it is whole here."""

    name: str
    shape: tuple[int, ...]
    cuts: tuple[DimSharding, ...] | None = None


class Seen(NamedTuple):
    """What the rules say about one tensor: its place, the name it is declared to be tied to, which rules fit (by number), and the
    dimensions that they split."""

    local: str
    shape: tuple[int, ...]
    place: Place
    tied: str | None
    rules: tuple[int, ...]
    split: tuple[int, ...]


class Placer:
    """Places the tensors of one process by the rules, and remembers what it saw, so that `finish` can report rules that fit
    nothing. Answers are kept in `known`, which outlives it, so the next save of the same state matches no pattern."""

    def __init__(
        self,
        rules: tuple[Rule, ...] = (),
        axes: Mapping[str, tuple[int, int]] | None = None,
        known: dict[tuple[str, tuple[int, ...]], Seen] | None = None,
    ) -> None:
        self._rules = rules
        self._axes = dict(axes or {})
        self._known = known if known is not None else {}
        self._seen: dict[str, Seen] = {}
        split_axes = {rule.axis for rule in rules if isinstance(rule, Split)}
        self._splits = any(ranks > 1 and axis in split_axes for axis, (_, ranks) in self._axes.items())
        self._stages = any(ranks > 1 and axis not in split_axes for axis, (_, ranks) in self._axes.items())

    def name(self, local: str) -> str:
        """Return what a tensor of this process is called in the checkpoint."""
        return self._resolve_name(local)[0] if self._rules else local

    def place(self, local: str, shape: Sequence[int]) -> Place:
        """Say where an array of this shape lies. Raises LayoutError if no rule says so, or sizes don't add up."""
        shape = tuple(shape)
        if not self._rules:
            return Place(local, shape)
        seen = self._known.get((local, shape))
        if seen is None:
            seen = self._known[local, shape] = self._look(local, shape)
        other = self._seen.setdefault(seen.place.name, seen)
        if other.local != local:
            raise LayoutError(f"{other.local} and {local} are both called {seen.place.name}: check the rules that rename")
        return seen.place

    def place_all(self, arrays: Iterable[tuple[str, Sequence[int], Place | None]]) -> list[tuple[Place, str | None]]:
        """Say where arrays of these names and shapes lie, unless that is known already, and which tensors they are declared to be
        tied to. Raises as `place`."""
        found: list[tuple[Place, str | None]] = []
        for name, shape, known in arrays:
            place = self.place(name, shape) if known is None else known
            found.append((place, self._seen[place.name].tied if self._rules and known is None else None))
        return found

    def finish(self) -> None:
        """Check that every rule was used. Raises LayoutError for a rule that fits no tensor, unless this is one stage of several
        (then `Layout.check_rules` checks it, with the names of all), and for a bias without a rule whose weight is split."""
        for name, seen in self._seen.items():
            weight = self._seen.get(name.removesuffix("bias") + "weight")
            if not seen.rules and name.endswith("bias") and weight is not None and 0 in weight.split and self._splits:
                if seen.shape == weight.shape[:1]:
                    raise LayoutError(
                        f"{name} has {seen.shape[0]} elements here, as many as the rows of {weight.place.name}, which is split, "
                        f"but no rule: add Split({name!r}, dim=0, …), or Replicated({name!r}) if it is whole"
                    )
        used = {number for seen in self._seen.values() for number in seen.rules}
        for number, rule in enumerate(self._rules):
            pattern = rule.name if isinstance(rule, Tied) else rule.pattern
            if number not in used and pattern != "*" and not self._stages:
                raise make_unmatched_error(rule, pattern, self._seen)

    def _look(self, local: str, shape: tuple[int, ...]) -> Seen:
        name, rules = self._resolve_name(local)
        tied = None
        for number, rule in enumerate(self._rules):
            if isinstance(rule, Tied) and tied is None:
                tied = _resolve_tie(rule, name)
                rules += [number] if tied is not None else []
        splits: list[Split] = []
        pads: list[Pad] = []
        whole: list[Replicated] = []
        for number, rule in enumerate(self._rules):
            if isinstance(rule, Split | Pad | Replicated) and fits(rule.pattern, tied or name):
                rules.append(number)
                if isinstance(rule, Split):
                    splits.append(rule)
                elif isinstance(rule, Pad):
                    pads.append(rule)
                else:
                    whole.append(rule)
        _refuse_contradictions(name, splits, pads, whole)
        if not splits and not pads:
            if not whole and self._splits and len(shape) > 1:
                raise LayoutError(
                    f"{name}, here of shape {shape}, has no rule in a layout that splits others: say Split({name!r}, …), "
                    f'Replicated({name!r}), or Replicated("*") for all that no rule splits'
                )
            return Seen(local, shape, Place(name, shape), tied, tuple(rules), ())
        dims = tuple(_dimension(rule, name, shape) for rule in splits)
        sizes, cuts = zip(*(self._cut(name, shape, d, splits, pads) for d in range(len(shape))), strict=True)
        return Seen(local, shape, Place(name, sizes, cuts), tied, tuple(rules), dims)

    def _resolve_name(self, local: str) -> tuple[str, list[int]]:
        """Return the name in the checkpoint, and the rules that gave it."""
        name, rules = local, []
        for number, rule in enumerate(self._rules):
            if isinstance(rule, Numbered | Renamed):
                new = _rename(rule, name)
                if new is not None:
                    rules.append(number)
                    name = new
        return name, rules

    def _cut(self, name: str, shape: tuple[int, ...], d: int, splits: list[Split], pads: list[Pad]) -> tuple[int, DimSharding]:
        """Return the whole size of a dimension, and its cut. The first rule is the outermost, so sizes are found from the last."""
        size, cut = shape[d], full(shape[d])
        for rule in reversed(splits):
            if _dimension(rule, name, shape) == d:
                size, ranges = _ranges(rule, name, size, *self._axes[rule.axis])
                cut = compose(from_ranges(ranges), cut)
        for pad in pads:
            if _dimension(pad, name, shape) == d:
                if pad.size > size:
                    raise LayoutError(f"{name}: {pad} leaves {pad.size} elements of dimension {d}, which has only {size}")
                size, cut = pad.size, trim(cut, pad.size)
        return size, cut


def _ranges(rule: Split, name: str, local: int, rank: int, ranks: int) -> tuple[int, list[Range]]:
    """Return the whole size of a split dimension, and this rank's part of it, which must be `local` elements."""
    parts = [each if isinstance(each, Part) else Part(each, copies=rule.copies) for each in rule.parts]
    if not parts:
        size = sum(rule.widths) if rule.widths else rule.size if rule.size is not None else local * (ranks // rule.copies)
        parts = [Part(size, rule.widths, rule.copies)]
    ranges, base = [], 0
    for part in parts:
        begin, end = part.range(rank, ranks)
        ranges.append((base + begin, base + end))
        base += part.size
    expected = length(from_ranges(ranges))
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
def fits(pattern: str, name: str) -> bool:
    """Whether a pattern fits a name, or the name without its first word."""
    match = _pattern(pattern).match
    return match(name) is not None or ("." in name and match(name.split(".", 1)[1]) is not None)


@functools.lru_cache(4096)
def _compile_numbered(pattern: str) -> re.Pattern[str]:
    before, _, after = pattern.partition("{}")
    return re.compile(rf"(?:^|(?<=\.)){re.escape(before)}(\d+){re.escape(after)}(?=\.|$)")


@functools.lru_cache(1 << 16)
def _rename(rule: Numbered | Renamed, name: str) -> str | None:
    """Return the name that a rule gives; None where the rule does not fit."""
    if isinstance(rule, Renamed):
        before, star, after = rule.pattern.partition("*")
        if not star:
            return rule.to if name == rule.pattern else None
        if not (name.startswith(before) and name.endswith(after) and len(name) >= len(before) + len(after)):
            return None
        return rule.to.replace("*", name[len(before) : len(name) - len(after)], 1)
    found = _compile_numbered(rule.pattern).search(name)
    if found is None:
        return None
    local = int(found[1])
    if rule.numbers and local >= len(rule.numbers):
        raise LayoutError(f"{name}: {rule} has numbers for {len(rule.numbers)} of them: number {local} is missing")
    number = rule.numbers[local] if rule.numbers else rule.start + local
    return name[: found.start()] + (rule.to or rule.pattern).replace("{}", str(number)) + name[found.end() :]


def _resolve_tie(rule: Tied, name: str) -> str | None:
    """Return the name, under the same first word, of the tensor that this one is tied to; None where the rule does not fit."""
    if name == rule.name:
        return rule.to
    first, _, rest = name.partition(".")
    return f"{first}.{rule.to}" if rest == rule.name else None


def make_unmatched_error(rule: Rule, pattern: str, names: Iterable[str]) -> LayoutError:
    """Build the error for a rule that fits nothing, with names that are close to its pattern."""
    known = list(names)
    short = [name.split(".", 1)[-1] for name in known]
    close = difflib.get_close_matches(pattern.replace("*", "").strip("."), {*known, *short}, n=3, cutoff=0.3)
    hint = f"; close to it: {', '.join(close)}" if close else ""
    return LayoutError(f"{rule} fits none of {len(known)} tensors{hint}")
