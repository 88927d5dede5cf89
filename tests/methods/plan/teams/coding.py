"""A noisy coder: it cuts a program into parts, and what it writes is wrong by chance. The check is Python's own."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncGenerator

import headway as hw
from headway import models
from headway.models import Request

PARTS = 8


class NoisyCoder:
    """Writes a part with a fault of syntax now and then; a whole program, so often in each of its parts."""

    name = "coder"
    abilities = frozenset({"schema"})
    price = models.FREE

    def __init__(self, seed: int, fault: float = 0.2) -> None:
        self.seed, self.fault = seed, fault
        self.asked = 0

    def __headway_key__(self) -> object:
        return ("model", "coder", self.seed, self.fault)

    def count(self, prompt: object) -> int:
        return 1

    async def stream(self, request: Request) -> AsyncGenerator[models.Piece, None]:
        self.asked += 1
        asked = request.prompt[-1].text  # type: ignore[union-attr]  # it is asked with messages
        rng = random.Random(f"code {self.seed} {asked} {request.seed}")
        if request.schema is not None:
            said = json.dumps({"answer": [{"name": f"part_{place}", "purpose": "counts"} for place in range(PARTS)]})
        elif "Write the part" in asked:
            said = self._write(asked.rpartition("Write the part '")[2].partition("'")[0], rng)
        elif "Write the whole program" in asked:
            said = "\n\n\n".join(self._write(f"part_{place}", rng) for place in range(PARTS))
        else:
            said = "Mind the edges."
        await hw.sleep(0.02 * len(said.split()))
        yield models.Piece(said, finish="stop", tokens=len(said.split()))
        yield models.Piece(usage=models.Usage(1, len(said.split())))

    def _write(self, name: str, rng: random.Random) -> str:
        broken = ":" if rng.random() < self.fault else "):"
        return f"def {name}(numbers{broken}\n    return len(numbers)"
