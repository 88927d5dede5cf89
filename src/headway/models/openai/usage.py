"""Reads what a server says it has counted, in the words of many servers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from headway.models.base import Usage


def usage_in(given: Any) -> Usage | None:
    """What a server counted, as far as it says so.

    Servers send it early, late, in parts, as nulls and as nonsense. An answer is worth more than its bill, so what can't be used is
    passed over, and the pieces are counted instead.
    """
    read, written = _first(given, "prompt_tokens", "input_tokens"), _first(given, "completion_tokens", "output_tokens")
    details = field_of(given, "prompt_tokens_details") or field_of(given, "input_tokens_details")
    found, put = _first(given, "cache_read_input_tokens"), _first(given, "cache_creation_input_tokens")
    cached = _first(details, "cached_tokens") or _first(given, "prompt_cache_hit_tokens") or found
    stored = _first(details, "cache_write_tokens", "cache_creation_tokens") or put
    total = _first(given, "total_tokens")
    if found + put and (found + put > read or total == read + written + found + put or not _first(given, "prompt_tokens")):
        read += found + put  # some count the cache beside the prompt, some within it
    if total > read > 0:
        written = max(written, total - read)  # some leave thoughts out of what was written
    if not read + written:
        return None
    thought = field_of(given, "completion_tokens_details") or field_of(given, "output_tokens_details")
    cached = min(cached, read)
    thoughts, sound = min(_first(thought, "reasoning_tokens"), written), min(_first(details, "audio_tokens"), read)
    return Usage(read, written, cached, thoughts, min(stored, read - cached), sound)


def field_of(given: Any, name: str) -> Any:
    """A part of what a server sent, which the client gives as objects where it knows the part and as dictionaries where not."""
    return given.get(name) if isinstance(given, Mapping) else getattr(given, name, None)


def _first(given: Any, *names: str) -> int:
    """The first of these fields that is a count, 0 where none is."""
    for name in names:
        value = field_of(given, name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf and value == int(value):
            return int(value)
    return 0
