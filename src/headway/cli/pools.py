"""`--pool NAME=…`: the size of one of Headway's own pools, or the function that makes a pool of the program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headway.errors import UsageError
from headway.pools.program import load_object
from headway.pools.registry import BUILT_IN, check_given


def parse_pools(texts: Sequence[str], workers: int | None = None) -> dict[str, Any] | None:
    """Turn texts like "thread=4" and "box=program.py:Box" into the `pools=` of a run; None where there are none. `workers` is the
    size of the process pool, from `--workers`.

    Raises UsageError.
    """
    found: dict[str, Any] = {"process": workers} if workers else {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise _make_refusal(text)
        if name in found:
            raise UsageError(f"--pool {text}: the size of {name!r} was given twice")
        if not value.isdecimal() and ":" not in value:
            raise _make_refusal(text)
        found[name] = int(value) if value.isdecimal() else load_object(value)
    check_given(found)
    return found or None


def _make_refusal(text: str) -> UsageError:
    return UsageError(f"--pool {text}: write NAME=SIZE for {', '.join(BUILT_IN)}, or NAME=program.py:Class for one of your own")
