"""Checks each option of a task by itself. Whether options fit together is checked in `declaration`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from headway.errors import UsageError


def is_number(value: object) -> bool:
    """Whether it is a number, and not NaN, which compares with nothing."""
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _has_numbers(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(name, str) and is_number(number) for name, number in value.items())


_ALLOWED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (lambda value: isinstance(value, str), "a text"),
    "version": (lambda value: isinstance(value, str), "a text"),
    "pool": (lambda value: isinstance(value, str) and bool(value), "the name of a pool, a text"),
    "batch": (_is_whole, "a whole number, how many calls one batch may have"),
    "batches": (_is_whole, "a whole number, how many batches may run at a time"),
    "linger_s": (lambda value: is_number(value) and value < math.inf, "a number of seconds, zero or more"),
    "window": (_is_whole, "a whole number, how many items a stream may be ahead of who reads it"),
    "cache": (lambda value: value in ("run", "forever"), "'run' or 'forever'"),
    "codec": (lambda value: value in ("typed", "pickle"), "'typed' or 'pickle'"),
    "cost": (_has_numbers, 'amounts by unit, such as {"tokens": 500}'),
    "needs": (lambda value: isinstance(value, Mapping) and all(isinstance(name, str) for name in value), "options by name"),
    "resources": (_has_numbers, 'whole numbers by name, such as {"gpu": 1}'),
}


def check_options(options: Mapping[str, Any], where: str = "@hw.task({})") -> None:
    """Raises UsageError for an option that is none of its kind. None stands for an option that was not given."""
    for name, value in options.items():
        allowed = _ALLOWED.get(name)
        if value is not None and allowed is not None and not allowed[0](value):
            raise UsageError(f"{where.format(f'{name}={value!r:.100}')}: expected {allowed[1]}")
