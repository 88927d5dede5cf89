"""A problem that makes no sense is refused when it is made, in a sentence that says what is wrong with what."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from headway.errors import UsageError
from headway.methods.schedule import Activity, Problem, Resource

NAN = float("nan")

SENSELESS: list[tuple[Callable[[], object], str]] = [
    (lambda: Problem(()), "problem: it has no activities"),
    (lambda: Problem((Activity("a", 1), Activity("a", 2)), name="p"), "problem 'p': activity 'a' is there twice"),
    (lambda: Problem((Activity("a", 1),), (Resource("m"), Resource("m"))), "resource 'm' is there twice"),
    (lambda: Problem((Activity("a", 1, after=("b",)),)), "activity 'a': after: there is no 'b'; there is 'a'"),
    (lambda: Problem((Activity("a", 1, uses={"saws": 1}),), (Resource("saw"),)), "did you mean 'saw'?"),
    (lambda: Problem((Activity("a", 1),), apart=(("a", "x"),)), "apart: there is no 'x'"),
    (lambda: Problem((Activity("a", 1),), apart=(("a", "a"),)), "at least two activities, each once"),
    (lambda: Problem(("a",)), "activities=('a',): a list of schedule.Activity"),  # type: ignore[arg-type]
    (lambda: Activity("", 1), "a name is a text that is not empty"),
    (lambda: Activity("a", -1), "Activity 'a': duration=-1: a whole number, at least 0"),
    (lambda: Activity("a", 1.5), "duration=1.5: a whole number"),  # type: ignore[arg-type]
    (lambda: Activity("a", NAN), "duration=nan: a whole number"),  # type: ignore[arg-type]
    (lambda: Activity("a", True), "duration=True: a whole number"),
    (lambda: Activity("a", 1, release=-2), "release=-2"),
    (lambda: Activity("a", 1, deadline=NAN), "deadline=nan"),  # type: ignore[arg-type]
    (lambda: Activity("a", 1, due=NAN), "due=nan"),  # type: ignore[arg-type]
    (lambda: Activity("a", 1, weight=-1), "weight=-1"),
    (lambda: Activity("a", 1, uses={"m": 0}), "uses['m']=0: a whole number, at least 1"),
    (lambda: Activity("a", 1, after="b"), "after='b': a tuple of names"),  # type: ignore[arg-type]
    (lambda: Resource("m", 0), "Resource 'm': capacity=0"),
    (lambda: Resource("m", 1, ((5, 5),)), "down=(5, 5): its end must be after its start"),
    (lambda: Resource("m", 1, ((-1, 5),)), "down from=-1"),
    (lambda: Resource("m", 1, (5,)), "down=5: a pair of times"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("make", "says"), SENSELESS, ids=[says for _, says in SENSELESS])
def test_what_makes_no_sense_is_refused(make: Callable[[], object], says: str) -> None:
    with pytest.raises(UsageError) as refused:
        make()
    assert says in str(refused.value)


def test_a_circle_is_shown_without_what_only_waits_for_it() -> None:
    ring = [Activity("a", 1, after=("c",)), Activity("b", 1, after=("a",)), Activity("c", 1, after=("b",))]
    with pytest.raises(UsageError) as refused:
        Problem((Activity("d", 1, after=("a",)), *ring))
    assert str(refused.value) == "problem: activities wait for each other in a circle: a after c after b after a"


def test_the_order_puts_everything_behind_what_it_waits_for() -> None:
    problem = Problem((Activity("c", 1, after=("b", "a")), Activity("b", 1, after=("a",)), Activity("a", 1)))
    assert [problem.activities[number].name for number in problem.order] == ["a", "b", "c"]
    assert problem.before == ((1, 2), (2,), ())
    assert problem.behind == ((), (0,), (0, 1))
