"""A small network with tied parameters, and a few steps of training."""

from __future__ import annotations

from typing import Any

import torch


class Net(torch.nn.Module):
    """Every kind of parameter and buffer."""

    def __init__(self, dtype: Any = torch.float32) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(8, 4, dtype=dtype)
        self.up = torch.nn.Linear(4, 6, dtype=dtype)
        self.down = torch.nn.Linear(6, 4, dtype=dtype)
        self.head = torch.nn.Linear(4, 8, bias=False, dtype=dtype)
        self.head.weight = self.embed.weight  # tied
        self.scale = torch.nn.Parameter(torch.tensor(1.5, dtype=dtype))  # 0-d
        self.nothing = torch.nn.Parameter(torch.zeros(0, 3, dtype=dtype))  # empty
        self.frozen = torch.nn.Parameter(torch.randn(3, dtype=dtype), requires_grad=False)
        self.register_buffer("count", torch.tensor([3, 4]))
        self.register_buffer("scratch", torch.zeros(5), persistent=False)

    def forward(self, tokens: Any) -> Any:
        return self.head(self.embed(tokens) + self.down(self.up(self.embed(tokens)).relu())) * self.scale


def trained(steps: int = 2, seed: int = 0, **options: Any) -> tuple[Net, Any]:
    torch.manual_seed(seed)
    net = Net()
    optimizer = torch.optim.AdamW(net.parameters(), **({"lr": 0.01} | options))
    train(net, optimizer, steps)
    return net, optimizer


def train(net: Any, optimizer: Any, steps: int) -> list[float]:
    losses = []
    for step in range(steps):
        optimizer.zero_grad()
        loss = net(torch.arange(6) + step % 2).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
