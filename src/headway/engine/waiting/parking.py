"""Parking: whether a run may be given back because it only waits, and until when.

A run that sleeps for a day, or waits for a person, needs no process. Its driver gives it back with the time at which something in
it happens by itself; whoever takes it up then, or when a signal comes, finds everything in the journal. It is what an interrupted
run does, at a moment that the driver chooses. So the moment must be one in which an interruption loses nothing: no body runs,
nothing is held that another would miss, and no clock ticks that only this process has.

`decide_parking` is the rule, from data to data. `Parking` looks at a run now and then and makes that data. Where it can't tell, the
run stays: a slot more is taken, and nothing goes wrong. It must never park a run whose code still does something, however that
code waits for it, so it counts: each task of the loop that waits for something unknown has to be a wait that the engine knows.
"""

from __future__ import annotations

import asyncio
import functools
import math
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from headway.engine.call import Call
from headway.engine.dispatch.ready import Ready
from headway.engine.run_context import RunContext
from headway.engine.scopes.scopes import Scopes
from headway.engine.transitions import FINISHING, OK, RESTING, RUNNING, STATES, WAITING
from headway.engine.waiting.signals import Signals
from headway.engine.waiting.until import JoinFuture
from headway.engine.waiting.waits import Waits
from headway.errors import HeadwayError
from headway.journal.owner import clock

LOOK_S = 1.0  # how often a run is looked at
SELDOM_S = 30.0  # how seldom at most, where it was found busy each time
CALM_S = 2.0  # how long nothing must have run before a run is parked
WORTH_S = 3.0  # a wait that is shorter is waited for here: to take a run up again costs more

Timer = asyncio.TimerHandle


class Park(NamedTuple):
    """A run may be given back until a time of the wall clock (None: until a signal comes); it has heard of the signals up to
    `heard`, and none of them is what it waits for."""

    until: float | None
    heard: int


class RunParked(HeadwayError):
    """The run was given back to its store because it only waits."""

    def __init__(self, run_id: str, until: float | None) -> None:
        super().__init__(f"run {run_id!r} is parked until {clock(until) if until is not None else 'it gets a signal'}")
        self.until = until


class Live(NamedTuple):
    """A call that has not ended, as far as parking minds."""

    what: str
    state: int
    waits: int = 0  # coroutines of it that wait for something in the engine
    follows: bool = False  # it waits for a call that is live itself: one of its inputs, or a child
    keeps: str = ""  # what it has that another process would not have


class Standing(NamedTuple):
    """A run at one moment. Times are in seconds from now."""

    calls: Sequence[Live]
    waiting: int  # tasks that wait for something which is no task or join
    busy: str = ""  # what else goes on, for people
    happens_in_s: Sequence[float] = ()  # when something in it happens by itself: sleeps, limits of waits, deadlines, retries


def decide_parking(standing: Standing) -> float | str:
    """After how many seconds a run that may be parked has to go on (inf: when it is told something), or why it may not be."""
    if standing.busy:
        return standing.busy
    for call in standing.calls:
        if call.keeps:
            return f"{call.what} {call.keeps}"
        if not (call.state == RESTING or call.follows or (call.state == RUNNING and call.waits)):
            return f"{call.what} is {STATES[call.state]}"
    if not standing.calls:
        return "it ends"
    if standing.waiting != sum(call.waits for call in standing.calls):
        return "code of it waits for something that is not durable"
    left_s = min(standing.happens_in_s, default=math.inf)
    return left_s if left_s >= WORTH_S else f"it goes on in {left_s:.3g} s"


class Parking:
    """Looks at a run and parks it when it may. On the engine's thread."""

    def __init__(
        self,
        run: RunContext,
        parts: tuple[Ready, Scopes, Signals, Waits],
        root: Call,
        park: Callable[[Park], None],
        outside: weakref.WeakSet[asyncio.Task[Any]],
    ) -> None:
        self._run, self._root, self._park = run, root, park
        self._ready, self._scopes, self._signals, self._waits = parts
        self._outside = outside  # tasks that are not the run's
        self._every_s = LOOK_S
        self._idle_since: float | None = None
        self._told = 0
        self._timer: Timer | None = None
        self._closed = False

    def start(self) -> None:
        """Look in a while."""
        self._timer = self._run.loop.call_later(self._every_s, self._run.world.after_ready, self._look)

    def close(self) -> None:
        """Look no more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        if self._closed or self._run.closing:
            return
        now, seq = self._run.loop.time(), self._run.journal.last_seq
        if not self._ready.idle or seq != self._told:
            self._idle_since, self._told, self._every_s = None, seq, LOOK_S
        elif self._idle_since is None:
            self._idle_since = now
        elif now - self._idle_since >= CALM_S and isinstance(decide_parking(self._stand()), float):
            self._ask()
            return
        elif now - self._idle_since >= CALM_S:
            self._every_s = min(2 * self._every_s, SELDOM_S)
        self.start()

    def _ask(self) -> None:
        """Have the store looked at once more: what the run waits for may be there."""
        if self._signals.look is None:
            self._park_if_idle()
            return
        self._signals.looking += 1
        self._signals.look(self._hear)

    def _hear(self) -> None:
        self._signals.looking -= 1
        self._run.world.after_ready(self._park_if_idle)

    def _park_if_idle(self) -> None:
        if self._closed or self._run.closing:
            return
        answer = decide_parking(self._stand())
        if isinstance(answer, float):
            self.close()
            self._park(Park(None if answer == math.inf else self._run.wall() + answer, self._signals.heard))
        else:
            self.start()

    # --- looking -----------------------------------------------------------------------------------------------------

    def _stand(self) -> Standing:
        run = self._run
        calls = list(_live_calls(self._root))
        tasks = [task for task in asyncio.all_tasks(run.loop) if task not in self._outside]
        waiting = _count_waits(tasks)
        busy = self._busy(tasks) if waiting is not None else "code of it is about to run"
        return Standing([self._describe(call) for call in calls], waiting or 0, busy, list(self._times(calls)))

    def _describe(self, call: Call) -> Live:
        x = call.x
        follows = any(each.state < OK for each in call.inputs) if call.state == WAITING else False
        if call.state == FINISHING:
            follows = bool(call.children)
        waits = x.parks if x is not None and call.state == RUNNING else 0
        return Live(call.describe(), call.state, waits, follows, self._keeps(call))

    def _keeps(self, call: Call) -> str:
        """What a call has that another process would not have."""
        x, spec = call.x, call.spec
        if x is None:
            return ""
        if x.stop is not None or x.halt is not None:
            return "is stopping, or shields code from that"
        if call.share is not None:
            return "computes what other runs wait for"
        if call.state == RESTING or call.state == WAITING:
            return ""
        if spec.effect:
            return "is an effect that has begun"
        if spec.pool != "inline" or spec.batch or spec.cost or x.charged:
            return "does work itself that would be done again"
        if x.held:
            return "holds a place in a limit, or a resource"
        if x.timer is not None:
            return "has a timeout, which counts here only"
        return "reads a value" if not self._waits.waits_for_news(call) and call.state == RUNNING else ""

    def _busy(self, tasks: Sequence[asyncio.Task[Any]]) -> str:
        ready, journal = self._ready, self._run.journal
        if ready.in_pools or ready.left_behind or ready.waiting or not ready.idle:
            return "a body runs, or waits for room"
        if self._signals.looking or journal.awaited:
            return "it waits for the store"
        if any(deadline.expired or deadline.left_s <= 0 for deadline in self._scopes.deadlines):
            return "a deadline is passing"
        timers = getattr(self._run.loop, "_scheduled", None)  # asyncio has no public way to them
        if timers is None:
            return "its event loop doesn't say which timers it has"
        foreign = next((timer for timer in timers if not timer.cancelled() and self._is_foreign(timer)), None)
        return f"a timer of its code goes on: {foreign!r:.200}" if foreign is not None else ""

    def _is_foreign(self, timer: Timer) -> bool:
        """Whether a timer is of the program's own making, such as that of `asyncio.timeout`: it would begin anew elsewhere."""
        callback: Any = timer._callback  # type: ignore[attr-defined]  # asyncio's own
        while isinstance(callback, functools.partial):
            callback = callback.func
        owner = getattr(callback, "__self__", None)
        if getattr(owner, "_task", None) in self._outside:
            return False
        module = str(getattr(callback, "__module__", None) or type(owner).__module__)
        if module == "asyncio.futures":  # a sleep: who waits for it was counted
            return False
        return not module.startswith("headway.")

    def _times(self, calls: Sequence[Call]) -> Iterator[float]:
        now = self._run.loop.time()
        for timer in self._scopes.resting.values():
            if timer is not None:
                yield timer.when() - now
        for call in calls:
            if call.state == RESTING and call.x is not None and call.x.timer is not None:
                yield call.x.timer.when() - now
        for deadline in self._scopes.deadlines:
            yield deadline.left_s


def _live_calls(root: Call) -> Iterator[Call]:
    """A call and all below it that have not ended."""
    stack = [root]
    while stack:
        call = stack.pop()
        if call.state < OK:
            yield call
            stack.extend(call.children or ())


def _count_waits(tasks: Sequence[asyncio.Task[Any]]) -> int | None:
    """How many tasks wait for something that is no join of others of these tasks; None where one is about to run."""
    known, count = set(tasks), 0
    for task in tasks:
        future = task._fut_waiter  # type: ignore[attr-defined]  # asyncio's own
        if future is None or future.done():
            return None
        if isinstance(future, JoinFuture) or future in known:
            continue
        parts = getattr(future, "_children", None)  # of asyncio.gather
        if not parts or not all(part.done() or part in known for part in parts):
            count += 1
    return count
