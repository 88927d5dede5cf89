"""What a running call may ask of its run: the time, randomness, a rest, an event from outside, and who it is.

All answers are durable: a resumed program gets the ones it got before.
"""

from __future__ import annotations

import asyncio
import random as random_module
import time
from typing import TYPE_CHECKING, Any

from headway import events
from headway.engine.call import Frame, current
from headway.engine.identity.options import is_number
from headway.engine.stopping.outside import refuse_outside
from headway.errors import NotEncodable, NotInRun, UsageError
from headway.journal.clocks import left_s
from headway.journal.codec.codec import encode
from headway.journal.decisions import Now, Sleep
from headway.pools.base import CallFacts
from headway.pools.current import worker_call

if TYPE_CHECKING:
    from headway.checkpoint.checkpoints import Checkpoints
    from headway.engine.engine import Engine


def call() -> CallFacts:
    """The current call: `key` (hexadecimal), `task`, `attempt` (from 1), `run_id`, `deadline` (wall clock or None) and
    `idempotency_key`, the same for every attempt of this call and different in every run. Works in every pool.

    Raises NotInRun outside of a run.

    Example:
        >>> @hw.task(effect=True)
        ... async def pay(amount: float) -> str:
        ...     return await bank.pay(amount, idempotency_key=hw.call().idempotency_key)
    """
    if (worker := worker_call()) is not None:
        return worker.facts
    frame = _frame("hw.call()")
    facts: CallFacts = frame.call.engine.launcher.facts(frame.call)
    return facts


def checkpoints(name: str = "", **options: Any) -> Checkpoints:
    """The checkpoints of the current call, in its run's store: the same call finds its own again after a crash, and no other does.

    A call may have several, by `name`. `options` are those of `hw.Checkpoints`. Deleting the run deletes them.

    Raises NotInRun outside of a run, UsageError where the run's store has no folder (`":memory:"`, None).

    Example:
        >>> @hw.task(pool="process")
        ... def train(total: int) -> float:
        ...     for step in hw.checkpoints().steps(state, total=total, every=50):
        ...         ...
    """
    from headway import Checkpoints

    if any(part in ("", ".", "..") for part in name.split("/")[bool(not name) :]):
        raise UsageError(f"hw.checkpoints({name!r}): a name is words, with `/` between them where there are several")
    files = call().files
    if not files:
        raise UsageError("this run's store has no folder for checkpoints: run with store=PATH, or name one: hw.Checkpoints(PATH)")
    return Checkpoints(f"{files}/{name}" if name else files, **options)


def progress(done: float, total: float | None = None, **numbers: float) -> None:
    """Say how far the current call is: `done` of `total`, and numbers worth seeing. Shown while the run goes; nothing is recorded.

    Works in every pool; of a gang only rank 0 is heard. Outside of a run it does nothing.

    Example:
        >>> for step in range(1000):
        ...     progress(step, 1000, loss=0.5)
    """
    if (worker := worker_call()) is not None:
        facts = worker.facts
        if facts.seat is None or facts.seat.rank == 0:
            worker.tell(_progress(time.time(), facts.key, facts.task, done, total, numbers))
    elif (frame := current.get()) is not None:
        engine: Engine = frame.call.engine
        if engine.emit:
            event = _progress(engine.wall(), frame.call.key.hex(), frame.call.task, done, total, numbers)
            engine.on_loop(engine.emit, event)


def _progress(at: float, key: str, task: str, done: float, total: float | None, numbers: dict[str, float]) -> events.CallProgress:
    shown = {name: _plain(number) for name, number in numbers.items()}
    return events.CallProgress(
        at=at, key=key, task=task, done=_plain(done), total=None if total is None else _plain(total), numbers=shown
    )


def _plain(number: float) -> float:
    """A number of an array or a tensor as one that every sink can write."""
    return number if type(number) in (int, float) else float(number)


def now() -> float:
    """The wall clock in seconds since 1970, recorded: a replay of this call is told the same time.

    Outside of a run, and in a process, whose code a resume always runs from its beginning, the time as it is.
    """
    frame = current.get()
    if frame is None:
        return time.time()
    engine: Engine = frame.call.engine
    told: Now = engine.on_loop(engine.decisions.decide, frame, "now", Now, lambda: Now(engine.wall()))
    return told.time


def random() -> random_module.Random:
    """A random generator of this call's own, seeded by the call's key: a replay draws the same numbers, another call or run draws
    others. Each use in a call gives a new generator. All processes of a gang draw alike. Outside of a run, it is unseeded.
    """
    if (worker := worker_call()) is not None:
        return random_module.Random(f"{worker.facts.key} {worker.count('random')}")
    frame = current.get()
    if frame is None:
        return random_module.Random()
    engine: Engine = frame.call.engine
    seed: bytes = engine.on_loop(engine.decisions.name_decision, frame, "random")
    return random_module.Random(seed)


async def sleep(seconds: float) -> None:
    """Rest. The time to wake is recorded: the process may end meanwhile, and the resumed run rests only for what is left.
    It never rests longer than `seconds`, also where the wall clock is set back."""
    if not is_number(seconds):
        raise UsageError(f"hw.sleep({seconds!r}): expected a number of seconds")
    frame = current.get()
    if frame is None:
        refuse_outside("hw.sleep was called", "use time.sleep, or sleep in the parent task")
        await asyncio.sleep(seconds)
        return
    engine: Engine = frame.call.engine
    until = engine.decisions.decide(frame, "sleep", Sleep, lambda: Sleep(engine.wall() + seconds)).until
    # the rest lasts no longer where the wall clock was set back since it was recorded
    ends = engine.loop.time() + left_s(until, seconds, engine.wall())
    while (left := min(until - engine.wall(), ends - engine.loop.time())) > 0:
        await engine.scopes.rest(frame, engine.loop.create_future(), left)


async def wait_event(name: str, *, timeout_s: float | None = None) -> Any:
    """Wait for a signal of this name to this run (`hw.signal`, `headway signal`) and return its value.

    Signals are kept until they are waited for, in the order in which they were sent; each is told to one wait, and that is
    recorded. It is used for good when the call that waited ends well. What a loser of a race, a failed join, a call that failed or
    was stopped had been told goes back to its old place in the queue. An attempt that is tried again is told the same again.

    timeout_s: seconds, recorded as an absolute time. A signal that was sent in time counts, also where the process did not run then
        or had not seen it yet. When the run has failed, or the call is tried again, a wait that took too long is begun anew, with
        its whole time.

    Raises TimeoutError when the time passes without a signal, NotInRun outside of a run.

    Example:
        >>> async def program(text):
        ...     if await wait_event("approve", timeout_s=3600) == "yes":
        ...         await publish(text)
    """
    check_signal_name(name, "hw.wait_event(name={!r})")
    if timeout_s is not None and not is_number(timeout_s):
        raise UsageError(f"hw.wait_event(timeout_s={timeout_s!r}): expected a number of seconds, or None to wait without end")
    frame = _frame("hw.wait_event()")
    return await frame.call.engine.signals.wait(frame, name, timeout_s)


def _frame(what: str) -> Frame:
    frame = current.get()
    if frame is None:
        refuse_outside(f"{what} was called", "call it in the parent task and pass the answer on")
        raise NotInRun(f"{what} asks about the current call, but no run is going on here: start the program with hw.run")
    return frame


def check_signal_name(name: object, where: str) -> None:
    """Raises UsageError for what can't be the name of a signal."""
    if not isinstance(name, str):
        raise UsageError(f"{where.format(name)}: expected the name of a signal, a text")


def encode_signal(value: object) -> bytes:
    """A signal's value as the store keeps it. Raises NotEncodable, and UsageError for what is too large for a signal."""
    try:
        head, buffers = encode(value, where="the signal's value")
    except NotEncodable as error:
        raise NotEncodable(f"{str(error).partition(':')[0]}: send numbers, text, lists or dictionaries") from None
    if buffers:
        raise UsageError("a signal's value holds an array or bytes of more than 16 KiB: send a path or a name instead")
    return head
