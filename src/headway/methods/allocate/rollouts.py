"""Simulated executions of the rest of a plan, many at once: what MCPP decides by.

A rollout draws, for every step that is not done, how long it takes and what it costs until it is done. Costs add. Time is that of
the longest path. Each path that is left begins at a step that may start or runs, so a rollout's time is the largest, over these
steps, of their own time and the longest path behind them. That makes an action's value a few operations on arrays, whatever the
size of the plan.

All actions and continuations are judged on the same draws (common random numbers). What runs is only known to have run for so long:
its end is drawn among the outcomes that last longer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from headway.methods.allocate.recorded import Recorded
from headway.methods.graph import Graph
from headway.methods.records import View

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]
Option = tuple[str, int]
"""A choice, and how many samples of it at once."""
Continuation = Callable[[str], Option]
"""What is started for a step whenever it may start."""

DRAWS = 512  # outcomes of each option that are drawn once and drawn from
NEVER = 1e12  # what takes and costs as much is not done: larger than any budget, and small enough to be added up
MOST_BATCHES = 400  # of a step, after which a rollout gives it up


class Drawn(NamedTuple):
    """Outcomes of an option for a step, one a place: seconds, cost, and whether it succeeded."""

    seconds: Floats
    cost: Floats
    ok: Floats


class Pools:
    """Outcomes of batches, and of batches that are repeated until the step is done, each drawn once when it is first asked for."""

    def __init__(self, table: Recorded, unit: str, *, cancel: bool, seed: int = 0) -> None:
        self._table, self._unit, self._cancel, self._seed = table, unit, cancel, seed
        self._batches: dict[tuple[str, Option], Drawn] = {}
        self._ends: dict[tuple[str, Option], Drawn] = {}
        self._rows: dict[tuple[str, str], tuple[Floats, Floats, Floats]] = {}

    def batch(self, step: str, option: Option) -> Drawn:
        """One batch of an option."""
        key = step, option
        if key not in self._batches:
            self._batches[key] = self._draw(step, option, DRAWS, self._generator(step, option, "batch"))
        return self._batches[key]

    def until_done(self, step: str, option: Option) -> Drawn:
        """Batches of an option until one succeeds. Seconds and cost are `NEVER` where none did."""
        key = step, option
        if key not in self._ends:
            generator = self._generator(step, option, "ends")
            seconds, cost = np.zeros(DRAWS), np.zeros(DRAWS)
            left = np.arange(DRAWS)
            for _ in range(MOST_BATCHES):
                drawn = self._draw(step, option, len(left), generator)
                seconds[left] += drawn.seconds
                cost[left] += drawn.cost
                left = left[drawn.ok == 0]
                if not len(left):
                    break
            seconds[left] = cost[left] = NEVER
            self._ends[key] = Drawn(seconds, cost, (cost < NEVER).astype(float))
        return self._ends[key]

    def _generator(self, step: str, option: Option, what: str) -> np.random.Generator:
        return np.random.default_rng([self._seed, *f"{step}/{option[0]}/{option[1]}/{what}".encode()])

    def _draw(self, step: str, option: Option, count: int, generator: np.random.Generator) -> Drawn:
        choice, size = option
        seconds, cost, right = self._arrays(step, choice)
        places = generator.integers(0, len(seconds), (count, size))
        ok = right[places] > generator.random((count, size))
        took, paid = seconds[places], cost[places].sum(1)
        won = ok.any(1)
        last = took.max(1)
        if self._cancel:
            last = np.where(won, np.where(ok, took, np.inf).min(1), last)
        return Drawn(last, paid, won.astype(float))

    def _arrays(self, step: str, choice: str) -> tuple[Floats, Floats, Floats]:
        """Seconds, cost and success of a step's outcomes. Where none succeeded, each may have, by the rule of succession."""
        key = step, choice
        if key not in self._rows:
            rows = self._table.of_step(step, choice)
            right = np.array([float(row.ok) for row in rows])
            if not right.any():
                right[:] = 1 / (len(rows) + 2)
            cost = np.array([row.cost.get(self._unit, 0.0) for row in rows])
            self._rows[key] = np.array([row.seconds for row in rows]), cost, right
        return self._rows[key]


class Scores(NamedTuple):
    """For each rollout, whether the plan is done within what is left (1 or 0), and how much of what is left it takes."""

    done: Floats
    share: Floats


class Rest:
    """What does not change from view to view: the plan's order, and for each step what may end it, of all continuations together.

    Args:
        graph: the plan.
        pools: outcomes.
        continuations: what may be started for a step whenever it may start.
    """

    def __init__(self, graph: Graph[Any], pools: Pools, continuations: Sequence[Continuation]) -> None:
        self.pools, self.count = pools, len(continuations)
        self.order = graph.order()
        self.after = {step: graph.dependents(step) for step in self.order}
        self.ends: dict[str, tuple[Floats, Floats]] = {}  # seconds and cost, [continuations, DRAWS]
        for step in self.order:
            drawn = [pools.until_done(step, continuation(step)) for continuation in continuations]
            self.ends[step] = np.array([each.seconds for each in drawn]), np.array([each.cost for each in drawn])


class Rollouts:
    """Simulated executions from one view on, with each continuation. All arrays are [continuations, rollouts]."""

    def __init__(self, rest: Rest, view: View, unit: str, *, count: int, generator: np.random.Generator) -> None:
        self._rest, self._pools, self._count, self._unit = rest, rest.pools, count, unit
        self.left, self.left_s = view.left.get(unit, np.inf), view.left_s
        running = {each.action.step for each in view.running}
        done = {each.step for each in view.ended if each.ok} - running
        steps = [step for step in rest.order if step not in done]
        self._places: Ints = generator.integers(0, DRAWS, (len(steps) + len(view.ready), count))
        self._row = {step: row for row, step in enumerate(steps)}
        self._first = {step: row + len(steps) for row, step in enumerate(view.ready)}
        self._own = {step: self._until_done(step) for step in steps}
        nothing = np.zeros((rest.count, count))
        self._behind: dict[str, Floats] = {}  # the longest path behind a step
        for step in reversed(steps):
            after = [self._own[other][0] + self._behind[other] for other in rest.after[step]]
            self._behind[step] = np.maximum.reduce(after) if after else nothing
        self.seconds, self.cost = nothing, nothing  # of what no action changes
        for step in steps:
            if step in running:
                took, paid = self._finish(step, view)
                self.seconds, self.cost = np.maximum(self.seconds, took + self._behind[step]), self.cost + paid
            elif step not in self._first:
                self.cost = self.cost + self._own[step][1]

    def _until_done(self, step: str) -> tuple[Floats, Floats]:
        seconds, cost = self._rest.ends[step]
        places = self._places[self._row[step]]
        return seconds[:, places], cost[:, places]

    def _finish(self, step: str, view: View) -> tuple[Floats, Floats]:
        """What is left of a step that runs: until its batch ends, given that it has not, and again where that fails. What it has
        reserved and does not cost comes back."""
        places = self._places[self._row[step]]
        seconds, cost = np.full(self._count, np.inf), np.zeros(self._count)
        last, failed = np.zeros(self._count), np.ones(self._count, bool)
        for each in (each for each in view.running if each.action.step == step):
            drawn = self._pools.batch(step, (each.action.choice, each.action.count))
            longer = np.flatnonzero(drawn.seconds > each.seconds)
            if len(longer):
                chosen = longer[places % len(longer)]
                rest = drawn.seconds[chosen] - each.seconds
            else:  # it takes longer than anything known: perhaps as long again
                chosen, rest = places, np.full(self._count, each.seconds)
            ok = drawn.ok[chosen] > 0
            seconds = np.where(ok, np.minimum(seconds, rest), seconds)
            last = np.maximum(last, rest)
            failed = failed & ~ok
            cost = cost + drawn.cost[chosen] - each.reserved.get(self._unit, 0.0)
        again_s, again = self._own[step]
        return np.where(failed, last + again_s, seconds), cost + np.where(failed, again, 0.0)

    def start(self, step: str, option: Option, of: int | list[int]) -> tuple[Floats, Floats]:
        """A ready step that is started with an option, and again as continuations (those of these places) say: the longest path
        from it on, and its cost."""
        drawn, places = self._pools.batch(step, option), self._places[self._first[step]]
        failed = drawn.ok[places] == 0
        again_s, again = self._own[step]
        seconds = drawn.seconds[places] + failed * again_s[of] + self._behind[step][of]
        return seconds, drawn.cost[places] + failed * again[of]

    def score(self, action: Sequence[tuple[str, Option]], of: int | list[int]) -> Scores:
        """An action for ready steps, followed by continuations."""
        seconds, cost = self.seconds[of], self.cost[of]
        for step, option in action:
            took, paid = self.start(step, option, of)
            seconds, cost = np.maximum(seconds, took), cost + paid
        return self.judge(seconds, cost)

    def judge(self, seconds: Floats, cost: Floats) -> Scores:
        """Whether executions of these times and costs are done within what is left."""
        fits = (cost <= self.left + 1e-9) & (seconds <= self.left_s)
        share = np.maximum(cost / max(self.left, 1e-9), seconds / max(self.left_s, 1e-9))
        return Scores(fits.astype(float), np.minimum(share, 1e6))
