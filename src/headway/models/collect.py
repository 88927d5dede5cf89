"""Samples put together from the pieces of a stream, and what they have cost so far.

Whatever happens to a request (it ends, it is cancelled, its connection breaks), what was counted until then is what it cost.
Backends count in two ways: tokens piece by piece, and a total at the end. The total is right; pieces say how samples share it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

from headway.errors import ModelError, ModelUnavailable, UsageError
from headway.models.base import Finish, Piece, Reply, Sample, Usage

SAID = 300  # characters of what a model said instead of an answer


@dataclass(slots=True)
class _Part:
    text: list[str] = field(default_factory=list)
    tokens: int = 0
    finish: Finish | None = None
    logprobs: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @property
    def answered(self) -> bool:
        return self.finish not in ("tool", "refusal")


class Collected:
    """The samples of one request as they grow. `prompt_bound` stands for the tokens of the prompt until the backend says them."""

    def __init__(self, n: int, prompt_bound: int) -> None:
        self._parts = [_Part() for _ in range(n)]
        self._prompt_bound = prompt_bound
        self._usage: Usage | None = None
        self.begun = False

    def add(self, piece: Piece) -> None:
        """Raises UsageError for what no model may stream."""
        if not isinstance(piece, Piece):
            raise UsageError(f"the model streams {piece!r:.80}: yield models.Piece(text, tokens=1, …)")
        if not 0 <= piece.index < len(self._parts):
            raise UsageError(f"the model streams a piece of sample {piece.index}, but {len(self._parts)} were asked for, from 0 on")
        if min(piece.tokens, *((piece.usage.read, piece.usage.written) if piece.usage is not None else (0,))) < 0:
            raise UsageError(f"the model streams a count of tokens below zero: {piece}")
        self.begun = True
        if piece.usage is not None:
            self._usage = piece.usage
        part = self._parts[piece.index]
        part.text.append(piece.text)
        part.tokens += piece.tokens
        part.logprobs += piece.logprobs
        part.said += [piece.said] if piece.said else []
        if piece.finish is not None and part.answered:  # a tool that was asked for is not taken back by a "stop" after it
            part.finish = piece.finish

    @property
    def usage(self) -> Usage:
        """What the request has cost so far."""
        counted = sum(part.tokens for part in self._parts)
        if self._usage is None:
            return Usage(self._prompt_bound, counted)
        said = self._usage.written
        return dataclasses.replace(self._usage, written=(said or counted) if self.done else max(said, counted))

    @property
    def counted(self) -> bool:
        """Whether the backend has said what the request has cost."""
        return self._usage is not None and (self.done or self._usage.written > sum(part.tokens for part in self._parts))

    @property
    def done(self) -> bool:
        return all(part.finish is not None for part in self._parts)

    def reply(self, model: str) -> Reply:
        """The whole reply. Raises ModelUnavailable where the stream ended before all samples did, and ModelError where the backend
        counted and closed a reply in which some are not even begun: it would do so again."""
        if not self.done:
            open_ones = sum(part.finish is None for part in self._parts)
            unbegun = sum(part.finish is None and not any(part.text) for part in self._parts)
            written = len(self._parts) - unbegun
            if self._usage is not None and self._usage.written and unbegun == open_ones and written:
                raise ModelError(
                    f"{model}: {len(self._parts)} samples were asked for and {written} written: the server seems to ignore n; "
                    "ask it for one sample a call"
                )
            raise ModelUnavailable(f"{model}: the stream ended before {open_ones} of {len(self._parts)} samples did")
        self._check_answers(model)
        usage = self.usage
        tokens = shared(usage.written, [part.tokens for part in self._parts])
        samples = tuple(map(_sample, self._parts, tokens))
        return Reply(samples, usage.read, model, usage.cached, usage.reasoning)

    def _check_answers(self, model: str) -> None:
        """Raises ModelError where no sample is an answer: an empty text would pass for one."""
        if any(part.answered or (part.finish == "refusal" and any(part.text)) for part in self._parts):
            return
        part = self._parts[0]
        instead = "".join(part.said)[:SAID]
        if part.finish == "tool":
            raise ModelError(
                f"{model} asked for a tool instead of answering ({instead or 'it did not say which'}), but a request offers no "
                "tools: ask a server that has none built in, or say in the prompt that there are none"
            )
        raise ModelError(f"{model} refused to answer{f': {instead}' if instead else ''}")


def _sample(part: _Part, tokens: int) -> Sample:
    assert part.finish is not None
    if part.finish == "refusal" and any(part.text):
        part.finish = "stop"  # it said something besides
    logprob = sum(part.logprobs) if part.logprobs else None
    return Sample("".join(part.text), tokens, part.finish, logprob, tuple(part.logprobs))


def shared(total: int, counted: Sequence[int]) -> list[int]:
    """A total split in proportion to what was counted, in whole numbers that add up to it.

    >>> shared(10, [4, 6]), shared(11, [1, 1]), shared(3, [0, 0])
    ([4, 6], [6, 5], [2, 1])
    """
    weights = list(counted) if any(counted) else [1] * len(counted)
    whole = [total * weight // sum(weights) for weight in weights]
    by_rest = sorted(range(len(weights)), key=lambda at: -(total * weights[at] % sum(weights)))
    for at in by_rest[: total - sum(whole)]:
        whole[at] += 1
    return whole
