"""The event loop of one simulated process. It keeps no time and never waits: the universe says whose turn it is.

It is an asyncio loop to everything that runs on it. What would leave the simulation (a socket, a child process, a signal handler)
is refused in a sentence; code meant for a thread runs here, at a drawn time, with nothing beside it.
"""

from __future__ import annotations

import asyncio
import contextvars
import warnings
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from headway.errors import UsageError

if TYPE_CHECKING:
    from headway.sim.universe import Universe
    from headway.sim.world import SimWorld

T = TypeVar("T")


class Killed(BaseException):
    """Unwinds the code of a simulated process that has died. Nothing can be done about it."""


class SimLoop(asyncio.BaseEventLoop):
    """A process: a name, a queue of what can run, and whether it lives."""

    world: SimWorld

    def __init__(self, universe: Universe, name: str, number: int = 1) -> None:
        self.universe = universe
        self.name = name
        self.owner = f"driver {number} of simulation [{universe.seed!r}]"  # no other process is called so, here or elsewhere
        self.dead = False
        self._tidy_at = 1000
        super().__init__()
        self._contexts: dict[asyncio.Task[Any], contextvars.Context] = {}
        self.set_task_factory(self._make_task)
        self.frozen = False
        self.skew_s = 0.0
        self.drift = 0.0  # seconds that its clock gains in each
        self.soon: deque[asyncio.Handle] = deque()
        self.held_up: set[asyncio.Handle] = set()  # steps that are ready and are passed over
        self._laps: list[tuple[set[asyncio.Handle], Callable[[], None]]] = []  # steps without a turn yet, and what comes after them
        self.faults: list[dict[str, Any]] = []  # what asyncio would have logged
        self.main: asyncio.Task[Any] | None = None

    def __repr__(self) -> str:
        return f"<simulated process {self.name}{' (dead)' * self.dead}>"

    def __del__(self) -> None:
        """Nothing: it holds nothing that would have to be closed."""

    def start(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Let the process begin; it runs when the universe does."""
        self.main = task = self.create_task(coroutine, context=contextvars.Context())
        return task

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, coroutine: Any, context: contextvars.Context | None = None
    ) -> asyncio.Task[Any]:
        """A task whose context is known, so that its code can be ended in it."""
        context = context if context is not None else contextvars.copy_context()
        task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, context=context, name="headway")
        if len(self._contexts) >= self._tidy_at:
            self._contexts = {other: known for other, known in self._contexts.items() if not other.done() or other._log_traceback}
            self._tidy_at = 1000 + 2 * len(self._contexts)
        self._contexts[task] = context
        return task

    # --- what asyncio asks of a loop ---------------------------------------------------------------------------------

    def time(self) -> float:
        return self.universe.now

    def is_running(self) -> bool:
        return self.universe.running is self

    def call_soon(  # type: ignore[override]  # asyncio types each argument
        self, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self.soon.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]  # asyncio types each argument

    def call_later(  # type: ignore[override]  # asyncio types each argument
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.universe.now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]  # asyncio types each argument
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self.universe.schedule(when, self, timer)
        return timer

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.dead:
            self.faults.append(context)

    def run_in_executor(  # type: ignore[override]  # asyncio types each argument
        self, executor: object, function: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Code for a thread, run on this one at a drawn time."""
        future: asyncio.Future[T] = self.create_future()

        def step() -> None:
            if future.done():
                return
            try:
                future.set_result(function(*args))
            except Exception as error:
                future.set_exception(error)

        self.call_later(self.universe.lasts(self.universe.config.job_s), step)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        pass

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        self.universe.unschedule(handle)

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise UsageError(
            "the simulator has no network, no child processes and no signals: put what needs them into a task of its own, "
            "and let recorded answers stand for it (`headway check … --answers RUN`, or `answers=` in Python)"
        )

    async def _refuse_soon(self, *args: Any, **named: Any) -> Any:
        self._refuse()

    # --- turns -------------------------------------------------------------------------------------------------------

    def after_ready(self, function: Callable[[], None]) -> None:
        """Call a function when every step that is ready now has had its turn, also one that is held up: what a loop of asyncio
        lets pass in between is nothing."""
        ready = {handle for handle in (*self.soon, *self.held_up) if is_step(handle)}
        if ready:
            self._laps.append((ready, function))
        else:
            self.call_soon(function)

    def note_turn(self, handle: asyncio.Handle) -> None:
        """The turn of this handle has come."""
        self.held_up.discard(handle)
        for ready, _ in self._laps:
            ready.discard(handle)
        while self._laps and not self._laps[0][0]:
            self.call_soon(self._laps.pop(0)[1])

    # --- its end -----------------------------------------------------------------------------------------------------

    def kill(self) -> None:
        """End the process as SIGKILL would: nothing of it runs again, and nothing it does has any effect."""
        self.dead = self.frozen = True

    def retire(self) -> None:
        """Mark the loop as closed, as asyncio does."""
        self._closed = True

    def bury(self) -> None:
        """Free what a dead process left. Its coroutines are closed, which may run their `finally` blocks: unheard."""
        with warnings.catch_warnings(), self.universe.inside(self):
            warnings.simplefilter("ignore", RuntimeWarning)  # of coroutines that had not begun
            self._bury()

    def _bury(self) -> None:
        for engine in self.world.engines:
            engine.spawn = _raise_killed  # type: ignore[method-assign]  # from now on
        self.world.beside.kill_all()
        for pool in self.world.pools:
            pool.abandon()
        for _ in range(10):  # what is closed may begin something else
            for task in (left := self.unfinished()):
                self._close(task)
            if not left:
                break
        self._contexts.clear()
        self._laps.clear()
        for handles in (self.soon, self.held_up):
            handles.clear()

    def unheard(self) -> list[str]:
        """Errors of its coroutines that nobody has retrieved."""
        ended = [task for task in self._contexts if task.done() and task._log_traceback]
        for task in ended:
            task._log_traceback = False
        return [f"{getattr(task.get_coro(), '__qualname__', 'a coroutine')} raised {task.exception()!r}" for task in ended]

    def _close(self, task: asyncio.Task[Any]) -> None:
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio's own
        coroutine: Any = task.get_coro()
        context = self._contexts.pop(task).copy()
        for _ in range(3):  # one that awaits while it is being closed has to be told again
            try:
                context.run(coroutine.close)
                return
            except (Exception, Killed, asyncio.CancelledError):
                continue

    def unfinished(self) -> list[asyncio.Task[Any]]:
        """Its coroutines that have not ended."""
        return [task for task in self._contexts if not task.done()]


for _name in ("add_reader", "add_writer", "add_signal_handler"):
    setattr(SimLoop, _name, SimLoop._refuse)
for _name in (
    *("create_connection", "create_datagram_endpoint", "create_server", "getaddrinfo", "getnameinfo", "sock_connect", "sock_recv"),
    *("sock_sendall", "sock_accept", "subprocess_shell", "subprocess_exec", "connect_read_pipe", "connect_write_pipe"),
):
    setattr(SimLoop, _name, SimLoop._refuse_soon)


def is_step(handle: asyncio.Handle) -> bool:
    """Whether a handle lets a coroutine go on, and is no plain callback."""
    return isinstance(getattr(handle._callback, "__self__", None), asyncio.Task)  # type: ignore[attr-defined]  # asyncio's own


def _raise_killed(*_: Any, **__: Any) -> Any:
    raise Killed
