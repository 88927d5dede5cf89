"""`hw.Checkpoints`: the state of a training, saved while it runs and loadable under any layout.

    ck = hw.Checkpoints("runs/gpt")
    for step in ck.steps(state, total=10_000, every=50):
        train_one(step)

A state is a nested dict of arrays, plain values and objects with `state_dict()`: modules, optimizers, schedulers, RNG streams, data
cursors. The same few calls serve one process and a gang of them; then every rank makes each call. Saves are taken behind the
training (`save.py`), loads verify everything before they change anything (`load.py`), and what is stored knows nothing of how
many processes there were (`docs/checkpoint-format.md`).
"""

from __future__ import annotations

import math
import operator
import os
import threading
import time
import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from headway import events
from headway.checkpoint.boundaries import Boundaries, Sigterm, noting_sigterm
from headway.checkpoint.catalog.collect import Report as Collected
from headway.checkpoint.catalog.collect import collect
from headway.checkpoint.catalog.leases import SAVING, live, opened, pin, reading, unpin
from headway.checkpoint.catalog.listing import find, manifests, newest
from headway.checkpoint.catalog.metrics import BEST, add_metrics, read_later, with_metrics
from headway.checkpoint.catalog.retention import Keep
from headway.checkpoint.files.manifest import Json, Manifest, Segment
from headway.checkpoint.files.stored import read_manifest, read_segments
from headway.checkpoint.layout.declared import Layout
from headway.checkpoint.load.lazy import OpenCheckpoint, open_checkpoint
from headway.checkpoint.load.loader import load
from headway.checkpoint.load.restored import Restored as Restored
from headway.checkpoint.load.restored import find_loadable
from headway.checkpoint.load.templateless import Arrays, Whole
from headway.checkpoint.load.verify import Report, verify
from headway.checkpoint.process.collective import all_or_none
from headway.checkpoint.process.monitor import Listener, Monitor
from headway.checkpoint.process.patience import Patience
from headway.checkpoint.process.ranks import Ranks, ranks_here
from headway.checkpoint.save.saver import DEADLINE_S, Save, Saver
from headway.checkpoint.state.copies import refuse_copies, refuse_unwritable_arrays
from headway.checkpoint.state.fit import Stored, find_unclaimed, refuse
from headway.checkpoint.state.inventory import Inventory
from headway.checkpoint.state.naming import claimed, refuse_half_a_part, take_for_load
from headway.checkpoint.state.selection import Chosen, Selection
from headway.errors import CheckpointDamaged, CheckpointMismatch, Interrupted, NoCheckpoint, UsageError
from headway.storage.backend import open_backend
from headway.storage.roots import refuse_unwritable, root_of

ORPHAN_WAIT_S = 60.0
BATCHES = "batches_per_epoch"  # in the provenance of what `epochs` saves
_LOOK_S = 0.05
_STEPS = 2**63  # what the format counts to
_MAKING = threading.Lock()  # of a saver, by one of several threads


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
class _Asked:
    """What a load was asked for. `fresh`: parts of the state of which an import has nothing at all may begin as they are."""

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


class Checkpoints:
    """The checkpoints of one training.

    Args:
        root: a folder (`~` is your home), or the URL of an object store such as `s3://bucket/runs/gpt` (needs the `objects` extra).
        layout: how plain tensors are shards of larger ones, where they are (see `Layout`); DTensors say it themselves.
        keep: which checkpoints to keep as new ones are saved (`Keep(last=3, every=1000)`); None: all.
        ranks: the processes that hold the state all_or_none; found through torch.distributed.
        buffers: how many saves may be on their way at once (each needs memory of the size of this rank's part).
        debug: also find changes of the state, during a copy, that nothing tells of. Slow.
        deadline_s: how long a save waits for other ranks before it fails.
        share: don't write again what an earlier checkpoint has (a frozen base): the new one refers to it. False: write all of it
            each time, so that damage to one checkpoint is never damage to another.
        provenance: what to write into each checkpoint about where it comes from (code, data, settings), as JSON values.
        on_event: hears what happens (`hw.events.CheckpointEvent`), from any thread; a run's stream hears it anyway.

    Example:
        >>> import numpy, tempfile
        >>> state = {"w": numpy.zeros(3), "note": "new"}
        >>> with Checkpoints(tempfile.mkdtemp()) as ck:
        ...     state["w"][:] = 7
        ...     ck.save(state, step=1).durable()
        ...     state["w"][:] = 0
        ...     ck.load(into=state).step, state["w"]
        (1, array([7., 7., 7.]))
    """

    def __init__(
        self,
        root: str | Path,
        *,
        layout: Layout | None = None,
        keep: Keep | None = None,
        ranks: Ranks | None = None,
        buffers: int = 2,
        debug: bool = False,
        deadline_s: float = DEADLINE_S,
        share: bool = True,
        provenance: Mapping[str, Json] | None = None,
        on_event: Listener | None = None,
    ) -> None:
        if buffers < 1:
            raise UsageError(f"Checkpoints(buffers={buffers}): a save needs at least one")
        if not deadline_s > 0:
            raise UsageError(f"Checkpoints(deadline_s={deadline_s}): give how many seconds a save may wait for other ranks")
        if keep is not None and not isinstance(keep, Keep):
            raise UsageError(f"Checkpoints(keep={keep!r}): expected headway.checkpoint.Keep. Write keep=Keep(last=3)")
        self.root = root_of(root)
        self.layout = layout
        self.keep = keep
        self.backend = open_backend(self.root)
        self._given_ranks = ranks
        self._on_event = on_event
        self._options: dict[str, Any] = {"buffers": buffers, "debug": debug, "deadline_s": deadline_s, "share": share}
        self._options["provenance"] = _as_json(provenance or {})
        self._saver: Saver | None = None
        self._loops: list[Sigterm] = []
        self._came_from = ""

    def __repr__(self) -> str:
        return f"hw.Checkpoints({self.root!r})"

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # --- saving ------------------------------------------------------------------------------------------------------

    def save(self, state: Any, step: int, *, metrics: Mapping[str, float] | None = None, may_skip: bool = True) -> Save:
        """Begin to save the state as that of `step`: how many steps are done. All ranks must call it.

        Returns when the rest of the copy is guarded: torch's optimizers wait for it before they change anything; code that changes
        the state in another way calls `.staged()` of what is returned first. `.durable()` waits until the checkpoint exists.

        Args:
            metrics: numbers to keep with it, such as the validation loss (for `Keep(best=…)`).
            may_skip: skip this save, with a warning, where earlier ones are still being written. False: wait for them, as for the
                last state of a training.

        Raises:
            UsageError, LayoutError, CheckpointMismatch: this state can never be saved like this.
        """
        step = _integer(step, "save(step=…)")
        if step < 0:
            raise UsageError(f"save(step={step}): a step says how many are done, so it is 0 or more")
        if step >= _STEPS:
            raise UsageError("save(step=…): give an integer below 2**63")
        kept = _numbers(metrics or {}, "save(metrics=…)")
        for name in [name for name, value in kept.items() if not math.isfinite(value)]:
            warnings.warn(f"step {step}: the metric {name}={kept.pop(name)} is not kept: it is no number", RuntimeWarning, 2)
        saver = self._saving()
        with saver.one_at_a_time:
            return saver.save(state, self.layout, step, kept, may_skip=may_skip)

    def prepare(self, state: Any) -> None:
        """Have the memory for saves of this state made ahead of time, as `steps` does: the first save blocks less. All ranks must
        call it. Raises as `save` does."""
        saver = self._saving()
        with saver.one_at_a_time:
            saver.prepare(state, self.layout)

    def steps(
        self,
        state: Any,
        total: int,
        every: int | None = None,
        *,
        every_s: float | None = None,
        metrics: Callable[[], Mapping[str, float]] | None = None,
    ) -> Generator[int, None, None]:
        """Load the newest checkpoint into the state, then yield the numbers of the steps still to do, and save every so many.

        Where the newest was imported (`headway ckpt import`), a part of the state of which it has nothing, such as the optimizer,
        begins as it is, and a warning says so.

        The last step is always saved, and durable when the loop ends; so is the last save before a `break`. On SIGTERM the step
        that is under way is finished and saved, durably, before the process ends by the signal; the other ranks raise
        Interrupted. Not where the program handles the signal itself, and not in threads. In a task the run ends the call, after the
        save.

        Args:
            total: how many steps the training has; steps are numbered from 0.
            every: save after this many steps.
            every_s: save when the last save began so many seconds ago, whatever the step, by the clock of the first rank.
            metrics: asked at each save for what to keep with it.

        Raises:
            UsageError: there is a copy in the state, such as what `state_dict()` gave, which does not go on with the training, or
                an array that can't be loaded into (read-only, or expanded).
            CheckpointDamaged: there are checkpoints, but none that verifies. (Only where there is none does it start afresh.)
            CheckpointMismatch: the newest does not fit the state.
            StoreError: the root can't be written, before the first step; or the last step could not be saved.
            Interrupted: another rank got SIGTERM; the step is saved.
        """
        yield from self._steps(state, total, every, every_s, metrics, _Asked(layout=self.layout, fresh=True))

    def epochs(
        self,
        state: Any,
        epochs: int,
        batches: int,
        every: int | None = None,
        *,
        every_s: float | None = None,
        metrics: Callable[[], Mapping[str, float]] | None = None,
    ) -> Generator[tuple[int, int], None, None]:
        """`steps` for a training that counts epochs: yields (epoch, batch), both from 0, and goes on in the middle of an epoch. A
        step is a batch; the data belong into a `Cursor`, which goes on where they were.

        Args:
            batches: in an epoch. Must be what it was: else the steps that are done would be other epochs than they were.

        Raises what `steps` raises, and CheckpointMismatch where an epoch had another number of batches.

        Example:
            >>> for epoch, batch in ck.epochs(state, epochs=3, batches=len(loader), every=100):  # doctest: +SKIP
            ...     train_one(next(data))
        """
        epochs, batches = _integer(epochs, "epochs(epochs=…)"), _integer(batches, "epochs(batches=…)")
        if batches < 1:
            raise UsageError(f"epochs(batches={batches}): an epoch has 1 or more batches")
        asked = _Asked(layout=self.layout, fresh=True, epochs=epochs, batches=batches)
        provenance = self._options["provenance"]
        provenance[BATCHES] = batches
        try:
            with closing(self._steps(state, epochs * batches, every, every_s, metrics, asked)) as steps:
                for step in steps:
                    yield divmod(step, batches)
        finally:
            provenance.pop(BATCHES, None)

    def _steps(
        self,
        state: Any,
        total: int,
        every: int | None,
        every_s: float | None,
        metrics: Callable[[], Mapping[str, float]] | None,
        asked: _Asked,
    ) -> Generator[int, None, None]:
        total = _integer(total, "steps(total=…)")
        every = None if every is None else _integer(every, "steps(every=…)")
        if every is None and every_s is None:
            raise UsageError("steps(): when to save? Give every= (steps), every_s= (seconds), or both")
        if every is not None and every < 1:
            raise UsageError(f"steps(every={every}): save after every 1 or more steps")
        if every_s is not None and not _positive(every_s):
            raise UsageError(f"steps(every_s={every_s!r}): give a number of seconds above 0")
        refuse_copies(state)
        refuse_unwritable_arrays(state)
        first = self._begin(state, asked)
        if first < total:
            self._refuse_unwritable()
        self.prepare(state)
        last: Save | None = None
        with noting_sigterm(self.root, self.wait) as told:
            due = Boundaries(self._ranks(), every=every, every_s=every_s, total=total, stopping=lambda: told.came)
            self._loops.append(told)
            try:
                for step in range(first, total):
                    yield step
                    now = due.after(step + 1)
                    if now.save:
                        may_skip = step + 1 < total and not now.stop
                        last = self.save(state, step + 1, metrics=metrics() if metrics else None, may_skip=may_skip)
                    if now.stop and told.of_run:
                        self.wait()
                    elif now.stop:
                        told.cut = True
                        break
                if last is not None:
                    last.durable()
                    told.saved = last.step
            finally:
                self._loops.remove(told)
                self.wait()
                if (saver := self._own_saver()) is not None:
                    saver.sum_up()
        if last is not None and last.step < total:
            raise Interrupted(f"another rank was told to end (SIGTERM); step {last.step} is saved: {self.root}")

    def _begin(self, state: Any, asked: _Asked) -> int:
        """Load what `steps` goes on from; how many steps are done."""
        try:
            return self._load_asked(state, asked).step
        except NoCheckpoint:
            return 0
        except CheckpointMismatch as error:
            error.add_note(
                f"steps() goes on from the newest checkpoint of {self.root} and needs all of its state. To begin another training "
                "with a part of it, give that a root of its own, and load before its steps(): Checkpoints(old).load(into=state, "
                'select="model.*")'
            )
            raise

    def _refuse_unwritable(self) -> None:
        ranks = self._ranks()

        def probe() -> bytes:
            if not ranks.rank:
                refuse_unwritable(self.backend)
            return b""

        all_or_none(ranks, probe)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Return when no save is on its way any more, durable or failed; or after `timeout_s` seconds, and at the deadline of the
        run (`hw.deadline`). Whether none is. Warns of those that failed or were skipped."""
        saver = self._own_saver()
        return saver is None or saver.wait(Patience(timeout_s))

    def guard(self) -> None:
        """Return when the state may be changed, whatever is still being copied. Torch's optimizers call it by themselves."""
        if (saver := self._own_saver()) is not None:
            saver.guard()

    def close(self, timeout_s: float | None = None) -> None:
        """Wait for saves on their way and end the helper process; SIGTERM ends the program again as it would without a loop. After
        `timeout_s` seconds, and at the deadline of the run (`hw.deadline`), the helper goes on alone, which a warning says.

        A state whose save was skipped, and which is still the same, is saved now if no other was saved after it. (Of several ranks,
        which may come here one by one, none does: `save(…, may_skip=False)` for the last state.)"""
        saver, self._saver = self._own_saver(), None
        try:
            if saver is not None:
                saver.close(Patience(timeout_s))
        finally:
            for told in self._loops:  # whose generators somebody still holds
                told.leave()

    # --- loading -----------------------------------------------------------------------------------------------------

    def load(
        self,
        into: Any = None,
        step: int | str = "latest",
        *,
        select: Chosen = None,
        strict: bool = True,
        layout: Layout | None = None,
        memory_bytes: int = 256 << 20,
        arrays: Arrays | None = None,
    ) -> Restored:
        """Load a checkpoint into the state, in place, under whatever layout the state has now. All ranks must call it.

        Everything is verified before the first byte of the state changes. `"latest"` is the newest that verifies: a damaged one is
        passed over, with a warning that says what is wrong with it. What is returned says which names were loaded and which not.

        Args:
            into: a state of the same structure. Optimizers may be new: what they lack is made. None: whatever was saved is in
                `.state` of what is returned, as dictionaries in each other.
            step: a step, an id, `"latest"`, or `"best"` (see `metrics_of`): the best by the metric that `keep` is about, or by any
                other as `"best:val_loss:min"`.
            select: which names to load, as a pattern (`"model.*"`), several, or a function of a name; the rest is left as it is.
            strict: False: leave out what only one of state and checkpoint has; warns of parts of the state that get nothing.
            layout: of this load, where it is not that of the saves.
            memory_bytes: memory to use above the state.
            arrays: without `into`: `"numpy"` or `"torch"`; None: torch's, if the program uses torch.

        Raises:
            NoCheckpoint: there is none (such).
            CheckpointMismatch: state and checkpoint don't fit, or nothing would be loaded; nothing was changed.
            CheckpointDamaged: it is not what was saved; nothing was changed.
        """
        if into is None and (not strict or layout is not None):
            raise UsageError("load() without a state takes what was saved as it is: strict= and layout= are about a state")
        if into is not None and arrays is not None:
            raise UsageError(f"load(arrays={arrays!r}) is for a load without a state: the arrays of a state are what they are")
        asked = _Asked(self._meant(step), Selection(select), strict, layout or self.layout, memory_bytes, arrays=arrays)
        return self._load_asked(into, asked)

    def _load_asked(self, into: Any, asked: _Asked) -> Restored:
        self.guard()
        ranks, step = self._ranks(), asked.step
        passed_over: dict[str, str] = {}  # by id; what has none, by itself
        while True:
            manifest = self._chosen(ranks, step, passed_over)
            try:
                done = self._load(manifest, into, ranks, asked)
            except CheckpointDamaged as error:
                if step != "latest":
                    raise
                warnings.warn(f"{self.root}: step {manifest.step} is passed over: {error}", RuntimeWarning, stacklevel=3)
                passed_over[manifest.id] = f"{manifest.id}: {error}"
            else:
                return msgspec.structs.replace(done, passed_over=tuple(passed_over.values()))

    def _chosen(self, ranks: Ranks, step: int | str, passed_over: dict[str, str]) -> Manifest:
        """The same checkpoint on all ranks: the first one says which."""

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
                warnings.warn(f"{self.root}: passed over: {why}", RuntimeWarning, stacklevel=4)
        return read_manifest(self.backend, said[0].folder)

    def _first_not_in(self, step: int | str, passed_over: Mapping[str, str], notes: list[str]) -> str:
        """The folder of the checkpoint that is meant, or of the newest that was not passed over yet."""
        if not passed_over:
            return find(self.backend, step, notes.append).folder
        for manifest in manifests(self.backend).checkpoints:
            if manifest.id not in passed_over:
                return manifest.folder
        found = "".join(f"\n  {line}" for line in passed_over.values())
        raise CheckpointDamaged(f"{self.root} has no checkpoint that verifies:{found}")

    def _load(self, manifest: Manifest, into: Any, ranks: Ranks, asked: _Asked) -> Restored:
        selection, layout = asked.selection.among(manifest.values), asked.layout
        fresh = asked.fresh and "imported" in manifest.provenance
        strict = asked.strict and not fresh
        began = time.perf_counter()
        monitor = Monitor(self.root, manifest.step, ranks.rank, self._on_event)
        with reading(self.backend, manifest.id):
            segments: list[Segment] = []
            inventories: list[Inventory] = []

            whole: list[Whole] = []

            def prepare() -> bytes:
                _refuse_other_epochs(manifest, asked)
                segments.extend(read_segments(self.backend, manifest))
                if into is None:
                    whole.append(Whole(manifest, selection, asked.arrays))
                    inventories.append(whole[0].inventory)
                    return msgspec.msgpack.encode(_Wanted(claimed(inventories[0]), {}))
                inventories.append(
                    take_for_load(
                        into,
                        manifest.objects,
                        manifest.values,
                        layout,
                        select=selection,
                        strict=strict,
                        rank=ranks.rank,
                        ranks=ranks.size,
                        label=manifest.label,
                    )
                )
                if fresh:
                    refuse_half_a_part(into, inventories[0])
                return msgspec.msgpack.encode(
                    _Wanted(claimed(inventories[0]), inventories[0].missing, set(inventories[0].declined))
                )

            wanted = [_decode_wanted(each) for each in all_or_none(ranks, prepare)]
            names: set[str] = set().union(*(each.claimed for each in wanted))
            declined: set[str] = set().union(*(each.declined for each in wanted))
            if asked.strict and asked.selection.everything and into is not None:
                stored = Stored.of(manifest)
                refuse(stored, find_unclaimed(stored, names | declined))
                if layout is not None:
                    layout.check_rules(manifest.objects)
            missing = {name: kind for each in wanted for name, kind in each.missing.items()}
            met = find_loadable(manifest, names, missing, asked.selection, into)
            for why in dict.fromkeys(inventories[0].declined.values()):
                warnings.warn(why, RuntimeWarning, stacklevel=4)
            parts = sorted({name.partition(".")[0] for name in missing}) if fresh else met.untouched
            if parts:
                why = "was imported and " if fresh else ""
                now = "begins" if fresh else "stays"
                said = f"step {manifest.step} {why}has nothing of {', '.join(parts)}: that {now} as it is in the state"
                warnings.warn(said, RuntimeWarning, stacklevel=4)
            done = load(
                self.backend,
                manifest,
                segments,
                inventories[0],
                ranks=ranks,
                memory_bytes=asked.memory_bytes,
                select=lambda name: selection(name) and name not in declined,
                strict=strict,
                on_phase=monitor.note,
            )
        self._came_from = manifest.id
        if (saver := self._own_saver()) is not None:
            saver.came_from(manifest.id)
        seconds = time.perf_counter() - began
        monitor.tell(events.CheckpointLoaded, id=manifest.id, nbytes=done.bytes_filled, seconds=seconds)
        return Restored(
            manifest.step,
            manifest.id,
            read_later(self.backend).added_to([manifest])[0].metrics,
            done.bytes_read,
            seconds,
            (),
            met.loaded,
            met.left,
            tuple(sorted(missing)),
            whole[0].state if whole else None,
        )

    # --- looking -----------------------------------------------------------------------------------------------------

    def open(self, step: int | str = "latest") -> OpenCheckpoint:
        """A checkpoint as a mapping from names to lazy arrays, read and verified block by block as they are sliced. Needs no torch.

        Example:
            >>> rows = Checkpoints("runs/gpt").open(120)["model.layers.3.w"][10:20]  # doctest: +SKIP
        """
        with ExitStack() as stack:
            manifest, _ = stack.enter_context(opened(self.backend, self._meant(step), self._note))
            segments = read_segments(self.backend, manifest)
            return open_checkpoint(self.backend, manifest, segments, on_close=stack.pop_all().close)

    def manifests(self) -> tuple[Manifest, ...]:
        """All checkpoints whose manifests verify, newest first. Warns of those that don't."""
        found = manifests(self.backend)
        for each in found.damaged:
            self._note(each.why)
        return found.checkpoints

    def latest(self) -> Manifest | None:
        """The newest checkpoint whose manifest verifies; None where there is none. Warns of what it passes over."""
        found = newest(self.backend)
        for why in found.skipped:
            self._note(why)
        return found.manifest

    def verify(self, step: int | str = "latest") -> Report:
        """Read every byte of a checkpoint and say what is not as it was written. Warns of newer ones that it passes over."""
        return verify(self.backend, find(self.backend, self._meant(step), self._note))

    def metrics_of(self, step: int | str = "latest") -> dict[str, float]:
        """The metrics of a checkpoint: those that were saved with it, and those that `add_metrics` added."""
        return with_metrics(self.backend, [find(self.backend, self._meant(step), self._note)], self._note)[0].metrics

    def add_metrics(self, step: int | str, metrics: Mapping[str, float]) -> None:
        """Add numbers to a checkpoint that was saved before, as an evaluation gives them later. Of one name, the last counts. One
        rank calls it.

        Raises NoCheckpoint where there is no such checkpoint, UsageError for what is no finite number.

        Example:
            >>> ck.add_metrics(120, {"val_loss": 0.31})  # doctest: +SKIP
            >>> ck.load(into=state, step="best:val_loss:min")  # doctest: +SKIP
        """
        numbers = _numbers(metrics, "add_metrics(…)")
        if not numbers or not all(map(math.isfinite, numbers.values())):
            raise UsageError(f"add_metrics({dict(metrics)!r}): give finite numbers by name")
        add_metrics(self.backend, find(self.backend, self._meant(step), self._note).id, numbers)

    def _meant(self, step: int | str) -> int | str:
        """A step as `find` takes it: `"best"` is by the metric that `keep` is about."""
        if step != BEST:
            return step
        if self.keep is None or self.keep.best is None:
            raise UsageError('step="best": by which metric? Write "best:val_loss:min", or Checkpoints(keep=Keep(best=…))')
        return f"{BEST}:{self.keep.best[0]}:{self.keep.best[1]}"

    def _note(self, why: str) -> None:
        warnings.warn(f"{self.root}: passed over: {why}", RuntimeWarning, stacklevel=4)

    # --- inside ------------------------------------------------------------------------------------------------------

    def _ranks(self) -> Ranks:
        return self._given_ranks or ranks_here()

    def _saving(self) -> Saver:
        with _MAKING:
            saver = self._own_saver()
            if saver is None:
                after = self._collect if self.keep is not None else None
                saver = self._saver = Saver(self.backend, self._ranks(), listener=self._on_event, after=after, **self._options)
                saver.came_from(self._came_from)
            return saver

    def _own_saver(self) -> Saver | None:
        """The saver of this process, if there is one. A fork has its parent's, without the threads that make it go on."""
        if self._saver is not None and self._saver.process != os.getpid():
            self._saver = None
        return self._saver

    def _collect(self) -> None:
        """Called on the first rank after a save."""
        assert self.keep is not None
        collect(self.backend, self.keep)

    def _await_orphans(self) -> list[str]:
        """A trainer that died may have left a helper that still writes what it had copied: wait for that. What is not waited for
        any longer."""
        patience = Patience(ORPHAN_WAIT_S)
        saver = self._own_saver()
        mine = saver.in_flight() if saver is not None else []
        while left := [lease for lease in live(self.backend, SAVING, time.time()) if lease.id not in mine]:
            if patience.over:
                return [f"{each.id} is still being saved by {each.who}, and is not waited for any longer" for each in left]
            time.sleep(_LOOK_S)
        return []

    # --- keeping -----------------------------------------------------------------------------------------------------

    def gc(self, keep: Keep | None = None, *, dry_run: bool = False) -> Collected:
        """Remove the checkpoints that `keep` (or that of this object) does not keep, and what crashed saves left."""
        return collect(self.backend, keep or self.keep or Keep(last=2**31), dry_run=dry_run)

    def pin(self, step: int | str) -> None:
        """Keep a checkpoint whatever the policy says, until it is unpinned."""
        pin(self.backend, find(self.backend, self._meant(step)).id)

    def unpin(self, step: int | str) -> None:
        """Leave a checkpoint to the policy again."""
        unpin(self.backend, find(self.backend, self._meant(step)).id)


def _integer(number: Any, what: str) -> int:
    """A number of steps, which may be one of numpy's or torch's."""
    try:
        return operator.index(number)
    except TypeError:
        raise UsageError(f"{what} is {number!r}: give an integer") from None


def _positive(number: Any) -> bool:
    try:
        return not isinstance(number, str) and 0 < float(number) < math.inf
    except (TypeError, ValueError):
        return False


def _refuse_other_epochs(manifest: Manifest, asked: _Asked) -> None:
    before = manifest.provenance.get(BATCHES, asked.batches)
    if asked.batches and before != asked.batches:
        raise CheckpointMismatch(
            f"an epoch had {before} batches when step {manifest.step} was saved, and has {asked.batches} now: that step would be "
            f"in another epoch. Nothing was changed. Count in steps: steps(state, total={asked.epochs * asked.batches}, …)"
        )


def _numbers(metrics: Any, what: str) -> dict[str, float]:
    """Metrics as they are kept. Arrays and tensors of one number are numbers."""
    if not isinstance(metrics, Mapping) or not all(isinstance(name, str) and _is_text(name) for name in metrics):
        raise UsageError(f"{what} is {metrics!r}: give numbers by name, such as {{'val_loss': 0.3}}")
    return {name: _metric(name, value) for name, value in metrics.items()}


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # half of a pair of surrogates
        return False
    return True


def _metric(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        raise UsageError(f"the metric {name} is {value!r}: give a number") from None
    except OverflowError:
        raise UsageError(f"the metric {name} is an integer that no float holds: give a float") from None


def _as_json(provenance: Mapping[str, Json]) -> dict[str, Json]:
    """Provenance as it will be in the manifest. Raises UsageError for what JSON has not."""
    try:
        kept: dict[str, Json] = msgspec.json.decode(msgspec.json.encode(dict(provenance)))
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise UsageError(f"Checkpoints(provenance={provenance!r}): {error}. Give names with values as JSON has them") from None
    return kept
