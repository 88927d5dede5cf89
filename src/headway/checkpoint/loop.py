"""The training loop: what `Checkpoints.steps` yields, and what it does between two steps."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, Protocol

from headway.checkpoint.arguments import as_integer, is_positive
from headway.checkpoint.boundaries import Boundaries, Sigterm, noting_sigterm
from headway.checkpoint.files.roots import refuse_unwritable
from headway.checkpoint.load.restored import Restored
from headway.checkpoint.process.collective import all_or_none
from headway.checkpoint.process.ranks import Ranks
from headway.checkpoint.restoring import Asked
from headway.checkpoint.save.save import Save
from headway.checkpoint.state.copies import refuse_copies, refuse_unwritable_arrays
from headway.errors import CheckpointMismatch, Interrupted, NoCheckpoint, UsageError
from headway.storage.backend import Backend


class Trainer(Protocol):
    """What a loop needs from its `Checkpoints`."""

    root: str
    backend: Backend

    def prepare(self, state: Any) -> None: ...

    def save(self, state: Any, step: int, *, metrics: Mapping[str, float] | None = None, may_skip: bool = True) -> Save: ...

    def wait(self, timeout_s: float | None = None) -> bool: ...


class Loop:
    """One loop.

    Args:
        restore: loads the checkpoint to go on from.
        sum_up: warns, at the end, of what was not reported yet.
        loops: the loops that hear of SIGTERM. This one joins them while it runs.
    """

    def __init__(
        self,
        trainer: Trainer,
        ranks: Ranks,
        *,
        restore: Callable[[Any, Asked], Restored],
        sum_up: Callable[[], None],
        loops: list[Sigterm],
    ) -> None:
        self._trainer, self._ranks = trainer, ranks
        self._restore, self._sum_up, self._loops = restore, sum_up, loops

    def steps(
        self,
        state: Any,
        total: int,
        every: int | None,
        every_s: float | None,
        metrics: Callable[[], Mapping[str, float]] | None,
        asked: Asked,
    ) -> Generator[int, None, None]:
        """Yield the numbers of the steps to do. See `Checkpoints.steps`."""
        total = as_integer(total, "steps(total=…)")
        every = None if every is None else as_integer(every, "steps(every=…)")
        if every is None and every_s is None:
            raise UsageError("steps(): when to save? Give every= (steps), every_s= (seconds), or both")
        if every is not None and every < 1:
            raise UsageError(f"steps(every={every}): save after every 1 or more steps")
        if every_s is not None and not is_positive(every_s):
            raise UsageError(f"steps(every_s={every_s!r}): give a number of seconds above 0")
        refuse_copies(state)
        refuse_unwritable_arrays(state)
        first = self._begin(state, asked)
        if first < total:
            self._refuse_unwritable()
        self._trainer.prepare(state)
        last: Save | None = None
        with noting_sigterm(self._trainer.root, self._trainer.wait) as told:
            due = Boundaries(self._ranks, every=every, every_s=every_s, total=total, stopping=lambda: told.came)
            self._loops.append(told)
            try:
                for step in range(first, total):
                    yield step
                    now = due.after(step + 1)
                    if now.save:
                        may_skip = step + 1 < total and not now.stop
                        last = self._trainer.save(state, step + 1, metrics=metrics() if metrics else None, may_skip=may_skip)
                    if now.stop and told.of_run:
                        self._trainer.wait()
                    elif now.stop:
                        told.cut = True
                        break
                if last is not None:
                    last.durable()
                    told.saved = last.step
            finally:
                self._loops.remove(told)
                self._trainer.wait()
                self._sum_up()
        if last is not None and last.step < total:
            raise Interrupted(f"another rank was told to end (SIGTERM); step {last.step} is saved: {self._trainer.root}")

    def _begin(self, state: Any, asked: Asked) -> int:
        """Load the checkpoint to go on from, and return how many steps are done."""
        try:
            return self._restore(state, asked).step
        except NoCheckpoint:
            return 0
        except CheckpointMismatch as error:
            error.add_note(
                f"steps() goes on from the newest checkpoint of {self._trainer.root} and needs all of its state. To begin another "
                "training with a part of it, give that a root of its own, and load before its steps(): "
                'Checkpoints(old).load(into=state, select="model.*")'
            )
            raise

    def _refuse_unwritable(self) -> None:
        ranks = self._ranks

        def probe() -> bytes:
            if not ranks.rank:
                refuse_unwritable(self._trainer.backend)
            return b""

        all_or_none(ranks, probe)
