"""A model whose prompts hold placeholders, and whose answers are cleaned.

A request is cleaned before it is named, so neither its key nor its record holds a secret (`prepare`). What the model says is
cleaned as it comes: the end of a piece that may begin a secret waits for the next one, and a secret that is cut in two is found.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

from headway.methods.guard.cleaning import clean_error, clean_value
from headway.methods.guard.forms import Cleaner
from headway.models.ask import AnyModel
from headway.models.base import BatchModel, CallPiece, Model, Piece, Reply, Request, answers_together, identity_of
from headway.models.limits import LimitedModel


def guard_any_model(model: AnyModel, cleaner: Cleaner) -> AnyModel:
    """The model of the same kind that is guarded."""
    if isinstance(model, LimitedModel):
        return dataclasses.replace(model, model=guard_any_model(model.model, cleaner))
    kind = _GuardedBatch if answers_together(model) else _GuardedStream
    return kind(model, cleaner)


class _Guarded:
    """What both kinds share. Price, abilities and name are those of the model itself."""

    def __init__(self, model: Any, cleaner: Cleaner) -> None:
        self._model, self._cleaner = model, cleaner

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("stream", "sample_batch", "_model", "_cleaner"):
            raise AttributeError(name)
        return getattr(self._model, name)

    def __repr__(self) -> str:
        return f"<guarded {self._model!r}>"

    def __headway_key__(self) -> object:
        return identity_of(self._model)

    def prepare(self, request: Request) -> Request:
        """The request as it is recorded and sent."""
        own = getattr(self._model, "prepare", None)
        return clean_request(self._cleaner, request if own is None else own(request))


def clean_request(cleaner: Cleaner, request: Request) -> Request:
    """A request without secrets. Headers stay: they are not recorded, and may hold the server's own key."""
    names = ("prompt", "stop", "tools", "schema", "extra")
    changed = {name: clean_value(cleaner, getattr(request, name)) for name in names}
    if all(changed[name] is getattr(request, name) for name in names):
        return request
    return dataclasses.replace(request, **changed)


class _GuardedBatch(_Guarded):
    """A model that answers several requests at a time."""

    def sample_batch(self, requests: Sequence[Request], stopping: Callable[[int], bool]) -> list[Reply]:
        model: BatchModel = self._model
        try:
            return [clean_value(self._cleaner, reply) for reply in model.sample_batch([*map(self.prepare, requests)], stopping)]
        except Exception as error:
            cleaned = clean_error(self._cleaner, error)
        raise cleaned


class _GuardedStream(_Guarded):
    """A model that answers one request at a time."""

    async def stream(self, request: Request) -> AsyncGenerator[Piece, None]:
        model: Model = self._model
        held = Held(self._cleaner)
        cleaned: BaseException
        try:
            async with aclosing(model.stream(self.prepare(request))) as pieces:
                async for piece in pieces:
                    yield held.clean(piece)
            for piece in held.rest():
                yield piece
            return
        except Exception as error:
            cleaned = clean_error(self._cleaner, error)
        raise cleaned


class Held:
    """The ends of a stream's texts that may begin a secret, by sample and part of it."""

    def __init__(self, cleaner: Cleaner) -> None:
        self._cleaner = cleaner
        self._ends: dict[tuple[int, str, int], str] = {}

    def clean(self, piece: Piece) -> Piece:
        """A piece without secrets, less what is held back and with what was."""
        last, index = piece.finish is not None, piece.index
        text = self._take(index, "text", 0, piece.text, last)
        thoughts = self._take(index, "thoughts", 0, piece.thoughts, last)
        calls = [
            dataclasses.replace(
                each,
                name=clean_value(self._cleaner, each.name),
                arguments=self._take(index, "call", each.place, each.arguments, last),
            )
            for each in piece.calls
        ]
        if last:
            for key in [key for key in self._ends if key[0] == index and key[1] == "call"]:
                calls.append(CallPiece(key[2], arguments=self._cleaner.text(self._ends.pop(key))))
        said = self._cleaner.text(piece.said)
        return dataclasses.replace(piece, text=text, thoughts=thoughts, calls=tuple(calls), said=said)

    def rest(self) -> list[Piece]:
        """What is still held of samples whose end was never said."""
        ends, self._ends = self._ends, {}
        made = []
        for (index, part, place), text in ends.items():
            cleaned = self._cleaner.text(text)
            made.append(
                Piece(index=index, calls=(CallPiece(place, arguments=cleaned),)) if part == "call" else _piece(index, part, cleaned)
            )
        return made

    def _take(self, index: int, part: str, place: int, new: str, last: bool) -> str:
        """A text's next part, cleaned, as far as it is safe to say."""
        key = (index, part, place)
        text = self._cleaner.text(self._ends.pop(key, "") + new)
        held = 0 if last else self._cleaner.held_back(text)
        if not held:
            return text
        self._ends[key] = text[-held:]
        return text[:-held]


def _piece(index: int, part: str, text: str) -> Piece:
    return Piece(text, index) if part == "text" else Piece(index=index, thoughts=text)
