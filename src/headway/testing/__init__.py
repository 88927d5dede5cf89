"""Tools for tests of programs: an event loop whose clock jumps instead of waiting.

    clock = hw.testing.VirtualClock()
    result = hw.testing.run(program, 3, clock=clock, store=tmp_path)     # sleeps an hour, takes a millisecond

Time stands still while anything can run and jumps to the next timer when nothing can. So pauses between retries, timeouts,
deadlines and durable sleeps are exact and instant. Time also stands still while the run waits for a thread, a process or the disk.

A program that waits for ever makes its test hang. A clock with `most_s` lets it fail instead, with a TimeoutError that names the
calls which have not ended.

`check` runs a program in the simulator instead: under many schedules, killed at many records. In pytest both are fixtures,
`headway_run` and `headway_check`, there as soon as Headway is installed (`headway.testing.plugin`).

    def test_my_program(headway_check):
        headway_check(program, 3)                                           # fails with a list of what would hurt

`check_pool` checks that a pool of your own does what a pool must do.
"""

from __future__ import annotations

import asyncio
import math
import selectors
import time
from collections.abc import Callable
from typing import Any

from headway.engine.call import Call
from headway.engine.engine import Engine
from headway.engine.transitions import OK
from headway.engine.world import Machine
from headway.run import arun
from headway.sim.check import Finding, Report, check
from headway.testing.check_pool import check_pool

__all__ = ["Finding", "Report", "VirtualClock", "VirtualLoop", "check", "check_pool", "run"]

REAL_WAIT_S = 0.02
IDLE_S = 20.0  # of real time: how long a loop whose clock has a bound waits for threads that it knows nothing of
YEAR_S = 366 * 86_400.0  # what a test may wait, unless it brings a clock of its own
MOST_NAMED = 10  # calls in a message
START = 1_700_000_000.0


class VirtualClock:
    """A wall clock that tests set and loops advance. Keep one over several runs to see time go on between them.

    Args:
        start: where it begins, in seconds since 1970.
        most_s: how many seconds of it a run may wait. One that waits for longer, or for nothing that can come, fails.

    Example:
        >>> clock = hw.testing.VirtualClock()
        >>> clock.advance(3600)
        >>> clock.elapsed
        3600.0
    """

    def __init__(self, start: float = START, *, most_s: float = math.inf) -> None:
        self.start = start
        self.most_s = most_s
        self.elapsed = 0.0  # kept apart, so that short times are exact beside a large date

    @property
    def now(self) -> float:
        """What the clock says, in seconds since 1970."""
        return self.start + self.elapsed

    def advance(self, seconds: float) -> None:
        """Set the clock forward.

        Args:
            seconds: by how much.
        """
        self.elapsed += seconds


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for nothing but real events: where the loop would wait for a timer, the clock jumps there."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock
        self._waited_s = 0.0  # of the clock, by this loop
        self._idle_s = 0.0  # of real time, with nothing to wait for
        self.busy: list[Callable[[], bool]] = []
        self.engines: list[Engine] = []

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            return self._wait_for_threads()
        ready = super().select(0)
        if ready or timeout <= 0:
            return ready
        if any(check() for check in self.busy):
            return super().select(REAL_WAIT_S)
        self._idle_s = 0.0
        self._waited_s += timeout
        if self._waited_s > self._clock.most_s:
            self._waited_s = 0.0  # who cleans up after this error may wait as long again
            raise TimeoutError(f"the program waits for more than {self._clock.most_s:g} s of its clock{self._unfinished()}")
        self._clock.advance(timeout + 1e-9)
        return ready

    def _wait_for_threads(self) -> list[tuple[selectors.SelectorKey, int]]:
        """No timer is set, so only a thread, a process or a signal can wake the loop."""
        if math.isinf(self._clock.most_s):
            return super().select(None)
        began = time.monotonic()
        ready = super().select(IDLE_S)
        if any(check() for check in self.busy):
            self._idle_s = 0.0
        elif (idle_s := self._idle_s + time.monotonic() - began) >= IDLE_S:  # whoever renews a lease wakes the loop too
            self._idle_s = 0.0
            raise TimeoutError(f"the program waits for nothing that can come{self._unfinished()}")
        else:
            self._idle_s = idle_s
        return ready

    def _unfinished(self) -> str:
        found = [call for engine in self.engines if engine.root is not None for call in _innermost(engine.root)]
        named = [call.describe() for call in found[:MOST_NAMED]]
        more = [f"{len(found) - MOST_NAMED} more"] if len(found) > MOST_NAMED else []
        return f". Not ended: {', '.join(named + more)}" if found else ""


def _innermost(call: Call) -> list[Call]:
    """The calls from here on that have not ended, without those that have such children."""
    if call.state >= OK:
        return []
    below = [each for child in call.children or () for each in _innermost(child)]
    return below or [call]


class _VirtualWorld(Machine):
    """This machine, with another clock."""

    debugs = True

    def __init__(self, clock: VirtualClock, selector: _JumpingSelector) -> None:
        self._clock = clock
        self._selector = selector

    def wall(self) -> float:
        return self._clock.now

    def drives(self, engine: Engine) -> None:
        ready = engine.ready
        self._selector.engines.append(engine)
        self._selector.busy.append(
            lambda: ready.in_pools > ready.waiting_in_pools or engine.journal.awaited or engine.signals.looking > 0
        )


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on a virtual clock.

    Args:
        clock: the clock.

    Attributes:
        busy: checks that say whether something outside of the loop is awaited: a worker, the disk. The clock stands still then.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self._virtual = clock
        selector = _JumpingSelector(clock)
        self.busy = selector.busy
        super().__init__(selector)

        self.world = _VirtualWorld(clock, selector)
        self._in_threads = 0
        self.busy.append(lambda: self._in_threads > 0)

    def time(self) -> float:
        """The loop's time: seconds that the clock has advanced."""
        return self._virtual.elapsed

    def run_in_executor(  # type: ignore[override]  # asyncio types each argument
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Run a function in a thread, as any loop does. The clock stands still meanwhile.

        Args:
            executor: whose thread; None for the loop's own.
            func: the function.
            *args: its arguments.

        Returns:
            The future of its result.
        """
        self._in_threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._thread_ended)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait for the loop's own threads, for as long as they take: no time of this clock passes while threads end.

        Args:
            timeout: of no use here.
        """
        await super().shutdown_default_executor()

    def _thread_ended(self, _: object) -> None:
        self._in_threads -= 1


def run(program: Callable[..., Any], /, *args: Any, clock: VirtualClock | None = None, **options: Any) -> Any:
    """Run a program as `hw.run` does, on a clock that jumps instead of waiting.

    Args:
        program: the task.
        *args: its arguments.
        clock: the clock; without one, a new one on which a run may wait for a year.
        **options: as for `hw.run`.

    Returns:
        The program's result.

    Raises:
        TimeoutError: the program waits for more than the clock's `most_s`, or for nothing that can come. Names the calls that have
            not ended.

    Example:
        >>> @hw.task
        ... async def program() -> str:
        ...     await hw.sleep(3600)
        ...     return "an hour later"
        >>> hw.testing.run(program, store=None)
        'an hour later'
    """
    made = clock or VirtualClock(most_s=YEAR_S)
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(made)) as runner:
        return runner.run(arun(program, *args, **options))
