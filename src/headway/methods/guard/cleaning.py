"""Takes secrets out of values and errors, which come from tools and can be anything.

Texts are cleaned wherever Python's containers, dataclasses, structs and models hold them. What can't be looked into is judged by
what the journal would keep of it: where a secret is in there, the value is refused.
"""

from __future__ import annotations

import copy
import dataclasses
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from headway.errors import CallError, NotEncodable
from headway.journal.codec.codec import encode, keep_error, text_of
from headway.methods.guard.forms import Cleaner
from headway.values import MAX_DEPTH


class SecretInResult(CallError):
    """A tool returned a value with a secret in a place that can't be cleaned. The value is not kept."""


class ToolFailed(CallError):
    """A tool failed with an error that held a secret and can't be cleaned. The text is what is left of the error."""


def clean_value(cleaner: Cleaner, value: Any, depth: int = 0) -> Any:
    """A value without secrets in its texts. The same object where there are none."""
    if isinstance(value, str):
        return cleaner.text(value) if type(value) is str else _same_kind(value, cleaner.text(str(value)))
    if isinstance(value, bytes | bytearray):
        cleaned = cleaner.data(bytes(value))
        return value if cleaned == value else type(value)(cleaned)
    if value is None or isinstance(value, bool | int | float) or depth > MAX_DEPTH:
        return value
    if isinstance(value, dict):
        pairs = [(clean_value(cleaner, name, depth + 1), clean_value(cleaner, each, depth + 1)) for name, each in value.items()]
        same = all(new is old and now is was for (new, now), (old, was) in zip(pairs, value.items(), strict=True))
        return value if same else _rebuild(value, dict(pairs))
    if isinstance(value, list | tuple | set | frozenset):
        items = [clean_value(cleaner, each, depth + 1) for each in value]
        return value if all(new is old for new, old in zip(items, value, strict=True)) else _rebuild(value, items)
    if isinstance(value, BaseException):
        return clean_error(cleaner, value)
    return _clean_fields(cleaner, value, depth)


def _same_kind(value: str, cleaned: str) -> str:
    """A member of an enum, and other kinds of text, stay what they are where nothing was found."""
    return value if str(value) == cleaned else cleaned


def _rebuild(value: Any, parts: Any) -> Any:
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*parts)
    try:
        return type(value)(parts)
    except Exception:  # a container of the program's own
        return parts if isinstance(value, dict) else list(parts)


def _clean_fields(cleaner: Cleaner, value: Any, depth: int) -> Any:
    put: Callable[[Any, str, Any], None] = object.__setattr__
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [field.name for field in dataclasses.fields(value)]
    elif isinstance(value, msgspec.Struct):
        fields, put = list(value.__struct_fields__), msgspec.structs.force_setattr
    elif hasattr(type(value), "model_fields"):
        fields = list(type(value).model_fields)
    else:
        return value
    changed = {}
    for name in fields:
        old = getattr(value, name, None)
        if (new := clean_value(cleaner, old, depth + 1)) is not old:
            changed[name] = new
    if not changed:
        return value
    made = copy.copy(value)
    for name, new in changed.items():
        put(made, name, new)
    return made


def clean_result(cleaner: Cleaner, value: Any, tool: str, *, pickled: bool) -> Any:
    """What a tool returned, without secrets. Raises SecretInResult where one is left in what the journal would keep."""
    value = clean_value(cleaner, value)
    try:
        kept = encode(value, where=f"the result of {tool}", pickle=pickled)
    except NotEncodable:  # which the engine is about to say
        return value
    if cleaner.is_in(kept.head) or any(cleaner.is_in(memoryview(each).cast("B")) for each in kept.buffers):
        raise SecretInResult(
            f"{tool} has run and returned a {type(value).__name__} with a secret inside of it, which can't be cleaned and is not "
            "kept. Don't run it again for that."
        )
    return value


def clean_error(cleaner: Cleaner, error: BaseException) -> BaseException:
    """An error without secrets, and without the values that its traceback holds: itself, or where it can't be cleaned another."""
    seen: set[int] = set()
    _clean_in_place(cleaner, error, seen)
    record = msgspec.msgpack.encode(keep_error(error).record)
    texts = (text_of(error), "".join(traceback.format_exception(error)))
    if not cleaner.is_in(record) and all(cleaner.text(text) == text for text in texts) and not _is_in_parts(cleaner, error):
        return error
    return ToolFailed(f"{type(error).__name__}: {cleaner.text(text_of(error))}")


def _clean_in_place(cleaner: Cleaner, error: BaseException, seen: set[int]) -> None:
    if id(error) in seen:
        return
    seen.add(id(error))
    traceback.clear_frames(error.__traceback__)
    parts: list[BaseException | None] = [error.__cause__, error.__context__]
    if isinstance(error, BaseExceptionGroup):
        parts += error.exceptions
    for part in parts:
        if part is not None:
            _clean_in_place(cleaner, part, seen)
    names = ("args", "filename", "filename2", "strerror", "object", "reason", "msg", "text", "value", "name")
    for name in (*names, *vars(error)):
        try:
            old = getattr(error, name)
            if (new := clean_value(cleaner, old)) is not old:
                setattr(error, name, new)
        except Exception:  # it has no such thing, or lets nobody change it: the caller looks again
            continue


def _is_in_parts(cleaner: Cleaner, error: BaseException) -> bool:
    """Whether an attribute still shows a secret: those that logs and pages ask for."""
    return any(isinstance(each, str) and cleaner.text(each) != each for each in _values(vars(error)))


def _values(attributes: Mapping[str, Any]) -> list[Any]:
    return [value for each in attributes.values() for value in (each if isinstance(each, list | tuple) else (each,))]
