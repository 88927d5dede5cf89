"""The checker finds whatever a schedule breaks, and measures what it is worth."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from scheduling import changed, problems

from headway.errors import UsageError
from headway.methods.schedule import Activity, Problem, Resource, Schedule, check, measure, serial

PROBLEM = Problem(
    (
        Activity("a", 2, uses={"m": 1}, deadline=6),
        Activity("b", 3, after=("a",), uses={"m": 2}, release=3),
        Activity("c", 2, uses={"m": 1}),
        Activity("d", 1),
    ),
    (Resource("m", 2, ((8, 10),)),),
    apart=(("c", "d"),),
)
GOOD = {"a": 0, "b": 3, "c": 0, "d": 2}


@pytest.mark.parametrize(
    ("starts", "kind", "says"),
    [
        ({"a": 5}, "deadline", "'a' ends at 7, after its deadline at 6"),
        ({"a": 3, "b": 4}, "precedence", "'b' starts at 4, before 'a' ends at 5"),
        ({"b": 2}, "release", "'b' starts at 2, before its release at 3"),
        ({"c": 4}, "capacity", "at 4, 'b', 'c' use 3 of 'm', which has 2"),
        ({"c": 9}, "downtime", "'c' uses 'm' from 9 to 11, which is down from 8 to 10"),
        ({"d": 1}, "apart", "'c' and 'd' must be apart"),
        ({"d": -1}, "time", "'d' starts at -1: a whole number, at least 0"),
        ({"d": 1.5}, "time", "'d' starts at 1.5: a whole number"),
        ({"d": float("nan")}, "time", "'d' starts at nan: a whole number"),
        ({"x": 1}, "unknown", "'x' is scheduled, and the problem has no such activity"),
    ],
)
def test_each_kind_of_violation_is_found(starts: dict[str, int], kind: str, says: str) -> None:
    assert check(PROBLEM, Schedule(GOOD)) == ()
    found = check(PROBLEM, Schedule(GOOD | starts))
    assert kind in {each.kind for each in found}
    assert any(says in each.text for each in found)


def test_what_is_missing_is_reported_and_never_measured() -> None:
    lost = Schedule({name: start for name, start in GOOD.items() if name != "b"})
    assert [each.kind for each in check(PROBLEM, lost)] == ["missing"]
    with pytest.raises(UsageError, match="no start for 'b'"):
        measure(PROBLEM, lost)


def test_values_are_those_of_the_definition() -> None:
    problem = Problem((Activity("a", 2, due=1, weight=3), Activity("b", 4, due=9), Activity("c", 1)))
    found = measure(problem, Schedule({"a": 0, "b": 6, "c": 2}))
    assert (found.makespan, found.total_tardiness, found.weighted_tardiness, found.late, found.most_tardy) == (10, 2, 4, 2, 1)


@settings(max_examples=50)
@given(problems())
def test_a_schedule_that_is_allowed_breaks_what_is_tightened_behind_it(problem: Problem) -> None:
    made = serial(problem)
    assert check(problem, made) == ()
    for each in problem.activities:
        start = made.starts[each.name]
        tight = changed(problem, each.name, release=start + 1)
        assert {violation.kind for violation in check(tight, made)} == {"release"}
        if start + each.duration:
            tight = changed(problem, each.name, deadline=start + each.duration - 1)
            assert {violation.kind for violation in check(tight, made)} == {"deadline"}


def test_an_activity_that_takes_no_time_is_in_nobodys_way() -> None:
    instant = Activity("i", 0, uses={"m": 1})
    problem = Problem((instant, Activity("a", 2, uses={"m": 1})), (Resource("m", 1, ((4, 6),)),), apart=(("i", "a"),))
    for moment in (0, 1, 2, 5):
        assert check(problem, Schedule({"a": 0, "i": moment})) == ()
