"""What policies are compared on: workflows whose steps are questions, and recorded outcomes of real ways to answer them.

The shapes are WfCommons'. Each step is given a question of one model, drawn by a seed among those that some way gets right in a
fifth of its samples. Of each question's recorded outcomes, policies estimate from the first half, and the second half is what
happens.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from random import Random

from headway.errors import UsageError
from headway.methods.allocate import Mcpp, OneShot, Played, Recorded, Row, simulate, until_done
from headway.methods.allocate.base import COUNTS, PRICES, base_policies
from headway.methods.allocate.simulate import most_of
from headway.methods.graph import Graph, Node, after
from headway.methods.protocols import Policy

HERE = Path(__file__).parent
OUTCOMES = HERE / "outcomes.json"
UNIT = "tokens"
SOLVABLE = 0.2  # of the samples, by the best way
GRAPHS = ("srasearch", "epigenomics", "genome", "montage")
BUDGETS = (1.2, 1.6, 2.4)  # multiples of the least that the steps cost on average
DEADLINES = (1.35, 1.7, 2.5)  # multiples of the least that the longest path takes on average


@dataclass(frozen=True, eq=False)
class Workload:
    """A workflow with questions: what is estimated, what happens, and the least cost and time on average."""

    graph: Graph[int]
    estimated: Recorded
    true: Recorded
    choices: tuple[str, ...]
    least: float
    least_s: float

    def play(self, policy: Policy, budget: float, deadline: float, episode: int, *, cancel: bool = True) -> Played:
        """Play it under a policy, with so many times the least."""
        return simulate(
            self.graph,
            self.true,
            policy,
            left=budget * self.least,
            left_s=deadline * self.least_s,
            unit=UNIT,
            choices=self.choices,
            seed=episode,
            reserve=self.reserve,
            cancel=cancel,
        )

    @cached_property
    def reserve(self) -> dict[str, float]:
        """What a sample of each choice reserves."""
        return most_of(self.true, UNIT)

    @cached_property
    def base(self) -> dict[str, Policy]:
        """The base policies by names that are the same for all workloads: a price of a second is a multiple."""
        policies = base_policies(self.graph, self.estimated, self.choices, UNIT)
        return {f"a second at {PRICES[n]:g}" if n < len(PRICES) else each.name: each for n, each in enumerate(policies)}

    def fixed_policies(self, budget: float) -> dict[str, Policy]:
        """The base policies, and those that hand out so many times the least once."""
        shots = [
            OneShot(self.graph, self.estimated, choice, UNIT, budget * self.least, by)
            for by in ("even", "time", "hard", "critical")
            for choice in self.choices
        ]
        return {**self.base, **{shot.name: shot for shot in shots}}


@lru_cache(maxsize=32)
def make_mcpp(workload: Workload, rollouts: int = 512, variant: str = "better") -> Mcpp:
    """The policy for a workload."""
    paper = variant == "paper"
    return Mcpp(
        workload.graph,
        workload.estimated,
        workload.choices,
        UNIT,
        rollouts=64 if paper else rollouts,
        cancel=not paper,
        variant="paper" if paper else "better",
    )


def name_step(model: str, place: int) -> str:
    """How a model's question is called in a table.

    >>> name_step("countdown", 3)
    'countdown 3'
    """
    return f"{model} {place}"


def read_models(outcomes: str = "") -> tuple[str, ...]:
    """Whose outcomes a table has. In a table with other names that is one without a name, whose questions are all of them."""
    return tuple(dict.fromkeys(_model_of(step) for step, _ in _load(outcomes).rows))


def read_shapes() -> dict[str, list[list[int]]]:
    """The shapes of workflows: for each task, the places of those that it needs."""
    found: dict[str, list[list[int]]] = json.loads((HERE / "shapes.json").read_text())["graphs"]
    return found


@lru_cache(maxsize=32)
def make_workload(shape: str, seed: int, outcomes: str = "", model: str = "") -> Workload:
    """A workflow of a shape with questions of a model, or of all models, drawn by a seed.

    Raises UsageError for a shape that there is not, and for a model that the table has no question of, or none that can be solved.
    """
    shapes = read_shapes()
    if shape not in shapes:
        raise UsageError(f"there is no graph {shape!r}: there are {', '.join(shapes)}")
    table = _load(outcomes)
    choices = tuple(dict.fromkeys(choice for _, choice in table.rows))
    questions = _list_questions(table, choices, model)
    draw = Random(f"{shape} {seed}")
    given = [draw.choice(questions) for _ in shapes[shape]]
    graph = Graph(
        tuple(Node(f"t{place}", place, after(*(f"t{need}" for need in needs))) for place, needs in enumerate(shapes[shape]))
    )
    estimated, true = _split(table, given, choices)
    least = sum(min(_least(estimated, node.id, choice, 1)[0] for choice in choices) for node in graph.nodes)
    least_s = graph.critical_path(lambda node: min(_least(estimated, node.id, choice, max(COUNTS))[1] for choice in choices))[0]
    return Workload(graph, estimated, true, choices, least, least_s)


@lru_cache(maxsize=2)
def _load(outcomes: str) -> Recorded:
    return Recorded.load(outcomes or OUTCOMES)


def _model_of(step: str) -> str:
    model, _, place = step.rpartition(" ")
    return model if place.isdecimal() else ""


def _list_questions(table: Recorded, choices: Sequence[str], model: str) -> list[str]:
    asked = [step for step in dict.fromkeys(step for step, _ in table.rows) if not model or _model_of(step) == model]
    if not asked:
        models = ", ".join(filter(None, dict.fromkeys(_model_of(step) for step, _ in table.rows))) or "none by a name"
        raise UsageError(f"the table has no outcomes of model {model!r}; it has of: {models}")
    found = [step for step in asked if _is_solvable(table, step, choices)]
    if not found:
        raise UsageError(f"no question of {table.provenance or 'the table'!r:.80} is solved in a fifth of its samples by any way")
    return found


def _least(table: Recorded, step: str, choice: str, count: int) -> tuple[float, float]:
    return until_done(table.of_step(step, choice), count, UNIT)


def _is_solvable(table: Recorded, question: str, choices: Sequence[str]) -> bool:
    tried = [table.of_step(question, choice) for choice in choices]
    return any(sum(row.ok for row in rows) >= SOLVABLE * len(rows) for rows in tried)


def _split(table: Recorded, given: Sequence[str], choices: Sequence[str]) -> tuple[Recorded, Recorded]:
    halves: tuple[dict[tuple[str, str], tuple[Row, ...]], ...] = ({}, {})
    for place, question in enumerate(given):
        for choice in choices:
            rows = table.of_step(question, choice)
            halves[0][f"t{place}", choice], halves[1][f"t{place}", choice] = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    return Recorded(halves[0], table.provenance), Recorded(halves[1], table.provenance)
