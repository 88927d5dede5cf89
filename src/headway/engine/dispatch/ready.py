"""The ready queue: which call starts next, when there is not room for all.

A call that needs nothing but the loop starts at once, up to `max_active` of them that are not parked and while the journal keeps
up; the rest wait in line. Calls that need a pool's slot, a limit or a resource wait in one queue per combination of these, ordered
by the longest path still ahead of them where durations are known, first come first served otherwise, or as the run's `order=` says
(`order.py`). Nothing polls: ends, freed slots, commits and timers (for rates) call `dispatch`. When a limit that processes share
lacks places, the desk asks the store for more, off the loop.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any

from headway.engine.call import NO_ITEMS, Call
from headway.engine.dispatch.order import Order, Ranks
from headway.engine.ports import Lender, Line, Starts
from headway.engine.run_context import RunContext
from headway.engine.scopes.bounds import Held, Limit, Resource, Wanted
from headway.engine.tasks.spec import TaskSpec
from headway.engine.transitions import READY, RESTING, RUNNING, STARTING
from headway.errors import ResourceUnavailable, UsageError

Signature = tuple[Any, ...]


class Ready:
    def __init__(
        self, run: RunContext, starts: Starts, resources: dict[str, int], max_active: int, order: Order | None = None
    ) -> None:
        self._run = run
        self._starts = starts
        self._pools = pools = run.pools
        self.desk: Lender | None = None  # of limits that processes share; none without a store
        self.line: Line  # of calls that wait for a budget; set by the engine, which makes both
        self.on_parked: Callable[[], None] | None = None  # called where less runs than before
        self._resources = {name: Resource(name, total) for name, total in resources.items()}
        self._max_active = max_active
        self._line: deque[Call] = deque()  # calls that need only the loop
        self._queues: dict[Signature, list[tuple[float, int, Call]]] = {}
        self._reentering: deque[tuple[Call, int, asyncio.Future[None]]] = deque()  # with the attempt that waits
        self._wants: list[Wanted] = []  # what calls lack of limits that processes share
        self._timer: asyncio.TimerHandle | None = None
        self._scheduled = False
        self.active = 0  # inline calls that run and are not parked
        self.left_behind = 0  # inline calls that have ended while their code goes on
        self.in_pools = 0  # jobs in pools
        self.waiting_in_pools = 0  # those of them that wait for something in the run
        self.starting: dict[str, int] = dict.fromkeys(pools, 0)  # slots promised to calls that wait for the disk
        self._ranks = Ranks(run, order)
        self.stopped = False  # no call starts any more
        self.ending = False  # the run was told to end by a signal, which its loop may not have heard yet

    # --- entering ----------------------------------------------------------------------------------------------------

    def push(self, call: Call) -> None:
        """Queue a call whose inputs are there, or start it now if there is room."""
        spec = call.spec
        if spec.pool == "inline" and not call.scope.limits and not spec.resources:
            if not self._line and self._has_room():
                self._starts.begin(call)
                return
            if self._ranks.order is None:
                self._line.append(call)
                return
        try:
            spec = call.spec = self._pools.fit(spec)
            for name, amount in spec.resources.items():
                self._resource(name).check(call, amount)
        except (ResourceUnavailable, UsageError) as error:
            self._starts.refuse(call, error)
            return
        heapq.heappush(self._queues.setdefault(_signature(call), []), (self._rank(call), call.number, call))
        self.dispatch_soon()

    def promote(self, call: Call) -> None:
        """Move a waiting call forward: it got a new dependent, so its path ahead may be longer now."""
        if call.state == READY and self._ranks.durations:
            if (queue := self._queues.get(_signature(call))) is not None:
                heapq.heappush(queue, (self._rank(call), call.number, call))

    def learn(self, task: str, seconds: float) -> None:
        """Remember how long calls of a task take."""
        self._ranks.learn(task, seconds)

    def _reorder(self, queue: list[tuple[float, int, Call]]) -> None:
        """Order the calls of a queue anew: what is expected of them, or the time, has changed."""
        waiting = list({call: None for _, _, call in queue if call.state == READY})
        if self._ranks.changes:
            waiting.sort(key=lambda call: call.number)
            ranks = self._ranks.judge(waiting) if waiting else ()
        else:
            ranks = [self._rank(call) for call in waiting]
        queue[:] = [(rank, call.number, call) for rank, call in zip(ranks, waiting, strict=True)]
        heapq.heapify(queue)

    def _next_in_line(self) -> Call:
        return self._line.popleft()

    def _rank(self, call: Call) -> float:
        """What a queue is ordered by, the least first."""
        return 0.0 if self._ranks.changes else self._ranks.rank(call)

    def _resource(self, name: str) -> Resource:
        return self._resources.setdefault(name, Resource(name, 0))

    def lacking(self, call: Call) -> dict[Resource, int]:
        """How much a call that waits needs of each resource that is taken."""
        needs = {self._resource(name): amount for name, amount in call.spec.resources.items()}
        return {resource: amount for resource, amount in needs.items() if resource.used + amount > resource.total}

    @property
    def waiting(self) -> bool:
        """Whether any call is in line, to start, to go on, or for a budget."""
        return bool(self._line or self._queues or self._reentering or self.line)

    @property
    def idle(self) -> bool:
        """Whether nothing runs: every call waits for another, for its time, or for room."""
        return self.active <= 0 and self.in_pools <= 0

    # --- starting ----------------------------------------------------------------------------------------------------

    def _has_room(self) -> bool:
        return (
            self.active + self.left_behind < self._max_active
            and not self.stopped
            and not self._run.closing
            and self._run.journal.has_room()
        )

    def dispatch_soon(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._run.loop.call_soon(self.dispatch)

    def dispatch(self) -> None:
        """Start whatever can start."""
        self._scheduled = False
        self._wants = []
        self._let_reenter()
        self.line.serve()
        while self._line and self._has_room():
            call = self._next_in_line()
            if call.state == READY:
                self._starts.begin(call)
        wait = math.inf
        changes = self._ranks.changes and self._has_room()
        if changes or (self._ranks.is_stale and self._ranks.are_due(sum(map(len, self._queues.values())))):
            for queue in self._queues.values():
                self._reorder(queue)
        for signature, queue in sorted(self._queues.items(), key=_head):
            wait = min(wait, self._serve(queue))
            if not queue and self._queues.get(signature) is queue:
                del self._queues[signature]
        self._wake_in(wait)
        if (desk := self.desk) is not None:
            desk.look(self._wants)

    def _serve(self, queue: list[tuple[float, int, Call]]) -> float:
        """Start calls of one queue in order; seconds until its head may start by itself."""
        while queue:
            call = queue[0][2]
            if call.state != READY:
                heapq.heappop(queue)
                continue
            if (wait := self._wait_of(call, len(queue))) > 0.0:
                return wait
            heapq.heappop(queue)
            self._ranks.started += 1
            self._take(call)
            if self._ranks.changes:
                self._reorder(queue)
        return math.inf

    def _wait_of(self, call: Call, waiting: int) -> float:
        """0 where the call can start now, else the seconds until it may, inf where that depends on another call's end. `waiting`:
        how many calls like it wait."""
        spec = call.spec
        if not self._has_room():
            return math.inf
        places = self._max_active - self.active
        if spec.pool != "inline" and not spec.batch and (places := self.places(spec, call.scope.limits)) <= 0:
            return math.inf
        for name, amount in spec.resources.items():
            resource = self._resource(name)
            if resource.used + amount > resource.total:
                return math.inf
        limits, wait = call.scope.limits, 0.0
        if limits:
            now = self._run.loop.time()
            wait = max([limit.ready_in(now) for limit in limits])
            if wait > 0.0:
                self._want(limits, min(waiting, max(1, places)), starts=True)
        return wait

    def places(self, spec: TaskSpec, limits: Sequence[Limit] = ()) -> int:
        """How many calls of a task its pool has room for, less those that it has promised to calls which wait for the disk."""
        return self._pools.places(spec, alone=bool(limits)) - self.starting[spec.pool]

    def _want(self, limits: Sequence[Limit], count: int, *, starts: bool) -> None:
        """Note that calls wait for these limits, if the store shares out their places."""
        shared = tuple(limit for limit in limits if limit.shares_places or (starts and limit.shares_starts))
        if shared and not any(limit.used >= limit.room for limit in limits if not limit.shares_places):
            self._wants.append(Wanted(shared, count, starts))

    def _take(self, call: Call) -> None:
        if call.scope.limits or call.spec.resources:
            x = call.extra()
            x.begun, x.held = False, x.held or []
            for limit in call.scope.limits:
                limit.take()
                x.held.append(Held(limit, 1))
            for name, amount in call.spec.resources.items():
                resource = self._resource(name)
                resource.used += amount
                x.held.append(Held(resource, amount))
        self._starts.begin(call)

    def begins(self, call: Call) -> None:
        """Count the start of a call in the rates of what it holds: its code begins now."""
        x = call.extra()
        if not x.begun:
            x.begun, now = True, self._run.loop.time()
            for held in x.held:
                if isinstance(held.source, Limit) and held.source.begins(now):
                    self.dispatch_soon()

    def _wake_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds != math.inf:
            self._timer = self._run.loop.call_later(seconds, self.dispatch)

    # --- leaving and pausing -----------------------------------------------------------------------------------------

    def free_slot(self) -> None:
        """Free the slot of an inline call that has ended."""
        self.active -= 1
        if self._line or self._queues or self._reentering:
            self.dispatch_soon()
        if self.stopped:
            self._tell_parked()

    def _tell_parked(self) -> None:
        if self.on_parked is not None:
            self.on_parked()

    def leave_behind(self, call: Call, task: asyncio.Task[Any]) -> None:
        """End an inline call whose code goes on. The code keeps its slot and what it holds until it ends."""
        held = self.keep(call)
        self.left_behind += 1

        def came_after(_: object) -> None:
            self.left_behind -= 1
            self.give(held)

        task.add_done_callback(came_after)

    def keep(self, call: Call) -> list[Held]:
        """Take from a call that ends what its code, which goes on, still uses. Whoever keeps it gives it back."""
        x = call.extra()
        kept = [held for held in x.held if isinstance(held.source, Resource) or not x.parks or x.granted]
        x.held = NO_ITEMS
        return kept

    def give(self, kept: list[Held]) -> None:
        """Give back what code kept that was left behind and has now ended."""
        for source, amount in kept:
            if isinstance(source, Resource):
                source.used -= amount
            else:
                source.give()
        self.dispatch_soon()

    def release(self, call: Call) -> None:
        """Give back what the attempt of a call held."""
        x = call.x
        if x is None or not x.held:
            return
        for source, amount in x.held:
            if isinstance(source, Resource):
                source.used -= amount
                continue
            if not x.begun:
                source.never_began()
            if not x.parks or x.granted:
                source.give()
        x.held = NO_ITEMS
        self.dispatch_soon()

    def park(self, call: Call) -> None:
        """Count a call as waiting for other calls from now on."""
        x = call.x or call.extra()
        x.parks += 1
        if x.parks > 1 or call.state not in (STARTING, RUNNING):
            return
        x.parked_at = self._run.loop.time()
        if call.spec.pool == "inline":
            self.active -= not call.spec.batch
        else:
            self._pools[call.spec.pool].lend(1)
            x.lent = True
            self.waiting_in_pools += 1
        if x.held:
            self._give_back(call)
        if self.waiting:
            self.dispatch_soon()
        self._tell_parked()

    def _give_back(self, call: Call) -> None:
        for held in call.extra().held:
            if isinstance(held.source, Limit):
                held.source.give()

    def reenter(self, call: Call) -> Generator[Any, Any, None]:
        """Wait until the limits of a parked call have room for it again."""
        if call.extra().parks > 1 or call.extra().granted or self._limits_free(call):
            return
        future = self._run.loop.create_future()
        self._reentering.append((call, call.attempt, future))
        self.dispatch_soon()
        yield from future

    def _limits_free(self, call: Call) -> bool:
        """Whether all limits of a parked call have room for it again."""
        return all(held.source.used < held.source.room for held in call.extra().held if isinstance(held.source, Limit))

    def _retake(self, call: Call) -> None:
        for held in call.extra().held:
            if isinstance(held.source, Limit):
                held.source.used += 1  # going on costs no start

    def _let_reenter(self) -> None:
        """Calls that go on come before calls that start."""
        for _ in range(len(self._reentering)):
            call, attempt, future = self._reentering.popleft()
            if future.done():
                continue
            if _is_past(call, attempt):
                future.set_result(None)  # for the next attempt it takes nothing
                continue
            if self._limits_free(call):
                self._retake(call)
                call.extra().granted = True
                future.set_result(None)
                continue
            self._reentering.append((call, attempt, future))
            self._want([held.source for held in call.extra().held if isinstance(held.source, Limit)], 1, starts=False)

    def unpark(self, call: Call, attempt: int) -> None:
        """Count a call as running again. A wait of an earlier attempt changes nothing: `forget_waits` has settled it."""
        x = call.x or call.extra()
        if _is_past(call, attempt):
            return
        x.parks -= 1
        if x.parks:
            if x.granted:  # another coroutine of the call began to wait in the meantime
                x.granted = False
                self._give_back(call)
                self.dispatch_soon()
            return
        if x.lent:
            self._take_back_slot(call)
        if call.state not in (STARTING, RUNNING):
            return
        x.parked_s += self._run.loop.time() - x.parked_at
        if call.spec.pool == "inline":
            self.active += not call.spec.batch
        if x.granted:
            x.granted = False
        elif x.held:
            self._retake(call)
        if self._reentering:
            self.dispatch_soon()

    def forget_waits(self, call: Call) -> None:
        """Forget the waits of an attempt that is over: they may end after it, and must not count for the next."""
        x = call.extra()
        if x.lent:
            self._take_back_slot(call)
        x.parks, x.parked_s, x.granted = 0, 0.0, False

    def _take_back_slot(self, call: Call) -> None:
        """Take back the slot that the thread of a waiting call had lent."""
        self._pools[call.spec.pool].lend(-1)
        call.extra().lent = False
        self.waiting_in_pools -= 1


def _is_past(call: Call, attempt: int) -> bool:
    """Whether an attempt is over, so that another comes or has come."""
    return call.attempt != attempt or call.state in (READY, RESTING)


def _signature(call: Call) -> Signature:
    """What calls have in common that wait in one queue: one of them can start where another can."""
    spec = call.spec
    return spec.pool, spec.need, call.scope.limits, tuple(spec.resources.items())


def _head(item: tuple[Signature, list[tuple[float, int, Call]]]) -> tuple[float, int]:
    """What queues are served by: the rank of the call that waits at the head."""
    return item[1][0][:2] if item[1] else (math.inf, 0)
