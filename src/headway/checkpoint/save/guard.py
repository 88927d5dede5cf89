"""Makes an optimizer's step wait for the snapshots that still read what it is about to change."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from headway.checkpoint.process.patience import Patience
from headway.checkpoint.save.snapshot import Snapshot


class StepGuard:
    """The snapshots of a process that are not complete yet.

    Watching the first one hooks every torch optimizer of the process, if torch is loaded. Code that changes state in another way
    must call `wait`.
    """

    def __init__(self) -> None:
        self.waited_s = 0.0  # seconds that all waits took
        self._snapshots: list[Snapshot] = []
        self._hook: Any = None

    def watch(self, snapshot: Snapshot) -> None:
        """Watch a snapshot that has started."""
        self._snapshots.append(snapshot)
        if self._hook is None and "torch" in sys.modules:
            optimizer = importlib.import_module("torch.optim.optimizer")
            self._hook = optimizer.register_optimizer_step_pre_hook(self._before_step)

    def wait(self, patience: Patience | None = None) -> float:
        """Wait until the state may be changed, or until the patience is over. Return how long that took, in seconds."""
        waited_s = sum(snapshot.wait(patience.left_s if patience is not None else None) for snapshot in self._snapshots)
        self._snapshots = [snapshot for snapshot in self._snapshots if not snapshot.ended]
        self.waited_s += waited_s
        return waited_s

    def close(self, patience: Patience | None = None) -> None:
        """Wait, and leave the optimizers alone."""
        self.wait(patience)
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def _before_step(self, *_: object) -> None:
        self.wait()
