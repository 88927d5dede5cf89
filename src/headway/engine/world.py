"""What a driver needs of the place it runs in: a clock, a name, randomness, pools, somebody who writes.

A loop may carry its own world in an attribute `world`: the virtual clock of tests does, and the simulator, whose worlds have
no thread, no time and no disk. Every other loop runs in `Machine`. The engine, the journal's log and all rules are the same in
each of them; nothing may ask which world it is in.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import secrets
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from headway.engine.parts import Parts
from headway.ipc.beside import BESIDE
from headway.journal.log import Log
from headway.journal.off_loop import is_debugging
from headway.journal.owner import this_process
from headway.journal.records import RunInfo, Signal
from headway.journal.writer import Writer
from headway.pools.base import FullPool
from headway.pools.registry import Given, make_pools

if TYPE_CHECKING:
    from headway.engine.engine import Engine

T = TypeVar("T")
OnWord = Callable[[RunInfo, list[Signal]], None]


class LogWriter(Protocol):
    """Who moves groups of rows from a log to the store."""

    def start(self) -> None: ...

    def look(self, then: Callable[[], None]) -> None:
        """Look for word from outside now; `then` is called on the loop when what was found is there."""

    def close(self) -> None:
        """Write what is queued, then end. May block; called through `aside`."""


class World(Protocol):
    interruptible: bool  # whether Ctrl-C and SIGTERM are for the run

    @property
    def debugs(self) -> bool:
        """Whether a store that is used on the loop's thread is an error."""

    def wall(self) -> float:
        """Seconds since 1970."""

    def owner(self) -> str:
        """How leases name this process."""

    def token(self) -> bytes:
        """16 bytes that no other process has."""

    def make_pools(self, given: Mapping[str, Given]) -> dict[str, FullPool]:
        """The pools of a run, none of them started."""

    def parts(self) -> Parts:
        """Which classes of parts an engine is made of."""

    def make_writer(self, log: Log, on_word: OnWord, on_jump: Callable[[], None]) -> LogWriter: ...

    def drives(self, engine: Engine) -> None:
        """An engine begins its work here."""

    async def aside(self, function: Callable[..., T], /, *args: Any) -> T:
        """Run a function that blocks without blocking the loop."""

    def wait(self, future: concurrent.futures.Future[T]) -> T:
        """In a pool's thread: block until the loop has answered."""

    def at_turns_end(self, function: Callable[[], None]) -> None:
        """On the loop: call a function that no program can notice when the loop has done what it does now."""

    def after_ready(self, function: Callable[[], None]) -> None:
        """On the loop: call a function when everything that is ready now has had its turn."""


class Machine:
    """The real world."""

    interruptible = True

    @property
    def debugs(self) -> bool:
        return is_debugging() or asyncio.get_running_loop().get_debug()

    wall = staticmethod(time.time)  # read three times for every call

    def owner(self) -> str:
        return this_process()

    def token(self) -> bytes:
        return secrets.token_bytes(16)

    def make_pools(self, given: Mapping[str, Given]) -> dict[str, FullPool]:
        return make_pools(given)

    def parts(self) -> Parts:
        return Parts()

    def make_writer(self, log: Log, on_word: OnWord, on_jump: Callable[[], None]) -> LogWriter:
        return Writer(log, on_word, on_jump)

    def drives(self, engine: Engine) -> None:
        pass

    async def aside(self, function: Callable[..., T], /, *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(BESIDE, function, *args)

    def wait(self, future: concurrent.futures.Future[T]) -> T:
        return future.result()

    def at_turns_end(self, function: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(function)

    def after_ready(self, function: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(function)  # a loop runs what is ready in order


MACHINE = Machine()


def this_world(loop: asyncio.AbstractEventLoop) -> World:
    """The world of a loop."""
    world: World = getattr(loop, "world", MACHINE)
    return world
