"""Plays a plan under a policy on a table of outcomes, in no time: for tests, for benchmarks, and to try a policy before it spends.

    played = simulate(graph, table, policy, left=500, left_s=3.0, unit="tokens", choices=("small", "large"), seed=7)

What happens is what `run_plan` does: a batch reserves before it starts, samples that don't fit are refused, the first success stops
the others of its batch, and the policy is the very same object, shown the same `View`. The outcome of sample 3 of a step with a
choice depends on the seed alone, so two policies that are compared under one seed draw the same outcomes.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from headway.methods.allocate.recorded import Recorded, Row
from headway.methods.graph import Graph
from headway.methods.protocols import Policy, check_actions
from headway.methods.records import Action, Observation, Running, View


@dataclass(frozen=True, slots=True)
class Played:
    """How a simulated execution ended.

    Attributes:
        done: whether every step was done.
        steps: how many were.
        spent: the cost of all samples, in the unit of the budget.
        seconds: from the start to the end of the last batch, or to the deadline that stopped it.
        asked: how often the policy was asked.
    """

    done: bool
    steps: int
    spent: float
    seconds: float
    asked: int


@dataclass
class _Batch:
    action: Action
    rows: list[Row]  # those that end by themselves, in the order in which they do
    began: float
    held: float
    cost: float


class Draws:
    """Draws outcomes of a table: that of a sample depends on the seed, its step, its choice and its index, whoever asks first."""

    def __init__(self, table: Recorded, seed: object) -> None:
        self._table, self._seed = table, seed
        self._drawn: dict[tuple[str, str], tuple[Sequence[Row], Random, list[Row]]] = {}

    def draw(self, step: str, choice: str, index: int) -> Row:
        """The outcome of sample `index` of a step with a choice."""
        key = step, choice
        if key not in self._drawn:
            self._drawn[key] = self._table.of_step(step, choice), Random(f"{self._seed} {step} {choice}"), []
        rows, draw, drawn = self._drawn[key]
        while len(drawn) <= index:
            drawn.append(rows[int(draw.random() * len(rows))])
        return drawn[index]


def simulate(
    graph: Graph[Any],
    table: Recorded,
    policy: Policy,
    *,
    left: float,
    left_s: float,
    unit: str,
    choices: Sequence[str],
    seed: object,
    reserve: Mapping[str, float] | None = None,
    cancel: bool = True,
) -> Played:
    """Play one plan to its end.

    Args:
        graph: the plan.
        table: what is drawn from.
        policy: decides.
        left: how much may be spent, in `unit`.
        left_s: how long it may take.
        unit: what cost is counted in.
        choices: how each step may be done.
        seed: draws the outcomes.
        reserve: what a sample of a choice reserves; by default the most that one ever cost. What is stopped costs what it would
            have cost.
        cancel: whether the first success stops the others of its batch.

    Returns:
        How it ended.

    Raises:
        UsageError: the policy answers what is not allowed.

    Example:
        >>> from headway.methods.allocate import Seq
        >>> from headway.methods.graph import Node
        >>> table = Recorded({("a", ""): (Row(True, {"tokens": 2.0}, 1.0),)})
        >>> simulate(Graph((Node("a", 1),)), table, Seq(), left=9, left_s=9, unit="tokens", choices=("",), seed=1)
        Played(done=True, steps=1, spent=2.0, seconds=1.0, asked=1)
    """
    prices = dict(reserve) if reserve is not None else most_of(table, unit)
    world = _World(graph, Draws(table, seed), unit, tuple(choices), prices, cancel)
    world.left = left
    rng = Random(f"{seed} policy")
    while len(world.ended) < len(graph):
        view = world.look(left_s)
        world.asked += 1
        for action in check_actions(policy, view, policy(view, rng)):
            world.start(action)
        if not world.running or not world.step(left_s):
            break
    return Played(len(world.ended) == len(graph), len(world.ended), world.spent, world.now, world.asked)


def most_of(table: Recorded, unit: str) -> dict[str, float]:
    """The most that a sample of each choice ever cost."""
    found: dict[str, float] = {}
    for (_, choice), rows in table.rows.items():
        found[choice] = max(found.get(choice, 0.0), max((row.cost.get(unit, 0.0) for row in rows), default=0.0))
    return found


class _World:
    def __init__(
        self, graph: Graph[Any], table: Draws, unit: str, choices: tuple[str, ...], prices: Mapping[str, float], cancel: bool
    ) -> None:
        self.graph, self.table, self.unit, self.choices, self.prices, self.cancel = graph, table, unit, choices, prices, cancel
        self.places = {node.id: place for place, node in enumerate(graph.nodes)}
        self.ready = set(graph.ready({}))
        self.ended: dict[str, bool] = {}
        self.running: dict[int, _Batch] = {}
        self.observations: list[Observation] = []
        self.made: dict[tuple[str, str], int] = {}
        self.left = self.now = self.spent = 0.0
        self.asked = self._number = 0
        self._ends: list[tuple[float, int]] = []

    def look(self, until_s: float) -> View:
        ready = tuple(sorted(self.ready, key=self.places.__getitem__))
        running = tuple(Running(batch.action, self.now - batch.began, {self.unit: batch.held}) for batch in self.running.values())
        choices = dict.fromkeys(ready, self.choices)
        return View(ready, choices, running, tuple(self.observations), {self.unit: self.left}, until_s - self.now)

    def start(self, action: Action) -> None:
        """Start a batch, of so many samples as fit."""
        price = self.prices.get(action.choice, 0.0)
        fits = action.count if not price else min(action.count, int(self.left / price + 1e-9))
        key = action.step, action.choice
        first = self.made.get(key, 0)
        self.made[key] = first + action.count
        if fits < 1:
            return
        rows = sorted((self.table.draw(*key, first + n) for n in range(fits)), key=lambda row: row.seconds)
        won = next((place for place, row in enumerate(rows) if row.ok), None)
        ending = rows if won is None or not self.cancel else rows[: won + 1]
        cost = sum(row.cost.get(self.unit, 0.0) for row in rows)
        self._number += 1
        self.running[self._number] = _Batch(replace(action, count=fits), ending, self.now, price * fits, cost)
        self.left -= price * fits
        heapq.heappush(self._ends, (self.now + ending[-1].seconds, self._number))
        self.ready.discard(action.step)

    def step(self, until_s: float) -> bool:
        """Let the next batch end; False where that is after the deadline, at which all that runs is stopped."""
        ends, number = heapq.heappop(self._ends)
        if ends > until_s:
            self.spent += sum(batch.cost for batch in self.running.values())
            self.now = until_s
            return False
        self.now = ends
        batch = self.running.pop(number)
        self.left += batch.held - batch.cost
        self.spent += batch.cost
        step = batch.action.step
        for row in batch.rows:
            self.observations.append(Observation(step, batch.action.choice, row.ok, row.cost, row.seconds))
        if any(row.ok for row in batch.rows):
            self.ended[step] = True
            self.ready.update(self.graph.ready(self.ended, among=self.graph.dependents(step)))
        else:
            self.ready.add(step)
        return True
