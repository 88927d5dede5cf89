"""The most tokens that a prompt can have, to reserve before a request is sent.

Where a model counts its prompts (`count`), that counts. Where it can't, bytes do, because no token is less than one:

- Text: its bytes, and a few tokens that a chat template puts around a message and around all of them.
- The catalogue of tools, and a schema: the bytes of their JSON, two tokens for each bracket, comma and colon, because templates
  print it with line breaks, and what servers say around it.
- A picture: `IMAGE` tokens, the most that any model known to us takes for one (GPT-4o mini; open models end at 16,384). A sound:
  one token for each `AUDIO` bytes, which is what 50 tokens a second come to at 8 kbit/s.

Tools and schemas are added to what `count` says, for it is asked about the prompt alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from headway.models.base import BatchModel, Model, ModelFault, Request
from headway.models.checks.requests import json_of
from headway.models.messages import Audio, Image, Message, Part, Text, ToolCall, ToolSpec

ROUND_A_MESSAGE = 8  # tokens that a chat template puts around a message, at most
ROUND_A_PROMPT = 32  # and around all of them
ROUND_A_CALL = 32
ROUND_A_TOOL = 32
ROUND_THE_TOOLS = 1024  # how to call them, as servers and templates explain it
IMAGE = 50_000
AUDIO = 20


def prompt_bound(model: Model | BatchModel, request: Request) -> tuple[int, bool]:
    """The most tokens that are read for a request, and whether the model has counted all of them.

    Args:
        model: counts prompts where it has a `count`.
        request: what is asked.

    Returns:
        The tokens at most, and whether that is a count.

    Raises:
        ModelFault: the model's `count` gave no number.
    """
    around = _bound_of_tools(request)
    count = getattr(model, "count", None)
    if count is not None:
        counted = count(request.prompt)
        try:
            tokens: int = math.ceil(counted)
        except (TypeError, ValueError, OverflowError):  # of no number, NaN, infinity
            tokens = -1
        if tokens < 0:
            raise ModelFault(f"{model.name}: count(prompt) gave {counted!r:.80}: the tokens of the prompt at most, a number")
        return tokens + around, not around
    if isinstance(request.prompt, str):
        return len(request.prompt.encode()) + ROUND_A_MESSAGE + around, False
    return sum(map(_bound_of_message, request.prompt)) + ROUND_A_PROMPT + around, False


def sound_bound(request: Request) -> int:
    """How many of the tokens that are read may be sound, which some charge more for.

    Args:
        request: what is asked.

    Returns:
        The tokens at most.
    """
    said = () if isinstance(request.prompt, str) else request.prompt
    parts = [part for message in said if not isinstance(message.content, str) for part in message.content]
    return sum(_bound_of_part(part) for part in parts if isinstance(part, Audio))


def tools_bound(tools: Sequence[ToolSpec]) -> int:
    """How many tokens of a prompt a catalogue of tools takes at most.

    Args:
        tools: what the model is told of.

    Returns:
        The tokens at most.
    """
    return sum(map(_bound_of_tool, tools)) + ROUND_THE_TOOLS * bool(tools)


def _bound_of_message(message: Message) -> int:
    said = sum(len(text.encode()) for text in (message.name, message.call_id, message.thoughts))
    parts = (Text(message.content),) if isinstance(message.content, str) else message.content
    return ROUND_A_MESSAGE + said + sum(map(_bound_of_part, parts)) + sum(map(_bound_of_call, message.calls))


def _bound_of_part(part: Part) -> int:
    if isinstance(part, Text):
        return len(part.text.encode())
    if isinstance(part, Image):
        return IMAGE
    assert isinstance(part, Audio)
    return -(-len(part.data) // AUDIO)


def _bound_of_call(call: ToolCall) -> int:
    return ROUND_A_CALL + sum(_bound_of_json(text.encode()) for text in (call.id, call.name, call.arguments))


def _bound_of_tools(request: Request) -> int:
    told = [request.schema.schema] if request.schema is not None else []
    schema = sum(_bound_of_json(json_of(schema)) + ROUND_A_TOOL for schema in told)
    return tools_bound(request.tools) + schema


def _bound_of_tool(tool: ToolSpec) -> int:
    return ROUND_A_TOOL + len(tool.name) + len(tool.description.encode()) + _bound_of_json(json_of(tool.parameters))


def _bound_of_json(text: bytes) -> int:
    """Of JSON that a template may print with line breaks and with what is no ASCII escaped (six bytes for two of ours, at most)."""
    wide = 0 if text.isascii() else 2 * len(text)
    return len(text) + wide + 2 * sum(map(text.count, (b"{", b"[", b",", b":")))
