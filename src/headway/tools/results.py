"""What became of a model's call, and what the model is shown of it.

Text is shown as it is, parts of a message are kept, everything else is shown as JSON. The same value always gives the same text,
or a resumed run would ask its model something new. What is too long is cut, and says so; the value itself is in the journal.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from headway.engine.tasks.callables import describe_error
from headway.errors import UsageError
from headway.models.messages import Audio, Image, Message, Part, Text, ToolCall

MOST_BYTES = 64 * 1024
"""How much of a result a model is shown, in bytes of UTF-8."""
_PARTS = (Text, Image, Audio)
_ROOM_FOR_NOTE = 160


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What became of a model's call.

    Attributes:
        call: what the model asked.
        content: what the model is shown: text, or parts.
        value: what the tool returned.
        is_error: whether it failed, or was never run.
    """

    call: ToolCall
    content: str | tuple[Part, ...]
    value: Any = field(default=None, repr=False)
    is_error: bool = False

    @property
    def message(self) -> Message:
        """It as the turn of the conversation that answers the call."""
        return Message("tool", self.content, call_id=self.call.id, name=self.call.name)


class Unshowable(UsageError, ValueError):
    """A value that can't be shown to a model."""


def failed(call: ToolCall, said: str, most_bytes: int = MOST_BYTES) -> ToolResult:
    """The result of a call that failed, or was never run."""
    return ToolResult(call, cut(said, most_bytes), is_error=True)


def returned(call: ToolCall, value: Any, most_bytes: int) -> ToolResult:
    """The result of a call that returned a value. One that says itself what is shown of it (`__headway_show__`) gives the content,
    and whether it is an error."""
    if (says := getattr(value, "__headway_show__", None)) is not None:
        content, is_error = says()
        return bound(ToolResult(call, content, value, is_error), most_bytes)
    try:
        return ToolResult(call, show(value, most_bytes), value)
    except Unshowable as error:
        said = f"{call.name} has run and returned {error}, so its result can't be shown. Don't run it again for that."
        return ToolResult(call, said, value, is_error=True)


def show(value: Any, most_bytes: int = MOST_BYTES) -> str | tuple[Part, ...]:
    """What a model is shown of a value.

    Args:
        value: what a tool returned.
        most_bytes: how much text at most, in bytes of UTF-8.

    Returns:
        Text, or parts where the value is made of them.

    Raises:
        UsageError: it is nothing that can be written as text.

    Example:
        >>> show({"area": 302068.0}), show("Rome"), show(None)
        ('{"area":302068.0}', 'Rome', 'null')
    """
    if isinstance(value, str):
        return cut(value, most_bytes)
    if isinstance(value, _PARTS):
        value = (value,)
    if isinstance(value, list | tuple) and any(isinstance(each, _PARTS) for each in value):
        return _show_parts(value, most_bytes)
    return cut(as_json(value), most_bytes)


def _show_parts(values: Sequence[Any], most_bytes: int) -> tuple[Part, ...]:
    parts: list[Part] = []
    left = most_bytes
    for value in values:
        if isinstance(value, Image | Audio):
            parts.append(value)
            continue
        shown = cut(value.text if isinstance(value, Text) else value if isinstance(value, str) else as_json(value), max(left, 0))
        left -= len(shown.encode())
        parts.append(Text(shown))
    return tuple(parts)


def as_json(value: Any) -> str:
    """A value as JSON, the same text for equal values. Raises Unshowable."""
    if isinstance(value, bytes | bytearray | memoryview):
        raise Unshowable(f"{len(value)} bytes, which are no text")
    try:
        return msgspec.json.encode(value, enc_hook=_to_plain, order="deterministic").decode()
    except (TypeError, ValueError, NotImplementedError, RecursionError, OverflowError) as error:
        raise Unshowable(f"a {type(value).__name__}, which can't be written as JSON ({error})") from None


def _to_plain(value: Any) -> Any:
    """What msgspec does not know: models of pydantic, numbers and arrays of numpy and torch."""
    if dump := getattr(value, "model_dump", None):
        return dump(mode="json")
    if (plain := getattr(value, "tolist", None)) is not None:
        return plain()
    if isinstance(value, BaseException):
        return describe_error(value)
    raise NotImplementedError(f"{type(value).__name__} has no JSON form")


def cut(text: str, most_bytes: int) -> str:
    """A text that is no longer than a bound, with a note that says what is missing. Halves of characters are written out."""
    whole = text.encode("utf-8", "backslashreplace")
    if (size := len(whole)) <= most_bytes:
        return text if text.isascii() else whole.decode()
    kept = whole[: max(0, most_bytes - _ROOM_FOR_NOTE)].decode("utf-8", "ignore")
    missing = size - len(kept.encode())
    return f"{kept}\n[cut here: {missing} of {size} bytes are missing. Ask for less at a time, or for another part.]"


def bound(result: ToolResult, most_bytes: int) -> ToolResult:
    """A result whose text is no longer than so many bytes."""
    if isinstance(result.content, str):
        return dataclasses.replace(result, content=cut(result.content, most_bytes))
    return dataclasses.replace(result, content=_show_parts(result.content, most_bytes))
