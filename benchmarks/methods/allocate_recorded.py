"""Agents that choose how to spend, on what the reference models did: the table of outcomes that `headway bench allocate` plays on.

Rates are those of the first half of a question's outcomes where a method plans by them, and what happens is drawn from the second.
Agent-REINFORCE has no row here: no reference model reads what another has answered, so no edge of a graph could matter. Settings
were chosen on seeds from 1000 on; the rows are measured on seeds from 0 on.
"""

from __future__ import annotations

import random
from functools import lru_cache, partial
from itertools import pairwise
from statistics import fmean

from benchmarks.methods.allocate_steps import answer_in_batches, answer_one_by_one, drqa_row, scale_row
from benchmarks.methods.allocate_tuning import PlannedTable, trials_bayes, trials_guided, trials_random
from benchmarks.methods.row import Held, Pair, Row
from headway.bench.allocate.workload import OUTCOMES, name_step
from headway.methods.allocate import Recorded
from headway.methods.allocate import Row as Outcome
from headway.methods.allocate.agents import Guided, Plan, SubTask, is_slow

_load = lru_cache(lambda: Recorded.load(OUTCOMES))


def places_of(model: str) -> list[int]:
    """The numbers of a model's questions that some way gets right in a fifth of its samples."""
    table, ways = _load(), ("sharp", "answer", "search")
    steps = [step for step in dict.fromkeys(step for step, _ in table.rows) if step.startswith(f"{model} ")]
    known = [step for step in steps if any(rate_of(table.of_step(step, way)) >= 0.2 for way in ways)]
    return [int(step.rpartition(" ")[2]) for step in known]


def rate_of(rows: tuple[Outcome, ...]) -> float:
    """The share of outcomes that are right."""
    return sum(row.ok for row in rows) / len(rows)


def halves_of(model: str, place: int, way: str) -> tuple[tuple[Outcome, ...], tuple[Outcome, ...]]:
    """What is known of a question, and what happens."""
    rows = _load().of_step(name_step(model, place), way)
    return rows[: len(rows) // 2], rows[len(rows) // 2 :]


# --- SCALE: chains of puzzles, each answered at once or searched -----------------------------------------------------

STEPS, CHAINS = 3, 1500  # puzzles of a chain, chains of a seed
TAU = 0.2  # the paper's


def solve_chains(seed: int, threshold: float | None, share: float = 0.0) -> tuple[float, float]:
    """The share of chains of which every puzzle is right, and the share of puzzles that were searched: those that are harder than a
    threshold and the last, or a share of them by lot."""
    rng, lot, places = random.Random(f"chains {seed}"), random.Random(f"lot {seed}"), places_of("countdown")
    right, slow = [], []
    for _ in range(CHAINS):
        ok = []
        for step in range(STEPS):
            place, luck = rng.choice(places), rng.random()
            seen, _ = halves_of("countdown", place, "answer")
            searched = lot.random() < share
            if threshold is not None:
                searched = is_slow(1 - rate_of(seen), threshold, is_last=step == STEPS - 1)
            rows = halves_of("countdown", place, "search" if searched else "answer")[1]
            ok.append(rows[int(luck * len(rows))].ok)
            slow.append(searched)
        right.append(all(ok))
    return fmean(right), fmean(slow)


def measure_scale_collapse(seed: int) -> Pair:
    """The smallest loss of accuracy from one threshold to the next."""
    right = [solve_chains(seed, threshold)[0] for threshold in (TAU, 0.4, 0.7, 1.0)]
    return Pair(min(before - after for before, after in pairwise(right)), 0.0)


def measure_scale_mixed(seed: int) -> Pair:
    """Accuracy: by difficulty, and where as many puzzles are searched, drawn by lot."""
    ours, share = solve_chains(seed, TAU)
    return Pair(ours, solve_chains(seed, None, share)[0])


# --- DRQA: the lengths of real answers under one quota ---------------------------------------------------------------

SETS, ASKED = 60, 24
QUOTA = 1.0  # of what all answers take on average


def measure_drqa(seed: int) -> Pair:
    """Questions of arithmetic that are answered of a set, on average: in batches, and one by one with what the others left."""
    rng, places = random.Random(f"lengths {seed}"), places_of("arithmetic")
    answers = [row.cost["tokens"] for place in places for row in halves_of("arithmetic", place, "answer")[1]]
    quota = QUOTA * ASKED * fmean(answers)
    sets = [[rng.choice(answers) for _ in range(ASKED)] for _ in range(SETS)]
    ours = fmean(answer_in_batches(lengths, quota, 0.0) for lengths in sets)
    return Pair(ours, fmean(answer_one_by_one(lengths, quota, 0.0, carry=True) for lengths in sets))


# --- AgentTTS: three sub-tasks of questions, each with a way and a number of samples ---------------------------------

WAYS = {"sharp": 3e9, "answer": 3e9, "search": 18e9}  # parameters of a model that would cost as much as its tokens do
PART = 4  # questions of a sub-task
TABLES = 4  # of a seed


class RecordedTable(PlannedTable):
    """How likely each plan has all sub-tasks right: with so many samples of a way, one of which must be."""

    models, budget = WAYS, 150.0

    def draw(self, seed: object) -> None:
        rng = random.Random(f"recorded {seed}")
        parts = {f"{model} {n}": model for n, model in enumerate(("countdown", "countdown", "arithmetic"))}
        self.subtasks = [SubTask(name, WAYS) for name in parts]
        self.guided = Guided(tuple(self.subtasks), self.budget)
        self.rates = {
            (name, way): [rate_of(_load().of_step(name_step(model, place), way)) for place in drawn]
            for name, model in parts.items()
            for drawn in [rng.sample(places_of(model), PART)]
            for way in WAYS
        }

    def score(self, plan: Plan) -> float:
        whole = 1.0
        for name, (way, samples) in plan.items():
            whole *= fmean(1 - (1 - rate) ** samples for rate in self.rates[name, way])
        return whole


def compare_trials(seed: int, *, bayes: bool, tables: int = TABLES) -> Pair:
    """Mean trials to the optimum: guided, and by Bayesian optimisation or at random."""
    drawn = [(RecordedTable(f"{seed} {number}"), 100 * seed + number) for number in range(tables)]
    trials = trials_bayes if bayes else trials_random
    return Pair(fmean(trials_guided(table, of) for table, of in drawn), fmean(trials(table, of) for table, of in drawn))


measure_tts_bayes, measure_tts_random = partial(compare_trials, bayes=True), partial(compare_trials, bayes=False)

_TEST = "tests/methods/allocate/agents/test_on_recorded_outcomes.py::"
tts_row = partial(
    Row,
    method="AgentTTS",
    function="headway.methods.allocate.agents.agent_tts.agent_tts",
    item="allocate",
    claim="fewer trials than random and Bayesian search",
    unit="mean trials to the optimum",
    reached=lambda low, high: high < 1,
    test=f"{_TEST}test_agent_tts_comes_to_the_optimum_of_the_recorded_ways_sooner_than_others",
)

ROWS = [
    scale_row(
        shows="on recorded puzzles, accuracy collapses as the threshold rises",
        baseline="no loss",
        unit="smallest loss of accuracy between thresholds of 0.2, 0.4, 0.7 and 1",
        measure=measure_scale_collapse,
        compare="difference",
        reached=lambda low, high: low > 0,
        test=f"{_TEST}test_searching_where_it_is_hard_solves_more_chains_than_searching_anywhere",
    ),
    scale_row(
        shows="on recorded puzzles, searching where it is hard beats searching anywhere",
        baseline="as many puzzles searched, drawn by lot",
        unit="chains right",
        measure=measure_scale_mixed,
        compare="difference",
        reached=lambda low, high: low > 0,
        test=f"{_TEST}test_searching_where_it_is_hard_solves_more_chains_than_searching_anywhere",
    ),
    drqa_row(
        shows="with the lengths of real answers, asking again with what is left over answers more",
        baseline="one by one, each with its share of what is left",
        measure=measure_drqa,
        test=f"{_TEST}test_a_shared_quota_answers_more_questions_of_arithmetic_than_one_by_one",
    ),
    tts_row(
        shows="on recorded outcomes, in fewer trials than Bayesian optimisation",
        baseline="Bayesian optimisation (Optuna)",
        measure=measure_tts_bayes,
    ),
    tts_row(
        shows="on recorded outcomes, in fewer trials than at random",
        baseline="random plans within the budget",
        measure=measure_tts_random,
    ),
    Held(
        item="allocate",
        promise="Killed at any record under a tight quota, DRQA answers the same, or goes on within what the crash has left it.",
        tests=tuple(
            f"tests/methods/allocate/agents/test_drqa.py::{test}"
            for test in (
                "test_one_that_dies_anywhere_under_a_tight_quota_ends_the_same",
                "test_what_a_crash_costs_is_missing_to_its_own_batch_alone",
            )
        ),
    ),
]
