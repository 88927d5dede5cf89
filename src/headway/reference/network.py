"""The network of these models: a decoder-only transformer with rotary positions, RMSNorm and SwiGLU, and a head that values states.

Shapes: B texts, T tokens, D features, H heads. The embedding of a number begins as waves of its value (after the idea of Fourier
number embeddings, arXiv 2502.09741), so that sums and products are near in it from the start; it is trained like all the rest, and
used for the output as well. Left padding needs no positions of its own, since rotary positions are relative: a mask does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch's own code gives it
from torch import Tensor, nn

from headway.reference.language import Language


@dataclass(frozen=True)
class Shape:
    """How large a model is."""

    layers: int = 4
    features: int = 128
    heads: int = 4
    hidden: int = 352
    length: int = 32  # tokens at most


class Cache:
    """Keys and values of the tokens so far, for B texts of at most `length` tokens."""

    def __init__(self, shape: Shape, texts: int, length: int) -> None:
        room = (shape.layers, texts, shape.heads, length, shape.features // shape.heads)
        self.keys, self.values = torch.zeros(room), torch.zeros(room)
        self.used = 0


class Attention(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.qkv = nn.Linear(shape.features, 3 * shape.features, bias=False)
        self.out = nn.Linear(shape.features, shape.features, bias=False)

    def forward(self, x: Tensor, waves: Tensor, mask: Tensor | None, cache: tuple[Tensor, Tensor, int] | None) -> Tensor:
        texts, length, features = x.shape
        q, k, v = self.qkv(x).view(texts, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = rotate(q, waves), rotate(k, waves)
        if cache is not None:
            keys, values, used = cache
            keys[:, :, used : used + length], values[:, :, used : used + length] = k, v
            k, v = keys[:, :, : used + length], values[:, :, : used + length]
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(texts, length, features))
        return out


class Layer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.before_attention = nn.RMSNorm(shape.features)
        self.attention = Attention(shape)
        self.before_feed = nn.RMSNorm(shape.features)
        self.gate_up = nn.Linear(shape.features, 2 * shape.hidden, bias=False)
        self.down = nn.Linear(shape.hidden, shape.features, bias=False)

    def forward(self, x: Tensor, waves: Tensor, mask: Tensor | None, cache: tuple[Tensor, Tensor, int] | None) -> Tensor:
        x = x + self.attention(self.before_attention(x), waves, mask, cache)
        gate, up = self.gate_up(self.before_feed(x)).chunk(2, dim=-1)
        out: Tensor = x + self.down(F.silu(gate) * up)
        return out


class Network(nn.Module):
    """Tokens [B, T] in, logits [B, T, tokens] out. `hidden` and `worth` are what a search asks for."""

    def __init__(self, shape: Shape, language: Language) -> None:
        super().__init__()
        self.shape = shape
        self.language = language.name
        self.embedding = nn.Embedding(language.size, shape.features)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.features)
        self.value = self.make_value()
        self.waves: Tensor
        padded = 2 * shape.length  # the longest prompt beside the longest sample
        self.register_buffer("waves", rotary(padded, shape.features // shape.heads), persistent=False)
        self._begin(language.numbers)

    def make_value(self) -> nn.Module:
        """The head that `worth` asks."""
        return nn.Linear(self.shape.features, 1)

    def _begin(self, numbers: int) -> None:
        depth = math.sqrt(2 * len(self.layers))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=1 / math.sqrt(module.in_features))
        for name, parameter in self.named_parameters():
            if name.endswith(("attention.out.weight", "down.weight")):
                parameter.data /= depth
        for module in self.value.modules():
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.embedding.weight, std=1.0)
        with torch.no_grad():
            self.embedding.weight[:numbers] += number_waves(numbers, self.shape.features)
            self.embedding.weight *= 0.5

    def forward(self, tokens: Tensor, mask: Tensor | None = None, cache: Cache | None = None) -> Tensor:
        return self.logits(self.hidden(tokens, mask, cache))

    def logits(self, hidden: Tensor) -> Tensor:
        """What comes next, from what the model makes of a token: [..., D] to [..., tokens]."""
        return F.linear(hidden, self.embedding.weight) / math.sqrt(self.shape.features)

    def worth(self, hidden: Tensor) -> Tensor:
        """How well a state ends, as a logit: [..., D] to [...]."""
        found: Tensor = self.value(hidden).squeeze(-1)
        return found

    def hidden(self, tokens: Tensor, mask: Tensor | None = None, cache: Cache | None = None) -> Tensor:
        """What the model makes of each token [B, T, D]. `mask`: who may look at whom; without one, at itself and those before."""
        used = 0 if cache is None else cache.used
        waves = self.waves.narrow(0, used, tokens.shape[1])
        x = self.embedding(tokens)
        for at, layer in enumerate(self.layers):
            x = layer(x, waves, mask, None if cache is None else (cache.keys[at], cache.values[at], used))
        if cache is not None:
            cache.used += tokens.shape[1]
        out: Tensor = self.norm(x)
        return out


def rotary(length: int, features: int) -> Tensor:
    """Cosine and sine of the angles of rotary positions [T, features / 2, 2] (arXiv 2104.09864)."""
    rates = 1000.0 ** (-torch.arange(0, features, 2) / features)
    angles = torch.outer(torch.arange(length).float(), rates)
    return torch.stack((angles.cos(), angles.sin()), dim=-1)


def rotate(x: Tensor, waves: Tensor) -> Tensor:
    """Rotate x [B, H, T, features] by its positions."""
    first, second = x.chunk(2, dim=-1)
    cos, sin = waves[..., 0], waves[..., 1]
    return torch.cat((first * cos - second * sin, first * sin + second * cos), dim=-1)


def number_waves(count: int, features: int) -> Tensor:
    """Cosines and sines of the numbers 0 to count - 1 at periods from 2 to 2,000, and of their logarithms [count, features]."""
    numbers = torch.arange(count).float()
    periods = torch.tensor([2.0, 3, 4, 5, 7, 8, 9, 10, 11, 13, 16, 20, 25, 32, 50, 64, 100, 128, 200, 256, 400, 512, 1000, 2000])
    angles = torch.outer(numbers, 2 * torch.pi / periods)
    logs = torch.outer((numbers + 1).log(), torch.tensor([0.5, 1.0, 2.0, 4.0]))
    found = torch.cat((angles.cos(), angles.sin(), logs.cos(), logs.sin()), dim=1) * math.sqrt(2)
    return F.pad(found, (0, max(0, features - found.shape[1])))[:, :features]
