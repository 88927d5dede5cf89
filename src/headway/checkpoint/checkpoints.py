"""`hw.Checkpoints`: the state of a training, saved while it runs and loadable under any layout.

    ck = hw.Checkpoints("runs/gpt")
    for step in ck.steps(state, total=10_000, every=50):
        train_one(step)

A state is a nested dict of arrays, plain values and objects with `state_dict()`: modules, optimizers, schedulers, RNG streams, data
cursors. The same few calls serve one process and a gang of them; then every rank makes each call. Saves run behind the training
(`save/`), loads verify everything before they change anything (`load/`), and what is stored does not depend on the number of
processes (`docs/checkpoint-format.md`).
"""

from __future__ import annotations

import math
import os
import threading
import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any

from headway.checkpoint.arguments import as_integer, as_json, as_numbers
from headway.checkpoint.boundaries import Sigterm
from headway.checkpoint.catalog.collect import collect
from headway.checkpoint.catalog.retention import Keep
from headway.checkpoint.files.manifest import Json
from headway.checkpoint.layout.declared import Layout
from headway.checkpoint.load.restored import Restored as Restored
from headway.checkpoint.load.templateless import Arrays
from headway.checkpoint.loop import Loop
from headway.checkpoint.process.monitor import Listener
from headway.checkpoint.process.patience import Patience
from headway.checkpoint.process.ranks import Ranks, ranks_here
from headway.checkpoint.restoring import BATCHES, Asked, Restorer
from headway.checkpoint.root import Root
from headway.checkpoint.save.save import Save
from headway.checkpoint.save.saver import DEADLINE_S, Saver
from headway.checkpoint.state.selection import Chosen, Selection
from headway.errors import UsageError

_STEPS = 2**63  # the format counts up to this
_MAKING = threading.Lock()  # held while one of several threads makes the saver


class Checkpoints(Root):
    """The checkpoints of one training.

    Args:
        root: a folder (`~` is your home), or the URL of an object store such as `s3://bucket/runs/gpt` (needs the `objects` extra).
        layout: how plain tensors are shards of larger ones, if they are (see `Layout`). DTensors say so themselves.
        keep: which checkpoints to keep as new ones are saved (`Keep(last=3, every=1000)`); None: all.
        ranks: the processes that hold the state together; found through torch.distributed.
        buffers: how many saves may be in flight at once. Each needs as much memory as this rank's part of the state.
        debug: also detect changes during a copy that move no version, by hashing everything twice. Slow.
        deadline_s: how long a save waits for other ranks before it fails.
        share: refer to what an earlier checkpoint already holds (a frozen base) instead of writing it again. False: write
            everything each time, so that damage to one checkpoint never reaches another.
        provenance: what to write into each checkpoint about where it comes from (code, data, settings), as JSON values.
        on_event: hears what happens (`hw.events.CheckpointEvent`), from any thread; a run's stream hears it anyway.

    Raises:
        UsageError: an argument makes no sense.

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
        super().__init__(root, keep)
        self.layout = layout
        self._given_ranks = ranks
        self._on_event = on_event
        self._options: dict[str, Any] = {"buffers": buffers, "debug": debug, "deadline_s": deadline_s, "share": share}
        self._options["provenance"] = as_json(provenance or {})
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
        """Begin to save the state of a step. All ranks must call it.

        Returns before everything is copied. Torch's optimizers wait for the copy before they change anything. Code that changes the
        state in another way must call `.staged()` on the returned save first. `.durable()` waits until the checkpoint exists.

        Args:
            state: the state: nested dictionaries of arrays, modules, optimizers, numbers and texts.
            step: how many steps are done.
            metrics: numbers to keep with the checkpoint, such as the validation loss (for `Keep(best=…)`).
            may_skip: if earlier saves are still being written, skip this one with a warning. False: wait for them, as for the last
                state of a training.

        Returns:
            The save, in flight.

        Raises:
            UsageError: the state holds something that can't be saved.
            LayoutError: the declared layout does not fit the state.
            CheckpointMismatch: the state is not the same on all ranks.
        """
        step = as_integer(step, "save(step=…)")
        if step < 0:
            raise UsageError(f"save(step={step}): a step says how many are done, so it is 0 or more")
        if step >= _STEPS:
            raise UsageError("save(step=…): give an integer below 2**63")
        kept = as_numbers(metrics or {}, "save(metrics=…)")
        for name in [name for name, value in kept.items() if not math.isfinite(value)]:
            warnings.warn(f"step {step}: the metric {name}={kept.pop(name)} is not kept: it is not finite", RuntimeWarning, 2)
        saver = self._saving()
        with saver.one_at_a_time:
            return saver.save(state, self.layout, step, kept, may_skip=may_skip)

    def prepare(self, state: Any) -> None:
        """Allocate the memory for saves of this state now, as `steps` does, so that the first save blocks less.

        All ranks must call it. It raises what `save` would raise.

        Args:
            state: the state.
        """
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
        """Load the newest checkpoint into the state, then yield the steps that are left, and save as they are done.

        An imported checkpoint (`headway ckpt import`) may lack a whole part of the state, such as the optimizer. That part begins
        as it is, and a warning says so.

        The last step is always saved, and the save is durable when the loop ends. So is the last save before a `break`. On SIGTERM
        the current step is finished and saved, durably, before the process ends by the signal; the other ranks raise Interrupted.
        SIGTERM is left alone in threads and in programs that handle it themselves. In a task, the run ends the call after the save.

        Args:
            state: the state, as for `save`.
            total: how many steps the training has; steps are numbered from 0.
            every: save after this many steps.
            every_s: save when the last save began this many seconds ago, by the first rank's clock.
            metrics: called at each save, for the numbers to keep with it.

        Yields:
            The number of each step, from 0.

        Raises:
            UsageError: the state holds a copy, such as the result of `state_dict()`, which the training would leave behind, or an
                array that can't be loaded into (read-only, or expanded).
            CheckpointDamaged: there are checkpoints, but none verifies. (Training starts afresh only if there are none.)
            CheckpointMismatch: the newest checkpoint does not fit the state.
            StoreError: the root can't be written (raised before the first step), or the last step could not be saved.
            Interrupted: another rank got SIGTERM; the step is saved.
        """
        yield from self._loop().steps(state, total, every, every_s, metrics, Asked(layout=self.layout, fresh=True))

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
        """Yield the epochs and batches that are left, as `steps` does, and save as they are done.

        A step is a batch, and training goes on in the middle of an epoch. Keep the position in the data in a `Cursor`.

        Args:
            state: the state, as for `save`.
            epochs: how many epochs the training has.
            batches: how many batches an epoch has. It must not change, because finished steps would then belong to other epochs.
            every: save after this many batches.
            every_s: save when the last save began this many seconds ago, by the first rank's clock.
            metrics: called at each save, for the numbers to keep with it.

        Yields:
            (epoch, batch), both from 0.

        Raises:
            CheckpointMismatch: an epoch had another number of batches.
            UsageError: a number makes no sense. Also raises what `steps` raises.

        Example:
            >>> for epoch, batch in ck.epochs(state, epochs=3, batches=len(loader), every=100):  # doctest: +SKIP
            ...     train_one(next(data))
        """
        epochs, batches = as_integer(epochs, "epochs(epochs=…)"), as_integer(batches, "epochs(batches=…)")
        if batches < 1:
            raise UsageError(f"epochs(batches={batches}): an epoch has 1 or more batches")
        asked = Asked(layout=self.layout, fresh=True, epochs=epochs, batches=batches)
        provenance = self._options["provenance"]
        provenance[BATCHES] = batches
        try:
            with closing(self._loop().steps(state, epochs * batches, every, every_s, metrics, asked)) as steps:
                for step in steps:
                    yield divmod(step, batches)
        finally:
            provenance.pop(BATCHES, None)

    def _loop(self) -> Loop:
        return Loop(self, self._ranks(), restore=self._restore, sum_up=self._sum_up, loops=self._loops)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until every save is durable or has failed. Warns of those that failed or were skipped.

        The wait ends at the deadline of the run (`hw.deadline`) in any case.

        Args:
            timeout: seconds to wait at most; None waits without end.

        Returns:
            Whether no save is in flight any more.
        """
        saver = self._own_saver()
        return saver is None or saver.wait(Patience(timeout))

    def guard(self) -> None:
        """Wait until the state may be changed. Torch's optimizers do this by themselves."""
        if (saver := self._own_saver()) is not None:
            saver.guard()

    def close(self, timeout: float | None = None) -> None:
        """Wait for the saves in flight, then end the helper process. SIGTERM ends the program again as it would without a loop.

        If the last save was skipped and the state is still the same, it is saved now. (Not with several ranks, which may get here
        one by one: call `save(…, may_skip=False)` for the last state.)

        Args:
            timeout: seconds to wait at most. After that, or at the deadline of the run (`hw.deadline`), the helper goes on alone,
                and a warning says so.
        """
        saver, self._saver = self._own_saver(), None
        try:
            if saver is not None:
                saver.close(Patience(timeout))
        finally:
            for told in self._loops:  # loops whose generators somebody still holds
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
        """Load a checkpoint into the state, in place, whatever layout the state has now. All ranks must call it.

        Everything is verified before the first byte of the state changes. `"latest"` is the newest checkpoint that verifies. It
        passes over damaged ones, with a warning that says what is wrong with them.

        Args:
            into: a state of the same structure. Optimizers may be new; their moments are created. None: load everything that was
                saved into nested dictionaries, which are `.state` of the result.
            step: a step, an id, `"latest"`, or `"best"` (see `metrics_of`): the best by the metric that `keep` is about, or by any
                other as `"best:val_loss:min"`.
            select: which names to load, as a pattern (`"model.*"`), several, or a function of a name; the rest is left as it is.
            strict: False: load only what both the state and the checkpoint have. Warns of parts of the state that get nothing.
            layout: the layout of this load, if it differs from that of the saves.
            memory_bytes: how much memory to use besides the state.
            arrays: without `into`: `"numpy"` or `"torch"`; None: torch's, if the program uses torch.

        Returns:
            Which step it was, and which names were loaded and which not.

        Raises:
            UsageError: an argument makes no sense.
            NoCheckpoint: there is none, or none of this name.
            CheckpointMismatch: state and checkpoint don't fit, or nothing would be loaded; nothing was changed.
            CheckpointDamaged: the bytes are not those that were saved; nothing was changed.
        """
        if into is None and (not strict or layout is not None):
            raise UsageError("load() without a state takes what was saved as it is: strict= and layout= are about a state")
        if into is not None and arrays is not None:
            raise UsageError(f"load(arrays={arrays!r}) is for a load without a state: the arrays of a state are what they are")
        asked = Asked(self._meant(step), Selection(select), strict, layout or self.layout, memory_bytes, arrays=arrays)
        return self._restore(into, asked)

    def _restore(self, into: Any, asked: Asked) -> Restored:
        self.guard()
        restorer = Restorer(self.backend, self.root, self._ranks(), self._on_event, self._in_flight)
        restored = restorer.restore(into, asked)
        self._came_from = restored.id
        if (saver := self._own_saver()) is not None:
            saver.set_parent(restored.id)
        return restored

    # --- inside ------------------------------------------------------------------------------------------------------

    def _ranks(self) -> Ranks:
        return self._given_ranks or ranks_here()

    def _saving(self) -> Saver:
        with _MAKING:
            saver = self._own_saver()
            if saver is None:
                after = self._collect if self.keep is not None else None
                saver = self._saver = Saver(self.backend, self._ranks(), listener=self._on_event, after=after, **self._options)
                saver.set_parent(self._came_from)
            return saver

    def _own_saver(self) -> Saver | None:
        """Return this process's saver, if there is one. A fork inherits its parent's, but not the threads it needs."""
        if self._saver is not None and self._saver.process != os.getpid():
            self._saver = None
        return self._saver

    def _collect(self) -> None:
        """Called on the first rank after a save."""
        assert self.keep is not None
        collect(self.backend, self.keep)

    def _in_flight(self) -> list[str]:
        saver = self._own_saver()
        return saver.in_flight() if saver is not None else []

    def _sum_up(self) -> None:
        if (saver := self._own_saver()) is not None:
            saver.sum_up()
