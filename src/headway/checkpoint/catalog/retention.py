"""Decides which checkpoints stay, and why: a pure function.

Each rule stands alone: a checkpoint goes only when no rule keeps it. What must stay whatever the rules say (HEAD's checkpoint,
those being read, the newest whole one) is decided by `collect`, which sees the store.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from headway.checkpoint.files.manifest import Manifest
from headway.errors import UsageError


@dataclass(frozen=True, slots=True)
class Keep:
    """What to keep of a root.

    Attributes:
        last: this many of the newest, at least 1.
        every: those whose step is a multiple of this.
        best: the `n` with the least or greatest value of a metric, such as `("val_loss", "min", 2)`.
        pins: these ids.

    Raises:
        UsageError: a number makes no sense.

    Example:
        >>> Keep(last=2, every=1000, best=("val_loss", "min", 1)).last
        2
    """

    last: int = 3
    every: int | None = None
    best: tuple[str, Literal["min", "max"], int] | None = None
    pins: frozenset[str] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        if self.last < 1:
            raise UsageError(f"Keep(last={self.last}): at least the newest checkpoint is kept, so last must be 1 or more")
        if self.every is not None and self.every < 1:
            raise UsageError(f"Keep(every={self.every}): give a number of steps of 1 or more, or None")
        if self.best is not None and (self.best[1] not in ("min", "max") or self.best[2] < 1):
            raise UsageError(f'Keep(best={self.best!r}): give (metric, "min" or "max", how many)')


class Summary(msgspec.Struct, frozen=True):
    """What the decision needs to know of a checkpoint."""

    id: str
    step: int
    serial: int
    created: float
    metrics: dict[str, float] = {}


def summary_of(manifest: Manifest) -> Summary:
    return Summary(manifest.id, manifest.step, manifest.serial, manifest.created, manifest.metrics)


def choose_kept(summaries: Iterable[Summary], keep: Keep) -> dict[str, tuple[str, ...]]:
    """Choose the ids that stay, newest first, each with every reason for it.

    Example:
        >>> choose_kept([Summary("a", 10, 1, 0.0), Summary("b", 20, 2, 0.0)], Keep(last=1))
        {'b': ('the newest',)}
    """
    newest_first = sorted(summaries, key=lambda each: (-each.serial, each.id))
    reasons: dict[str, list[str]] = {each.id: [] for each in newest_first}
    for place, each in enumerate(newest_first[: keep.last], 1):
        reasons[each.id].append("the newest" if place == 1 else f"number {place} of the newest {keep.last}")
    if keep.every is not None:
        seen: set[int] = set()
        for each in newest_first:
            if each.step % keep.every == 0 and each.step not in seen:
                seen.add(each.step)  # if a step was saved twice, the later one counts
                reasons[each.id].append(f"step {each.step} is a multiple of {keep.every}")
    if keep.best is not None:
        for place, each in enumerate(_best(newest_first, *keep.best), 1):
            name, way, many = keep.best
            reasons[each.id].append(f"number {place} of the {many} with the {way} {name}: {each.metrics[name]:g}")
    for each in newest_first:
        if each.id in keep.pins:
            reasons[each.id].append("pinned")
    return {name: tuple(why) for name, why in reasons.items() if why}


def find_misnamed(summaries: Iterable[Summary], keep: Keep) -> str:
    """Say what `keep` names and no checkpoint has, or "". A typo there would remove what is meant to stay. (If no checkpoint has
    metrics, none was measured yet.)

    Example:
        >>> find_misnamed([Summary("a", 10, 1, 0.0, {"val_loss": 0.5})], Keep(best=("val_los", "min", 1)))
        "Keep(best=…) is about the metric 'val_los', which no checkpoint has; they have val_loss"
    """
    known = list(summaries)
    metrics = sorted({name for each in known for name in each.metrics})
    if keep.best is not None and metrics and keep.best[0] not in metrics:
        return f"Keep(best=…) is about the metric {keep.best[0]!r}, which no checkpoint has; they have {', '.join(metrics)}"
    strangers = sorted(keep.pins - {each.id for each in known})
    if strangers and known:
        return f"Keep(pins=…) names {', '.join(strangers)}, and no checkpoint has that id"
    return ""


def _best(newest_first: list[Summary], name: str, way: str, many: int) -> list[Summary]:
    """Find the best ones. A value that is not finite is never among them; of equal ones the newer is better."""
    sign = 1 if way == "min" else -1
    known = [each for each in newest_first if math.isfinite(each.metrics.get(name, math.nan))]
    return sorted(known, key=lambda each: sign * each.metrics[name])[:many]
