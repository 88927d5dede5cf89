"""Dispatch rules: what each is known for, on one machine where the truth is known."""

from __future__ import annotations

import math
from itertools import permutations, product
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scheduling import DUES, LENGTHS, one_machine

from headway.errors import UsageError
from headway.methods.schedule import (
    RULES,
    Activity,
    Problem,
    Ready,
    Resource,
    Rule,
    Scene,
    Schedule,
    least_tardiness,
    measure,
    parallel,
    serial,
    tardiness,
)
from headway.methods.schedule.rules import CRITICAL_PATH, EDD, EDDC, FIFO, LPT, MDD, MDDC, SPT

jobs = st.lists(st.tuples(st.integers(1, 20), st.integers(0, 60)), min_size=1, max_size=6)


def tardy(problem: Problem, rule: Rule) -> int:
    return measure(problem, parallel(problem, rule)).total_tardiness


def test_the_example_of_the_paper_has_144_by_mdd_and_141_by_mddc_which_is_the_least() -> None:
    problem = one_machine(LENGTHS, DUES)
    assert tardy(problem, MDD) == 144
    assert tardy(problem, MDDC) == 141
    assert measure(problem, least_tardiness(problem)).total_tardiness == 141
    assert serial(problem, MDDC) == parallel(problem, MDDC)


def test_mddc_is_its_formula() -> None:
    share = 10 / (20 + 30)
    more = share**2 / (1 + share**2)
    scene = Scene(now=20, count=4, longest=30, total=60)
    assert MDDC.key(Ready(0, 10, due=5), scene) == pytest.approx((1.1 * 10 + 20) * (1 + more) + 10 / (20 + 15))
    assert MDDC.key(Ready(0, 10, due=50), scene) == pytest.approx(50 * (1 + more) + 10 / (20 + 15))
    assert MDDC.key(Ready(0, 10), scene) == math.inf


def test_on_one_machine_mddc_is_nearer_to_the_least_than_mdd_and_mdd_than_edd() -> None:
    sums: dict[str, list[float]] = {rule.name: [] for rule in (EDD, MDD, MDDC)}
    for seed in range(500, 503):
        problems = [tardiness(seed, 11, tight, wide) for tight in (0.2, 0.4, 0.6, 0.8) for wide in (0.2, 0.6, 1.0)]
        best = sum(measure(each, least_tardiness(each)).total_tardiness for each in problems)
        for rule in (EDD, MDD, MDDC):
            sums[rule.name].append(sum(tardy(each, rule) for each in problems) / best - 1)
    gaps = {name: fmean(values) for name, values in sums.items()}
    assert gaps["EDD"] > 0.2
    assert 0 <= gaps["MDDC"] < gaps["MDD"] < 0.02


@given(jobs)
def test_edd_has_the_least_maximum_lateness_on_one_machine(drawn: list[tuple[int, int]]) -> None:
    def latest(order: tuple[tuple[int, int], ...]) -> int:
        ends = [sum(duration for duration, _ in order[: place + 1]) for place in range(len(order))]
        return max(end - due for end, (_, due) in zip(ends, order, strict=True))

    problem = one_machine([duration for duration, _ in drawn], [due for _, due in drawn])
    made = parallel(problem, EDD).starts
    order = tuple(drawn[int(name[1:])] for name in sorted(made, key=lambda name: (made[name], int(name[1:]))))
    assert latest(order) == min(latest(each) for each in permutations(drawn))


@given(jobs)
def test_spt_has_the_least_sum_of_completion_times_on_one_machine(drawn: list[tuple[int, int]]) -> None:
    problem = one_machine([duration for duration, _ in drawn], [0] * len(drawn))
    best = min(measure(problem, _in_order(problem, order)).total_tardiness for order in permutations(range(len(drawn))))
    assert tardy(problem, SPT) == best


def _in_order(problem: Problem, order: tuple[int, ...]) -> Schedule:
    starts, now = {}, 0
    for number in order:
        starts[f"j{number}"] = now
        now += problem.activities[number].duration
    return Schedule(starts)


@given(jobs)
def test_eddc_swaps_the_last_two_at_most_and_is_never_later_than_edd(drawn: list[tuple[int, int]]) -> None:
    problem = one_machine([duration for duration, _ in drawn], [due for _, due in drawn])
    first, other = (sorted(found, key=found.__getitem__) for found in (parallel(problem, rule).starts for rule in (EDD, EDDC)))
    assert first[:-2] == other[:-2]
    assert tardy(problem, EDD) == tardy(problem, EDDC)


def test_eddc_does_swap_where_both_end_before_they_are_due() -> None:
    assert parallel(one_machine([1, 2], [10, 11]), EDDC).starts == {"j1": 0, "j0": 2}
    assert parallel(one_machine([1, 2], [3, 11]), EDDC).starts == {"j0": 0, "j1": 1}


@settings(max_examples=40)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=6), st.integers(1, 3))
def test_longest_first_is_within_four_thirds_of_the_least_on_equal_machines(durations: list[int], machines: int) -> None:
    works = tuple(Activity(f"w{number}", duration, uses={"m": 1}) for number, duration in enumerate(durations))
    problem = Problem(works, (Resource("m", machines),))
    least = min(
        max(sum(duration for duration, at in zip(durations, where, strict=True) if at == machine) for machine in range(machines))
        for where in product(range(machines), repeat=len(durations))
    )
    assert least <= measure(problem, parallel(problem, LPT)).makespan <= (4 / 3 - 1 / (3 * machines)) * least


def test_the_critical_path_goes_first() -> None:
    problem = Problem(
        (Activity("short", 5, uses={"m": 1}), Activity("head", 1, uses={"m": 1}), Activity("long", 9, after=("head",))),
        (Resource("m"),),
    )
    assert measure(problem, parallel(problem, CRITICAL_PATH)).makespan == 10
    assert measure(problem, parallel(problem, LPT)).makespan == 15


def test_due_dates_count_for_what_must_end_before_them() -> None:
    problem = Problem(
        (Activity("a", 2, uses={"m": 1}, due=9), Activity("b", 2, uses={"m": 1}), Activity("c", 5, after=("b",), due=8)),
        (Resource("m"),),
    )
    assert parallel(problem, EDD).starts == {"b": 0, "a": 2, "c": 2}


scenes = st.builds(Scene, st.integers(0, 50), st.integers(1, 9), st.integers(1, 9), st.integers(9, 50), st.integers(0, 99))
views = st.builds(Ready, st.integers(0, 9), st.integers(0, 9), st.integers(0, 99) | st.just(math.inf), st.integers(0, 99))


@given(views, scenes, scenes)
def test_the_key_of_a_fixed_rule_never_depends_on_the_scene(each: Ready, scene: Scene, other: Scene) -> None:
    for rule in RULES.values():
        if rule.fixed:
            assert rule.rank(each, scene) == rule.rank(each, other)
        assert not math.isnan(rule.rank(each, scene)[0])


def test_equal_keys_keep_their_order() -> None:
    assert list(parallel(one_machine([3, 3, 3], [5, 5, 5]), EDD).starts) == ["j0", "j1", "j2"]
    assert list(parallel(one_machine([3, 2, 3], [5, 4, 5]), FIFO).starts) == ["j0", "j1", "j2"]


@pytest.mark.parametrize("key", [math.nan, "first", None, True])
def test_a_key_that_is_no_number_is_refused(key: object) -> None:
    rule = Rule("mine", lambda each, scene: key)  # type: ignore[arg-type,return-value]
    with pytest.raises(UsageError, match="rule 'mine': the key of"):
        parallel(one_machine([1, 2], [3, 4]), rule)


def test_a_rule_of_ones_own_orders_both_schemes() -> None:
    rule = Rule("last first", lambda each, scene: -each.number, fixed=True)
    for scheme in (serial, parallel):
        assert list(scheme(one_machine([1, 2, 3], [9, 9, 9]), rule).starts) == ["j2", "j1", "j0"]
