"""Exceptions of libraries that only the library can make: how each is taken apart and put together again.

Names in the data only ever choose from the table in this file, and only a class that the program has loaded is used.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol


class _Lenient(Protocol):
    def lower_or_none(self, value: Any, depth: int) -> list[object] | None: ...
    def lower_or_text(self, value: Any, depth: int) -> object: ...


class Maker(NamedTuple):
    take: Callable[[Any], tuple[Any, ...]]  # the exception, as a pair of anything and its arguments
    lower: Callable[[tuple[Any, ...], _Lenient, int], list[object]]  # the arguments as they are recorded
    make: Callable[[Any, tuple[Any, ...]], BaseException]  # the exception of its class and what was recorded


# --- pydantic.ValidationError ----------------------------------------------------------------------------------------

_PLAIN, _CUSTOM = 0, 1


def _take_validation_error(exc: Any) -> tuple[Any, ...]:
    taken: tuple[Any, ...] = exc.__reduce__()  # C code: the title, and each error as a dictionary
    return taken


def _lower_validation_error(args: tuple[Any, ...], w: _Lenient, depth: int) -> list[object]:
    title, errors, *rest = args
    return [title, [_lower_line(line, w, depth) for line in errors], *rest]


def _lower_line(line: dict[str, Any], w: _Lenient, depth: int) -> list[object]:
    kind, context = line["type"], line.get("ctx") or {}
    named = [_PLAIN, kind] if isinstance(kind, str) else [_CUSTOM, kind.type, kind.message_template]
    given = line["input"]
    kept = w.lower_or_none(given, depth)
    spoken = kept if kept is not None else [type(given).__name__, f"{given!r:.500}"]
    loc = [part if isinstance(part, int | str) else str(part) for part in line["loc"]]
    return [named, loc, kept is not None, spoken, {name: w.lower_or_text(value, depth) for name, value in context.items()}]


def _make_validation_error(cls: Any, args: tuple[Any, ...]) -> BaseException:
    title, lines, *rest = args
    custom = getattr(sys.modules["pydantic_core"], "PydanticCustomError")  # noqa: B009 - no import: its exception is loaded
    errors = []
    for (form, kind, *template), loc, kept, given, context in lines:
        line: dict[str, Any] = {"loc": tuple(loc), "input": given[0] if kept else _as_shown(*given), "ctx": context}
        line["type"] = kind if form == _PLAIN else custom(kind, template[0], context or None)
        errors.append(line)
    made: BaseException = cls.from_exception_data(title, errors, *rest)
    return made


def _as_shown(name: str, text: str) -> object:
    """Something that is printed as what could not be kept."""
    return type(name, (), {"__repr__": lambda _: text})()


MAKERS: dict[str, Maker] = {
    "pydantic_core._pydantic_core:ValidationError": Maker(_take_validation_error, _lower_validation_error, _make_validation_error),
}
