"""Where a command writes: answers to stdout, everything else to stderr.

Without a terminal, lines are never wrapped. A console is made anew for each use, so it follows a test or a shell that replaces
`sys.stdout`.
"""

from __future__ import annotations

import math
import os
import sys
from typing import Any

import msgspec
from rich.console import Console

from headway.journal.codec.codec import StandIn

PIPE_WIDTH = 240


def out() -> Console:
    return Console(width=None if sys.stdout.isatty() or os.environ.get("COLUMNS") else PIPE_WIDTH, highlight=False)


def err() -> Console:
    return Console(stderr=True, highlight=False)


def note(text: str, style: str = "dim") -> None:
    """A remark for a person, on stderr."""
    err().print(text, style=style, markup=False, soft_wrap=True)


def print_json(document: msgspec.Struct) -> None:
    """One JSON document on stdout."""
    raw = msgspec.json.format(msgspec.json.encode(_make_encodable(msgspec.to_builtins(document))), indent=2)
    sys.stdout.write(raw.decode() + "\n")


def plain(value: Any) -> Any:
    """A result as JSON; a value that JSON has no form for becomes its `repr`."""
    try:
        return msgspec.to_builtins(value, enc_hook=_say, str_keys=True)
    except (TypeError, ValueError, RecursionError):
        return repr(value)


def _make_encodable(value: Any) -> Any:
    """The value with what JSON cannot express replaced: NaN and infinities by text, lone surrogates by escapes."""
    if isinstance(value, dict):
        return {_make_encodable(key): _make_encodable(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_make_encodable(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "backslashreplace").decode()
    return value


def _say(value: Any) -> Any:
    if isinstance(value, StandIn) and isinstance(value.content, dict):
        return value.content
    for method in ("model_dump", "tolist"):
        if callable(found := getattr(value, method, None)):
            return found()
    return repr(value)
