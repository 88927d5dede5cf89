"""What divides a budget, and what foresees cost and gain. No setting of these was chosen on data."""

from __future__ import annotations

import math
import random

from benchmarks.methods.row import Held, Pair, Row
from headway.methods import allocate

TESTS = "tests/methods/allocate"
PROMPTS, ROLLOUTS = 512, 8


def _draw_rates(draw: random.Random) -> list[float]:
    """Rates of success of prompts, many of them hard: the mix that the paper's gain depends on."""
    return [draw.betavariate(0.5, 1.2) for _ in range(PROMPTS)]


def measure_value(seed: int) -> Pair:
    """What the groups are worth: rollouts given by the rates that a uniform round has shown, and 8 for each prompt."""
    draw = random.Random(seed)
    rates = _draw_rates(draw)
    seen = [allocate.smooth_rate(sum(draw.random() < rate for _ in range(ROLLOUTS)), ROLLOUTS) for rate in rates]
    counts = allocate.knapsack(seen, ROLLOUTS * PROMPTS)
    shares = (counts, [ROLLOUTS] * PROMPTS)
    return Pair(*(math.fsum(map(allocate.rollout_value, share, rates)) for share in shares))


def measure_mixed(seed: int) -> Pair:
    """The share of groups that have a gradient, where the rates are known."""
    rates = _draw_rates(random.Random(seed))
    shares = (allocate.knapsack(rates, ROLLOUTS * PROMPTS), [ROLLOUTS] * PROMPTS)
    mixed = (math.fsum(1 - p**n - (1 - p) ** n for n, p in zip(share, rates, strict=True)) for share in shares)
    return Pair(*(each / PROMPTS for each in mixed))


ROWS = [
    Row(
        method="Knapsack",
        function="headway.methods.allocate.knapsack",
        item="allocate",
        claim="20–40 % more groups with a gradient",
        shows="groups are worth more, with rates from one round of 8 rollouts (p from Beta(.5, 1.2))",
        baseline="8 rollouts for each prompt",
        unit="value of all groups",
        measure=measure_value,
        compare="ratio",
        reached=lambda low, high: low > 1.0,
        seeds=20,
        test=f"{TESTS}/test_budgets.py::test_a_knapsack_is_worth_at_least_as_much_as_equal_shares",
    ),
    Row(
        method="Knapsack",
        function="headway.methods.allocate.knapsack",
        item="allocate",
        claim="20–40 % more groups with a gradient",
        shows="more groups have a gradient, with known rates (p from Beta(.5, 1.2), 8 rollouts a prompt)",
        baseline="8 rollouts for each prompt",
        unit="share of groups",
        measure=measure_mixed,
        compare="ratio",
        reached=lambda low, high: low > 1.0,
        seeds=20,
        test=f"{TESTS}/test_budgets.py::test_a_knapsack_is_worth_at_least_as_much_as_equal_shares",
    ),
    Held(
        item="allocate",
        promise="knapsack: greedy equals the dynamic program; worth at least as much as equal shares, always",
        tests=(
            f"{TESTS}/test_budgets.py::test_going_one_by_one_is_worth_as_much_as_the_dynamic_program",
            f"{TESTS}/test_budgets.py::test_a_knapsack_is_worth_at_least_as_much_as_equal_shares",
        ),
    ),
    Held(
        item="allocate",
        promise="budgets: no prompts, rates that are NaN or percentages, totals that can't be divided: one sentence",
        tests=(f"{TESTS}/test_budgets.py::test_what_can_not_be_divided_is_refused",),
    ),
]
