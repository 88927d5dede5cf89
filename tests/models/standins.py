"""Stand-ins for language models: small, deterministic, and with a memory of what they were asked. No mocks: they are models."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

from headway.models import FREE, Piece, Price, Reply, Request, Sample, Usage


class StandInModel:
    """Answers a prompt with its words in reverse, a word a token, one token for each turn of the loop; `pause_s` between them."""

    def __init__(self, name: str = "stand-in", price: Price | None = FREE, pause_s: float = 0.0) -> None:
        self.name, self.price, self.pause_s = name, price, pause_s
        self.asked: list[Request] = []
        self.failures: list[Exception] = []
        self.stopped = 0
        self.now, self.most = 0, 0

    def __headway_key__(self) -> object:
        return ("model", self.name)

    def count(self, prompt: object) -> int:
        return len(str(prompt).split())

    async def stream(self, request: Request) -> AsyncGenerator[Piece, None]:
        self.asked.append(request)
        self.now += 1
        self.most = max(self.most, self.now)
        done = False
        try:
            if self.failures:
                raise self.failures.pop(0)
            words = str(request.prompt).split()[::-1][: request.max_tokens]
            if request.prompt == "how many are under way?":
                words = [str(self.now)]
            for word in words:
                await asyncio.sleep(self.pause_s)
                for index in range(request.n):
                    yield Piece(f" {word}", index, None, 1, (-0.5,) if request.logprobs else ())
            for index in range(request.n):
                yield Piece("", index, "stop")
            yield Piece(usage=Usage(self.count(request.prompt), request.n * len(words)))
            done = True
        finally:
            self.now -= 1
            self.stopped += not done


class PieceCountingModel(StandInModel):
    """One that says of each piece how many tokens it is, and of the whole only what it read, as llama.cpp does."""

    async def stream(self, request: Request) -> AsyncGenerator[Piece, None]:
        async for piece in super().stream(request):
            yield replace(piece, usage=Usage(self.count(request.prompt), 0))


class StandInBatchModel:
    """Answers each request with its prompt in capitals and the size of its batch. `wait` waits until nobody wants it; `wait PATH`
    tells a file what it does."""

    def __init__(self, name: str = "stand-in-batch", *, says_size: bool = True) -> None:
        self.name, self.says_size = name, says_size
        self.batches: list[list[str]] = []
        self.unwanted: list[str] = []
        self.now, self.most = 0, 0

    def count(self, prompt: object) -> int:
        return len(str(prompt).split())

    def sample_batch(self, requests: Sequence[Request], stopping: Callable[[int], bool]) -> list[Reply]:
        self.batches.append([str(request.prompt) for request in requests])
        if any(request.prompt == "bad" for request in requests):
            raise ValueError("no token for 'bad'")
        self.now += 1
        self.most = max(self.most, self.now)
        replies = [self._reply(place, request, len(requests) * self.says_size, stopping) for place, request in enumerate(requests)]
        time.sleep(0.001)
        self.now -= 1
        return replies

    def _reply(self, place: int, request: Request, size: int, stopping: Callable[[int], bool]) -> Reply:
        prompt = request.prompt if isinstance(request.prompt, str) else request.prompt[-1].content
        until = time.monotonic() + 20
        told = Path(prompt.removeprefix("wait ")) if prompt.startswith("wait /") else None
        if told is not None:
            told.write_text("asked")
        while prompt.startswith("wait") and not stopping(place) and time.monotonic() < until:
            time.sleep(0.005)
        if stopping(place):
            self.unwanted.append(prompt)
            if told is not None:
                told.write_text("unwanted")
        texts = [f"{prompt.upper()} {size}" + f" {index}" * (request.n > 1) for index in range(request.n)]
        samples = tuple(Sample(text, len(text.split()), "stop", -1.0, (-0.5, -0.5) if request.logprobs else ()) for text in texts)
        return Reply(samples, self.count(prompt), self.name)


class HalfWillingModel:
    """Refuses to make sample 0, asks for a tool in place of sample 1, and answers the others. It counts nothing."""

    name, price = "half-willing", FREE

    async def stream(self, request: Request) -> AsyncGenerator[Piece, None]:
        for index in range(request.n):
            if index < 2:
                yield Piece("", index, ("refusal", "tool")[index], 1, said=("no", "f{}")[index])
            else:
                yield Piece("yes", index, "stop", 1)


class EndingAnewModel:
    """Its answers end for a reason that nobody knows."""

    name, price = "ending-anew", FREE

    async def stream(self, request: Request) -> AsyncGenerator[Piece, None]:
        yield Piece("42", tokens=1)
        yield Piece(finish="stop", said="it ended for 'something new'")


class BuggyModel:
    """Fails at once, or after its first piece."""

    name, price = "buggy", FREE

    async def stream(self, request: Request) -> AsyncGenerator[Piece, None]:
        if request.prompt == "later":
            yield Piece("so far", tokens=1)
        raise ValueError("a bug")


batch = StandInBatchModel()
buggy = BuggyModel()
ending_anew = EndingAnewModel()
half_willing = HalfWillingModel()
streaming = StandInModel(pause_s=0.01)
counting = PieceCountingModel()
not_a_model = 3
