"""What a request is recorded as, when it goes on with a conversation.

A conversation of 200 turns is asked 200 times, each time with all that was said before. The journal knows that already: answers
are results of earlier calls, and so is what tools gave. So a request is named by what is new since the assistant last spoke, and by
digests of what came before and of the tools on offer. Its key is as good as one made of all messages, and the journal grows with
the conversation, not with its square.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from headway.engine.identity.canonical import canonical
from headway.models.base import Request
from headway.models.messages import Message, ToolSpec

FEW = 8  # messages; so many are recorded as they are
SHORT = 16_384  # characters


@dataclass(frozen=True, slots=True)
class Condensed:
    """A request that goes on with a conversation, or offers tools.

    Attributes:
        request: with the newest messages alone, and without the tools' descriptions.
        earlier: the digest of the messages before those; empty where there are none.
        messages: how many messages the prompt has in all.
        tools: the names of the tools on offer.
        catalogue: the digest of all that the model is told of them.
    """

    request: Request
    earlier: str
    messages: int
    tools: tuple[str, ...]
    catalogue: str


def condense(request: Request) -> Request | Condensed:
    """What stands for a request in keys and records: itself, where it is short and offers no tools.

    >>> from headway.models import Message
    >>> said = tuple(Message("user" if at % 2 == 0 else "assistant", f"turn {at}") for at in range(21))
    >>> condensed = condense(Request(prompt=said))
    >>> condensed.messages, [message.text for message in condensed.request.prompt]
    (21, ['turn 20'])
    """
    prompt = request.prompt
    if isinstance(prompt, str) or (len(prompt) <= FEW and not request.tools):
        return request
    new = _find_new(prompt) if len(prompt) > FEW else 0
    earlier = ""
    for message in prompt[:new]:
        earlier = _chain(earlier, message)
    names = tuple(tool.name for tool in request.tools)
    catalogue = _digest_tools(request.tools) if request.tools else ""
    return Condensed(dataclasses.replace(request, prompt=prompt[new:], tools=()), earlier, len(prompt), names, catalogue)


def _find_new(prompt: Sequence[Message]) -> int:
    """The place of the first message since the assistant last spoke; of the last message where that is the assistant's."""
    spoken = [place for place, message in enumerate(prompt) if message.role == "assistant"]
    return min(spoken[-1] + 1 if spoken else 0, len(prompt) - 1)


def _chain(earlier: str, message: Message) -> str:
    """The digest of a conversation that goes on with a message. Short ones are remembered, for each turn asks for all of them."""
    is_short = isinstance(message.content, str) and len(message.content) <= SHORT
    return _digest_short(earlier, message) if is_short else _digest(earlier, message)


def _digest(earlier: str, message: Message) -> str:
    return hashlib.blake2b(earlier.encode() + canonical(message, "a message"), digest_size=16).hexdigest()


_digest_short = lru_cache(maxsize=1024)(_digest)


def _digest_tools(tools: tuple[ToolSpec, ...]) -> str:
    return hashlib.blake2b(canonical(tools, "the tools"), digest_size=16).hexdigest()
