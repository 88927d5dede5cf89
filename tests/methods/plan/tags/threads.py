"""A model that follows a script: what it writes depends on the text before alone. A word is a token."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

import headway as hw
from headway import models
from headway.models import Request

BEGUN: list[str] = []
"""What was asked of all models, in order."""


class Continues:
    """Goes on with a text as the script says, until a stop text or its last token, or by itself to the end of the script.

    `room`: tokens that it can write in one go.
    """

    price = models.Price(read=1.0, written=1.0)

    def __init__(self, script: Callable[[str], str], name: str = "continues", *, rest_s: float = 0.0, room: int = 1000) -> None:
        self.name, self._script, self._rest_s, self._room = name, script, rest_s, room

    def count(self, prompt: object) -> int:
        return len(str(prompt).split())

    async def stream(self, request: Request) -> AsyncGenerator[models.Piece, None]:
        assert isinstance(request.prompt, str)
        BEGUN.append(request.prompt)
        said = self._script(request.prompt)
        for stop in request.stop:
            said = said.split(stop)[0]
        words, most = said.split(" "), min(request.max_tokens, self._room)
        for word in words[:most]:
            if self._rest_s:
                await hw.sleep(self._rest_s)
            yield models.Piece(word if word is words[-1] else word + " ", tokens=1)
        yield models.Piece(finish="length" if len(words) > most else "stop")
        yield models.Piece(usage=models.Usage(self.count(request.prompt), min(len(words), most)))


def adds(prompt: str) -> str:
    """Adds numbers: of `8 1 2 3 4` each helper adds two, and so on."""
    if "</messages>" in prompt:
        heard = prompt.rpartition("<messages>")[2].partition("</messages>")[0].split("\n")[:-1]
        return f"They say {' and '.join(heard)} <join>{sum(int(each) for each in heard if each.isdecimal())}</join>"
    numbers = prompt.split()
    if len(numbers) <= 2:
        return f"It is <join>{sum(map(int, numbers))}</join>"
    half = (len(numbers) + 1) // 2
    return f"I halve it. <spawn>{' '.join(numbers[:half])}\n{' '.join(numbers[half:])}\n</spawn>"
