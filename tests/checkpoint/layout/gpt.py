"""A small GPT that can be cut in every usual way, by hand: what the tests of layouts train.

Everything that makes resharding hard is in it: packed query, key and value projections of three different sizes (a key has 16
elements, a value 8, and there are fewer of both than queries), packed gate and up projections, a vocabulary of 61 that tensor
parallelism pads to 64, a mixture of experts that are stacked in one array and one that has them under names of their own, a
parameter of three elements (fewer than there are ranks), a buffer, and biases. Nothing is fast and nothing is hidden: the
collectives are here, and a stage, a shard or an expert is an ordinary tensor.

What is random is given from outside (`masks`), so that a layout has no say in it. Where a sum has other parts the result has other
rounding, and nothing else differs between layouts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812 - the name that torch's own code gives it
from gpt_cuts import CONTEXT, EXPERT_HIDDEN, EXPERTS, HIDDEN, KV_HEADS, LAYERS, PADDED, VOCABULARY, WIDTH
from torch import nn

HEADS, KEY, VALUE = 4, 16, 8


@dataclass(frozen=True)
class Team:
    """The ranks that share one axis of a layout, and which of them this one is. `ranks` are global."""

    rank: int = 0
    ranks: tuple[int, ...] = (0,)
    group: Any = None

    @property
    def size(self) -> int:
        return len(self.ranks)


@dataclass(frozen=True)
class Teams:
    """Where a process is. `ep` ranks are neighbours among those of `dp`; `copies` are those with the same key and value head."""

    dp: Team = Team()
    pp: Team = Team()
    tp: Team = Team()
    ep: Team = Team()
    edp: Team = Team()  # the ranks of dp that have the same experts
    copies: Team = Team()
    sequence: bool = False  # whether activations between the blocks are split over tp, by position


# --- collectives that know their gradients ---------------------------------------------------------------------------


def summed(x: torch.Tensor, team: Team) -> torch.Tensor:
    x = x.contiguous().clone()
    dist.all_reduce(x, group=team.group)
    return x


def gathered(x: torch.Tensor, team: Team, dim: int) -> torch.Tensor:
    parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in team.ranks]
    dist.all_gather(parts, x.contiguous(), group=team.group)
    return torch.cat(parts, dim)


def own(x: torch.Tensor, team: Team, dim: int) -> torch.Tensor:
    return x.chunk(team.size, dim)[team.rank].contiguous()


class _Copy(torch.autograd.Function):
    """To ranks that each use it for a part of the result."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, team: Team) -> torch.Tensor:
        ctx.team = team
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[Any, ...]:
        return summed(grad, ctx.team), None


class _Sum(torch.autograd.Function):
    """Of what each rank has; all go on with the same."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, team: Team) -> torch.Tensor:
        return summed(x, team)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[Any, ...]:
        return grad, None


class _Gather(torch.autograd.Function):
    """Of what each rank has; each goes on with a part of the computation."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, team: Team, dim: int) -> torch.Tensor:
        ctx.team, ctx.dim = team, dim
        return gathered(x, team, dim)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[Any, ...]:
        return own(summed(grad, ctx.team), ctx.team, ctx.dim), None, None


class _SumOwn(torch.autograd.Function):
    """The sum of what each rank has, of which each goes on with its own part."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, team: Team, dim: int) -> torch.Tensor:
        ctx.team, ctx.dim = team, dim
        return own(summed(x, team), team, dim)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[Any, ...]:
        return gathered(grad, ctx.team, ctx.dim), None, None


class _GatherSame(torch.autograd.Function):
    """Of what each rank has; all go on with the same."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, team: Team, dim: int) -> torch.Tensor:
        ctx.team, ctx.dim = team, dim
        return gathered(x, team, dim)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[Any, ...]:
        return own(grad, ctx.team, ctx.dim), None, None


def enter(x: torch.Tensor, teams: Teams) -> torch.Tensor:
    """Into a block whose weights are split over tp."""
    if teams.tp.size == 1:
        return x
    return _Gather.apply(x, teams.tp, 1) if teams.sequence else _Copy.apply(x, teams.tp)


def leave(x: torch.Tensor, teams: Teams) -> torch.Tensor:
    """Out of it, where each rank has a part of every sum."""
    if teams.tp.size == 1:
        return x
    return _SumOwn.apply(x, teams.tp, 1) if teams.sequence else _Sum.apply(x, teams.tp)


def here(weight: torch.Tensor) -> torch.Tensor:
    """The part of a weight that this rank computes with."""
    return weight.to_local() if hasattr(weight, "to_local") else weight


# --- the model -------------------------------------------------------------------------------------------------------


class Norm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(WIDTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(x, (WIDTH,), self.weight, 1e-5)


class Weight(nn.Module):
    """A weight, and perhaps a bias. What is done with it is the owner's business."""

    def __init__(self, *shape: int, bias: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.empty(shape[0])) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, here(self.weight), self.bias)


class Attention(nn.Module):
    def __init__(self, teams: Teams) -> None:
        super().__init__()
        self.teams = teams
        self.heads, self.kv_heads = HEADS // teams.tp.size, max(1, KV_HEADS // teams.tp.size)
        self.sizes = [self.heads * KEY, self.kv_heads * KEY, self.kv_heads * VALUE]
        self.qkv = Weight(sum(self.sizes), WIDTH, bias=True)
        self.o = Weight(WIDTH, self.heads * VALUE)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = enter(x, self.teams)
        q, k, v = self.qkv(x).split(self.sizes, -1)
        q, k = (each.unflatten(-1, (-1, KEY)).transpose(1, 2) for each in (q, k))
        v = v.unflatten(-1, (-1, VALUE)).transpose(1, 2)
        groups = self.heads // self.kv_heads
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        scores = q @ k.transpose(-1, -2) / KEY**0.5
        future = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        mixed = scores.masked_fill(future, -torch.inf).softmax(-1) @ v
        return leave(self.o(mixed.transpose(1, 2).flatten(2)), self.teams)


class Mlp(nn.Module):
    """With tensor parallelism, the rows of gate and those of up are split, not those of the two together."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.gate_up = Weight(2 * hidden, WIDTH)
        self.down = Weight(WIDTH, hidden)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate, up = self.gate_up(x).chunk(2, -1)
        return self.down(F.silu(gate) * up)


class Dense(nn.Module):
    def __init__(self, teams: Teams) -> None:
        super().__init__()
        self.teams = teams
        self.mlp = Mlp(HIDDEN // teams.tp.size)

    def forward(self, x: torch.Tensor, jitter: float) -> torch.Tensor:
        return leave(self.mlp(enter(x, self.teams)), self.teams)


class Mixture(nn.Module):
    """The two best experts for each token. All are computed: it is small, and which are best then matters to no shape."""

    def __init__(self, teams: Teams) -> None:
        super().__init__()
        self.teams = teams
        self.count, self.hidden = EXPERTS // teams.ep.size, EXPERT_HIDDEN // teams.tp.size
        self.router = Weight(EXPERTS, WIDTH)

    def compute(self, expert: int, x: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def forward(self, x: torch.Tensor, jitter: float) -> torch.Tensor:
        teams = self.teams
        inside = enter(x, teams)
        scores = (self.router(inside if teams.sequence else x) * jitter).softmax(-1)
        best = scores.topk(2, -1)
        gates = torch.zeros_like(scores).scatter(-1, best.indices, best.values)
        if teams.tp.size > 1 and not teams.sequence:
            gates = _Copy.apply(gates, teams.tp)
        if teams.ep.size > 1:
            inside, gates = _Gather.apply(inside, teams.ep, 0), _Gather.apply(gates, teams.ep, 0)
        first = teams.ep.rank * self.count
        out = sum(self.compute(each, inside) * gates[..., first + each, None] for each in range(self.count))
        return leave(_SumOwn.apply(out, teams.ep, 0) if teams.ep.size > 1 else out, teams)


class Stacked(Mixture):
    """Experts in one array, by number."""

    def __init__(self, teams: Teams) -> None:
        super().__init__(teams)
        self.gate_up = nn.Parameter(torch.empty(self.count, 2 * self.hidden, WIDTH))
        self.down = nn.Parameter(torch.empty(self.count, WIDTH, self.hidden))

    def compute(self, expert: int, x: torch.Tensor) -> torch.Tensor:
        gate, up = F.linear(x, self.gate_up[expert]).chunk(2, -1)
        return F.linear(F.silu(gate) * up, self.down[expert])


class Named(Mixture):
    """Experts that are modules, which are numbered from 0 on each rank."""

    def __init__(self, teams: Teams) -> None:
        super().__init__(teams)
        self.experts = nn.ModuleList(Mlp(self.hidden) for _ in range(self.count))

    def compute(self, expert: int, x: torch.Tensor) -> torch.Tensor:
        return self.experts[expert](x)


class Layer(nn.Module):
    def __init__(self, number: int, teams: Teams) -> None:
        super().__init__()
        self.number = number  # in the whole model
        self.norm1, self.norm2 = Norm(), Norm()
        self.attention = Attention(teams)
        self.feed = (Dense, Stacked, Named)[number](teams)
        self.blend = nn.Parameter(torch.empty(3))

    def forward(self, x: torch.Tensor, mask: torch.Tensor, jitter: float) -> torch.Tensor:
        attended = x * self.blend[0] + self.attention(self.norm1(x)) * self.blend[1]
        return attended + self.feed(self.norm2(attended), jitter) * mask * self.blend[2]


class Gpt(nn.Module):
    """The whole model, or the layers of one stage. The first has the embedding, the last the output projection."""

    def __init__(self, layers: tuple[int, ...], teams: Teams, *, tied: bool = False) -> None:
        super().__init__()
        self.teams = teams
        self.rows = PADDED // teams.tp.size if teams.tp.size > 1 else VOCABULARY
        if 0 in layers:
            self.embed = Weight(self.rows, WIDTH)
            self.register_buffer("positions", torch.empty(CONTEXT, WIDTH))
        self.layers = nn.ModuleList(Layer(number, teams) for number in layers)
        if LAYERS - 1 in layers:
            self.norm = Norm()
            self.head = Weight(self.rows, WIDTH)
            if tied and 0 in layers:
                self.head.weight = self.embed.weight

    def forward(
        self, x: torch.Tensor, locals_: list[int], masks: dict[int, torch.Tensor], jitter: float, targets: torch.Tensor
    ) -> torch.Tensor:
        """Some of the layers that are here: from tokens if the first is one of them, to the loss if the last is."""
        numbers = [self.layers[each].number for each in locals_]
        if 0 in numbers:
            x = self.embedded(x)
        for each, number in zip(locals_, numbers, strict=True):
            x = self.layers[each](x, masks[number], jitter)
        return self.loss(x, targets) if LAYERS - 1 in numbers else x

    def embedded(self, tokens: torch.Tensor) -> torch.Tensor:
        tp, table = self.teams.tp, here(self.embed.weight)
        if tp.size == 1:
            return F.embedding(tokens, table) + self.positions
        rows = tokens - tp.rank * self.rows
        outside = (rows < 0) | (rows >= self.rows)
        x = leave(F.embedding(rows.masked_fill(outside, 0), table).masked_fill(outside[..., None], 0.0), self.teams)
        return x + (own(self.positions, tp, 0) if self.teams.sequence else self.positions)

    def loss(self, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        logits = self.head(enter(self.norm(x), self.teams))
        if self.teams.tp.size > 1:
            logits = _GatherSame.apply(logits, self.teams.tp, 2)[..., :VOCABULARY]
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())
