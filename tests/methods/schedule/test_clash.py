"""What can't be scheduled is refused before anything is spent, with the constraints that clash."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from scheduling import least, problems

from headway.errors import UsageError
from headway.methods.schedule import (
    Activity,
    InfeasibleProblem,
    Problem,
    Resource,
    check,
    constraints_of,
    explain,
    find_clash,
    parallel,
    relax,
    schedule,
    serial,
    solve,
)
from headway.methods.schedule.clash import clashing


def test_a_release_leaves_just_enough_time_or_too_little() -> None:
    for deadline, clashes in ((4, True), (5, False)):
        for release in (1, 3):
            late = Problem((Activity("a", 5 - release, release=release, deadline=deadline),))
            assert bool(find_clash(late)) == clashes


SAW = (Resource("saw", 2, ((2, 6),)),)


@pytest.mark.parametrize(
    ("problem", "says"),
    [
        (Problem((Activity("a", 1, uses={"saw": 3}),), SAW), "'a' uses 3 of 'saw', which has 2"),
        (
            Problem((Activity("a", 3, release=4, deadline=6),)),
            "'a' ends at 7 at the earliest, after its deadline at 6: 'a' is released at 4, 'a' takes 3",
        ),
        (
            Problem((Activity("a", 2), Activity("b", 2, after=("a",)), Activity("c", 2, after=("b",), deadline=5))),
            "'c' ends at 6 at the earliest, after its deadline at 5: 'a' takes 2, 'b' takes 2, 'c' takes 2",
        ),
        (
            Problem((Activity("a", 3, uses={"saw": 1}, deadline=8),), SAW, name="p"),
            "problem 'p' has no schedule: 'a' ends at 9 at the earliest, after its deadline at 8: 'saw' is down from 2 to 6",
        ),
    ],
)
def test_what_a_look_can_prove_is_refused_by_every_scheduler(problem: Problem, says: str) -> None:
    pytest.importorskip("ortools")
    for make in (serial, parallel, schedule, lambda one: solve(one, cpu_s=1)):
        with pytest.raises(InfeasibleProblem) as refused:
            make(problem)
        assert says in str(refused.value)


@settings(max_examples=80)
@given(problems(5, deadlines=True))
def test_what_is_proven_to_clash_has_no_schedule(problem: Problem) -> None:
    if find_clash(problem):
        assert least(problem, "makespan") is None


@settings(max_examples=50)
@given(problems(deadlines=True))
def test_a_problem_relaxed_to_all_it_has_is_the_same_and_to_nothing_is_free(problem: Problem) -> None:
    whole = relax(problem, constraints_of(problem))
    assert constraints_of(whole) == constraints_of(problem)
    free = relax(problem, ())
    assert all(start == 0 for start in serial(free).starts.values())


@settings(max_examples=50)
@given(problems(deadlines=True))
def test_every_schedule_of_a_problem_solves_what_is_relaxed(problem: Problem) -> None:
    every = constraints_of(problem)
    made = serial(relax(problem, [each for each in every if each.kind != "deadline"]))
    broken = {violation.kind for violation in check(problem, made)}
    assert broken <= {"deadline"}
    for left_out in every:
        part = relax(problem, [each for each in every if each != left_out])
        assert {violation.kind for violation in check(part, made)} <= broken


@settings(max_examples=40)
@given(problems(5, deadlines=True))
def test_an_explanation_clashes_and_is_smallest(problem: Problem) -> None:
    pytest.importorskip("ortools")
    clash = explain(problem, cpu_s=5)
    assert bool(clash) == (least(problem, "makespan") is None)
    if clash:
        assert least(relax(problem, clash), "makespan") is None
        for each in clash:
            assert least(relax(problem, [one for one in clash if one != each]), "makespan") is not None


def test_the_solver_names_what_clashes_together() -> None:
    pytest.importorskip("ortools")
    problem = Problem(
        (
            Activity("a", 3, uses={"saw": 2}, deadline=5),
            Activity("b", 3, uses={"saw": 1}, deadline=5),
            Activity("c", 9, uses={"saw": 1}),
        ),
        (Resource("saw", 2, ((40, 50),)),),
        name="two in five",
    )
    assert find_clash(problem) == ""
    with pytest.raises(InfeasibleProblem) as refused:
        solve(problem, cpu_s=5)
    assert str(refused.value) == (
        "problem 'two in five' has no schedule: these constraints clash: deadline of 'a' at 5; deadline of 'b' at 5; "
        "capacity 2 of 'saw'. Drop or loosen one of them"
    )


def test_what_is_not_narrowed_in_time_is_cut_short_and_still_clashes() -> None:
    pytest.importorskip("ortools")
    works = tuple(Activity(f"w{number}", 2, uses={"m": 1}, deadline=20) for number in range(14))
    problem = Problem(works, (Resource("m"),))
    with pytest.raises(InfeasibleProblem) as refused:
        raise clashing(problem, constraints_of(problem))
    assert "deadline of 'w11' at 20; and 3 more, as far as was found in time. Drop or" in str(refused.value)
    with pytest.raises(InfeasibleProblem, match="capacity 1 of 'm'"):
        solve(problem, cpu_s=20)


def test_an_error_of_a_clash_is_a_usage_error_that_no_retry_repeats() -> None:
    assert issubclass(InfeasibleProblem, UsageError)
