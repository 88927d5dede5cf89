"""Jobs of ranks under DistributedDataParallel (`torch_gang.py`): what they train, save and load."""

from __future__ import annotations

import warnings
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.nn.parallel import DistributedDataParallel

import headway as hw


def make(broadcast: bool) -> tuple[Any, Any]:
    """A net with batch statistics, as DDP wraps it, and its optimizer."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 8), torch.nn.BatchNorm1d(8))
    model = DistributedDataParallel(net, broadcast_buffers=broadcast)
    return model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def train(root: str, total: int, broadcast: bool = True, wrapped: bool = True) -> dict[str, Any]:
    """Train from the newest checkpoint to a step. The losses of an evaluation after each step, and what was warned of."""
    model, optimizer = make(broadcast)
    losses = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with hw.Checkpoints(root) as ck:
            for step in ck.steps({"model": model if wrapped else model.module, "opt": optimizer}, total=total, every=3):
                random = torch.Generator().manual_seed(10 * step + dist.get_rank())
                loss = model(torch.randn(8, 6, generator=random) + dist.get_rank()).pow(2).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                model.module.eval()
                with torch.no_grad():
                    losses.append(model.module(torch.ones(2, 6)).sum().item())
                model.train()
    return {"losses": losses, "warned": [str(each.message) for each in caught if each.category is RuntimeWarning]}


class Seen(torch.nn.Linear):
    """Counts, in a dictionary of its own."""

    seen = 0

    def _save_to_state_dict(self, to: Any, prefix: str, keep: bool) -> None:
        super()._save_to_state_dict(to, prefix, keep)
        to[prefix + "seen"] = torch.tensor(self.seen)

    def _load_from_state_dict(self, of: Any, prefix: str, *rest: Any) -> None:
        self.seen = int(of.pop(prefix + "seen"))
        super()._load_from_state_dict(of, prefix, *rest)


def wrapped(root: str) -> dict[str, Any]:
    """State of a module's own, from under FSDP2 to under DDP, and moments of an optimizer that is spread over the ranks."""

    def make(seed: int, shard: bool) -> Any:
        torch.manual_seed(seed)
        net = torch.nn.Sequential(torch.nn.Linear(4, 4), Seen(4, 2))
        if shard:
            return fully_shard(net, mesh=init_device_mesh("cpu", (dist.get_world_size(),)))
        model = DistributedDataParallel(net)
        return model, ZeroRedundancyOptimizer(model.parameters(), optimizer_class=torch.optim.Adam, lr=0.1)

    def step(model: Any, optimizer: Any) -> list[float]:
        optimizer.zero_grad()
        model(torch.ones(3, 4)).square().sum().backward()
        optimizer.step()
        return [parameter.sum().item() for parameter in model.parameters()]

    with hw.Checkpoints(root) as ck:
        sharded = make(0, shard=True)
        sharded[1].seen = 7
        ck.save({"model": sharded}, 1).durable()
        model, optimizer = make(1, shard=False)
        ck.load(into={"model": model})
        seen = model.module[1].seen
        same = torch.equal(model.module[1].weight, sharded[1].weight.full_tensor())
        refused = ""
        try:
            ck.prepare({"model": model, "opt": optimizer})
        except hw.UsageError as error:
            refused = str(error)
        step(model, optimizer)
        ck.save({"model": model, "opt": optimizer.optim}, 2).durable()
        other, fresh = make(2, shard=False)
        ck.load(into={"model": other, "opt": fresh.optim})
        moments = [name for name in ck.latest().objects if name.endswith("exp_avg")]
        return {
            "seen": seen,
            "same": same,
            "refused": refused,
            "moments": len(moments),
            "on": step(model, optimizer) == step(other, fresh),
        }
