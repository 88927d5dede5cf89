"""Records what the Countdown model makes of puzzles in several ways: the table that `headway bench allocate` runs on.

    headway bench allocate --record outcomes.json

A step of a workflow is a puzzle that the model was not trained on, a choice is a way to solve it, and a sample succeeds when
reasoning-gym's scorer says so. Tokens are those read and written. Seconds are not this machine's: they are the tokens that had to
be written one after another, at a stated speed, so that the table means the same wherever it is recorded.
"""

from __future__ import annotations

from dataclasses import dataclass

import headway as hw
from headway.bench.search.solver import Solver, judge
from headway.bench.search.workloads import ANSWER_TOKENS
from headway.methods import search
from headway.methods.allocate.recorded import Recorded
from headway.methods.records import Observation
from headway.models.ask import sample
from headway.reference.countdown.batches import make_held_out_puzzles
from headway.reference.countdown.sampling import CountdownModel

SEED = 5  # of the puzzles
SIZE = PUZZLES, SAMPLES = 60, 96
RUN_ID = f"outcomes-{PUZZLES}-{SAMPLES}"
TOKEN_S = 0.01  # a token written after another
TEMPERATURES = {"sharp": 0.3, "answer": 1.0}
SEARCHES = {"search": 3}  # REBASE, with so many states
STEP_S = 0.02  # a step of a search more: its states are read and weighed before the next ones are written


@dataclass(frozen=True)
class Tried:
    """One sample of a puzzle."""

    ok: bool
    tokens: float
    seconds: float


@hw.task
async def record_outcomes(puzzles: int, samples: int) -> list[Observation]:
    """Every way on every puzzle, so many times."""
    ways = [*TEMPERATURES, *SEARCHES]
    made = hw.map(try_puzzle, [(place, puzzles, way, samples) for place in range(puzzles) for way in ways], window=8)
    found: list[Observation] = []
    async for way, place, tries in made:
        found += [Observation(f"p{place}", way, each.ok, {"tokens": each.tokens}, round(each.seconds, 4)) for each in tries]
        hw.progress(len(found), puzzles * len(ways) * samples)
    return found


@hw.task(label=lambda asked: f"puzzle {asked[0]}, {asked[2]}")
async def try_puzzle(asked: tuple[int, int, str, int]) -> tuple[str, int, list[Tried]]:
    """One way on one puzzle, so many times."""
    place, puzzles, way, samples = asked
    prompt = make_held_out_puzzles(SEED, puzzles)[place].prompt
    if way in TEMPERATURES:
        return way, place, await _answer(prompt, TEMPERATURES[way], samples)
    return way, place, await hw.gather(*(_search(prompt, SEARCHES[way], number) for number in range(samples)))


async def _answer(prompt: str, temperature: float, samples: int) -> list[Tried]:
    model = CountdownModel.shipped()
    reply = await sample(model, prompt, n=samples, max_tokens=ANSWER_TOKENS, temperature=temperature, seed=0)
    right = await hw.gather(*(judge(prompt + said.text) for said in reply.samples))
    read = model.count(prompt)
    return [Tried(ok, read + said.tokens, said.tokens * TOKEN_S) for ok, said in zip(right, reply.samples, strict=True)]


async def _search(prompt: str, states: int, number: int) -> Tried:
    solver = Solver(CountdownModel.shipped(), seed=number)
    with hw.budget(tokens=1e9) as book:
        found = await search.rebase(prompt, solver.step, solver.value, n=states, depth=3)
    ok = found.best is not None and await judge(prompt + found.best.value)
    written = max((candidate.tokens for candidate in found.candidates), default=0)
    return Tried(ok, book.spent["tokens"], written * TOKEN_S + 3 * STEP_S)


def make_table(seen: list[Observation]) -> Recorded:
    """The table of what was recorded, with where it is from."""
    said = f"the Countdown model {CountdownModel.shipped().name} on held-out puzzles of seed {SEED}; ways: " + ", ".join(
        [*(f"{way}: one answer at temperature {t:g}" for way, t in TEMPERATURES.items())]
        + [f"{way}: REBASE with {n} states" for way, n in SEARCHES.items()]
    )
    return Recorded.of(seen, f"{said}; {TOKEN_S:g} s a token written after another; made by headway bench allocate --record")
