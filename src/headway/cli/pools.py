"""`--pool NAME=…`: the size of one of Headway's own pools, or the function that makes a pool of the program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headway.errors import UsageError
from headway.pools.agents.hired import Hired
from headway.pools.program import load_object
from headway.pools.registry import BUILT_IN, HIRED, check_given


def parse_pools(texts: Sequence[str], workers: int | None = None, hire: Sequence[str] = ()) -> dict[str, Any] | None:
    """Turn texts like "thread=4" and "box=program.py:Box" into the `pools=` of a run; None where there are none. `workers` is the
    size of the process pool, from `--workers`, and `hire` says where its processes are hired instead.

    Raises UsageError.
    """
    if workers and hire:
        raise UsageError(f"--workers {workers} and --hire {hire[0]} both say where process tasks run: give one of them")
    found: dict[str, Any] = {"process": workers} if workers else dict.fromkeys(HIRED, Hired(*hire)) if hire else {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise _make_refusal(text)
        if hire and name in HIRED:
            raise UsageError(f"--pool {text} and --hire {hire[0]} both say where {name} tasks run: give one of them")
        if name in found:
            raise UsageError(f"--pool {text}: the size of {name!r} was given twice")
        if not value.isdecimal() and ":" not in value:
            raise _make_refusal(text)
        found[name] = int(value) if value.isdecimal() else load_object(value)
    check_given(found)
    return found or None


def _make_refusal(text: str) -> UsageError:
    return UsageError(f"--pool {text}: write NAME=SIZE for {', '.join(BUILT_IN)}, or NAME=program.py:Class for one of your own")
