"""Shortens a conversation that has grown too long: its middle is summed up by the model, as a call.

The summary is recorded like any answer, so a resumed agent goes on with the very same one.
"""

from __future__ import annotations

from collections.abc import Sequence

from headway.methods.agent.transcript import describe_conversation, guess_tokens, split_for_compaction
from headway.models.ask import AnyModel, sample
from headway.models.messages import Message

KEPT = 0.4  # of the room, for the newest messages
SUMMARY_TOKENS = 1024
_ASKED = (
    "Sum up this part of an agent's work for the agent itself, who will not see it again. Keep every fact, number, name and "
    "decision that may be needed, what was tried and failed, and what is still to be done. Write no more than is needed."
)
SUMMED_UP = "What was done so far, summed up:\n"


async def compact(model: AnyModel, messages: Sequence[Message], room: int, *, max_tokens: int = SUMMARY_TOKENS) -> list[Message]:
    """A conversation that takes no more than so many tokens, where that can be.

    The system's message, the task and the newest turns stay as they are. Everything between is replaced by the model's summary. A
    conversation that fits is given back as it is, and so is one without a middle.

    Args:
        model: what sums up.
        messages: the conversation.
        room: tokens, about.
        max_tokens: how long the summary may get, in tokens.

    Returns:
        The conversation, shorter.

    Raises:
        Exception: what `models.sample` raises.
    """
    first, last = split_for_compaction(messages, int(room * KEPT))
    if guess_tokens(messages) <= room or last - first < 2:
        return list(messages)
    asked = f"{_ASKED}\n\n{describe_conversation(messages[first:last])}"
    reply = await sample(model, [Message("user", asked)], max_tokens=max_tokens, temperature=0.0)
    return [*messages[:first], Message("user", SUMMED_UP + reply.text), *messages[last:]]
