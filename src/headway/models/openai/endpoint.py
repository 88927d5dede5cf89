"""Models behind a server that speaks the OpenAI protocol: OpenAI itself, vLLM, llama.cpp, SGLang, Ollama, `headway serve`.

    models.Endpoint("gpt-4.1-mini")                                              # OPENAI_API_KEY and OPENAI_BASE_URL, as always
    models.Endpoint("qwen3", base_url="http://localhost:8000/v1", price=models.FREE)

Text goes to `/completions`, messages to `/chat/completions`. Every request is streamed, also where the whole reply is wanted, so
that a call that is stopped closes its connection and knows what it has cost. The `openai` client sends and parses; it retries
nothing, because the runtime does. There is one client for each event loop, closed with it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import warnings
from collections.abc import AsyncGenerator, Callable, Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit
from weakref import WeakKeyDictionary

from headway.engine.outcomes.retry import Retry
from headway.errors import ModelError, UsageError
from headway.extras import require
from headway.models.base import Piece, Request
from headway.models.messages import Message
from headway.models.openai.protocol import (
    has_choices,
    hide_secrets,
    make_protocol_error,
    model_error,
    pieces_in,
    request_body,
    words_in,
)
from headway.models.prices import Price, price_of
from headway.models.retrying import retry_of

if TYPE_CHECKING:
    from openai import AsyncOpenAI

CONNECT_S = 10.0
SLACK = 8  # events that a sample may have beyond its tokens: servers send empty texts and end marks
OPENAI = "api.openai.com/v1"
SECRET = 4  # characters of the shortest secret that is hidden in errors: shorter ones are parts of words


class Endpoint:
    """A model behind an OpenAI-compatible server (extra `models`).

    Args:
        model: its name there, and here in records and list prices.
        base_url: the server, as `http://host:8000/v1`. Without one, `OPENAI_BASE_URL` or else OpenAI itself, with `OPENAI_API_KEY`.
        api_key: what the server asks for. `OPENAI_API_KEY` is never sent to a `base_url` that is given here.
        timeout: seconds for which the server may be silent. For the whole call see `hw.deadline`.
        price: what its tokens cost, where the list price does not hold.
        count: the tokens of a prompt (text, or a tuple of `Message`) at most, by the model's tokenizer. They are reserved; without
            it, the prompt's bytes.
        retry: how often a request is made that the server could not take; by default 6 times, after as long as the server asks, but
            never after more than ten minutes (`Retry.max_retry_after_s`). Refusals are not tried again, unless `on=` names them.
        alias: what it is known by in keys. By default that is its name and the server's address (without user, password and query;
            no address for OpenAI itself), because two servers that offer one name may run different weights. With an alias the
            address does not count: recorded answers stay good when the server moves.

    Raises:
        UsageError: without the extra, without an API key where one is needed, and for arguments that make no sense.

    Example:
        >>> from headway import models
        >>> models.Endpoint("qwen3", base_url="http://localhost:8000/v1", price=models.FREE).name
        'qwen3'
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout: float = 300.0,
        price: Price | None = None,
        count: Callable[[str | tuple[Message, ...]], int] | None = None,
        retry: Retry | None = None,
        alias: str | None = None,
    ) -> None:
        self.name = model
        self.price = price
        self.count = count
        self.retry = retry
        self.alias = alias
        self._base_url = base_url
        self._api_key = api_key
        self._timeout = timeout
        self._warned = False
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[AsyncOpenAI, Any]] = WeakKeyDictionary()
        self._check()

    @property
    def server(self) -> str:
        """The address that is asked, without what is secret in it."""
        return _address(self._base_url or os.environ.get("OPENAI_BASE_URL"))

    def __headway_key__(self) -> object:
        if self.alias is not None:
            return ("model", self.alias)
        return ("model", self.name) if self.server == OPENAI else ("model", self.name, self.server)

    def __reduce__(self) -> tuple[Any, ...]:
        options = {
            "base_url": self._base_url,
            "api_key": self._api_key,
            "timeout": self._timeout,
            "price": self.price,
            "count": self.count,
            "retry": self.retry,
            "alias": self.alias,
        }
        return _remake, (self.name, options)

    def __repr__(self) -> str:
        return f"Endpoint({self.name!r})"

    works_unseen = True

    async def stream(self, request: Request) -> AsyncGenerator[Piece, None]:
        """Make the samples. Closing the generator closes the connection.

        Args:
            request: what is asked.

        Yields:
            The pieces, as they are made.

        Raises:
            ModelError: the server refused the request, or does not speak the protocol.
            ModelUnavailable: it could not be had this time.
        """
        body = request_body(self.name, request, of_openai=_is_openai(self._base_url))
        cap = _Cap(self, request)
        client = await self._client()
        try:
            resource = client.completions if isinstance(request.prompt, str) else client.chat.completions
            events: Any = await resource.create(**body)
            async with events:
                kind = events.response.headers.get("content-type", "")
                answered, words = False, f"it answered with {kind or 'nothing'}, not with a stream"
                async for chunk in events if "json" not in kind else _whole(events.response):
                    answered = answered or has_choices(chunk)
                    words = words if answered else words_in(chunk)
                    for piece in pieces_in(chunk, request, self.name):
                        for held in cap.hold(piece):
                            yield held
                    if cap.reached:
                        return
            if not answered:
                raise make_protocol_error(self.name, hide_secrets(words, self._secrets()))
        except ModelError:
            raise
        except Exception as error:
            if (known := model_error(self.name, error, self._secrets())) is None:
                raise
            raise known from None  # the cause holds the request with its headers, and errors are journaled

    def warn_of_cap(self, max_tokens: int) -> None:
        """Warn, once, that the server does not obey the bound of a sample's length.

        Args:
            max_tokens: the bound, in tokens.
        """
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"{self.name}: the server wrote more than max_tokens={max_tokens}, so its answers are cut off here. It bills what "
                "it wrote until then. Ask one that obeys the bound",
                RuntimeWarning,
                stacklevel=2,
            )

    def _check(self) -> None:
        """Raises UsageError. No message repeats what may be a secret."""
        what = f"models.Endpoint({self.name!r:.80}"
        if not isinstance(self.name, str) or not self.name:
            raise UsageError(f"{what}): a model has a name, as text")
        if isinstance(self._timeout, bool) or not isinstance(self._timeout, int | float) or not self._timeout > 0:
            raise UsageError(f"{what}, timeout={self._timeout!r:.80}): seconds, above zero")
        if self.count is not None and not callable(self.count):
            raise UsageError(f"{what}, count={self.count!r:.80}): a function of a prompt")
        price_of(self)
        retry_of(self)
        if self._base_url is not None:
            _address(self._base_url)
        for given, key in (("api_key", self._api_key), ("OPENAI_API_KEY", os.environ.get("OPENAI_API_KEY"))):
            if key is not None and not (isinstance(key, str) and key.isascii() and key.isprintable() and key == key.strip()):
                raise UsageError(f"{what}): {given} has a space at its end, a line break or another character that no key has")
        require("models.Endpoint", "openai")
        if self._base_url is None and not self._api_key and not os.environ.get("OPENAI_API_KEY"):
            raise UsageError(
                f"models.Endpoint({self.name!r}): no API key. Set OPENAI_API_KEY, give api_key=, or the base_url= of another server"
            )

    def _secrets(self) -> list[str]:
        """What is told to the server and to nobody else."""
        url = urlsplit(self._base_url or os.environ.get("OPENAI_BASE_URL") or "")
        told = [self._api_key or (os.environ.get("OPENAI_API_KEY") if self._base_url is None else None), url.username, url.password]
        told += [value for _, value in parse_qsl(url.query)]
        return [secret for secret in told if secret and len(secret) >= SECRET]

    async def _client(self) -> AsyncOpenAI:
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            kept = self._kept()
            self._clients[loop] = await anext(kept), kept
        return self._clients[loop][0]

    async def _kept(self) -> AsyncGenerator[AsyncOpenAI, None]:
        """A client for as long as the event loop runs: whoever ends a loop closes its open generators, and so the connections."""
        import openai

        url = urlsplit(self._base_url or os.environ.get("OPENAI_BASE_URL") or "")
        made = openai.AsyncOpenAI(
            api_key=self._api_key if self._base_url is None else self._api_key or "none",
            base_url=url._replace(query="", fragment="").geturl() or None,
            default_query=dict(parse_qsl(url.query)) or None,
            max_retries=0,
            timeout=openai.Timeout(self._timeout, connect=CONNECT_S),
        )
        async with made as client:
            yield client


async def _whole(response: Any) -> AsyncGenerator[Any, None]:
    """The answer of a server that was asked for a stream and sent a document. Raises ValueError where that is none."""
    document = json.loads(await response.aread())
    if isinstance(document, dict) and document.get("error") is not None:
        raise ValueError(str(document["error"]))
    yield _as_object(document)


def _as_object(value: Any) -> Any:
    """JSON with its fields as attributes, as the client gives events."""
    if isinstance(value, dict):
        return SimpleNamespace(**{name: _as_object(part) for name, part in value.items()})
    return [_as_object(part) for part in value] if isinstance(value, list) else value


class _Cap:
    """Sees to it that no sample is longer than was asked for, whatever the server does.

    An event is at least one token, so a sample with more events than `max_tokens` is too long, also where the server has said
    that it ended and writes on. It then ends with what it has, and so do all samples when the server has counted more than all may
    have.
    """

    def __init__(self, endpoint: Endpoint, request: Request) -> None:
        self._endpoint, self._most = endpoint, request.max_tokens + SLACK
        self._counted = [0] * request.n
        self._open = set(range(request.n))
        self._cut: set[int] = set()
        self.reached = False

    def hold(self, piece: Piece) -> Iterator[Piece]:
        """The piece, and the ends of the samples that are too long with it. What comes of them after that is paid and not kept."""
        cut, goes_on = piece.index in self._cut, piece.index not in self._open and piece.tokens > 0
        yield dataclasses.replace(piece, text="", logprobs=(), finish=None) if cut else piece
        if piece.finish is not None:
            self._open.discard(piece.index)
        self._counted[piece.index] += piece.tokens
        growing = self._open | {piece.index} if goes_on else self._open
        too_long = {at for at in growing - self._cut if self._counted[at] > self._most}
        if piece.usage is not None and piece.usage.written > self._most * len(self._counted):
            too_long = set(self._open)
            self._endpoint.warn_of_cap(self._most - SLACK)
        for at in sorted(too_long):
            self._endpoint.warn_of_cap(self._most - SLACK)
            yield Piece(index=at, finish="length")
        self._cut |= too_long
        self._open -= too_long
        self.reached = bool(self._cut) and not self._open


def _is_openai(base_url: str | None) -> bool:
    """Whether a server is OpenAI's own, which has names of its own for what others call `max_tokens`."""
    host = _address(base_url or os.environ.get("OPENAI_BASE_URL")).partition("/")[0].partition(":")[0]
    return host == "api.openai.com" or host.endswith((".api.openai.com", ".openai.azure.com"))


def _remake(model: str, options: dict[str, Any]) -> Endpoint:
    """The endpoint in another process."""
    return Endpoint(model, **options)


def _address(url: str | None) -> str:
    """Where a server is, as keys have it: host, port and path, and nothing that could be a secret.

    >>> _address("HTTP://user:secret@Host:80/v1/?token=secret")
    'host/v1'

    Raises UsageError for what is no address.
    """
    if not url:
        return OPENAI
    try:
        parts = urlsplit(url)
        usual = {"http": 80, "https": 443}[parts.scheme]
        port = "" if parts.port in (None, usual) else f":{parts.port}"
    except (KeyError, ValueError):
        raise UsageError(f"base_url={url.rpartition('@')[2]!r} is no address of a server: write http://host:8000/v1") from None
    return f"{parts.hostname or ''}{port}{parts.path.rstrip('/')}"
