"""What a running call may ask of its run: the time, randomness, a sleep, a signal from outside, who it is, and whether to stop.

What a program decides by is durable: a resumed program gets the same time, numbers and signals again.
"""

from __future__ import annotations

import asyncio
import random as random_module
import time
from typing import TYPE_CHECKING, Any

from headway import events
from headway.engine.call import Frame, current, hear_stop, must_stop
from headway.engine.scopes.accounting import check_item
from headway.engine.scopes.bounds import REPLAY_S
from headway.engine.stopping.outside import refuse_outside
from headway.engine.tasks.options import is_number
from headway.engine.transitions import OK
from headway.errors import NotEncodable, NotInRun, UsageError
from headway.journal.clocks import left_s
from headway.journal.codec.codec import encode
from headway.journal.decisions import Now, Sleep
from headway.pools.base import CallFacts
from headway.pools.current import worker_call
from headway.relay import wire
from headway.relay.client import asking

if TYPE_CHECKING:
    from headway.checkpoint.checkpoints import Checkpoints
    from headway.engine.engine import Engine


def call() -> CallFacts:
    """The current call: who it is, and in which run. Works in every pool.

    Returns:
        Its `key` (hexadecimal), `task`, `attempt` (from 1), `run_id`, `deadline` (seconds since 1970, or None) and
        `idempotency_key`, which is the same for every attempt of this call and different in every run.

    Raises:
        NotInRun: outside of a run.

    Example:
        >>> paid = {}
        >>> @hw.task(effect=True)
        ... async def pay(amount: float) -> str:
        ...     paid[hw.call().idempotency_key] = amount  # a bank that takes each key once
        ...     return hw.call().task
        >>> hw.run(pay, 5.0, store=":memory:").endswith("pay"), list(paid.values())
        (True, [5.0])
    """
    if (worker := worker_call()) is not None:
        return worker.facts
    frame = _frame("hw.call()")
    facts: CallFacts = frame.call.engine.launcher.facts(frame.call)
    return facts


def checkpoints(name: str = "", **options: Any) -> Checkpoints:
    """The checkpoints of the current call, in its run's store. The same call finds its own again after a crash, and no other does.

    Deleting the run deletes them.

    Args:
        name: tells several of one call apart: words, with `/` between them where there are several.
        **options: as for `hw.Checkpoints`.

    Returns:
        The checkpoints, empty when the call runs for the first time.

    Raises:
        NotInRun: outside of a run.
        UsageError: the run's store has no place for them (`":memory:"`, None, a Postgres store whose URL has no `blobs`), or the
            name has an empty part, "." or "..".

    Example:
        >>> import numpy as np
        >>> @hw.task
        ... def train(total: int) -> float:
        ...     state = {"weights": np.zeros(4)}
        ...     for step in hw.checkpoints().steps(state, total=total, every=2):
        ...         state["weights"] += step
        ...     return float(state["weights"].sum())
        >>> hw.run(train, 3, store="runs")
        12.0
    """
    from headway import Checkpoints

    if any(part in ("", ".", "..") for part in name.split("/")[bool(not name) :]):
        raise UsageError(f"hw.checkpoints({name!r}): a name is words, with `/` between them where there are several")
    files = call().files
    if not files:
        raise UsageError(
            "this run's store has no place for checkpoints: add one to the URL of a Postgres store (?blobs=/srv/headway or "
            "?blobs=s3://bucket/headway), run with store=PATH, or name a root here: hw.Checkpoints(PATH)"
        )
    return Checkpoints(f"{files}/{name}" if name else files, **options)


def progress(done: float, total: float | None = None, **numbers: float) -> None:
    """Say how far the current call is. It is shown while the run goes; nothing is recorded.

    Works in every pool; of a gang only rank 0 is heard. Outside of a run it does nothing.

    Args:
        done: how much is done, in any unit.
        total: how much there is, where that is known.
        **numbers: what else is worth seeing, by name.

    Example:
        >>> for step in range(1000):
        ...     hw.progress(step, 1000, loss=0.5)
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


def stopping(item: int | None = None) -> bool:
    """Whether nobody waits for the current attempt any more: it was cancelled, timed out or lost a race.

    Async code and processes are interrupted anyway. A thread can't be, so one that works for long asks now and then. In a block of
    `hw.shielded` the answer is False: it may go on.

    Args:
        item: in a batch function, the place of the item to ask about. Without it, whether none of the items is wanted any more. A
            batch function in a process is interrupted when none is wanted; there, asking about a single item always gives False.

    Returns:
        Whether to stop; False outside of a run.

    Raises:
        UsageError: the batch has no such item.

    Example:
        >>> @hw.task
        ... def count(limit: int) -> int:
        ...     for number in range(limit):
        ...         if hw.stopping():
        ...             break
        ...     return number
        >>> hw.run(count, 100, store=None)
        99
    """
    frame = current.get()
    if frame is None:
        return False
    call, batch = frame.call, frame.batch
    check_item(item, None if batch is None else len(batch.calls), call.task, "hw.stopping({})")
    if batch is not None:
        return not (batch.left if item is None else batch.wants(item))
    return must_stop(call) or call.state >= OK or (frame.attempt > 0 and frame.attempt != call.attempt)


def now() -> float:
    """The wall clock. Recorded: a replay of this call returns the same time.

    Outside of a run it is the time as it is; so it is in a batch in a process, and in all of a gang but rank 0.

    Returns:
        Seconds since 1970.

    Example:
        >>> @hw.task
        ... async def program() -> bool:
        ...     return hw.now() > 1_700_000_000
        >>> hw.run(program, store=None)
        True
    """
    if (client := asking()) is not None:
        return float(client.ask(wire.Now()))
    frame = current.get()
    if frame is None:
        return time.time()
    engine: Engine = frame.call.engine
    told: Now = engine.on_loop(engine.decisions.decide, frame, "now", Now, lambda: Now(engine.wall()))
    return told.time


def random() -> random_module.Random:
    """A random generator of this call's own, seeded by the call's key.

    A replay draws the same numbers; another call or another run draws others. Each use in a call gives a new generator. All
    processes of a gang draw alike.

    Returns:
        The generator; outside of a run an unseeded one.

    Example:
        >>> @hw.task
        ... async def roll() -> int:
        ...     return hw.random().randint(1, 6)
        >>> hw.run(roll, store=None) in range(1, 7)
        True
    """
    if (worker := worker_call()) is not None:
        if worker.facts.seat is None and (client := asking()) is not None:
            return random_module.Random(client.ask(wire.Seed()))
        return random_module.Random(f"{worker.facts.key} {worker.count('random')}")
    frame = current.get()
    if frame is None:
        return random_module.Random()
    engine: Engine = frame.call.engine
    seed: bytes = engine.on_loop(draw_seed, frame)
    return random_module.Random(seed)


def draw_seed(frame: Frame) -> bytes:
    """The seed of this call's next generator."""
    engine: Engine = frame.call.engine
    return engine.decisions.name_decision(frame, "random")


async def sleep(seconds: float) -> None:
    """Rest, durably.

    The time to wake is recorded: the process may end meanwhile, and the resumed run rests only for what is left. It never rests
    longer than `seconds`, also where the wall clock is set back.

    Args:
        seconds: how long.

    Raises:
        UsageError: `seconds` is no number.

    Example:
        >>> @hw.task
        ... async def program() -> str:
        ...     await hw.sleep(86_400)
        ...     return "a day later"
        >>> hw.testing.run(program, store=None)  # on a clock that jumps
        'a day later'
    """
    if not is_number(seconds):
        raise UsageError(f"hw.sleep({seconds!r}): expected a number of seconds")
    if (client := asking()) is not None:
        await client.later(wire.Rest(seconds))
        return
    frame = current.get()
    if frame is None:
        refuse_outside("hw.sleep was called", "use time.sleep, or sleep in the parent task")
        await asyncio.sleep(seconds)
        return
    engine: Engine = frame.call.engine
    until = engine.decisions.decide(frame, "sleep", Sleep, lambda: Sleep(engine.wall() + seconds)).until
    hear_stop(frame.call, until)
    # the rest lasts no longer where the wall clock was set back since it was recorded
    ends = engine.loop.time() + left_s(until, seconds, engine.wall())
    while (left := min(until - engine.wall(), ends - engine.loop.time())) > 0:
        await engine.scopes.rest(frame, engine.loop.create_future(), left)
    while engine.scopes.is_broken_off(frame, until):
        await engine.scopes.rest(frame, engine.loop.create_future(), REPLAY_S)


async def wait_event(name: str, *, timeout: float | None = None) -> Any:
    """Wait for a signal to this run (`hw.signal`, `headway signal`).

    Signals are kept until they are waited for, in the order in which they were sent. Each goes to one wait, and that is recorded.
    It is used for good when the call that waited ends well. What a loser of a race, a failed join, a call that failed or was
    stopped had received goes back to its old place in the queue. An attempt that is tried again receives the same again.

    Args:
        name: the name of the signal.
        timeout: seconds to wait at most, recorded as an absolute time; None waits without end. A signal that was sent in time
            counts, also where the process did not run then or had not seen it yet. When the run has failed, or the call is tried
            again, a wait that took too long begins anew, with its whole time.

    Returns:
        The value that was sent.

    Raises:
        TimeoutError: no signal came in time.
        NotInRun: outside of a run.
        UsageError: the name is no text, or the time no number.

    Example:
        >>> @hw.task
        ... async def publish(text: str) -> str:
        ...     return f"published {text}" if await hw.wait_event("approve", timeout=3600) == "yes" else "dropped"
        >>> store = hw.MemoryStore()
        >>> try:
        ...     hw.testing.run(publish, "a page", store=store, run_id="page")  # nobody answers within the hour
        ... except TimeoutError:
        ...     hw.signal("page", "approve", "yes", store=store)
        >>> hw.resume("page", store=store)
        'published a page'
    """
    check_signal_name(name, "hw.wait_event(name={!r})")
    if timeout is not None and not is_number(timeout):
        raise UsageError(f"hw.wait_event(timeout={timeout!r}): expected a number of seconds, or None to wait without end")
    if (client := asking()) is not None:
        return await client.later(wire.WaitEvent(name, timeout))
    frame = _frame("hw.wait_event()")
    return await frame.call.engine.signals.wait(frame, name, timeout)


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
