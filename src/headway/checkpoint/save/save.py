"""The caller's view of a save that is under way."""

from __future__ import annotations

import threading

from headway.checkpoint.process.patience import Patience
from headway.checkpoint.save.snapshot import Snapshot
from headway.errors import CheckpointError, SaveFailed, StoreFull


class Save:
    """One save on its way; made by `Checkpoints.save`.

    Attributes:
        id: the checkpoint's id.
        step: the step.
        skipped: why it was skipped; empty where it was not.
        nbytes: how much this rank writes.
        shared_nbytes: how much of this rank's part is in files of earlier checkpoints, unchanged since, and is not written again.
        blocked_s: how long the call of `save` took, in seconds.
        lag_s: how long it took from the call of `save` until it was durable, in seconds.
        error: why it failed; None where it did not.
    """

    def __init__(self, step: int, id: str, skipped: str = "") -> None:
        self.step = step
        self.id = id
        self.skipped = skipped
        self.nbytes = 0  # that this rank writes
        self.shared_nbytes = 0  # of its part, in files of earlier checkpoints: unchanged since, and not written again
        self.blocked_s = 0.0  # time that the call of save took
        self.lag_s = 0.0  # from the call of save until it was durable
        self.error: CheckpointError | StoreFull | None = None
        self._snapshot: Snapshot | None = None
        self._over = threading.Event()
        if skipped:
            self._over.set()

    def __repr__(self) -> str:
        now = self.skipped or (str(self.error) if self.error else "durable" if self.done else "on its way")
        return f"<save of step {self.step}: {now}>"

    @property
    def done(self) -> bool:
        """Whether the save is durable, has failed or was skipped."""
        return self._over.is_set()

    def staged(self, timeout: float | None = None) -> None:
        """Wait until the state may be changed: it is copied, or the save is over. Torch's optimizers wait by themselves.

        Args:
            timeout: seconds to wait at most; None waits without end.

        Raises:
            TimeoutError: it took longer.
            DeadlineExceeded: the deadline of the run passed (`hw.deadline`).
        """
        self._await_staged(Patience(timeout))

    def durable(self, timeout: float | None = None) -> None:
        """Wait until the checkpoint exists.

        Args:
            timeout: seconds to wait at most; None waits without end. The save goes on after them.

        Raises:
            SaveFailed: it never will exist, or the save was skipped.
            CheckpointConflict: somebody else saves to the same root.
            StoreFull: the disk is full.
            TimeoutError: it took longer.
            DeadlineExceeded: the deadline of the run passed (`hw.deadline`).
        """
        if self.skipped:
            raise SaveFailed(f"step {self.step} was not saved: {self.skipped}")
        patience = Patience(timeout)
        self._await_staged(patience)
        if not self._over.wait(patience.left_s):
            raise patience.error(f"step {self.step} is not durable")
        if self.error is not None:
            raise self.error

    def attach(self, snapshot: Snapshot) -> None:
        """Note that it is being copied."""
        self._snapshot = snapshot

    def end(self, error: CheckpointError | StoreFull | None, lag_s: float = 0.0) -> None:
        """Note that it is durable, or never will be."""
        self.error, self.lag_s = error, lag_s
        self._over.set()

    def await_end(self, timeout_s: float | None) -> bool:
        """Wait until it is over. Return whether it is."""
        return self._over.wait(timeout_s)

    def _await_staged(self, patience: Patience) -> None:
        if self._snapshot is not None:
            self._snapshot.wait(patience.left_s)
            if not self._snapshot.ended:
                raise patience.error(f"step {self.step} is not copied")
