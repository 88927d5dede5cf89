"""Bodies in processes, each for one promise."""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections.abc import AsyncIterator
from typing import Any

from bodies import Trouble, costly, double, fail, in_pool, linger, note, send

import headway as hw
from headway.pools.current import worker_call

TRIED: list[str] = []


@hw.task(pool="process")
def deep(n: int) -> int:
    return 1 + hw.wait(deep(n - 1)) if n else 0


@hw.task(pool="process")
async def wide(n: int) -> int:
    return 1 + sum(await hw.gather(wide(n - 1), wide(n - 1))) if n else 1


@hw.task
async def flaky(x: int) -> int:
    note()
    if hw.call().key not in TRIED:
        TRIED.append(hw.call().key)
        raise Trouble("the first time")
    return x


async def because_of_a_child() -> list[int]:
    return [await double(1), await flaky(2)]


async def beside_a_child() -> list[int]:
    first = await double(1)
    try:
        return [first, await flaky(2)]
    except Trouble as error:
        raise KeyError("what it was for") from error


async def by_itself() -> list[int]:
    first = await double(1)
    if hw.call().attempt == 1:
        raise ValueError("by itself")
    return [first]


RETRY = hw.Retry(attempts=3, delay_s=1, jitter=0)
FAILING = (because_of_a_child, beside_a_child, by_itself)
RETRIED_HERE = {body.__name__: in_pool(body, "inline", retry=RETRY) for body in FAILING}
RETRIED_AWAY = {body.__name__: in_pool(body, "process", retry=RETRY) for body in FAILING}


@hw.task(pool="process")
async def catches() -> list[Any]:
    seen: list[Any] = []
    handle = fail("a")
    for _ in range(2):
        try:
            await handle
        except Trouble as error:
            seen.append(error)
    told = handle.exception()
    return [seen[0] is seen[1] is told, type(told).__name__, str(told), handle.state, handle.done(), handle.cancelled()]


@hw.task(pool="process")
async def leaves_early() -> str:
    linger(5)
    return "early"


@hw.task(pool="process")
async def leaves_a_failure() -> str:
    fail("unseen")
    return "early"


@hw.task(pool="process")
async def waits_long() -> float:
    return await linger(1000)


@hw.task(pool="process")
def waits_long_in_a_plain_function() -> float:
    return hw.wait(linger(1000))


@hw.task(pool="process")
async def gathers_long() -> list[float]:
    return await hw.gather(linger(1000), _linger_on())


async def _linger_on() -> float:
    return await linger(2000)


@hw.task
async def stops(body: str) -> str:
    handle = {each.name.rpartition(".")[2]: each for each in (waits_long, waits_long_in_a_plain_function, gathers_long)}[body]()
    await hw.sleep(3)
    handle.cancel("enough")
    (end,) = await hw.settle(handle)
    return type(end.error).__name__


@hw.task(pool="process")
async def bounded_in_time() -> list[Any]:
    began = hw.now()
    with hw.deadline(seconds=5, raises=False) as scope:
        await hw.gather(linger(100), linger(200))
    seen: list[Any] = [scope.expired, hw.now() - began]
    try:
        with hw.deadline(seconds=5):
            seen.append(4 < hw.time_left() <= 5)
            await linger(100)
    except hw.DeadlineExceeded as error:
        seen.append(type(error).__name__)
    with hw.deadline(seconds=50) as scope:
        await linger(1)
    return [*seen, scope.expired, hw.time_left()]


@hw.task(pool="process")
def bounded_in_time_plainly() -> list[Any]:
    with hw.deadline(seconds=5, raises=False) as scope:
        hw.wait(linger(100))
    return [scope.expired]


@hw.task(pool="process")
async def gives_up() -> str:
    try:
        await asyncio.wait_for(linger(100), 1)
    except TimeoutError:
        return "gave up"
    return "waited"


@hw.task(pool="process")
async def spends() -> list[Any]:
    seen: list[Any] = [hw.remaining("tokens"), await costly(1), hw.remaining("tokens")]
    hw.charge(tokens=3)
    seen.append(hw.remaining("tokens"))
    try:
        await costly(2)
    except hw.BudgetExceeded:
        seen.append("refused")
    with hw.budget(tokens=1, calls=1) as budget:
        try:
            await costly.options(cost={"tokens": 2})(3)
        except hw.BudgetExceeded:
            seen.append("refused")
        seen += [budget.spent, budget.remaining, budget.closed]
    return seen


@hw.task
async def with_fifteen() -> list[Any]:
    with hw.budget(tokens=15):
        return await spends()


@hw.task(pool="process")
async def waits_for_a_word() -> str:
    try:
        return str(await hw.wait_event("word", timeout=30))
    except TimeoutError:
        return "nobody said it"


@hw.task
async def items() -> AsyncIterator[int]:
    yield 1


async def _race_by_taste() -> int:
    return await hw.race(double(1), double(2), accept=lambda found: found > 2)


async def _reads() -> None:
    async for _ in items():
        pass


async def _in_a_block(block: Any) -> None:
    with block:
        await double(1)


REFUSED = {
    "a race by a function of its own": _race_by_taste,
    "a stream": _reads,
    "anytime": lambda: _in_a_block(hw.anytime()),
    "a shield": lambda: _in_a_block(hw.shielded()),
}


@hw.task(pool="process")
async def is_refused() -> dict[str, str]:
    said = {}
    for what, do in REFUSED.items():
        try:
            said[what] = f"went through: {await do()!r}"
        except hw.UsageError as error:
            said[what] = str(error)
    return said


class Thing:
    """It has no encoding."""

    def __headway_key__(self) -> str:
        return "thing"


@hw.task
async def take(thing: Any) -> str:
    return type(thing).__name__


@hw.task(pool="process")
async def asks_wrongly() -> list[str]:
    said = []
    for do in (lambda: take(Thing()), lambda: double("no", "such", "arguments"), lambda: local_task()(1), lambda: take(deep)):
        try:
            said.append(f"went through: {await do()!r}")  # type: ignore[no-untyped-call]
        except (hw.UsageError, hw.HeadwayError, TypeError) as error:
            said.append(f"{type(error).__name__}: {error}")
    return said


def local_task() -> Any:
    @hw.task
    async def local(x: int) -> int:
        return x

    return local


@hw.task(pool="process")
async def names_its_calls() -> list[Any]:
    named = send.options(key=lambda text: f"by {text}", retry=hw.Retry(attempts=2, on=(Trouble, OSError)))
    return [await named("a"), named("a").key == named("a").key, await double.options(timeout=50)(2)]


@hw.task(pool="process")
async def holds_nothing() -> list[int]:
    """How many calls the driver keeps for a body that has made many and holds one."""
    host = None
    for x in range(30):
        kept = double(x)
        await kept
        host = host or inspect.getclosurevars(worker_call().line._job.on_ask).nonlocals["hosts"][0]  # type: ignore[union-attr]
    gc.collect()
    last = await kept
    return [len(host._handles), last]


@hw.task(pool="process")
async def has_helpers() -> list[Any]:
    """Helpers of asyncio, each in a block of its own."""

    async def one(x: int) -> int:
        with hw.budget(calls=1):
            await asyncio.sleep(0)
            return await double(x)

    return list(await asyncio.gather(*(one(x) for x in range(3))))
