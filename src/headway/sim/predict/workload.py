"""What a run has to do, without when it did it: the calls, how long each takes, what it costs, and what its making waited for.

A record says when things happened, and that depends on how many workers there were. A workload keeps only what does not: a call's
own code takes so long; its program made it so long after those calls had ended; it needs these results. Waiting for room is not
in it, so more workers make it disappear and fewer make it longer.

A call that called nothing takes time from the law of its task, drawn anew in every trial: one of the recorded times (with the cost
that went with it), or an estimate. A call that called others is a `Program`: its own stretches of code, as they were recorded.

Pure data, in seconds and amounts; it can be pickled, so that trials can run in other processes.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from headway.errors import UsageError
from headway.journal.records import Amounts

POOLS = ("process", "thread", "inline")
THREADS = 32  # the threads of a run, unless it says otherwise
NOTHING: Mapping[Any, Any] = {}
WORTH_WORKERS = 0.05  # a pool with less than this part of the time is not what somebody asks workers for


class Sample(NamedTuple):
    """One call's own time and what it cost."""

    seconds: float
    cost: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimated duration: log-normal with this mean and standard deviation, in seconds."""

    mean_s: float
    sd_s: float = 0.0

    def __post_init__(self) -> None:
        if not (0.0 <= self.mean_s < math.inf and 0.0 <= self.sd_s < math.inf) or (self.sd_s and not self.mean_s):
            raise UsageError(f"an estimate of {self.mean_s!r} s ± {self.sd_s!r} s: both are numbers, zero or more")

    def draw(self, choice: random.Random) -> float:
        if not self.sd_s:
            return self.mean_s
        spread = math.log1p((self.sd_s / self.mean_s) ** 2)
        return choice.lognormvariate(math.log(self.mean_s) - spread / 2, math.sqrt(spread))


@dataclass(frozen=True, slots=True)
class Law:
    """How long calls of a task take that call nothing, and what they cost. Never empty."""

    task: str
    samples: tuple[Sample, ...]
    estimate: Estimate | None = None  # takes the place of the recorded times, not of the costs

    @property
    def mean_s(self) -> float:
        return self.estimate.mean_s if self.estimate else sum(s.seconds for s in self.samples) / len(self.samples)

    @property
    def is_certain(self) -> bool:
        """Whether every draw gives the same."""
        first = self.samples[0]
        times = not self.estimate.sd_s if self.estimate else all(s.seconds == first.seconds for s in self.samples)
        return times and all(s.cost == first.cost for s in self.samples)

    def drawing(self, choice: random.Random) -> Callable[[], Sample]:
        """Draws for one trial. The trial first draws a record of its own from the record (with replacement), then each call from
        that: a few measurements make a wide forecast (Efron, The Annals of Statistics 7, 1979)."""
        if self.is_certain:
            seconds = self.estimate.mean_s if self.estimate else self.samples[0].seconds
            always = Sample(seconds, self.samples[0].cost)
            return lambda: always
        number, draw = len(self.samples), choice.random
        again = choice.choices(self.samples, k=number)
        if (estimate := self.estimate) is None:
            return lambda: again[int(draw() * number)]
        return lambda: Sample(estimate.draw(choice), again[int(draw() * number)].cost)


Ends = tuple[tuple[int, int], ...]
"""Of the calls that a program made, how many of each task had ended: `((3, 12),)` is after the twelfth end of a call of task 3."""


class Batch(NamedTuple):
    """Calls that a program made without waiting in between: after so many ends of its calls, when it had worked for `lag_s`."""

    after: Ends
    lag_s: float
    makes: tuple[tuple[int, float], ...]  # each call, and how long after the first of the batch it was made


class Program(NamedTuple):
    """The own code of a call that called others."""

    batches: tuple[Batch, ...]
    last: Ends = ()  # what it waited for at its end
    tail_s: float = 0.0  # what it worked after that
    stops: Mapping[int, tuple[int, ...]] = NOTHING  # calls that were cancelled when another ended, such as the losers of a race
    ignored: frozenset[int] = frozenset()  # calls whose end is nobody's cause: those that were cancelled
    cost: Mapping[str, float] = NOTHING  # its own


class Work(NamedTuple):
    """One call. The call with number 0 is the root."""

    task: int  # the number of its law, or of its name among `tasks`
    pool: str  # where its code runs: "process", "thread" or "inline"
    inputs: tuple[int, ...] = ()  # calls whose results it got by handle
    program: Program | None = None  # None: it called nothing, and takes what its law says
    attempts: int = 1  # how many of those, one after the other
    fixed: Sample | None = None  # what it takes where no law says it


@dataclass(frozen=True, slots=True)
class Workload:
    """Calls to be made, as `read_workload` finds them in a journal or `estimate_workload` makes them from numbers.

    `room` says how many calls of a pool may run at a time where nothing else does (None: any number); `pool` is the one whose
    calls occupy workers.

    Example:
        >>> work = estimate_workload([Stage("search", 100, 2.0, cost={"tokens": 500}), Stage("rank", 1, 10.0, after=("search",))])
        >>> len(work.calls), work.pool, work.work_s
        (102, 'process', 210.0)
    """

    name: str
    tasks: tuple[str, ...]
    laws: tuple[Law | None, ...]  # one for each task; None where all its calls are programs or fixed
    calls: tuple[Work, ...]
    pool: str
    room: Mapping[str, int | None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # what a reader has to know of how it was found

    @property
    def is_certain(self) -> bool:
        """Whether trials can differ only by failures of workers."""
        return all(law is None or law.is_certain for law in self.laws)

    @property
    def on_workers(self) -> list[int]:
        """The calls that occupy a worker for as long as they take."""
        return [number for number, call in enumerate(self.calls) if call.program is None and call.pool == self.pool]

    @property
    def work_s(self) -> float:
        """The seconds that workers are needed for, on average, when none fails."""
        times = mean_times(self)
        return sum(times[number] for number in self.on_workers)

    def with_pool(self, pool: str) -> Workload:
        """The same, with another pool to occupy workers. Raises UsageError where nothing runs in it."""
        if not any(call.pool == pool and call.program is None for call in self.calls):
            found = sorted({call.pool for call in self.calls if call.program is None})
            raise UsageError(f"{self.name} has no calls in pool {pool!r} that could occupy workers; it has {', '.join(found)}")
        return replace(self, pool=pool)

    def with_estimates(self, estimates: Mapping[str, Estimate]) -> Workload:
        """The same, with estimated durations for some tasks. Raises UsageError for a task that it doesn't have."""
        laws = list(self.laws)
        for name, estimate in estimates.items():
            found = [i for i, task in enumerate(self.tasks) if name in (task, task.rpartition(".")[2]) and laws[i] is not None]
            if not found:
                known = ", ".join(task for i, task in enumerate(self.tasks) if laws[i] is not None)
                raise UsageError(
                    f"{self.name} has no calls of {name!r} whose duration could be estimated; it has {known or 'none'}"
                )
            for i in found:
                law = laws[i]
                assert law is not None
                laws[i] = replace(law, estimate=estimate)
        return replace(self, laws=tuple(laws))


def mean_times(workload: Workload) -> list[float]:
    """What each call that calls nothing takes on average, in seconds; 0 for a caller."""
    means = [law.mean_s if law is not None else 0.0 for law in workload.laws]
    return [
        0.0 if call.program is not None else call.fixed.seconds if call.fixed is not None else means[call.task] * call.attempts
        for call in workload.calls
    ]


def draw_all(workload: Workload, choice: random.Random) -> list[Sample]:
    """What each call takes and costs in one trial. The draws don't depend on how many workers there are, so two numbers of workers
    can be compared on the same draws."""
    drawings = [law.drawing(choice) if law is not None else None for law in workload.laws]
    nothing = Sample(0.0, {})
    drawn: list[Sample] = []
    for call in workload.calls:
        drawing = drawings[call.task]
        if call.program is not None:
            drawn.append(Sample(0.0, call.program.cost) if call.program.cost else nothing)
        elif call.fixed is not None or drawing is None:
            drawn.append(call.fixed or nothing)
        elif call.attempts == 1:
            drawn.append(drawing())
        else:
            drawn.append(_together([drawing() for _ in range(call.attempts)]))
    return drawn


def _together(samples: Sequence[Sample]) -> Sample:
    cost: Amounts = {}
    for sample in samples:
        for unit, amount in sample.cost.items():
            cost[unit] = cost.get(unit, 0.0) + amount
    return Sample(sum(sample.seconds for sample in samples), cost)


# --- from estimates ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stage:
    """Equal calls that are made when all calls of the stages `after` have ended.

    `seconds` and `spread_s` are the mean and the standard deviation of one call's time, `cost` what one call costs.
    """

    task: str
    calls: int
    seconds: float
    spread_s: float = 0.0
    cost: Mapping[str, float] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    pool: str = "process"

    def __post_init__(self) -> None:
        if self.calls < 1:
            raise UsageError(f"stage {self.task!r} has {self.calls!r} calls: a whole number, at least 1")
        if self.pool not in POOLS:
            raise UsageError(f"stage {self.task!r}: pool={self.pool!r} is none of {', '.join(map(repr, POOLS))}")


def estimate_workload(stages: Iterable[Stage], *, name: str = "an estimate") -> Workload:
    """Make a workload from estimates: a root that makes the calls of each stage.

    Raises UsageError for a stage that comes after one that is not before it in the list, and for two stages of one name.
    """
    listed = list(stages)
    if not listed:
        raise UsageError("an estimate needs at least one stage")
    calls: list[Work] = []
    places: dict[str, int] = {}
    laws: list[Law | None] = [None]
    batches = []
    for place, stage in enumerate(listed, 1):
        if unknown := [task for task in stage.after if task not in places]:
            raise UsageError(f"stage {stage.task!r} comes after {unknown[0]!r}, which is not before it in the list")
        if stage.task in places:
            raise UsageError(f"there are two stages {stage.task!r}: give each its own name")
        places[stage.task] = place
        made = range(len(calls) + 1, len(calls) + 1 + stage.calls)
        cost = {unit: float(amount) for unit, amount in stage.cost.items()}
        laws.append(Law(stage.task, (Sample(stage.seconds, cost),), Estimate(stage.seconds, stage.spread_s)))
        calls += [Work(place, stage.pool)] * stage.calls
        after = tuple((places[task], listed[places[task] - 1].calls) for task in stage.after)
        batches.append(Batch(after, 0.0, tuple((number, 0.0) for number in made)))
    last = tuple((place, stage.calls) for place, stage in enumerate(listed, 1))
    root = Work(0, "inline", program=Program(tuple(batches), last))
    tasks = ("root", *(stage.task for stage in listed))
    pool = next(pool for pool in POOLS if any(stage.pool == pool for stage in listed))
    return Workload(name, tasks, tuple(laws), (root, *calls), pool, {"thread": THREADS})
