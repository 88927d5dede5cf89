"""Joins from a thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import threading
from collections.abc import Awaitable
from typing import TYPE_CHECKING, TypeVar

from headway.engine.call import current
from headway.errors import UsageError
from headway.joins.branches import contain_exit
from headway.relay.client import asking

if TYPE_CHECKING:
    from headway.engine.engine import Engine

T = TypeVar("T")


def wait(awaitable: Awaitable[T]) -> T:
    """Wait for a call or a join inside a plain `def` task that runs in a thread or a process.

    While it waits, its slot in the pool is lent to others, so nested waits can't starve.

    Args:
        awaitable: a call, a join, or a coroutine, which runs on the event loop (in a process on one of its own).

    Returns:
        Its result.

    Raises:
        Exception: what awaiting it would raise.
        UsageError: the code runs on the event loop's thread, where `await` is the way.

    Example:
        >>> @hw.task
        ... def count(text: str) -> int:
        ...     return len(text.split())
        >>> @hw.task
        ... def pipeline(texts: list[str]) -> int:
        ...     return sum(hw.wait(hw.gather(*(count(text) for text in texts))))
        >>> hw.run(pipeline, ["a b", "c"], store=None)
        3
    """
    frame = current.get()
    if frame is None:
        if (client := asking()) is not None:
            return client.wait(awaitable)  # type: ignore[no-any-return]  # the driver's answer
        return asyncio.run(_await(awaitable)) if inspect.isawaitable(awaitable) else awaitable
    engine: Engine = frame.call.engine
    if threading.get_ident() == engine.thread:
        raise UsageError(f"{frame.call.describe()} runs on the event loop: await it there; hw.wait is for plain def tasks")
    waiting: concurrent.futures.Future[T] = asyncio.run_coroutine_threadsafe(contain_exit(awaitable), engine.loop)
    return engine.world.wait(waiting)


async def _await(awaitable: Awaitable[T]) -> T:
    return await awaitable
