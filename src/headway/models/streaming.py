"""Streams samples as they are made, from a call that is recorded like any other.

The call's pieces are handed on while it runs, and its whole reply is journaled at its end. A resumed program gets the recorded
reply in one piece for each sample. Leaving the loop stops the call. Once pieces were handed out, a failed request is not retried,
because they can't be taken back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Unpack

from headway.engine.call import current
from headway.engine.scopes.scopes import Parked
from headway.engine.waiting.until import until
from headway.errors import UsageError
from headway.models.abilities import check_abilities
from headway.models.ask import AnyModel, begin, open_stream
from headway.models.base import CallPiece, Piece, Reply, Request, answers_singly
from headway.models.collect import ReplyCollector
from headway.models.limits import LimitedModel
from headway.models.requests import Prompt, Sampling, make_request


async def stream(model: AnyModel, prompt: Prompt, **options: Unpack[Sampling]) -> AsyncGenerator[Piece, None]:
    """Ask a model, and get its samples as they are made.

    Wrap it in `contextlib.aclosing` where you may leave the loop early: the work then stops at once.

    Args:
        model: the model, as for `sample`.
        prompt: the prompt, as for `sample`.
        **options: see `Sampling`.

    Yields:
        Pieces with the `index` of their sample. A `BatchModel` without a `stream` gives each sample in one
        piece.

    Raises:
        Exception: what `sample` raises.

    Example:
        >>> from headway import models
        >>> class Parrot:
        ...     name = "parrot"
        ...     async def stream(self, request):
        ...         for word in request.prompt.split():
        ...             yield models.Piece(word.upper(), tokens=1)
        ...         yield models.Piece(finish="stop")
        >>> @hw.task
        ... async def program() -> list[str]:
        ...     return [piece.text async for piece in models.stream(Parrot(), "once upon a time", max_tokens=50)]
        >>> hw.run(program, store=None)
        ['ONCE', 'UPON', 'A', 'TIME', '']
    """
    async with aclosing(listen(model, make_request(prompt, **options))) as pieces:
        async for piece in pieces:
            yield piece


def listen(model: AnyModel, request: Request) -> AsyncGenerator[Piece, None]:
    """The pieces of a request's reply."""
    return _listen_outside(model, request) if current.get() is None else _listen_inside(model, request)


async def _listen_inside(model: AnyModel, request: Request) -> AsyncGenerator[Piece, None]:
    queue = _PieceQueue()
    handle = begin(model, request, listener=queue.add, unless=lambda: queue.any)
    call = handle._call
    call.awaited = True
    call.add_callback(lambda _: queue.wake())
    try:
        while not (handle.done() and not queue.pieces):
            if queue.pieces:
                yield queue.pieces.popleft()
            else:
                await queue.more()
        reply = await handle
        if not queue.any:
            for piece in pieces_of(reply):
                yield piece
    finally:
        handle.cancel("nobody listens to its stream any more")
        if current.get() is not None:  # else the generator was forgotten, and the garbage collector closes it
            await until([call])  # what it cost is booked when the loop has been left


async def _listen_outside(model: AnyModel, request: Request) -> AsyncGenerator[Piece, None]:
    plain = model
    while isinstance(plain, LimitedModel):
        plain = plain.model
    if answers_singly(plain):
        check_abilities(plain, request)
        made = ReplyCollector(request.n, 0, request=request)
        async with aclosing(open_stream(plain, request)) as pieces:
            async for piece in pieces:
                made.add(piece)
                yield piece
        made.reply(plain.name)  # raises where it is none
        return
    for piece in pieces_of(await begin(plain, request)):
        yield piece


class _PieceQueue:
    """The pieces of a stream that nobody has taken yet."""

    def __init__(self) -> None:
        self.pieces: deque[Piece] = deque()
        self.any = False
        self._waiting: asyncio.Future[None] | None = None

    def add(self, piece: Piece) -> None:
        self.any = True
        self.pieces.append(piece)
        self.wake()

    def wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def more(self) -> None:
        """Wait, as for another call, until there is something new."""
        frame = current.get()
        if frame is None:
            raise UsageError("a stream was begun inside of a run and is read outside of it: read it in the call that began it")
        self._waiting = asyncio.get_running_loop().create_future()
        await Parked(frame, frame.call.engine.waits, self._waiting)


def pieces_of(reply: Reply) -> Iterator[Piece]:
    """A whole reply as a stream: a piece for each sample."""
    for index, one in enumerate(reply.samples):
        calls = tuple(CallPiece(place, call.id, call.name, call.arguments) for place, call in enumerate(one.calls))
        yield Piece(one.text, index, one.finish, one.tokens, one.logprobs, None, one.said, calls, one.thoughts, one.top)
    yield Piece(usage=reply.usage)
