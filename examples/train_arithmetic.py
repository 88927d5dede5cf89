"""Train the arithmetic model, with checkpoints, and fit its verifier: `make model-arithmetic`.

The model that ships with Headway was made by this program. Kill it at any moment and start it again: it goes on from its last
checkpoint, and ends with the loss curve that it would have had. What comes out is a file of weights with its recipe, a picture of
the curve, how many held-out questions it answers, and how well its verifier tells right answers from wrong ones.
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

import headway as hw
from headway import models
from headway.reference import weights
from headway.reference.arithmetic.judge import solves
from headway.reference.arithmetic.questions import LONG, MEASURED, make_questions
from headway.reference.arithmetic.sampling import ArithmeticModel
from headway.reference.arithmetic.training import LENGTH, Recipe, add_verifier, train
from headway.reference.measure import auroc, draw_losses, pass_at
from headway.reference.training import Trained

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = (1, 4, 16)
MIXES = {"measured": MEASURED, "long": LONG}


@dataclass(frozen=True)
class Skill:
    """How good a model is on a mix of questions: pass@k, the AUROC of its verifier on whole answers, tokens of an answer."""

    passed: dict[int, float]
    auroc: float
    tokens: float


@hw.task
async def make(recipe: Recipe, processes: int, questions: int) -> tuple[Trained, str, dict[str, Skill]]:
    """Train, fit the verifier, then measure."""
    trained = await train.options(processes=processes)(recipe)
    file = await add_verifier(trained.weights)
    return trained, file, {name: await measure(file, name, questions) for name in MIXES}


@hw.task
async def measure(file: str, mix: str, questions: int) -> Skill:
    """How good a file's model is on held-out questions of a mix."""
    tried = await hw.gather(*(attempt(file, mix, number, questions) for number in range(questions)))
    right = [[is_right for _, is_right, _ in each] for each in tried]
    values = [value for each in tried for value, _, _ in each]
    tokens = [count for each in tried for _, _, count in each]
    passed = {k: sum(pass_at(k, max(SAMPLES), sum(each)) for each in right) / questions for k in SAMPLES}
    return Skill(passed, auroc(values, [one for each in right for one in each]), sum(tokens) / len(tokens))


@hw.task
async def attempt(file: str, mix: str, number: int, questions: int) -> list[tuple[float, bool, int]]:
    """For each of 16 samples: what the verifier says of it, whether it is right, and its tokens. What breaks off is worth
    nothing."""
    prompt = make_questions("test", 1, questions, MIXES[mix])[number].prompt
    model = ArithmeticModel.load(file)
    reply = await models.sample(model, prompt, n=max(SAMPLES), seed=number, max_tokens=LENGTH)
    texts = [prompt + each.text for each in reply.samples]
    values = await look(file, texts)
    right = await hw.gather(*(judged(text) for text in texts))
    return [(value, is_right, each.tokens) for value, is_right, each in zip(values, right, reply.samples, strict=True)]


@hw.task
def look(file: str, texts: list[str]) -> list[float]:
    """The values of texts; those that don't have the form of a solution are worth nothing."""
    from headway.reference.arithmetic.expression import answer

    formed = [text for text in texts if answer(text) is not None]
    values = dict(zip(formed, ArithmeticModel.load(file).values(formed), strict=True))
    return [values.get(text, 0.0) for text in texts]


@hw.task
def judged(text: str) -> bool:
    return solves(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--questions", type=int, default=200, help="held-out questions to measure on (200)")
    parser.add_argument("--store", type=Path, default=ROOT / ".headway-model")
    parser.add_argument("--ship", action="store_true", help="put the weights into the package and the curve into docs")
    options = parser.parse_args()
    trained, file, skills = hw.run(
        make,
        Recipe(steps=options.steps),
        options.processes,
        options.questions,
        store=options.store,
        run_id=f"arithmetic-{options.steps}",
        progress=True,
    )
    console = Console()
    table = Table("questions", *(f"pass@{k}" for k in SAMPLES), "AUROC", "tokens", title=f"{options.questions} held-out questions")
    for name, skill in skills.items():
        table.add_row(name, *(f"{skill.passed[k]:.1%}" for k in SAMPLES), f"{skill.auroc:.3f}", f"{skill.tokens:.0f}")
    console.print(table)
    out = options.store / "arithmetic.safetensors"
    said = {name: {"passed": skill.passed, "auroc": round(skill.auroc, 4)} for name, skill in skills.items()}
    about = {name: value for name, value in weights.about(Path(file)).items() if name in ("recipe", "verifier")}
    about |= {"processes": str(trained.processes), "skill": json.dumps(said), "last loss": f"{trained.language[-1]:.4f}"}
    weights.write(out, ArithmeticModel.load(file).network, about)
    curve = options.store / "arithmetic-loss.svg"
    curve.write_text(draw_losses("Training the arithmetic model", trained))
    console.print(f"weights: {out}\ncurve:   {curve}", soft_wrap=True)
    if options.ship:
        ArithmeticModel.file.parent.mkdir(exist_ok=True)
        shutil.copyfile(out, ArithmeticModel.file)
        shutil.copyfile(curve, ROOT / "docs" / "pictures" / "arithmetic-loss.svg")
        console.print(f"shipped: {ArithmeticModel.file}", soft_wrap=True)


if __name__ == "__main__":
    main()
