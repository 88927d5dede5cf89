"""Saves a state. The training is blocked only while the plan is made and the unguarded rest is copied.

All ranks call `Saver.save` at the same point of their program, and agree on a plan (`planner.py`). Then each rank begins its part
with its helper process and goes on training. A thread receives from the helper how the save ended.

A save that fails never ends the training and is never silent: an event at once, a warning from the next call on the training's
thread, and an exception for whoever asks (`Save.durable`). What can never work, such as a state that can't be saved or a layout
that does not fit, raises UsageError, LayoutError or CheckpointMismatch at the first save, on all ranks. If a state that was saved
before can't be saved any more, that save fails. If ranks begin to differ, there is a warning (`replicas.py`).
"""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from headway import events
from headway.checkpoint.catalog.head import find_basis, see_head
from headway.checkpoint.files.file_layout import SaveImage
from headway.checkpoint.files.manifest import Head, Json
from headway.checkpoint.helper.client import Begun, HelperClient
from headway.checkpoint.helper.messages import CommitPlan, Durable, Failed, Happened, WriterPlan, Written
from headway.checkpoint.layout.declared import Layout
from headway.checkpoint.process.collective import all_or_none
from headway.checkpoint.process.monitor import Listener, Monitor
from headway.checkpoint.process.patience import Patience
from headway.checkpoint.process.ranks import Ranks
from headway.checkpoint.save.expected import Expected
from headway.checkpoint.save.guard import StepGuard
from headway.checkpoint.save.image import find_copies, lay_out_share
from headway.checkpoint.save.planner import Planned, Planner, Word, find_why_not
from headway.checkpoint.save.save import Save as Save
from headway.checkpoint.save.skipped import Missed, Skips, mark_of, name_steps
from headway.checkpoint.save.snapshot import Copy, Snapshot
from headway.checkpoint.state.inventory import Inventory
from headway.checkpoint.state.walk import take
from headway.errors import CheckpointError, SaveFailed, StoreFull, UsageError
from headway.storage.backend import Backend

DEADLINE_S = 600.0


class _Flight:
    """A save with what its end needs."""

    def __init__(self, save: Save, monitor: Monitor, began: float) -> None:
        self.save, self.monitor, self.began = save, monitor, began
        self.begun: Begun | None = None


class Saver:
    """Saves to one root.

    Args:
        buffers: how many saves may be on their way at once; the next one is skipped.
        after: called on the first rank, in a thread, when a checkpoint has become durable.
        debug: find changes of the state that move no version, by hashing everything twice.
        deadline_s: how long the coordinator waits for the other ranks' data.
        share: refer to what earlier checkpoints already hold, instead of writing it again.
    """

    def __init__(
        self,
        backend: Backend,
        ranks: Ranks,
        *,
        buffers: int = 2,
        debug: bool = False,
        deadline_s: float = DEADLINE_S,
        share: bool = True,
        provenance: dict[str, Json] | None = None,
        listener: Listener | None = None,
        after: Callable[[], None] | None = None,
    ) -> None:
        self.process = os.getpid()
        self.one_at_a_time = threading.Lock()  # several threads may save
        self._backend, self._ranks = backend, ranks
        self._buffers, self._debug, self._deadline_s = buffers, debug, deadline_s
        self._provenance, self._listener = {} if provenance is None else provenance, listener
        self._share, self._expected = share, Expected()
        self._after = ThreadPoolExecutor(1, thread_name_prefix="headway-after-save") if after and not ranks.rank else None
        self._do_after = after
        self._tidying: list[Future[None]] = []
        self._client = HelperClient(self._take_report, buffers=buffers)
        self._guard = StepGuard()
        self._flights: dict[str, _Flight] = {}
        self._lost: dict[str, str] = {}  # saves given up here, of which the other ranks don't know yet
        self._unsaid: list[str] = []  # failures not warned of yet
        self._skips = Skips()
        self._missed: Missed | None = None  # the last call of save, if it was skipped
        self._planner = Planner(ranks, debug=debug)
        self._agreement = self._planner.agreement
        self._basis: Head | None = None
        self._knows_head = False
        self.parent = self._came_from = ""

    def set_parent(self, id: str) -> None:
        """Note that the state now is that of a checkpoint: the next one's parent, and the same on all ranks."""
        self.parent = self._came_from = id
        self._agreement.forget()

    # --- saving ------------------------------------------------------------------------------------------------------

    def save(self, state: Any, layout: Layout | None, step: int, metrics: dict[str, float], *, may_skip: bool = True) -> Save:
        """Begin to save. If the state can't be saved the first time, raises UsageError, LayoutError or CheckpointMismatch on all
        ranks. What fails later raises in `durable`."""
        self.warn()
        self._missed = None
        began = time.perf_counter()
        monitor = Monitor(self._backend.url, step, self._ranks.rank, self._listener)
        if not may_skip:
            self._client.wait_fewer(self._buffers, Patience().left_s)
        save = Save(step, "")
        try:
            with monitor.phase("plan"):
                inventory, words = self._agree(state, layout, step)
                save = Save(step, words[0].id, find_why_not(words))
                if not save.skipped:
                    planned = self._planner.plan(inventory, layout, words)
                    self._tell_differing(planned, monitor)
                    image = self._image(planned, inventory, save.id)
        except (CheckpointError, UsageError) as error:
            if not self._agreement.begun:
                raise
            return self._failed_to_begin(save, error, monitor)
        if save.skipped:
            monitor.tell(events.CheckpointSkipped, why=save.skipped)
            self._missed = Missed(state, layout, step, metrics, save.skipped, inventory, mark_of(inventory))
            if self._skips.note(step, save.skipped):
                self._skips.say()
            return save
        flight = self._flights[save.id] = _Flight(save, monitor, began)
        try:
            items = find_copies(inventory, image)
            flight.begun = self._begin(save, image, planned, metrics)
            self._expected.note_saved(inventory)
            self._copy(flight, items, image)
        except (CheckpointError, StoreFull, OSError) as error:
            self._end(flight, error if isinstance(error, CheckpointError | StoreFull) else SaveFailed(str(error)))
        save.blocked_s = time.perf_counter() - began
        return save

    def _agree(self, state: Any, layout: Layout | None, step: int) -> tuple[Inventory, list[Word]]:
        lost, self._lost = self._lost, {}

        def look() -> Inventory:
            return take(state, layout, rank=self._ranks.rank, ranks=self._ranks.size)

        inventory, words = self._planner.agree(look, step, self._why_full, lost)
        for rank, word in enumerate(words):
            for id, why in word.lost.items():
                self._give_up(id, f"rank {rank}: {why}")
        return inventory, words

    def _tell_differing(self, planned: Planned, monitor: Monitor) -> None:
        if planned.differ:
            monitor.tell(events.CheckpointDiffers, names=planned.differ, why=planned.why)
            self._unsaid.append(planned.why)

    def _failed_to_begin(self, save: Save, error: CheckpointError | UsageError, monitor: Monitor) -> Save:
        """Fail the save of a state that was saved before and can't be saved now."""
        failed = error if isinstance(error, CheckpointError) else SaveFailed(str(error))
        failed.__cause__ = error.__cause__ if failed is error else error
        monitor.tell(events.CheckpointFailed, why=str(error))
        self._unsaid.append(f"step {save.step} was not saved: {error}")
        save.end(failed)
        self.warn()
        return save

    def _why_full(self) -> str:
        """Say why no save can begin now; "" if one can."""
        busy = len(self._client.in_flight())
        if busy < self._buffers:
            return ""
        saves = "1 earlier save is" if busy == 1 else f"{busy} earlier saves are"
        return f"{saves} still being written: save less often, or to a faster disk"

    def _image(self, planned: Planned, inventory: Inventory, id: str) -> SaveImage:
        return lay_out_share(planned.plan, self._ranks.rank, self._expected.names(inventory) if self._share else (), id)

    def _begin(self, save: Save, image: SaveImage, planned: Planned, metrics: dict[str, float]) -> Begun | None:
        """Let the helper begin. If one rank's helper can't, none does, and all ranks raise SaveFailed."""
        writers = tuple(f"{rank:05d}" for rank in range(self._ranks.size))
        commit = None
        if self._ranks.rank == 0:
            commit = CommitPlan(
                writers=writers,
                objects=planned.plan.objects,
                values=planned.values,
                created=time.time(),
                basis=self._head(),
                parent=self.parent,
                metrics=metrics,
                layout=self._planner.layout,
                provenance=self._provenance,
            )
        writer_plan = WriterPlan(
            root=self._backend.url,
            id=save.id,
            step=save.step,
            writer=writers[self._ranks.rank],
            nbytes=image.nbytes,
            header_nbytes=len(image.file.header),
            fragments=image.file.fragments,
            commit=commit,
            deadline_s=self._deadline_s,
            file_nbytes=image.file.nbytes,
            still=image.still,
            share=self._share,
        )
        begun: list[Begun] = []

        def begin() -> bytes:
            found = self._client.begin(writer_plan)
            if found is None:
                raise SaveFailed(f"step {save.step} was not saved: all buffers are in use")
            begun.append(found)
            return b""

        try:
            all_or_none(self._ranks, begin)
        except BaseException as error:  # of the ranks' own kind too: another one may have died meanwhile
            for each in begun:
                each.abandon(str(error) or repr(error))
            raise
        if commit is not None:
            basis = commit.basis
            self._basis = Head(save.id, save.step, basis.serial + 1 if basis is not None else 1)
        self.parent = save.id
        save.nbytes = image.nbytes
        return begun[0]

    def _head(self) -> Head | None:
        """Return what HEAD is, or will be when the saves before this one are durable."""
        if not self._knows_head:
            self._basis = find_basis(self._backend, see_head(self._backend))
            self._knows_head = True
        return self._basis

    def _copy(self, flight: _Flight, items: list[Copy], image: SaveImage) -> None:
        begun = flight.begun
        assert begun is not None

        def end(error: SaveFailed | None) -> None:
            for phase in snapshot.phases():
                flight.monitor.note(phase)
            if error is None:
                begun.staged(tuple(flight.monitor.phases))
            else:
                self._lost[flight.save.id] = str(error)
                begun.abandon(str(error))

        # From here on the snapshot gives the buffer back, however it ends.
        phase = int(flight.save.id, 16)  # differs at each save, so that in time everything is looked at
        snapshot = Snapshot(items, begun.image, begun.progress, end, header=image.file.header, debug=self._debug, phase=phase)
        flight.save.attach(snapshot)
        snapshot.start()
        self._guard.watch(snapshot)

    # --- what becomes of it ------------------------------------------------------------------------------------------

    def _take_report(self, event: Happened) -> None:
        """Take a report of the helper. Called by the client's thread."""
        flight = self._flights.get(event.id)
        if flight is None:
            return
        match event:
            case Written():
                for phase in event.phases:
                    flight.monitor.note(phase)
                flight.save.nbytes = event.nbytes - event.shared_nbytes
                flight.save.shared_nbytes = event.shared_nbytes
                self._expected.note_unchanged(event.unchanged)
            case Durable():
                flight.monitor.note(event.commit)
                self._end(flight, None)
            case Failed():
                self._end(flight, event.error())

    def _end(self, flight: _Flight, error: CheckpointError | StoreFull | None) -> None:
        if self._flights.pop(flight.save.id, None) is None:
            return
        save, monitor = flight.save, flight.monitor
        lag_s = time.perf_counter() - flight.began
        if error is None:
            self._came_from = save.id
            if self._after is not None and self._do_after is not None:
                self._tidying = [each for each in self._tidying if not each.done()]
                self._tidying.append(self._after.submit(self._tidy, self._do_after))
            monitor.tell(events.CheckpointSaved, id=save.id, nbytes=save.nbytes, blocked_s=save.blocked_s, lag_s=lag_s)
        else:
            monitor.tell(events.CheckpointFailed, why=str(error))
            self._unsaid.append(f"step {save.step} was not saved: {error}")
            if not self._flights:  # the save after it finds its new basis by itself
                self._knows_head, self.parent = False, self._came_from
        save.end(error, lag_s)

    def _give_up(self, id: str, why: str) -> None:
        """Give up a save because another rank did: it can't become durable."""
        flight = self._flights.get(id)
        if flight is not None and flight.begun is not None:
            flight.save.staged()
            flight.begun.abandon(why)

    def warn(self) -> None:
        """Warn of failures that happened in the background. Called on the training's thread."""
        unsaid, self._unsaid = self._unsaid, []
        for message in unsaid:
            warnings.warn(message, RuntimeWarning, stacklevel=4)

    def sum_up(self) -> None:
        """Warn, at the end of a training, of what was not reported yet."""
        if summary := self._agreement.summary():
            self._unsaid.append(summary)
        self.warn()

    # --- its end -----------------------------------------------------------------------------------------------------

    def guard(self) -> None:
        """Wait until the state may be changed."""
        self._guard.wait()

    def prepare(self, state: Any, layout: Layout | None) -> None:
        """Allocate the memory for saves of this state now. All ranks must call it. Raises as `save` does."""
        inventory, words = self._agree(state, layout, step=0)
        monitor = Monitor(self._backend.url, 0, self._ranks.rank, self._listener)
        planned = self._planner.plan(inventory, layout, words, preparing=True)
        self._tell_differing(planned, monitor)
        try:
            self._client.prepare(self._image(planned, inventory, words[0].id).nbytes)
        except SaveFailed as error:
            self._unsaid.append(str(error))

    def _tidy(self, after: Callable[[], None]) -> None:
        try:
            after()
        except Exception as error:
            self._unsaid.append(f"old checkpoints could not be removed: {error}")

    def in_flight(self) -> list[str]:
        """List the saves that are neither durable nor failed."""
        return list(self._flights)

    def wait(self, patience: Patience) -> bool:
        """Wait until no save is in flight, or until the patience is over. Return whether none is."""
        self._guard.wait(patience)
        ended = [flight.save.await_end(patience.left_s) for flight in list(self._flights.values())]
        self._skips.say()
        self.warn()
        return all(ended)

    def close(self, patience: Patience) -> None:
        """Wait as long as the patience lasts for saves in flight, then let the helper go. It finishes what is left."""
        self._guard.wait(patience)
        self._catch_up(patience)
        self._guard.close(patience)
        left = set(self._client.close(patience.left_s))
        if self._after is not None:
            wait(self._tidying, patience.left_s)
            self._after.shutdown(wait=False)
        late = [flight.save.step for flight in list(self._flights.values()) if flight.save.id in left]
        if late:
            self._unsaid.append(
                f"{name_steps(late)} still being written when the time to close was over: the helper process goes on alone, and "
                "the next load of this root waits for it"
            )
        self._skips.say()
        self.sum_up()

    def _catch_up(self, patience: Patience) -> None:
        """Save the state of the last call of `save`, if that was skipped and the state is still the same.

        Only a single process does so: with several ranks one may be here because of an exception, and the others not at all."""
        missed, self._missed = self._missed, None
        if missed is None:
            return
        why = missed.why
        try:
            if self._ranks.size == 1 and self._client.wait_fewer(self._buffers, patience.left_s):
                if mark_of(take(missed.state, missed.layout)) == missed.mark:
                    self._skips.forget(missed.step)
                    self.save(missed.state, missed.layout, missed.step, missed.metrics)
                    return
                why += "; its state has changed since"
        except Exception as error:
            why = str(error)
        self._unsaid.append(f"step {missed.step}, the last that was to be saved, was not: {why}")
