"""Trains the Countdown model: one task that runs as a gang, with exact data order and checkpoints.

    history = await train.options(processes=2)(Recipe(steps=12_000))

The batch of a step is a function of the seed and the step. Every process takes its share of it, and losses are divided by the count
of the whole batch. So a training that was killed and resumed, with the same or another number of processes, has the loss curve of
an undisturbed one. The curve is part of the state. Matrices are trained with Muon (Jordan et al., 2024; PyTorch's own), which needs
about half the steps here, the rest with AdamW; the rates rise over `warmup` steps and fall in a line to zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

import headway as hw
from headway.reference.countdown.batches import Batch, Mix, batch
from headway.reference.countdown.network import Shape
from headway.train.data_parallel import DataParallel

if TYPE_CHECKING:
    import torch

    from headway.reference.countdown.network import Countdown


@dataclass(frozen=True)
class Recipe:
    """All that a trained model depends on. `begin`: a file of weights to go on from, empty for a fresh start."""

    steps: int
    batch: int = 128
    rate: float = 2e-3  # of AdamW
    muon_rate: float = 2e-2
    warmup: int = 100
    weight_decay: float = 0.05
    value_weight: float = 0.5
    every: int = 250  # steps between checkpoints
    seed: int = 1
    mix: Mix = field(default_factory=Mix)
    shape: Shape = field(default_factory=Shape)
    begin: str = ""


@dataclass(frozen=True)
class Trained:
    """The file of the weights, and the losses of each step over its whole batch: nats per token, and nats per judged state."""

    weights: str
    language: list[float]
    value: list[float]
    processes: int


def share_of_rate(recipe: Recipe, step: int) -> float:
    """The share of the highest rates that a step has.

    >>> [round(share_of_rate(Recipe(steps=1000, warmup=100), step), 3) for step in (0, 99, 550, 999)]
    [0.01, 0.901, 0.45, 0.001]
    """
    return min(1.0, (step + 1) / max(1, recipe.warmup)) * (1 - step / recipe.steps)


@hw.task(pool="gang", processes=2)
def train(recipe: Recipe) -> Trained:
    """Train by a recipe; the checkpoints are the call's own."""
    import torch

    from headway.reference.countdown.weights import write

    replicas = DataParallel()
    torch.manual_seed(recipe.seed)
    network = _network(recipe)
    muon, adamw = _optimizers(network, recipe)
    curve = torch.zeros(recipe.steps, 2, dtype=torch.float64)
    state = {"model": network, "muon": muon, "adamw": adamw, "curve": curve}
    for step in hw.checkpoints("train").steps(state, total=recipe.steps, every=recipe.every):
        for optimizer, rate in ((muon, recipe.muon_rate), (adamw, recipe.rate)):
            for group in optimizer.param_groups:
                group["lr"] = rate * share_of_rate(recipe, step)
        losses = _backward(network, batch(recipe.seed, step, recipe.batch, recipe.mix), replicas, recipe)
        replicas.sum_gradients(network)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for optimizer in (muon, adamw):
            optimizer.step()
            optimizer.zero_grad()
        language, value = replicas.sum(losses)
        curve[step] = torch.tensor([language, value])
        hw.progress(step + 1, recipe.steps, loss=round(language, 4), value=round(value, 4))
    weights = Path(hw.call().files) / "countdown.safetensors"
    if replicas.rank == 0:
        write(weights, network, {"recipe": msgspec.json.encode(recipe).decode()})
    return Trained(str(weights), curve[:, 0].tolist(), curve[:, 1].tolist(), replicas.size)


def _network(recipe: Recipe) -> Countdown:
    from headway.reference.countdown.network import Countdown
    from headway.reference.countdown.weights import read

    return read(Path(recipe.begin)) if recipe.begin else Countdown(recipe.shape)


def _optimizers(network: Countdown, recipe: Recipe) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for the rest."""
    import torch

    layers = [(parameter, name.startswith("layers.") and parameter.ndim == 2) for name, parameter in network.named_parameters()]
    matrices = [parameter for parameter, is_matrix in layers if is_matrix]
    rest = [parameter for parameter, is_matrix in layers if not is_matrix]
    decay = recipe.weight_decay
    muon = torch.optim.Muon(matrices, lr=recipe.muon_rate, weight_decay=decay)
    return muon, torch.optim.AdamW(rest, lr=recipe.rate, betas=(0.9, 0.98), weight_decay=decay, foreach=True)


def _backward(network: Countdown, whole: Batch, replicas: DataParallel, recipe: Recipe) -> tuple[float, float]:
    """Gradients of this process's share of the loss; its two parts."""
    import torch
    import torch.nn.functional as F  # noqa: N812 - the name that torch's own code gives it

    mine = replicas.share(len(whole.tokens))
    tokens = torch.from_numpy(whole.tokens[mine, :-1])
    logits, values = network(tokens)
    learn = torch.from_numpy(whole.learn[mine]).reshape(-1)
    language = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), learn, ignore_index=-100, reduction="sum")
    language = language / int((whole.learn >= 0).sum())
    states = torch.from_numpy(whole.states[mine])
    solvable = torch.from_numpy(whole.solvable[mine])[states].float()
    value = F.binary_cross_entropy_with_logits(values[states], solvable, reduction="sum") / int(whole.states.sum())
    (language + recipe.value_weight * value).backward()  # type: ignore[no-untyped-call]  # torch does not type it
    return language.item(), value.item()
