"""Base policies: simple rules, each of which runs a plan or a map by itself. `Mcpp` chooses among what they would do.

`Seq` knows nothing of the outcomes and never gives up. `Priced` weighs the mean cost of a step against its mean time. `OneShot`
hands each step its share of the budget once: evenly, or by how long, how hard or how critical it is. All of them are fixed: they
don't change with what is left.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.allocate.recorded import Recorded, Row
from headway.methods.graph import Graph
from headway.methods.records import Action, View

Share = Literal["even", "time", "hard", "critical"]

Means = Mapping[str, Mapping[tuple[str, int], tuple[float, float]]]
"""Of each step, with each choice and count: mean cost and seconds until it is done."""

COUNTS = (1, 4, 16, 64)
"""How many samples a policy starts at once, as in the code of MCPP."""

PRICES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""What a second is worth to the base policies that weigh it: multiples of the mean cost of a sample by its mean time."""


@dataclass(frozen=True)
class Seq:
    """Start `count` samples of one choice for each step that is ready, and again for each that failed.

    With a count of 1 it is "retry".

    Attributes:
        choice: how steps are done.
        count: samples at once.

    Raises:
        UsageError: the count is no whole number from 1 on.

    Example:
        >>> Seq("small", 4)(View(ready=("a",)), Random(1))
        [Action(step='a', choice='small', count=4, why='always 4 × small')]
    """

    choice: str = ""
    count: int = 1

    def __post_init__(self) -> None:
        settings.at_least_one("Seq", count=self.count)

    @property
    def name(self) -> str:
        """Its name in reasons and tables."""
        return f"{self.count} × {self.choice}".strip()

    def of(self, step: str) -> tuple[str, int]:
        """What it starts for a step: a choice, and how many samples.

        Args:
            step: id of the step.

        Returns:
            The choice, and how many samples of it.
        """
        return self.choice, self.count

    def __call__(self, view: View, rng: Random, /) -> Sequence[Action]:
        return [Action(step, self.choice, self.count, f"always {self.name}") for step in view.ready]


@dataclass(frozen=True)
class Priced:
    """For each step the choice and count whose mean cost and time until it is done are least, a second weighed at `price`.

    Attributes:
        table: which outcomes are known.
        steps: ids of the steps.
        choices: how steps may be done.
        price: what a second is worth, in the unit.
        unit: what cost is counted in.
        counts: how many samples at once.
        cancel: whether a success stops the others, as in `run_plan`.
        means: mean cost and seconds until each step is done, by choice and count; worked out from the table where it is None.
        chosen: the choice and count of each step; left to the policy.

    Raises:
        UsageError: the price is no finite number from 0 on, or the table has no outcome of a choice.

    Example:
        >>> table = Recorded({("a", "small"): (Row(True, {"tokens": 2.0}, 1.0), Row(False, {"tokens": 2.0}, 1.0))})
        >>> [Priced(table, ("a",), ("small",), price, "tokens").of("a") for price in (0.1, 10.0)]
        [('small', 1), ('small', 4)]
    """

    table: Recorded = field(repr=False)
    steps: tuple[str, ...] = field(repr=False)
    choices: tuple[str, ...]
    price: float
    unit: str
    counts: tuple[int, ...] = COUNTS
    cancel: bool = True
    means: Means | None = field(default=None, repr=False, compare=False)
    chosen: Mapping[str, tuple[str, int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        settings.finite("Priced", price=self.price)
        means = self.means
        if means is None:
            means = mean_until_done(self.table, self.steps, self.choices, self.unit, self.counts, cancel=self.cancel)
        chosen = {step: _find_cheapest(means[step], self.price) for step in self.steps}
        object.__setattr__(self, "chosen", chosen)

    @property
    def name(self) -> str:
        """Its name in reasons and tables."""
        return f"a second at {self.price:,.0f}" if self.price >= 10 else f"a second at {self.price:.2g}"

    def of(self, step: str) -> tuple[str, int]:
        """What it starts for a step: a choice, and how many samples.

        Args:
            step: id of the step.

        Returns:
            The choice, and how many samples of it.
        """
        return self.chosen[step]

    def __call__(self, view: View, rng: Random, /) -> Sequence[Action]:
        return [Action(step, *self.of(step), f"least, {self.name}") for step in view.ready]


@dataclass(frozen=True)
class OneShot:
    """Give each step its share of the budget once, in samples of one choice, and never try again: the baselines of MCPP's code.

    Attributes:
        graph: the plan.
        table: which outcomes are known.
        choice: how steps are done.
        unit: what cost is counted in.
        budget: how much there is for all steps together.
        by: the shares: "even" (Uniform), by mean "time", by how "hard" a step is (1 - p), or by the longest path through it
            ("critical").
        counts: how many samples each step gets, from 1 to 256; left to the policy.

    Raises:
        UsageError: `by` names no share, the budget is no finite number from 0 on, or the table has no outcome of the choice.

    Example:
        >>> from headway.methods.graph import Node
        >>> table = Recorded({("a", ""): (Row(True, {"tokens": 2.0}, 1.0),), ("b", ""): (Row(True, {"tokens": 2.0}, 3.0),)})
        >>> plan = Graph((Node("a", 1), Node("b", 2)))
        >>> [OneShot(plan, table, "", "tokens", 16, by).of("b") for by in ("even", "time")]
        [('', 4), ('', 6)]
    """

    graph: Graph[Any] = field(repr=False)
    table: Recorded = field(repr=False)
    choice: str
    unit: str
    budget: float
    by: Share = "even"
    counts: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        settings.finite("OneShot", budget=self.budget)
        if self.by not in ("even", "time", "hard", "critical"):
            raise UsageError(f"OneShot: by={self.by!r:.40}: 'even', 'time', 'hard' or 'critical'")
        rows = {node.id: self.table.of_step(node.id, self.choice) for node in self.graph.nodes}
        weights = {step: self._weigh(of_step) for step, of_step in rows.items()}
        if self.by == "critical":
            weights = _weigh_paths(self.graph, {step: _mean(row.seconds for row in of_step) for step, of_step in rows.items()})
        total = sum(weights.values()) or 1.0
        costs = {step: _mean(row.cost.get(self.unit, 0.0) for row in of_step) for step, of_step in rows.items()}
        counts = {step: int(self.budget * weights[step] / total / costs[step]) if costs[step] else 1 for step in rows}
        object.__setattr__(self, "counts", {step: min(256, max(1, count)) for step, count in counts.items()})

    def _weigh(self, rows: Sequence[Row]) -> float:
        if self.by == "time":
            return _mean(row.seconds for row in rows)
        return 1.0 if self.by == "even" else 1.0 - sum(row.ok for row in rows) / (len(rows) + 1)

    @property
    def name(self) -> str:
        """Its name in reasons and tables."""
        return f"one shot, {self.by}, {self.choice}".rstrip(", ")

    def of(self, step: str) -> tuple[str, int]:
        """What it starts for a step: a choice, and how many samples.

        Args:
            step: id of the step.

        Returns:
            The choice, and how many samples of it.
        """
        return self.choice, self.counts[step]

    def __call__(self, view: View, rng: Random, /) -> Sequence[Action]:
        tried = {each.step for each in view.ended}
        return [Action(step, *self.of(step), f"its share, {self.by}") for step in view.ready if step not in tried]


def base_policies(
    graph: Graph[Any],
    table: Recorded,
    choices: Sequence[str],
    unit: str,
    counts: Sequence[int] = COUNTS,
    *,
    cancel: bool = True,
) -> tuple[Priced | Seq, ...]:
    """All base policies that can always go on: those that weigh time, and each choice with each count.

    Args:
        graph: the plan.
        table: which outcomes are known.
        choices: how steps may be done.
        unit: what cost is counted in.
        counts: how many samples at once.
        cancel: whether a success stops the others.

    Returns:
        The policies.

    Example:
        >>> from headway.methods.graph import Node
        >>> table = Recorded({("a", ""): (Row(True, {"tokens": 2.0}, 1.0),)})
        >>> [policy.name for policy in base_policies(Graph((Node("a", 1),)), table, ("",), "tokens", (1, 4))][-2:]
        ['1 ×', '4 ×']
    """
    steps = tuple(node.id for node in graph.nodes)
    rows = [row for step in steps for choice in choices for row in table.of_step(step, choice)]
    per_second = sum(row.cost.get(unit, 0.0) for row in rows) / (sum(row.seconds for row in rows) or 1.0)
    means = mean_until_done(table, steps, choices, unit, counts, cancel=cancel)
    weigh = (Priced(table, steps, tuple(choices), price * per_second, unit, tuple(counts), cancel, means) for price in PRICES)
    return (*weigh, *(Seq(choice, count) for choice in choices for count in counts))


def mean_until_done(
    table: Recorded, steps: Sequence[str], choices: Sequence[str], unit: str, counts: Sequence[int], *, cancel: bool
) -> Means:
    """`until_done` of each step with each choice and count.

    Args:
        table: which outcomes are known.
        steps: ids of the steps.
        choices: how steps may be done.
        unit: what cost is counted in.
        counts: how many samples at once.
        cancel: whether a success stops the others.

    Returns:
        Cost and seconds by step, and by choice and count.
    """
    return {
        step: {
            (choice, count): until_done(table.of_step(step, choice), count, unit, cancel=cancel)
            for choice in choices
            for count in counts
        }
        for step in steps
    }


def _find_cheapest(means: Mapping[tuple[str, int], tuple[float, float]], price: float) -> tuple[str, int]:
    return min(means, key=lambda option: means[option][0] + price * means[option][1])


def until_done(rows: Sequence[Row], count: int, unit: str, *, cancel: bool = True) -> tuple[float, float]:
    """The mean cost and time until a step is done, where so many samples at once are tried again and again.

    Exact for samples that are drawn among the outcomes independently, of which none is stopped early; where `cancel` says that they
    are, a batch takes as long as the fastest of those that succeed in it. The rate of success is that of the rule of succession
    where nothing ever succeeded.

    Args:
        rows: the outcomes of a step.
        count: samples at once.
        unit: of the cost.
        cancel: whether the first success stops the others.

    Returns:
        Cost and seconds.

    Example:
        >>> rows = [Row(True, {"tokens": 2.0}, 1.0), Row(False, {"tokens": 2.0}, 3.0)]
        >>> until_done(rows, 1, "tokens")
        (4.0, 4.0)
    """
    n, right = len(rows), sum(row.ok for row in rows)
    rate = right / n if right else 1 / (n + 2)
    batch = 1 - (1 - rate) ** count
    good = sorted(row.seconds for row in rows if row.ok) or sorted(row.seconds for row in rows)
    bad = sorted(row.seconds for row in rows if not row.ok) or good
    cost = count * _mean(row.cost.get(unit, 0.0) for row in rows) / batch
    failed = _mean_largest(bad, count)
    if not cancel:
        return cost, _mean_largest(sorted(row.seconds for row in rows), count) / batch
    likely = [(wins, share) for wins in range(1, count + 1) if (share := _binomial(count, wins, rate)) > 1e-6]
    won = math.fsum(share * _mean_smallest(good, wins) for wins, share in likely) / (math.fsum(share for _, share in likely) or 1.0)
    return cost, won + failed * (1 - batch) / batch


def _binomial(n: int, k: int, p: float) -> float:
    return math.comb(n, k) * p**k * (1 - p) ** (n - k)


def _mean(values: Any) -> float:
    listed = list(values)
    return math.fsum(listed) / len(listed)


def _mean_largest(ordered: Sequence[float], count: int) -> float:
    """The mean of the largest of some draws."""
    n = len(ordered)
    return math.fsum(value * (((place + 1) / n) ** count - (place / n) ** count) for place, value in enumerate(ordered))


def _mean_smallest(ordered: Sequence[float], count: int) -> float:
    n = len(ordered)
    return math.fsum(value * ((1 - place / n) ** count - (1 - (place + 1) / n) ** count) for place, value in enumerate(ordered))


def _weigh_paths(graph: Graph[Any], seconds: Mapping[str, float]) -> dict[str, float]:
    """The longest path through each step."""
    before: dict[str, float] = {}
    for step in graph.order():
        before[step] = seconds[step] + max((before[need.step] for need in graph[step].needs), default=0.0)
    behind: dict[str, float] = {}
    for step in reversed(graph.order()):
        behind[step] = max((seconds[other] + behind[other] for other in graph.dependents(step)), default=0.0)
    return {step: before[step] + behind[step] for step in before}
