"""Train the Countdown model from nothing, on two processes, with checkpoints: `make model`.

The model that ships with Headway was made by this program. Kill it at any moment and start it again: it goes on from its last
checkpoint, and ends with the loss curve that it would have had. What comes out is a file of weights with its recipe, a picture of
the curve, and how many held-out puzzles it solves, as reasoning-gym's scorer decides.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

import headway as hw
from headway import models
from headway.observe.pictures.chart import Point, Series, chart
from headway.reference.countdown import weights
from headway.reference.countdown.batches import make_held_out_puzzles
from headway.reference.countdown.judge import solves
from headway.reference.countdown.sampling import CountdownModel
from headway.reference.countdown.training import Recipe, Trained, train

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = (1, 4, 16, 64)


@hw.task
async def make(recipe: Recipe, processes: int, puzzles: int) -> tuple[Trained, dict[int, float]]:
    """Train, then measure."""
    trained = await train.options(processes=processes)(recipe)
    return trained, await measure(trained.weights, puzzles)


@hw.task
async def measure(file: str, puzzles: int) -> dict[int, float]:
    """pass@k of a file's model on held-out puzzles."""
    right = await hw.gather(*(rights(file, number, puzzles) for number in range(puzzles)))
    return {k: sum(pass_at(k, max(SAMPLES), each) for each in right) / puzzles for k in SAMPLES}


@hw.task
async def rights(file: str, number: int, puzzles: int) -> int:
    """How many of 64 samples solve a puzzle."""
    puzzle = make_held_out_puzzles(seed=0, count=puzzles)[number]
    model = CountdownModel.load(file)
    reply = await models.sample(model, puzzle.prompt, n=max(SAMPLES), seed=number, max_tokens=16)
    return sum(await hw.gather(*(judged(puzzle.prompt + sample.text) for sample in reply.samples)))


@hw.task
def judged(text: str) -> bool:
    return solves(text)


def pass_at(k: int, n: int, right: int) -> float:
    """The chance that k of n samples, of which so many are right, hold a right one (unbiased; Chen et al., arXiv 2107.03374).

    >>> pass_at(1, 64, 16), pass_at(64, 64, 1)
    (0.25, 1.0)
    """
    wrong = 1.0
    for i in range(k):
        wrong *= max(0, n - right - i) / (n - i)
    return 1.0 - wrong


def picture(trained: Trained) -> str:
    """The loss curve as SVG: means of as many steps as make 200 points."""
    every = max(1, len(trained.language) // 200)

    def means(losses: list[float]) -> list[Point]:
        parts = [losses[at : at + every] for at in range(0, len(losses), every)]
        return [Point(at * every, sum(part) / len(part)) for at, part in enumerate(parts)]

    return chart(
        "Training the Countdown model",
        [Series("nats per token", means(trained.language), dots=False), Series("nats per state", means(trained.value), dots=False)],
        x="step",
        y="loss",
        sub=f"{trained.processes} processes, means of {every} steps",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--puzzles", type=int, default=200, help="held-out puzzles to measure on (200)")
    parser.add_argument("--store", type=Path, default=ROOT / ".headway-model")
    parser.add_argument("--ship", action="store_true", help="put the weights into the package and the curve into docs")
    options = parser.parse_args()
    recipe = Recipe(steps=options.steps)
    trained, passed = hw.run(
        make, recipe, options.processes, options.puzzles, store=options.store, run_id=f"countdown-{options.steps}", progress=True
    )
    console = Console()
    table = Table("samples", "solved", title=f"{options.puzzles} held-out puzzles")
    for k, share in passed.items():
        table.add_row(str(k), f"{share:.1%}")
    console.print(table)
    out = options.store / "countdown.safetensors"
    shutil.copyfile(trained.weights, out)
    about = {"recipe": msgspec.json.encode(recipe).decode(), "processes": str(trained.processes), "passed": json.dumps(passed)}
    network = weights.read(out)
    weights.write(out, network, {**about, "last loss": f"{trained.language[-1]:.4f}"})
    curve = options.store / "countdown-loss.svg"
    curve.write_text(picture(trained))
    console.print(f"weights: {out}\ncurve:   {curve}", soft_wrap=True)
    if options.ship:
        shutil.copyfile(out, weights.SHIPPED)
        shutil.copyfile(curve, ROOT / "docs" / "pictures" / "countdown-loss.svg")
        console.print(f"shipped: {weights.SHIPPED}", soft_wrap=True)


if __name__ == "__main__":
    main()
