"""Builds requests from what a program writes, and checks every value before anything is sent or paid."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from headway.errors import UsageError
from headway.models.base import BatchModel, Model, ModelFault, Request
from headway.models.messages import Message, Schema, ToolSpec

Prompt = str | Sequence[Message | Mapping[str, Any]]
MOST = 2**63 - 1  # what the protocol can count
ROUND_A_MESSAGE = 8  # tokens that a chat template puts around a message, at most
ROUND_A_PROMPT = 32  # and around all of them


class Sampling(TypedDict, total=False):
    """How to sample: the fields of `Request` besides its prompt.

    Attributes:
        n: how many samples (1).
        max_tokens: how long each may get, in tokens (256).
        temperature: how far samples spread; 0 takes the likeliest token (1.0).
        top_p: the share of probability that is sampled from (1.0).
        stop: texts that end a sample; they are not part of it.
        seed: sample i draws from (seed, i); None draws anew.
        logprobs: whether each token's log-probability is wanted (False).
        tools: what the model may ask for.
        tool_choice: "auto", "none", "required" (at least one), a tool's name, or the names of those that it may ask for ("auto").
        parallel_tool_calls: whether it may ask for several at once (True).
        schema: the form of the answer.
        top_logprobs: how many of the likeliest tokens are wanted at each place (0).
        continues: whether the sample goes on with the last message, an assistant's (False).
        extra: further fields of the body, for servers that know them.
        headers: further headers; no part of the key, and not recorded.
    """

    n: int
    max_tokens: int
    temperature: float
    top_p: float
    stop: str | Sequence[str]
    seed: int | None
    logprobs: bool
    tools: Sequence[ToolSpec]
    tool_choice: str | Sequence[str]
    parallel_tool_calls: bool
    schema: Schema | None
    top_logprobs: int
    continues: bool
    extra: Mapping[str, Any]
    headers: Mapping[str, str]


def make_request(prompt: Prompt, **options: Any) -> Request:
    """A request with its values checked. Raises UsageError for what no model can answer."""
    if isinstance(prompt, str):
        said: str | tuple[Message, ...] = prompt
    elif isinstance(prompt, Sequence) and prompt:
        said = tuple(_message(given) for given in prompt)
    else:
        raise UsageError(f"a prompt is text or a list of messages, not {type(prompt).__name__}; await a handle first")
    if unknown := options.keys() - Sampling.__annotations__.keys():
        raise UsageError(f"a request has no {', '.join(sorted(unknown))}; it has {', '.join(Sampling.__annotations__)}")
    stop = options.get("stop")
    stops = () if stop is None else tuple(stop) if isinstance(stop, list | tuple) else (stop,)
    choice = options.get("tool_choice", "auto")
    lists = {
        "stop": stops,
        "tools": tuple(options.get("tools", ())),
        "tool_choice": choice if isinstance(choice, str) else tuple(choice),
    }
    request = Request(prompt=said, **{**options, **lists})
    if wrong := _wrong(request):
        raise UsageError(f"a request with {wrong}")
    return request


def _message(given: object) -> Message:
    if isinstance(given, Message):
        return given
    if not isinstance(given, Mapping) or given.keys() != {"role", "content"} or not isinstance(given["content"], str):
        raise UsageError(f"a message has a role and a content of text: models.Message('user', 'Hello'), not {given!r}")
    if given["role"] not in ("system", "user", "assistant"):
        raise UsageError(f"a message of role {given['role']!r}: the roles are system, user and assistant")
    return Message(given["role"], given["content"])


def _wrong(request: Request) -> str:
    for name, least in (("n", 1), ("max_tokens", 1), ("seed", 0)):
        value = getattr(request, name)
        if not (value is None and name == "seed") and (not isinstance(value, int) or isinstance(value, bool) or value < least):
            return f"{name}={value!r}: a whole number, at least {least}"
        if name != "seed" and value is not None and value > MOST:
            return f"{name} above {MOST}: no server counts that far"
    if not (isinstance(request.temperature, int | float) and 0 <= request.temperature < math.inf):
        return f"temperature={request.temperature!r}: a number, zero or more"
    if not (isinstance(request.top_p, int | float) and 0 < request.top_p <= 1):
        return f"top_p={request.top_p!r}: a share above 0, at most 1"
    if not all(isinstance(text, str) and text for text in request.stop):
        return f"stop={request.stop!r}: texts that are not empty"
    if not all(map(_is_sendable, request.stop)):
        return f"stop={request.stop!r}: a half of a character (a lone surrogate) is no text that can be sent"
    prompt = request.prompt
    if not all(map(_is_sendable, (prompt,) if isinstance(prompt, str) else (message.text for message in prompt))):
        return "prompt: a half of a character (a lone surrogate) is no text that can be sent"
    return ""


def _is_sendable(text: str) -> bool:
    """Whether a text has bytes."""
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def prompt_bound(model: Model | BatchModel, prompt: str | tuple[Message, ...]) -> tuple[int, bool]:
    """The most tokens that a prompt can have, and whether the model has counted them. Where it can't they are the bytes, for no
    token is less than one."""
    count = getattr(model, "count", None)
    if count is not None:
        counted = count(prompt)
        try:
            tokens: int = math.ceil(counted)
        except (TypeError, ValueError, OverflowError):  # of no number, NaN, infinity
            tokens = -1
        if tokens < 0:
            raise ModelFault(f"{model.name}: count(prompt) gave {counted!r:.80}: the tokens of the prompt at most, a number")
        return tokens, True
    if isinstance(prompt, str):
        return len(prompt.encode()) + ROUND_A_MESSAGE, False
    return sum(len(message.text.encode()) + ROUND_A_MESSAGE for message in prompt) + ROUND_A_PROMPT, False
