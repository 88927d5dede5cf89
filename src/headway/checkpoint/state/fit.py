"""Decides whether a checkpoint fits a state. This is the only place that decides it, with the only set of messages.

Bytes are moved and never converted, so an array fits if its element type and whole shape are the same, however both are split. If
the layout of a state is wrong, the whole shape differs. All mismatches are named at once. Pure functions: every kind of load (of a
state, of chosen names, on one rank or many, of an import) asks here, before a byte is read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from headway.checkpoint.files.manifest import Json, Manifest, Object
from headway.errors import CheckpointMismatch

SHOWN = 10

Values = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Stored:
    """What a checkpoint holds: arrays and plain values, by name. `label` is what messages call it."""

    objects: Mapping[str, Object]
    values: Values
    label: str = "the checkpoint"

    @classmethod
    def of(cls, manifest: Manifest) -> Stored:
        """Describe the checkpoint of a manifest."""
        return cls(manifest.objects, manifest.values, manifest.label)

    def holder(self, name: str) -> str:
        """Return the name that holds the bytes of an array, which may be an alias."""
        known = self.objects.get(name)
        return known.alias_of if known is not None and known.alias_of else name


def find_misfits(stored: Stored, arrays: Iterable[tuple[str, Object | None]], values: Iterable[str] = ()) -> list[str]:
    """Say why a checkpoint can't give a state these arrays (None: of a shape that is not known yet) and plain values: one sentence
    for each that does not fit.

    Example:
        >>> find_misfits(Stored({"w": Object("F32", (4,))}, {}), [("w", Object("F16", (4,))), ("b", Object("F16", (2,)))])
        ['w is F16 [4] in the state and F32 [4] in the checkpoint', 'b is in the state (F16 [2]), but not in the checkpoint']
    """
    wrong = [_misfit(stored, name, wanted) for name, wanted in arrays]
    for name in values:
        if name in stored.values:
            continue  # it may be an array as well, to which the value refers
        if name in stored.objects:
            wrong.append(f"{name} is a plain value in the state and an array ({_kind(stored.objects[name])}) in the checkpoint")
        else:
            wrong.append(f"{name} is in the state (a plain value), but not in the checkpoint")
    return [each for each in wrong if each]


def _misfit(stored: Stored, name: str, wanted: Object | None) -> str:
    known = stored.objects.get(name)
    if known is None and wanted is not None and wanted.alias_of:
        return ""  # it gets what the other one gets
    if known is None and name in stored.values:
        return f"{name} is an array ({_kind(wanted)}) in the state and a plain value in the checkpoint"
    if known is None:
        return f"{name} is in the state ({_kind(wanted)}), but not in the checkpoint"
    if wanted is not None and (known.dtype, known.shape) != (wanted.dtype, wanted.shape):
        return f"{name} is {_kind(wanted)} in the state and {_kind(known)} in the checkpoint"
    return ""


def find_unclaimed(stored: Stored, claimed: Collection[str], required: Callable[[str], bool] | None = None) -> list[str]:
    """Say what a checkpoint has (of the names that `required` accepts) that nobody claims: one sentence for each. `claimed` are the
    names that all processes want. Claiming one name of an array claims its other names."""
    named = {*claimed, *map(stored.holder, claimed)}
    wrong = []
    for name in sorted({*stored.objects, *stored.values}):
        if (required is None or required(name)) and name not in named and stored.holder(name) not in named:
            known = stored.objects.get(name)
            what = _kind(known) if known is not None else "a plain value"
            wrong.append(f"{name} is in the checkpoint ({what}), but not in the state")
    return wrong


def refuse(stored: Stored, wrong: Sequence[str]) -> None:
    """Raise CheckpointMismatch if anything is wrong, with up to ten reasons and what to do."""
    if wrong:
        unique = list(dict.fromkeys(wrong))
        more = f"\n  and {len(unique) - SHOWN} more" if len(unique) > SHOWN else ""
        raise CheckpointMismatch(
            f"{stored.label} does not fit the state:\n  " + "\n  ".join(unique[:SHOWN]) + more + "\n"
            "Nothing was changed. To load what is in both, load with strict=False; leave out what has another shape or type "
            "by name (select=)"
        )


def refuse_halves(missing: Iterable[str], claimed: Iterable[str], part_of: Callable[[str], str]) -> None:
    """Raise CheckpointMismatch for a part of a state of which an import has something, but not all. `part_of` says which part of
    the state a name belongs to."""
    there = {part_of(name) for name in claimed}
    half = [name for name in missing if part_of(name) in there]
    if half:
        more = f", and {len(half) - SHOWN} more" if len(half) > SHOWN else ""
        raise CheckpointMismatch(
            f"the import does not fit the state: it lacks {', '.join(half[:SHOWN])}{more}, and has other parts of the same. "
            "Nothing was changed"
        )


def _kind(known: Object | None) -> str:
    if known is None:
        return "an array without a shape yet"
    return f"{known.dtype} {list(known.shape)}"
