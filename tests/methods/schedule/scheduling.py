"""Small problems that tests draw, and the truth about them by trying everything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations

from hypothesis import strategies as st

from headway.methods.schedule import Activity, Problem, Resource, Schedule, check, measure
from headway.methods.schedule.timeline import Shop

LENGTHS, DUES = [10, 11, 10, 10, 11, 10], [15, 11, 13, 11, 12, 11]


def one_machine(durations: list[int], dues: list[int]) -> Problem:
    jobs = [
        Activity(f"j{number}", duration, uses={"m": 1}, due=due)
        for number, (duration, due) in enumerate(zip(durations, dues, strict=True))
    ]
    return Problem(tuple(jobs), (Resource("m"),))


@st.composite
def problems(draw: st.DrawFn, most: int = 7, *, deadlines: bool = False) -> Problem:
    """Problems of every kind: precedences, amounts, downtimes, releases, due dates, groups that must be apart."""
    count = draw(st.integers(1, most))
    times = st.integers(0, 6)
    spans = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 4)), max_size=2)
    resources = tuple(
        Resource(f"r{number}", draw(st.integers(1, 3)), tuple((start, start + lasts) for start, lasts in draw(spans)))
        for number in range(draw(st.integers(0, 2)))
    )
    activities = []
    for number in range(count):
        after = draw(st.sets(st.integers(0, number - 1), max_size=2)) if number else set()
        used = draw(st.sets(st.sampled_from(resources), max_size=2)) if resources else set()
        activities.append(
            Activity(
                f"a{number}",
                draw(times),
                tuple(f"a{other}" for other in sorted(after)),
                {each.name: draw(st.integers(1, each.capacity)) for each in sorted(used, key=lambda each: each.name)},
                release=draw(times),
                deadline=draw(st.none() | st.integers(4, 24)) if deadlines else None,
                due=draw(st.none() | st.integers(0, 20)),
                weight=draw(st.integers(0, 3)),
            )
        )
    groups = st.lists(st.sets(st.integers(0, count - 1), min_size=2, max_size=3), max_size=2) if count > 1 else st.just([])
    apart = tuple(tuple(f"a{number}" for number in sorted(group)) for group in draw(groups))
    return Problem(tuple(activities), resources, apart)


def every_active(problem: Problem) -> Iterator[Schedule]:
    """The schedules of all lists: one of them is best by any objective that only gets worse when something ends later."""
    for line in permutations(range(len(problem))):
        place = {number: at for at, number in enumerate(line)}
        if any(place[other] > place[number] for number in line for other in problem.before[number]):
            continue
        shop, starts = Shop(problem), dict[str, int]()
        for number in line:
            each = problem.activities[number]
            ended = (starts[name] + problem[name].duration for name in each.after)
            start = starts[each.name] = shop.next_fit(number, max(each.release, *ended, 0))
            shop.take(number, start)
        yield Schedule(starts)


def least(problem: Problem, objective: str) -> int | None:
    """The least value of an objective over all schedules; None where no schedule keeps everything."""
    kept = (made for made in every_active(problem) if not check(problem, made))
    return min((getattr(measure(problem, made), objective) for made in kept), default=None)


def changed(problem: Problem, name: str, **new: object) -> Problem:
    """The problem with another activity of this name."""
    return replace(problem, activities=tuple(replace(each, **new) if each.name == name else each for each in problem.activities))
