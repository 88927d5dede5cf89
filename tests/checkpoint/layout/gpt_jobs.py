"""What the ranks of a `TorchGang` do with the small GPT."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch.distributed as dist
from gpt_cuts import BATCH, Arrays
from gpt_layouts import PLANS
from gpt_run import Run

import headway as hw
from headway.checkpoint.process.ranks import Alone


def save(layout: str, root: str, step: int, more: int) -> dict[str, Any]:
    """Train from the beginning, save, and train on while that is written. Says the losses, and in what the checkpoint is not what
    this rank had when it was saved."""
    if outside(layout):
        return {}
    run = Run(PLANS[layout], dist.get_rank())
    losses = run.train(step)
    had = run.held()
    with checkpoints(layout, root, run) as ck:
        save = ck.save(run.state, step=step)
        losses += run.train(more)
        save.durable()
        with ck.open(step) as opened:
            wrong = differences(had, run.expected(lambda name: np.asarray(opened[name]), step))
    return {"losses": losses, "wrong": wrong}


def load(layout: str, roots: dict[str, str], step: int, more: int) -> dict[str, Any]:
    """Load what other layouts have saved. For each, says what is not as it must be: in the arrays, the random streams and the
    hyperparameters that were loaded, and in the steps that follow, which must be those of a run that never saw a checkpoint."""
    if outside(layout):
        return {}
    return {source: _loaded(layout, root, step, more, number % 2 == 0) for number, (source, root) in enumerate(roots.items())}


def _loaded(layout: str, root: str, step: int, more: int, fresh: bool) -> dict[str, Any]:
    began = time.perf_counter()
    run, same = Run(PLANS[layout], dist.get_rank()), Run(PLANS[layout], dist.get_rank())
    for each in () if fresh else (run, same):  # both, for after its first step DDP sums in another order
        each.train(1)  # what they have by now must go
    with checkpoints(layout, root, run) as ck:
        ck.load(into=run.state, step=step)
        with ck.open(step) as opened:
            whole = {name: np.asarray(opened[name]) for name in opened}
    run.loaded()
    loaded = _Seen(run)
    losses = run.train(more)
    same.fill(whole.__getitem__, step)
    filled = _Seen(same)
    again = same.train(more)

    indices = [[at * BATCH + lane for lane in run.at.lanes] for at in range(step, step + more)]
    wrong = differences(loaded.held, run.expected(whole.__getitem__, step))
    wrong += _unless_equal("hyperparameters", loaded.settings, filled.settings)
    for name, state in filled.randomness.items():
        wrong += _unless_equal(f"random stream {name}", loaded.randomness.get(name), state)
    wrong += _unless_equal("samples", run.used[-more:], indices)
    wrong += _unless_equal("losses", losses, again)
    wrong += [f"after {more} steps, {line}" for line in differences(run.held(), same.held())]
    return {"losses": losses, "wrong": wrong, "seconds": time.perf_counter() - began}


class _Seen:
    """A run as it is now."""

    def __init__(self, run: Run) -> None:
        self.held, self.settings, self.randomness = run.held(), run.settings(), run.randomness()


# --- helpers ---------------------------------------------------------------------------------------------------------


def outside(layout: str) -> bool:
    """Whether this rank has no part in a layout."""
    return dist.get_rank() >= PLANS[layout].size


def checkpoints(layout: str, root: str, run: Run) -> hw.Checkpoints:
    alone = Alone() if PLANS[layout].size == 1 else None
    return hw.Checkpoints(root, layout=run.layout, ranks=alone, deadline_s=60)


def differences(mine: Arrays, other: Arrays) -> list[str]:
    """Where two sets of arrays are not the same to the bit."""
    found = [f"{name} is only in one of them" for name in sorted(mine.keys() ^ other.keys())]
    for name in sorted(mine.keys() & other.keys()):
        one, two = mine[name], np.asarray(other[name])
        if (one.shape, one.dtype) != (two.shape, two.dtype):
            found.append(f"{name} is {one.dtype} {one.shape}, not {two.dtype} {two.shape}")
        elif one.tobytes() != two.tobytes():
            bad = np.argwhere(one != two)
            where = tuple(map(int, bad[0])) if len(bad) else ()
            found.append(f"{name}{list(where)} is {one[where]}, not {two[where]} ({len(bad)} of {one.size} elements are wrong)")
    return found


def _unless_equal(what: str, mine: Any, other: Any) -> list[str]:
    return [] if mine == other else [f"{what}: {str(mine)[:300]}, not {str(other)[:300]}"]
