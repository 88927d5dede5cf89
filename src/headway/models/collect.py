"""Puts samples together from the pieces of a stream, and counts what they have cost so far.

Whatever happens to a request (it ends, it is cancelled, its connection breaks), what was counted until then is what it cost.
Backends count in two ways: tokens piece by piece, and a total at the end. The total is right; the pieces say how the samples share
it. If nobody counted, the booked amount is a guess, and `assumed` says how much of it is.

Whether a sample asks for tools is decided by the calls that are there, never by why it ended: servers end calls with "stop" and
texts with "tool_calls". `checks.answers` says which are answers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from headway.errors import ModelError, ModelUnavailable
from headway.models.base import ModelFault, Piece, Reply, Request, Sample, Usage
from headway.models.checks.answers import Asked, Part, asked_by, check_answers


class ReplyCollector:
    """The samples of one request as they grow.

    prompt_bound: stands for the tokens of the prompt until the backend says them; `prompt_counted` tells whether the model counted
        it, or it is a bound. unseen: whether the backend may write more than its pieces say (`Model.works_unseen`). request: what
        was asked, which says whether a call of a tool is an answer; without it none is.
    """

    def __init__(
        self, n: int, prompt_bound: int, *, prompt_counted: bool = False, unseen: bool = False, request: Request | None = None
    ) -> None:
        self._asked = Asked() if request is None else asked_by(request)
        self._parts = [Part() for _ in range(n)]
        self._prompt_bound, self._prompt_counted, self._unseen = prompt_bound, prompt_counted, unseen
        self._usage: Usage | None = None
        self.begun = False
        """Whether a piece has shown that something was written. Servers open a stream, and tell what they read, before that."""

    def add(self, piece: Piece) -> None:
        """Raises ModelFault for what no model may stream."""
        if not isinstance(piece, Piece):
            raise ModelFault(f"the model streams {piece!r:.80}: yield models.Piece(text, tokens=1, …)")
        if not 0 <= piece.index < len(self._parts):
            raise ModelFault(f"the model streams a piece of sample {piece.index}, but {len(self._parts)} were asked for, from 0 on")
        said = piece.usage or Usage(0, 0)
        if not all(map(is_count, (piece.tokens, *dataclasses.astuple(said)))):
            raise ModelFault(f"the model streams a count of tokens that is no whole number from 0 on: {piece}")
        self.begun = self.begun or bool(
            piece.text
            or piece.tokens
            or piece.finish
            or piece.said
            or piece.calls
            or piece.thoughts
            or (piece.usage is not None and piece.usage.written)
        )
        if piece.usage is not None:
            self._usage = piece.usage.or_before(self._usage)
        self._parts[piece.index].add(piece)

    @property
    def usage(self) -> Usage:
        """What the request has cost so far."""
        counted = self._counted
        if self._usage is None:
            return Usage(self._prompt_bound, counted)
        said = self._usage.written
        written = (said or counted) if self.done else max(said, counted)
        return dataclasses.replace(self._usage, read=self._usage.read or self._prompt_bound, written=written)

    @property
    def assumed(self) -> int:
        """How many of these tokens nobody has counted."""
        said, usage = self._usage or Usage(0, 0), self.usage
        return usage.read * self._prompt_guessed + usage.written * (self._unseen and said.written < usage.written)

    def unsaid(self, written: int) -> tuple[Usage, int]:
        """What the request has cost at most, where nothing has shown that it wrote any of `written`, and how much of that is
        assumed: even that the prompt was read, unless the backend says so."""
        usage = dataclasses.replace(self.usage, written=written)
        return usage, usage.tokens if self._usage is None or not self._usage.read else written

    @property
    def _prompt_guessed(self) -> bool:
        return not self._prompt_counted and (self._usage is None or not self._usage.read)

    @property
    def _counted(self) -> int:
        return sum(part.tokens for part in self._parts)

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
            ended = ModelUnavailable(f"{model}: the stream ended before {open_ones} of {len(self._parts)} samples did")
            ended.may_have_cost = True
            raise ended
        check_answers(model, self._parts, self._asked)
        usage = self.usage
        tokens = split(usage.written, [part.tokens for part in self._parts])
        samples = tuple(part.sample(count, self._asked) for part, count in zip(self._parts, tokens, strict=True))
        return Reply(samples, usage.read, model, usage.cached, usage.reasoning, usage.stored)

    def answers(self, index: int) -> bool:
        """Whether a sample is an answer, by what has come of it."""
        return self._parts[index].answers(self._asked)


def is_count(value: object) -> bool:
    """Whether it is a whole number from 0 on.

    >>> is_count(3), is_count(-1), is_count(float("nan")), is_count("3")
    (True, False, False, False)
    """
    try:
        return bool(value >= 0 and value == int(value))  # type: ignore[operator,call-overload]
    except (TypeError, ValueError, OverflowError):
        return False


def check_samples(model: str, samples: Sequence[Sample], request: Request | None = None) -> None:
    """Raises ModelError where none of these is an answer to the request."""
    check_answers(model, list(map(Part.of, samples)), Asked() if request is None else asked_by(request))


def split(total: int, counted: Sequence[int]) -> list[int]:
    """A total split in proportion to what was counted, in whole numbers that add up to it.

    >>> split(10, [4, 6]), split(11, [1, 1]), split(3, [0, 0])
    ([4, 6], [6, 5], [2, 1])
    """
    weights = list(counted) if any(counted) else [1] * len(counted)
    whole = [total * weight // sum(weights) for weight in weights]
    by_rest = sorted(range(len(weights)), key=lambda at: -(total * weights[at] % sum(weights)))
    for at in by_rest[: total - sum(whole)]:
        whole[at] += 1
    return whole
