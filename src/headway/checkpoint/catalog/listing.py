"""Lists the checkpoints of a root, says which can be trusted, and finds the one that a name means.

A manifest counts only if its seal verifies and it lies where it says it does. Everything else is reported with the reason and never
silently passed over: someone who asks for the newest and gets an older one has to be told why.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable

import msgspec

from headway.checkpoint.catalog.metrics import BEST, best, parse_best, with_metrics
from headway.checkpoint.files.foreign import stat_data
from headway.checkpoint.files.manifest import ROOT_NAME, STEPS, Manifest
from headway.checkpoint.files.stored import read_head, read_manifest, read_segment
from headway.errors import CheckpointDamaged, NoCheckpoint, UsageError
from headway.storage.backend import Backend

_FOLDER = re.compile(rf"{STEPS}/(\d{{12,}})-([^/]+)")
SHORTEST = 4  # of an abbreviated id
Note = Callable[[str], None]
_HOW = "give a step, an id, 'latest', or the best by a metric as 'best:val_loss:min'"


class Damaged(msgspec.Struct, frozen=True):
    """A manifest that is not used, and why."""

    folder: str
    why: str


class Catalog(msgspec.Struct, frozen=True):
    """Verified checkpoints, newest first, and what is damaged."""

    checkpoints: tuple[Manifest, ...]
    damaged: tuple[Damaged, ...]


class Newest(msgspec.Struct, frozen=True):
    """The newest verified checkpoint (None: there is none), and what was passed over on the way to it."""

    manifest: Manifest | None
    skipped: tuple[str, ...] = ()


class StepFolder(msgspec.Struct, frozen=True, order=True):
    """What the name of a checkpoint's folder says."""

    step: int
    id: str
    folder: str


def place_of(folder: str) -> StepFolder | None:
    """Parse the step and id in the name of a folder; None if it is no checkpoint's.

    Example:
        >>> place_of("steps/000000000120-6a1f")
        StepFolder(step=120, id='6a1f', folder='steps/000000000120-6a1f')
    """
    match = _FOLDER.fullmatch(folder)
    return StepFolder(int(match[1]), match[2], folder) if match else None


def flaw(backend: Backend, manifest: Manifest) -> str:
    """Say why a checkpoint can't be whole, as far as it shows without reading the data: a segment that does not verify, a data
    file that is missing or has another size. Empty where nothing is wrong."""
    for ref in manifest.segments:
        try:
            segment = read_segment(backend, ref)
        except CheckpointDamaged as error:
            return str(error)
        try:
            found = stat_data(backend, segment.file)
        except CheckpointDamaged as error:
            return str(error)
        if found is None:
            return f"{segment.file} is missing"
        if found.nbytes != segment.nbytes:
            return f"{segment.file} has {found.nbytes:,} bytes instead of {segment.nbytes:,}"
    return ""


def places(backend: Backend) -> list[StepFolder]:
    """List the folders that have a manifest, by step, whether it verifies or not."""
    names = (file.rpartition("/") for file, _ in backend.files(STEPS))
    found = (place_of(folder) for folder, _, name in names if name == ROOT_NAME)
    return sorted(place for place in found if place is not None)


def manifests(backend: Backend) -> Catalog:
    """List all checkpoints that verify, newest first, and those that don't."""
    good: list[Manifest] = []
    damaged: list[Damaged] = []
    for place in places(backend):
        try:
            good.append(read_manifest(backend, place.folder))
        except NoCheckpoint:
            continue  # collected since it was listed
        except CheckpointDamaged as error:
            damaged.append(Damaged(place.folder, str(error)))
    return Catalog(tuple(sorted(good, key=lambda each: (-each.serial, each.id))), tuple(damaged))


def newest(backend: Backend) -> Newest:
    """Find the checkpoint that HEAD names, if its manifest verifies, or else the one with the highest serial that does."""
    skipped: list[str] = []
    try:
        head = read_head(backend)
        if head is not None:
            return Newest(read_manifest(backend, head.folder))
    except CheckpointDamaged as error:
        skipped.append(str(error))
    except NoCheckpoint as error:
        skipped.append(f"HEAD names a checkpoint that is gone ({error})")
    catalog = manifests(backend)
    skipped += [each.why for each in catalog.damaged if each.why not in skipped]
    return Newest(catalog.checkpoints[0] if catalog.checkpoints else None, tuple(skipped))


def find(backend: Backend, step: int | str, note: Note = lambda why: None) -> Manifest:
    """Find the checkpoint of a step (the newest of several), of an id (or the beginning of one), `"latest"`, or the best by a
    metric: `"best:val_loss:min"`.

    `note` is called with the reason for each one that was passed over because it does not verify.

    Raises NoCheckpoint, saying what is there, and CheckpointDamaged where the one that is meant does not verify.
    """
    if not isinstance(step, str):
        try:
            step = operator.index(step)
        except TypeError:
            raise UsageError(f"{step!r} names no checkpoint: {_HOW}") from None
    if isinstance(step, str) and step.partition(":")[0] == BEST:
        catalog = manifests(backend)
        for each in catalog.damaged:
            note(each.why)
        chosen_best = best(with_metrics(backend, catalog.checkpoints, note), *parse_best(step), backend.url)
        return next(each for each in catalog.checkpoints if each.id == chosen_best.id)
    if step == "latest":
        found = newest(backend)
        if found.manifest is None:
            if found.skipped:  # callers start afresh where there is none, and must not do so here
                raise CheckpointDamaged(
                    f"{backend.url} has no checkpoint that verifies:" + "".join(f"\n  {why}" for why in found.skipped)
                )
            raise NoCheckpoint(f"{backend.url} has no checkpoint yet")
        for why in found.skipped:
            note(why)
        return found.manifest
    known = places(backend)
    chosen = _match_step(known, step)
    if not chosen:
        how = f". To name one, {_HOW}" if isinstance(step, str) and not any(map(str.isdecimal, step)) else ""
        raise NoCheckpoint(f"{backend.url} has no checkpoint {step!r}. There {_listing(known)}{how}")
    read: list[Manifest] = []
    errors: list[CheckpointDamaged] = []
    for place in chosen:
        try:
            read.append(read_manifest(backend, place.folder))
        except CheckpointDamaged as error:
            errors.append(error)
    if not read:
        raise errors[0]
    for flawed in errors:
        note(str(flawed))
    return max(read, key=lambda each: each.serial)


def _match_step(known: list[StepFolder], step: int | str) -> list[StepFolder]:
    """Return all folders of a step, or the one of an id."""
    if isinstance(step, int):
        return [place for place in known if place.step == step]
    exact = [place for place in known if place.id == step]
    begins = [place for place in known if place.id.startswith(step)] if len(step) >= SHORTEST else []
    by_step = [place for place in known if place.step == int(step)] if step.isdecimal() else []
    if exact or by_step:
        return exact or by_step
    if len(begins) > 1:
        raise NoCheckpoint(f"{step!r} is the beginning of several ids: " + ", ".join(place.id for place in begins))
    return begins


def _listing(known: list[StepFolder]) -> str:
    if not known:
        return "is none at all"
    shown = ", ".join(f"{place.step} ({place.id})" for place in known[-10:])
    counted = f"is {len(known)}" if len(known) == 1 else f"are {len(known)}"
    return counted + (", the last ten of which are " if len(known) > 10 else ": ") + shown
