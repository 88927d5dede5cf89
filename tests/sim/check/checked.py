"""Programs with one fault each, and some without, for test_check. Not a test by itself."""

from __future__ import annotations

import asyncio
import contextvars
import datetime
import os
import random
import socket
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import headway as hw

FILE = Path(os.environ.get("CHECKED_FILE", os.devnull))
SEEN: list[int] = []


@hw.task
async def leaf(x: object) -> int:
    await asyncio.sleep(0.1)
    return 1


@hw.task
async def sound(n: int) -> int:
    """Everything a program may do: it decides from timing, from recorded time and randomness, and is the same after a crash."""
    values = await hw.gather(*(leaf(i) for i in range(n)))
    with hw.deadline(seconds=1000), hw.budget(calls=100):
        await hw.sleep(3600 if n > 100 else 3)
        won = await hw.race(leaf("a"), leaf(hw.random().random()))
    return sum(values) + won + await leaf(int(hw.now()))


@hw.task
async def from_the_time() -> int:
    return await leaf(int(time.time()))


@hw.task
async def from_the_date() -> int:
    return await leaf(datetime.datetime.now(datetime.UTC).isoformat())


@hw.task
async def from_random() -> int:
    return await leaf(random.random())


@hw.task
async def from_a_uuid() -> int:
    return await leaf(str(uuid.uuid4()))


@hw.task
async def from_an_address() -> int:
    return await leaf(repr(object()))


@hw.task
async def from_a_set() -> int:
    return await leaf(next(iter({"apple", "pear", "plum", "fig", "quince"})))


@hw.task
async def from_a_global() -> int:
    SEEN.append(1)
    return await leaf(len(SEEN))


@hw.task
async def step(history: list[str], turn: int) -> str:
    history.append(f"turn {turn}")
    return "ok"


@hw.task
async def changes_an_argument() -> int:
    history: list[str] = []
    for turn in range(3):
        await step(history, turn)
    return await leaf(history)


@hw.task(key=lambda state, turn: turn)
async def step_with_a_key(state: dict[str, list[str]], turn: int) -> str:
    state["history"].append(f"turn {turn}")
    return "ok"


@hw.task
async def changes_an_argument_deep_inside() -> int:
    state: dict[str, list[str]] = {"history": []}
    for turn in range(3):
        await step_with_a_key(state, turn)
    return await leaf(state)


@hw.task
async def save(x: int) -> int:
    FILE.open("a").close()
    return x


@hw.task(effect=True)
async def save_marked(x: int) -> int:
    FILE.open("a").close()
    return x


@hw.task(pool="thread")
def save_in_a_thread(x: int) -> int:
    FILE.open("a").close()
    return x


@hw.task(pool="process")
def save_in_a_process(x: int) -> int:
    FILE.open("a").close()
    return x


@hw.task
async def starts() -> int:
    return subprocess.run(["true"], check=True).returncode


@hw.task
async def reads(x: int) -> int:
    return len(Path(__file__).read_text())


@hw.task(pool="thread")
def connects(x: int) -> int:
    with socket.socket() as made:
        made.setblocking(False)
        made.connect_ex(("127.0.0.1", 9))
    return x


@hw.task
async def holds(x: int) -> int:
    until = time.perf_counter() + 0.15
    while time.perf_counter() < until:
        pass
    return x


@hw.task
async def fickle(x: int) -> float:
    await asyncio.sleep(0.1)
    return time.perf_counter()


@hw.task
async def uses_fickle() -> int:
    for x in range(5):
        await fickle(x)
    return 1


@hw.task
async def in_order(n: int) -> int:
    """Takes for granted that coroutines go on in the order in which they were made."""
    order: list[int] = []

    async def one(i: int) -> None:
        await asyncio.sleep(0)
        order.append(i)

    await asyncio.gather(*(one(i) for i in range(n)))
    if order != sorted(order):
        raise ValueError(f"out of order: {order}")
    return await leaf(1)


@hw.task
async def from_its_past() -> int:
    """Its result counts how often its body ran."""
    for x in range(5):
        await leaf(x)
    SEEN.append(1)
    await leaf("last")
    return len(SEEN)


@hw.task
async def leaves_one_behind() -> int:
    asyncio.get_running_loop().create_task(_forever())
    return await leaf(1)


async def _forever() -> None:
    await asyncio.sleep(1e9)


@hw.task
async def stuck() -> None:
    await asyncio.get_running_loop().create_future()


@hw.task
async def fails(x: int) -> None:
    raise KeyError(x)


@hw.task
async def fetches(url: str) -> int:
    reader, _ = await asyncio.open_connection("127.0.0.1", 9)
    return len(await reader.read())


@hw.task
async def many_fetches(n: int) -> int:
    return sum(await hw.gather(*(fetches(f"page {i}") for i in range(n))))


def _slow_square(x: int) -> int:
    time.sleep(0.001)
    return x * x


@hw.task
def with_threads_of_its_own(x: int) -> list[int]:
    with ThreadPoolExecutor(2) as executor:
        return list(executor.map(_slow_square, range(x)))


@hw.task
async def starts_threads(x: int) -> list[int]:
    return await with_threads_of_its_own(x)


@hw.task
def waits_in_a_thread_of_its_own(x: int) -> list[int]:
    here = contextvars.copy_context()
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(here.run, hw.wait, with_threads_of_its_own(x)).result()


@hw.task
async def starts_a_thread_that_waits(x: int) -> list[int]:
    return await waits_in_a_thread_of_its_own(x)
