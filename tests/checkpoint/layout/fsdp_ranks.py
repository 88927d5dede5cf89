"""The jobs of `test_torch_sources.py`: several ranks train a small net under FSDP2, tensor parallelism or DDP, and keep what they
hold; or load what the job before them kept. Run as `fsdp_ranks.py FOLDER save:fsdp-tp:4 load:ddp:2`.

This process imports torch, once, and never uses it; each rank is forked from it.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
import torch.distributed as dist
from in_memory import Stored
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

from headway.checkpoint.files.manifest import Object
from headway.checkpoint.layout.boxes import Box, strides_of
from headway.checkpoint.layout.pieces import Piece
from headway.checkpoint.state.inventory import Holding, HostMemory, Inventory
from headway.checkpoint.state.walk import take


class Net(torch.nn.Module):
    """7 rows over 4 ranks are uneven, 3 leave a rank with nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.up = torch.nn.Linear(6, 8)
        self.down = torch.nn.Linear(8, 6)
        self.odd = torch.nn.Linear(6, 7, bias=False)
        self.few = torch.nn.Parameter(torch.ones(3))

    def forward(self, x: Any) -> Any:
        return self.odd(self.down(self.up(x).relu())).sum() * self.few.sum()


def make(kind: str, ranks: int, seed: int) -> tuple[Any, Any]:
    torch.manual_seed(seed)
    net: Any = Net()
    if kind == "fsdp-tp":
        mesh = init_device_mesh("cpu", (ranks // 2, 2), mesh_dim_names=("dp", "tp"))
        parallelize_module(net, mesh["tp"], {"up": ColwiseParallel(), "down": RowwiseParallel()})
        for inner in (net.up, net.down):  # what is not tensor-parallel is on the data-parallel mesh alone
            fully_shard(inner, mesh=mesh["dp"])
        fully_shard(net, mesh=mesh["dp"])
    elif kind == "fsdp":
        fully_shard(net, mesh=init_device_mesh("cpu", (ranks,)))
    elif kind == "hsdp":
        fully_shard(net, mesh=init_device_mesh("cpu", (2, ranks // 2), mesh_dim_names=("replicate", "shard")))
    else:
        net = torch.nn.parallel.DistributedDataParallel(net)
    return net, torch.optim.AdamW(net.parameters(), lr=0.05, foreach=False)


def train(net: Any, optimizer: Any, steps: int) -> None:
    for step in range(steps):
        optimizer.zero_grad()
        net(torch.linspace(-1, 1, 12).reshape(2, 6) + step).backward()
        optimizer.step()


def full(net: Any, optimizer: Any) -> dict[str, np.ndarray]:
    """Parameters and moments, put together by torch itself."""
    whole = lambda t: t.full_tensor() if isinstance(t, DTensor) else t  # noqa: E731 - short, and used once
    found = {}
    for name, parameter in net.named_parameters():
        name = "model." + name.removeprefix("module.")
        found[name] = whole(parameter).detach().numpy().copy()
        for slot, value in optimizer.state[parameter].items():
            found[f"opt.state.{name}.{slot}"] = whole(value).detach().numpy().copy()
    return found


def keep(folder: Path, rank: int, inventory: Any) -> None:
    """What a rank holds, as files."""
    stored = {}
    for holding in inventory.holdings:
        for number, piece in enumerate(holding.pieces):
            into = np.empty(piece.box.extent, "u4")
            holding.memory.read(piece, into)
            stored[f"{holding.name}|{number}"] = into
    np.savez(folder / f"{rank}.npz", **stored)
    boxes = {holding.name: (holding.object, [piece.box for piece in holding.pieces]) for holding in inventory.holdings}
    (folder / f"{rank}.json").write_bytes(msgspec.json.encode({"boxes": boxes, "values": inventory.values}))


def kept(folder: Path) -> Stored:
    """What `collect` put there."""
    stored = Stored([])
    saved = msgspec.json.decode((folder / "stored.json").read_bytes())
    stored.values = saved["values"]
    stored.objects = {name: msgspec.convert(each, Object) for name, each in saved["objects"].items()}
    with np.load(folder / "stored.npz") as arrays:
        stored.arrays = {name: arrays[name] for name in arrays.files}
    return stored


def collect(folder: Path, ranks: int) -> None:
    """Put together what the ranks kept."""
    inventories = []
    for rank in range(ranks):
        said = msgspec.json.decode((folder / f"{rank}.json").read_bytes())
        holdings = []
        with np.load(folder / f"{rank}.npz") as arrays:
            for name, (known, boxes) in said["boxes"].items():
                for number, (offset, extent) in enumerate(boxes):
                    piece = Piece(Box(tuple(offset), tuple(extent)), 0, strides_of(extent))
                    memory = HostMemory(arrays[f"{name}|{number}"].reshape(-1))
                    holdings.append(Holding(name, msgspec.convert(known, Object), (piece,), memory))
        inventories.append(Inventory(holdings, {}, said["values"]))
    stored = Stored(inventories)
    np.savez(folder / "stored.npz", **stored.arrays)
    (folder / "stored.json").write_bytes(msgspec.json.encode({"values": stored.values, "objects": stored.objects}))


def run_rank(job: str, rank: int, ranks: int, folder: Path) -> None:
    """One rank of a job, to its end."""
    torch.set_num_threads(1)
    store = dist.FileStore(str(folder / f"store-{job}"), ranks)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=ranks)
    what, kind, _ = job.split(":")
    net, optimizer = make(kind, ranks, seed=0 if what == "save" else 9)
    if what == "save":
        train(net, optimizer, 2)
        keep(folder, rank, take({"model": net, "opt": optimizer}))
    else:
        kept(folder).load({"model": net, "opt": optimizer})
    found = full(net, optimizer)
    if rank == 0:
        np.savez(folder / f"{what}.npz", **found)
    dist.barrier()
    dist.destroy_process_group()


def run_job(job: str, folder: Path) -> None:
    """Fork the ranks of a job and wait for them. Raises RuntimeError where one fails; it has said why."""
    ranks, pids = int(job.split(":")[2]), []
    for rank in range(ranks):
        pid = os.fork()
        if not pid:
            status = 1
            try:
                run_rank(job, rank, ranks, folder)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        pids.append(pid)
    failed = [rank for rank, pid in enumerate(pids) if os.waitpid(pid, 0)[1]]
    if failed:
        raise RuntimeError(f"{job}: ranks {failed} failed")
    if job.startswith("save"):
        collect(folder, ranks)


if __name__ == "__main__":
    for each in sys.argv[2:]:
        run_job(each, Path(sys.argv[1]))
