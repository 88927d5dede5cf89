"""Trains a model: what the recipes of all models share, with exact data order and checkpoints.

A model's own `train` is a task that runs as a gang and calls `train_network` with its recipe and its data. The batch of a step is a
function of the seed and the step. Every process takes its share of it, and losses are divided by the count of the whole batch. So a
training that was killed and resumed, with the same or another number of processes, has the loss curve of an undisturbed one. The
curve is part of the state. Matrices are trained with Muon (Jordan et al., 2024; PyTorch's own), which needs about half the steps
here, the rest with AdamW; the rates rise over `warmup` steps and fall in a line to zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

import headway as hw
from headway.reference.batch import IGNORED, Batch
from headway.reference.network import Network, Shape
from headway.reference.weights import write
from headway.train.data_parallel import DataParallel

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Recipe:
    """What the training of any of these models depends on.

    Attributes:
        steps: how many.
        batch: texts of a step.
        rate: of AdamW, at its highest.
        muon_rate: of Muon, at its highest.
        warmup: steps in which the rates rise.
        weight_decay: of both.
        value_weight: what the loss of the states' values counts for; 0 where states are not judged in training.
        every: steps between checkpoints.
        pieces: in how many pieces a process computes its share; a piece is as long as its longest text.
        seed: of the weights and of the data.
        shape: of the network.
        begin: a file of weights to go on from, empty for a fresh start.
        early: after which steps early weights are written too, into files of their own beside the last.
    """

    steps: int
    batch: int = 128
    rate: float = 2e-3
    muon_rate: float = 2e-2
    warmup: int = 100
    weight_decay: float = 0.05
    value_weight: float = 0.5
    every: int = 250
    pieces: int = 1
    seed: int = 1
    shape: Shape = field(default_factory=Shape)
    begin: str = ""
    early: tuple[int, ...] = ()


@dataclass(frozen=True)
class Trained:
    """The file of the weights, and the losses of each step over its whole batch: nats per token, and nats per judged state, 0 where
    none is."""

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


def train_network(recipe: Recipe, network: Callable[[], Network], batch: Callable[[int], Batch], file: str) -> Trained:
    """Train, inside of a task of a gang; the checkpoints are the call's own.

    Args:
        recipe: how.
        network: makes the network to begin with.
        batch: the batch of a step.
        file: the name of the file of the weights.
    """
    import torch

    replicas = DataParallel()
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(1)  # in a process of its own: several threads would mostly wait for each other on so small a model
    learner = network()
    muon, adamw = _optimizers(learner, recipe)
    curve = torch.zeros(recipe.steps, 2, dtype=torch.float64)
    weights = Path(hw.call().files) / file
    about = {"recipe": msgspec.json.encode(recipe).decode()}
    state = {"model": learner, "muon": muon, "adamw": adamw, "curve": curve}
    for step in hw.checkpoints("train").steps(state, total=recipe.steps, every=recipe.every):
        for optimizer, rate in ((muon, recipe.muon_rate), (adamw, recipe.rate)):
            for group in optimizer.param_groups:
                group["lr"] = rate * share_of_rate(recipe, step)
        losses = _backward(learner, batch(step), replicas, recipe)
        replicas.sum_gradients(learner)
        torch.nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        for optimizer in (muon, adamw):
            optimizer.step()
            optimizer.zero_grad()
        language, value = replicas.sum(losses)
        curve[step] = torch.tensor([language, value])
        hw.progress(step + 1, recipe.steps, loss=round(language, 4), value=round(value, 4))
        if step + 1 in recipe.early and replicas.rank == 0:
            write(early_weights(weights, step + 1), learner, about)
    if replicas.rank == 0:
        write(weights, learner, about)
    return Trained(str(weights), curve[:, 0].tolist(), curve[:, 1].tolist(), replicas.size)


def early_weights(weights: Path, step: int) -> Path:
    """The file of the weights after a step, beside that of the last.

    >>> early_weights(Path("planner.safetensors"), 600).name
    'planner-600.safetensors'
    """
    return weights.with_stem(f"{weights.stem}-{step}")


def _optimizers(network: Network, recipe: Recipe) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for the rest."""
    import torch

    layers = [(parameter, name.startswith("layers.") and parameter.ndim == 2) for name, parameter in network.named_parameters()]
    matrices = [parameter for parameter, is_matrix in layers if is_matrix]
    rest = [parameter for parameter, is_matrix in layers if not is_matrix]
    decay = recipe.weight_decay
    muon = torch.optim.Muon(matrices, lr=recipe.muon_rate, weight_decay=decay)
    return muon, torch.optim.AdamW(rest, lr=recipe.rate, betas=(0.9, 0.98), weight_decay=decay, foreach=True)


def _backward(network: Network, whole: Batch, replicas: DataParallel, recipe: Recipe) -> tuple[float, float]:
    """Gradients of this process's share of the loss; its two parts."""
    import torch
    import torch.nn.functional as F  # noqa: N812 - the name that torch's own code gives it

    mine = whole.rows(replicas.share(len(whole)))
    targets, states = int((whole.learn != IGNORED).sum()), int(whole.states.sum())
    sums = [0.0, 0.0]
    for first in range(recipe.pieces):
        piece = mine.rows(_piece(len(mine), first, recipe.pieces))
        hidden = network.hidden(torch.from_numpy(piece.tokens[:, :-1]))
        learned = torch.from_numpy(piece.learn != IGNORED)
        said = torch.from_numpy(piece.learn)[learned]
        language = F.cross_entropy(network.logits(hidden[learned]), said, reduction="sum") / targets
        value = _value_loss(network, hidden, piece) / states if recipe.value_weight else torch.zeros(())
        (language + recipe.value_weight * value).backward()  # type: ignore[no-untyped-call]  # torch does not type it
        sums = [sums[0] + language.item(), sums[1] + value.item()]
    return sums[0], sums[1]


def _value_loss(network: Network, hidden: torch.Tensor, piece: Batch) -> torch.Tensor:
    """The sum of the states' losses, in nats."""
    import torch
    import torch.nn.functional as F  # noqa: N812 - the name that torch's own code gives it

    ends = torch.from_numpy(piece.states)
    well = torch.from_numpy(piece.well)[ends].float()
    return F.binary_cross_entropy_with_logits(network.worth(hidden[ends]), well, reduction="sum")


def _piece(rows: int, number: int, pieces: int) -> slice:
    """
    >>> [_piece(10, number, 3) for number in range(3)]
    [slice(0, 3, None), slice(3, 6, None), slice(6, 10, None)]
    """
    return slice(rows * number // pieces, rows * (number + 1) // pieces)
