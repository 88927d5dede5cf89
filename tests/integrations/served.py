"""What `headway serve` and `headway mcp` offer to other frameworks in the tests: a scripted model, and a task."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator

import headway as hw
from headway.models import FREE, CallPiece, Piece, Request, Usage


class Scripted:
    """Asks for every tool that is offered, twice where it is `area`; told the results, it answers with them."""

    name = "scripted"
    price = FREE
    abilities = frozenset({"tools", "schema"})

    async def stream(self, request: Request) -> AsyncGenerator[Piece, None]:
        messages = [] if isinstance(request.prompt, str) else list(request.prompt)
        told = [message.text for message in messages if message.role == "tool"]
        if request.tools and not told:
            asked = [("area", {"country": land}) for land in ("Italy", "France")]
            for at, (name, arguments) in enumerate(asked):
                yield Piece(calls=(CallPiece(at, f"call-{at}", name),), tokens=1)
                yield Piece(calls=(CallPiece(at, arguments=json.dumps(arguments)),), tokens=1)
        elif request.schema is not None:
            yield Piece(json.dumps({"areas": [int(one) for one in told]}), tokens=3)
        else:
            for word in f"They are {' and '.join(told)} .".split():
                yield Piece(f"{word} ", tokens=1)
        yield Piece(finish="stop")
        yield Piece(usage=Usage(10, 5))


model = Scripted()


@hw.task
async def area(country: str) -> int:
    """Look up how large a country is.

    Args:
        country: its name.
    """
    return {"Italy": 301340, "France": 551695}[country]
