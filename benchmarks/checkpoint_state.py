"""The training that is checkpointed: a stack of Linear layers with AdamW, on one process or sharded over several (FSDP2), and the
gang of processes that runs it."""

from __future__ import annotations

import os
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
import xxhash
from torch.distributed.checkpoint.state_dict import get_state_dict
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

LAYERS = 16
TOKENS = 256  # of all processes together: forward and backward take several times as long as copying the state


def width(nbytes: int) -> int:
    """How wide layers are whose parameters and two moments, in fp32, have about so many bytes."""
    return round((nbytes / (LAYERS * 3 * 4)) ** 0.5 / 32) * 32


class Gang:
    """The processes that run a program together, over gloo. They meet at a file."""

    def __init__(self, rank: int, size: int, folder: Path) -> None:
        self.rank, self.size = rank, size
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // size))
        torch.manual_seed(7)
        store = dist.FileStore(str(folder / f"rendezvous-{os.environ['GANG']}"), size)
        dist.init_process_group("gloo", store=store, rank=rank, world_size=size)
        self.mesh: DeviceMesh = init_device_mesh("cpu", (size,))

    def barrier(self) -> None:
        dist.barrier()

    def gather(self, value: Any) -> list[Any]:
        """The value of every process, by rank."""
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def all(self, yes: bool) -> bool:
        flag = torch.tensor([int(yes)])
        dist.all_reduce(flag, op=dist.ReduceOp.MIN)
        return bool(flag.item())

    def close(self) -> None:
        dist.barrier()
        dist.destroy_process_group()


class Step(NamedTuple):
    seconds: float
    forward_backward_s: float


class Training:
    """A model with its optimizer, whose state has about `nbytes` in all processes together."""

    def __init__(self, gang: Gang, nbytes: int, seed: int = 7) -> None:
        size = width(nbytes)
        torch.manual_seed(seed)
        layers = [torch.nn.Linear(size, size) for _ in range(LAYERS)]
        if gang.size > 1:
            for layer in layers:
                fully_shard(layer, mesh=gang.mesh)
        self.model: torch.nn.Module = torch.nn.Sequential(*layers)
        if gang.size > 1:
            self.model = fully_shard(self.model, mesh=gang.mesh)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, fused=True)
        self._gang = gang
        self._tokens = torch.randn(max(1, TOKENS // gang.size), size)
        self.step()

    @property
    def state(self) -> dict[str, Any]:
        return {"model": self.model, "opt": self.optimizer}

    @property
    def state_dict(self) -> dict[str, Any]:
        """The same for torch.distributed.checkpoint: tensors by name, which are this training's own."""
        model, optimizer = get_state_dict(self.model, self.optimizer)
        return {"model": model, "opt": optimizer}

    def step(self) -> Step:
        began = perf_counter()
        self.optimizer.zero_grad()
        self.model(self._tokens).square().mean().backward()
        middle = perf_counter()
        self.optimizer.step()
        return Step(perf_counter() - began, middle - began)

    def steps(self, count: int) -> list[Step]:
        return [self.step() for _ in range(count)]

    def tensors(self) -> list[torch.Tensor]:
        """What this process holds of parameters and moments."""
        found = []
        for parameter in self.model.parameters():
            slots = self.optimizer.state[parameter]
            found += [parameter, slots["exp_avg"], slots["exp_avg_sq"]]
        return [each.to_local() if isinstance(each, DTensor) else each.detach() for each in found]

    def nbytes(self) -> int:
        """The bytes of the state in all processes together."""
        return sum(self._gang.gather(sum(each.nbytes for each in self.tensors())))


def hash_of(training: Training) -> str:
    """A hash of the whole state that is the same however it is sharded: needs room for one whole tensor at a time."""
    digest = xxhash.xxh3_128()
    for parameter in training.model.parameters():
        slots = training.optimizer.state[parameter]
        for each in (parameter, slots["exp_avg"], slots["exp_avg_sq"]):
            whole = each.full_tensor() if isinstance(each, DTensor) else each
            digest.update(whole.detach().contiguous().numpy())
    return digest.hexdigest()
