"""Messages as the OpenAI protocol says them, in both directions.

Our records go out as the dictionaries of `/chat/completions`, and such dictionaries, which programs and clients write, come in as
our records. Pure functions. What a dictionary holds that a message can't is refused by name: it might change the answer.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headway.errors import UsageError
from headway.models.messages import Audio, Image, Message, Part, Role, Text, ToolCall

Document = dict[str, Any]

_ROLES: Mapping[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
_THOUGHTS = ("reasoning_content", "reasoning")
_READ = {"role", "content", "name", "tool_calls", "tool_call_id", *_THOUGHTS}
_IGNORED = {"refusal", "annotations", "audio", "function_call", "id", "index", "type"}  # as clients give back what they got


# --- out -------------------------------------------------------------------------------------------------------------


def say_messages(messages: Sequence[Message], *, thoughts: str = "", of_openai: bool = False) -> list[Document]:
    """A conversation as the protocol says it.

    A tool's answer may be text alone, so pictures and sounds of tools follow in a user's message, after all answers to the turn.

    Args:
        messages: the conversation.
        thoughts: the field in which the server wants an assistant's thoughts back; empty where it wants none.
        of_openai: whether it is OpenAI's own server, whose tool messages have no name.

    Returns:
        A dictionary for each message.
    """
    said: list[Document] = []
    shown: list[Document] = []
    for message in messages:
        if shown and message.role != "tool":
            said.append({"role": "user", "content": shown})
            shown = []
        said.append(_say(message, thoughts, of_openai))
        if message.role == "tool":
            shown += _say_shown(message)
    if shown:
        said.append({"role": "user", "content": shown})
    return said


def _say(message: Message, thoughts: str, of_openai: bool) -> Document:
    said: Document = {"role": message.role, "content": _say_content(message)}
    if message.name and not (of_openai and message.role == "tool"):
        said["name"] = message.name
    if message.role == "tool":
        said["tool_call_id"] = message.call_id
    if message.calls:
        said["content"] = said["content"] or None
        said["tool_calls"] = [say_call(call) for call in message.calls]
    if thoughts and message.thoughts:
        said[thoughts] = message.thoughts
    return said


def say_call(call: ToolCall) -> Document:
    """A call as an assistant's message holds it."""
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": say_arguments(call.arguments)}}


def say_arguments(arguments: str) -> str:
    """Arguments that a server can read: an object, whatever the model wrote. Servers parse them for their templates, and one call
    that was cut off would make the whole conversation one that they refuse.

    >>> say_arguments('{"city": "Rome"}'), say_arguments('{"city": "Ro')
    ('{"city": "Rome"}', '{"invalid_json": "{\\\\"city\\\\": \\\\"Ro"}')
    """
    try:
        if isinstance(json.loads(arguments), dict):
            return arguments
    except ValueError:
        pass
    return json.dumps({"invalid_json": arguments}, ensure_ascii=False)


def _say_content(message: Message) -> str | list[Document]:
    content = message.content
    if isinstance(content, str) or message.role == "tool" or all(isinstance(part, Text) for part in content):
        return message.text
    return [say_part(part) for part in content]


def _say_shown(message: Message) -> list[Document]:
    """What a tool gave besides text, and which tool."""
    parts = () if isinstance(message.content, str) else tuple(part for part in message.content if not isinstance(part, Text))
    if not parts:
        return []
    return [{"type": "text", "text": f"From {message.name or 'the tool'} ({message.call_id}):"}, *map(say_part, parts)]


def say_part(part: Part) -> Document:
    """A part of a content."""
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if isinstance(part, Audio):
        return {"type": "input_audio", "input_audio": {"data": base64.b64encode(part.data).decode(), "format": part.kind}}
    detail = {} if part.detail == "auto" else {"detail": part.detail}
    return {"type": "image_url", "image_url": {"url": url_of(part), **detail}}


def url_of(image: Image) -> str:
    """Where a picture is, or the picture itself as an address.

    >>> url_of(Image(b"abc", "image/jpeg"))
    'data:image/jpeg;base64,YWJj'
    """
    return image.url or f"data:{image.media_type};base64,{base64.b64encode(image.data).decode()}"


# --- in --------------------------------------------------------------------------------------------------------------


def read_message(given: Mapping[str, Any]) -> Message:
    """A message from a dictionary in the protocol's form.

    Args:
        given: `role` and `content` (text or parts), and `tool_calls`, `tool_call_id`, `name`, `reasoning_content`.

    Returns:
        The message. Whether it makes sense in its conversation is checked with the request.

    Raises:
        UsageError: for what is none, or holds more than a message does.

    Example:
        >>> read_message({"role": "user", "content": "Hello"}).text
        'Hello'
    """
    named = given.get("role")
    role = _ROLES.get(named) if isinstance(named, str) else None
    if role is None:
        raise UsageError(f"a message of role {named!r:.80}: the roles are {', '.join(_ROLES)}")
    for name, value in given.items():
        if name not in _READ | _IGNORED or (name == "function_call" and value):
            raise UsageError(f"a message with {name!r:.80}: it has {', '.join(sorted(_READ))}")
    if given.get("content") is None and not given.get("tool_calls"):
        raise UsageError(f"a message of role {role} without a content: text, or a list of parts")
    thoughts = next((given[name] for name in _THOUGHTS if given.get(name)), "")
    return Message(
        role,
        _read_content(given.get("content")),
        tuple(map(_read_call, given.get("tool_calls") or ())),
        _read_text(given, "tool_call_id"),
        _read_text(given, "name"),
        _read_text({"reasoning_content": thoughts}, "reasoning_content"),
    )


def _read_text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    if value is not None and not isinstance(value, str):
        raise UsageError(f"a message with {name}={value!r:.80}: a text")
    return value or ""


def _read_content(content: Any) -> str | tuple[Part, ...]:
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list | tuple):
        raise UsageError(f"a message with a content of {type(content).__name__}: text, or a list of parts")
    return tuple(_read_part(part) for part in content)


def _read_part(given: Any) -> Part:
    if isinstance(given, Text | Image | Audio):
        return given
    kind = given.get("type") if isinstance(given, Mapping) else None
    try:
        if kind in ("text", "input_text", "output_text"):
            return Text(given["text"])
        if kind == "image_url":
            return _read_image(given["image_url"])
        if kind == "input_audio":
            return Audio(base64.b64decode(given["input_audio"]["data"], validate=True), given["input_audio"]["format"])
    except (KeyError, TypeError, binascii.Error) as error:
        raise UsageError(f"a message with a part that is no {kind}: {type(error).__name__}: {error}") from None
    raise UsageError(f"a message with a part of type {kind!r:.80}: the types are text, image_url and input_audio")


def _read_image(given: Any) -> Image:
    if isinstance(given, str):
        given = {"url": given}
    url = given["url"]
    detail: Any = given.get("detail") or "auto"  # checked with the request
    if not isinstance(url, str) or not url.startswith("data:"):
        return Image(url=url, detail=detail)
    head, _, data = url.removeprefix("data:").partition(",")
    media_type, _, coding = head.partition(";")
    if coding != "base64":
        raise UsageError("a message with a picture whose data: address is not in base64")
    return Image(base64.b64decode(data, validate=True), media_type, detail=detail)


def _read_call(given: Any) -> ToolCall:
    if isinstance(given, ToolCall):
        return given
    function = given.get("function") if isinstance(given, Mapping) else None
    if not isinstance(function, Mapping) or given.get("type", "function") != "function":
        raise UsageError(f"a message with the call {given!r:.80}: it has an id, and a function with a name and arguments")
    arguments = function.get("arguments") or ""
    if isinstance(arguments, Mapping):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return ToolCall(given.get("id") or "", function.get("name") or "", arguments)


def texts_in(message: Message) -> Iterator[str]:
    """Every text of a message that is sent."""
    yield message.name
    yield message.call_id
    yield message.thoughts
    yield message.text
    for call in message.calls:
        yield from (call.id, call.name, call.arguments)
    for part in () if isinstance(message.content, str) else message.content:
        if isinstance(part, Image):
            yield part.url
