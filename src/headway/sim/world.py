"""The world of a simulated process: its clock, its name, its pools, its writer. Everything else is the engine as it always is."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from headway.engine.call import Call
from headway.engine.dispatch.ready import Ready
from headway.engine.parts import Parts
from headway.engine.world import OnWord
from headway.errors import UsageError
from headway.journal.log import Log
from headway.journal.off_loop import as_beside
from headway.pools.base import FullPool
from headway.pools.registry import Given, check_given, real_pool
from headway.sim.pools import SimPool, simulate_pool
from headway.sim.stage import Stage
from headway.sim.thread import SimThread
from headway.sim.writer import SimWriter

if TYPE_CHECKING:
    from headway.engine.engine import Engine
    from headway.sim.loop import SimLoop

T = TypeVar("T")


class SimWorld:
    interruptible = False
    debugs = True

    def __init__(self, process: SimLoop) -> None:
        self._process = process
        self._waited: concurrent.futures.Future[Any] | None = None
        self.sim_thread: SimThread | None = None  # the one that runs now
        self.engines: list[Engine] = []
        self.pools: list[SimPool] = []
        self.is_far = False  # its store is on another machine: what talks to it waits, in a thread
        self.beside = Stage(process)
        self._line: deque[tuple[Callable[[], None], Callable[[], None]]] = deque()  # functions that wait for the thread beside
        self._busy = False

    def wall(self) -> float:
        universe = self._process.universe
        return universe.start + self._process.skew_s + universe.now * (1 + self._process.drift)

    def owner(self) -> str:
        return self._process.owner

    def token(self) -> bytes:
        return self._process.universe.token()

    def make_pools(self, given: Mapping[str, Given]) -> dict[str, FullPool]:
        made = {name: simulate_pool(self._process, real_pool(name, value)) for name, value in check_given(given).items()}
        self.pools += made.values()
        return dict(made)

    def parts(self) -> Parts:
        return Parts(ready=AnyOrder) if self._process.universe.config.any_order else Parts()

    def make_writer(self, log: Log, on_word: OnWord, on_jump: Callable[[], None]) -> SimWriter:
        return SimWriter(self._process, log, on_word, on_jump)

    def drives(self, engine: Engine) -> None:
        self.engines.append(engine)

    async def aside(self, function: Callable[..., T], /, *args: Any) -> T:
        if self._process.dead:  # it is being closed, and must not wait any more
            return function(*args)
        if self.is_far:
            return await self._in_thread(functools.partial(function, *args))
        await asyncio.sleep(0)  # others go on meanwhile
        with as_beside():
            done = function(*args)
        await asyncio.sleep(0)
        return done

    async def _in_thread(self, function: Callable[[], T]) -> T:
        ended: asyncio.Future[T] = self._process.create_future()
        outcome: concurrent.futures.Future[T] = concurrent.futures.Future()

        def work() -> None:
            try:
                outcome.set_result(function())
            except Exception as error:
                outcome.set_exception(error)

        def then() -> None:
            if ended.done() or not outcome.done():  # nobody waits, or the process died in it
                return
            error = outcome.exception()
            if error is None:
                ended.set_result(outcome.result())
            else:
                ended.set_exception(error)

        self._line.append((work, then))
        self._process.call_soon(self._begin_next)
        return await ended

    def _begin_next(self) -> None:
        """One function at a time: a lock that two of them want would stop the simulation, of which one thread runs."""
        if self._busy or not self._line:
            return
        self._busy = True
        work, then = self._line.popleft()

        def ended() -> None:
            self._busy = False
            then()
            self._begin_next()

        self.beside.begin(work, ended)

    def wait(self, future: concurrent.futures.Future[T]) -> T:
        if not future.done():
            assert self.sim_thread is not None, "only code in a thread waits"
            if not self.sim_thread.is_here:
                raise UsageError("hw.wait was called in a thread that a task has started: a simulated run can't wait there")
            self._waited = future
            self.sim_thread.pause()
        return future.result()

    def at_turns_end(self, function: Callable[[], None]) -> None:
        function()  # a callback more would draw another order of all others

    def after_ready(self, function: Callable[[], None]) -> None:
        self._process.after_ready(function)

    def take_waited(self) -> concurrent.futures.Future[Any] | None:
        """What the thread that has just stopped waits for, if it does."""
        waited, self._waited = self._waited, None
        return waited


class AnyOrder(Ready):
    """A ready queue that starts what it can in any order, if the run was not given one: no program may count on another."""

    def _next_in_line(self) -> Call:
        draw = self._run.world._process.universe.draw  # type: ignore[attr-defined]  # a simulated world
        self._line.rotate(-int(draw() * len(self._line)))
        return self._line.popleft()

    def _rank(self, call: Call) -> float:
        if self._ranks.order is not None:
            return super()._rank(call)
        draw: Callable[[], float] = self._run.world._process.universe.draw  # type: ignore[attr-defined]  # a simulated world
        return draw()
