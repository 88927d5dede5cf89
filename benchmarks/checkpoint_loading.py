"""Loads from a disk whose page cache is cold, of what `checkpoint_saving` left or of rows that are loaded as columns: programs for
`benchmarks.checkpoint_gang`. What was loaded is compared with what was saved, bit by bit."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
import torch.distributed.checkpoint as dcp
import xxhash
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

from benchmarks.checkpoint_calm import wait_for_calm
from benchmarks.checkpoint_disk import fetched_bytes, files_under, make_cold, raw_read_s
from benchmarks.checkpoint_state import LAYERS, Gang, Training, hash_of, width
from headway.checkpoint.checkpoints import Checkpoints


class Loads:
    """Both sides' loads into the same memory, from cold files."""

    def __init__(self, gang: Gang, folder: Path, ours: Any, theirs: dict[str, Any]) -> None:
        self.gang, self.ours, self.theirs = gang, ours, theirs
        self.checkpoints = Checkpoints(folder / "ours")
        self.files = files_under(folder / "ours" / "steps")
        self.dcp_folder = max((folder / "dcp").glob("*"))
        self.needed = self._needed()

    def _needed(self) -> int:
        """The bytes of all arrays of the newest checkpoint, each once."""
        with self.checkpoints.open() as opened:
            return sum(array.nbytes for array in opened.values())

    def cold(self, files: list[Path]) -> float:
        held = make_cold(files) if self.gang.rank == 0 else 0.0
        self.gang.barrier()
        return held

    def load_ours(self) -> dict[str, float]:
        held, before = self.cold(self.files), fetched_bytes()
        began = perf_counter()
        restored = self.checkpoints.load(into=self.ours)
        seconds = perf_counter() - began
        fetched = fetched_bytes() - before
        return {
            "ours_s": max(self.gang.gather(seconds)),
            "ours_read": sum(self.gang.gather(restored.bytes_read)),
            "ours_fetched": sum(self.gang.gather(fetched)),
            "ours_still_cached": held,
        }

    def load_dcp(self) -> dict[str, float]:
        held, before = self.cold(files_under(self.dcp_folder)), fetched_bytes()
        began = perf_counter()
        dcp.load(self.theirs, checkpoint_id=self.dcp_folder)
        seconds = perf_counter() - began
        fetched = fetched_bytes() - before
        return {
            "dcp_s": max(self.gang.gather(seconds)),
            "dcp_fetched": sum(self.gang.gather(fetched)),
            "dcp_still_cached": held,
        }

    def raw(self, direct: bool) -> dict[str, float]:
        self.cold(self.files)
        seconds = raw_read_s(self.files, direct=direct) if self.gang.rank == 0 else 0.0
        self.gang.barrier()
        return {"raw_direct_s" if direct else "raw_cached_s": seconds}

    def rounds(self, repeats: int, patience_s: float) -> list[dict[str, float]]:
        """Both sides and raw reading in turn, each first in some rounds; one of each before the clock counts."""
        rounds = []
        order = [self.load_ours, partial(self.raw, True), self.load_dcp, partial(self.raw, False)]
        for turn in range(repeats + 1):
            found = {"others": wait_for_calm(patience_s) if self.gang.rank == 0 else 0.0}
            self.gang.barrier()
            for place in range(turn, turn + len(order)):
                found |= order[place % len(order)]()
            rounds.append(found)
        return rounds[1:]


def loading(gang: Gang, folder: Path, nbytes: int, repeats: int, patience_s: float) -> dict[str, Any]:
    """Into a training with other numbers in it, on however many processes there are now."""
    training = Training(gang, nbytes, seed=8)
    loads = Loads(gang, folder, training.state, training.state_dict)
    loads.load_ours()
    ours = hash_of(training)
    rounds = loads.rounds(repeats, patience_s)
    return {"rounds": rounds, "hash": ours, "needed": loads.needed, "nbytes": training.nbytes()}


def columns(gang: Gang, folder: Path, nbytes: int, repeats: int, patience_s: float) -> dict[str, Any]:
    """Tensors that are sharded by rows when they are saved, and by columns when they are loaded."""
    size, kinds = width(nbytes), ("param", "exp_avg", "exp_avg_sq")
    names = [f"{layer}.{kind}" for layer in range(LAYERS) for kind in kinds]
    generator = torch.Generator().manual_seed(1)
    wanted = []

    def made(rows: bool) -> dict[str, DTensor]:
        tensors = {}
        for name in names:
            whole = torch.randn(size, size, generator=generator) if rows else torch.zeros(size, size)
            tensors[name] = distribute_tensor(whole, gang.mesh, [Shard(0 if rows else 1)])
            if rows:
                shard = size // gang.size
                wanted.append(xxhash.xxh3_64_hexdigest(whole[:, gang.rank * shard :][:, :shard].contiguous().numpy()))
        return tensors

    saved = made(rows=True)
    with Checkpoints(folder / "ours") as checkpoints:
        checkpoints.save(saved, 1).durable()
    dcp.save(saved, checkpoint_id=folder / "dcp" / "1")
    del saved
    state = made(rows=False)
    loads = Loads(gang, folder, state, dict(state))
    loads.load_ours()
    got = [xxhash.xxh3_64_hexdigest(each.to_local().contiguous().numpy()) for each in state.values()]
    equal = gang.all(got == wanted)
    return {
        "rounds": loads.rounds(repeats, patience_s),
        "equal": equal,
        "needed": loads.needed,
        "nbytes": len(names) * size * size * 4,
    }


def row(gang: Gang, folder: Path, nbytes: int, repeats: int, patience_s: float) -> dict[str, Any]:
    """One row of 4 KiB out of one large array."""
    rows = nbytes // 4096
    array = np.arange(rows * 1024, dtype=np.float32).reshape(rows, 1024)
    with Checkpoints(folder / "rows") as checkpoints:
        checkpoints.save({"w": array}, 1).durable()
    rounds = []
    for turn in range(repeats):
        others = wait_for_calm(patience_s)
        at = (turn + 1) * rows // (repeats + 2)
        held, before = make_cold(files_under(folder / "rows")), fetched_bytes()
        began = perf_counter()
        with Checkpoints(folder / "rows").open(1) as opened:
            got = opened["w"][at]
            seconds = perf_counter() - began
            read = opened.bytes_read
        fetched = fetched_bytes() - before
        equal = bool((got == array[at]).all())
        rounds.append(
            {"seconds": seconds, "read": read, "fetched": fetched, "equal": equal, "still_cached": held, "others": others}
        )
    shutil.rmtree(folder / "rows")
    return {"rounds": rounds}
