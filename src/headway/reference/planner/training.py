"""Trains the planner: one task that runs as a gang.

    trained = await train.options(processes=1)(Recipe())

Early weights are kept as well: a planner that has not learned enough makes mistakes, which methods of voting and replanning need.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import headway as hw
from headway.reference import training
from headway.reference.network import Network, Shape
from headway.reference.planner.batches import batch
from headway.reference.planner.questions import Mix
from headway.reference.training import Trained

LENGTH = 160  # tokens of a question and its plan, at most


@dataclass(frozen=True)
class Recipe(training.Recipe):
    """All that a trained planner depends on. `mix`: of the questions that it is trained on."""

    steps: int = 3600
    batch: int = 64
    every: int = 100
    pieces: int = 3
    value_weight: float = 0.0
    warmup: int = 100
    shape: Shape = field(default_factory=lambda: Shape(layers=4, features=160, heads=5, hidden=432, length=LENGTH))
    early: tuple[int, ...] = tuple(range(50, 1001, 50))
    mix: Mix = field(default_factory=Mix)


@hw.task(pool="gang", processes=2)
def train(recipe: Recipe) -> Trained:
    """Train by a recipe; the checkpoints are the call's own."""
    return training.train_network(
        recipe,
        lambda: _network(recipe),
        lambda step: batch(recipe.seed, step, recipe.batch, recipe.mix),
        "planner.safetensors",
    )


def _network(recipe: Recipe) -> Network:
    from headway.reference.planner.tokens import LANGUAGE
    from headway.reference.weights import read

    return read(Path(recipe.begin), LANGUAGE) if recipe.begin else Network(recipe.shape, LANGUAGE)
