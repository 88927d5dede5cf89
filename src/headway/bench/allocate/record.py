"""Records what the reference models make of their questions in several ways: the table that `headway bench allocate` runs on.

    headway bench allocate --record outcomes.json

A step of a workflow is a question that its model was not trained on, a choice is a way to answer it, and a sample succeeds when
reasoning-gym's scorer says so. Tokens are those read and written. Seconds are not this machine's: they are the tokens that had to
be written one after another, at a stated speed, so that the table means the same wherever it is recorded.
"""

from __future__ import annotations

from dataclasses import dataclass

import headway as hw
from headway.bench.allocate.workload import name_step
from headway.bench.search.solver import Solver, judge
from headway.bench.search.workloads import WORKLOADS, Workload
from headway.methods import search
from headway.methods.allocate.recorded import Recorded
from headway.methods.records import Observation
from headway.models.ask import sample
from headway.reference.arithmetic.questions import MEASURED, make_questions
from headway.reference.countdown.batches import make_held_out_puzzles

SEED = 5  # of the questions
SAMPLES = 96
QUESTIONS = {"countdown": 60, "arithmetic": 36}  # a search of one of arithmetic takes ten times as long
RUN_ID = "-".join(["outcomes", *map(str, QUESTIONS.values()), str(SAMPLES)])
TOKEN_S = 0.01  # a token written after another
TEMPERATURES = {"sharp": 0.3, "answer": 1.0}
SEARCHES = {"search": 3}  # REBASE, with so many states
STEP_S = 0.02  # a step of a search more: its states are read and weighed before the next ones are written


@dataclass(frozen=True)
class Asked:
    """A question, by its model and its place among so many, and how it is answered how often."""

    model: str
    place: int
    questions: int
    way: str
    samples: int


@dataclass(frozen=True)
class Tried:
    """One sample of a question."""

    ok: bool
    tokens: float
    seconds: float


@hw.task
async def record_outcomes(questions: dict[str, int], samples: int) -> list[Observation]:
    """Every way on so many questions of each model, so many times."""
    asked = [
        Asked(model, place, count, way, samples)
        for model, count in questions.items()
        for place in range(count)
        for way in (*TEMPERATURES, *SEARCHES)
    ]
    found: list[Observation] = []
    async for this, tries in hw.map(try_question, asked, window=8):
        step = name_step(this.model, this.place)
        found += [Observation(step, this.way, each.ok, {"tokens": each.tokens}, round(each.seconds, 4)) for each in tries]
        hw.progress(len(found), len(asked) * samples)
    return found


@hw.task(label=lambda asked: f"{asked.model} {asked.place}, {asked.way}")
async def try_question(asked: Asked) -> tuple[Asked, list[Tried]]:
    """One way on one question, so many times."""
    of = WORKLOADS[asked.model]
    prompt = prompts_of(asked.model, asked.questions)[asked.place]
    if asked.way in TEMPERATURES:
        return asked, await _answer(of, prompt, TEMPERATURES[asked.way], asked.samples)
    return asked, await hw.gather(*(_search(of, prompt, SEARCHES[asked.way], number) for number in range(asked.samples)))


def prompts_of(model: str, count: int) -> list[str]:
    """So many questions that a model was not trained on."""
    if model == "countdown":
        return [puzzle.prompt for puzzle in make_held_out_puzzles(SEED, count)]
    return [question.prompt for question in make_questions("test", SEED, count, MEASURED)]


async def _answer(of: Workload, prompt: str, temperature: float, samples: int) -> list[Tried]:
    model, most = of.model.shipped(), of.sizes(prompt).written
    reply = await sample(model, prompt, n=samples, max_tokens=most, temperature=temperature, seed=0)
    right = await hw.gather(*(judge(prompt + said.text, of.name) for said in reply.samples))
    read = model.count(prompt)
    return [Tried(ok, read + said.tokens, said.tokens * TOKEN_S) for ok, said in zip(right, reply.samples, strict=True)]


async def _search(of: Workload, prompt: str, states: int, number: int) -> Tried:
    solver, depth = Solver(of.model.shipped(), seed=number), of.sizes(prompt).steps
    with hw.budget(tokens=1e9) as book:
        found = await search.rebase(prompt, solver.step, solver.value, n=states, depth=depth)
    ok = found.best is not None and await judge(prompt + found.best.value, of.name)
    written = max((candidate.tokens for candidate in found.candidates), default=0)
    return Tried(ok, book.spent["tokens"], written * TOKEN_S + depth * STEP_S)


def make_table(seen: list[Observation]) -> Recorded:
    """The table of what was recorded, with where it is from."""
    models = " and ".join(f"the {WORKLOADS[model].title} model {WORKLOADS[model].model.shipped().name}" for model in QUESTIONS)
    said = f"{models} on held-out questions of seed {SEED}; ways: " + ", ".join(
        [*(f"{way}: one answer at temperature {t:g}" for way, t in TEMPERATURES.items())]
        + [f"{way}: REBASE with {n} states" for way, n in SEARCHES.items()]
    )
    return Recorded.of(seen, f"{said}; {TOKEN_S:g} s a token written after another; made by headway bench allocate --record")
