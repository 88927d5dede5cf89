"""Decisions about a conversation: what it takes, what is left of it when it grew too long, and what a model is told of its budget.

All pure: from messages to messages.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from headway.models.messages import Image, Message

BYTES_A_TOKEN = 3  # a cautious guess: English has four, code and other languages fewer
IMAGE_TOKENS = 1500
ROUND_A_MESSAGE = 8
CUT_OFF = "No result: a budget was used up. It may have run."


def guess_tokens(messages: Sequence[Message]) -> int:
    """About how many tokens a conversation takes.

    >>> guess_tokens([Message("user", "What is the area of Italy?")])
    17
    """
    return sum(map(_guess, messages))


def _guess(message: Message) -> int:
    said = len(message.text.encode()) + len(message.thoughts.encode())
    said += sum(len(call.name) + len(call.arguments.encode()) for call in message.calls)
    pictures = 0 if isinstance(message.content, str) else sum(isinstance(part, Image) for part in message.content)
    return math.ceil(said / BYTES_A_TOKEN) + pictures * IMAGE_TOKENS + ROUND_A_MESSAGE


def split_for_compaction(messages: Sequence[Message], keep_tokens: int) -> tuple[int, int]:
    """Which messages of a conversation are summed up: those from the first to before the second place.

    The system's message and the task stay as they are, and so does the end, of about `keep_tokens`. The end begins with an
    assistant's message, so that no tool's answer is parted from the question. Equal places mean that nothing can be summed up.

    >>> said = [Message("user", "task"), *(Message("assistant", "x" * 300) for _ in range(5))]
    >>> split_for_compaction(said, 250)
    (1, 4)
    """
    first = next((place for place, message in enumerate(messages) if message.role == "user"), -1) + 1
    left, last = keep_tokens, len(messages)
    while last > first and (left := left - _guess(messages[last - 1])) >= 0:
        last -= 1
    while last < len(messages) and messages[last].role != "assistant":
        last += 1
    if last == len(messages):  # the newest turn is kept in any case
        last = max((place for place, message in enumerate(messages) if message.role == "assistant"), default=first)
    return first, max(first, last)


def describe_conversation(messages: Sequence[Message]) -> str:
    """A part of a conversation as text, for a model that sums it up."""
    lines = []
    for message in messages:
        asked = "".join(f"\n  asks {call.name}({call.arguments})" for call in message.calls)
        who = f"tool {message.name}" if message.role == "tool" else message.role
        lines.append(f"[{who}] {message.text}{asked}")
    return "\n".join(lines)


def describe_left(left: Mapping[str, float], seconds: float, turns: int) -> str:
    """What a model is told of what it may still spend.

    >>> describe_left({"tokens": 5200.0, "money": 0.1234}, float("inf"), 3)
    'You have left: 5,200 tokens, 0.12 money, 3 turns.'
    >>> describe_left({}, 12.6, 1)
    'You have left: 13 seconds, 1 turn. Answer now.'
    """
    parts = [f"{amount:,.0f} {unit}" if amount >= 10 else f"{amount:.2g} {unit}" for unit, amount in left.items()]
    if seconds < math.inf:
        parts.append(f"{seconds:,.0f} seconds")
    parts.append(f"{turns} turn{'s' * (turns != 1)}")
    return f"You have left: {', '.join(parts)}.{' Answer now.' if turns == 1 else ''}"


def last_words(messages: Sequence[Message]) -> str:
    """What the assistant said last; empty where it said nothing."""
    return next((message.text for message in reversed(messages) if message.role == "assistant" and message.text), "")


def answer_open_calls(messages: Sequence[Message]) -> list[Message]:
    """What is to be added to a conversation that was cut off, so that each call has an answer and a model can go on from it."""
    asked = next((place for place in reversed(range(len(messages))) if messages[place].role == "assistant"), len(messages))
    answered = {message.call_id for message in messages[asked + 1 :]}
    open_calls = [call for message in messages[asked : asked + 1] for call in message.calls if call.id not in answered]
    return [Message("tool", CUT_OFF, call_id=call.id, name=call.name) for call in open_calls]


def with_note(messages: Sequence[Message], note: str) -> tuple[Message, ...]:
    """A conversation with a note at its end that is no part of what is kept of it."""
    return (*messages, Message("user", note)) if note else tuple(messages)
