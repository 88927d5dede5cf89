"""Sees to it that no sample is longer than was asked for, whatever the server does.

An event is at least one token, so a sample with more events than `max_tokens` is too long, also where the server has said that it
ended and writes on. It then ends with what it has, and so do all samples when the server has counted more than all may have.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator

from headway.models.base import Piece, Request

SLACK = 8  # events that a sample may have beyond its tokens: servers send empty texts and end marks


class CapWarning:
    """Warns, once, that a server does not obey the bound of a sample's length.

    Args:
        name: the model.
    """

    def __init__(self, name: str) -> None:
        self._name, self._warned = name, False

    def warn(self, max_tokens: int) -> None:
        """Warn, unless that was done.

        Args:
            max_tokens: the bound, in tokens.
        """
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"{self._name}: the server wrote more than max_tokens={max_tokens}, so its answers are cut off here. It bills what "
                "it wrote until then. Ask one that obeys the bound",
                RuntimeWarning,
                stacklevel=2,
            )


class Cap:
    """The bound of one request's samples."""

    def __init__(self, warning: CapWarning, request: Request) -> None:
        self._warning, self._most = warning, request.max_tokens + SLACK
        self._counted = [0] * request.n
        self._open = set(range(request.n))
        self._cut: set[int] = set()
        self.reached = False

    def hold(self, piece: Piece) -> Iterator[Piece]:
        """The piece, and the ends of the samples that are too long with it. What comes of them after that is paid and not kept."""
        cut, goes_on = piece.index in self._cut, piece.index not in self._open and piece.tokens > 0
        yield _without_content(piece) if cut else piece
        if piece.finish is not None:
            self._open.discard(piece.index)
        self._counted[piece.index] += piece.tokens
        growing = self._open | {piece.index} if goes_on else self._open
        too_long = {at for at in growing - self._cut if self._counted[at] > self._most}
        if piece.usage is not None and piece.usage.written > self._most * len(self._counted):
            too_long = set(self._open)
            self._warning.warn(self._most - SLACK)
        for at in sorted(too_long):
            self._warning.warn(self._most - SLACK)
            yield Piece(index=at, finish="length")
        self._cut |= too_long
        self._open -= too_long
        self.reached = bool(self._cut) and not self._open


def _without_content(piece: Piece) -> Piece:
    return dataclasses.replace(piece, text="", logprobs=(), finish=None, calls=(), thoughts="", top=())
