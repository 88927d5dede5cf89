"""What a save costs a training, and how long it takes: a program for `benchmarks.checkpoint_gang`.

A round has one of each: raw writing, a synchronous `dcp.save`, ours waited for, and two saves taken while the training goes on
until they are durable, with steps without a save before, between and after. So a slow minute falls on all of them. What a save
costs is the time that its steps took more than that many steps without one.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch.distributed as dist
import torch.distributed.checkpoint as dcp

from benchmarks.checkpoint_calm import wait_for_calm
from benchmarks.checkpoint_disk import raw_write_s
from benchmarks.checkpoint_state import Gang, Training, hash_of
from headway import events
from headway.checkpoint.catalog.retention import Keep
from headway.checkpoint.checkpoints import Checkpoints

BASE_STEPS = 3


class Saving:
    """One training whose state both sides save."""

    def __init__(self, gang: Gang, folder: Path, nbytes: int) -> None:
        self.gang, self.folder = gang, folder
        self.training = Training(gang, nbytes)
        self.waits: list[events.CheckpointPhase] = []
        self.checkpoints = Checkpoints(folder / "ours", on_event=self._hear)
        self.group = dist.new_group(backend="gloo")  # dcp.async_save talks in a thread: not in the training's group
        self.number = 0

    def _hear(self, event: events.AnyEvent) -> None:
        if isinstance(event, events.CheckpointPhase):
            self.waits.append(event)

    def phase_s(self, name: str) -> float:
        """Seconds of the phases of a name of the last save, on the rank that took longest."""
        return max(self.gang.gather(sum(each.seconds for each in self.waits if each.phase == name)))

    def clean(self) -> None:
        """Remove all but the last of each side's checkpoints, so that the disk has nothing else to do when the clock starts."""
        if self.gang.rank == 0:
            self.checkpoints.gc(Keep(last=1))
            for old in sorted((self.folder / "dcp").glob("*"))[:-1]:
                shutil.rmtree(old)
        self.gang.barrier()

    def next_dcp(self) -> Path:
        self.number += 1
        return self.folder / "dcp" / f"{self.number:06d}"

    # --- waited for --------------------------------------------------------------------------------------------------

    def raw(self) -> dict[str, float]:
        nbytes = self.training.nbytes()
        seconds = raw_write_s(self.folder, nbytes) if self.gang.rank == 0 else 0.0
        self.gang.barrier()
        return {"raw_s": seconds}

    def dcp_sync(self) -> dict[str, float]:
        state, path = self.training.state_dict, self.next_dcp()
        self.gang.barrier()
        began = perf_counter()
        dcp.save(state, checkpoint_id=path)
        return {"dcp_save_s": max(self.gang.gather(perf_counter() - began))}

    def ours_waited_for(self) -> dict[str, float]:
        self.number += 1
        self.gang.barrier()
        began = perf_counter()
        self.checkpoints.save(self.training.state, self.number).durable()
        return {"ours_durable_s": max(self.gang.gather(perf_counter() - began))}

    # --- behind the training -----------------------------------------------------------------------------------------

    def ours_behind(self) -> dict[str, Any]:
        self.number += 1
        self.waits.clear()
        self.gang.barrier()
        began = perf_counter()
        save = self.checkpoints.save(self.training.state, self.number)
        call_s = perf_counter() - began
        steps = self._until(lambda: save.done)
        seconds = perf_counter() - began
        save.durable()
        return {
            "ours_call_s": max(self.gang.gather(call_s)),
            "ours_wait_s": self.phase_s("guard wait"),
            "ours_copy_s": self.phase_s("copy"),
            "ours_hash_s": self.phase_s("hash"),
            "ours_write_s": self.phase_s("write"),
            "ours_behind_s": max(self.gang.gather(save.lag_s)),
            "ours_seconds": seconds,
            "ours_steps": steps,
        }

    def dcp_behind(self) -> dict[str, Any]:
        state, path = self.training.state_dict, self.next_dcp()
        ended: list[float] = []
        self.gang.barrier()
        began = perf_counter()
        future: Any = dcp.async_save(state, checkpoint_id=path, process_group=self.group)
        call_s = perf_counter() - began
        future.add_done_callback(lambda _: ended.append(perf_counter()))
        steps = self._until(future.done)
        seconds = perf_counter() - began
        future.result()
        return {
            "dcp_call_s": max(self.gang.gather(call_s)),
            "dcp_behind_s": max(self.gang.gather(ended[0] - began)),
            "dcp_seconds": seconds,
            "dcp_steps": steps,
        }

    def _until(self, done: Any) -> list[float]:
        """Train until all processes' saves are done; the seconds of the steps."""
        steps = [self.training.step().seconds]
        while not self.gang.all(done()):
            steps.append(self.training.step().seconds)
        return steps

    def base(self) -> list[tuple[float, float]]:
        return [tuple(step) for step in self.training.steps(BASE_STEPS)]  # type: ignore[misc]

    def round(self, turn: int, patience_s: float) -> dict[str, Any]:
        """One of each; which of the two comes first changes from round to round."""
        found: dict[str, Any] = {"others": wait_for_calm(patience_s) if self.gang.rank == 0 else 0.0}
        self.gang.barrier()
        waited = [self.raw, self.dcp_sync, self.raw_again, self.ours_waited_for]
        behind = [("ours", self.ours_behind), ("dcp", self.dcp_behind)]
        for measure in waited if turn % 2 else waited[::-1]:
            found |= measure()
            self.clean()
        before = self.base()
        bases = [before]
        for name, save in behind if turn % 2 else behind[::-1]:
            found |= save()
            self.clean()
            after = self.base()
            base_s = median(seconds for seconds, _ in before + after)
            found[f"{name}_base_s"] = base_s
            found[f"{name}_lost_s"] = found[f"{name}_seconds"] - len(found[f"{name}_steps"]) * base_s
            before = after
            bases.append(after)
        found["base"] = [step for steps in bases for step in steps]
        return found

    def raw_again(self) -> dict[str, float]:
        return {"raw_again_s": self.raw()["raw_s"]}


def saving(gang: Gang, folder: Path, nbytes: int, repeats: int, patience_s: float) -> dict[str, Any]:
    """Rounds of saves. Leaves one checkpoint of each side of the same state, for loading."""
    it = Saving(gang, folder, nbytes)
    it.training.steps(2)
    first = it.ours_behind()  # the first save of each side makes its buffers, files and caches
    it.dcp_behind()
    it.clean()
    rounds = [it.round(turn, patience_s) for turn in range(repeats)]
    it.dcp_sync()
    it.ours_waited_for()
    it.clean()
    it.checkpoints.close()
    return {"nbytes": it.training.nbytes(), "first": first, "rounds": rounds, "hash": hash_of(it.training)}
