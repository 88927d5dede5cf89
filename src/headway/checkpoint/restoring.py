"""Restores a state from a root: chooses the checkpoint, checks that it fits, and passes over damaged ones.

The first rank chooses, and all ranks load the same checkpoint. `"latest"` is the newest that verifies: if one is damaged, the one
before it is tried. A dead trainer's helper may still be writing, so a load waits for it.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from headway import events
from headway.checkpoint.catalog.leases import SAVING, find_live, lease_for_reading
from headway.checkpoint.catalog.listing import find, manifests
from headway.checkpoint.catalog.metrics import read_later
from headway.checkpoint.files.manifest import Manifest, Segment
from headway.checkpoint.files.stored import read_manifest, read_segments
from headway.checkpoint.layout.declared import Layout
from headway.checkpoint.load.loader import load
from headway.checkpoint.load.restored import Loadable, Restored, find_loadable
from headway.checkpoint.load.templateless import Arrays, Whole
from headway.checkpoint.process.collective import all_or_none
from headway.checkpoint.process.monitor import Listener, Monitor
from headway.checkpoint.process.patience import Patience
from headway.checkpoint.process.ranks import Ranks
from headway.checkpoint.state.fit import Stored, find_unclaimed, refuse
from headway.checkpoint.state.inventory import Inventory
from headway.checkpoint.state.selection import Selection
from headway.checkpoint.state.walk import list_claimed_names, refuse_half_a_part, take_for_load
from headway.errors import CheckpointDamaged, CheckpointMismatch
from headway.storage.backend import Backend

ORPHAN_WAIT_S = 60.0
BATCHES = "batches_per_epoch"  # in the provenance of what `epochs` saves
_LOOK_S = 0.05


class _Said(msgspec.Struct, frozen=True):
    """What a rank says before a load: what it was asked for; from the first one, the checkpoint and why others are passed over."""

    step: str
    folder: str = ""
    passed_over: tuple[str, ...] = ()


class _Wanted(msgspec.Struct, frozen=True):
    """The names that a rank loads, those that it would if the checkpoint had them, and those that it leaves alone."""

    claimed: set[str]
    missing: dict[str, str]
    declined: set[str] = set()


@dataclass(frozen=True)
class Asked:
    """What a load was asked for. `fresh`: parts of the state that an import lacks completely may begin as they are."""

    step: int | str = "latest"
    selection: Selection = field(default_factory=lambda: Selection(None))
    strict: bool = True
    layout: Layout | None = None
    memory_bytes: int = 256 << 20
    fresh: bool = False
    arrays: Arrays | None = None
    epochs: int = 0
    batches: int = 0  # in an epoch; 0: steps are counted


_decode_said = msgspec.msgpack.Decoder(_Said).decode
_decode_wanted = msgspec.msgpack.Decoder(_Wanted).decode


class Restorer:
    """Loads from one root.

    Args:
        in_flight: this process's own saves in flight, which no dead trainer left.
    """

    def __init__(
        self, backend: Backend, root: str, ranks: Ranks, listener: Listener | None, in_flight: Callable[[], list[str]]
    ) -> None:
        self._backend, self._root, self._ranks = backend, root, ranks
        self._listener, self._in_flight = listener, in_flight

    def restore(self, into: Any, asked: Asked) -> Restored:
        """Load what was asked for. All ranks must call it. Raises as `Checkpoints.load`."""
        ranks, step = self._ranks, asked.step
        passed_over: dict[str, str] = {}  # by id; what has none, by itself
        while True:
            manifest = self._chosen(ranks, step, passed_over)
            try:
                done = self._load(manifest, into, ranks, asked)
            except CheckpointDamaged as error:
                if step != "latest":
                    raise
                warnings.warn(f"{self._root}: step {manifest.step} is passed over: {error}", RuntimeWarning, stacklevel=4)
                passed_over[manifest.id] = f"{manifest.id}: {error}"
            else:
                return msgspec.structs.replace(done, passed_over=tuple(passed_over.values()))

    def _chosen(self, ranks: Ranks, step: int | str, passed_over: dict[str, str]) -> Manifest:
        """Return the checkpoint to load. The first rank chooses it for all."""

        def say() -> bytes:
            if ranks.rank:
                return msgspec.msgpack.encode(_Said(str(step)))
            notes = self._await_orphans()
            return msgspec.msgpack.encode(_Said(str(step), self._first_not_in(step, passed_over, notes), tuple(notes)))

        said = [_decode_said(each) for each in all_or_none(ranks, say)]
        for rank, each in enumerate(said):
            if each.step != said[0].step:
                raise CheckpointMismatch(
                    f"rank 0 loads {said[0].step} and rank {rank} loads {each.step}: give all of them the same step. "
                    "Nothing was changed"
                )
        for why in said[0].passed_over:
            if passed_over.setdefault(why, why) is why:
                warnings.warn(f"{self._root}: passed over: {why}", RuntimeWarning, stacklevel=5)
        return read_manifest(self._backend, said[0].folder)

    def _first_not_in(self, step: int | str, passed_over: Mapping[str, str], notes: list[str]) -> str:
        """The folder of the checkpoint that is meant, or of the newest that was not passed over yet."""
        if not passed_over:
            return find(self._backend, step, notes.append).folder
        for manifest in manifests(self._backend).checkpoints:
            if manifest.id not in passed_over:
                return manifest.folder
        found = "".join(f"\n  {line}" for line in passed_over.values())
        raise CheckpointDamaged(f"{self._root} has no checkpoint that verifies:{found}")

    def _load(self, manifest: Manifest, into: Any, ranks: Ranks, asked: Asked) -> Restored:
        began = time.perf_counter()
        monitor = Monitor(self._root, manifest.step, ranks.rank, self._listener)
        with lease_for_reading(self._backend, manifest.id):
            target = _Target(manifest, into, ranks, asked)
            agreed = self._agree(target)
            done = load(
                self._backend,
                manifest,
                target.segments,
                target.inventory,
                ranks=ranks,
                memory_bytes=asked.memory_bytes,
                select=lambda name: target.selection(name) and name not in agreed.declined,
                strict=target.strict,
                on_phase=monitor.note,
            )
        seconds = time.perf_counter() - began
        monitor.tell(events.CheckpointLoaded, id=manifest.id, nbytes=done.bytes_filled, seconds=seconds)
        return Restored(
            manifest.step,
            manifest.id,
            read_later(self._backend).added_to([manifest])[0].metrics,
            done.bytes_read,
            seconds,
            (),
            agreed.loadable.loaded,
            agreed.loadable.left,
            tuple(sorted(agreed.loadable.missing)),
            target.whole.state if target.whole is not None else None,
        )

    def _agree(self, target: _Target) -> _Agreed:
        """Find what all ranks want of the checkpoint. Raises CheckpointMismatch where it does not fit; warns of what is left."""
        manifest, asked = target.manifest, target.asked
        wanted = [_decode_wanted(each) for each in all_or_none(target.ranks, lambda: target.prepare(self._backend))]
        names: set[str] = set().union(*(each.claimed for each in wanted))
        declined: set[str] = set().union(*(each.declined for each in wanted))
        if asked.strict and asked.selection.everything and target.into is not None:
            stored = Stored.of(manifest)
            refuse(stored, find_unclaimed(stored, names | declined))
            if asked.layout is not None:
                asked.layout.check_rules(manifest.objects)
        missing = {name: kind for each in wanted for name, kind in each.missing.items()}
        loadable = find_loadable(manifest, names, missing, asked.selection, target.into)
        for why in dict.fromkeys(target.inventory.declined.values()):
            warnings.warn(why, RuntimeWarning, stacklevel=6)
        parts = sorted({name.partition(".")[0] for name in missing}) if target.fresh else loadable.untouched
        if parts:
            why = "was imported and " if target.fresh else ""
            now = "begins" if target.fresh else "stays"
            said = f"step {manifest.step} {why}has nothing of {', '.join(parts)}: that {now} as it is in the state"
            warnings.warn(said, RuntimeWarning, stacklevel=6)
        return _Agreed(loadable, declined)

    def _await_orphans(self) -> list[str]:
        """Wait for the helpers of dead trainers, which still write what was copied. Return what is not waited for any
        longer."""
        patience = Patience(ORPHAN_WAIT_S)
        mine = self._in_flight()
        while left := [lease for lease in find_live(self._backend, SAVING, time.time()) if lease.id not in mine]:
            if patience.over:
                return [f"{each.id} is still being saved by {each.who}, and is not waited for any longer" for each in left]
            time.sleep(_LOOK_S)
        return []


class _Agreed(NamedTuple):
    """What all ranks together load, and what they don't."""

    loadable: Loadable
    declined: set[str]


class _Target:
    """Where one rank loads a checkpoint into: a state, or a new one where there is none."""

    def __init__(self, manifest: Manifest, into: Any, ranks: Ranks, asked: Asked) -> None:
        self.manifest, self.into, self.ranks, self.asked = manifest, into, ranks, asked
        self.selection = asked.selection.among(manifest.values)
        self.fresh = asked.fresh and "imported" in manifest.provenance
        self.strict = asked.strict and not self.fresh
        self.segments: tuple[Segment, ...] = ()
        self.whole: Whole | None = None
        self.inventory = Inventory()

    def prepare(self, backend: Backend) -> bytes:
        """Read the manifest, and find what this rank wants of the checkpoint."""
        manifest, asked = self.manifest, self.asked
        _refuse_other_epochs(manifest, asked)
        self.segments = read_segments(backend, manifest)
        if self.into is None:
            self.whole = Whole(manifest, self.selection, asked.arrays)
            self.inventory = self.whole.inventory
            return msgspec.msgpack.encode(_Wanted(list_claimed_names(self.inventory), {}))
        self.inventory = take_for_load(
            self.into,
            manifest.objects,
            manifest.values,
            asked.layout,
            select=self.selection,
            strict=self.strict,
            rank=self.ranks.rank,
            ranks=self.ranks.size,
            label=manifest.label,
        )
        if self.fresh:
            refuse_half_a_part(self.into, self.inventory)
        inventory = self.inventory
        return msgspec.msgpack.encode(_Wanted(list_claimed_names(inventory), inventory.missing, set(inventory.declined)))


def _refuse_other_epochs(manifest: Manifest, asked: Asked) -> None:
    before = manifest.provenance.get(BATCHES, asked.batches)
    if asked.batches and before != asked.batches:
        raise CheckpointMismatch(
            f"an epoch had {before} batches when step {manifest.step} was saved, and has {asked.batches} now: that step would be "
            f"in another epoch. Nothing was changed. Count in steps: steps(state, total={asked.epochs * asked.batches}, …)"
        )
