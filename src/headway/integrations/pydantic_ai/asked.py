"""What a unit asks, as a text: the same in every life of a run, and another one where a model or tool would read something else.

pydantic-ai hands over the live objects of a unit (`cache_key`). Much in them differs from one life of a run to the next: times, run
ids, call ids that it makes up, what `deps` hold. None of that may count, or recorded work would be done again. So a message counts
by what a model reads of it, a tool call by its name, arguments and id, and anything else by its data.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic_ai import ToolsetTool
from pydantic_ai.messages import ModelRequest, ModelResponse
from pydantic_ai.tools import RunContext

MADE_UP = "pyd_ai_"
"""Begins the call ids that pydantic-ai makes up where a model gave none, anew in each life."""

NOT_READ = frozenset({"timestamp", "run_id", "conversation_id", "metadata"})
"""Fields of pydantic-ai's own values that no model reads and that differ between lives."""


_any: TypeAdapter[Any] = TypeAdapter(Any)


def text_of(cache_key: tuple[object, ...]) -> str:
    """What a unit asks, as canonical JSON."""
    return json.dumps([_plain(part) for part in cache_key], sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest_of(text: str) -> str:
    """The name of what is asked: 128 bits, hexadecimal."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _plain(value: Any) -> Any:
    """A value as JSON that is equal for equal values, in this process and in others."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, RunContext):
        return {"call": value.tool_call_id, "approved": value.tool_call_approved, "step": value.run_step}
    if isinstance(value, ToolsetTool):
        return value.tool_def.name
    if isinstance(value, ModelRequest):
        return {"parts": [_plain(part) for part in value.parts], "instructions": value.instructions}
    if isinstance(value, ModelResponse):
        return {"answer": [_plain(part) for part in value.parts]}
    if is_dataclass(value) and not isinstance(value, type):
        return _fields_of(value)
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, set | frozenset):
        return sorted((_plain(one) for one in value), key=lambda one: json.dumps(one, sort_keys=True))
    if isinstance(value, bytes | bytearray | memoryview):
        return {"bytes": hashlib.blake2b(value, digest_size=16).hexdigest()}
    return _any.dump_python(value, mode="json", fallback=_kind_of, warnings=False)


def _fields_of(value: Any) -> dict[str, Any]:
    """The fields of a dataclass; of pydantic-ai's own those that a model reads."""
    own = type(value).__module__.partition(".")[0] == "pydantic_ai"
    found = {}
    for field in fields(value):
        if own and (field.name in NOT_READ or field.name.startswith("_")):
            continue
        one = getattr(value, field.name)
        made_up = own and field.name == "tool_call_id" and isinstance(one, str) and one.startswith(MADE_UP)
        found[field.name] = MADE_UP if made_up else _plain(one)
    return found


def _kind_of(value: object) -> str:
    """Stands for a value that has no data of its own, such as a client: its kind, never its address."""
    return f"<{type(value).__module__}.{type(value).__qualname__}>"
