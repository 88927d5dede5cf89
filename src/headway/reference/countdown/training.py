"""Trains the Countdown model: one task that runs as a gang.

history = await train.options(processes=2)(Recipe(steps=12_000))
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import headway as hw
from headway.reference import training
from headway.reference.countdown.batches import Mix, batch
from headway.reference.training import Trained


@dataclass(frozen=True)
class Recipe(training.Recipe):
    """All that a trained model depends on. `mix`: of the puzzles that it is trained on."""

    mix: Mix = field(default_factory=Mix)


@hw.task(pool="gang", processes=2)
def train(recipe: Recipe) -> Trained:
    """Train by a recipe; the checkpoints are the call's own."""
    from headway.reference.countdown.tokens import LANGUAGE
    from headway.reference.network import Network
    from headway.reference.weights import read

    def network() -> Network:
        return read(Path(recipe.begin), LANGUAGE) if recipe.begin else Network(recipe.shape, LANGUAGE)

    return training.train_network(
        recipe, network, lambda step: batch(recipe.seed, step, recipe.batch, recipe.mix), "countdown.safetensors"
    )
