"""A model that can do what the protocol has words for, and says in JSON what reached it. It is served in the tests."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import asdict

from headway.models import FREE, Alternative, CallPiece, Embeddings, Image, Piece, Request, Usage


class Able:
    """Does as the last message says: `call` asks for the tools that are offered, in pieces; `think` thinks; `hidden` asks for a
    tool that nobody offers; anything else is answered with the request."""

    name = "able"
    price = FREE
    abilities = frozenset({"tools", "schema", "images", "names", "top_logprobs", "continues"})

    async def stream(self, request: Request) -> AsyncGenerator[Piece, None]:
        last = request.prompt if isinstance(request.prompt, str) else request.prompt[-1].text
        for index in range(request.n):
            if last == "call":
                for piece in self._call(request):
                    yield piece
            elif last == "hidden":
                yield Piece(said="search{}", finish="tool", index=index)
            elif last == "think":
                yield Piece(thoughts="Let me see. ", tokens=3, index=index)
                yield Piece("42", tokens=1, finish="stop", index=index)
            else:
                top = ((Alternative("a", -0.5), Alternative("b", -1.5)),)[: request.top_logprobs]
                values = (-0.5,) if request.logprobs else ()
                yield Piece(_tell(request), tokens=1, logprobs=values, top=top, finish="stop", index=index)
        yield Piece(usage=Usage(7, 5))

    def _call(self, request: Request) -> list[Piece]:
        calls = [piece for at, tool in enumerate(request.tools) for piece in self._pieces(at, tool.name)]
        return [Piece("I'll ask.", tokens=2), *(Piece(calls=(one,), tokens=1) for one in calls), Piece(finish="stop")]

    def _pieces(self, at: int, name: str) -> list[CallPiece]:
        begins = CallPiece(at, f"id-{at}" if at else "", name)  # the first has no id of its own
        return [begins, CallPiece(at, arguments='{"a"'), CallPiece(at, arguments=": 1}")]


def _tell(request: Request) -> str:
    def plain(value: object) -> str:
        return value.hex() if isinstance(value, bytes) else str(value)

    told = {name: value for name, value in asdict(request).items() if value not in ((), {}, None, "")}
    if not isinstance(request.prompt, str):
        told["images"] = [part.data.hex() for one in request.prompt for part in one.content if isinstance(part, Image)]
    return json.dumps(told, default=plain)


class Embedder:
    """Gives a text's length and its vowels."""

    name = "embedder"
    price = FREE

    async def embed(self, texts: Sequence[str], dimensions: int | None = None) -> Embeddings:
        if texts[0] == "bug":
            raise ValueError("a bug")
        vectors = [(float(len(text)), float(sum(text.count(vowel) for vowel in "aeiou")))[:dimensions] for text in texts]
        return Embeddings(tuple(vectors), sum(len(text.split()) for text in texts), self.name)


able = Able()
embedder = Embedder()
