"""What divides a budget, and what foresees cost and gain. No setting of these was chosen on data."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

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


def measure_solvency(seed: int) -> Pair:
    """The share of parents that can pay for a closing step of 1, where leaves spend all that they may."""
    draw = random.Random(seed)
    tree = _draw_tree(draw, 4)
    kept, given = (_close(tree, 200.0, divide) for divide in (allocate.share, lambda left, children: left / children))
    return Pair(*(solvent / parents for _, solvent, parents in (kept, given)))


def _draw_tree(draw: random.Random, depth: int) -> list[list]:
    return [_draw_tree(draw, depth - 1) for _ in range(draw.randint(1, 3))] if depth else []


def _close(tree: list[list], left: float, divide: Callable[[float, int], float]) -> tuple[float, int, int]:
    """What a subtree spends, how many of its parents could pay for their closing step, and how many parents it has."""
    if not tree:
        return left, 0, 0
    below = [_close(child, divide(left, len(tree)), divide) for child in tree]
    rest = left - math.fsum(spent for spent, _, _ in below)
    pays = rest >= 1.0
    return left - rest + pays, pays + sum(each[1] for each in below), 1 + sum(each[2] for each in below)


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
        test=f"{TESTS}/test_dividing.py::test_a_knapsack_is_worth_at_least_as_much_as_equal_shares",
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
        test=f"{TESTS}/test_dividing.py::test_a_knapsack_is_worth_at_least_as_much_as_equal_shares",
    ),
    Row(
        method="KISS shares",
        function="headway.methods.allocate.child_budgets",
        item="allocate",
        claim="a share of remaining/(n+1), one reserved for the parent",
        shows="parents can pay for their closing step, four levels deep, where children spend all that they may",
        baseline="remaining/n for each child",
        unit="share of parents",
        measure=measure_solvency,
        compare="difference",
        reached=lambda low, high: low > 0.0,
        test=f"{TESTS}/test_dividing.py::test_a_parent_keeps_a_share_however_deep_its_children_nest_theirs",
    ),
    Held(
        item="allocate",
        promise="KISS: a parent keeps 1/(n+1) of what it had, under any nesting; a killed run finds the same shares",
        tests=(
            f"{TESTS}/test_dividing.py::test_a_parent_keeps_a_share_however_deep_its_children_nest_theirs",
            f"{TESTS}/test_dividing.py::test_shares_are_found_again_after_a_crash_and_nothing_is_spent_twice",
        ),
    ),
    Held(
        item="allocate",
        promise="knapsack: greedy equals the dynamic program; worth at least as much as equal shares, always",
        tests=(
            f"{TESTS}/test_dividing.py::test_going_one_by_one_is_worth_as_much_as_the_dynamic_program",
            f"{TESTS}/test_dividing.py::test_a_knapsack_is_worth_at_least_as_much_as_equal_shares",
        ),
    ),
    Held(
        item="allocate",
        promise="budgets: no prompts, rates that are NaN or percentages, totals that can't be divided: one sentence",
        tests=(
            f"{TESTS}/test_dividing.py::test_what_can_not_be_divided_is_refused",
            f"{TESTS}/test_dividing.py::test_there_must_be_something_to_share",
        ),
    ),
]
