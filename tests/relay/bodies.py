"""Bodies that make calls, each as a task of several pools under one name: whatever they are asked must be the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import headway as hw

DONE: dict[str, int] = {}
"""How often the code of each call has run to its end, by key."""


def note() -> None:
    key = hw.call().key
    DONE[key] = DONE.get(key, 0) + 1


@hw.task
async def double(x: int) -> int:
    await hw.sleep(0.01 * (x % 3))
    note()
    return 2 * x


@hw.task
def add(a: int, b: int) -> int:
    note()
    return a + b


@hw.task(pool="process")
def increment(x: int) -> int:
    return x + 1


@hw.task(effect=True)
async def send(text: str) -> str:
    note()
    return text.upper()


@hw.task(cost={"tokens": 10})
async def costly(x: int) -> int:
    return x


@hw.task
async def linger(seconds: float) -> float:
    await hw.sleep(seconds)
    return seconds


class Trouble(ValueError):
    pass


@hw.task
async def fail(text: str) -> int:
    await hw.sleep(0.01)
    raise Trouble(text)


# --- bodies --------------------------------------------------------------------------------------------------------------------


async def shapes(n: int, tight: bool = False) -> list[Any]:
    """Every join, with calls, coroutines and both."""
    seen: list[Any] = list(await hw.gather(*(double(i) for i in range(n))))
    seen += await hw.gather(*(_bounded(i) for i in range(n)), double(1))
    seen.append(await hw.race(linger(3), linger(1), _lingers(5)))
    seen += [end.value if end.ok else repr(end.error) for end in await hw.settle(double(5), fail("shapes"), _fails())]
    async with hw.group() as group:
        group.add(double(6))
        async for handle in group:
            seen.append(handle.result())
            if len(seen) < 16:
                group.add(double(len(seen)))
    seen += await hw.map(double, range(4), window=2)
    seen += sorted(await hw.map(double, range(4), ordered=False))
    seen += sorted([handle.result() async for handle in hw.as_completed(linger(2), linger(1))])
    seen += await hw.scan(add, [1, 2, 3])
    with hw.budget(tokens=25 if tight else 250):
        seen += await hw.gather_affordable(*(costly(i) for i in range(4)))
        seen.append(hw.remaining("tokens") if tight else 0)
    return seen


async def _bounded(x: int) -> int:
    with hw.limit(1):
        first = await double(x)
    with hw.budget(calls=5):
        return await add(first, 1)


async def _lingers(seconds: float) -> float:
    return await linger(seconds)


async def _fails() -> int:
    await double(77)
    raise Trouble("by itself")


async def decides() -> list[Any]:
    """What it is told is recorded."""
    drawn = hw.random().randint(0, 10**9)
    began = hw.now()
    await hw.sleep(5)
    return [drawn, hw.now() - began >= 5, await double(drawn % 7), await send(f"{drawn}")]


def plain(n: int, tight: bool = False) -> list[Any]:
    """A plain function, which waits."""
    handles = [double(i) for i in range(n)]
    seen: list[Any] = list(hw.wait(hw.gather(*handles)))
    seen.append(hw.wait(add(handles[0], handles[1])))
    with hw.budget(calls=1 if tight else 9):
        seen.append(hw.wait(double(30)))
        try:
            seen.append(hw.wait(double(31)))
        except hw.BudgetExceeded:
            seen.append("refused")
    hw.wait(hw.sleep(2))
    seen.append(hw.wait(send.options(key="named")("text")))
    seen += hw.wait(_gathered())
    return seen


async def _gathered() -> list[int]:
    return await hw.gather(double(40), _bounded(41))


def in_pool(body: Callable[..., Any], pool: str, **options: Any) -> Any:
    """A body as a task of a pool. Its calls have the same names in each."""
    return hw.task(name=f"bodies.{body.__name__}", pool=pool, **options)(body)


IN_PROCESS = {body.__name__: in_pool(body, "process") for body in (shapes, decides, plain)}
AT_HOME = {body.__name__: in_pool(body, "thread" if body is plain else "inline") for body in (shapes, decides, plain)}
ARGUMENTS: dict[str, tuple[Any, ...]] = {"shapes": (3,), "decides": (), "plain": (3,)}
