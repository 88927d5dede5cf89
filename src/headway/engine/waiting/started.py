"""Runs that calls of this run have started and wait for.

All that are waited for are looked at together, off the loop: soon after one has ended there is mostly another. A call that waits
here rests as one that sleeps does: it holds no slot, and a worker's run in which nothing else goes on is parked until one of them
ends.
"""

from __future__ import annotations

import asyncio
import contextvars
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headway.engine.call import Frame
from headway.engine.run_context import RunContext
from headway.engine.scopes.scopes import Scopes
from headway.errors import StoreError

if TYPE_CHECKING:
    from headway.journal.store import Store

FIRST_S, LONGEST_S = 0.05, 1.0  # between two looks
AT_ONCE = 1000  # runs that are asked for together


@dataclass(eq=False, slots=True)
class _Wait:
    future: asyncio.Future[None] | None = None
    over: bool = False


class StartedRuns:
    """What one run waits for of others."""

    def __init__(self, run: RunContext, scopes: Scopes, store: Store) -> None:
        self._run, self._scopes, self._store = run, scopes, store
        self._waiting: dict[str, list[_Wait]] = {}
        self._pause_s = FIRST_S
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def awaited(self) -> tuple[str, ...]:
        """The runs that are waited for."""
        return tuple(self._waiting)

    async def wait(self, frame: Frame, run_id: str) -> None:
        """Rest until a run has ended, or is stuck."""
        wait = _Wait()
        self._waiting.setdefault(run_id, []).append(wait)
        self._pause_s = FIRST_S
        self._look_soon()
        try:
            while not wait.over:  # who rests is woken also when the wall clock was set
                wait.future = self._run.loop.create_future()
                await self._scopes.rest(frame, wait.future, None)
        finally:
            if not wait.over:
                waiting = self._waiting[run_id]
                waiting.remove(wait)
                if not waiting:
                    del self._waiting[run_id]

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _look_soon(self) -> None:
        if self._timer is None and self._task is None and not self._run.closing:
            self._timer = self._run.loop.call_later(self._pause_s, self._start_look)

    def _start_look(self) -> None:
        self._timer = None
        if self._waiting:
            self._task = self._run.loop.create_task(self._look(), context=contextvars.Context())

    async def _look(self) -> None:
        try:
            asked, ended = list(self._waiting), set[str]()
            for at in range(0, len(asked), AT_ONCE):
                ended |= await self._run.world.aside(self._store.find_ended, asked[at : at + AT_ONCE])
        except StoreError as error:
            self._run.fail(error)
            return
        except Exception as error:
            self._run.broken(error)
            return
        finally:
            self._task = None
        for run_id in asked:
            if run_id in ended:
                for wait in self._waiting.pop(run_id, ()):
                    wait.over = True
                    if wait.future is not None and not wait.future.done():
                        wait.future.set_result(None)
        self._pause_s = FIRST_S if ended else min(2 * self._pause_s, LONGEST_S)
        if self._waiting:
            self._look_soon()
