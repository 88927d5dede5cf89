"""A connection to a server: its address, what is secret, one client for each event loop, and bodies sent to paths.

The `openai` client sends and parses; it retries nothing, because the runtime does. Bodies go out and events come in as plain JSON,
without the client's own types: those are for what it knows, and servers say more. A client is closed with its event loop.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit
from weakref import WeakKeyDictionary

from headway.errors import ModelError, UsageError
from headway.models.openai.failures import model_error

if TYPE_CHECKING:
    from openai import AsyncOpenAI, AsyncStream

CONNECT_S = 10.0
OPENAI = "api.openai.com/v1"
SECRET = 4  # characters of the shortest secret that is hidden in errors: shorter ones are parts of words


class Connection:
    """How a server is reached.

    Args:
        name: the model, for errors.
        base_url: the server; None for `OPENAI_BASE_URL`, or else OpenAI itself.
        api_key: what the server asks for; `OPENAI_API_KEY` is told to no `base_url` that is given here.
        timeout: seconds for which the server may be silent.
        headers: sent with every request.
    """

    def __init__(self, name: str, base_url: str | None, api_key: str | None, timeout: float, headers: Mapping[str, str]) -> None:
        self.name, self.base_url, self.api_key, self.timeout, self.headers = name, base_url, api_key, timeout, dict(headers)
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[AsyncOpenAI, Any]] = WeakKeyDictionary()

    @property
    def server(self) -> str:
        """The address that is asked, without what is secret in it."""
        return address_of(self._url)

    @property
    def of_openai(self) -> bool:
        """Whether the server is OpenAI's own, which has names of its own for what others call `max_tokens`."""
        host = self.host
        return host == "api.openai.com" or host.endswith((".api.openai.com", ".openai.azure.com"))

    @property
    def host(self) -> str:
        """The server's name."""
        return self.server.partition("/")[0].partition(":")[0]

    def secrets(self, headers: Mapping[str, str] | None = None) -> list[str]:
        """What is told to the server and to nobody else.

        Args:
            headers: those of a request.

        Returns:
            Texts to hide.
        """
        url = urlsplit(self._url or "")
        told = [self.api_key or (os.environ.get("OPENAI_API_KEY") if self.base_url is None else None), url.username, url.password]
        told += [value for _, value in parse_qsl(url.query)]
        for value in [*self.headers.values(), *(headers or {}).values()]:
            told += [value, value.split()[-1] if value else ""]  # "Bearer hunter2", and "hunter2"
        return [secret for secret in told if secret and len(secret) >= SECRET]

    @asynccontextmanager
    async def stream(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> AsyncGenerator[Events, None]:
        """The answer to a body, event by event. Leaving the block closes the connection.

        Args:
            path: below the server's address.
            body: JSON.
            headers: those of the request.

        Yields:
            The events.

        Raises:
            ModelError: the server refused, could not be had, or does not speak the protocol.
        """
        import openai

        try:
            client = await self._client()
            options: Any = {"headers": self._named(client, headers)}
            opened = await client.post(
                path, body=dict(body), options=options, cast_to=object, stream=True, stream_cls=openai.AsyncStream[Any]
            )
            async with opened:
                yield Events(opened)
        except Exception as error:
            self._raise(error, headers)

    async def post(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Any:
        """The answer to a body, as a whole.

        Args:
            path: below the server's address, or a whole address.
            body: JSON.
            headers: those of the request.

        Returns:
            JSON.

        Raises:
            ModelError: as `stream` does.
        """
        try:
            client = await self._client()
            return await client.post(path, body=dict(body), options={"headers": self._named(client, headers or {})}, cast_to=object)
        except Exception as error:
            self._raise(error, headers or {})

    def _raise(self, error: Exception, headers: Mapping[str, str]) -> None:
        """Raise what an exception of the client means."""
        if isinstance(error, ModelError) or (known := model_error(self.name, error, self.secrets(headers))) is None:
            raise error
        raise known from None  # the cause holds the request with its headers, and errors are journaled

    def _named(self, client: AsyncOpenAI, headers: Mapping[str, str]) -> dict[str, str]:
        """Headers under the names that the client has for them, so that one of ours takes the place of its own."""
        own = {name.lower(): name for name in client.default_headers}
        given = {name.lower(): (name, value) for name, value in (*self.headers.items(), *headers.items())}
        return {own.get(plain, name): value for plain, (name, value) in given.items()}

    def beside(self, path: str) -> str:
        """The address of a path that is not below the server's `/v1`, but beside it.

        Args:
            path: its name.

        Returns:
            A whole address.
        """
        url = urlsplit(self._url or f"https://{OPENAI}")
        return url._replace(path=f"{url.path.rstrip('/').removesuffix('/v1')}/{path}", query="", fragment="").geturl()

    @property
    def _url(self) -> str | None:
        return self.base_url or os.environ.get("OPENAI_BASE_URL")

    async def _client(self) -> AsyncOpenAI:
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            kept = self._kept()
            self._clients[loop] = await anext(kept), kept
        return self._clients[loop][0]

    async def _kept(self) -> AsyncGenerator[AsyncOpenAI, None]:
        """A client for as long as the event loop runs: whoever ends a loop closes its open generators, and so the connections."""
        import openai

        url = urlsplit(self._url or "")
        made = openai.AsyncOpenAI(
            api_key=self.api_key if self.base_url is None else self.api_key or "none",
            base_url=url._replace(query="", fragment="").geturl() or None,
            default_query=dict(parse_qsl(url.query)) or None,
            max_retries=0,
            timeout=openai.Timeout(self.timeout, connect=CONNECT_S),
        )
        async with made as client:
            yield client


class Events:
    """The events of an answer."""

    def __init__(self, opened: AsyncStream[Any]) -> None:
        self._opened = opened

    @property
    def kind(self) -> str:
        """What the server says it sent."""
        return str(self._opened.response.headers.get("content-type", "")) or "nothing"

    async def __aiter__(self) -> AsyncGenerator[Any, None]:
        """The events, or the whole answer of a server that was asked for a stream and sent a document. Raises ValueError where that
        is none."""
        if "json" not in self.kind:
            async for event in self._opened:
                yield event
            return
        document = json.loads(await self._opened.response.aread())
        if isinstance(document, dict) and document.get("error") is not None:
            raise ValueError(str(document["error"]))
        yield document


def address_of(url: str | None) -> str:
    """Where a server is, as keys have it: host, port and path, and nothing that could be a secret.

    >>> address_of("HTTP://user:secret@Host:80/v1/?token=secret")
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
