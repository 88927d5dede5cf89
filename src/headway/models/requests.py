"""Builds requests from what a program writes, and checks every value before anything is sent or paid.

`checks.requests` says what is wrong with one, `checks.bounds` how many tokens its prompt has at most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypedDict

from headway.errors import UsageError
from headway.models.base import Request
from headway.models.checks.requests import fault_in, specs_of
from headway.models.messages import Message, Schema, ToolSpec
from headway.models.openai.conversation import read_message
from headway.models.structured.forms import form_of

Prompt = str | Sequence[Message | Mapping[str, Any]]


class HasSpec(Protocol):
    """A tool of `headway.tools`, or anything else that says what a model is told of it."""

    @property
    def spec(self) -> ToolSpec: ...


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
        tools: what the model may ask for: `ToolSpec`s, or tools that have one as their `spec`.
        tool_choice: "auto", "none", "required" (at least one), a tool's name, or the names of those that it may ask for ("auto").
        parallel_tool_calls: whether it may ask for several at once (True).
        schema: the form of the answer: a `Schema`, or a type, whose form it is then. See `answer` for one that is read as well.
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
    tools: Sequence[ToolSpec | HasSpec]
    tool_choice: str | Sequence[str]
    parallel_tool_calls: bool
    schema: Schema | type | None
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
    stop, choice, schema = options.get("stop"), options.get("tool_choice", "auto"), options.get("schema")
    tools = options.get("tools") or ()
    if not isinstance(tools, Sequence) or isinstance(tools, str | bytes):
        raise UsageError(f"a request with tools={tools!r:.80}: a list of models.ToolSpec")
    given = {
        "stop": () if stop is None else tuple(stop) if isinstance(stop, list | tuple) else (stop,),
        "tools": tuple(specs_of(tools)),
        "tool_choice": tuple(choice) if isinstance(choice, list | tuple) else choice,
        "schema": schema if schema is None or isinstance(schema, Schema) else form_of(schema).schema,
    }
    request = Request(prompt=said, **{**options, **given})
    if wrong := fault_in(request):
        raise UsageError(f"a request with {wrong}")
    return request


def _message(given: object) -> Message:
    if isinstance(given, Message):
        return given
    if not isinstance(given, Mapping):
        raise UsageError(f"a message has a role and a content: models.Message('user', 'Hello'), not {given!r:.200}")
    return read_message(given)
