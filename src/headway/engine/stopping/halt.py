"""Stops that are delivered late: what a call remembers of its stop, and the shielded blocks that hold it off.

A stop is delivered late for two reasons. The code is inside a shielded block (`Shield`): it hears of the stop when the block ends.
Or the run was resumed and the journal still answers the code: it hears of the stop where the recorded answers end, as it did in the
life before.

Nothing here decides when a stop is heard: `shields` does.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any


class Shield:
    """One open block of a call's code that no stop of the call interrupts."""

    __slots__ = ("branch", "call", "deadline", "ends", "expired", "listeners", "number", "over", "task", "timeout_s", "timer")

    def __init__(self, frame: Any, number: int, timeout_s: float, ends: float, task: asyncio.Task[Any] | None) -> None:
        self.call = frame.call
        self.branch: bytes = frame.branch  # the coroutine that it stands in, of those that the call has joined
        self.deadline = frame.scope.deadline  # the innermost around the block, which doesn't hold inside
        self.number = number  # of the blocks that the attempt has opened, from 1
        self.timeout_s = timeout_s
        self.ends = ends  # by the loop's clock
        self.task = task  # runs the block
        self.listeners: list[Callable[[], None]] = []  # called once the block is left
        self.timer: asyncio.TimerHandle | None = None
        self.expired = False
        self.over = False

    @property
    def holds(self) -> bool:
        """Whether it holds stops off now."""
        return not (self.over or self.expired)

    def hides(self, deadline: Any) -> bool:
        """Whether the block stands inside of the block of this deadline."""
        around = self.deadline
        while around is not None and around is not deadline:
            around = around.outer
        return around is not None

    def covers(self, call: Any) -> bool:
        """Whether it shields code of this call that has the block around it."""
        return self.holds and self.call is call


class Halt:
    """What a call remembers of its stop."""

    __slots__ = ("after", "guessed", "heard", "held_off", "opened", "recalled", "recorded", "replays", "shields", "told", "untold")

    def __init__(self) -> None:
        self.shields: list[Shield] = []  # that are open, the outermost first
        self.opened = 0  # blocks so far
        self.held_off = False  # a stop came while a block was open; the code hears of it when the block ends
        self.replays = False  # the code hears of the stop when the journal has no recorded answer left for it
        self.guessed = False  # the code runs only because a call below it may have something to undo
        self.recorded = False  # the journal says that the code undoes what it did: whoever asks next asks for everything afresh
        self.recalled = False  # an earlier life recorded the stop, and nobody has stopped the call in this one
        self.told = math.inf  # the last row that the code can have been told of when it heard of the stop
        self.heard = math.inf  # when that was, in seconds since 1970
        self.untold: set[bytes] = set()  # calls that it was waiting for then
        self.after = 0  # the block at whose end it heard of the stop; 0: it was in none

    def hear(self, own: asyncio.Task[None] | None, reason: str) -> None:
        """A replay is over, as code of the call has asked for what nobody recorded. Where that code is a coroutine that the call
        joined, the call's `own` code is interrupted as well: it would take the end of the coroutine for an answer, and go on."""
        self.replays = False
        if own is None or own is asyncio.current_task():
            return
        if self.shields:
            self.held_off = True
        else:
            own.cancel(reason)
