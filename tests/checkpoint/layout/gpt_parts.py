"""What a rank of a training of the small GPT has besides the model: teams, data, random numbers, and buffers of ZeRO-1."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from gpt import Team, Teams, gathered, summed
from gpt_cuts import ALIGN, BATCH, CONTEXT, HALVES, KV_HEADS, VOCABULARY, WIDTH, At, Plan, flat_size

from headway.checkpoint.state.parts.cursor import Cursor
from headway.checkpoint.state.parts.flat import Flat

SAMPLES = 37  # of an epoch
SEED = 5


# --- who is who ------------------------------------------------------------------------------------------------------

_groups: dict[tuple[int, ...], Any] = {}
_meshes: dict[tuple[int, ...], Any] = {}


def teams_of(plan: Plan, rank: int) -> Teams:
    """The ranks that this one shares each axis with. All ranks must call it, in the same order of plans."""
    keys: dict[str, Callable[[At], tuple[int, ...]]] = {
        "tp": lambda at: (at.dp, at.pp),
        "pp": lambda at: (at.dp, at.tp),
        "dp": lambda at: (at.pp, at.tp),
        "ep": lambda at: (at.pp, at.tp, at.dp // plan.ep),
        "edp": lambda at: (at.pp, at.tp, at.dp % plan.ep),
        "copies": lambda at: (at.dp, at.pp, at.tp * KV_HEADS // plan.tp),
    }
    teams: dict[str, Team] = {}
    for name, key in keys.items():
        together: dict[tuple[int, ...], list[int]] = {}
        for each in range(plan.size):
            together.setdefault(key(plan.at(each)), []).append(each)
        for ranks in map(tuple, together.values()):
            if len(ranks) > 1 and ranks not in _groups:
                _groups[ranks] = dist.new_group(list(ranks))
            if rank in ranks:
                teams[name] = Team(ranks.index(rank), ranks, _groups.get(ranks))
    return Teams(**teams, sequence=plan.sequence)


def mesh_of(*sizes: int) -> Any:
    if sizes not in _meshes:
        names = ("dp", "tp") if len(sizes) == 2 else ("dp",)
        _meshes[sizes] = dist.device_mesh.init_device_mesh("cpu", sizes, mesh_dim_names=names)
    return _meshes[sizes]


# --- data and randomness ---------------------------------------------------------------------------------------------


def sample(index: int) -> torch.Tensor:
    """A sequence that can be learned: each token follows from the one before, in a way that the first one says."""
    first = index % SAMPLES
    return torch.tensor([first * 5 % VOCABULARY if at == 0 else (first * 7 + at * at) % VOCABULARY for at in range(CONTEXT + 1)])


class Feed:
    """Batches, some of them drawn ahead of their use."""

    def __init__(self, cursor: Cursor, count: int, ahead: int) -> None:
        self.cursor, self.count, self.ahead = cursor, count, ahead
        self.drawn: deque[list[int]] = deque()

    def next(self) -> list[int]:
        while len(self.drawn) <= self.ahead:
            self.drawn.append(self.cursor.draw(self.count))
        batch = self.drawn.popleft()
        self.cursor.done(batch)
        return batch


class Naive:
    """What a `Feed` gives after some steps, by arithmetic: lane `l` of step `s` is sample `s * BATCH + l`."""

    def __init__(self, lanes: list[int], step: int) -> None:
        self.lanes, self.step = lanes, step

    def next(self) -> list[int]:
        self.step += 1
        return [(self.step - 1) * BATCH + lane for lane in self.lanes]


def stream_names(at: At) -> list[str]:
    return [f"{layer}-{lane}-{half}" for layer in at.layers for lane in at.lanes for half in at.halves]


def stream(name: str) -> np.random.Generator:
    return np.random.default_rng([SEED, *map(int, name.split("-"))])


def keep(generator: np.random.Generator) -> np.ndarray[Any, Any]:
    """The dropout of one layer for half a sequence."""
    return generator.random((CONTEXT // HALVES, WIDTH), "float32") < 0.9


def seed_global() -> None:
    torch.manual_seed(SEED)
    np.random.seed(SEED)
    random.seed(SEED)


def jitter() -> float:
    """From all global generators: a random scale of the routers' scores."""
    return 1 + 0.05 * (torch.rand(()).item() + np.random.rand() + random.random())


def learning_rate(step: int) -> float:
    """A warm-up, then a decay: different in each step."""
    return min(1.0, (step + 1) / 4) * 0.97**step


# --- ZeRO-1 ----------------------------------------------------------------------------------------------------------


class Buffer:
    """The parameters of one group in a row, of which each rank optimizes a range."""

    def __init__(self, parameters: dict[str, torch.nn.Parameter], team: Team) -> None:
        self.parameters, self.team = parameters, team
        self.begins, at = [], 0
        for each in parameters.values():
            self.begins.append(-(-at // ALIGN) * ALIGN)
            at = self.begins[-1] + each.numel()
        self.each = flat_size(at, team.size)
        self.shard = torch.zeros(self.each)
        self.fill()

    def fill(self) -> None:
        self.shard.copy_(self._mine(self._row(lambda each: each.detach())))

    def take_gradients(self) -> None:
        self.shard.grad = self._mine(summed(self._row(lambda each: each.grad), self.team)) / self.team.size

    def publish(self) -> None:
        row = gathered(self.shard, self.team, 0)
        for begin, each in zip(self.begins, self.parameters.values(), strict=True):
            each.data.copy_(row[begin : begin + each.numel()].view_as(each))

    def declared(self) -> Flat:
        shapes = {f"model.{name}": tuple(each.shape) for name, each in self.parameters.items()}
        return Flat(self.shard, shapes, start=self.team.rank * self.each, align=ALIGN)

    def _row(self, of: Callable[[Any], torch.Tensor]) -> torch.Tensor:
        row = torch.zeros(self.each * self.team.size)
        for begin, each in zip(self.begins, self.parameters.values(), strict=True):
            row[begin : begin + each.numel()] = of(each).reshape(-1)
        return row

    def _mine(self, row: torch.Tensor) -> torch.Tensor:
        return row[self.team.rank * self.each : (self.team.rank + 1) * self.each].clone()
