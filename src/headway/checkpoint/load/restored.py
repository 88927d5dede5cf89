"""The result of a load: what was loaded, what was left, and which checkpoints were passed over."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from headway.checkpoint.files.manifest import Manifest
from headway.checkpoint.layout.names import list_names
from headway.checkpoint.state.selection import Selection
from headway.errors import CheckpointMismatch

_SHOWN = 3


class Restored(msgspec.Struct, frozen=True):
    """What was loaded.

    Attributes:
        step: the step.
        id: the checkpoint.
        metrics: what was kept with it.
        bytes_read: how much came from the medium on this rank.
        seconds: how long it took.
        passed_over: why newer checkpoints were not loaded.
        loaded: names of arrays and values that were loaded, of all ranks together.
        left: names that the checkpoint has and nobody loaded (`select=`, `strict=False`).
        missing: names that the state has and the checkpoint lacks. They are as they were.
        state: what was loaded, if no state was given to load into: nested dictionaries of arrays and values.
    """

    step: int
    id: str
    metrics: dict[str, float]
    bytes_read: int
    seconds: float
    passed_over: tuple[str, ...] = ()
    loaded: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    state: Any = None

    def __repr__(self) -> str:
        told = [f"step={self.step}", f"id={self.id!r}", _format_count(self.loaded, "loaded")]
        told += [_format_count(self.left, "left in the checkpoint")] if self.left else []
        told += [_format_count(self.missing, "of the state not in the checkpoint")] if self.missing else []
        told += [f"metrics={self.metrics}"] if self.metrics else []
        told += [f"passed_over={list(self.passed_over)}"] if self.passed_over else []
        return f"Restored({', '.join(told)}, {self.bytes_read:,} bytes read in {self.seconds:.3g} s)"


def _format_count(names: Sequence[str], what: str) -> str:
    shown = f" ({', '.join(names[:_SHOWN])}{', …' if len(names) > _SHOWN else ''})" if what != "loaded" else ""
    return f"{len(names):,} {what}{shown}"


class Loadable(msgspec.Struct, frozen=True):
    """What a state gets from a checkpoint, on all ranks together."""

    loaded: tuple[str, ...]
    left: tuple[str, ...]
    missing: dict[str, str]

    @property
    def untouched(self) -> tuple[str, ...]:
        """First words of the names of parts that get nothing, because the checkpoint lacks them: modules, optimizers, anything."""
        touched = {_first(name) for name in self.loaded}
        return tuple(sorted({_first(name) for name in self.missing} - touched))


def find_loadable(
    manifest: Manifest, claimed: Collection[str], missing: Mapping[str, str], selection: Selection, state: Any
) -> Loadable:
    """Find what the state gets. Raises CheckpointMismatch if a choice fits no name, or if both have nothing in common."""
    objects, names = manifest.objects, {**manifest.objects, **manifest.values}
    where = f"step {manifest.step} ({manifest.id})"
    if names and (wrong := selection.find_unused(names)):
        raise CheckpointMismatch(f"{where}: {wrong}. Nothing was changed")
    loaded = tuple(name for name in names if name in claimed)
    if names and not loaded:
        keys = f" The state has {', '.join(map(str, state))}." if isinstance(state, Mapping) and state else ""
        raise CheckpointMismatch(
            f"{where} has nothing that would be loaded into this state: it has {list_names(names)}.{keys} Nothing was changed"
        )
    left = (name for name in names if name not in claimed and (name not in objects or objects[name].alias_of not in claimed))
    return Loadable(loaded, tuple(left), dict(missing))


def _first(name: str) -> str:
    return name.partition(".")[0]
