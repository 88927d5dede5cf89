"""Jobs of ranks under DistributedDataParallel (`torch_gang.py`): what they train, save and load."""

from __future__ import annotations

import warnings
from typing import Any

import torch
import torch.distributed as dist
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
