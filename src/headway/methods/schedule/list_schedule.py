"""List schedules: one activity after another, in the order of a rule.

    serial(problem, rules.CRITICAL_PATH)      # the next in the list goes where it fits first, also into gaps
    parallel(problem, rules.MDD)              # time moves on; whatever fits now starts now, the rule says who goes first
    schedule(problem)                         # the best of several rules; and where a deadline is missed, other lists

Both schemes (Kelley, 1963; Kolisch, 1996) keep every precedence, release, capacity, downtime and group that must be apart. A
deadline they can miss, because nothing that is placed is moved again; `schedule` tries until all are kept. A scheduler must never
say what is allowed: `check` does, and knows nothing of it.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from random import Random

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.schedule.check import measure
from headway.methods.schedule.clash import refuse_infeasible
from headway.methods.schedule.paths import latest_ends, tails
from headway.methods.schedule.problem import Problem, Schedule
from headway.methods.schedule.repair import keep_deadlines, lateness
from headway.methods.schedule.rules import CRITICAL_PATH, EDD, LATEST_START, LPT, MDD, MDDC, Ready, Rule, Scene
from headway.methods.schedule.timeline import Shop

OBJECTIVES = ("makespan", "total_tardiness", "weighted_tardiness")


class DeadlineMissed(UsageError):
    """No schedule that was tried keeps all deadlines. That proves nothing: `solve` finds one, or says what clashes."""


def serial(problem: Problem, rule: Rule = CRITICAL_PATH) -> Schedule:
    """Place activities one by one, each as early as it fits beside those that are placed.

    A rule that looks at the time is asked at the earliest time at which anything that is ready fits.

    Args:
        problem: what to schedule.
        rule: who is placed next, of those whose predecessors are placed.

    Returns:
        A schedule that keeps everything except, perhaps, deadlines.

    Raises:
        UsageError: the rule gives no number. `InfeasibleProblem` where constraints clash, as far as `find_clash` sees it.

    Example:
        >>> from headway.methods.schedule import Activity, Problem
        >>> problem = Problem((Activity("a", 2), Activity("b", 3, after=("a",)), Activity("c", 1)), apart=(("a", "c"),))
        >>> serial(problem).starts
        {'a': 0, 'b': 2, 'c': 2}
    """
    refuse_infeasible(problem)
    return _serial(problem, rule)


def parallel(problem: Problem, rule: Rule = CRITICAL_PATH) -> Schedule:
    """Let time move on, and start whatever fits, in the order of the rule: what a queue with free workers does.

    Args:
        problem: what to schedule.
        rule: who starts first, of those that fit now.

    Returns:
        A schedule that keeps everything except, perhaps, deadlines.

    Raises:
        UsageError: the rule gives no number. `InfeasibleProblem` where constraints clash, as far as `find_clash` sees it.

    Example:
        >>> from headway.methods.schedule import Activity, Problem
        >>> problem = Problem((Activity("a", 2), Activity("b", 3)), apart=(("a", "b"),))
        >>> parallel(problem, LPT).starts
        {'b': 0, 'a': 3}
    """
    refuse_infeasible(problem)
    return _parallel(problem, rule)


def schedule(
    problem: Problem,
    objective: str = "makespan",
    rules: Sequence[Rule] = (CRITICAL_PATH, LPT, EDD, MDD, MDDC, LATEST_START),
    tries: int = 2000,
    rng: Random | None = None,
) -> Schedule:
    """The best list schedule of several rules, with both schemes, that keeps all deadlines.

    Where no rule keeps them, other lists are tried: what is late, or what it waits for, moves forward.

    Args:
        problem: what to schedule.
        objective: what is to be small: "makespan", "total_tardiness" or "weighted_tardiness".
        rules: tried one by one.
        tries: how many other lists are tried at most, for deadlines alone.
        rng: where the moves come from; by default the same ones each time.

    Returns:
        A schedule that keeps everything.

    Raises:
        UsageError: there are no rules, or no such objective. `InfeasibleProblem` where constraints clash, as far as `find_clash`
            sees it. `DeadlineMissed` where all tries miss a deadline.

    Example:
        >>> from headway.methods.schedule import Activity, Problem
        >>> problem = Problem((Activity("a", 4), Activity("b", 1, deadline=2)), apart=(("a", "b"),))
        >>> schedule(problem).starts
        {'a': 1, 'b': 0}

    Source:
        Local search on activity lists: Kolisch and Hartmann, 1999; after the idea of.
    """
    check_objective("schedule", objective)
    settings.several("schedule", Rule, rules=rules)
    settings.whole_number("schedule", tries=tries)
    if not rules:
        raise UsageError("schedule: rules=(): give at least one rule")
    refuse_infeasible(problem)
    made = [scheme(problem, rule) for rule in rules for scheme in (_serial, _parallel)]
    best = min(made, key=lambda one: (lateness(problem, one), value_of(problem, one, objective)))
    if lateness(problem, best):
        best = keep_deadlines(problem, made, lambda line: _serial_list(problem, line), tries, rng or Random(0))
    if late := lateness(problem, best):
        said = f"none of {tries} lists keeps all deadlines, the best misses them by {late} in sum"
        raise DeadlineMissed(f"{said}: headway.methods.schedule.solve finds a schedule, or what clashes")
    return Schedule({each.name: best.starts[each.name] for each in problem.activities})


def check_objective(where: str, objective: str) -> None:
    """Raise UsageError where there is no such objective."""
    if objective not in OBJECTIVES:
        raise UsageError(f"{where}: objective={objective!r:.60}: one of {', '.join(OBJECTIVES)}")


def value_of(problem: Problem, made: Schedule, objective: str) -> int:
    """What a schedule is worth by one objective, the less the better."""
    found: int = getattr(measure(problem, made), objective)
    return found


def _serial(problem: Problem, rule: Rule) -> Schedule:
    views, shop, waits = views_of(problem), Shop(problem), [len(each) for each in problem.before]
    earliest = [each.release for each in problem.activities]
    starts: dict[str, int] = {}
    left = _Left(problem, views)
    scene = left.scene(0)
    heap = [(rule.rank(views[number], scene), number) for number, count in enumerate(waits) if not count]
    heapq.heapify(heap)
    while heap:
        if not rule.fixed:
            scene = left.scene(min(shop.next_fit(number, earliest[number]) for _, number in heap))
            heap = [(rule.rank(views[number], scene), number) for _, number in heap]
            heapq.heapify(heap)
        _, number = heapq.heappop(heap)
        each = problem.activities[number]
        start = shop.next_fit(number, earliest[number])
        shop.take(number, start)
        starts[each.name] = start
        left.drop(number)
        for other in problem.behind[number]:
            earliest[other] = max(earliest[other], start + each.duration)
            waits[other] -= 1
            if not waits[other]:
                heapq.heappush(heap, (rule.rank(views[other], scene), other))
    return Schedule(starts)


def _parallel(problem: Problem, rule: Rule) -> Schedule:
    views, shop, waits = views_of(problem), Shop(problem), [len(each) for each in problem.before]
    ready = {number: problem.activities[number].release for number, count in enumerate(waits) if not count}  # when it may start
    starts: dict[str, int] = {}
    left, now = _Left(problem, views), min(ready.values())
    while ready:
        fits = [number for number, time in ready.items() if time <= now]
        while fits:
            scene = left.scene(now)
            number = min(fits, key=lambda number: rule.rank(views[number], scene))
            fits.remove(number)
            each = problem.activities[number]
            time = ready[number] = shop.next_fit(number, now)
            if time > now:
                continue
            del ready[number]
            shop.take(number, now)
            starts[each.name] = now
            left.drop(number)
            for other in problem.behind[number]:
                waits[other] -= 1
                if not waits[other]:
                    done = (
                        starts[problem.activities[one].name] + problem.activities[one].duration for one in problem.before[other]
                    )
                    ready[other] = max(problem.activities[other].release, *done)
                    if ready[other] <= now:
                        fits.append(other)
        now = min(ready.values(), default=now)
    return Schedule(starts)


def views_of(problem: Problem) -> tuple[Ready, ...]:
    """What rules see of each activity, by number."""
    ahead, due, ends = tails(problem), latest_ends(problem, due=True), latest_ends(problem)
    return tuple(
        Ready(number, each.duration, due[number], ahead[number], ends[number] - each.duration, each.weight, each.uses)
        for number, each in enumerate(problem.activities)
    )


class _Left:
    """What has not started yet, for the scene of a rule."""

    def __init__(self, problem: Problem, views: Sequence[Ready]) -> None:
        self._views = views
        self._started = [False] * len(views)
        self._count, self._total = len(views), sum(each.duration for each in views)
        self._by_duration = sorted(
            range(len(views)), key=lambda number: views[number].duration
        )  # the longest is taken from the end
        self._by_due = sorted(range(len(views)), key=lambda number: -views[number].due)

    def drop(self, number: int) -> None:
        self._started[number] = True
        self._count -= 1
        self._total -= self._views[number].duration

    def scene(self, now: float) -> Scene:
        for line in (self._by_duration, self._by_due):
            while line and self._started[line[-1]]:
                line.pop()
        if not self._count:
            return Scene(now, 0, 0.0, 0.0)
        longest, due = self._views[self._by_duration[-1]].duration, self._views[self._by_due[-1]].due
        return Scene(now, self._count, longest, self._total, due)


def _serial_list(problem: Problem, line: Sequence[int]) -> Schedule:
    """The serial scheme in the order of a list."""
    places = {number: place for place, number in enumerate(line)}
    return _serial(problem, Rule("list", lambda each, scene: places[each.number], fixed=True))
