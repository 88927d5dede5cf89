"""Problems from files and from seeds: read whole or refused, equal for equal seeds, and feasible where that is promised."""

from __future__ import annotations

from itertools import pairwise

import pytest

from headway.errors import UsageError
from headway.methods.schedule import (
    Activity,
    Problem,
    check,
    job_shop,
    load_classic,
    lower_bound,
    measure,
    ramp,
    read_job_shop,
    read_psplib,
    schedule,
    serial,
    tardiness,
)
from headway.methods.schedule.clash import constraints_of
from headway.methods.schedule.instances.classic import texts
from headway.methods.schedule.instances.formats import SMALL

PROJECT = """************************************************************************
file with basedata            : small.bas
************************************************************************
projects                      :  1
jobs (incl. supersource/sink ):  5
horizon                       :  20
RESOURCES
  - renewable                 :  2   R
  - nonrenewable              :  0   N
  - doubly constrained        :  0   D
************************************************************************
PROJECT INFORMATION:
pronr.  #jobs rel.date duedate tardcost  MPM-Time
    1      3      0       9        1        9
************************************************************************
PRECEDENCE RELATIONS:
jobnr.    #modes  #successors   successors
   1        1          2           2   3
   2        1          1           4
   3        1          1           5
   4        1          1           5
   5        1          0
************************************************************************
REQUESTS/DURATIONS:
jobnr. mode duration  R 1  R 2
------------------------------------------------------------------------
  1      1     0       0    0
  2      1     3       2    0
  3      1     4       2    1
  4      1     2       0    1
  5      1     0       0    0
************************************************************************
RESOURCEAVAILABILITIES:
  R 1  R 2
    3    1
************************************************************************
"""


def test_a_project_of_psplib_is_read() -> None:
    problem = read_psplib(PROJECT, "small")
    assert problem["4"] == Activity("4", 2, ("2",), {"R2": 1})
    assert problem["5"].after == ("3", "4")
    assert {each.name: each.capacity for each in problem.resources} == {"R1": 3, "R2": 1}
    made = schedule(problem)
    assert check(problem, made) == ()
    assert measure(problem, made).makespan == 9  # 2 and 3 share R1, then 4


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("jobs (incl. supersource/sink ):  3", "", "PSPLIB file 'p': no number of jobs"),
        ("nonrenewable              :  0", "nonrenewable              :  2", "resources that are not renewable"),
        ("   2        1          1           3", "   2        3          1           3", "line 8: job 2 has 3 modes"),
        ("   2        1          1           3", "   2        1          2           3", "line 8: job 2 has 2 successors"),
        ("   2        1          1           3", "   2        1          1           9", "successors from 1 to 3, not [9]"),
        ("  2      1     4       2", "  2      1     4", "line 13: 3 numbers: a job, its mode, a duration and 1 amounts"),
        ("  3      1     0       0", "", "section REQUESTS/DURATIONS has 2 of 3 rows"),
        ("RESOURCEAVAILABILITIES", "SOMETHING", "there is no section RESOURCEAVAILABILITIES"),
        ("   3\n", "   3   4\n", "2 capacities for 1 resources"),
        ("  2      1     4       2", "  2      1     x       2", "line 13: '2 1 x 2': whole numbers"),
    ],
)
def test_a_broken_file_of_psplib_is_refused_with_its_line(old: str, new: str, says: str) -> None:
    assert old in SMALL
    with pytest.raises(UsageError) as refused:
        read_psplib(SMALL.replace(old, new, 1) if old != "   3\n" else SMALL[: -len(old)] + new, "p")
    assert says in str(refused.value)


def test_a_job_shop_is_read() -> None:
    problem = read_job_shop("# tiny\n2 2\n0 3 1 2\n\n1 4 0 1\n")
    assert [each.name for each in problem.activities] == ["0.0", "0.1", "1.0", "1.1"]
    assert problem["0.1"] == Activity("0.1", 2, ("0.0",), {"m1": 1})
    assert measure(problem, schedule(problem)).makespan == 6


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "job shop 'p': the first line must have the numbers of jobs and machines"),
        ("2 2\n0 3 1 2\n", "1 lines for 2 jobs"),
        ("1 2\n0 3 1\n", "line 2: 2 pairs of a machine (0 to 1) and a duration"),
        ("1 2\n0 3 2 1\n", "line 2: 2 pairs of a machine (0 to 1)"),
        ("1 2\n0 3 1 nan\n", "line 2: '0 3 1 nan': whole numbers"),
        ("1 1\n0 -3\n", "Activity '0.0': duration=-3"),
    ],
)
def test_a_broken_job_shop_is_refused_with_its_line(text: str, says: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_job_shop(text, "p")
    assert says in str(refused.value)


def test_all_classic_job_shops_are_there_with_bounds_that_hold() -> None:
    assert len(texts()) == 162
    kinds = [name.rstrip("0123456789") for name in texts()]
    assert {kind: kinds.count(kind) for kind in kinds} == {"abz": 5, "ft": 3, "la": 40, "orb": 10, "swv": 20, "yn": 4, "ta": 80}
    assert sum(best == bound for best, bound, _ in texts().values()) == 130
    for name in ("ft06", "abz5", "la40", "swv20", "yn1", "ta01"):
        instance = load_classic(name)
        assert lower_bound(instance.problem) <= instance.bound <= instance.best
        assert instance.best <= measure(instance.problem, serial(instance.problem)).makespan
    with pytest.raises(UsageError, match="no classic job shop 'ft6'; did you mean 'ft06'"):
        load_classic("ft6")


@pytest.mark.parametrize("seed", range(5))
def test_each_step_of_a_ramp_has_all_of_the_step_before_and_keeps_its_witness(seed: int) -> None:
    steps = ramp(seed)
    assert [step.kind for step in steps] == [kind for kind in ("precedence", "downtime", "window", "apart") for _ in range(4)]
    for step in steps:
        assert check(step.problem, step.witness) == ()
    for before, after in pairwise(steps):
        kept = {(each.kind, each.names, each.place) for each in constraints_of(before.problem)}
        if after.kind != "downtime":  # a downtime that comes earlier moves the others along
            assert kept <= {(each.kind, each.names, each.place) for each in constraints_of(after.problem)}
        assert len(constraints_of(after.problem)) > len(kept)
    assert ramp(seed) == steps
    assert ramp(seed + 100) != steps


@pytest.mark.parametrize("seed", range(5))
def test_no_precedence_of_a_ramp_follows_from_others(seed: int) -> None:
    problem = ramp(seed)[-1].problem
    assert sum(len(each.after) for each in problem.activities) == 30
    for each in problem.activities:
        for name in each.after:
            assert name not in {early for other in each.after if other != name for early in _all_before(problem, other)}


def _all_before(problem: Problem, name: str) -> set[str]:
    return {early for other in problem[name].after for early in {other, *_all_before(problem, other)}}


def test_due_dates_lie_where_tightness_and_spread_say() -> None:
    for tightness, spread in ((0.2, 0.4), (0.6, 0.8)):
        problem = tardiness(3, 200, tightness, spread)
        total = sum(each.duration for each in problem.activities)
        dues = [each.due or 0 for each in problem.activities]
        low, high = total * (1 - tightness - spread / 2), total * (1 - tightness + spread / 2)
        assert max(0, low) - 1 <= min(dues) < low + 0.1 * total
        assert high - 0.1 * total < max(dues) <= high + 1
        assert {each.duration for each in problem.activities} <= set(range(1, 101))


def test_a_generated_job_shop_visits_every_machine_once() -> None:
    problem = job_shop(1, 6, 4)
    for job in range(6):
        visited = [next(iter(problem[f"{job}.{place}"].uses)) for place in range(4)]
        assert sorted(visited) == ["m0", "m1", "m2", "m3"]
    assert job_shop(1, 6, 4) == problem
    assert job_shop(2, 6, 4) != problem


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ramp(0, activities=0), "ramp: activities=0"),
        (lambda: ramp(0, slack=float("nan")), "ramp: slack=nan"),
        (lambda: ramp(0, levels=-1), "ramp: levels=-1"),
        (lambda: tardiness(0, tightness=1.5), "tardiness: tightness=1.5"),
        (lambda: tardiness(0, spread=float("nan")), "tardiness: spread=nan"),
        (lambda: job_shop(0, jobs=0), "job_shop: jobs=0"),
    ],
)
def test_senseless_sizes_are_refused(make: object, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make()  # type: ignore[operator]
