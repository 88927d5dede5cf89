"""The desk asks the store for what calls need of limits that processes share, for many calls at a time and off the loop.

Calls take places and starts that the desk has leased; the loop never waits for the store. The desk asks when something is lacking,
when what it has is wanted elsewhere, and when it has not been used for a while; it has one question under way at a time. While one
is, the process uses no more than what it said it uses, for the store may give the rest to another one.

It must never let the process use a place that the store could take for free.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import math
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from headway.engine.run_context import RunContext
from headway.engine.scopes.bounds import Limit, Wanted
from headway.errors import StoreError
from headway.journal.shared.limits import TURN_S, Ask, Grant, Rate, Want

if TYPE_CHECKING:
    from headway.engine.dispatch.ready import Ready
    from headway.journal.log import Log
    from headway.journal.store import Store

PLACES_S = 120.0  # how long places are leased, where nobody can see whether this process lives
RETRY_S = 0.05  # how often to ask for what another process holds
LOOK_S = 1.0  # how often a process that has places and calls in line looks whether another one waits
IDLE_S = 1.0  # how long to keep unused places that nobody wants


class Desk:
    def __init__(self, run: RunContext, ready: Ready, store: Store, log: Log) -> None:
        self._run = run
        self._ready = ready
        self._store = store
        self._log = log
        self._limits: dict[str, Limit] = {}  # limits with places leased, starts promised, or reports made
        self._wants: Sequence[Want] = ()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._asked = -math.inf  # when the store last answered
        self._closed = False
        self._talking = threading.Lock()
        log.on_wanted = self._note_demand

    def look(self, wants: Sequence[Wanted]) -> None:
        """Calls have started or wait: ask, if there is a reason to."""
        self._wants = [Want(tuple(limit.key for limit in each.limits), each.calls, each.starts) for each in wants]
        self._limits.update((limit.key, limit) for each in wants for limit in each.limits)
        if self._task is not None or self._closed or not (wants or self._limits):
            return
        now = self._run.loop.time()
        due = self._due(now)
        if due <= now:
            self._ask()
        else:
            self._wake_at(due)

    def _due(self, now: float) -> float:
        """When there is a reason to ask, inf for never."""
        due = math.inf
        for want in self._wants:
            limits = [self._limits[name] for name in want.names]
            if not any(limit.used >= limit.most and not limit.contended for limit in limits):  # else it has to wait for calls here
                due = min([due, *(self._lacks(limit, want, now) for limit in limits)])
        wanted = {name for want in self._wants for name in want.names}
        for name, limit in self._limits.items():
            if limit.leased:
                due = min(due, self._asked + (TURN_S if limit.contended else LOOK_S if name in wanted else PLACES_S / 3))
            if limit.leased <= limit.used or (name in wanted and not limit.contended):
                limit.idle_since = math.inf
            elif limit.contended:
                due = min(due, limit.retry_at)
            else:
                limit.idle_since = min(limit.idle_since, now)
                due = min(due, limit.idle_since + IDLE_S)
            if limit.starts and name not in wanted:
                due = min(due, limit.end)
        return due

    def _lacks(self, limit: Limit, want: Want, now: float) -> float:
        """When the store could help a call that waits, inf for never."""
        if limit.shares_places and limit.used >= limit.room and (limit.contended or limit.leased < (limit.concurrency or 0)):
            return limit.retry_at
        if want.starts and limit.window is not None and limit.key and (not limit.starts or now > limit.end):
            if not limit.window.pending:
                return limit.retry_at
            limit.held_up = True  # what has been promised begins in a moment, and the store should hear when
            return max(limit.retry_at, self._asked + RETRY_S)
        return math.inf

    def _note_demand(self) -> None:
        """Another process waits for a place in a limit of which this one has some."""
        for limit in self._limits.values():
            limit.contended = limit.contended or limit.leased > 0
        self._asked = -math.inf
        self._ready.dispatch_soon()

    def clock_jumped(self) -> None:
        """The wall clock was set: say again what is held, before it is taken for something that is over."""
        self._asked = -math.inf
        self._ready.dispatch_soon()

    def _wake_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if when != math.inf:
            self._timer = self._run.loop.call_at(when, self._ready.dispatch)

    # --- asking ------------------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        self._wake_at(math.inf)
        loop = self._run.loop
        self._task = loop.create_task(self._exchange(), context=contextvars.Context())

    async def _exchange(self) -> None:
        try:
            now = self._run.loop.time()
            wants = list(self._wants)
            asks = [self._say(name, limit, wants, now) for name, limit in self._limits.items()]
            grants = await self._run.world.aside(self._share, asks, wants, self._run.wall())
            self._apply(asks, grants, wants, now)
        except StoreError as error:
            self._run.fail(error)
        except Exception as error:
            self._run.broken(error)
        finally:
            self._task = None
        if not self._closed:
            self._ready.dispatch_soon()

    def _share(self, asks: Sequence[Ask], wants: Sequence[Want], now: float, *, last: bool = False) -> dict[str, Grant]:
        """Talk to the store, off the loop. Nothing is said after the last word."""
        with self._talking:
            if self._closed and not last:
                return {}
            return self._store.share(self._log.holder, asks, wants, now, PLACES_S)

    def _say(self, name: str, limit: Limit, wants: Sequence[Want], now: float) -> Ask:
        """What there is to say of a limit. From here on no more of it is used than that, until the answer comes."""
        wanted = sum(want.calls for want in wants if name in want.names)
        idle = now - limit.idle_since >= IDLE_S
        window = limit.window if limit.shares_starts else None
        ask = Ask(
            name=name,
            capacity=limit.concurrency if limit.shares_places else None,
            used=limit.used,
            keep=limit.used if idle else max(limit.leased, limit.used + wanted) + wanted,
            rate=Rate(window.most, window.length_s) if window is not None else None,
            begun=tuple(now - when for when in limit.begun),
            pending=window.pending if window is not None else 0,
            ahead=limit.recent if wanted else 0,
        )
        if limit.shares_places:
            limit.room = min(limit.room, limit.used)
        limit.starts = limit.recent = 0
        return ask

    def _apply(self, asks: Sequence[Ask], grants: dict[str, Grant], wants: Sequence[Want], then: float) -> None:
        if self._closed:
            return
        self._asked = now = self._run.loop.time()
        for ask in asks:
            name, limit, grant = ask.name, self._limits[ask.name], grants[ask.name]
            del limit.begun[: len(ask.begun)]
            limit.retry_at = now + RETRY_S  # sooner where a call takes something meanwhile
            if limit.shares_places:
                limit.leased, limit.contended = grant.amount, grant.contended
                limit.room = min(grant.room, limit.concurrency or 0)  # which a newer block may have lowered meanwhile
            if limit.shares_starts:
                limit.starts, limit.begin, limit.end = grant.starts, then + grant.begin_in_s, then + grant.end_in_s
            if not (limit.used or limit.leased or limit.starts or limit.begun or (limit.window and limit.window.pending)):
                if not any(name in want.names for want in (*wants, *self._wants)):
                    del self._limits[name]
        self._log.leased = tuple(name for name, limit in self._limits.items() if limit.leased)

    # --- its end -----------------------------------------------------------------------------------------------------

    @property
    def has_limits(self) -> bool:
        """Whether there is something to give back."""
        return bool(self._limits)

    async def close(self) -> None:
        """Give everything back. What can't be given back, because the store fails, is free when this process has ended."""
        self._closed = True
        self._wake_at(math.inf)
        now = self._run.loop.time()
        asks = [self._say(name, limit, (), now)._replace(used=0, keep=0) for name, limit in self._limits.items()]
        if asks:
            with contextlib.suppress(StoreError):
                await self._run.world.aside(functools.partial(self._share, last=True), asks, (), self._run.wall())
