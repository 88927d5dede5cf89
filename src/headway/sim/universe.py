"""A world made of one seed: simulated processes that share a clock, and every choice between them.

    universe = Universe(seed=7)
    process = universe.process("driver")
    task = process.start(program())
    universe.run(task.done)

Nothing here runs beside anything else and nothing waits. When something can run, the universe draws which process and which of its
coroutines goes on (callbacks keep their order, as asyncio promises; coroutines that are ready at the same time do not, as no
program may count on it). When nothing can, the clock jumps to the next timer. The same seed makes the same choices, so whatever
happens can be made to happen again.

The universe never draws from anything but its own generator, and never looks at real time.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import heapq
import random
import sys
from asyncio import events as asyncio_events
from collections.abc import Callable, Iterator
from typing import Any

from headway.errors import HeadwayError
from headway.sim.config import STEADY, SimConfig
from headway.sim.loop import SimLoop, is_step

START = 1_700_000_000.0
STEP_S = 1e-6  # how long a step takes, so that times differ
MOST_STEPS = 1_000_000


class Deadlock(HeadwayError):
    """Nothing can run, nothing will wake up, and the program has not ended."""


class Endless(HeadwayError):
    """The program takes more steps than any program of its kind should."""


class Abandoned(HeadwayError):
    """Somebody outside waits no longer for what goes on here."""


class Universe:
    """All that exists, drawn from `seed`. `now` counts virtual seconds from 0; the wall clocks begin at `start`."""

    def __init__(self, seed: object, config: SimConfig = STEADY, *, start: float = START) -> None:
        self.seed = seed
        self.identity = seed  # what keys depend on
        self.config = config
        self.random = random.Random(repr(seed))
        self.draw = self.random.random
        self.start = start
        self.now = 0.0
        self.steps = 0
        self.processes: list[SimLoop] = []
        self.running: SimLoop | None = None
        self.kill_at: int | None = None  # at this step the process whose turn it is dies
        self.most_steps = MOST_STEPS
        self.run_step: Callable[[asyncio.Handle], None] | None = None  # runs each step, for somebody who watches
        self.is_abandoned: Callable[[], bool] | None = None  # asked before each step
        self._timers: list[tuple[float, float, int, SimLoop | None, Any]] = []
        self._number = 0
        self._made = 0  # processes
        self._tokens = 0
        self._waking = 0  # timers that something waits for

    # --- what exists -------------------------------------------------------------------------------------------------

    def process(self, name: str) -> SimLoop:
        """A new process, with nothing to do yet."""
        from headway.sim.world import SimWorld

        self._made += 1
        process = SimLoop(self, name, self._made)
        process.world = SimWorld(process)
        if self.config.clock_jumps_s:
            process.skew_s = self.random.uniform(-1, 1) * self.config.clock_jumps_s
        if self.config.clock_drift:
            process.drift = self.random.uniform(-1, 1) * self.config.clock_drift
        self.processes.append(process)
        return process

    def remove(self, process: SimLoop) -> None:
        """Take a process out whose program has ended or that has died."""
        process.kill()
        process.bury()
        self.processes.remove(process)
        process.retire()

    def token(self) -> bytes:
        """16 bytes that depend on the identity and on how many were asked for: worlds of one identity have equal keys."""
        self._tokens += 1
        return hashlib.blake2b(repr((self.identity, self._tokens)).encode(), digest_size=16).digest()

    def lasts(self, mean_s: float) -> float:
        """How long something takes this time."""
        return self.random.expovariate(1.0 / mean_s) if mean_s > 0.0 else 0.0

    # --- time --------------------------------------------------------------------------------------------------------

    def schedule(self, when: float, process: SimLoop, timer: asyncio.TimerHandle) -> None:
        self._number += 1
        self._waking += 1
        timer._scheduled = True  # type: ignore[attr-defined]  # asyncio's own
        heapq.heappush(self._timers, (when, self.draw(), self._number, process, timer))

    def unschedule(self, timer: asyncio.TimerHandle) -> None:
        """A timer was cancelled; it is dropped when its time comes."""
        if timer._scheduled:  # type: ignore[attr-defined]  # asyncio's own
            timer._scheduled = False  # type: ignore[attr-defined]  # asyncio's own
            self._waking -= 1

    def at(self, when: float, action: Callable[[], None], *, waking: bool = True) -> None:
        """Something happens from outside at virtual time `when`. What is not `waking` doesn't count as a reason to go on."""
        self._number += 1
        self._waking += waking
        heapq.heappush(self._timers, (when, self.draw(), self._number, None, (action, waking)))

    def freeze(self, process: SimLoop, seconds: float) -> None:
        """The process stops, as after SIGSTOP, and goes on later without knowing."""
        process.frozen = True

        def thaw() -> None:
            process.frozen = process.dead

        self.at(self.now + seconds, thaw)

    # --- running -----------------------------------------------------------------------------------------------------

    def run(self, until: Callable[[], bool]) -> None:
        """Run steps until `until()` is true. Raises Deadlock, Endless, Abandoned."""
        collecting = gc.isenabled()
        gc.disable()  # what a collection would free, and when, is not drawn from the seed
        try:
            with self.inside(None):
                while not until():
                    self._step()
        finally:
            if collecting:
                gc.enable()

    def _step(self) -> None:
        if self.is_abandoned is not None and self.is_abandoned():
            raise Abandoned(f"seed {self.seed!r}: left at {self.now:.1f} virtual seconds, step {self.steps}")
        process = self._turn()
        if process is None:
            self._jump()
            return
        self.steps += 1
        self.now += STEP_S
        if self.steps == self.kill_at:
            process.kill()
            return
        if self.steps > self.most_steps:
            raise Endless(f"seed {self.seed!r}: still going on after {self.most_steps} steps, at {self.now:.1f} s")
        handle = self._choose(process)
        if handle is not None:
            if process is not self.running:
                self._enter(process)
            if self.run_step is None:
                handle._run()
            else:
                self.run_step(handle)

    @contextlib.contextmanager
    def inside(self, process: SimLoop | None) -> Iterator[None]:
        """Run the block inside the process; afterwards the thread's loop and hooks are restored."""
        hooks, before = sys.get_asyncgen_hooks(), asyncio_events._get_running_loop()
        try:
            if process is not None:
                self._enter(process)
            yield
        finally:
            self.running = None
            asyncio_events._set_running_loop(before)
            sys.set_asyncgen_hooks(*hooks)

    def _enter(self, process: SimLoop) -> None:
        self.running = process
        asyncio_events._set_running_loop(process)
        sys.set_asyncgen_hooks(
            firstiter=process._asyncgen_firstiter_hook,  # type: ignore[attr-defined]  # asyncio's own
            finalizer=process._asyncgen_finalizer_hook,  # type: ignore[attr-defined]  # asyncio's own
        )

    def _turn(self) -> SimLoop | None:
        """A process that can go on."""
        ready = [process for process in self.processes if process.soon and not process.frozen]
        if len(ready) < 2:
            return ready[0] if ready else None
        return ready[int(self.draw() * len(ready))]

    def _choose(self, process: SimLoop) -> asyncio.Handle | None:
        """What the process does next: its oldest callback, or any of the coroutines that are ready; None where one is held up."""
        soon, config, draw = process.soon, self.config, self.draw
        handle = soon.popleft()
        if handle._cancelled:
            process.note_turn(handle)
            return None
        if config.shuffle and soon and draw() < config.shuffle:
            place = int(draw() * len(soon))
            other = soon[place]
            if is_step(other):
                del soon[place]
                soon.appendleft(handle)
                handle = other
        if config.stall and draw() < config.stall and is_step(handle):
            process.held_up.add(handle)
            self.at(self.now + self.lasts(config.stall_s), lambda: process.soon.append(handle))
            return None
        process.note_turn(handle)
        return handle

    def _jump(self) -> None:
        """Nothing can run: go to the next moment at which something can."""
        timers = self._timers
        if not self._waking:
            raise Deadlock(f"seed {self.seed!r}: nothing can go on at {self.now:.3f} virtual seconds, step {self.steps}")
        when = timers[0][0]
        self.now = max(self.now, when)
        while timers and timers[0][0] <= self.now:
            _, _, _, process, what = heapq.heappop(timers)
            if process is None:
                action, waking = what
                self._waking -= waking
                action()
            elif not what._cancelled:
                self._waking -= 1
                what._scheduled = False
                if not process.dead:
                    process.soon.append(what)

    def settle(self, process: SimLoop) -> None:
        """Let a process whose program has ended do what it still has to do: steps that were held up, and what follows."""
        latest = self.now + 100 * (1.0 + self.config.stall_s)
        with contextlib.suppress(Deadlock):
            self.run(lambda: process.dead or self.now > latest or not (process.soon or process.unfinished()))

    def end_of(self, process: SimLoop) -> Callable[[], bool]:
        """For `run`: whether the process's program has ended, or the process has died."""
        main = process.main
        assert main is not None
        return lambda: process.dead or main.done()
