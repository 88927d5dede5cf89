"""Metrics of checkpoints: those saved with them, and those measured later.

A manifest never changes, so each later measurement is a small sealed file of its own, in `metrics/`. Everything that compares
checkpoints (the best one, what to keep, a list) reads metrics through this module.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Iterable, Mapping

import msgspec

from headway.checkpoint.files.manifest import Manifest, Measured, seal, unseal
from headway.checkpoint.layout.names import find_near
from headway.errors import CheckpointDamaged, NoCheckpoint, UsageError
from headway.storage.backend import Backend

METRICS = "metrics"
BEST = "best"


def add_metrics(backend: Backend, id: str, metrics: Mapping[str, float], now: float | None = None) -> None:
    """Add metrics to a checkpoint that exists. Raises StoreError if the root can't be written."""
    record = Measured(id, dict(metrics), time.time() if now is None else now)
    backend.put(f"{METRICS}/{id}-{secrets.token_hex(6)}", seal(record))


class Later(msgspec.Struct, frozen=True):
    """What was measured later, by the id of the checkpoint, and why some of it can't be read."""

    measured: dict[str, list[Measured]]
    damaged: dict[str, str]

    def added_to(self, checkpoints: Iterable[Manifest]) -> list[Manifest]:
        """Add these metrics to those of the checkpoints."""
        return [_with(each, self.measured.get(each.id, [])) for each in checkpoints]


def read_later(backend: Backend) -> Later:
    """Read all metrics that were measured later. The name of a file says whose they are, even if it does not verify."""
    later = Later({}, {})
    for file, _ in backend.files(METRICS):
        try:
            found = unseal(backend.get(file), Measured, f"{backend.url}/{file}")
        except NoCheckpoint:
            continue  # collected since it was listed
        except CheckpointDamaged as error:
            later.damaged[file.rpartition("/")[2].rpartition("-")[0]] = str(error)
        else:
            later.measured.setdefault(found.id, []).append(found)
    return later


def with_metrics(backend: Backend, checkpoints: Iterable[Manifest], note: Callable[[str], None]) -> list[Manifest]:
    """Add the metrics that were measured later. `note` is called with the reason for each file that can't be read."""
    known, later = list(checkpoints), read_later(backend)
    for each in known:
        if each.id in later.damaged:
            note(f"metrics of step {each.step}: {later.damaged[each.id]}")
    return later.added_to(known)


def _with(manifest: Manifest, later: list[Measured]) -> Manifest:
    if not later:
        return manifest
    metrics = dict(manifest.metrics)
    for each in sorted(later, key=lambda each: each.written):
        metrics.update(each.metrics)
    return msgspec.structs.replace(manifest, metrics=metrics)


def best(checkpoints: Iterable[Manifest], name: str, way: str, where: str) -> Manifest:
    """Find the checkpoint with the least (`"min"`) or greatest value of a metric; of equal ones the newer.

    Raises NoCheckpoint where there is none at all, and UsageError where none has this metric, naming those that there are.
    """
    if way not in ("min", "max"):
        raise UsageError(f"the best by {name!r}: 'min' or 'max' says which way, and not {way!r}")
    known = list(checkpoints)
    if not known:
        raise NoCheckpoint(f"{where} has no checkpoint yet")
    able = [each for each in known if math.isfinite(each.metrics.get(name, math.nan))]
    if not able:
        names = sorted({metric for each in known for metric in each.metrics})
        told = f"they have {', '.join(find_near(name, names) or names[:8])}" if names else "they have none: give metrics= to save"
        raise UsageError(f"{where}: no checkpoint has the metric {name!r}; {told}")
    sign = 1 if way == "min" else -1
    return min(able, key=lambda each: (sign * each.metrics[name], -each.serial))


def parse_best(text: str) -> tuple[str, str]:
    """Parse `best:val_loss:min` into the metric and its direction. The name may contain colons. Raises UsageError."""
    _, _, rest = text.partition(":")
    name, _, way = rest.rpartition(":")
    if not name:
        raise UsageError(f"{text!r}: write best:METRIC:min or best:METRIC:max, such as 'best:val_loss:min'")
    return name, way
