"""Programs that do not stop when they are told to. Not a test by itself.

python obstinate.py STORE WHAT
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import headway as hw


@hw.task
async def quick(x: int) -> int:
    return x


@hw.task
async def swallows() -> None:
    print("ready", flush=True)
    while True:
        with suppress(BaseException):
            await asyncio.sleep(0.05)


@hw.task
async def blocks() -> None:
    print("ready", flush=True)
    while True:
        with suppress(BaseException):
            time.sleep(1000)  # noqa: ASYNC251 - that is the point


@hw.task
async def spins() -> None:
    print("ready", flush=True)
    while True:
        pass


@hw.task
async def waits_in_a_thread_of_the_loop() -> None:
    asyncio.get_running_loop().call_later(0.2, print, "ready")
    await asyncio.to_thread(threading.Event().wait)


@hw.task
async def leaves_a_generator() -> None:
    async def items() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            while True:
                with suppress(BaseException):
                    await asyncio.sleep(1000)

    async def background() -> None:
        while True:
            with suppress(BaseException):
                await asyncio.sleep(0.05)

    kept.append(asyncio.create_task(background()))
    kept.append(source := items())
    await anext(source)
    print("ready", flush=True)


@hw.task
def never_returns() -> None:
    print("ready", flush=True)
    threading.Event().wait()


kept: list[Any] = []


@hw.task
async def main(what: str) -> None:
    await hw.gather(*(quick(i) for i in range(5)))
    await globals()[what]()


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    hw.run(main, sys.argv[2], store=sys.argv[1], run_id="stop", progress=False)
