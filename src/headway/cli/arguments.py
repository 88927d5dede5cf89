"""Turns the words of a command line into the arguments of a task.

For a `str` parameter the text is taken as it is. Otherwise it is read as JSON if it is JSON, and then converted to the parameter's
annotation (a number, a list, a dataclass, an enum, …). So `headway run sky.py:answer "why?" 3 '["a", "b"]'` needs no quoting rules
of its own. A word that does not fit its parameter is refused before anything runs.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Any

import msgspec

from headway.errors import UsageError


def parse_arguments(fn: Callable[..., Any], texts: Sequence[str], keywords: Sequence[str] = ()) -> tuple[list[Any], dict[str, Any]]:
    """Positional and keyword arguments for `fn`; `keywords` are texts like "name=value".

    >>> def answer(question: str, tries: int = 1, *, notes: list[str] = []): ...
    >>> parse_arguments(answer, ["42", "3"], ['notes=["a"]'])
    (['42', 3], {'notes': ['a']})

    Raises UsageError.
    """
    signature = inspect.signature(fn)
    hints = _hints(fn)
    named = dict(_split(text) for text in keywords)
    try:
        bound = signature.bind(*texts, **named)
    except TypeError as error:
        raise UsageError(f"{fn.__qualname__}{signature} was not started: {error}") from None
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for name, given in bound.arguments.items():
        parameter, hint = signature.parameters[name], hints.get(name, Any)
        if parameter.kind is parameter.VAR_POSITIONAL:
            args += [parse_value(text, hint, name) for text in given]
        elif parameter.kind is parameter.VAR_KEYWORD:
            kwargs |= {key: parse_value(text, hint, key) for key, text in given.items()}
        elif name in named:
            kwargs[name] = parse_value(given, hint, name)
        else:
            args.append(parse_value(given, hint, name))
    return args, kwargs


def parse_value(text: str, hint: Any, name: str) -> Any:
    """One argument. `hint` is the parameter's annotation.

    >>> parse_value("5", int, "n"), parse_value("5", str, "n"), parse_value("5", Any, "n"), parse_value("five", Any, "n")
    (5, '5', 5, 'five')
    """
    if hint is str:
        return text
    value = parse_json(text)
    if hint is Any:
        return value
    refused: Exception | None = None
    for candidate in (value,) if isinstance(value, str) else (value, text):
        try:
            return msgspec.convert(candidate, hint, dec_hook=_convert)
        except msgspec.ValidationError as error:
            refused = refused or error
        except (TypeError, NotImplementedError):
            return value
    wanted = hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint)
    raise UsageError(f"argument {name}: {text!r} does not fit {wanted} ({refused})")


def find_return_type(fn: Callable[..., Any]) -> Any:
    """The return annotation of a function; Any if it has none."""
    return _hints(fn).get("return", Any)


def parse_json(text: str) -> Any:
    """The JSON value of a text, or the text itself."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def parse_amounts(texts: Sequence[str], option: str) -> dict[str, float]:
    """Amounts by unit, from texts like "tokens=1000". Raises UsageError, naming the option.

    >>> parse_amounts(["tokens=1e4", "usd=0.5"], "--budget")
    {'tokens': 10000.0, 'usd': 0.5}
    """
    amounts: dict[str, float] = {}
    for text in texts:
        unit, _, number = text.partition("=")
        try:
            amounts[unit] = float(number.replace("_", ""))
        except ValueError:
            raise UsageError(f"{option} {text}: write a unit and an amount, such as {option} tokens=1000") from None
    return amounts


def _split(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise UsageError(f"--kw {text}: write a parameter's name and its value, such as --kw depth=3")
    return name, value


def _hints(fn: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(fn)
    except Exception:  # an annotation that only a type checker can read
        return {}


def _convert(kind: type, value: Any) -> Any:
    """Types that msgspec leaves to its caller."""
    if issubclass(kind, PurePath) and isinstance(value, str):
        return kind(value)
    if callable(validate := getattr(kind, "model_validate", None)):
        try:
            return validate(value)
        except ValueError as error:
            raise msgspec.ValidationError(str(error)) from error
    raise NotImplementedError
