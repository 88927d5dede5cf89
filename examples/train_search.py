"""Train the search model, which solves number puzzles alone or with helpers, with checkpoints: `make model-search`.

The model that ships with Headway was made by this program. Kill it at any moment and start it again: it goes on from its last
checkpoint, and ends with the loss curve that it would have had.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import msgspec
from rich.console import Console

import headway as hw
from headway.reference import weights
from headway.reference.countdown.searching.sampling import SearchModel
from headway.reference.countdown.searching.training import Recipe, train
from headway.reference.measure import draw_losses
from headway.reference.training import Trained

ROOT = Path(__file__).resolve().parents[1]


@hw.task
async def make(recipe: Recipe, processes: int) -> Trained:
    """Train."""
    return await train.options(processes=processes)(recipe)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--store", type=Path, default=ROOT / ".headway-model")
    parser.add_argument("--ship", action="store_true", help="put the weights into the package and the curve into docs")
    options = parser.parse_args()
    recipe = Recipe(steps=options.steps)
    trained = hw.run(make, recipe, options.processes, store=options.store, run_id=f"search-{options.steps}", progress=True)
    console = Console()
    out = options.store / "countdown-search.safetensors"
    shutil.copyfile(trained.weights, out)
    about = {"recipe": msgspec.json.encode(recipe).decode(), "processes": str(trained.processes)}
    weights.write(out, SearchModel.load(out).network, {**about, "last loss": f"{trained.language[-1]:.4f}"})
    curve = options.store / "countdown-search-loss.svg"
    curve.write_text(draw_losses("Training the search model", trained))
    console.print(f"weights: {out}\ncurve:   {curve}", soft_wrap=True)
    if options.ship:
        shutil.copyfile(out, SearchModel.file)
        shutil.copyfile(curve, ROOT / "docs" / "pictures" / "countdown-search-loss.svg")
        console.print(f"shipped: {SearchModel.file}", soft_wrap=True)


if __name__ == "__main__":
    main()
