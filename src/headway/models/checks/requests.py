"""What is wrong with a request, in words, found before anything is sent or paid.

A server refuses a bad request too, or ignores what it does not know, or fails in the middle of an answer that is paid. So each
field is checked here, once for all kinds of models: numbers and texts, tools and what may be chosen of them, schemas, the order of
a conversation, parts, further fields and headers. Functions give "" where all is well.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from headway.errors import UsageError
from headway.models.base import Request
from headway.models.messages import Audio, Image, Message, Schema, Text, ToolCall, ToolSpec
from headway.models.openai.conversation import texts_in

MOST = 2**63 - 1  # what the protocol can count
MOST_TOP = 20  # likeliest tokens a place
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OWN_HEADERS = ("host", "content-length", "content-type", "transfer-encoding", "connection")
OWN_FIELDS: Mapping[str, str] = {
    **dict.fromkeys(("messages", "prompt", "input", "instructions"), "the prompt"),
    **dict.fromkeys(("max_tokens", "max_completion_tokens", "max_output_tokens"), "max_tokens="),
    **dict.fromkeys(("response_format", "text"), "schema="),
    **{name: f"{name}=" for name in ("n", "temperature", "top_p", "stop", "seed", "logprobs", "top_logprobs")},
    **{name: f"{name}=" for name in ("tools", "tool_choice", "parallel_tool_calls")},
    "best_of": "n=",
    **dict.fromkeys(("continue_final_message", "add_generation_prompt"), "continues="),
    **dict.fromkeys(("stream", "stream_options"), "models.stream"),
    "model": "the model",
}
"""Fields of the body that say what a request says already, and where it says so."""


def fault_in(request: Request) -> str:
    """What is wrong with a request."""
    return (
        _fault_of_numbers(request)
        or _fault_of_texts(request)
        or _fault_of_conversation(request.prompt)
        or _fault_of_tools(request)
        or _fault_of_schema(request.schema)
        or _fault_of_the_rest(request)
    )


def _fault_of_numbers(request: Request) -> str:
    for name, least in (("n", 1), ("max_tokens", 1), ("seed", 0)):
        value = getattr(request, name)
        if not (value is None and name == "seed") and not _is_whole(value, least):
            return f"{name}={value!r}: a whole number, at least {least}"
        if name != "seed" and value is not None and value > MOST:
            return f"{name} above {MOST}: no server counts that far"
    if not (isinstance(request.temperature, int | float) and 0 <= request.temperature < math.inf):
        return f"temperature={request.temperature!r}: a number, zero or more"
    if not (isinstance(request.top_p, int | float) and 0 < request.top_p <= 1):
        return f"top_p={request.top_p!r}: a share above 0, at most 1"
    if not _is_whole(request.top_logprobs, 0) or request.top_logprobs > MOST_TOP:
        return f"top_logprobs={request.top_logprobs!r}: a whole number from 0 to {MOST_TOP}"
    for name in ("logprobs", "parallel_tool_calls", "continues"):
        if not isinstance(value := getattr(request, name), bool):
            return f"{name}={value!r:.80}: True or False"
    return ""


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _fault_of_texts(request: Request) -> str:
    if not all(isinstance(text, str) and text for text in request.stop):
        return f"stop={request.stop!r}: texts that are not empty"
    if not all(map(is_sendable, request.stop)):
        return f"stop={request.stop!r}: {HALF}"
    if isinstance(request.prompt, str) and not is_sendable(request.prompt):
        return f"prompt: {HALF}"
    return ""


HALF = "a half of a character (a lone surrogate) is no text that can be sent"


def is_sendable(text: str) -> bool:
    """Whether a text has bytes.

    >>> is_sendable("sky"), is_sendable("\\ud83d")
    (True, False)
    """
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


# --- the conversation ------------------------------------------------------------------------------------------------


def _fault_of_conversation(prompt: str | tuple[Message, ...]) -> str:
    if isinstance(prompt, str):
        return ""
    asked: set[str] = set()
    for place, message in enumerate(prompt):
        if fault := _fault_of_message(message) or _fault_of_order(message, asked):
            return f"messages[{place}]: {fault}" if fault != HALF else f"prompt: {HALF}"
        if message.role == "tool":
            asked.discard(message.call_id)
        elif message.role == "assistant":
            asked = {call.id for call in message.calls}
    return f"the call {min(asked)!r} that no tool's message answers" if asked else ""


def _fault_of_order(message: Message, asked: set[str]) -> str:
    """What is wrong with a message after calls that wait for their answers."""
    if message.role == "tool":
        if message.call_id not in asked:
            waiting = (
                f"those that wait for an answer are {', '.join(map(repr, sorted(asked)))}" if asked else "none waits for an answer"
            )
            return f"a tool's message with call_id={message.call_id!r:.80}, which no call before it has: {waiting}"
        return ""
    if asked:
        return f"the call {min(asked)!r} has no answer: each call is answered by a tool's message before anybody goes on"
    return ""


def _fault_of_message(message: Message) -> str:
    if message.role not in ("system", "user", "assistant", "tool"):
        return f"role={message.role!r:.80}: system, user, assistant or tool"
    if message.calls and message.role != "assistant":
        return f"a message of role {message.role} with calls: only an assistant asks for tools"
    if message.call_id and message.role != "tool":
        return f"a message of role {message.role} with a call_id: only a tool answers calls"
    return _fault_of_content(message) or _fault_of_calls(message.calls) or _fault_of_words(message)


def _fault_of_words(message: Message) -> str:
    """A text that is none, or can't be sent."""
    texts: Iterator[Any] = texts_in(message)
    for text in texts:
        if not isinstance(text, str):
            return f"{text!r:.80} where there must be a text"
        if not is_sendable(text):
            return HALF
    return ""


def _fault_of_calls(calls: Any) -> str:
    if not isinstance(calls, tuple) or not all(isinstance(call, ToolCall) for call in calls):
        return f"calls={calls!r:.80}: a tuple of models.ToolCall"
    ids = [call.id for call in calls]
    if "" in ids or len({*ids}) < len(ids):
        return f"calls whose ids are {ids!r:.200}: each has an id of its own, by which it is answered"
    return ""


def _fault_of_content(message: Message) -> str:
    content: Any = message.content
    if isinstance(content, str):
        return ""
    if not isinstance(content, tuple) or not all(isinstance(part, Text | Image | Audio) for part in content):
        return f"content={content!r:.80}: text, or a tuple of models.Text, Image and Audio"
    if message.role in ("system", "assistant") and not all(isinstance(part, Text) for part in content):
        return f"a message of role {message.role} with a picture or sound: only users and tools show any"
    return next((fault for part in content if (fault := _fault_of_part(part))), "")


def _fault_of_part(part: Any) -> str:
    if isinstance(part, Text):
        return "" if isinstance(part.text, str) else f"models.Text({part.text!r:.80}): a text"
    if not isinstance(part.data, bytes):
        return f"{type(part).__name__}(data=…) of {type(part.data).__name__}: the file's bytes"
    if isinstance(part, Audio):
        if not part.data:
            return "an Audio without data: give the file's bytes"
        return "" if part.kind in ("wav", "mp3") else f"Audio(kind={part.kind!r:.80}): 'wav' or 'mp3'"
    if bool(part.data) == bool(part.url):
        return f"an Image with {'both' if part.data else 'neither'} data {'and' if part.data else 'nor'} url: give one of them"
    if part.detail not in ("auto", "low", "high"):
        return f"Image(detail={part.detail!r:.80}): 'auto', 'low' or 'high'"
    if not isinstance(part.media_type, str) or not re.fullmatch(r"image/[\w.+-]+", part.media_type):
        return f"Image(media_type={part.media_type!r:.80}): as 'image/png'"
    return ""


# --- tools and schemas -----------------------------------------------------------------------------------------------


def _fault_of_tools(request: Request) -> str:
    if request.tools and isinstance(request.prompt, str):
        return "tools and a text to continue: only messages can ask for tools, as [models.Message('user', 'Hello')]"
    if fault := next((fault for tool in request.tools if (fault := _fault_of_tool(tool))), ""):
        return fault
    names = [tool.name for tool in request.tools]
    if len({*names}) < len(names):
        return f"two tools named {next(name for name in names if names.count(name) > 1)!r}"
    return _fault_of_choice(request.tool_choice, names)


def _fault_of_tool(tool: ToolSpec) -> str:
    if fault := _fault_of_naming("tool", tool):
        return fault
    if not isinstance(tool.description, str) or not is_sendable(tool.description):
        return f"the tool {tool.name}: its description is no text that can be sent"
    return _fault_of_schema_of(f"the tool {tool.name}: its parameters", tool.parameters, only_objects=True)


def _fault_of_naming(what: str, given: Any) -> str:
    if not isinstance(given.name, str) or not NAME.fullmatch(given.name):
        return f"a {what} named {given.name!r:.80}: up to 64 of the characters A-Z, a-z, 0-9, _ and -"
    return "" if isinstance(given.strict, bool) else f"the {what} {given.name}: strict={given.strict!r:.80}: True or False"


def _fault_of_choice(choice: Any, names: Sequence[str]) -> str:
    offered = f"the tools are {', '.join(names)}" if names else "there are no tools"
    if isinstance(choice, str):
        if choice in ("auto", "none") or (choice == "required" and names) or choice in names:
            return ""
        return f"tool_choice={choice!r:.80}: {offered}" + ("; or 'auto', 'none' or 'required'" if names else "")
    if not isinstance(choice, tuple) or not choice or len({*map(str, choice)}) < len(choice):
        return f"tool_choice={choice!r:.200}: the names of tools, each once"
    if unknown := [name for name in choice if name not in names]:
        return f"tool_choice with {unknown[0]!r:.80}: {offered}"
    return ""


def _fault_of_schema(schema: Any) -> str:
    if schema is None:
        return ""
    if not isinstance(schema, Schema):
        return f"schema={schema!r:.80}: a models.Schema"
    if fault := _fault_of_naming("schema", schema):
        return fault
    return _fault_of_schema_of(f"the schema {schema.name}", schema.schema)


def _fault_of_schema_of(what: str, schema: Any, *, only_objects: bool = False) -> str:
    if not isinstance(schema, Mapping):
        return f"{what} are no JSON schema: {schema!r:.80}" if only_objects else f"{what} is no JSON schema: {schema!r:.80}"
    if only_objects and schema.get("type") != "object":
        return f"{what} are of type {schema.get('type')!r:.80}: the arguments of a tool are an object"
    return fault_of_json(what, schema)


def fault_of_json(what: str, value: Any) -> str:
    """Whether a value is one of JSON, and can be sent."""
    try:
        json_of(value)
    except UnicodeEncodeError:
        return f"{what}: {HALF}"
    except (TypeError, ValueError, RecursionError) as error:
        return f"{what}: no JSON ({error})"
    return ""


def json_of(value: Any) -> bytes:
    """A value as JSON. Raises TypeError and ValueError for what is none."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no value of JSON")


# --- the rest --------------------------------------------------------------------------------------------------------


def _fault_of_the_rest(request: Request) -> str:
    if request.continues:
        last = None if isinstance(request.prompt, str) else request.prompt[-1]
        if last is None:
            return "continues=True and a text: a text is continued anyway"
        if last.role != "assistant" or last.calls or not last.text:
            return "continues=True without a text of an assistant at the end: that is what the sample would go on with"
    return fault_of_extra(request.extra) or fault_of_headers(request.headers)


def fault_of_extra(extra: Any) -> str:
    """What is wrong with further fields of the body."""
    if not isinstance(extra, Mapping) or not all(isinstance(name, str) for name in extra):
        return f"extra={extra!r:.80}: further fields of the body, by name"
    if own := sorted(extra.keys() & OWN_FIELDS.keys()):
        return f"extra={{{own[0]!r}: …}}: say it with {OWN_FIELDS[own[0]]}"
    return fault_of_json("extra", extra)


def fault_of_headers(headers: Any) -> str:
    """What is wrong with headers. No message repeats a value: it may be secret."""
    if not isinstance(headers, Mapping):
        return f"headers of {type(headers).__name__}: values by name"
    for name, value in headers.items():
        if not isinstance(name, str) or not _HEADER.fullmatch(name):
            return f"a header named {name!r:.80}: letters, digits and dashes"
        if name.lower() in _OWN_HEADERS:
            return f"the header {name}: the client sets it"
        if not isinstance(value, str) or not value.isascii() or not value.isprintable() or value != value.strip():
            return f"the header {name}: its value has a line break, a space at its end or another character that no header has"
    return ""


def specs_of(tools: Iterable[Any]) -> Iterator[ToolSpec]:
    """What models are told of tools: of a `ToolSpec` itself, of anything else its `spec`. Raises UsageError for what has none."""
    for tool in tools:
        spec = tool if isinstance(tool, ToolSpec) else getattr(tool, "spec", None)
        if not isinstance(spec, ToolSpec):
            raise UsageError(
                f"a request with the tool {tool!r:.80}: a models.ToolSpec, or what has one as its spec (headway.tools.tool)"
            )
        yield spec
