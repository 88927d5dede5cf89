"""How a stop ends when the code that is stopped does not.

Async code is asked to stop by an exception, and code can catch it: a bare `except:` in a loop, a `finally:` that waits for ever. So
a stop has an end of its own. Code that still runs `GRACE_S` after it was asked is left behind, as a thread is: its call ends as if
it had obeyed, and so does everything under it. The code may go on as long as the run does, in a slot that stays taken, as do its
places in limits and its resources: it still uses what they stand for. It can do nothing in the run any more: what it asks of it
raises, its calls are refused, and nothing of it is recorded but the money that it spends.

When the run ends, the code is asked to stop once more. What still does not end is unregistered from the loop, so that nobody waits
for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import warnings
from typing import Any

from headway.engine.call import Call
from headway.engine.dispatch.ready import Ready
from headway.engine.ports import Stopping
from headway.engine.run_context import RunContext
from headway.engine.transitions import OK, RUNNING

GRACE_S = 4.0
"""How long async code may take to end after it was asked to stop; what it does after that is its own affair."""

LAST_S = 0.25  # how long the end of a run waits for code that was left behind


class Stops:
    def __init__(self, run: RunContext, lifecycle: Stopping, ready: Ready) -> None:
        self._run = run
        self._lifecycle = lifecycle
        self._ready = ready
        self._strays: dict[asyncio.Task[Any], str] = {}  # what was left behind, and what it was part of
        self._warned: set[str] = set()
        self._timers: list[asyncio.TimerHandle] = []  # until threads that were left behind are reported
        self.over = False  # the run has ended: nobody needs what still runs

    def grant(self, call: Call, more_s: float = 0.0) -> None:
        """Give code that was asked to stop its grace, after the `more_s` seconds for which it is shielded; then leave it behind."""
        x = call.extra()
        if x.timer is not None:
            x.timer.cancel()
        x.timer = self._run.loop.call_later(GRACE_S + more_s, self._late, call, call.attempt)

    def _late(self, call: Call, attempt: int) -> None:
        if not self.over and call.state == RUNNING and call.attempt == attempt and (task := call.asyncio_task) is not None:
            what, reason = call.describe(), call.extra().stop_reason
            for shield in call.extra().halting().shields:
                shield.over = True
            self._warned.add(what)
            self.leave_behind(task, what)
            self._ready.leave_behind(call, task)
            _warn(f"{what} was asked to stop ({reason}) and still runs {GRACE_S:g} s later, so it is left behind. {_WAY_OUT}")
            self._stop_below(call, f"{what} was left behind")
            self._lifecycle.body_ended(call, None, asyncio.CancelledError())

    def tell_of_thread(self, call: Call) -> asyncio.TimerHandle:
        """Warn if the call's code, in a thread that can't be stopped, still runs after its grace. Cancel it when the code ends."""
        timer = self._run.loop.call_later(GRACE_S, self._warn_of_thread, call, call.extra().stop_reason)
        self._timers = [each for each in self._timers if not each.cancelled() and each.when() > self._run.loop.time()]
        self._timers.append(timer)
        return timer

    def _warn_of_thread(self, call: Call, reason: str) -> None:
        if not self.over and call.task not in self._warned:
            self._warned.add(call.task)
            _warn(
                f"{call.describe()} was asked to stop ({reason}) and its thread still runs {GRACE_S:g} s later: it is left behind. "
                "It keeps its place in the pool and its resources until it ends: have its code ask hw.stopping() and bound what it "
                'waits for, or use pool="process", which can be interrupted'
            )

    def _stop_below(self, call: Call, reason: str) -> None:
        """Ask everything under a call to stop at once: level by level, each would have its grace after the one above it. A call is
        asked before its children, so that it knows it was stopped, too, when one of them ends cancelled."""
        for child in list(call.children or ()):
            shield = child.scope.shield
            if child.state < OK and (self._run.closing or shield is None or not shield.holds):
                self._lifecycle.cancel(child, reason)
                self._stop_below(child, reason)

    def stop_all(self, root: Call, reason: str) -> None:
        """Ask all calls of a run that ends here to stop."""
        self._lifecycle.cancel(root, reason)
        self._stop_below(root, reason)

    def leave_behind(self, task: asyncio.Task[Any], what: str) -> None:
        """Stop waiting for code that was asked to stop."""
        if not task.done():
            self._strays[task] = what
            task.cancel()
            task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._strays.pop(task, None)
        if not task.cancelled():
            task.exception()  # retrieved, or asyncio would print it

    async def close(self, root: Call) -> None:
        """End what the run left behind, and what still runs where its driver was broken off."""
        self.over = True
        for timer in self._timers:
            timer.cancel()
        if root.state < OK:
            self._leave_all_behind(root)
        left = list(self._strays)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=LAST_S)
        for task in left:
            if not task.done():
                if (what := self._strays[task]) not in self._warned:
                    _warn(f"{what} still ran when the run had ended, and is left behind. {_WAY_OUT}")
                let_go(task)
        self._strays.clear()

    def _leave_all_behind(self, call: Call) -> None:
        if call.asyncio_task is not None:
            self.leave_behind(call.asyncio_task, call.describe())
        for child in call.children or ():
            self._leave_all_behind(child)


def let_go(task: asyncio.Future[Any]) -> None:
    """Unregister a task that can't be ended from its loop: nobody waits for it when the loop ends, and nobody frees it.

    Freeing it would throw GeneratorExit into its code, which swallows that too: outside of a loop it might then spin for ever.
    """
    if isinstance(task, asyncio.Task):
        asyncio.tasks._unregister_task(task)
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio's own
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(task))


_WAY_OUT = (
    "Its code catches the cancellation or tidies up for long: let asyncio.CancelledError through (`except Exception:` instead of "
    "`except:`), and bound what `finally:` waits for"
)


def _warn(text: str) -> None:
    with contextlib.suppress(RuntimeWarning):  # where warnings are errors; in the middle of the engine it belongs to nobody
        warnings.warn(f"headway: {text}", RuntimeWarning, stacklevel=2)
