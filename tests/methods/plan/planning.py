"""Planners that follow a script, line by line, and tools that keep count: protocol paths need words known beforehand."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence

import headway as hw
from headway import models, tools
from headway.models import Request

DONE: list[str] = []
"""The world outside: what tools have begun to do."""


class Writes:
    """Writes the lines that the script makes of what it is asked, each after a rest. A line is ten tokens."""

    price = models.Price(read=1.0, written=1.0)

    def __init__(self, script: Callable[[str], Sequence[str]] | Sequence[Sequence[str]], *, rest_s: float = 0.0) -> None:
        self.name = "writes"
        self._script, self._rest_s = script, rest_s
        self.asked: list[str] = []

    def count(self, prompt: object) -> int:
        return 10

    async def stream(self, request: Request) -> AsyncGenerator[models.Piece, None]:
        prompt = request.prompt if isinstance(request.prompt, str) else "\n".join(message.text for message in request.prompt)
        self.asked.append(prompt)
        lines = self._script(prompt) if callable(self._script) else self._script[min(len(self.asked), len(self._script)) - 1]
        for place, line in enumerate(lines):
            if self._rest_s:
                await hw.sleep(self._rest_s)
            yield models.Piece(line if place == len(lines) - 1 else line + "\n", tokens=10)
        yield models.Piece(finish="stop")
        yield models.Piece(usage=models.Usage(10, 10 * len(lines)))


@tools.tool
async def rest(name: str, seconds: float, after: list[str] | None = None) -> str:
    """Rest for some seconds."""
    DONE.append(name)
    await hw.sleep(seconds)
    return name


@tools.tool
async def double(number: float) -> float:
    """Twice a number."""
    DONE.append(f"double {number:g}")
    return 2 * number


@tools.tool
async def fail(why: str) -> str:
    """Fail."""
    DONE.append(f"fail {why}")
    raise ValueError(why)


@tools.tool(effect=True)
async def pay(amount: float, to: str = "ada") -> str:
    """Pay."""
    DONE.append(f"pay {amount:g} {to} {hw.call().idempotency_key}")
    await hw.sleep(0.2)
    return f"paid {amount:g} to {to}"


TOOLS = [rest, double, fail, pay]
