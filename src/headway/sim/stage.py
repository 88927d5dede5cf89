"""Runs the code of jobs in threads, in turns with the loop: until it ends or waits for a future of the loop."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from headway.sim.thread import SimThread, take_thread

if TYPE_CHECKING:
    from headway.sim.loop import SimLoop

Here = Callable[[], AbstractContextManager[Any]]
"""What holds while a thread runs, and not while others do."""


class Play:
    """The run of one piece of code in a thread. The thread may be used for something else when it has ended."""

    def __init__(self, thread: SimThread) -> None:
        self.thread = thread


class Stage:
    """The threads of one pool."""

    def __init__(self, process: SimLoop) -> None:
        self._process = process
        self._plays: dict[SimThread, Play] = {}  # what each thread is busy with

    def begin(self, work: Callable[[], None], then: Callable[[], None], here: Here = contextlib.nullcontext) -> Play:
        """Let `work`, which must not raise, run until it ends or waits. `then` is called when it has ended."""
        mine = take_thread()
        self._plays[mine] = play = Play(mine)
        self._go_on(mine, play, functools.partial(mine.begin, work), then, here)
        return play

    def _go_on(self, mine: SimThread, play: Play, resume: Callable[[], None], then: Callable[[], None], here: Here) -> None:
        if self._plays.get(mine) is not play:
            return  # it was killed
        world = self._process.world
        world.sim_thread = mine
        with here():
            resume()
        world.sim_thread = None
        waited = world.take_waited()
        if waited is not None:
            go_on = functools.partial(self._go_on, mine, play, mine.resume, then, here)
            waited.add_done_callback(lambda _: self._process.call_soon(go_on))
            return
        if self._plays.get(mine) is play:
            del self._plays[mine]
            then()

    def kill(self, play: Play, here: Here = contextlib.nullcontext) -> None:
        """Unwind code that waits; it is not told, and `then` is not called. Nothing where it has ended."""
        mine = play.thread
        if self._plays.get(mine) is not play:
            return
        del self._plays[mine]
        if mine.ended:
            return
        world, before = self._process.world, self._process.world.sim_thread
        world.sim_thread = mine
        with here():
            mine.kill()
        world.sim_thread = before
        world.take_waited()

    def kill_all(self) -> None:
        """Unwind everything that waits."""
        for play in list(self._plays.values()):
            self.kill(play)
