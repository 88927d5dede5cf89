"""Labels: a few words about the arguments of a call, for people.

A task may say what tells its calls apart (`@hw.task(label="{item.id}")`); otherwise a label shows what is simple and small. It is
no part of a call's name, and never worth a failed call.
"""

from __future__ import annotations

import enum
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from headway.engine.identity.canonical import FLAT
from headway.engine.tasks.callables import is_async
from headway.errors import UsageError
from headway.journal.codec.models import dataclass_fields, user_kind
from headway.near import near_misses

LabelLike = str | Callable[..., object]
LABEL_CHARS = 60
_SIMPLE = FLAT | {float}
_SHAPED = ("numpy", "torch", "pandas", "polars", "pyarrow")  # whose values say their shape


def check_label(wanted: Any, task: str, params: Sequence[str], *, takes_any: bool) -> None:
    """Raises UsageError for a `label=` that could never be used. `takes_any`: the task takes arguments of any name."""
    if not isinstance(wanted, str):
        if not callable(wanted) or is_async(wanted):
            raise UsageError(f'task {task}: label={wanted!r}: a text such as "{{name}}", or a plain function of the arguments')
        return
    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(wanted) if name is not None]
    except ValueError as error:
        raise UsageError(f"task {task}: label={wanted!r}: {error}") from None
    for field in fields:
        first = field.partition(".")[0].partition("[")[0]
        if first not in params and not takes_any:
            raise UsageError(
                f"task {task}: label={wanted!r} names an argument {first!r} that it does not take; {near_misses(first, params)}"
            )


def make_label(wanted: LabelLike, args: tuple[Any, ...], kwargs: Mapping[str, Any], params: Sequence[str]) -> str:
    """Make the label that a task defines; fall back to the usual one if that fails."""
    try:
        text = (
            wanted.format(**{**dict(zip(params, args, strict=False)), **kwargs})
            if isinstance(wanted, str)
            else wanted(*args, **kwargs)
        )
        line = " ".join(_clean(text).split())
    except BaseException:  # whatever the function raises
        return label(args, kwargs)
    return line if len(line) <= LABEL_CHARS else line[: LABEL_CHARS - 1] + "…"


def label(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """A short text of a call's arguments, for people. Never raises; never asks a large or unknown object for text."""
    try:
        if len(args) == 1 and not kwargs:
            return _short(args[0], LABEL_CHARS)
        parts: list[str] = []
        left = LABEL_CHARS
        for value in args:
            if left <= 0:
                break
            parts.append(_short(value, left))
            left -= len(parts[-1]) + 2
        for name, value in kwargs.items():
            if left <= 0:
                break
            parts.append(f"{name}={_short(value, left)}")
            left -= len(parts[-1]) + 2
        text = ", ".join(parts)
        return text if len(text) <= LABEL_CHARS else text[: LABEL_CHARS - 1] + "…"
    except BaseException:  # a label is never worth a failed call
        return "…"


def _clean(said: object) -> str:
    """The text of a user's object, as a plain string that can be written."""
    return str.__str__(str(said)).encode("utf-8", "backslashreplace").decode()


def _short(value: Any, room: int) -> str:
    kind = type(value)
    if kind is str:
        text = repr(value if len(value) <= room else value[:room])
        return text if len(text) <= room else text[: room - 1] + "…"
    if kind is int and value.bit_length() > 128:
        return f"int of {value.bit_length()} bits"
    if kind is int or kind is float or kind is bool or value is None:
        return repr(value)
    if kind in (list, tuple, dict, set, frozenset):
        return _short_container(value, kind, room)
    return _short_object(value, kind, room)[:room]


def _short_container(value: Any, kind: type, room: int) -> str:
    if len(value) <= 4 and kind in (list, tuple) and _SIMPLE.issuperset(map(type, value)):
        inner = ", ".join(_short(item, room) for item in value)
        if len(inner) + 2 <= room:
            return f"[{inner}]" if kind is list else f"({inner})"
    text = f"{kind.__name__} of {len(value)}"
    if kind in (list, tuple) and value and type(value[0]) not in FLAT and len(text) + 8 <= room:  # what tells it from its siblings
        return f"{text}: {_short(value[0], room - len(text) - 2)}"
    if kind is dict and value and len(text) + 16 <= room:
        name, item = next(iter(value.items()))
        head = f"{text}: {_short(name, 16)}="
        told = f"{head}{_short(item, room - len(head))}"  # a number is never cut
        return told if len(told) <= room else text
    return text


def _short_object(value: Any, kind: type, room: int) -> str:
    if kind in (bytes, bytearray):
        return f"{len(value)} bytes"
    if issubclass(kind, enum.Enum):
        return f"{kind.__name__}.{value._name_}"
    if getattr(kind, "__headway_handle__", False):
        return f"<{value._key.hex()[:8]}>"
    if (speaks := getattr(kind, "__headway_label__", None)) is not None:
        return _clean(speaks(value))
    shape = getattr(value, "shape", None) if kind.__module__.partition(".")[0] in _SHAPED else None
    if shape is not None:
        return f"{kind.__name__}{list(shape)}"
    return _short_fields(value, kind, room)


def _short_fields(value: Any, kind: type, room: int) -> str:
    """An object of named fields, as far as there is room: what tells it from its siblings may stand in any of them."""
    names = _field_names(kind)
    text = f"{kind.__name__}("
    if not names or len(text) + 4 > room:
        return kind.__name__
    for number, name in enumerate(names):
        part = f"{', ' if number else ''}{name}={_short(getattr(value, name, None), max(4, (room - len(text)) // 2))}"
        if len(text) + len(part) + 1 > room:
            return f"{text}…)" if len(text) + 2 <= room else f"{text[: room - 2]}…)"
        text += part
    return f"{text})"


def _field_names(kind: type) -> tuple[str, ...]:
    match user_kind(kind):
        case "dataclass":
            return dataclass_fields(kind)
        case "struct":
            return tuple(kind.__struct_fields__)  # type: ignore[attr-defined]  # as user_kind says
        case "namedtuple":
            return tuple(kind._fields)  # type: ignore[attr-defined]  # as user_kind says
        case "model":
            return tuple(kind.__pydantic_fields__)  # type: ignore[attr-defined]  # as user_kind says
    return ()
