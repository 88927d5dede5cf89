"""One rank of a gang of processes that saves and loads, for tests that kill one of them.

`python dying_rank.py ROOT RANK SIZE MEETING ACT…`; an act is `save1` (of step 1), `load`, or `die`: from now on, the point of death
that the environment names is in force. Prints one JSON line at its end: the step of each act, the last one perhaps an error.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

import headway as hw
from headway.checkpoint.layout.declared import Layout, Replicated, Split
from headway.checkpoint.process.failpoints import VARIABLE

PATIENCE_S = 20.0


def state_of(value: float, rank: int, size: int) -> dict[str, Any]:
    """A tensor that is split over the ranks, and one that all of them have."""
    split = torch.full((8 // size, 500), float(value + rank * 8 // size))
    return {"split": split, "all": torch.full((3000,), float(value))}


def layout(rank: int, size: int) -> Layout:
    return Layout([Split("split", dim=0, axis="tp"), Replicated("all")], axes={"tp": (rank, size)})


def act(root: str, rank: int, size: int, what: str) -> int:
    with hw.Checkpoints(root, layout=layout(rank, size), deadline_s=PATIENCE_S) as ck:
        if what.startswith("save"):
            step = int(what.removeprefix("save"))
            ck.save(state_of(step, rank, size), step).durable()
            return step
        state = state_of(0, rank, size)
        step = ck.load(into=state).step
        full = state_of(step, rank, size)
        assert (state["all"] == step).all()
        assert (state["split"][0] == full["split"][0]).all()
        return step


def main() -> None:
    root, rank, size, meeting, acts = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5:]
    point = os.environ.pop(VARIABLE, "")
    torch.set_num_threads(1)
    store = dist.FileStore(meeting, size)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=timedelta(seconds=PATIENCE_S))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # failed saves, which the parent looks at
        said: list[int | str] = []
        try:
            for what in acts:
                if what == "die":
                    os.environ[VARIABLE] = point
                else:
                    said.append(act(root, rank, size, what))
        except Exception as error:
            said.append(f"{type(error).__name__}: {error}")
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
