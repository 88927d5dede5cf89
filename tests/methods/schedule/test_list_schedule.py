"""List schedules keep everything but, perhaps, deadlines, and `schedule` keeps these as well on every step of the ramp."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scheduling import changed, least, problems

from headway.errors import UsageError
from headway.methods.schedule import (
    RULES,
    Activity,
    DeadlineMissed,
    InfeasibleProblem,
    Problem,
    Resource,
    Rule,
    Schedule,
    check,
    lower_bound,
    measure,
    parallel,
    ramp,
    schedule,
    serial,
)
from headway.methods.schedule.repair import lateness
from headway.methods.schedule.rules import LATEST_START

rules = st.sampled_from(list(RULES.values()))


@settings(max_examples=50)
@given(problems(), rules)
def test_both_schemes_keep_everything(problem: Problem, rule: Rule) -> None:
    for scheme in (serial, parallel):
        made = scheme(problem, rule)
        assert check(problem, made) == ()
        assert lower_bound(problem) <= measure(problem, made).makespan <= problem.horizon


def test_an_activity_starts_when_all_that_it_uses_is_free_at_once() -> None:
    """The first resource is free at 0 and down when the second is free, at 2."""
    resources = (Resource("first", down=((3, 6),)), Resource("second", down=((0, 2),)))
    problem = Problem((Activity("a", 3, uses={"first": 1, "second": 1}),), resources)
    assert [scheme(problem).starts for scheme in (serial, parallel)] == [{"a": 6}, {"a": 6}]


@settings(max_examples=50)
@given(problems(), rules)
def test_nothing_can_start_earlier_than_the_serial_scheme_has_it(problem: Problem, rule: Rule) -> None:
    made = serial(problem, rule)
    for each in problem.activities:
        for start in range(made.starts[each.name]):
            assert check(problem, Schedule({**made.starts, each.name: start}))


@settings(max_examples=50)
@given(problems(), rules)
def test_the_parallel_scheme_never_lets_wait_what_fits(problem: Problem, rule: Rule) -> None:
    """At the time at which something could have started beside all that had started by then, it had started."""
    made = parallel(problem, rule)
    for each in problem.activities:
        for moment in range(made.starts[each.name]):
            begun = [one for one in problem.activities if made.starts[one.name] <= moment]
            names = {one.name for one in begun} | {each.name}
            if not set(each.after) <= names:
                continue
            part = Problem(
                tuple(one for one in problem.activities if one.name in names),
                problem.resources,
                tuple(some for group in problem.apart if len(some := tuple(name for name in group if name in names)) > 1),
            )
            starts = {one.name: made.starts[one.name] for one in begun} | {each.name: moment}
            assert check(part, Schedule(starts)), f"{each.name} could have started at {moment}"


@settings(max_examples=60)
@given(problems(5))
def test_some_list_is_best_and_no_rule_is_better(problem: Problem) -> None:
    best = least(problem, "makespan")
    assert best is not None
    assert best <= measure(problem, schedule(problem)).makespan


@pytest.mark.parametrize("seed", range(8))
def test_every_step_of_the_ramp_is_kept(seed: int) -> None:
    for step in ramp(seed):
        assert check(step.problem, schedule(step.problem)) == (), step.problem.name


def test_the_ramp_is_too_hard_for_a_single_rule() -> None:
    missed = [
        rule.name
        for rule in RULES.values()
        if all(lateness(step.problem, serial(step.problem, rule)) == 0 for seed in range(8) for step in ramp(seed))
    ]
    assert missed == []


@settings(max_examples=60)
@given(problems(5, deadlines=True))
def test_deadlines_are_kept_or_said_to_be_missed(problem: Problem) -> None:
    try:
        made = schedule(problem, tries=300)
    except (InfeasibleProblem, DeadlineMissed) as error:
        if isinstance(error, InfeasibleProblem):
            assert least(problem, "makespan") is None
    else:
        assert check(problem, made) == ()


def test_moves_build_on_each_other_where_one_is_not_enough() -> None:
    problem = ramp(2003, 30)[11].problem
    assert check(problem, schedule(problem, tries=500)) == ()


TIGHT = Problem(
    (Activity("a", 4, uses={"m": 1}), Activity("b", 1, uses={"m": 1}, deadline=4), Activity("c", 3, uses={"m": 1}, deadline=4)),
    (Resource("m"),),
)


def test_a_deadline_is_kept_by_what_moves_forward() -> None:
    fifo = Rule("in order", lambda each, scene: 0.0, fixed=True)
    assert lateness(TIGHT, serial(TIGHT, fifo)) == 5
    with pytest.raises(DeadlineMissed, match="none of 0 lists keeps all deadlines, the best misses them by 5"):
        schedule(TIGHT, rules=[fifo], tries=0)
    assert check(TIGHT, schedule(TIGHT, rules=[fifo])) == ()


def test_what_cannot_be_kept_is_said_and_points_to_the_solver() -> None:
    hopeless = changed(TIGHT, "a", deadline=7)
    with pytest.raises(DeadlineMissed, match="schedule, or what clashes"):
        schedule(hopeless)


def test_a_schedule_is_the_same_each_time() -> None:
    for step in ramp(1003)[8:]:
        assert schedule(step.problem) == schedule(step.problem)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"objective": "cost"}, "objective='cost': one of makespan, total_tardiness, weighted_tardiness"),
        ({"rules": ()}, r"rules=\(\): give at least one rule"),
        ({"rules": [min]}, r"rules=\[<built-in function min>\]: a list of schedule.Rule"),
        ({"tries": -1}, "tries=-1: a whole number, at least 0"),
    ],
)
def test_senseless_settings_are_refused(settings: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        schedule(TIGHT, **settings)  # type: ignore[arg-type]


def test_the_objective_is_what_is_small() -> None:
    problem = Problem(
        (Activity("a", 9, uses={"m": 1}, due=30), Activity("b", 1, uses={"m": 1}, due=1), Activity("c", 9, after=("a",), due=30)),
        (Resource("m"),),
    )
    assert measure(problem, schedule(problem)).makespan == 18
    assert measure(problem, schedule(problem, "total_tardiness")).total_tardiness == 0
    assert LATEST_START.fixed
