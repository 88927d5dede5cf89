"""From a journal to a workload: what each program waited for before it made each call.

The journal says when a call was made, started and ended, not what was awaited. Time says it nearly always: a program that makes a
call after other calls of its own have ended was waiting for them. The rule, for the calls of one parent in the order of time:

- Calls made with no sibling's end in between are one batch.
- A batch waited for all siblings that ended since the batch before it was made. So after a `gather` the next calls wait for all of
  it; in twenty chains side by side, and where twenty calls are kept going, each end lets one more call be made.
- Calls of one task are alike: what waited for the fifth end of a `search` waits for the fifth end of any `search`. A program that
  takes what ends first (`as_completed`, a window of so many at a time) does that, and one that waits for all can't tell.
- Between the last of those ends and the making, the parent's own code ran: that is the lag, and it stays.
- What ended after the last batch was awaited at the end, and the rest of the parent's time is its tail.

The time between a call's making and its start was waiting, for inputs (which are recorded by key) or for room: left out. A
cancelled call is nobody's cause; it is stopped when the sibling ends after whose end it was cancelled.

Where this errs: a program that waits for x, makes a call, waits for y and makes another, in one coroutine, is taken for two chains.
The second call may then come earlier in a trial than it could in truth, where x takes long and y does not.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from headway.errors import UsageError
from headway.journal.open import open_to_read
from headway.journal.records import COSTED, Kind, Row
from headway.journal.recovery.recovered import decode_outcome
from headway.journal.store import Store
from headway.observe.reading import build_run
from headway.observe.recorded import Call, RecordedRun, State
from headway.sim.predict.workload import POOLS, THREADS, WORTH_WORKERS, Batch, Ends, Law, Program, Sample, Work, Workload

MOMENT_S = 1e-3  # less than this is the event loop's own time: it goes on before another call gets the room that an end left
_KIND = COSTED - 1


def read_workload(run_id: str, store: str | Store = ".headway") -> Workload:
    """Read the workload of a recorded run: done, failed, or cut off (then it is what is there).

    Args:
        run_id: the run.
        store: where it is.

    Returns:
        Its calls, with what each waited for, how long it took and what it cost.

    Raises:
        UnknownRun: the store has no such run.
        StoreDamaged: a record can't be read.
        UsageError: no call of the run has finished.

    Example:
        >>> @hw.task
        ... async def double(x: int) -> int:
        ...     return 2 * x
        >>> store = hw.MemoryStore()
        >>> hw.run(double, 21, store=store, run_id="answer")
        42
        >>> from headway.sim.predict import predict
        >>> predict(read_workload("answer", store), workers=64, trials=1).workers
        64
    """
    opened = open_to_read(store)
    try:
        info = opened.run(run_id)
        rows = list(opened.rows(info.uid))
    finally:
        if opened is not store:
            opened.close()
    return infer(build_run(info, rows), find_made_times(rows))


def find_made_times(rows: Iterable[tuple[int, Row]]) -> dict[bytes, float]:
    """When each recorded call was made; calls recorded without it are left out."""
    found = {}
    for _, row in rows:
        if row.kind & _KIND == Kind.OUTCOME and (made := decode_outcome(row.body).made):
            found[row.key] = made
    return found


def infer(recorded: RecordedRun, made: Mapping[bytes, float]) -> Workload:
    """Infer the workload of a recorded run. Raises UsageError where no call has finished."""
    return Reading(recorded, made).workload()


class _Times(NamedTuple):
    made: float
    ended: float  # inf where it had not ended


class Reading:
    """A recorded run on its way to a workload. `numbers` says which call is which."""

    def __init__(self, recorded: RecordedRun, made: Mapping[bytes, float]) -> None:
        self.recorded = recorded
        self.made = made
        self.tasks: dict[str, int] = {}
        self.notes: list[str] = []
        self.laws: dict[str, Law] = {}
        self.numbers: dict[bytes, int] = {}
        self.times: dict[bytes, _Times] = {}

    def workload(self) -> Workload:
        recorded = self.recorded
        if not any(call.state is State.OK for call in recorded.calls.values()):
            raise UsageError(f"run {recorded.info.spec.run_id!r} has no finished calls: there is nothing to predict from")
        self._find_laws()
        kept = self._kept()
        self.numbers = {key: number for number, key in enumerate(kept)}
        self._find_times(kept)
        calls = tuple(self._work(recorded.calls[key]) for key in kept)
        pool = self._pool()
        self._remark(kept, pool)
        laws = tuple(self.laws.get(task) for task in self.tasks)
        return Workload(recorded.info.spec.run_id, tuple(self.tasks), laws, calls, pool, self._room(pool), tuple(self.notes))

    # --- which calls, and how long they take -------------------------------------------------------------------------

    def _leaves(self) -> list[Call]:
        return [call for call in self.recorded.calls.values() if call.started and not self.recorded.children.get(call.key)]

    def _find_laws(self) -> None:
        """The recorded times of each task: those of calls that succeeded at once, or else what there is."""
        first: dict[str, list[Sample]] = {}
        others: dict[str, list[Sample]] = {}
        for call in self._leaves():
            if call.state in (State.OK, State.FAILED) and not self._is_borrowed(call):
                attempts = max(1, call.attempts)
                sample = Sample(max(0.0, call.ended - call.started) / attempts, _share(call.cost, attempts))
                into = first if call.state is State.OK and attempts == 1 else others
                into.setdefault(call.task, []).append(sample)
        for task in first.keys() | others.keys():
            self.laws[task] = Law(task, tuple(first.get(task) or others[task]))

    def _is_borrowed(self, call: Call) -> bool:
        """Whether it was answered with the result of an equal call (`cache="forever"`), here or in another run: it took no time."""
        spec = self.recorded.info.spec
        answered = call.state is State.OK and not call.started
        return answered or (call.is_over and call.ended < spec.created and not spec.forked_from)

    def _kept(self) -> list[bytes]:
        """Calls that are work, parents before their children."""
        kept, stack, dropped = [], [self.recorded.root], 0
        while stack:
            key = stack.pop()
            call, children = self.recorded.calls[key], self.recorded.children.get(key, ())
            known = (call.is_over and call.started) or call.task in self.laws
            if key != self.recorded.root and not children and (not known or self._is_borrowed(call)):
                dropped += not call.is_over
                continue
            kept.append(key)
            stack.extend(reversed(children))
        if dropped:
            self.notes.append(f"{dropped:,} calls that never ended are left out: no call of their task has finished")
        return kept

    def _find_times(self, kept: list[bytes]) -> None:
        """When each call was made and ended; a caller's time covers that of its calls, which may be from an earlier drive."""
        for key in reversed(kept):
            call = self.recorded.calls[key]
            made = self.made.get(key) or call.started or call.ended or self.recorded.until
            ended = call.ended if call.is_over else float("inf")
            below = [self.times[child] for child in self.recorded.children.get(key, ()) if child in self.numbers]
            made = min([made, *(times.made for times in below)])
            self.times[key] = _Times(made, max([ended, made, *(times.ended for times in below if times.ended < float("inf"))]))

    def _work(self, call: Call) -> Work:
        task = self._task(call)
        inputs = tuple(self.numbers[edge] for edge in call.edges if self._is_input(edge))
        children = [child for child in self.recorded.children.get(call.key, ()) if child in self.numbers]
        if children:
            return Work(task, _pool_of(call), inputs, self._program(call, children))
        if call.state is State.CANCELLED:
            fixed = Sample(max(0.0, call.ended - call.started), call.cost)
            return Work(task, _pool_of(call), inputs, fixed=fixed)
        attempts = max(1, call.attempts) if call.is_over else 1
        fixed_or_law = None if call.task in self.laws else Sample(0.0, call.cost)
        return Work(task, _pool_of(call), inputs, attempts=attempts, fixed=fixed_or_law)

    def _is_input(self, edge: bytes) -> bool:
        return edge in self.numbers and self.recorded.calls[edge].state is not State.CANCELLED

    # --- programs ----------------------------------------------------------------------------------------------------

    def _program(self, call: Call, children: list[bytes]) -> Program:
        """What the call's own code did: see the top of this file."""
        began = call.started or self.times[call.key].made
        children.sort(key=self._place_in_line)
        ends: list[tuple[float, int, bytes]] = []
        counts: Counter[int] = Counter()
        batches: list[_Open] = []
        ignored = {child for child in children if self._is_ignored(child)}
        for place, child in enumerate(children):
            made, ended = self.times[child]
            waited = self._ended_by(ends, made)
            if waited or not batches:
                since = max([began, *(self.times[key].ended for key in waited)])
                batches.append(_Open(self._count(counts, waited), _lag(made - since), made, []))
            batches[-1].makes.append((child, made - batches[-1].made))
            if child not in ignored:
                heapq.heappush(ends, (ended, place, child))
        last = self._ended_by(ends, float("inf"))
        return Program(
            tuple(Batch(batch.after, batch.lag_s, _at_once(self.numbers, batch.makes)) for batch in batches),
            self._count(counts, last),
            self._tail(call, began, children),
            self._stops(children),
            frozenset(self.numbers[child] for child in ignored),
            call.cost,
        )

    def _place_in_line(self, key: bytes) -> tuple[float, float, int]:
        """Calls in the order in which they were made; of those made at one moment, the one that started first was first."""
        call = self.recorded.calls[key]
        return self.times[key].made, call.started or float("inf"), call.seq

    def _is_ignored(self, child: bytes) -> bool:
        """Whether it was cancelled: its end is nobody's cause."""
        return self.recorded.calls[child].state is State.CANCELLED and not self.recorded.children.get(child)

    def _ended_by(self, ends: list[tuple[float, int, bytes]], time: float) -> list[bytes]:
        """Take out the calls that had ended by then."""
        found = []
        while ends and ends[0][0] <= time:
            found.append(heapq.heappop(ends)[2])
        return found

    def _count(self, counts: Counter[int], ended: list[bytes]) -> Ends:
        """Count these ends; how many there are by now of each of their tasks."""
        tasks = [self._task(self.recorded.calls[key]) for key in ended]
        counts.update(tasks)
        return tuple((task, counts[task]) for task in sorted(set(tasks)))

    def _task(self, call: Call) -> int:
        return self.tasks.setdefault(call.task or "not named", len(self.tasks))

    def _stops(self, children: list[bytes]) -> dict[int, tuple[int, ...]]:
        """Cancelled calls by the sibling after whose end they were stopped."""
        calls = self.recorded.calls
        causes = sorted((self.times[key].ended, self.numbers[key]) for key in children if calls[key].state is not State.CANCELLED)
        stops: dict[int, list[int]] = {}
        for child in children:
            if self._is_ignored(child):
                if place := bisect_right(causes, (self.times[child].ended, len(self.numbers))):
                    stops.setdefault(causes[place - 1][1], []).append(self.numbers[child])
        return {cause: tuple(stopped) for cause, stopped in stops.items()}

    def _tail(self, call: Call, began: float, children: list[bytes]) -> float:
        if not call.is_over:
            return 0.0
        known = [self.times[child] for child in children]
        latest = max([began, *(t.made for t in known), *(t.ended for t in known if t.ended < float("inf"))])
        return _lag(call.ended - latest)

    # --- pools -------------------------------------------------------------------------------------------------------

    def _pool(self) -> str:
        """Whose calls occupy workers: processes, else threads, else the loop; the first with a part of the time to speak of."""
        seconds: defaultdict[str, float] = defaultdict(float)
        for call in self._leaves():
            if call.key in self.numbers and call.is_over:
                seconds[_pool_of(call)] += max(0.0, call.ended - call.started)
        total = sum(seconds.values())
        return next((pool for pool in POOLS if seconds[pool] and seconds[pool] >= WORTH_WORKERS * total), "inline")

    def _room(self, pool: str) -> dict[str, int | None]:
        """How many calls of the other pools may run at a time: threads as by default, processes as many as ran."""
        room: dict[str, int | None] = {}
        for other in ("process", "thread"):
            if other != pool:
                spans = [(c.started, c.ended) for c in self._leaves() if _pool_of(c) == other and c.is_over]
                room[other] = max(most_at_once(spans), THREADS if other == "thread" else 1)
        return room

    def _remark(self, kept: list[bytes], pool: str) -> None:
        calls = [self.recorded.calls[key] for key in kept]
        if unfinished := sum(not call.is_over for call in calls):
            self.notes.append(
                f"the run is not finished: {unfinished:,} of its calls had not ended, and what they had not called is unknown"
            )
        if any(call.is_over and call.started and call.key not in self.made for call in calls):
            self.notes.append(
                "it was recorded without the times at which calls were made: waiting for room is taken for a part of the program"
            )
        if pool == "inline":
            self.notes.append("no calls to speak of ran in a pool: a call on the event loop that calls nothing occupies a worker")


class _Open(NamedTuple):
    """A batch while it is read."""

    after: Ends
    lag_s: float
    made: float
    makes: list[tuple[bytes, float]]


def _at_once(numbers: Mapping[bytes, int], makes: list[tuple[bytes, float]]) -> tuple[tuple[int, float], ...]:
    """Calls by number; those that follow each other within a moment were made together."""
    found: list[tuple[int, float]] = []
    at = 0.0
    for key, gap in makes:
        if gap - at > MOMENT_S:
            at = gap
        found.append((numbers[key], at))
    return tuple(found)


def _lag(seconds: float) -> float:
    return seconds if seconds > MOMENT_S else 0.0


def _pool_of(call: Call) -> str:
    return call.pool if call.pool in POOLS else "inline"


def _share(cost: Mapping[str, float], attempts: int) -> dict[str, float]:
    return {unit: amount / attempts for unit, amount in cost.items()}


def most_at_once(spans: Iterable[tuple[float, float]]) -> int:
    """How many of the spans there were at the same time, at most.

    >>> most_at_once([(0, 2), (1, 3), (2, 4)])
    2
    """
    edges = sorted(edge for began, ended in spans for edge in ((began, 1), (ended, -1)))
    now = most = 0
    for _, change in edges:
        now += change
        most = max(most, now)
    return most
