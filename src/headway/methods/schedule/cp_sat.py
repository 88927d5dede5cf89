"""Optimal schedules, bounds, and proofs that there is no schedule, from the solver CP-SAT of OR-tools (extra `solvers`).

    found = cp_sat.solve(problem, cpu_s=30, start=list_schedule.schedule(problem))
    found.value, found.bound, found.is_optimal

`solve` blocks and computes, so a program calls it in a task with `pool="process"`: then a deadline or a cancellation ends it. With
one worker and a limit of `work`, equal questions get equal answers on every machine; with a limit in seconds, an answer depends on
how fast the machine is. It must never return what the checker refuses.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from headway.errors import UsageError
from headway.extras import explain_missing
from headway.methods import settings
from headway.methods.schedule.check import check
from headway.methods.schedule.clash import Constraint, clashing, constraints_of, find_clash, refuse_infeasible, relax
from headway.methods.schedule.list_schedule import check_objective, value_of
from headway.methods.schedule.paths import earliest_starts, latest_ends
from headway.methods.schedule.problem import Problem, Schedule

if TYPE_CHECKING:
    from ortools.sat.python.cp_model import CpModel, CpSolver, IntVar

_LARGEST = 2**53  # a sum of weighted times that the solver takes
_LOOK_S = 0.05  # how often the clock of a search is looked at
_SHARE = 1 / 20  # of the limits of a search that each question gets, when it is asked why there is no schedule


class _Limits(NamedTuple):
    """What a search may take; see `solve`."""

    wall_s: float | None
    cpu_s: float | None
    work: float | None


@dataclass(frozen=True, slots=True)
class Solved:
    """What the solver found.

    Attributes:
        schedule: the best schedule; None where it found none in time.
        value: what it is worth by the objective.
        bound: no schedule is better than this.
        cpu_s: the processor time of the search, in seconds, over all workers.
        wall_s: how long it took.
    """

    schedule: Schedule | None
    value: int | None
    bound: int
    cpu_s: float
    wall_s: float

    @property
    def is_optimal(self) -> bool:
        """Whether no schedule is better."""
        return self.value is not None and self.value <= self.bound


def solve(
    problem: Problem,
    objective: str = "makespan",
    *,
    wall_s: float | None = None,
    cpu_s: float | None = None,
    work: float | None = None,
    workers: int = 1,
    seed: int = 0,
    start: Schedule | None = None,
) -> Solved:
    """Search for the best schedule until it is proven, or a limit is reached.

    Args:
        problem: what to schedule.
        objective: what is to be small: "makespan", "total_tardiness" or "weighted_tardiness".
        wall_s: seconds it may take; None for no limit. At least one of the three limits must be given.
        cpu_s: seconds of processor time that this process may take: a busy machine gives it the same as a quiet one.
        work: what it may do by the solver's own count, the same on every machine; a unit takes one to several seconds.
        workers: strategies side by side, each in a thread. One worker takes turns between them, and alone answers the same each
            time; 8 find better schedules of large problems, even on one core.
        seed: of the solver's choices.
        start: a schedule to begin with, such as a list schedule. It is returned where none better is found.

    Returns:
        The best schedule, its value and a bound.

    Raises:
        UsageError: OR-tools is missing, a setting is senseless, or `start` breaks a constraint. `InfeasibleProblem` where there is
            no schedule; its message names constraints that clash.

    Example:
        >>> from headway.methods.schedule import Activity, Problem
        >>> problem = Problem((Activity("a", 4, due=4), Activity("b", 1, due=1)), apart=(("a", "b"),))
        >>> found = solve(problem, "total_tardiness", cpu_s=10)
        >>> found.value, found.bound, found.schedule.starts
        (1, 1, {'a': 1, 'b': 0})

    Source:
        CP-SAT: Perron and Didier, OR-tools; the model is the usual one of intervals.
    """
    limits = _Limits(wall_s, cpu_s, work)
    _check("solve", problem, objective, limits, workers, seed, start)
    model, starts = _model(problem)
    aim = _aim(model, problem, starts, objective)
    model.minimize(aim)
    if start is not None:
        for each, variable in zip(problem.activities, starts, strict=True):
            model.add_hint(variable, start.starts[each.name])
        model.add(aim <= value_of(problem, start, objective))
    status, solver, cpu, wall = _search(model, limits, workers, seed)
    if status == "INFEASIBLE":
        raise clashing(problem, _smallest_clash(problem, _Limits(*(limit and limit * _SHARE for limit in limits))))
    bound = max(0, round(solver.best_objective_bound))
    made = start
    if status in ("OPTIMAL", "FEASIBLE"):
        made = Schedule({each.name: solver.value(var) for each, var in zip(problem.activities, starts, strict=True)})
    if made is None:
        return Solved(None, None, bound, cpu, wall)
    _refuse_broken(problem, made)
    return Solved(made, value_of(problem, made, objective), bound, cpu, wall)


def explain(
    problem: Problem, *, wall_s: float | None = None, cpu_s: float | None = None, work: float | None = None
) -> tuple[Constraint, ...]:
    """Find constraints that clash: relaxed to them alone, the problem has no schedule, and without any one of them it has.

    Args:
        problem: one that may have no schedule.
        wall_s: seconds that each of the questions to the solver may take; None for no limit.
        cpu_s: the same in processor time.
        work: the same in the solver's own count. Where a question is not answered within these limits, its constraints stay, so the
            set still clashes but may hold more than it must.

    Returns:
        The constraints; none where the problem has a schedule, or the solver can't tell in time.

    Raises:
        UsageError: OR-tools is missing, or a setting is senseless.

    Example:
        >>> from headway.methods.schedule import Activity, Problem
        >>> tight = Problem((Activity("a", 4, deadline=5), Activity("b", 2, deadline=5), Activity("c", 9)), apart=(("a", "b"),))
        >>> [each.text for each in explain(tight, cpu_s=10)]
        ["deadline of 'a' at 5", "deadline of 'b' at 5", "'a', 'b' apart"]

    Source:
        QuickXplain: Junker, 2004.
    """
    limits = _Limits(wall_s, cpu_s, work)
    _check("explain", problem, "makespan", limits, 1, 0, None)

    return _smallest_clash(problem, limits) if _clashes(problem, constraints_of(problem), limits) else ()


def _smallest_clash(problem: Problem, limits: _Limits) -> tuple[Constraint, ...]:
    """Constraints that clash and of which none can be left out, of a problem that has no schedule."""
    every = constraints_of(problem)
    found = set(_quick_explain(lambda some: _clashes(problem, some, limits), [], list(every), is_new=False))
    return tuple(each for each in every if each in found)


def _clashes(problem: Problem, some: Sequence[Constraint], limits: _Limits) -> bool:
    """Whether these constraints alone leave no schedule, as far as it is proven within the limits."""
    part = relax(problem, some)
    return bool(find_clash(part)) or _search(_model(part)[0], limits, 1, 0)[0] == "INFEASIBLE"


def _refuse_broken(problem: Problem, made: Schedule) -> None:
    """The model and the checker must agree on what is allowed."""
    if broken := check(problem, made):
        raise AssertionError(f"CP-SAT broke {len(broken)} constraints of {problem.name!r}: {broken[0].text}")


def _quick_explain(
    clash: Callable[[Sequence[Constraint]], bool], base: list[Constraint], rest: list[Constraint], *, is_new: bool
) -> list[Constraint]:
    """A smallest part of `rest` that clashes together with `base`; `is_new`: whether `base` has grown since it was last tried."""
    if is_new and clash(base):
        return []
    if len(rest) == 1:
        return rest
    half = len(rest) // 2
    first, second = rest[:half], rest[half:]
    of_second = _quick_explain(clash, base + first, second, is_new=True)
    return _quick_explain(clash, base + of_second, first, is_new=bool(of_second)) + of_second


def _check(
    where: str,
    problem: Problem,
    objective: str,
    limits: _Limits,
    workers: int,
    seed: int,
    start: Schedule | None,
) -> None:
    with explain_missing(f"headway.methods.schedule.{where}"):
        from ortools.sat.python import cp_model  # noqa: F401
    check_objective(where, objective)
    settings.at_least_one(where, workers=workers)
    settings.whole_number(where, seed=seed)
    given = {name: value for name, value in limits._asdict().items() if value is not None}
    settings.number(where, 0.0, above=True, **given)
    if not given:
        raise UsageError(f"{where}: give wall_s=, cpu_s= or work=: without a limit it may search for years")
    if len(problem) * problem.horizon * max(1, *(each.weight for each in problem.activities)) > _LARGEST:
        raise UsageError(f"{where}: times up to {problem.horizon:,} are too large for the solver: count them in a larger unit")
    if where == "solve":
        refuse_infeasible(problem)
    if start is not None and (broken := check(problem, start)):
        raise UsageError(f"{where}: start= breaks {len(broken)} constraints, such as: {broken[0].text}")


def _model(problem: Problem) -> tuple[CpModel, list[IntVar]]:
    """The problem as the solver has it: a start and an interval for each activity."""
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    first, last = earliest_starts(problem), latest_ends(problem)
    starts, spans = [], []
    for number, each in enumerate(problem.activities):
        end = int(min(problem.horizon, last[number]))
        variable = model.new_int_var(first[number][0], end - each.duration, each.name)
        starts.append(variable)
        spans.append(model.new_fixed_size_interval_var(variable, each.duration, f"span of {each.name}"))
    for number, earlier in enumerate(problem.before):
        for other in earlier:
            model.add(starts[number] >= starts[other] + problem.activities[other].duration)
    for resource in problem.resources:
        every = [(number, each.duration, each.uses.get(resource.name, 0)) for number, each in enumerate(problem.activities)]
        users = [(number, amount) for number, duration, amount in every if duration and amount]
        down = [model.new_fixed_size_interval_var(span[0], span[1] - span[0], "down") for span in _merged(resource.down)]
        if resource.capacity == 1:
            model.add_no_overlap([*(spans[number] for number, _ in users), *down])
            continue
        amounts = [*(amount for _, amount in users), *[resource.capacity] * len(down)]
        model.add_cumulative([*(spans[number] for number, _ in users), *down], amounts, resource.capacity)
    for group in problem.apart:
        numbers = [problem.numbers[name] for name in group]
        model.add_no_overlap([spans[number] for number in numbers if problem.activities[number].duration])
    return model, starts


def _merged(spans: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The same downtimes without overlaps: two at once would count twice."""
    ordered = sorted(spans)
    while ordered:
        start, end = ordered.pop(0)
        while ordered and ordered[0][0] <= end:
            end = max(end, ordered.pop(0)[1])
        yield start, end


def _aim(model: CpModel, problem: Problem, starts: Sequence[IntVar], objective: str) -> Any:
    """What the solver makes small."""
    if objective == "makespan":
        last = model.new_int_var(0, problem.horizon, "makespan")
        for number, each in enumerate(problem.activities):
            if not problem.behind[number]:
                model.add(last >= starts[number] + each.duration)
        return last
    terms = []
    for number, each in enumerate(problem.activities):
        if each.due is not None:
            tardy = model.new_int_var(0, max(0, problem.horizon - each.due), f"tardiness of {each.name}")
            model.add(tardy >= starts[number] + each.duration - each.due)
            terms.append(tardy * (each.weight if objective == "weighted_tardiness" else 1))
    return sum(terms)


def _search(model: CpModel, limits: _Limits, workers: int, seed: int) -> tuple[str, CpSolver, float, float]:
    """Ask the solver: the name of its status, itself with what it found, and the seconds of processor time and of the clock."""
    from ortools.sat.python import cp_model

    solver = cp_model.CpSolver()
    solver.parameters.num_workers = workers
    solver.parameters.random_seed = seed % (1 << 31)
    if workers == 1:
        solver.parameters.interleave_search = True
    if limits.wall_s is not None:
        solver.parameters.max_time_in_seconds = limits.wall_s
    if limits.work is not None:
        solver.parameters.max_deterministic_time = limits.work
    cpu, wall = time.process_time(), time.perf_counter()
    with _stop_at(solver, limits.cpu_s):
        status = solver.solve(model)
    return solver.status_name(status), solver, time.process_time() - cpu, time.perf_counter() - wall


@contextmanager
def _stop_at(solver: CpSolver, cpu_s: float | None) -> Iterator[None]:
    """Stop the solver when it has used this much processor time: it has no such limit of its own, and no hook that is called
    regularly. The thread ends with the block."""
    if cpu_s is None:
        yield
        return
    end, done = time.process_time() + cpu_s, threading.Event()

    def watch() -> None:
        while not done.wait(_LOOK_S):
            if time.process_time() >= end:
                solver.stop_search()  # again and again: one that comes before the search has begun is not heard

    watcher = threading.Thread(target=watch, name="cp_sat limit", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
