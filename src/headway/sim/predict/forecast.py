"""Predicting: many trials of one workload, what they have in common, and what other numbers of workers would do.

How many trials there are follows from the number of calls alone, never from the clock, so that the same seed gives the same
prediction on every machine: 5 where there are 100,000 calls, 200 where there are few. Where chance has no part there is one. Trials
are independent, so where they take long they are spread over the machine's cores.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from headway.engine.dispatch.order import Order
from headway.errors import UsageError
from headway.sim.predict.answer import Chance, Ordered, Point, Prediction, Spread, chance, compare_orders, spread
from headway.sim.predict.bounds import longest_path
from headway.sim.predict.trial import Conditions, Trial, draw_trial, play
from headway.sim.predict.workers import expected_attempts
from headway.sim.predict.workload import Workload

MOST_TRIALS, LEAST_TRIALS = 200, 5
CALLS = 300_000  # in all trials together
PATH_CALLS = 100_000  # in all longest paths together
CURVE_TRIALS, CURVE_CALLS = 20, 30_000  # for each number of workers on the curve
MOST_POINTS, FEW_POINTS = 9, 4
LARGE = 20_000  # calls of a workload whose curve has few points
ALIKE = 1.25  # numbers of workers closer than this tell nothing new
MOST_WORKERS = 100_000
PAYS = 100_000  # calls to be simulated, from where processes of their own are worth their start
_GUARD = 'predict starts processes: put it under `if __name__ == "__main__":`, or say processes=1'


class PlannedTrial(NamedTuple):
    """One trial to be played."""

    conditions: Conditions
    seed: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What `predict` was asked, checked."""

    conditions: Conditions
    within_s: float | None
    budget: dict[str, float]
    trials: int | None
    seed: int
    curve: Sequence[int] | None
    processes: int | None
    orders: Mapping[str, Order] = field(default_factory=dict)

    def __post_init__(self) -> None:
        conditions = self.conditions
        _check("workers", conditions.workers, 1 <= conditions.workers <= MOST_WORKERS, f"a whole number from 1 to {MOST_WORKERS:,}")
        _check("mtbf_s", conditions.mtbf_s, conditions.mtbf_s is None or _is_positive(conditions.mtbf_s), "seconds, above zero")
        _check(
            "repair_s", conditions.repair_s, conditions.repair_s == 0 or _is_positive(conditions.repair_s), "seconds, zero or more"
        )
        _check("within_s", self.within_s, self.within_s is None or _is_positive(self.within_s), "seconds, above zero")
        _check("trials", self.trials, self.trials is None or self.trials >= 1, "a whole number, at least 1")
        _check("processes", self.processes, self.processes is None or self.processes >= 1, "a whole number, at least 1")
        for name, order in self.orders.items():
            _check(f"order {name}", order, callable(order), "a function of the calls that wait, which gives each a number")
        for unit, amount in self.budget.items():
            _check(f"budget of {unit}", amount, amount == 0 or _is_positive(amount), "an amount, zero or more")
        for workers in self.curve or ():
            _check("curve", workers, 1 <= workers <= MOST_WORKERS, f"numbers of workers, from 1 to {MOST_WORKERS:,}")


def _check(name: str, value: object, good: bool, what: str) -> None:
    if not good:
        raise UsageError(f"{name} = {value!r}: {what}")


def _is_positive(value: float) -> bool:
    return 0 < value < float("inf")


def predict(
    workload: Workload,
    *,
    workers: int,
    mtbf_s: float | None = None,
    repair_s: float = 30.0,
    within_s: float | None = None,
    budget: Mapping[str, float] | None = None,
    trials: int | None = None,
    seed: int = 0,
    curve: Sequence[int] | None = None,
    processes: int | None = None,
    orders: Mapping[str, Order] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Prediction:
    """Predict how long a workload takes on `workers` workers, and what it costs.

    mtbf_s: a worker's mean time between failures in seconds; None: workers never fail. repair_s: how long until it is back.
    within_s: seconds it should take; the prediction says with what chance it will.
    budget: amounts it should not pass, by unit, such as `{"tokens": 1e6}`; the prediction says with what chance it won't. It stops
        nothing: a trial that passes it goes on.
    trials: how many; by default 5 to 200, fewer for more calls. seed: the same seed gives the same prediction.
    curve: other numbers of workers to compare; by default powers of two around `workers`. `()` for none.
    processes: over how many processes to spread trials; by default one per core where it pays. on_progress: is told (done, all).
    orders: other orders of the calls that wait (`headway.Order`), by names for the answer, to be compared on the same trials. No
        deadlines are simulated, so a rule that goes by them takes what comes first.

    Raises UsageError for what makes no sense, and where workers fail so often that calls can't end.

    Example:
        >>> from headway.sim.predict import Stage, estimate_workload, predict
        >>> answer = predict(estimate_workload([Stage("search", 100, 2.0)]), workers=8)
        >>> answer.makespan_s.p50, answer.longest_path_s, answer.work_s
        (26.0, 2.0, 200.0)

    Source:
        The bootstrap is B. Efron's (Ann. Statist. 7, 1979); bounds R. L. Graham's (SIAM J. Appl. Math. 17, 1969); intervals E. B.
        Wilson's (J. Am. Stat. Assoc. 22, 1927).
    """
    options = Options(
        conditions=Conditions(workers=workers, mtbf_s=mtbf_s, repair_s=repair_s),
        within_s=within_s,
        budget={unit: float(amount) for unit, amount in (budget or {}).items()},
        trials=trials,
        seed=seed,
        curve=curve,
        processes=processes,
        orders=dict(orders or {}),
    )
    _check_hope(workload, options.conditions)
    asked = _plan_trials(workload, options)
    played = _play_all(workload, asked, options, on_progress or (lambda _done, _all: None))
    return _answer(workload, options, played)


def _check_hope(workload: Workload, conditions: Conditions) -> None:
    """Refuse workers that fail before they can end anything, before it takes for ever to find out."""
    if conditions.mtbf_s is not None:
        calls = workload.on_workers
        attempts = expected_attempts(workload, conditions.mtbf_s)
        if attempts > 50 * len(calls) + 10_000:
            longest = max((law.mean_s for law in workload.laws if law is not None), default=0.0)
            raise UsageError(
                f"workers that fail every {conditions.mtbf_s:g} s would need {attempts:.2g} attempts for {len(calls):,} calls, "
                f"some of which take {longest:g} s and more: calls this long can't end on workers like these"
            )


# --- which trials ------------------------------------------------------------------------------------------------------


def _plan_trials(workload: Workload, options: Options) -> list[PlannedTrial]:
    """Plan all trials, those of the asked conditions first."""
    conditions, calls = options.conditions, len(workload.calls)
    certain = workload.is_certain and conditions.mtbf_s is None
    trials = 1 if certain else options.trials or min(MOST_TRIALS, max(LEAST_TRIALS, CALLS // calls))
    asked = [PlannedTrial(conditions, (options.seed, number)) for number in range(trials)]
    for order in options.orders.values():
        asked += [PlannedTrial(replace(conditions, order=order), (options.seed, number)) for number in range(trials)]
    each = 1 if certain else min(trials, CURVE_TRIALS, max(1, CURVE_CALLS // calls))
    ladder = list(options.curve) if options.curve is not None else default_curve(conditions.workers, workload)
    for workers in sorted(set(ladder) - {conditions.workers}):
        other = Conditions(workers=workers, mtbf_s=conditions.mtbf_s, repair_s=conditions.repair_s)
        asked += [PlannedTrial(other, (options.seed, number)) for number in range(each)]
    return asked


def default_curve(workers: int, workload: Workload) -> list[int]:
    """Powers of two from 1 to about four times the asked number, and no further than there are calls; where that is many, the
    nearest.

    >>> from headway.sim.predict.workload import Stage, estimate_workload
    >>> default_curve(6, estimate_workload([Stage("search", 1000, 1.0)]))
    [1, 2, 4, 8, 16]
    """
    calls = len(workload.on_workers)
    ladder = [2**power for power in range(18) if 2**power <= 4 * workers and 2**power < 2 * calls]
    ladder = [other for other in ladder if not workers / ALIKE < other < workers * ALIKE]
    most = FEW_POINTS if len(workload.calls) > LARGE else MOST_POINTS
    nearest = sorted(ladder, key=lambda other: max(other / workers, workers / other))
    return sorted(nearest[:most])


# --- playing them ------------------------------------------------------------------------------------------------------


def _play_all(
    workload: Workload, asked: list[PlannedTrial], options: Options, on_progress: Callable[[int, int], None]
) -> dict[PlannedTrial, Trial]:
    played: dict[PlannedTrial, Trial] = {}
    on_progress(0, len(asked))
    for trial, result in _results(workload, asked, options.processes):
        played[trial] = result
        on_progress(len(played), len(asked))
    return played


def _results(workload: Workload, asked: list[PlannedTrial], processes: int | None) -> Iterator[tuple[PlannedTrial, Trial]]:
    if processes is None:
        processes = _cores() if len(asked) * len(workload.calls) >= PAYS else 1
    processes = min(processes, len(asked))
    if processes > 1:
        yield from _spread(workload, asked, processes)
        return
    for trial in asked:
        yield trial, play(workload, trial.conditions, trial.seed)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _spread(workload: Workload, asked: list[PlannedTrial], processes: int) -> Iterator[tuple[PlannedTrial, Trial]]:
    """Trials in processes of their own. They are spawned, not forked: a fork would copy whatever threads were in the middle of."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise UsageError(_GUARD)
    spawn = multiprocessing.get_context("spawn")
    packed = pickle.dumps(workload, protocol=pickle.HIGHEST_PROTOCOL)
    with ProcessPoolExecutor(processes, spawn, initializer=_take, initargs=(packed,)) as pool:
        futures = {pool.submit(_play_taken, trial): trial for trial in asked}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool as error:
            raise UsageError(f"a process that played a trial died: there may be too little memory, or {_GUARD}") from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


_taken: list[Workload] = []  # in a process that plays trials: the workload it was started with


def _take(packed: bytes) -> None:
    _taken[:] = [pickle.loads(packed)]


def _play_taken(trial: PlannedTrial) -> Trial:
    return play(_taken[0], trial.conditions, trial.seed)


# --- what they say -----------------------------------------------------------------------------------------------------


def _answer(workload: Workload, options: Options, played: Mapping[PlannedTrial, Trial]) -> Prediction:
    points: dict[int, list[Trial]] = {}
    conditions = options.conditions
    for trial in sorted(played, key=lambda trial: (trial.conditions.workers, trial.seed)):
        if trial.conditions.order is conditions.order:
            points.setdefault(trial.conditions.workers, []).append(played[trial])
    trials = points[conditions.workers]
    certain = workload.is_certain and conditions.mtbf_s is None
    here = _point(conditions.workers, trials)
    in_time = sum(t.makespan_s <= options.within_s for t in trials) if options.within_s is not None else 0
    in_budget = {unit: sum(t.cost.get(unit, 0.0) <= most for t in trials) for unit, most in options.budget.items()}
    return Prediction(
        name=workload.name,
        calls=len(workload.calls),
        calls_on_workers=len(workload.on_workers),
        pool=workload.pool,
        workers=conditions.workers,
        mtbf_s=conditions.mtbf_s,
        repair_s=conditions.repair_s,
        trials=len(trials),
        seed=options.seed,
        certain=certain,
        makespan_s=here.makespan_s,
        makespans_s=tuple(t.makespan_s for t in trials),
        cost=here.cost,
        utilisation=here.utilisation,
        lost_calls=here.lost_calls,
        longest_path_s=_mean_path(workload, options, 1 if certain else len(trials)),
        work_s=workload.work_s,
        within_s=options.within_s,
        chance_in_time=_chance(in_time, len(trials), certain) if options.within_s is not None else None,
        budget=options.budget,
        chance_in_budget={unit: _chance(held, len(trials), certain) for unit, held in in_budget.items()},
        curve=tuple(_point(workers, points[workers]) for workers in sorted(points)) if len(points) > 1 else (),
        orders=tuple(_compare_order(name, order, options, played) for name, order in options.orders.items()),
        notes=workload.notes,
    )


def _compare_order(name: str, order: Order, options: Options, played: Mapping[PlannedTrial, Trial]) -> Ordered:
    conditions = replace(options.conditions, order=order)
    seeds = sorted(trial.seed for trial in played if trial.conditions == conditions)
    plain, ordered = ([played[PlannedTrial(each, seed)].makespan_s for seed in seeds] for each in (options.conditions, conditions))
    return compare_orders(name, plain, ordered)


def _mean_path(workload: Workload, options: Options, trials: int) -> float:
    """The longest path on average, over the same draws as the first trials."""
    number = min(trials, max(1, PATH_CALLS // len(workload.calls)))
    drawn = (draw_trial(workload, (options.seed, trial)) for trial in range(number))
    return sum(longest_path(workload, [sample.seconds for sample in samples]) for samples in drawn) / number


def _chance(held: int, trials: int, certain: bool) -> Chance:
    return chance(held, trials, certain=certain)


def _point(workers: int, trials: Sequence[Trial]) -> Point:
    units = dict.fromkeys(unit for trial in trials for unit in trial.cost)
    had = sum(trial.makespan_s for trial in trials) * workers
    return Point(
        workers=workers,
        trials=len(trials),
        makespan_s=spread([trial.makespan_s for trial in trials]),
        cost={unit: _spread_of(unit, trials) for unit in units},
        utilisation=sum(trial.busy_s for trial in trials) / had if had else 0.0,
        lost_calls=spread([float(trial.lost) for trial in trials]),
    )


def _spread_of(unit: str, trials: Sequence[Trial]) -> Spread:
    return spread([trial.cost.get(unit, 0.0) for trial in trials])
