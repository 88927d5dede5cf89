"""Reading the store beside the loop: results that are kept in blobs, and what other runs recorded to be shared.

Whoever needs something of the store asks with a function that reads it and a callback for what it finds. The functions of one turn
of the loop are run together in another thread, so that many small questions cost one change of threads. Answers come in the order
of the questions. A question must never be asked for something that the program may not ask for at all: large results are read as
soon as the program makes the call again, and not when a run is taken up.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from headway.errors import StoreError

if TYPE_CHECKING:
    from headway.engine.engine import Engine

AT_ONCE = 64  # questions that are answered together, so that the first of many need not wait for all
T = TypeVar("T")


class StoreReader:
    """The questions of one run to its store."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._asked: list[tuple[Callable[[], Any], Callable[[Any], None]]] = []
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def ask(self, read: Callable[[], T], then: Callable[[T | StoreError], None]) -> None:
        """Call `read` beside the loop, and `then` on the loop with what it returned or with the StoreError that it raised."""
        if self._closed:
            return
        self._asked.append((read, then))
        if self._task is None:
            self._task = self._engine.loop.create_task(self._answer(), context=contextvars.Context())

    async def _answer(self) -> None:
        try:
            while self._asked:
                asked = self._asked[:AT_ONCE]
                del self._asked[:AT_ONCE]
                answers = await self._engine.world.aside(_read, [read for read, _ in asked])
                for (_, then), answer in zip(asked, answers, strict=True):
                    if not self._closed:
                        then(answer)
        except Exception as error:
            self._engine.broken(error)
        finally:
            self._task = None

    def close(self) -> None:
        """Hear no more answers. A thread that still reads ends by itself."""
        self._closed = True
        self._asked.clear()
        if self._task is not None:
            self._task.cancel()


def _read(reads: Sequence[Callable[[], Any]]) -> list[Any]:
    return [_read_one(read) for read in reads]


def _read_one(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except StoreError as error:
        return error
