"""Models behind a server that speaks the OpenAI protocol: OpenAI itself, vLLM, llama.cpp, SGLang, Ollama, `headway serve`.

    models.Endpoint("gpt-4.1-mini")                                              # OPENAI_API_KEY and OPENAI_BASE_URL, as always
    models.Endpoint("qwen3", base_url="http://localhost:8000/v1", price=models.FREE)

Text goes to `/completions`, messages to `/chat/completions`, or to `/responses` where that is asked for. Every request is streamed,
also where the whole reply is wanted, so that a call that is stopped closes its connection and knows what it has cost. What a server
can't do is refused before anything is sent (`check`).
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, Literal

from headway.engine.outcomes.retry import Retry
from headway.errors import UsageError
from headway.extras import require
from headway.models.abilities import ALL
from headway.models.base import Piece, Request
from headway.models.checks.requests import fault_of_extra, fault_of_headers
from headway.models.messages import Message
from headway.models.numbers.embedding import Embeddings
from headway.models.numbers.reading import MOST_TEXTS
from headway.models.numbers.scoring import Scores
from headway.models.openai import numbers, protocol, responses
from headway.models.openai.cap import Cap, CapWarning
from headway.models.openai.connection import OPENAI, Connection
from headway.models.openai.failures import hide_secrets, make_protocol_error
from headway.models.openai.numbers import Scoring
from headway.models.openai.protocol import Continuing
from headway.models.prices import Price, price_of
from headway.models.retrying import retry_of

_CONTINUING: Mapping[str, Continuing] = {"api.mistral.ai": "prefix", "api.deepseek.com": "prefix"}


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
        api: "chat" for `/completions` and `/chat/completions`, which all servers have; "responses" for the Responses API, which
            answers messages with one sample a call.
        extra: further fields of every body, as `{"reasoning_effort": "low"}`. They are part of the key; a request's own come first.
        headers: further headers of every request. They may be secret: no part of the key, and hidden in errors.
        thoughts: the field in which the server wants an assistant's thoughts back, as "reasoning_content" (DeepSeek, Kimi) or
            "reasoning" (OpenRouter, vLLM). By default they are not sent.
        continuing: how the server is told to go on with an assistant's message (`continues=True`): "flags" (vLLM, SGLang), "prefix"
            (Mistral, DeepSeek) or "last" (llama.cpp, Ollama: by its place alone). By default what the address says, else "flags".
        scoring: how the server scores texts (`models.score`): "score", "rerank" or "pooling". By default "score" with a query and
            "pooling" without one, as vLLM does.

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
        api: Literal["chat", "responses"] = "chat",
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        thoughts: str = "",
        continuing: Continuing | None = None,
        scoring: Scoring | None = None,
    ) -> None:
        self.name = model
        self.price = price
        self.count = count
        self.retry = retry
        self.alias = alias
        self._api = api
        self._extra = {} if extra is None else extra
        self._thoughts = thoughts
        self._continuing = continuing
        self._scoring = scoring
        self._check(base_url, api_key, timeout, {} if headers is None else headers)
        self._connection = Connection(model, base_url, api_key, timeout, headers or {})
        self._cap_warning = CapWarning(model)
        _ = self.server  # raises where the address is none
        self._check_key()

    @property
    def server(self) -> str:
        """The address that is asked, without what is secret in it."""
        return self._connection.server

    def __headway_key__(self) -> object:
        special: dict[str, Any] = {"api": self._api} if self._api != "chat" else {}
        options = {"extra": dict(self._extra), "thoughts": self._thoughts, "continuing": self._continuing, "scoring": self._scoring}
        special |= {name: value for name, value in options.items() if value}
        at = (self.name,) if self.server == OPENAI else (self.name, self.server)
        named = ("model", *(at if self.alias is None else (self.alias,)))
        return (*named, special) if special else named

    def __reduce__(self) -> tuple[Any, ...]:
        options = {
            "base_url": self._connection.base_url,
            "api_key": self._connection.api_key,
            "timeout": self._connection.timeout,
            "headers": self._connection.headers,
            "price": self.price,
            "count": self.count,
            "retry": self.retry,
            "alias": self.alias,
            "api": self._api,
            "extra": self._extra,
            "thoughts": self._thoughts,
            "continuing": self._continuing,
            "scoring": self._scoring,
        }
        return _remake, (self.name, options)

    def __repr__(self) -> str:
        return f"Endpoint({self.name!r})"

    works_unseen = True
    abilities = ALL

    def check(self, request: Request) -> None:
        """Refuse what the server can't do.

        Args:
            request: what is asked.

        Raises:
            UsageError: it asks for something of that kind.
        """
        strict = any(tool.strict for tool in request.tools)
        if self._api == "responses" or request.continues or request.schema is not None or strict:
            self._body(request)

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
        path, body = self._body(request)
        reader = (responses if self._api == "responses" else protocol).EventReader(self.name, request)
        cap = Cap(self._cap_warning, request)
        async with self._connection.stream(path, body, request.headers) as events:
            words = f"it answered with {events.kind}, not with a stream"
            async for event in events:
                for piece in reader.read(event):
                    for held in cap.hold(piece):
                        yield held
                words = words if reader.answered else protocol.words_in(event)
                if cap.reached:
                    return
            if not reader.answered:
                raise make_protocol_error(self.name, hide_secrets(words, self._connection.secrets(request.headers)))

    async def embed(self, texts: Sequence[str], dimensions: int | None = None) -> Embeddings:
        """Embed texts, at `/embeddings`; `models.embed` makes a call of it.

        Args:
            texts: at least one.
            dimensions: how long the vectors are to be, where the server can choose.

        Returns:
            A vector for each, in their order.

        Raises:
            ModelError: the server refused, or gave no vector for each text.
            ModelUnavailable: it could not be had this time.
        """
        answer = await self._connection.post(
            "/embeddings", numbers.embeddings_body(self.name, texts, dimensions) | dict(self._extra)
        )
        return numbers.read_embeddings(self.name, len(texts), answer)

    async def score(self, texts: Sequence[str], query: str = "") -> Scores:
        """Score texts with a reward model or a reranker; `models.score` makes a call of it.

        Args:
            texts: at least one.
            query: what they answer, or are searched for.

        Returns:
            A number for each, in their order.

        Raises:
            UsageError: the form of scores needs a query, and there is none.
            ModelError: the server refused, or gave no number for each text.
            ModelUnavailable: it could not be had this time.
        """
        form = self._scoring or ("score" if query else "pooling")
        if not query and form != "pooling":
            raise UsageError(f"{self.name}: scoring={form!r} compares texts with a query: give one, or scoring='pooling'")
        path = self._connection.beside("pooling") if form == "pooling" else f"/{form}"
        answer = await self._connection.post(path, numbers.scores_body(form, self.name, texts, query) | dict(self._extra))
        return numbers.read_scores(form, self.name, len(texts), answer)

    def most_texts(self, query: str) -> int:
        """How many texts are scored in a request.

        Args:
            query: what they answer; empty where they stand alone.

        Returns:
            One where each is the answer of a conversation.
        """
        return 1 if query and self._scoring == "pooling" else MOST_TEXTS

    def _body(self, request: Request) -> tuple[str, dict[str, Any]]:
        """Where a request goes, and what is sent. Raises UsageError for what the server can't do."""
        request = dataclasses.replace(request, extra={**self._extra, **request.extra}) if self._extra else request
        of_openai = self._connection.of_openai
        if self._api == "responses":
            return "/responses", responses.request_body(self.name, request, of_openai=of_openai, thoughts=bool(self._thoughts))
        continuing = self._continuing or _CONTINUING.get(self._connection.host, "flags")
        path = "/completions" if isinstance(request.prompt, str) else "/chat/completions"
        return path, protocol.request_body(self.name, request, of_openai=of_openai, thoughts=self._thoughts, continuing=continuing)

    def _check(self, base_url: str | None, api_key: str | None, timeout: float, headers: Any) -> None:
        """Raises UsageError. No message repeats what may be a secret."""
        what = f"models.Endpoint({self.name!r:.80}"
        if not isinstance(self.name, str) or not self.name:
            raise UsageError(f"{what}): a model has a name, as text")
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
            raise UsageError(f"{what}, timeout={timeout!r:.80}): seconds, above zero")
        if self.count is not None and not callable(self.count):
            raise UsageError(f"{what}, count={self.count!r:.80}): a function of a prompt")
        if self._api not in ("chat", "responses"):
            raise UsageError(f"{what}, api={self._api!r:.80}): 'chat' or 'responses'")
        if self._continuing not in (None, "flags", "prefix", "last"):
            raise UsageError(f"{what}, continuing={self._continuing!r:.80}): 'flags', 'prefix' or 'last'")
        if self._scoring not in (None, "score", "rerank", "pooling"):
            raise UsageError(f"{what}, scoring={self._scoring!r:.80}): 'score', 'rerank' or 'pooling'")
        if not isinstance(self._thoughts, str) or self._thoughts in ("role", "content", "tool_calls", "name"):
            raise UsageError(f"{what}, thoughts={self._thoughts!r:.80}): the name of a field, as 'reasoning_content'")
        if fault := fault_of_extra(self._extra) or fault_of_headers(headers):
            raise UsageError(f"{what}): {fault}")
        retry_of(self)
        for given, key in (("api_key", api_key), ("OPENAI_API_KEY", os.environ.get("OPENAI_API_KEY"))):
            if key is not None and not (isinstance(key, str) and key.isascii() and key.isprintable() and key == key.strip()):
                raise UsageError(f"{what}): {given} has a space at its end, a line break or another character that no key has")
        require("models.Endpoint", "openai")

    def _check_key(self) -> None:
        """Raises UsageError where there is no price that is one, and where a key is needed and there is none."""
        price_of(self)
        if self._connection.base_url is None and not self._connection.api_key and not os.environ.get("OPENAI_API_KEY"):
            raise UsageError(
                f"models.Endpoint({self.name!r}): no API key. Set OPENAI_API_KEY, give api_key=, or the base_url= of another server"
            )


def _remake(model: str, options: dict[str, Any]) -> Endpoint:
    """The endpoint in another process."""
    return Endpoint(model, **options)
