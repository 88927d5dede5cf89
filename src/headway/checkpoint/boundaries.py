"""Between two steps of a training: is it time to save, and is it time to stop?

All ranks know which steps are saved by their number. A clock or a signal may say different things on different ranks at the same
step, so the ranks have to agree, which costs a message. They agree about once a second, and whenever they save anyway. With each
answer the first rank also says after how many steps to look again, so all ranks look at the same step. That number at most doubles
each time, because the first steps may be the fast ones of a loop that skips what was done before. A single process looks after
every step.

A scheduler sends SIGTERM before it takes the machine away. The handler only notes the signal. The loop finishes the current step,
saves it and waits until the save is durable; then it raises the signal again, so that it does what it would have done. No handler
is set in threads, in forks, or where the program has a handler of its own. Nested loops share one handler, and only the step of the
inner loop can be finished and saved. Inside a run the signal is the run's: it waits some seconds for its calls and then stops them.
There the step is saved as well, and the loop goes on until the run stops it; a call that ended by itself would count as ended.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

import msgspec

from headway.checkpoint.process.collective import all_or_none
from headway.checkpoint.process.ranks import Ranks
from headway.engine.call import current
from headway.ipc.interrupts import give_back, keep_from_forks
from headway.pools.current import run_is_ending, worker_call

if TYPE_CHECKING:
    from headway.engine.engine import Engine

LOOK_S = 1.0
MOST_STEPS = 100  # seconds between two looks
AGAIN_S = 5.0  # seconds after SIGTERM from which a second one ends the process at once


class Due(msgspec.Struct, frozen=True):
    """What is due after a step."""

    save: bool = False
    stop: bool = False


class _Word(msgspec.Struct, frozen=True):
    """What a rank says when they look. Of the first one: whether a save is due by time, and in how many steps to look again."""

    stop: bool
    late: bool = False
    next_look: int = 1


_decode_word = msgspec.msgpack.Decoder(_Word).decode


class Boundaries:
    """The steps of one training.

    Args:
        every: a save is due after so many steps; None: by time alone.
        every_s: a save is due when the last one began so many seconds ago.
        total: the last step, after which one is due.
        stopping: whether this rank was told to stop.
    """

    def __init__(
        self,
        ranks: Ranks,
        *,
        every: int | None,
        every_s: float | None,
        total: int,
        stopping: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ranks = ranks
        self._every, self._every_s, self._total = every, every_s, total
        self._stopping, self._clock = stopping, clock
        self._saved_at = self._looked_at = clock()
        self._steps = 0  # since the last look
        self._left = 1  # steps until the next one
        self._told = False  # whether the request to stop was reported

    def after(self, done: int) -> Due:
        """Say what is due after this many steps. All ranks ask after each step. The request to stop is reported once."""
        by_number = done == self._total or (self._every is not None and done % self._every == 0)
        late, stop = self._look(at_once=by_number)
        stop, self._told = stop and not self._told, stop or self._told
        save = by_number or late or stop
        if save:
            self._saved_at = self._clock()
        return Due(save, stop and done < self._total)

    def _look(self, *, at_once: bool) -> tuple[bool, bool]:
        """Whether a save is due by time, and whether to stop."""
        self._steps += 1
        self._left -= 1
        if self._ranks.size > 1 and self._left > 0 and not at_once:
            return False, False
        words = [_decode_word(said) for said in all_or_none(self._ranks, self._say)]
        self._looked_at, self._steps = self._clock(), 0
        self._left = words[0].next_look
        return words[0].late, any(word.stop for word in words)

    def _say(self) -> bytes:
        now = self._clock()
        late = self._every_s is not None and now - self._saved_at >= self._every_s
        a_step_s = (now - self._looked_at) / self._steps
        wait_s = LOOK_S if self._every_s is None else min(LOOK_S, self._every_s / 4)
        next_look = max(1, min(MOST_STEPS, 2 * self._steps, int(wait_s / a_step_s))) if a_step_s > 0 else 1
        return msgspec.msgpack.encode(_Word(self._stopping(), late, next_look))


class _Heard:
    """The one SIGTERM handler of this process. It serves all loops: nested ones, and a loop that was left while somebody, such as
    tqdm, still holds its generator."""

    def __init__(self) -> None:
        self.at: float | None = None
        self.loops: list[Sigterm] = []

    def join(self, loop: Sigterm) -> None:
        """Tell a loop of the signal, unless the program has a handler of its own."""
        handler = signal.getsignal(signal.SIGTERM)
        if handler is signal.SIG_DFL:
            keep_from_forks(signal.SIGTERM, self.note)
        elif handler != self.note:
            return
        self.loops.append(loop)

    def note(self, number: int, frame: FrameType | None) -> None:
        """Handle SIGTERM. Launchers often forward a signal that the scheduler has already sent to every process, so a second one
        right after the first means nothing. One that comes later means: stop now."""
        now = time.monotonic()
        if self.loops and self.at is None:
            self.at = now
        elif self.at is None or now - self.at > AGAIN_S:
            give_back(signal.SIGTERM, self.note)
            signal.raise_signal(signal.SIGTERM)

    def end(self) -> None:
        """Remove the handler: no loop is left."""
        self.at = None
        if threading.current_thread() is threading.main_thread():  # else the handler stays and passes signals through
            give_back(signal.SIGTERM, self.note)

    def forget(self) -> None:
        """In a fork: the loops are those of its parent."""
        self.at = None
        self.loops.clear()


_heard = _Heard()
os.register_at_fork(after_in_child=_heard.forget)


class Sigterm:
    """Whether SIGTERM came, and to whom.

    `of_run`: this is a call of a run, which ends it. `saved`: the step that was saved because of it. `cut`: the loop has ended
    before its last step because of it.
    """

    def __init__(self, root: str, wait: Callable[[], object]) -> None:
        self._root, self._wait = root, wait
        self._frame = current.get()
        self.of_run = self._frame is not None or worker_call() is not None
        self.saved: int | None = None
        self.cut = False
        if not self.of_run and threading.current_thread() is threading.main_thread():
            _heard.join(self)

    @property
    def came(self) -> bool:
        if self._frame is not None:
            engine: Engine = self._frame.call.engine
            return engine.ready.ending
        return (self in _heard.loops and _heard.at is not None) or run_is_ending()

    def leave(self, error: BaseException | None = None) -> None:
        """Stop listening. A signal that came meanwhile is raised again when the last loop leaves, or when a loop that was cut
        leaves: the step of a loop around that one can't be finished."""
        if self not in _heard.loops:
            return
        _heard.loops.remove(self)
        came = _heard.at is not None
        if came:
            self._say(error)
        if came and self.cut:
            _end_the_others()
        if not _heard.loops:
            _heard.end()
            if came:
                signal.raise_signal(signal.SIGTERM)

    def _say(self, error: BaseException | None) -> None:
        """The last words of a process that ends by the signal: nothing else would be seen of it."""
        if isinstance(error, Exception):
            traceback.print_exception(error)
        saved = "the step that was under way is not saved" if self.saved is None else f"step {self.saved} is saved"
        said = f"headway: told to end (SIGTERM); {saved}: {self._root}"
        print(said, file=sys.stderr)  # noqa: T201 - nobody else is left to say it
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):
                stream.flush()


def _end_the_others() -> None:
    """Let the saves of the loops around one that was cut become durable."""
    while _heard.loops:
        loop = _heard.loops[-1]
        error: Exception | None = None
        try:
            loop._wait()
        except Exception as raised:
            error = raised
        loop._say(error)
        _heard.loops.remove(loop)


@contextmanager
def noting_sigterm(root: str, wait: Callable[[], object] = lambda: None) -> Iterator[Sigterm]:
    """Note SIGTERM instead of ending at once, unless somebody else handles it. A signal that came is raised again at the end.
    `wait` returns when no save of the loop is under way."""
    told = Sigterm(root, wait)
    error: BaseException | None = None
    try:
        yield told
    except BaseException as raised:
        error = raised
        raise
    finally:
        told.leave(error)
