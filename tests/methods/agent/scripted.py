"""A model that follows a script, and tools that keep count: protocol paths need words that are known beforehand."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import headway as hw
from headway import models, tools
from headway.models import Message, Request

Turn = str | Sequence[tuple[str, Any]]
"""What it says: words, or the tools it asks for with their arguments."""


class Scripted:
    """Says, in each turn, what the script says of the conversation. A word is a token."""

    abilities = frozenset({"tools"})
    price = models.Price(read=1.0, written=1.0)

    def __init__(self, script: Callable[[list[Message]], Turn], name: str = "scripted", *, rest_s: float = 0.0) -> None:
        self.name, self._script, self._rest_s = name, script, rest_s
        self.asked: list[Request] = []

    def count(self, prompt: str | tuple[Message, ...]) -> int:
        return len(prompt.split()) if isinstance(prompt, str) else sum(len(message.text.split()) + 1 for message in prompt)

    async def stream(self, request: Request) -> AsyncGenerator[models.Piece, None]:
        self.asked.append(request)
        if self._rest_s:
            await hw.sleep(self._rest_s)
        prompt = request.prompt
        messages = [message for message in prompt if isinstance(message, Message)]
        said = self._script(messages)
        if isinstance(said, str):
            for word in said.split():
                yield models.Piece(word + " ", tokens=1)
            yield models.Piece(finish="stop")
        else:
            turn = sum(message.role == "assistant" for message in messages)
            for place, (name, arguments) in enumerate(said):
                written = arguments if isinstance(arguments, str) else json.dumps(arguments)
                yield models.Piece(calls=(models.CallPiece(place, f"c{turn}-{place}", name, written),), tokens=3)
            yield models.Piece(finish="tool")
        yield models.Piece(usage=models.Usage(self.count(prompt), len(said.split()) if isinstance(said, str) else 3 * len(said)))


def turns(*script: Turn) -> Callable[[list[Message]], Turn]:
    """Say these one after the other; the last again and again."""
    return lambda messages: script[min(sum(message.role == "assistant" for message in messages), len(script) - 1)]


@tools.tool
async def double(number: int) -> int:
    """Twice a number."""
    return 2 * number


@tools.tool
async def fail(why: str) -> str:
    """Fail."""
    raise ValueError(why)


@tools.tool
async def rest(name: str) -> str:
    """Rest for a second."""
    await hw.sleep(1)
    return name
