"""A model offered over the OpenAI protocol (extra `ui`): what `headway serve` runs.

The server is one call of a run without a store, and every request is a call below it. So simultaneous requests to a `BatchModel`
are answered together, and a client that disconnects stops the work for its request. Nothing is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import secrets
import signal
import socket
import threading
import time
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from headway import extras
from headway.engine.call import current
from headway.engine.identity.signature import unkeyed
from headway.errors import ModelUnavailable, NotInRun
from headway.models.ask import begin
from headway.models.base import BatchModel, CallPiece, Model, Piece, Reply, Request, answers_singly, answers_together
from headway.models.checks.bounds import prompt_bound
from headway.models.collect import ReplyCollector
from headway.models.numbers.embedding import EmbeddingModel, Embeddings, embed
from headway.models.openai.calls import calls_before, invented_id
from headway.models.serving.answers import Envelope, error_of, models_document
from headway.models.serving.bodies import ClientRequest, Kind, Refused, read_request
from headway.models.serving.embeddings import embeddings_document, read_embedding_request
from headway.models.serving.schemas import depth_of
from headway.models.streaming import listen
from headway.task import task

if TYPE_CHECKING:
    from starlette.requests import Request as HttpRequest
    from starlette.responses import Response
    from starlette.types import Receive

T = TypeVar("T")
GRACE_S = 2.0
GONE = 499  # the status for a client that has gone away; nobody sees it
MANY = 1 << 16
MOST_BODY = 8 << 20  # bytes of a body
MOST_DRAINED = 8 * MOST_BODY  # bytes that are read and dropped, so that a client that is still sending hears why
MOST_DEPTH = 100  # levels of a body


@task(name="models.serve")
async def serve(model: Annotated[Model | BatchModel, unkeyed], listening: Annotated[socket.socket, unkeyed]) -> None:
    """Answer requests on a listening socket until the process is told to stop (SIGINT, SIGTERM).

    Raises UsageError without the extra.
    """
    require()
    import uvicorn

    class Server(uvicorn.Server):
        """One that keeps the signal to itself: the run ends because the server does."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            loop = asyncio.get_running_loop()
            in_main = threading.current_thread() is threading.main_thread()
            numbers = (signal.SIGINT, signal.SIGTERM) if in_main else ()
            for number in numbers:
                loop.add_signal_handler(number, self.handle_exit, number, None)
            try:
                yield
            finally:
                for number in numbers:
                    loop.remove_signal_handler(number)

    config = uvicorn.Config(
        app(model), log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=int(GRACE_S)
    )
    await Server(config).serve(sockets=[listening])


def require() -> None:
    """Raises UsageError without the extra."""
    extras.require("headway serve", "starlette", "uvicorn")


def app(model: Model | BatchModel) -> Callable[[Any, Any, Any], Awaitable[None]]:
    """The ASGI application, for the call that makes it: its requests become calls below that one."""
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    frame = current.get()
    if frame is None:
        raise NotInRun("a model is served by a call of a run: hw.run(headway.models.serving.server.serve, model, socket)")
    started = int(time.time())

    async def listed(_: HttpRequest) -> Response:
        return JSONResponse(models_document(model.name, started))

    async def unknown(request: HttpRequest, error: Exception) -> Response:
        status = getattr(error, "status_code", 404)
        return _make_error_response(Refused(f"{request.method} {request.url.path}: there is nothing here", status, "unknown_url"))

    def answering(kind: Kind) -> Callable[[HttpRequest], Awaitable[Response]]:
        async def answer(request: HttpRequest) -> Response:
            return await _answer(model, kind, request)

        return answer

    async def embedded(request: HttpRequest) -> Response:
        return await _embed(model, request)

    routes = [Route("/v1/models", listed)]
    if answers_singly(model) or answers_together(model):
        routes.append(Route("/v1/completions", answering("text"), methods=["POST"]))
        routes.append(Route("/v1/chat/completions", answering("chat"), methods=["POST"]))
    if isinstance(model, EmbeddingModel):
        routes.append(Route("/v1/embeddings", embedded, methods=["POST"]))
    inner = Starlette(routes=routes, exception_handlers={404: unknown, 405: unknown})

    async def in_run(scope: Any, receive: Any, send: Any) -> None:
        current.set(frame)
        if frame.call.ordinals is not None and len(frame.call.ordinals) > MANY:
            frame.call.ordinals.clear()  # nothing is recorded, so names need not stay apart for ever
        await inner(scope, receive, send)

    return in_run


async def _answer(model: Model | BatchModel, kind: Kind, request: HttpRequest) -> Response:
    from starlette.requests import ClientDisconnect
    from starlette.responses import JSONResponse, Response

    try:
        asked = read_request(kind, _parse_body(await _read_body(request)), model)
        answer_id = f"{'cmpl' if kind == 'text' else 'chatcmpl'}-{secrets.token_hex(12)}"
        envelope = Envelope(kind, answer_id, int(time.time()), model.name)
        if asked.stream:
            return await _stream(model, asked, envelope, request.receive)
        reply = await _until_gone(request.receive, _reply(model, asked))
    except ClientDisconnect:  # before the request was complete
        return Response(status_code=GONE)
    except Exception as error:
        return _make_error_response(error)
    return Response(status_code=GONE) if reply is None else JSONResponse(envelope.whole(reply))


async def _embed(model: Model | BatchModel, request: HttpRequest) -> Response:
    from starlette.requests import ClientDisconnect
    from starlette.responses import JSONResponse, Response

    async def work() -> Embeddings:
        return await embed(model, asked.texts, dimensions=asked.dimensions)  # type: ignore[arg-type]  # else it has no such route

    try:
        asked = read_embedding_request(_parse_body(await _read_body(request)), model.name)
        found = await _until_gone(request.receive, work())
    except ClientDisconnect:
        return Response(status_code=GONE)
    except Exception as error:
        return _make_error_response(error)
    return Response(status_code=GONE) if found is None else JSONResponse(embeddings_document(found, asked))


async def _read_body(request: HttpRequest) -> bytes:
    """The body of a request. Raises Refused where it is too large, when the client has sent it."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size <= MOST_BODY:
            parts.append(part)
        elif size > MOST_DRAINED:
            break
    if size > MOST_BODY:
        raise Refused(f"the body has more than {MOST_BODY:,} bytes, which is the most that is read here")
    return b"".join(parts)


def _parse_body(body: bytes) -> Any:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(f"the body is not JSON: {error}") from None
    if body.count(b"[") + body.count(b"{") > MOST_DEPTH and depth_of(found, MOST_DEPTH) > MOST_DEPTH:
        raise Refused(f"the body is nested deeper than {MOST_DEPTH} levels")
    return found


async def _reply(model: Model | BatchModel, asked: ClientRequest) -> Reply:
    return await begin(model, asked.request)


async def _until_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T | None:
    """What the work gives; None when the client went away before. The work is stopped then."""
    doing: asyncio.Task[T] = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_wait_until_gone(receive))
    try:
        await asyncio.wait((doing, gone), return_when=asyncio.FIRST_COMPLETED)
        return doing.result() if doing.done() else None
    finally:
        for one in (doing, gone):
            one.cancel()
        await asyncio.wait((doing, gone))


async def _wait_until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _make_error_response(error: Exception) -> Response:
    from starlette.responses import JSONResponse

    status, document = _describe_error(error)
    again = f"{error.retry_after_s:g}" if isinstance(error, ModelUnavailable) and error.retry_after_s else None
    return JSONResponse(document, status, headers={"retry-after": again} if again else None)


def _describe_error(error: Exception) -> tuple[int, Any]:
    """What a client is told of an error. What is no client's fault is said here too, on stderr."""
    status, document = error_of(error)
    if status == 500:
        traceback.print_exception(error)
    return status, document


# --- streams ---------------------------------------------------------------------------------------------------------


async def _stream(model: Model | BatchModel, asked: ClientRequest, envelope: Envelope, receive: Receive) -> Response:
    """The response to a streamed request. What fails before the first piece is an error of its own, not one inside of a stream."""
    from starlette.responses import Response, StreamingResponse

    pieces = listen(model, asked.request)
    first = await _until_gone(receive, _take_next(pieces))
    if first is None:
        return Response(status_code=GONE)
    made = ReplyCollector(asked.request.n, prompt_bound(model, asked.request)[0], request=asked.request)
    return StreamingResponse(
        _events(first, pieces, made, asked, envelope), media_type="text/event-stream", headers={"cache-control": "no-store"}
    )


async def _take_next(pieces: AsyncGenerator[Piece, None]) -> Piece:
    return await anext(pieces)


async def _events(
    first: Piece, pieces: AsyncGenerator[Piece, None], made: ReplyCollector, asked: ClientRequest, envelope: Envelope
) -> AsyncGenerator[str, None]:
    try:
        async with aclosing(pieces):
            for document in envelope.opening(asked.request.n):
                yield _event(document)
            piece: Piece | None = first
            calling = _Calling(asked.request)
            while piece is not None:
                made.add(piece)
                piece = calling.name(piece)
                if piece.finish == "stop" and made.answers(piece.index):
                    piece = dataclasses.replace(piece, said="")  # why it ended, which is no refusal
                if piece.text or piece.finish or piece.logprobs or piece.said or piece.calls or piece.thoughts:
                    yield _event(envelope.chunk(piece, called=piece.index in calling.samples))
                piece = await anext(pieces, None)
        if asked.usage:
            yield _event(envelope.document([], made.usage, chunk=True))
        yield "data: [DONE]\n\n"
    except Exception as error:
        yield _event(_describe_error(error)[1])


class _Calling:
    """Which samples have asked for tools that were offered, and the ids of calls that came without one."""

    def __init__(self, request: Request) -> None:
        self._offered = bool(request.tools) and request.tool_choice != "none"
        self._before = calls_before(request)
        self._named: set[tuple[int, int]] = set()
        self.samples: set[int] = set()

    def name(self, piece: Piece) -> Piece:
        """The piece, in which each call that begins has an id. Calls of tools that nobody offered are told as what was said."""
        if not piece.calls:
            return piece
        if not self._offered:
            return dataclasses.replace(
                piece, calls=(), said=piece.said or "".join(call.name + call.arguments for call in piece.calls)
            )
        self.samples.add(piece.index)
        return dataclasses.replace(piece, calls=tuple(self._with_id(piece.index, call) for call in piece.calls))

    def _with_id(self, index: int, call: CallPiece) -> CallPiece:
        begins = (index, call.place) not in self._named
        self._named.add((index, call.place))
        return dataclasses.replace(call, id=call.id or invented_id(self._before + call.place)) if begins else call


def _event(document: Any) -> str:
    return f"data: {json.dumps(document, ensure_ascii=False)}\n\n"
