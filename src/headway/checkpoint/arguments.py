"""Checks and converts what callers give to `Checkpoints`. Bad values are refused before anything is done."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from typing import Any

import msgspec

from headway.checkpoint.files.manifest import Json
from headway.errors import UsageError
from headway.values import is_text


def as_integer(number: Any, what: str) -> int:
    """Convert a number of steps, which may be a scalar of numpy or torch."""
    try:
        return operator.index(number)
    except TypeError:
        raise UsageError(f"{what} is {number!r}: give an integer") from None


def is_positive(number: Any) -> bool:
    """Whether it is a finite number above 0."""
    try:
        return not isinstance(number, str) and 0 < float(number) < math.inf
    except (TypeError, ValueError):
        return False


def as_numbers(metrics: Any, what: str) -> dict[str, float]:
    """Convert metrics to floats. Arrays and tensors of one element count as numbers."""
    if not isinstance(metrics, Mapping) or not all(isinstance(name, str) and is_text(name) for name in metrics):
        raise UsageError(f"{what} is {metrics!r}: give numbers by name, such as {{'val_loss': 0.3}}")
    return {name: _metric(name, value) for name, value in metrics.items()}


def _metric(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        raise UsageError(f"the metric {name} is {value!r}: give a number") from None
    except OverflowError:
        raise UsageError(f"the metric {name} is an integer that no float holds: give a float") from None


def as_json(provenance: Mapping[str, Json]) -> dict[str, Json]:
    """Provenance as it will be in the manifest. Raises UsageError for what JSON has not."""
    try:
        kept: dict[str, Json] = msgspec.json.decode(msgspec.json.encode(dict(provenance)))
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise UsageError(f"Checkpoints(provenance={provenance!r}): {error}. Give names with values as JSON has them") from None
    return kept
