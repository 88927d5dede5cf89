"""On a clock that has a bound, a program that waits for ever fails its test instead of hanging, and says what waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import headway as hw
from headway import testing


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> testing.VirtualClock:
    monkeypatch.setattr(testing, "IDLE_S", 0.2)
    return testing.VirtualClock(most_s=1000)


@hw.task
async def never(name: str) -> None:
    await asyncio.Event().wait()


@hw.task
async def looks_again(name: str) -> None:
    await asyncio.sleep(10)
    await looks_again.fn(name)


@hw.task
async def asks(tasks: list[Callable[..., Any]]) -> None:
    await hw.gather(*(task(name) for name, task in zip("ab", tasks, strict=False)))


@pytest.mark.parametrize("store", [False, True])
def test_calls_that_nothing_can_wake_are_named(hasty: testing.VirtualClock, tmp_path: Path, store: bool) -> None:
    with pytest.raises(TimeoutError, match=r"waits for nothing that can come\. Not ended: [^ ]*never\('a'\), [^ ]*never\('b'\)$"):
        testing.run(asks, [never, never], clock=hasty, store=tmp_path if store else None, progress=False)


def test_calls_that_wait_for_longer_than_the_clock_may_go_are_named(hasty: testing.VirtualClock) -> None:
    with pytest.raises(TimeoutError, match=r"more than 1000 s of its clock\. Not ended: [^ ]*looks_again\('a'\)$"):
        testing.run(asks, [looks_again], clock=hasty, store=None, progress=False)
    assert hasty.elapsed <= 1000.1


def test_each_run_may_wait_as_long_as_the_first(hasty: testing.VirtualClock) -> None:
    @hw.task
    async def rests() -> None:
        await asyncio.sleep(900)

    for _ in range(2):
        testing.run(rests, clock=hasty, store=None, progress=False)
    assert hasty.elapsed > 1700


def test_what_another_thread_brings_is_waited_for(hasty: testing.VirtualClock) -> None:
    @hw.task
    async def program() -> str:
        loop, brought = asyncio.get_running_loop(), asyncio.Event()
        told = threading.Thread(target=loop.call_soon_threadsafe, args=[brought.set])
        loop.call_soon(told.start)
        await brought.wait()
        told.join()
        return "brought"

    assert testing.run(program, clock=hasty, store=None, progress=False) == "brought"
