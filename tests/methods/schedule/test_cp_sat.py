"""CP-SAT finds what is best, proves it, and returns only what the checker allows."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from scheduling import DUES, LENGTHS, least, one_machine, problems

from headway.bench.schedule.shops import SAMPLE
from headway.errors import UsageError
from headway.methods.schedule import (
    Activity,
    Problem,
    Resource,
    Schedule,
    check,
    job_shop,
    least_tardiness,
    load_classic,
    measure,
    schedule,
    solve,
    tardiness,
)

pytest.importorskip("ortools")


@settings(max_examples=30)
@given(problems(5))
def test_it_finds_the_least_of_every_objective(problem: Problem) -> None:
    for objective in ("makespan", "total_tardiness", "weighted_tardiness"):
        found = solve(problem, objective, cpu_s=20)
        assert found.is_optimal
        assert found.schedule is not None
        assert check(problem, found.schedule) == ()
        assert getattr(measure(problem, found.schedule), objective) == found.value == least(problem, objective)


@settings(max_examples=30)
@given(problems(5, deadlines=True))
def test_it_keeps_deadlines_wherever_some_schedule_does(problem: Problem) -> None:
    best = least(problem, "makespan")
    if best is not None:
        assert solve(problem, cpu_s=20).value == best


@pytest.mark.parametrize("down", [((2, 4),), ((2, 3), (3, 4)), ((2, 4), (2, 3)), ((3, 4), (2, 4))])
def test_nothing_runs_while_what_it_uses_is_down(down: tuple[tuple[int, int], ...]) -> None:
    works = tuple(Activity(name, 2, uses={"m": 1}) for name in "abc")
    for capacity, makespan in ((1, 8), (2, 6)):
        found = solve(Problem(works, (Resource("m", capacity, down),)), cpu_s=10)
        assert (found.value, found.bound) == (makespan, makespan)


@pytest.mark.parametrize("seed", range(3))
def test_it_agrees_with_dynamic_programming_on_one_machine(seed: int) -> None:
    problem = tardiness(seed, 9)
    best = measure(problem, least_tardiness(problem)).total_tardiness
    found = solve(problem, "total_tardiness", cpu_s=20)
    assert (found.value, found.bound) == (best, best)
    assert solve(one_machine(LENGTHS, DUES), "total_tardiness", cpu_s=20).value == 141


@pytest.mark.parametrize("name", SAMPLE)
def test_classic_job_shops_end_between_bound_and_rule(name: str) -> None:
    instance = load_classic(name)
    first = schedule(instance.problem)
    found = solve(instance.problem, work=0.1, start=first)
    assert found.schedule is not None
    assert check(instance.problem, found.schedule) == ()
    assert found.bound <= instance.best
    assert instance.bound <= found.value <= measure(instance.problem, first).makespan
    if name in ("ft06", "la01", "la06", "la11"):
        assert found.value == instance.best


def test_it_begins_with_a_schedule_and_is_never_worse() -> None:
    problem = job_shop(7, 20, 10)
    first = schedule(problem)
    found = solve(problem, work=0.001, start=first)
    assert found.value is not None
    assert found.value <= measure(problem, first).makespan
    assert found.bound <= found.value


def test_without_time_it_says_that_it_found_nothing() -> None:
    found = solve(job_shop(7, 20, 10), work=1e-9)
    assert (found.schedule, found.value, found.is_optimal) == (None, None, False)


def test_with_one_worker_and_a_limit_of_work_it_answers_the_same_each_time() -> None:
    problem = job_shop(3, 8, 6)
    one, other = (solve(problem, work=0.1, seed=5) for _ in range(2))
    assert (one.schedule, one.value, one.bound) == (other.schedule, other.value, other.bound)


def test_processor_time_ends_a_search() -> None:
    problem = job_shop(11, 30, 15)
    found = solve(problem, cpu_s=0.5, start=schedule(problem))
    assert not found.is_optimal
    assert found.cpu_s >= 0.5


def test_what_is_never_due_has_no_tardiness() -> None:
    found = solve(Problem((Activity("a", 3), Activity("b", 2))), "total_tardiness", cpu_s=5)
    assert (found.value, found.bound) == (0, 0)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "give wall_s=, cpu_s= or work="),
        ({"cpu_s": float("nan")}, "cpu_s=nan"),
        ({"wall_s": 0}, "wall_s=0"),
        ({"cpu_s": 1, "workers": 0}, "workers=0: a whole number, at least 1"),
        ({"cpu_s": 1, "seed": 0.5}, "seed=0.5: a whole number"),
        ({"cpu_s": 1, "objective": "cost"}, "objective='cost': one of makespan"),
        ({"cpu_s": 1, "start": Schedule({"a": 0})}, "start= breaks 1 constraints, such as: 'b' is not scheduled"),
    ],
)
def test_senseless_settings_are_refused(settings: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        solve(Problem((Activity("a", 1), Activity("b", 1))), **settings)  # type: ignore[arg-type]


def test_times_that_the_solver_cannot_add_up_are_refused() -> None:
    for activity in (Activity("a", 2**54), Activity("a", 1, due=0, weight=2**54)):
        with pytest.raises(UsageError, match="too large for the solver: count them in a larger unit"):
            solve(Problem((activity,)), "weighted_tardiness", cpu_s=1)
    late = Problem((Activity("a", 2**50, due=1), Activity("b", 1, release=2**50)))
    assert solve(late, "total_tardiness", cpu_s=5).value == 2**50 - 1


@pytest.mark.parametrize(
    "problem",
    [
        Problem((Activity("a", 1),)),
        Problem((Activity("a", 1, uses={"m": 1}, release=3),), one_machine([1], [1]).resources),
        one_machine([1] * 17, [1] * 17),
    ],
)
def test_dynamic_programming_takes_one_machine_of_16_and_nothing_else(problem: Problem) -> None:
    with pytest.raises(UsageError, match="least_tardiness: "):
        least_tardiness(problem)
