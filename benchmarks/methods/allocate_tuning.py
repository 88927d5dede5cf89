"""Agents that tune what is spent on each part of a task: which model, how many samples, which graph of agents.

Settings were chosen on seeds from 1000 on; the rows are measured on seeds from 0 on.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations, product
from statistics import fmean

from benchmarks.methods.row import Pair, Row
from headway.methods.allocate.agents import (
    AgentGraph,
    Guided,
    Logits,
    Plan,
    Reward,
    Seat,
    Setup,
    SubTask,
    Tuning,
    choose_graph,
    draw_within,
)

# --- AgentTTS: a table of three sub-tasks ----------------------------------------------------------------------------

MODELS = {"3B": 3e9, "8B": 8e9, "70B": 70e9}
UNITS = 150.0
NEAR = 0.99  # of the optimum is as good as it
MOST_TRIALS = 100
TABLES = 4  # of a seed


class PlannedTable:
    """How well each plan does: sub-tasks prefer models, samples saturate, and a bad start spoils what follows."""

    models, budget = MODELS, UNITS

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
        return [Setup(model, 2**n) for model in self.models for n in range(7)]

    def plans(self) -> Iterator[Plan]:
        """All plans within the budget."""
        for setups in product(*map(self.setups, self.subtasks)):
            plan = {subtask.name: setup for subtask, setup in zip(self.subtasks, setups, strict=True)}
            if self.guided.units(plan) <= self.budget:
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
                model = trial.suggest_categorical(f"{name} model", list(table.models))
                plan[name] = Setup(model, 2 ** trial.suggest_int(f"{name} samples", 0, 6))
            fits = table.guided.units(plan) <= table.budget
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


# --- Agent-REINFORCE: a planted graph --------------------------------------------------------------------------------

SEATS = {Seat(role, model): units for role in ("assistant", "fuser") for model, units in (("1B", 1.0), ("3B", 2.0), ("8B", 5.0))}
PLACES = 6
TEAM_UNITS = 18.0  # the paper's smallest budget
NOISE = 0.1  # of an evaluation
ROUNDS, WIDTH, RATE = 40, 16, 3.0


class PlantedTeam:
    """One graph is best. Others lose by what they get wrong, weighed at random, and by being too deep or too shallow."""

    def __init__(self, seed: object) -> None:
        rng = random.Random(f"team {seed}")
        self.rng = random.Random(f"noise {seed}")
        self.pairs = list(combinations(range(PLACES), 2))
        even = Logits.even(list(SEATS), PLACES)
        self.best = draw_within(even, SEATS, TEAM_UNITS, 1, rng)[0]
        self.edges = {pair: rng.expovariate(1.0) for pair in self.pairs}
        self.places = [rng.expovariate(1.0) for _ in range(PLACES)]

    def score(self, graph: AgentGraph) -> float:
        """How well a graph does, from 0 to 1; 1 is the planted one alone."""
        wrong = set(graph.edges) ^ set(self.best.edges)
        edges = sum(self.edges[pair] for pair in wrong) / sum(self.edges.values())
        seats = sum(
            weight * ((mine.role != right.role) + (mine.model != right.model)) / 2
            for weight, mine, right in zip(self.places, graph.seats, self.best.seats, strict=True)
        )
        depth = abs(_depth(graph) - _depth(self.best)) / PLACES
        return 1.0 - 0.4 * edges - 0.4 * seats / sum(self.places) - 0.2 * depth

    def see(self, graph: AgentGraph) -> float:
        """What an evaluation says of it."""
        return self.score(graph) + self.rng.gauss(0, NOISE)


def _depth(graph: AgentGraph) -> int:
    depths = [1] * len(graph.seats)
    for before, after in graph.edges:  # in the order of the first place
        depths[after] = max(depths[after], depths[before] + 1)
    return max(depths)


def learn_team(team: PlantedTeam, seed: object) -> float:
    """The true score of the graph that is likeliest after REINFORCE."""
    rng, logits, tried = random.Random(f"draws {seed}"), Logits.even(list(SEATS), PLACES), list[Reward]()
    for _ in range(ROUNDS):
        graphs = draw_within(logits, SEATS, TEAM_UNITS, WIDTH, rng)
        rewards = [Reward(graph, team.see(graph)) for graph in graphs]
        tried, logits = tried + rewards, logits.update(rewards, RATE)
    best = choose_graph(logits, tried, SEATS, TEAM_UNITS)
    assert best is not None
    return team.score(best)


def random_team(team: PlantedTeam, seed: object) -> float:
    """The true score of the graph that did best among as many random ones."""
    rng = random.Random(f"random {seed}")
    graphs = draw_within(Logits.even(list(SEATS), PLACES), SEATS, TEAM_UNITS, ROUNDS * WIDTH, rng)
    return team.score(max(graphs, key=team.see))


def fixed_team(team: PlantedTeam) -> float:
    """The best true score of the usual shapes, each with every seat for the workers and every seat for the last."""
    shapes = {
        "alone": (),
        "chain": tuple((n, n + 1) for n in range(PLACES - 1)),
        "star": tuple((n, PLACES - 1) for n in range(PLACES - 1)),
        "tree": ((0, 4), (1, 4), (2, 5), (3, 5), (4, 5)),
        "layers": tuple((a, b) for a in range(PLACES // 2) for b in range(PLACES // 2, PLACES)),
        "full": tuple(combinations(range(PLACES), 2)),
    }
    graphs = (
        AgentGraph((worker,) * (PLACES - 1) + (last,), edges) for edges in shapes.values() for worker in SEATS for last in SEATS
    )
    return max(team.score(graph) for graph in graphs if sum(SEATS[seat] for seat in graph.seats) <= TEAM_UNITS)


def climbed_team(team: PlantedTeam, seed: object) -> float:
    """The true score after as many evaluations of hill climbing: change one edge or one seat, and keep it where the mean of two
    evaluations says that it is better (the best of 1, 2, 4 and 8 on the seeds from 1000 on)."""
    rng, left = random.Random(f"climb {seed}"), ROUNDS * WIDTH
    graph = draw_within(Logits.even(list(SEATS), PLACES), SEATS, TEAM_UNITS, 1, rng)[0]
    while left >= 4:
        if rng.random() < 0.5:
            changed = AgentGraph(graph.seats, tuple(sorted({*graph.edges} ^ {rng.choice(team.pairs)})))
        else:
            place = rng.randrange(PLACES)
            changed = AgentGraph((*graph.seats[:place], rng.choice(list(SEATS)), *graph.seats[place + 1 :]), graph.edges)
        if changed == graph or sum(SEATS[seat] for seat in changed.seats) > TEAM_UNITS:
            continue
        left -= 4
        if sum(team.see(changed) for _ in range(2)) > sum(team.see(graph) for _ in range(2)):
            graph = changed
    return team.score(graph)


def teams_of(seed: int) -> list[tuple[PlantedTeam, int]]:
    """The planted graphs of a seed, each with a seed of its own."""
    return [(PlantedTeam(f"{seed} {number}"), 100 * seed + number) for number in range(TABLES)]


def compare_teams(seed: int, other: Callable[[PlantedTeam, int], float]) -> Pair:
    """Mean true scores: of REINFORCE, and of another way."""
    teams = teams_of(seed)
    return Pair(fmean(learn_team(team, of) for team, of in teams), fmean(other(team, of) for team, of in teams))


TTS = "headway.methods.allocate.agents.agent_tts.agent_tts"
TTS_TEST = "tests/methods/allocate/agents/test_agent_tts.py::test_it_comes_to_the_optimum_in_fewer_trials_than_random_plans"
TTS_CLAIM = "finds the best plan in fewer trials than Bayesian optimisation, random search and other agents"

REINFORCE = "headway.methods.allocate.agents.agent_reinforce.agent_reinforce"
REINFORCE_TEST = (
    "tests/methods/allocate/agents/test_agent_reinforce.py::test_it_learns_a_better_graph_than_random_ones_and_the_usual_shapes"
)
REINFORCE_CLAIM = "better graphs than fixed topologies and other searches, at budgets of 18, 42 and 80"


def reinforce_row(shows: str, baseline: str, other: Callable[[PlantedTeam, int], float]) -> Row:
    """A row that compares REINFORCE with another way, at as many evaluations."""
    return Row(
        method="Agent-REINFORCE",
        function=REINFORCE,
        item="allocate",
        claim=REINFORCE_CLAIM,
        shows=shows,
        baseline=baseline,
        unit="true score of the graph, 1 is the optimum",
        measure=partial(compare_teams, other=other),
        compare="difference",
        reached=lambda low, high: low > 0,
        test=REINFORCE_TEST,
    )


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
    reinforce_row("a better graph than the best random one", "the best of 640 random graphs, by what was seen", random_team),
    reinforce_row(
        "a better graph than the best fixed topology",
        "chain, star, tree, layers, full or alone with every pair of seats, chosen in hindsight",
        lambda team, seed: fixed_team(team),
    ),
    reinforce_row("a better graph than hill climbing", "hill climbing, 640 evaluations", climbed_team),
]
