"""Train the planner from nothing, in a process of its own, with checkpoints: `make planner`.

The planner that ships with Headway, and the noisy one, were made by this program. Kill it at any moment and start it again: it goes
on from its last checkpoint, and ends with the loss curve that it would have had. What comes out is two files of weights with their
recipe, a picture of the curve, and how many plans for questions that training never saw are exactly right.
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

import headway as hw
from headway.reference import weights
from headway.reference.measure import draw_losses
from headway.reference.planner.measure import are_exact, write_plans
from headway.reference.planner.questions import LONGER, Mix, Split, make_questions
from headway.reference.planner.sampling import PlannerModel
from headway.reference.planner.training import Recipe, train
from headway.reference.training import Trained, early_weights

ROOT = Path(__file__).resolve().parents[1]
NOISY = 0.65
"""The share of exact plans that is wanted of the noisy planner."""
MEASURED = {
    "new questions": Mix(),
    "new wordings of new questions": Mix(kept=True),
    "longer lists than in training": LONGER,
}


@dataclass(frozen=True)
class Made:
    """A trained planner.

    Attributes:
        trained: the weights, and the losses of training.
        noisy: early weights.
        exact: the share of exact plans, by the kind of questions, of the planner and of the noisy one.
    """

    trained: Trained
    noisy: str
    exact: dict[str, tuple[float, float]]


@hw.task
async def make(recipe: Recipe, processes: int, questions: int) -> Made:
    """Train, choose the early weights that become the noisy planner, and measure both."""
    trained = await train.options(processes=processes)(recipe)
    early = [str(early_weights(Path(trained.weights), step)) for step in recipe.early if step <= recipe.steps]
    shares = await hw.gather(*(measure(file, "choose", Mix(), questions) for file in early))
    noisy = min(zip(early, shares, strict=True), key=lambda each: abs(each[1] - NOISY))[0]
    exact = {}
    for what, mix in MEASURED.items():
        good, bad = await hw.gather(*(measure(file, "test", mix, questions) for file in (trained.weights, noisy)))
        exact[what] = (good, bad)
    return Made(trained, noisy, exact)


@hw.task
def measure(file: str, split: Split, mix: Mix, count: int) -> float:
    """The share of questions whose likeliest plan is exactly right."""
    questions = make_questions(split, 0, count, mix)
    plans = write_plans(PlannerModel.load(file), questions)
    return sum(are_exact(plans, questions)) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--steps", type=int, default=Recipe().steps)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--questions", type=int, default=200, help="questions of each kind to measure on (200)")
    parser.add_argument("--store", type=Path, default=ROOT / ".headway-model")
    parser.add_argument("--ship", action="store_true", help="put the weights into the package and the curve into docs")
    options = parser.parse_args()
    recipe = Recipe(steps=options.steps)
    if options.steps < recipe.early[0]:
        parser.error(
            f"--steps {options.steps}: the noisy planner is chosen among early weights, the first after step {recipe.early[0]}"
        )
    made = hw.run(
        make, recipe, options.processes, options.questions, store=options.store, run_id=f"planner-{options.steps}", progress=True
    )
    console = Console()
    table = Table("questions", "planner", "noisy planner", title=f"exact plans, of {options.questions}")
    for what, (good, bad) in made.exact.items():
        table.add_row(what, f"{good:.1%}", f"{bad:.1%}")
    console.print(table)
    about = {"recipe": msgspec.json.encode(recipe).decode(), "exact": json.dumps(made.exact)}
    out = {
        PlannerModel.file: write(made.trained.weights, options.store / "planner.safetensors", about),
        PlannerModel.noisy: write(
            made.noisy, options.store / "planner-noisy.safetensors", {**about, "early": Path(made.noisy).stem}
        ),
    }
    curve = options.store / "planner-loss.svg"
    curve.write_text(draw_losses("Training the planner", made.trained))
    for file in (*out.values(), curve):
        console.print(str(file), soft_wrap=True)
    if options.ship:
        for shipped, file in out.items():
            shutil.copyfile(file, shipped)
            console.print(f"shipped: {shipped}", soft_wrap=True)
        shutil.copyfile(curve, ROOT / "docs" / "pictures" / "planner-loss.svg")


def write(trained: str, file: Path, about: dict[str, str]) -> Path:
    """Write the weights again, with what is known of them now."""
    weights.write(file, PlannerModel.load(trained).network, about)
    return file


if __name__ == "__main__":
    main()
