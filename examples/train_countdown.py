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
from headway.reference import weights
from headway.reference.countdown.batches import make_held_out_puzzles
from headway.reference.countdown.judge import solves
from headway.reference.countdown.sampling import CountdownModel
from headway.reference.countdown.training import Recipe, train
from headway.reference.measure import draw_losses, pass_at
from headway.reference.training import Trained

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
    weights.write(out, CountdownModel.load(out).network, {**about, "last loss": f"{trained.language[-1]:.4f}"})
    curve = options.store / "countdown-loss.svg"
    curve.write_text(draw_losses("Training the Countdown model", trained))
    console.print(f"weights: {out}\ncurve:   {curve}", soft_wrap=True)
    if options.ship:
        shutil.copyfile(out, CountdownModel.file)
        shutil.copyfile(curve, ROOT / "docs" / "pictures" / "countdown-loss.svg")
        console.print(f"shipped: {CountdownModel.file}", soft_wrap=True)


if __name__ == "__main__":
    main()
