"""The networks of a learned assignment: preferences by dot products of embeddings, and the worth of pairs."""

from __future__ import annotations

import math

import torch
from torch import nn


class DotProducts(nn.Module):
    """How much each of some rows goes with each of others: the dot products of their embeddings. Sizes are free: (…, n, a) and
    (…, m, b) give (…, n, m)."""

    def __init__(self, one: int, other: int, width: int) -> None:
        super().__init__()
        self.one, self.other = make_embedding(one, width), make_embedding(other, width)

    def forward(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """The dot products, of about unit variance at first."""
        mine, theirs = self.one(one), self.other(other)
        products: torch.Tensor = mine @ theirs.transpose(-1, -2) / math.sqrt(mine.shape[-1])
        return products


def make_embedding(features: int, width: int) -> nn.Sequential:
    """A network from features to an embedding."""
    return nn.Sequential(nn.Linear(features, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
