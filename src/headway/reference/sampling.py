"""Samples from a model of this project and values states: many texts at a time, with a cache of keys and values.

Texts of different lengths are padded on the left. A sample draws from its own seed, position by position, so it is the same
whatever else is in the batch (up to the last bit of a probability). Nothing here knows of tasks; `stopping` says which texts are no
longer wanted.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar, cast

import numpy as np
import torch

from headway.errors import UsageError
from headway.models.base import Finish, Piece, Reply, Request, Sample, Usage
from headway.models.messages import Message
from headway.reference.language import Language
from headway.reference.network import Cache, Network
from headway.reference.weights import name_of, read

Floats = np.ndarray[Any, np.dtype[np.float64]]
M = TypeVar("M", bound="SmallModel")


@dataclass
class _Text:
    """One sample in the making."""

    place: int  # of its request
    prompt: list[int]
    request: Request
    draws: Floats  # a uniform number for each position
    made: list[int]
    logprobs: list[float]
    ended: str = ""


@dataclass
class _Told:
    """What a listener knows of a sample in the making."""

    characters: int = 0
    tokens: int = 0
    ended: bool = False


class SmallModel:
    """A small model that this project trained: a `BatchModel`. Its subclasses say which.

    Attributes:
        language: what it reads and writes.
        file: the weights that come with the package.
        kind: of its network.
    """

    language: ClassVar[Language]
    file: ClassVar[Path]
    kind: ClassVar[type[Network]] = Network

    def __init__(self, network: Network, name: str, path: Path | None = None) -> None:
        self.network = network.eval()
        self.name = name
        self._path = path

    @classmethod
    def shipped(cls) -> Self:
        """The weights that come with the package; read once per process."""
        return _load(cls, cls.file)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """A model that was written by training. Raises UsageError where the file is none."""
        return _load(cls, Path(path).resolve())

    def __headway_key__(self) -> object:
        return ("model", self.name)

    def __reduce__(self) -> tuple[Any, ...]:
        if self._path is None:
            raise UsageError(
                f"this {_kind(self.language)} has no file, so it can't travel to another process: write it to one, and load that"
            )
        return _load, (type(self), self._path)

    def count(self, prompt: str | tuple[Message, ...]) -> int:
        """How many tokens a prompt has."""
        return len(_read_prompt(self.language, prompt))

    def sample_batch(self, requests: Sequence[Request], stopping: Callable[[int], bool] = lambda _: False) -> list[Reply]:
        """The samples of several requests together."""
        texts = [
            text
            for place, request in enumerate(requests)
            for text in _begin(self.language, place, request, self.network.shape.length)
        ]
        for _ in self._steps(texts, stopping):
            pass
        samples: list[list[Sample]] = [[] for _ in requests]
        for text in texts:
            samples[text.place].append(_sample(self.language, text))
        return [Reply(tuple(of), self.count(request.prompt), self.name) for of, request in zip(samples, requests, strict=True)]

    async def stream(self, request: Request) -> AsyncGenerator[Piece, None]:
        """Make the samples of one request, and tell each token when it is drawn; between tokens the loop goes on.

        Args:
            request: what is asked.

        Yields:
            The pieces. They make the samples that `sample_batch` makes.
        """
        texts = _begin(self.language, 0, request, self.network.shape.length)
        told = [_Told() for _ in texts]
        steps = self._steps(texts, lambda _: False)
        going = True
        while going:
            going = await asyncio.to_thread(next, steps, False)
            for index, text in enumerate(texts):
                if piece := _next_piece(self.language, text, index, told[index]):
                    yield piece
        yield Piece(usage=Usage(self.count(request.prompt), sum(len(text.made) for text in texts)))

    @torch.inference_mode()
    def values(self, texts: Sequence[str]) -> list[float]:
        """For each text that ends with a step: how likely it is, from 0 to 1, that it still ends well."""
        if not texts:
            return []
        found: list[float] = torch.sigmoid(self.network.worth(self._last(texts))).tolist()
        return found

    @torch.inference_mode()
    def embeddings(self, texts: Sequence[str]) -> list[list[float]]:
        """For each text, what the model makes of it: a vector of length 1."""
        if not texts:
            return []
        found: list[list[float]] = torch.nn.functional.normalize(self._last(texts), dim=-1).tolist()
        return found

    def _last(self, texts: Sequence[str]) -> torch.Tensor:
        """What the model makes of the last token of each text [B, D]."""
        return self.look(texts)[0][:, -1]

    @torch.inference_mode()
    def look(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """What the model makes of each token of texts [B, T, D], and the tokens [B, T]; both are padded on the left.

        Raises:
            UsageError: a text has no tokens, or more than the model reads.
        """
        rows = [self.language.encode(text) for text in texts]
        longest, most = max(map(len, rows)), self.network.shape.length
        for row in rows:
            if not 0 < len(row) <= most:
                raise UsageError(f"{self.language.what} reads texts of 1 to {most} tokens, this one has {len(row)}")
        padded, mask = _pad(rows, longest, self.language.pad)
        with _one_thread():
            return self.network.hidden(padded, mask), padded

    def _steps(self, texts: list[_Text], stopping: Callable[[int], bool]) -> Iterator[bool]:
        """Complete texts, a token of each at a time; True after each but the last."""
        steps = self._complete(texts, stopping)
        going = True
        while going:
            with _one_thread(), torch.inference_mode():
                going = next(steps, False)
            yield going

    def _complete(self, texts: list[_Text], stopping: Callable[[int], bool]) -> Iterator[bool]:
        if not texts:
            return
        length = max(len(text.prompt) for text in texts)
        most = max(text.request.max_tokens for text in texts)
        room = length + most  # where the longest prompt and the longest sample are two texts, more than either may have
        given, _ = _pad([text.prompt for text in texts], length, self.language.pad)
        hidden = torch.tensor([length - len(text.prompt) for text in texts])
        mask = torch.arange(room)[None, :] >= hidden[:, None]  # which keys a text may look at
        causal = torch.ones(length, length, dtype=torch.bool).tril()
        cache = Cache(self.network.shape, len(texts), room)
        newest = self.network.hidden(given, _let_padding_attend(mask[:, None, None, :length] & causal), cache)[:, -1]
        for at in range(length, room + 1):
            self._draw(texts, self.network.logits(newest))
            for text in texts:
                text.ended = text.ended or ("wanted by nobody" if stopping(text.place) else "")
            if at == room or all(text.ended for text in texts):
                return
            yield True
            last = torch.tensor([[text.made[-1] if text.made else self.language.pad] for text in texts])
            newest = self.network.hidden(last, mask[:, None, None, : at + 1], cache)[:, -1]

    def _draw(self, texts: list[_Text], logits: torch.Tensor) -> None:
        """One more token for each text that is not at its end."""
        rows = [row for row, text in enumerate(texts) if not text.ended]
        open_texts = [texts[row] for row in rows]
        logprobs = torch.log_softmax(logits[rows].double(), -1).numpy()
        drawn = _draw_tokens(logprobs, open_texts, self.language.pad)
        of_drawn = logprobs[np.arange(len(rows)), drawn].tolist()
        for text, token, logprob in zip(open_texts, drawn.tolist(), of_drawn, strict=True):
            if token >= self.language.end:
                text.ended = "stop"
                continue
            text.made.append(token)
            text.logprobs.append(logprob)
            if text.request.stop and _is_stopped(self.language, text):
                text.ended = "stop"
            elif len(text.made) == text.request.max_tokens:
                text.ended = "length"


_busy = 0  # threads that compute
_usual = 0  # torch's threads beside them
_counting = threading.Lock()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Use one torch thread. The model is so small that several would mostly wait for each other, and spin while they do: with one
    thread a demo took 44 s instead of 57 s. Callers may come and go in any order; the last one restores the setting that the first
    one found."""
    global _busy, _usual
    with _counting:
        _usual = _usual if _busy else torch.get_num_threads()
        _busy += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _counting:
            _busy -= 1
            torch.set_num_threads(_usual)


def _load(model: type[M], path: Path) -> M:
    """The model of a file, which is read once for each time that it was written."""
    written = path.stat() if path.exists() else None
    return cast("M", _read(cast("Hashable", model), path, written and (written.st_ino, written.st_mtime_ns, written.st_size)))


@lru_cache(maxsize=4)
def _read(model: type[SmallModel], path: Path, written: tuple[int, ...] | None) -> SmallModel:
    return model(read(path, model.language, model.kind), name_of(path, model.language), path)


def _kind(language: Language) -> str:
    return language.what.removeprefix("the ")


def _read_prompt(language: Language, prompt: str | tuple[Message, ...]) -> list[int]:
    """The tokens of what is continued: the prompt, or that of the question in the last turn of a conversation.

    Raises:
        UsageError: the model can't read it.
    """
    try:
        return language.encode(prompt if isinstance(prompt, str) else language.read(prompt[-1].text))
    except ValueError as error:
        raise UsageError(str(error)) from None


def _begin(language: Language, place: int, request: Request, length: int) -> list[_Text]:
    prompt = _read_prompt(language, request.prompt)
    room = length - len(prompt)
    if not prompt or room < 1:
        raise UsageError(f"{language.what} reads 1 to {length - 1} tokens, this prompt has {len(prompt)}")
    most = min(request.max_tokens, room)
    seeds = np.random.SeedSequence(request.seed).generate_state(1, np.uint64)
    made = []
    for index in range(request.n):
        draws = np.random.Generator(np.random.Philox(key=[int(seeds[0]), index])).random(most)
        made.append(_Text(place, prompt, replace(request, max_tokens=most), draws, [], []))
    return made


def _pad(rows: list[list[int]], length: int, pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad rows of tokens on the left to `length`, and make the mask [B, 1, T, T] of what each may look at."""
    padded = torch.tensor([[pad] * (length - len(row)) + row for row in rows])
    seen = padded != pad
    return padded, _let_padding_attend(seen[:, None, None, :] & torch.ones(length, length, dtype=torch.bool).tril())


def _let_padding_attend(mask: torch.Tensor) -> torch.Tensor:
    """Let padding look at itself in a mask: an empty row has no softmax."""
    return mask | torch.eye(mask.shape[-1], dtype=torch.bool)


def _draw_tokens(logprobs: Floats, texts: list[_Text], last: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Draw a token for each text from log-probabilities [B, tokens]: the one where the text's random number falls among the summed
    weights, at most `last`."""
    temperatures = np.array([text.request.temperature for text in texts])
    greedy = temperatures == 0
    weights = np.exp((logprobs - logprobs.max(1, keepdims=True)) / np.where(greedy, 1.0, temperatures)[:, None])
    for row, text in enumerate(texts):
        if text.request.top_p < 1:
            _keep_likeliest(weights[row], text.request.top_p)
    sums = np.cumsum(weights, axis=1)
    chances = np.array([text.draws[len(text.made)] for text in texts]) * sums[:, -1]
    drawn = np.minimum((sums <= chances[:, None]).sum(1), last)
    return np.asarray(np.where(greedy, logprobs.argmax(1), drawn))


def _keep_likeliest(weights: Floats, share: float) -> None:
    """Take away the weights of what is not among the likeliest tokens that make up a share."""
    order = np.argsort(-weights, kind="stable")
    before = np.cumsum(weights[order]) - weights[order]
    weights[order[before >= share * weights.sum()]] = 0


def _is_stopped(language: Language, text: _Text) -> bool:
    said = language.decode(text.made)
    return any(stop in said for stop in text.request.stop)


def _sample(language: Language, text: _Text) -> Sample:
    logprobs = tuple(text.logprobs) if text.request.logprobs else ()
    return Sample(_said(language, text), len(text.made), _finish(text), sum(text.logprobs), logprobs)


def _said(language: Language, text: _Text) -> str:
    said = language.decode(text.made)
    for stop in text.request.stop:
        said = said.split(stop, 1)[0]
    return said


def _finish(text: _Text) -> Finish:
    return "stop" if text.ended == "stop" else "length"


def _next_piece(language: Language, text: _Text, index: int, told: _Told) -> Piece | None:
    """What is new of a text. What may be the beginning of a stop string is told when it has turned out to be none."""
    if told.ended:
        return None
    said = _said(language, text)
    told.ended = bool(text.ended)
    held = 0 if told.ended else max(map(len, text.request.stop), default=1) - 1
    new = said[told.characters : max(told.characters, len(said) - held)]
    tokens = len(text.made) - told.tokens
    logprobs = tuple(text.logprobs[told.tokens :]) if text.request.logprobs else ()
    told.characters, told.tokens = told.characters + len(new), len(text.made)
    return Piece(new, index, _finish(text) if told.ended else None, tokens, logprobs)
