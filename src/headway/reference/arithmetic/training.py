"""Trains the arithmetic model, a task that runs as a gang, and fits its verifier on samples of it.

    trained = await train.options(processes=1)(Recipe(steps=1600))
    weights = await add_verifier(trained.weights)

The training begins with what the Countdown model knows of numbers, which saves most of the steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import headway as hw
from headway.models.ask import sample
from headway.reference import training
from headway.reference.arithmetic.batches import batch
from headway.reference.arithmetic.questions import Mix, make_questions
from headway.reference.arithmetic.sampling import ArithmeticModel, ArithmeticNetwork
from headway.reference.network import Network, Shape
from headway.reference.training import Trained

JUDGED = Mix(short=1.5)
"""The questions that the verifier is fitted on: long ones come more often than in training."""

LENGTH = 256  # tokens of a question and its solution, at most


@dataclass(frozen=True)
class Recipe(training.Recipe):
    """All that a trained model depends on.

    Attributes:
        mix: of the questions that it is trained on.
        knows_numbers: whether it begins with the layers and numbers of the Countdown model that comes with Headway.
    """

    batch: int = 32
    every: int = 100
    pieces: int = 3
    value_weight: float = 0.0
    warmup: int = 20
    muon_rate: float = 2e-2
    rate: float = 2e-3
    shape: Shape = field(default_factory=lambda: Shape(length=LENGTH))
    mix: Mix = field(default_factory=Mix)
    knows_numbers: bool = True


@hw.task(pool="gang", processes=2)
def train(recipe: Recipe) -> Trained:
    """Train by a recipe; the checkpoints are the call's own."""
    return training.train_network(
        recipe,
        lambda: _network(recipe),
        lambda step: batch(recipe.seed, step, recipe.batch, recipe.mix),
        "arithmetic.safetensors",
    )


def _network(recipe: Recipe) -> Network:
    import torch

    from headway.reference.arithmetic.tokens import ASK, END, LANGUAGE, TIMES
    from headway.reference.countdown import tokens as countdown
    from headway.reference.countdown.sampling import CountdownModel
    from headway.reference.weights import read

    if recipe.begin:
        return read(Path(recipe.begin), LANGUAGE, ArithmeticNetwork)
    network = ArithmeticNetwork(recipe.shape, LANGUAGE)
    if recipe.knows_numbers:
        knows = read(CountdownModel.file, countdown.LANGUAGE)
        shared = TIMES + 1  # the numbers, +, - and * come first, and in this order, in both languages
        network.layers.load_state_dict(knows.layers.state_dict())
        network.norm.load_state_dict(knows.norm.state_dict())
        with torch.no_grad():
            network.embedding.weight[:shared] = knows.embedding.weight[:shared]
            network.embedding.weight[ASK] = knows.embedding.weight[countdown.ARROW]
            network.embedding.weight[END] = knows.embedding.weight[countdown.END]
    return network


@hw.task
async def add_verifier(weights: str, questions: int = 800, samples: int = 4) -> str:
    """Fit the verifier of a model that was trained, on samples of it.

    Args:
        weights: its file.
        questions: how many, of the split "verify".
        samples: of each question.

    Returns:
        Another file, of the model with its verifier.
    """
    written = await hw.gather(*(write_solutions(weights, number, questions, samples) for number in range(questions)))
    return await fit_verifier(weights, [text for texts in written for text in texts])


@hw.task
async def write_solutions(weights: str, number: int, questions: int, samples: int) -> list[str]:
    """A question with each of some samples."""
    prompt = make_questions("verify", 1, questions, JUDGED)[number].prompt
    reply = await sample(ArithmeticModel.load(weights), prompt, n=samples, seed=number, max_tokens=LENGTH)
    return [prompt + each.text for each in reply.samples]


@hw.task
def fit_verifier(weights: str, texts: list[str]) -> str:
    """Fit the head on texts."""
    from headway.reference.arithmetic.verifier import fit_head
    from headway.reference.weights import about, write

    model = ArithmeticModel.load(weights)
    loss = fit_head(model, texts)
    file = Path(hw.call().files) / "arithmetic.safetensors"
    recipe = {"recipe": about(Path(weights))["recipe"], "verifier": f"{len(texts)} texts, {loss:.4f} nats per line"}
    write(file, model.network, recipe)
    return str(file)
