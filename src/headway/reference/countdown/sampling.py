"""Samples from the Countdown model and values states: many texts at a time, with a cache of keys and values.

Texts of different lengths are padded on the left. A sample draws from its own seed, position by position, so it is the same
whatever else is in the batch (up to the last bit of a probability). Nothing here knows of tasks; `stopping` says which texts are no
longer wanted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from headway.errors import UsageError
from headway.models.base import Finish, Message, Reply, Request, Sample
from headway.reference.countdown import tokens
from headway.reference.countdown.network import Cache, Countdown
from headway.reference.countdown.puzzle import parse
from headway.reference.countdown.weights import SHIPPED, name_of, read

Floats = np.ndarray[Any, np.dtype[np.float64]]


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


class CountdownModel:
    """The small model that this project trained: a `BatchModel`.

    Example:
        >>> model = CountdownModel.shipped()                                        # doctest: +SKIP
        >>> model.sample_batch([Request(prompt="9 3 2 -> 24\\n", max_tokens=20)])   # doctest: +SKIP
    """

    def __init__(self, network: Countdown, name: str, path: Path | None = None) -> None:
        self.network = network.eval()
        self.name = name
        self._path = path

    @classmethod
    def shipped(cls) -> CountdownModel:
        """The weights that come with the package; read once per process."""
        return _load(SHIPPED)

    @classmethod
    def load(cls, path: str | Path) -> CountdownModel:
        """A model that was written by training. Raises UsageError where the file is none."""
        return _load(Path(path).resolve())

    def __headway_key__(self) -> object:
        return ("model", self.name)

    def __reduce__(self) -> tuple[Any, ...]:
        if self._path is None:
            raise UsageError(
                "this Countdown model has no file, so it can't travel to another process: write it to one, and load that"
            )
        return _load, (self._path,)

    def count(self, prompt: str | tuple[Message, ...]) -> int:
        """How many tokens a prompt has."""
        return len(_read_prompt(prompt))

    def sample_batch(self, requests: Sequence[Request], stopping: Callable[[int], bool] = lambda _: False) -> list[Reply]:
        """The samples of several requests together."""
        texts = [text for place, request in enumerate(requests) for text in _begin(place, request, self.network.shape.length)]
        with _one_thread():
            self._complete(texts, stopping)
        samples: list[list[Sample]] = [[] for _ in requests]
        for text in texts:
            samples[text.place].append(_sample(text))
        return [Reply(tuple(of), self.count(request.prompt), self.name) for of, request in zip(samples, requests, strict=True)]

    @torch.inference_mode()
    def values(self, texts: Sequence[str]) -> list[float]:
        """For each text that ends with a step: how likely it is, from 0 to 1, that the target can still be reached."""
        if not texts:
            return []
        found: list[float] = torch.sigmoid(self.network.value(self._last(texts)).squeeze(-1)).tolist()
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
        rows = [tokens.encode(text) for text in texts]
        longest, most = max(map(len, rows)), self.network.shape.length
        for row in rows:
            if not 0 < len(row) <= most:
                raise UsageError(f"the Countdown model reads texts of 1 to {most} tokens, this one has {len(row)}")
        padded, mask = _pad(rows, longest)
        with _one_thread():
            return self.network.hidden(padded, mask)[:, -1]

    @torch.inference_mode()
    def _complete(self, texts: list[_Text], stopping: Callable[[int], bool]) -> None:
        if not texts:
            return
        length = max(len(text.prompt) for text in texts)
        most = max(text.request.max_tokens for text in texts)
        room = length + most  # where the longest prompt and the longest sample are two texts, more than either may have
        given, _ = _pad([text.prompt for text in texts], length)
        hidden = torch.tensor([length - len(text.prompt) for text in texts])
        mask = torch.arange(room)[None, :] >= hidden[:, None]  # which keys a text may look at
        causal = torch.ones(length, length, dtype=torch.bool).tril()
        cache = Cache(self.network.shape, len(texts), room)
        logits = self.network(given, _let_padding_attend(mask[:, None, None, :length] & causal), cache)[0][:, -1]
        for at in range(length, room + 1):
            self._draw(texts, logits)
            for text in texts:
                text.ended = text.ended or ("wanted by nobody" if stopping(text.place) else "")
            if at == room or all(text.ended for text in texts):
                return
            last = torch.tensor([[text.made[-1] if text.made else tokens.PAD] for text in texts])
            logits = self.network(last, mask[:, None, None, : at + 1], cache)[0][:, -1]

    def _draw(self, texts: list[_Text], logits: torch.Tensor) -> None:
        """One more token for each text that is not at its end."""
        rows = [row for row, text in enumerate(texts) if not text.ended]
        open_texts = [texts[row] for row in rows]
        logprobs = torch.log_softmax(logits[rows].double(), -1).numpy()
        drawn = _draw_tokens(logprobs, open_texts)
        of_drawn = logprobs[np.arange(len(rows)), drawn].tolist()
        for text, token, logprob in zip(open_texts, drawn.tolist(), of_drawn, strict=True):
            if token >= tokens.END:
                text.ended = "stop"
                continue
            text.made.append(token)
            text.logprobs.append(logprob)
            if text.request.stop and _is_stopped(text):
                text.ended = "stop"
            elif len(text.made) == text.request.max_tokens:
                text.ended = "length"


def open_model(name: str) -> CountdownModel:
    """The model of a name, for `models.open`: "countdown" is what comes with the package, anything else a file of weights."""
    return CountdownModel.shipped() if name == "countdown" else CountdownModel.load(name)


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


def _load(path: Path) -> CountdownModel:
    """The model of a file, which is read once for each time that it was written."""
    written = path.stat() if path.exists() else None
    return _read(path, written and (written.st_ino, written.st_mtime_ns, written.st_size))


@lru_cache(maxsize=2)
def _read(path: Path, written: tuple[int, ...] | None) -> CountdownModel:
    return CountdownModel(read(path), name_of(path), path)


def _text(prompt: str | tuple[Message, ...]) -> str:
    """What is continued: the prompt, or the puzzle in the last turn of a conversation."""
    return prompt if isinstance(prompt, str) else parse(prompt[-1].content).prompt


def _read_prompt(prompt: str | tuple[Message, ...]) -> list[int]:
    """Its tokens. Raises UsageError where the model can't read it."""
    try:
        return tokens.encode(_text(prompt))
    except ValueError as error:
        raise UsageError(str(error)) from None


def _begin(place: int, request: Request, length: int) -> list[_Text]:
    prompt = _read_prompt(request.prompt)
    room = length - len(prompt)
    if not prompt or room < 1:
        raise UsageError(f"the Countdown model reads 1 to {length - 1} tokens, this prompt has {len(prompt)}")
    most = min(request.max_tokens, room)
    seeds = np.random.SeedSequence(request.seed).generate_state(1, np.uint64)
    made = []
    for index in range(request.n):
        draws = np.random.Generator(np.random.Philox(key=[int(seeds[0]), index])).random(most)
        made.append(_Text(place, prompt, replace(request, max_tokens=most), draws, [], []))
    return made


def _pad(rows: list[list[int]], length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad rows of tokens on the left to `length`, and make the mask [B, 1, T, T] of what each may look at."""
    padded = torch.tensor([[tokens.PAD] * (length - len(row)) + row for row in rows])
    seen = padded != tokens.PAD
    return padded, _let_padding_attend(seen[:, None, None, :] & torch.ones(length, length, dtype=torch.bool).tril())


def _let_padding_attend(mask: torch.Tensor) -> torch.Tensor:
    """Let padding look at itself in a mask: an empty row has no softmax."""
    return mask | torch.eye(mask.shape[-1], dtype=torch.bool)


def _draw_tokens(logprobs: Floats, texts: list[_Text]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Draw a token for each text from log-probabilities [B, tokens]: the one where the text's random number falls among the summed
    weights."""
    temperatures = np.array([text.request.temperature for text in texts])
    greedy = temperatures == 0
    weights = np.exp((logprobs - logprobs.max(1, keepdims=True)) / np.where(greedy, 1.0, temperatures)[:, None])
    for row, text in enumerate(texts):
        if text.request.top_p < 1:
            _keep_likeliest(weights[row], text.request.top_p)
    sums = np.cumsum(weights, axis=1)
    chances = np.array([text.draws[len(text.made)] for text in texts]) * sums[:, -1]
    drawn = np.minimum((sums <= chances[:, None]).sum(1), tokens.PAD)
    return np.asarray(np.where(greedy, logprobs.argmax(1), drawn))


def _keep_likeliest(weights: Floats, share: float) -> None:
    """Take away the weights of what is not among the likeliest tokens that make up a share."""
    order = np.argsort(-weights, kind="stable")
    before = np.cumsum(weights[order]) - weights[order]
    weights[order[before >= share * weights.sum()]] = 0


def _is_stopped(text: _Text) -> bool:
    said = tokens.decode(text.made)
    return any(stop in said for stop in text.request.stop)


def _sample(text: _Text) -> Sample:
    said = tokens.decode(text.made)
    for stop in text.request.stop:
        said = said.split(stop, 1)[0]
    finish: Finish = "stop" if text.ended == "stop" else "length"
    logprobs = tuple(text.logprobs) if text.request.logprobs else ()
    return Sample(said, len(text.made), finish, sum(text.logprobs), logprobs)
