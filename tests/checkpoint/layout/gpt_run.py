"""One rank of a training of the small GPT under any layout: model, optimizer, schedule, random streams, data, and a step.

Everything that is saved is in `Run.state`. `Run.held` says what this rank really has in memory, as plain arrays, and `Run.fill`
puts a whole state there without any checkpoint: arrays by the naive cuts of `gpt_cuts`, random streams by drawing again what was
drawn, the data by arithmetic. What `Checkpoints.load` does can be compared with both.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from gpt import Gpt, Team
from gpt_cuts import CONTEXT, HALVES, KV_HEADS, LAYERS, WIDTH, Arrays, Plan, cut, first_model, flattened, for_tp, local_name
from gpt_cuts import K as K_ROWS
from gpt_cuts import Q as Q_ROWS
from gpt_cuts import V as V_ROWS
from gpt_layouts import BY_DTENSOR, layout_of
from gpt_parts import (
    SAMPLES,
    Buffer,
    Feed,
    Naive,
    jitter,
    keep,
    learning_rate,
    mesh_of,
    sample,
    seed_global,
    stream,
    stream_names,
    teams_of,
)

from headway.checkpoint.state.parts.cursor import Cursor
from headway.checkpoint.state.parts.flat import FlatOptimizer
from headway.checkpoint.state.parts.streams import Rng, Streams

LEARNING_RATE = 4e-3
GROUPS = ({"weight_decay": 0.1, "betas": (0.9, 0.95)}, {"weight_decay": 0.0, "betas": (0.8, 0.9)})
SLOTS = ("exp_avg", "exp_avg_sq")


# --- a rank ----------------------------------------------------------------------------------------------------------


class Run:
    """A rank of a training. It begins with the same model as every other layout."""

    def __init__(self, plan: Plan, rank: int) -> None:
        self.plan, self.at, self.teams = plan, plan.at(rank), teams_of(plan, rank)
        self.layout = layout_of(self.at)
        seed_global()
        core = Gpt(self.at.layers, self.teams, tied=plan.tied)
        first = first_model(tied=plan.tied)
        tensors = {**dict(core.named_parameters()), **dict(core.named_buffers())}
        for name in self.at.names():
            tensors[local_name(name, self.at)].data.copy_(torch.from_numpy(for_tp(name, first[name], self.at)))
        self.model = self._sharded(core)
        self.core = core
        self.buffers: list[Buffer] = []
        self.optimizer = self._optimizer()
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, learning_rate)
        at = self.at
        self.cursor = Cursor(SAMPLES, shard=at.dp, shards=plan.dp)
        self.feed: Feed | Naive = Feed(self.cursor, len(at.lanes), ahead=1 + at.dp)
        self.streams = {name: stream(name) for name in stream_names(at)}
        self.used: list[list[int]] = []
        flats = [buffer.declared() for buffer in self.buffers]
        self.state: dict[str, Any] = {
            "model": self.model,
            "optimizer": FlatOptimizer(self.optimizer, flats) if flats else self.optimizer,
            "schedule": self.schedule,
            "rng": Rng(),
            "streams": Streams(self.streams),
            "data": self.cursor,
            "step": 0,
        }

    def loaded(self) -> None:
        """To be called after the state was loaded: what is derived from it is derived again."""
        assert isinstance(self.feed, Feed)
        self.feed.drawn.clear()
        for buffer in self.buffers:
            buffer.fill()

    # --- as it is made --------------------------------------------------------------------------------------------

    def _sharded(self, core: Gpt) -> torch.nn.Module:
        plan = self.plan
        if plan.dtensors:
            self._declare_dtensors(core)
        if plan.shard == "ddp":
            return torch.nn.parallel.DistributedDataParallel(core, broadcast_buffers=False)
        if plan.shard == "hsdp":
            mesh = mesh_of(2, 2)
        elif plan.shard == "fsdp":
            mesh = mesh_of(plan.dp, plan.tp)["dp"] if plan.tp > 1 else mesh_of(plan.dp)
        else:
            return core
        from torch.distributed.fsdp import fully_shard  # takes seconds

        fully_shard(core.layers[-1], mesh=mesh)
        fully_shard(core, mesh=mesh)
        return core

    def _declare_dtensors(self, core: Gpt) -> None:
        from torch.distributed.tensor import DTensor, Shard

        mesh = mesh_of(self.plan.dp, self.plan.tp)["tp"]
        for path, module in core.named_modules():
            for name, parameter in list(module.named_parameters(recurse=False)):
                full = f"{path}.{name}"
                for ending, dim in BY_DTENSOR.items():
                    if full.endswith(ending):
                        whole = DTensor.from_local(parameter.data, mesh, [Shard(dim)], run_check=False)
                        setattr(module, name, torch.nn.Parameter(whole))

    def _optimizer(self) -> torch.optim.Optimizer:
        named = dict(self.core.named_parameters())
        groups = [{local_name(name, self.at): named[local_name(name, self.at)] for name in names} for names in self.group_names()]
        if self.plan.shard == "zero1":
            self.buffers = [Buffer(group, self.teams.dp) for group in groups]
        params = [[buffer.shard] for buffer in self.buffers] or [list(group.values()) for group in groups]
        options = [{"params": each, **settings} for each, settings in zip(params, GROUPS, strict=True)]
        return torch.optim.AdamW(options, lr=LEARNING_RATE, fused=True)

    def group_names(self) -> list[list[str]]:
        """The parameters of the optimizer's groups: those that are decayed, and norms, biases and the like."""
        names = [name for name in self.at.names() if name != "positions"]
        small = [name for name in names if "norm" in name or name.endswith(("bias", "blend"))]
        return [[name for name in names if name not in small], small]

    # --- a step ---------------------------------------------------------------------------------------------------

    def train(self, steps: int) -> list[float | None]:
        """The losses of this rank's samples; None where the loss is computed by others."""
        return [self.step() for _ in range(steps)]

    def step(self) -> float | None:
        batch = self.feed.next()
        self.used.append(batch)
        sequences = torch.stack([sample(index) for index in batch])
        masks = {layer: self._mask(layer) for layer in self.at.layers}
        loss = self._forward_backward(sequences[:, :-1], sequences[:, 1:], masks, jitter())
        self._share_gradients()
        self.optimizer.step()
        self.schedule.step()
        for buffer in self.buffers:
            buffer.publish()
        self.core.zero_grad()
        self.state["step"] += 1
        return loss

    def _mask(self, layer: int) -> torch.Tensor:
        drawn = [[keep(self.streams[f"{layer}-{lane}-{half}"]) for half in self.at.halves] for lane in self.at.lanes]
        return torch.from_numpy(np.array([np.concatenate(halves) for halves in drawn])) / 0.9

    def _forward_backward(
        self, tokens: torch.Tensor, targets: torch.Tensor, masks: dict[int, torch.Tensor], scale: float
    ) -> float | None:
        """Through the stages, one after another and back. A stage may come twice."""
        pp, loss = self.teams.pp, None
        visits = list(self._visits())
        kept: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        shape = (len(tokens), CONTEXT // HALVES * len(self.at.halves), WIDTH)
        for turn, (stage, locals_) in enumerate(visits):
            if stage == pp.rank:
                x = tokens if turn == 0 else self._received(shape, visits[turn - 1][0]).requires_grad_()
                out = self.model(x, locals_, masks, scale, targets)
                kept[turn] = (x, out)
                if turn + 1 < len(visits):
                    dist.send(out.detach().contiguous(), pp.ranks[visits[turn + 1][0]])
                else:
                    loss = float(out.detach())
        for turn, (stage, _) in reversed(list(enumerate(visits))):
            if stage == pp.rank:
                x, out = kept[turn]
                out.backward(None if turn + 1 == len(visits) else self._received(shape, visits[turn + 1][0]))
                if turn:
                    dist.send(x.grad.contiguous(), pp.ranks[visits[turn - 1][0]])
        return loss

    def _visits(self) -> Iterator[tuple[int, list[int]]]:
        """Which stage computes in turn, and which of its layers."""
        stages = self.plan.stages
        where = [next(stage for stage, layers in enumerate(stages) if layer in layers) for layer in range(LAYERS)]
        begin = 0
        for layer in range(1, LAYERS + 1):
            if layer == LAYERS or where[layer] != where[begin]:
                yield where[begin], [stages[where[begin]].index(each) for each in range(begin, layer)]
                begin = layer

    def _received(self, shape: tuple[int, ...], stage: int) -> torch.Tensor:
        room = torch.empty(shape)
        dist.recv(room, self.teams.pp.ranks[stage])
        return room

    def _share_gradients(self) -> None:
        teams, named = self.teams, dict(self.core.named_parameters())
        if self.plan.tied and teams.pp.size > 1:
            _sum_all([named[local_name("embed.weight", self.at)].grad], teams.pp)
        if teams.copies.size > 1:
            kv = Q_ROWS // teams.tp.size, (K_ROWS + V_ROWS) // KV_HEADS
            _sum_all([each.grad[kv[0] : sum(kv)] for name, each in named.items() if "qkv" in name], teams.copies)
        if teams.sequence:
            partial = ("norm", "blend", "router")
            _sum_all([each.grad for name, each in named.items() if any(word in name for word in partial)], teams.tp)
        if self.plan.shard == "zero1":
            for buffer in self.buffers:
                buffer.take_gradients()
        if not self.plan.shard and teams.dp.size > 1:
            experts = [name for name in named if ".experts." in name or name.endswith(("feed.gate_up", "feed.down"))]
            experts = experts if teams.ep.size > 1 else []
            _sum_all([named[name].grad for name in experts], teams.edp, teams.dp.size)
            _sum_all([each.grad for name, each in named.items() if name not in experts], teams.dp, teams.dp.size)

    # --- what is here ---------------------------------------------------------------------------------------------

    def held(self) -> Arrays:
        """What this rank has in memory: copies of its parameters, and of the optimizer's state."""
        named = {**dict(self.core.named_parameters()), **dict(self.core.named_buffers())}
        found = {name: _local(named[local_name(name, self.at)]) for name in self.at.names()}
        for label, parameter in self._optimized():
            for slot, value in self.optimizer.state[parameter].items():
                found[f"{slot} of {label}"] = _local(value)
        return found

    def expected(self, whole: Callable[[str], np.ndarray[Any, Any]], step: int) -> Arrays:
        """What `held` must be when `whole` gives the arrays of the whole state by the names that they have in a checkpoint."""
        at = self.at
        found = {name: cut(name, whole(f"model.{name}"), at) for name in at.names()}
        moments = {
            f"{slot} of {name}": (name, whole(f"optimizer.state.model.{name}.{slot}"))
            for name in at.names()
            for slot in SLOTS
            if name != "positions"
        }
        for slot in SLOTS:
            for number, names in enumerate(self.group_names() if self.buffers else []):
                parts = [moments.pop(f"{slot} of {name}") for name in names]
                found[f"{slot} of buffer {number}"] = flattened([for_tp(name, each, at) for name, each in parts], at)
        found |= {label: cut(name, each, at) for label, (name, each) in moments.items()}
        return found | {f"step of {label}": np.float32(step) for label, _ in self._optimized()}

    def fill(self, whole: Callable[[str], np.ndarray[Any, Any]], step: int) -> None:
        """Become what a run is that has done so many steps and has these arrays, without a checkpoint."""
        values = self.expected(whole, step)
        named = {**dict(self.core.named_parameters()), **dict(self.core.named_buffers())}
        for name in self.at.names():
            _local_tensor(named[local_name(name, self.at)]).copy_(torch.from_numpy(values[name].copy()))
        for label, parameter in self._optimized():
            slots = self.optimizer.state[parameter] = {"step": torch.tensor(float(step))}
            for slot in SLOTS:
                slots[slot] = torch.zeros_like(parameter.detach())
                _local_tensor(slots[slot]).copy_(torch.from_numpy(values[f"{slot} of {label}"].copy()))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of steps of the schedule without one of the optimizer
            for group in self.optimizer.param_groups:
                group["lr"] = group["initial_lr"] = LEARNING_RATE
            self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, learning_rate)
            for _ in range(step):
                self.schedule.step()
        for buffer in self.buffers:
            buffer.fill()
        self.replay(step)
        self.feed = Naive(self.at.lanes, step)
        self.state["step"] = step

    def replay(self, step: int) -> None:
        """Draw again what a run has drawn."""
        seed_global()
        for name, generator in self.streams.items():
            generator.bit_generator.state = stream(name).bit_generator.state
        for _ in range(step):
            jitter()
            for generator in self.streams.values():
                keep(generator)

    def randomness(self) -> dict[str, Any]:
        """The states of all generators, to be compared."""
        legacy = np.random.get_state(legacy=False)
        return {
            "torch": torch.get_rng_state().tolist(),
            "numpy": {**legacy, "state": {key: np.asarray(each).tolist() for key, each in legacy["state"].items()}},
            "python": random.getstate(),
            **{name: each.bit_generator.state for name, each in self.streams.items()},
        }

    def settings(self) -> Any:
        """The hyperparameters, and what the schedule knows."""
        kept = ("lr", "initial_lr", "betas", "eps", "weight_decay")
        groups = [{key: group[key] for key in kept} for group in self.optimizer.param_groups]
        return groups, self.schedule.last_epoch, self.schedule.base_lrs, self.schedule.get_last_lr(), self.state["step"]

    def _optimized(self) -> list[tuple[str, torch.Tensor]]:
        if self.buffers:
            return [(f"buffer {number}", buffer.shard) for number, buffer in enumerate(self.buffers)]
        named = dict(self.core.named_parameters())
        return [(name, named[local_name(name, self.at)]) for names in self.group_names() for name in names]


def _sum_all(tensors: list[torch.Tensor], team: Team, over: int = 1) -> None:
    """Sum gradients over a team, in place, with one collective."""
    if not tensors:
        return
    row = torch.cat([each.reshape(-1) for each in tensors])
    if team.size > 1:
        dist.all_reduce(row, group=team.group)
    for each, part in zip(tensors, (row / over).split([each.numel() for each in tensors]), strict=True):
        each.copy_(part.view_as(each))


def _local_tensor(tensor: torch.Tensor) -> torch.Tensor:
    tensor = tensor.detach()
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def _local(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    return _local_tensor(tensor).numpy().copy()
