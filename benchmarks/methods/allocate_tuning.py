"""Agents that tune what is spent on each part of a task: which model, how many samples, which graph of agents.

Settings were chosen on seeds from 1000 on; the rows are measured on seeds from 0 on.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from itertools import product
from statistics import fmean

from benchmarks.methods.row import Pair, Row
from headway.methods.allocate.agents import Guided, Plan, Setup, SubTask, Tuning

# --- AgentTTS: a table of three sub-tasks ----------------------------------------------------------------------------

MODELS = {"3B": 3e9, "8B": 8e9, "70B": 70e9}
UNITS = 150.0
NEAR = 0.99  # of the optimum is as good as it
MOST_TRIALS = 100
TABLES = 4  # of a seed


class PlannedTable:
    """How well each plan does: sub-tasks prefer models, samples saturate, and a bad start spoils what follows."""

    def __init__(self, seed: object) -> None:
        self.draw(seed)
        self.optimum = max(map(self.score, self.plans()))

    def draw(self, seed: object) -> None:
        rng = random.Random(f"table {seed}")
        names = ("retrieve", "reason", "write")
        shapes = [(rng.choice((128, 256, 512)), rng.choice((32, 64, 128))) for _ in names]
        self.subtasks = [SubTask(name, MODELS, *shape) for name, shape in zip(names, shapes, strict=True)]
        self.guided = Guided(tuple(self.subtasks), UNITS)
        self.tops = {(name, model): rng.uniform(0.5, 0.98) for name in names for model in MODELS}
        self.half = {(name, model): 2 ** rng.uniform(0, 5) for name in names for model in MODELS}

    def score(self, plan: Plan) -> float:
        whole, before = 1.0, 1.0
        for subtask in self.subtasks:
            model, samples = plan[subtask.name]
            key = subtask.name, model
            before = self.tops[key] * (1 - math.exp(-samples * before / self.half[key]))
            whole *= before
        return whole

    def setups(self, subtask: SubTask) -> list[Setup]:
        return [Setup(model, 2**n) for model in MODELS for n in range(7)]

    def plans(self) -> Iterator[Plan]:
        """All plans within the budget."""
        for setups in product(*map(self.setups, self.subtasks)):
            plan = {subtask.name: setup for subtask, setup in zip(self.subtasks, setups, strict=True)}
            if self.guided.units(plan) <= UNITS:
                yield plan

    def trials(self, scores: Iterator[float]) -> int:
        """How many trials it took to the optimum, or nearly."""
        return next((n for n, score in enumerate(scores, 1) if score >= NEAR * self.optimum), MOST_TRIALS)


def trials_guided(table: PlannedTable, seed: object) -> int:
    """Trials of the rule by which `agent_tts` proposes plans, four at a time."""
    rng, tried = random.Random(f"guided {seed}"), list[Tuning]()
    while len(tried) < MOST_TRIALS and (plans := table.guided.propose(tried, rng, 4)):
        tried += [Tuning(plan, table.score(plan)) for plan in plans]
    return table.trials(each.score for each in tried)


def trials_random(table: PlannedTable, seed: object) -> int:
    """Trials of random plans within the budget, none of them twice."""
    plans = list(table.plans())
    random.Random(f"random {seed}").shuffle(plans)
    return table.trials(map(table.score, plans[:MOST_TRIALS]))


def trials_bayes(table: PlannedTable, seed: int) -> int:
    """Trials of Bayesian optimisation, Optuna's tree of Parzen estimators; what is over the budget is told so, and is no trial."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed, multivariate=True))

    def scores() -> Iterator[float]:
        made = 0
        while made < MOST_TRIALS:
            trial = study.ask()
            plan: Plan = {}
            for name in (subtask.name for subtask in table.subtasks):
                model = trial.suggest_categorical(f"{name} model", list(MODELS))
                plan[name] = Setup(model, 2 ** trial.suggest_int(f"{name} samples", 0, 6))
            fits = table.guided.units(plan) <= UNITS
            score = table.score(plan) if fits else 0.0
            study.tell(trial, score)
            if fits:
                made += 1
                yield score

    return table.trials(scores())


def tables_of(seed: int) -> list[tuple[PlannedTable, int]]:
    """The tables of a seed, each with a seed of its own."""
    return [(PlannedTable(f"{seed} {number}"), 100 * seed + number) for number in range(TABLES)]


def measure_tts_random(seed: int) -> Pair:
    """Mean trials to the optimum: guided, and at random."""
    tables = tables_of(seed)
    return Pair(fmean(trials_guided(table, of) for table, of in tables), fmean(trials_random(table, of) for table, of in tables))


def measure_tts_bayes(seed: int) -> Pair:
    """Mean trials to the optimum: guided, and by Bayesian optimisation."""
    tables = tables_of(seed)
    return Pair(fmean(trials_guided(table, of) for table, of in tables), fmean(trials_bayes(table, of) for table, of in tables))


TTS = "headway.methods.allocate.agents.agent_tts"
TTS_TEST = "tests/methods/allocate/test_agent_tts.py::test_it_comes_to_the_optimum_in_fewer_trials_than_random_plans"
TTS_CLAIM = "finds the best plan in fewer trials than Bayesian optimisation, random search and other agents"

ROWS = [
    Row(
        method="AgentTTS",
        function=TTS,
        item="allocate",
        claim=TTS_CLAIM,
        shows="fewer trials to within 1 % of the optimum than random search",
        baseline="random plans within the budget, none twice",
        unit="trials, at most 100",
        measure=measure_tts_random,
        reached=lambda low, high: high < 1,
        test=TTS_TEST,
    ),
    Row(
        method="AgentTTS",
        function=TTS,
        item="allocate",
        claim=TTS_CLAIM,
        shows="fewer trials to within 1 % of the optimum than Bayesian optimisation",
        baseline="Optuna's multivariate TPE; plans over the budget cost it nothing",
        unit="trials, at most 100",
        measure=measure_tts_bayes,
        reached=lambda low, high: high < 1,
        test=TTS_TEST,
    ),
]
