"""Garbage collection: remove checkpoints that no rule keeps, and files that belong to none.

A checkpoint may use files in the folder of another one, so folders are not simply removed. Collection has two halves:

1. Decide which checkpoints go, and remove their manifests. From then on they don't exist.
2. Look again, mark every file that something may still need, and sweep the rest of `steps/`.

The second half knows only one thing of the first: which folders need no grace period. Those are the folders whose manifest goes,
and the folders with files that a checkpoint in another folder uses. Only existing checkpoints are shared from, so the latter had a
manifest once and can't be a save in progress. A collector that is killed anywhere leaves whole checkpoints and rubbish, and the
next one sweeps the rubbish. The second look reads leases first, then folders and manifests. That order makes it safe against
readers and savers that come in between (see `leases`): a lease that was taken in time is seen, and a save that has committed and
released its lease is seen by its manifest.

What can't be understood stays. A manifest that does not verify, or is of a later version, stays until somebody removes it by hand.
So does a checkpoint whose metrics don't verify, if a rule keeps the best ones. As long as a needed segment can't be read, nothing
is swept at all, because nobody knows which files it refers to.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterable

import msgspec

from headway.checkpoint.catalog.leases import READERS, SAVING, Live, find_live, pins
from headway.checkpoint.catalog.listing import Catalog, flaw, manifests, place_of
from headway.checkpoint.catalog.metrics import METRICS, read_later
from headway.checkpoint.catalog.retention import Keep, choose_kept, find_misnamed, summary_of
from headway.checkpoint.files.manifest import ROOT_NAME, STEPS, Segment, unseal
from headway.checkpoint.files.roots import PARTS
from headway.checkpoint.files.stored import read_head, read_segment
from headway.errors import CheckpointDamaged, NoCheckpoint, UsageError
from headway.journal.clocks import SET_BACK_S
from headway.storage.backend import Backend, Stat

GRACE_S = 3600.0
CLOCK = "clock"


class Kept(msgspec.Struct, frozen=True):
    """What stays, and every reason for it."""

    folder: str
    why: tuple[str, ...]


class Removed(msgspec.Struct, frozen=True):
    """A checkpoint that was removed."""

    id: str
    step: int
    folder: str


class Report(msgspec.Struct, frozen=True):
    """What a collection did (or would do). `swept`: all removed files, of `nbytes` in all; `notes`: what needs attention."""

    removed: tuple[Removed, ...]
    kept: tuple[Kept, ...]
    swept: tuple[str, ...]
    nbytes: int
    notes: tuple[str, ...]
    dry_run: bool


class Survey(msgspec.Struct, frozen=True):
    """A root at one moment. The fields are in the order in which they were read."""

    readers: tuple[Live, ...]
    savers: tuple[Live, ...]
    pinned: frozenset[str]
    folders: dict[str, dict[str, Stat]]
    catalog: Catalog


def collect(backend: Backend, keep: Keep, *, grace_s: float = GRACE_S, dry_run: bool = False, now: float | None = None) -> Report:
    """Remove what no rule keeps.

    Args:
        backend: the root.
        keep: which checkpoints to keep. Besides these: HEAD's, the newest whole one, pinned ones and those that are being read.
        grace_s: files without a manifest stay for so many seconds after the newest of their folder was written: they may
            belong to a save that holds no lease. Not those beside a file that a checkpoint refers to or did until now.
        dry_run: only report what would be done.
        now: the time by the store's clock; None: ask it.

    Raises UsageError, and removes nothing, where `keep` names a metric or an id that no checkpoint has.
    """
    if now is None:
        now = time.time() if dry_run else _store_clock(backend)
    measured = [file for file, _ in backend.files(METRICS)]  # first, so that the checkpoints of all of them are seen
    before = survey(backend, now, sweep=not dry_run)
    if not dry_run:
        _date_back(backend, before, now)
    notes: list[str] = [each.why for each in before.catalog.damaged]
    wanted = _choose_wanted(backend, before, keep, notes)
    going = [each for each in before.catalog.checkpoints if each.folder not in wanted]
    if dry_run:
        after = _without(before, {each.folder for each in going})
    else:
        backend.delete([f"{each.folder}/{ROOT_NAME}" for each in going])
        after = survey(backend, now, sweep=False)
    gone = {each.folder for each in going} | _once_whole(backend, before, after)
    stays = _staying(after, wanted, gone, now, grace_s)
    marks = _marks(backend, after, stays, notes)
    rubbish = _rubbish(after, stays, marks)
    if not dry_run:
        backend.delete(rubbish)
        backend.delete([file for file, stat in backend.files(CLOCK) if abs(now - stat.modified) > grace_s])
        backend.delete(_metrics_of_none(measured, stays))
    left_over = list(backend.sweep(PARTS, dry_run=dry_run))
    swept = {file: after.folders[_folder_of(file)][file].nbytes for file in rubbish}
    for each in going:
        swept[f"{each.folder}/{ROOT_NAME}"] = before.folders[each.folder][f"{each.folder}/{ROOT_NAME}"].nbytes
    swept.update((file, stat.nbytes) for file, stat in left_over)
    return Report(
        tuple(Removed(each.id, each.step, each.folder) for each in going),
        tuple(Kept(folder, why) for folder, why in stays.items()),
        tuple(sorted(swept)),
        sum(swept.values()),
        tuple(notes),
        dry_run,
    )


def survey(backend: Backend, now: float, *, sweep: bool = False) -> Survey:
    """Read the state of a root, leases first."""
    readers = find_live(backend, READERS, now, sweep=sweep)
    savers = find_live(backend, SAVING, now, sweep=sweep)
    pinned = pins(backend)
    folders: dict[str, dict[str, Stat]] = {}
    for file, stat in backend.files(STEPS):
        folders.setdefault(_folder_of(file), {})[file] = stat
    return Survey(readers, savers, pinned, folders, manifests(backend))


def _date_back(backend: Backend, seen: Survey, now: float) -> None:
    """Files dated in the future, because the clock was set back since, are dated now, so that their grace period lasts no longer
    than any other."""
    verified = {each.folder for each in seen.catalog.checkpoints}
    for folder in set(seen.folders) - verified:
        for file, stat in seen.folders[folder].items():
            if stat.modified > now + SET_BACK_S and (path := backend.path(file)) is not None:
                with contextlib.suppress(OSError):
                    os.utime(path, (now, now))


def _choose_wanted(backend: Backend, seen: Survey, keep: Keep, notes: list[str]) -> dict[str, tuple[str, ...]]:
    """Choose the checkpoints that keep their manifest, and say why."""
    later = read_later(backend)
    known = {each.id: each for each in later.added_to(seen.catalog.checkpoints)}
    if wrong := find_misnamed(map(summary_of, known.values()), keep):
        raise UsageError(f"{backend.url}: {wrong}. Nothing was removed")
    why = {name: list(reasons) for name, reasons in choose_kept(map(summary_of, known.values()), keep).items()}
    for name in later.damaged if keep.best is not None else ():
        if name in known:  # it may be the best
            why.setdefault(name, []).append("its metrics do not verify")
            notes.append(f"step {known[name].step} stays: {later.damaged[name]}. Take that file away by hand")
    for name in sorted(seen.pinned):
        if "pinned" not in why.setdefault(name, []):
            why[name].append("pinned")
    for lease in (*seen.readers, *seen.savers):
        why.setdefault(lease.id, []).append(f"in use by {lease.who}")
    with contextlib.suppress(CheckpointDamaged):  # then the newest whole one must stay
        head = read_head(backend)
        if head is not None:
            why.setdefault(head.id, []).append("HEAD")
    for each in seen.catalog.checkpoints:
        wrong = flaw(backend, each)
        if not wrong:
            why.setdefault(each.id, []).append("the newest whole one")
            break
        notes.append(f"{each.folder} is not whole: {wrong}")
    return {known[name].folder: tuple(reasons) for name, reasons in why.items() if name in known}


def _once_whole(backend: Backend, before: Survey, after: Survey) -> set[str]:
    """Find the folders without a manifest that a checkpoint refers to, even one that goes now."""
    there = {each.folder for each in after.catalog.checkpoints} | {each.folder for each in after.catalog.damaged}
    if not set(after.folders) - there - {each.folder for each in before.catalog.checkpoints}:
        return set()  # as it is where nothing is shared
    shared: set[str] = set()
    for ref in {ref.file: ref for each in before.catalog.checkpoints for ref in each.segments}.values():
        with contextlib.suppress(CheckpointDamaged):
            shared.add(_folder_of(read_segment(backend, ref).file))
    return shared - there


def _staying(
    seen: Survey, wanted: dict[str, tuple[str, ...]], gone: set[str], now: float, grace_s: float
) -> dict[str, tuple[str, ...]]:
    """Find the folders that stay as they are, and say why."""
    used = {lease.id: lease.who for lease in (*seen.readers, *seen.savers)}
    damaged = {each.folder for each in seen.catalog.damaged}
    stays: dict[str, tuple[str, ...]] = {}
    verified = {each.folder for each in seen.catalog.checkpoints}
    for folder in sorted(verified | set(seen.folders)):
        place = place_of(folder)
        age = now - max((stat.modified for stat in seen.folders.get(folder, {}).values()), default=now)
        if place is None:
            stays[folder] = ("not the folder of a checkpoint",)
        elif folder in damaged:
            stays[folder] = ("its manifest does not verify: take it away by hand",)
        elif folder in verified:
            stays[folder] = wanted.get(folder, ("saved meanwhile",))
        elif place.id in used:
            stays[folder] = (f"in use by {used[place.id]}",)
        elif folder not in gone and age <= grace_s:
            stays[folder] = (f"no manifest yet, and written to {max(age, 0):.0f} s ago: perhaps a save on its way",)
    return stays


def _marks(backend: Backend, seen: Survey, stays: Iterable[str], notes: list[str]) -> frozenset[str] | None:
    """List the files that the remaining checkpoints refer to; None if that can't be known."""
    by_folder = {each.folder: each for each in seen.catalog.checkpoints}
    needed: set[str] = set()
    for folder in stays:
        if place_of(folder) is not None:
            needed.update(
                file for file in seen.folders.get(folder, ()) if file.endswith(".json") and not file.endswith(f"/{ROOT_NAME}")
            )
        if folder in by_folder:
            needed.update(ref.file for ref in by_folder[folder].segments)
    marks = set(needed)
    known = True
    for file in sorted(needed):
        try:
            # An import may name a file of this very root by its absolute name.
            marks.add(unseal(backend.get(file), Segment, file).file.removeprefix(f"{backend.url}/"))
        except (CheckpointDamaged, NoCheckpoint) as error:
            notes.append(f"{error}; as it is not known what it refers to, no data is removed")
            known = False
    return frozenset(marks) if known else None


def _rubbish(seen: Survey, stays: Iterable[str], marks: frozenset[str] | None) -> list[str]:
    if marks is None:
        return []
    return [file for folder in sorted(set(seen.folders) - set(stays)) for file in seen.folders[folder] if file not in marks]


def _metrics_of_none(files: Iterable[str], stays: Iterable[str]) -> list[str]:
    """List metrics of checkpoints that don't exist any more."""
    there = {place.id for place in map(place_of, stays) if place is not None}
    return [file for file in files if file.rpartition("/")[2].rpartition("-")[0] not in there]


def _without(seen: Survey, folders: set[str]) -> Survey:
    """Leave out the manifests of these folders. A dry run takes this for the second look."""
    left = {
        folder: {file: stat for file, stat in files.items() if folder not in folders or file != f"{folder}/{ROOT_NAME}"}
        for folder, files in seen.folders.items()
    }
    checkpoints = tuple(each for each in seen.catalog.checkpoints if each.folder not in folders)
    catalog = msgspec.structs.replace(seen.catalog, checkpoints=checkpoints)
    return msgspec.structs.replace(seen, folders={folder: files for folder, files in left.items() if files}, catalog=catalog)


def _folder_of(file: str) -> str:
    """Return the `steps/<name>` that a file is below."""
    return "/".join(file.split("/")[:2])


def _store_clock(backend: Backend) -> float:
    """Read the clock that dates the files."""
    while True:
        mine = f"{CLOCK}/{secrets.token_hex(6)}"
        backend.put(mine, b"\n")
        stat = backend.stat(mine)
        backend.delete([mine])
        if stat is not None:  # else another collector has removed it as garbage
            return stat.modified
