"""Trains the search model: one task that runs as a gang.

    trained = await train.options(processes=1)(Recipe(steps=1600))

The training begins with what the Countdown model knows of numbers, which saves most of the steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import headway as hw
from headway.reference import training
from headway.reference.countdown.searching.batches import LENGTH, Mix, batch
from headway.reference.network import Network, Shape
from headway.reference.training import Trained


@dataclass(frozen=True)
class Recipe(training.Recipe):
    """All that a trained model depends on.

    Attributes:
        mix: of the texts that it is trained on.
    """

    batch: int = 32
    every: int = 50
    pieces: int = 4
    value_weight: float = 0.0
    warmup: int = 20
    shape: Shape = field(default_factory=lambda: Shape(length=LENGTH))
    mix: Mix = field(default_factory=Mix)


@hw.task(pool="gang", processes=1)
def train(recipe: Recipe) -> Trained:
    """Train by a recipe; the checkpoints are the call's own."""
    return training.train_network(
        recipe,
        lambda: _network(recipe),
        lambda step: batch(recipe.seed, step, recipe.batch, recipe.mix),
        "countdown-search.safetensors",
    )


def _network(recipe: Recipe) -> Network:
    import torch

    from headway.reference.countdown import tokens as countdown
    from headway.reference.countdown.sampling import CountdownModel
    from headway.reference.countdown.searching.tokens import ARROW, END, FORK, LANGUAGE
    from headway.reference.weights import read

    if recipe.begin:
        return read(Path(recipe.begin), LANGUAGE)
    network = Network(recipe.shape, LANGUAGE)
    knows = read(CountdownModel.file, countdown.LANGUAGE)
    network.layers.load_state_dict(knows.layers.state_dict())
    network.norm.load_state_dict(knows.norm.state_dict())
    with torch.no_grad():
        network.embedding.weight[: ARROW + 1] = knows.embedding.weight[: ARROW + 1]  # the same words, in the same order
        network.embedding.weight[FORK] = knows.embedding.weight[ARROW]
        network.embedding.weight[END] = knows.embedding.weight[countdown.END]
    return network
