"""Checks the settings of a method when it is called, before it spends anything.

A senseless setting (`n=-5`, `sure=95`) would make a method return nothing, or decide in a way that nobody meant.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from numbers import Real
from types import FunctionType, MethodType

from headway.errors import UsageError

ROUNDING = 1e-6  # by how much a probability may be off that a model computed
PROBABILITY = "a number from 0 to 1 (no percentage; of a log-probability, math.exp)"


def say_part(part: object) -> str:
    """What a part is called in messages: a function by its name, anything else as it shows itself."""
    return part.__qualname__ if isinstance(part, FunctionType | MethodType) else f"{part!r:.100}"


def whole_number(where: str, /, *, least: int | None = 0, **settings: object) -> None:
    """Raises UsageError for a setting that is no whole number, or less than `least`."""
    allowed = "a whole number" if least is None else f"a whole number, at least {least}"
    for name, value in settings.items():
        if not isinstance(value, int) or isinstance(value, bool) or (least is not None and value < least):
            raise _make_refusal(where, name, value, allowed)


def at_least_one(where: str, /, **settings: object) -> None:
    """Raises UsageError for a setting that is no whole number, or below 1."""
    whole_number(where, least=1, **settings)


def number(where: str, low: float = -math.inf, high: float = math.inf, /, *, above: bool = False, **settings: object) -> None:
    """Raises UsageError for a setting that is no number from `low` to `high` (`above`: other than `low`). NaN is none."""
    for name, value in settings.items():
        if not low <= _number(value) <= high or (above and value == low):
            raise _make_refusal(where, name, value, _range(low, high, above))


def finite(where: str, /, **settings: object) -> None:
    """Raises UsageError for a setting that is no number from zero on, or infinite."""
    for name, value in settings.items():
        if not 0 <= _number(value) < math.inf:
            raise _make_refusal(where, name, value, "a finite number, zero or more")


def temperature(where: str, /, **settings: object) -> None:
    """Raises UsageError for the temperature of a softmax that is not above 0."""
    for name, value in settings.items():
        if not _number(value) > 0:
            raise _make_refusal(where, name, value, "a number above 0, small for the best alone (0.001), large for all alike")


def probability(where: str, /, **settings: object) -> None:
    """Raises UsageError for what is no probability or share. True is 1, and what a model computed may be off by rounding."""
    for name, value in settings.items():
        if not isinstance(value, bool) and not -ROUNDING <= _number(value) <= 1 + ROUNDING:
            raise _make_refusal(where, name, value, PROBABILITY)


def function(where: str, /, *, optional: bool = False, **settings: object) -> None:
    """Raises UsageError for a part or a rule that can't be called."""
    for name, value in settings.items():
        if not callable(value) and not (optional and value is None):
            raise _make_refusal(where, name, value, "a function or None" if optional else "a function")


def instance(where: str, kind: type[object], /, **settings: object) -> None:
    """Raises UsageError for a setting that is of another kind."""
    for name, value in settings.items():
        if not isinstance(value, kind):
            raise _make_refusal(where, name, value, f"a {_called(kind)}")


def several(where: str, kind: type[object], /, **settings: object) -> None:
    """Raises UsageError for what should be a list of some kind, and is not."""
    for name, values in settings.items():
        if not isinstance(values, Collection) or not all(isinstance(value, kind) for value in values):
            raise _make_refusal(where, name, values, f"a list of {_called(kind)}")


def _called(kind: type[object]) -> str:
    """What users call a kind: what all rooms share is offered by `search`."""
    room = kind.__module__.removeprefix("headway.methods.").partition(".")
    return f"{room[0] if room[1] else 'search'}.{kind.__name__}"


def _number(value: object) -> float:
    """The value, NaN where it is no number."""
    return math.nan if isinstance(value, bool) or not isinstance(value, Real) else float(value)


def _range(low: float, high: float, above: bool) -> str:
    if high < math.inf:
        return f"a number above {low:g}, at most {high:g}" if above else f"a number from {low:g} to {high:g}"
    if above:
        return f"a number above {low:g}"
    return f"a number, at least {low:g}" if low > -math.inf else "a number (NaN is none)"


def _make_refusal(where: str, name: str, value: object, allowed: str) -> UsageError:
    return UsageError(f"{where}: {name}={value!r:.80}: {allowed}")
