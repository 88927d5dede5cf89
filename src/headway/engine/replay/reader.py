"""Reading the store off the loop: results that are kept in blobs, and what other runs recorded to be shared.

Whoever needs something of the store asks with a function that reads it and a callback for what it finds. The functions of one turn
of the loop are run together in another thread, so that many small questions cost one change of threads. Answers come in the order
of the questions. A large result is read when somebody wants its value, and never because a call was answered with it.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from headway.errors import StoreError

if TYPE_CHECKING:
    from headway.engine.call import Call
    from headway.journal.store import Store

AT_ONCE = 64  # questions that are answered together, so that the first of many need not wait for all
T = TypeVar("T")


class StoreReader:
    """The questions of one run to its store."""

    def __init__(
        self,
        store: Store | None,
        loop: asyncio.AbstractEventLoop,
        aside: Callable[..., Awaitable[Any]],
        broken: Callable[[BaseException], None],
    ) -> None:
        self._store, self._loop, self._aside, self._broken = store, loop, aside, broken
        self._asked: list[tuple[Callable[[], Any], Callable[[Any], None]]] = []
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def ask(self, read: Callable[[], T], then: Callable[[T | StoreError], None]) -> None:
        """Call `read` off the loop, and `then` on the loop with what it returned or with the StoreError that it raised."""
        if self._closed:
            return
        self._asked.append((read, then))
        if self._task is None:
            self._task = self._loop.create_task(self._answer(), context=contextvars.Context())

    def when_read(self, call: Call, then: Callable[[Call], None]) -> None:
        """Call back when the result of an ended call is at hand; at once unless it was recorded, is large and was not asked for
        before. Such a result is read for whoever wants it first. One that can't be read is the error of all who want it."""
        if not call.unread:
            then(call)
            return
        x = call.extra()
        if x.readers is not None:
            x.readers.append(then)
            return
        x.readers = [then]

        def arrived(buffers: tuple[memoryview, ...] | StoreError) -> None:
            readers, x.readers, x.buffers = x.readers or (), None, buffers
            for reader in readers:
                reader(call)

        self.ask(lambda: self.read_blobs(call), arrived)

    def read_blobs(self, call: Call) -> tuple[memoryview, ...]:
        """The blobs of a result. Blocks. Raises StoreError."""
        store = self._store
        assert store is not None
        return tuple(store.get_blob(name) for name in call.blobs)

    async def _answer(self) -> None:
        try:
            while self._asked:
                asked = self._asked[:AT_ONCE]
                del self._asked[:AT_ONCE]
                answers = await self._aside(_read, [read for read, _ in asked])
                for (_, then), answer in zip(asked, answers, strict=True):
                    if not self._closed:
                        then(answer)
        except Exception as error:
            self._broken(error)
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
