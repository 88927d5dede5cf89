"""What an agent gives, and what is heard of it while it works."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from headway.methods.agent.transcript import last_words
from headway.models.base import Piece
from headway.models.messages import Message, ToolCall
from headway.tools.results import ToolResult

T = TypeVar("T")

Why = Literal["answered", "turns", "budget"]


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What an agent gives.

    Attributes:
        value: its answer: text, or a value of the type that was asked for. What it last said, where it came to none; None where a
            value was asked for, or it said nothing.
        why: why it ended: it "answered"; its "turns" were used up, and it answered with what it had; the "budget" refused another
            request, and it was cut off.
        turns: how often the model was asked.
        messages: the conversation, to go on from.
    """

    value: T | None
    why: Why
    turns: int
    messages: tuple[Message, ...] = field(repr=False, default=())

    @property
    def text(self) -> str:
        """What the model said last."""
        return last_words(self.messages)


@dataclass(frozen=True, slots=True)
class Said:
    """A piece of what the model says, as it is made.

    Attributes:
        turn: in which turn, from 1 on.
        piece: what is new.
    """

    turn: int
    piece: Piece


@dataclass(frozen=True, slots=True)
class Called:
    """The model has asked for a tool.

    Attributes:
        turn: in which turn, from 1 on.
        call: what it asks.
    """

    turn: int
    call: ToolCall


@dataclass(frozen=True, slots=True)
class Returned:
    """A tool has returned, or failed.

    Attributes:
        turn: in which turn, from 1 on.
        result: what the model is shown of it.
    """

    turn: int
    result: ToolResult


Heard = Said | Called | Returned
"""What is heard of an agent while it works."""
