"""How much memory saving and loading take above the state: a program for `benchmarks.checkpoint_gang`, and the eye that watches it.

Memory is the proportional set size of all processes of the gang and all that they started, so what a trainer shares with its
helper counts once. The program says when it began what; the eye looks all the time.
"""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from typing import Any

import torch.distributed.checkpoint as dcp

from benchmarks.checkpoint_state import Gang, Training

CALM_S = 0.6
_LOOK_S = 0.004


def memory(gang: Gang, folder: Path, nbytes: int, repeats: int, patience_s: float) -> dict[str, Any]:
    """A first save and a load of each side, with a calm moment before each. Returns when each was."""
    from headway.checkpoint.checkpoints import Checkpoints

    training = Training(gang, nbytes)
    training.optimizer.zero_grad()
    windows: dict[str, tuple[float, float]] = {}

    def timed(name: str, act: Any) -> None:
        gang.barrier()
        time.sleep(CALM_S)
        began = time.monotonic()
        act()
        gang.barrier()
        windows[name] = (began, time.monotonic())

    def save_ours() -> None:
        with Checkpoints(folder / "memory-ours") as checkpoints:
            checkpoints.save(training.state, 1).durable()

    def load_ours() -> None:
        Checkpoints(folder / "memory-ours").load(into=training.state)

    theirs, group = training.state_dict, dcp_group()
    timed("ours save", save_ours)
    timed("ours load", load_ours)
    timed("dcp save", lambda: dcp.async_save(theirs, checkpoint_id=folder / "memory-dcp", process_group=group).result())  # type: ignore[union-attr]
    timed("dcp load", lambda: dcp.load(theirs, checkpoint_id=folder / "memory-dcp"))
    return {"windows": windows, "nbytes": training.nbytes()}


def dcp_group() -> Any:
    import torch.distributed as dist

    return dist.new_group(backend="gloo")


class Eye:
    """Looks at the memory of some processes and all under them until it is closed."""

    def __init__(self, roots: list[int]) -> None:
        self._roots = roots
        self._seen: list[tuple[float, int]] = []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._closing.wait(_LOOK_S):
            total = sum(_pss(pid) for pid in _with_children(self._roots))
            self._seen.append((time.monotonic(), total))

    def close(self) -> None:
        self._closing.set()
        self._thread.join()

    def peak_above(self, window: tuple[float, float]) -> tuple[int, int]:
        """The most bytes in a window above what there was in the calm moment before it, and how often was looked."""
        begin, end = window
        before = [nbytes for at, nbytes in self._seen if begin - CALM_S / 2 < at < begin]
        during = [nbytes for at, nbytes in self._seen if begin <= at <= end]
        return max(during, default=0) - max(before, default=0), len(during)


def _with_children(roots: list[int]) -> list[int]:
    found, todo = [], list(roots)
    while todo:
        pid = todo.pop()
        found.append(pid)
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                todo += map(int, (task / "children").read_text().split())
    return found


def _pss(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) << 10
    return 0
