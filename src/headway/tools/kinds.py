"""Types as JSON schema, and JSON as those types: msgspec's, and what pydantic knows besides.

pydantic is never imported here: who uses its models has done so.
"""

from __future__ import annotations

import sys
import typing
from collections.abc import Mapping
from typing import Any

import msgspec

from headway.engine.identity.signature import Unkeyed
from headway.errors import UsageError

_REFS = "#/$defs/{name}"


class Kinds:
    """The types of one function's parameters."""

    def __init__(self) -> None:
        self._adapters: dict[Any, Any] = {}  # pydantic's, by the type that stands for what it reads
        self._defs: dict[str, Any] = {}  # of pydantic's schemas

    def describe(self, hint: Any, where: str, said: str) -> Any:
        """The hint as a field of the record has it, with its description. Raises UsageError where it has no schema."""
        base, meta, own = _split(hint)
        said = own or said
        base = self._readable(base, where)
        meta = (*meta, msgspec.Meta(description=said)) if said and not any(each.description for each in meta) else meta
        for mark in meta:
            base = typing.Annotated[base, mark]
        return base

    def _readable(self, hint: Any, where: str) -> Any:
        """The hint itself where msgspec reads it, else a type that stands for it and is read by pydantic."""
        try:
            msgspec.json.schema(hint, schema_hook=self._of_pydantic)
            msgspec.json.Decoder(hint, dec_hook=self.decode)
        except Exception as error:  # msgspec raises TypeError, and others for hints that are none
            if (adapter := _adapter(hint)) is None:
                raise UsageError(f"{where} has no JSON schema: {_shorten(hint)} ({error})") from None
        else:
            return hint
        stands = _Adapted("Adapted", (), {})
        self._adapters[stands] = adapter
        return stands

    def schema_of(self, record: type[msgspec.Struct], defaults: Mapping[str, Any]) -> dict[str, Any]:
        """The schema of the whole record, an object, not a reference to one."""
        (root,), defs = msgspec.json.schema_components((record,), schema_hook=self._of_pydantic, ref_template=_REFS)
        name = root["$ref"].rpartition("/")[2]
        schema = {key: value for key, value in defs.pop(name).items() if key != "title"}
        for parameter, default in defaults.items():
            said = schema["properties"][parameter]
            if (value := _plain(default)) is not _NOTHING:
                said.setdefault("default", value)
        if used := {**defs, **self._defs}:
            schema["$defs"] = used
        return schema

    def decode(self, kind: Any, value: Any) -> Any:
        """What pydantic makes of a value of JSON. msgspec calls it for types that it does not know."""
        adapter = self._adapters.get(kind) or _adapter(kind)
        if adapter is None:
            raise NotImplementedError(kind)
        try:
            return adapter.validate_json(msgspec.json.encode(value))
        except ValueError as error:
            raise ValueError(_explain(error)) from None

    def _of_pydantic(self, kind: Any) -> dict[str, Any]:
        adapter = self._adapters.get(kind) or _adapter(kind)
        if adapter is None:
            raise NotImplementedError(kind)
        schema: dict[str, Any] = adapter.json_schema(ref_template=_REFS.replace("name", "model"))
        defs = schema.pop("$defs", {})
        if any(self._defs.get(name, each) != each for name, each in defs.items()):  # another type of this name
            suffix = f"_{len(self._defs)}"
            schema = adapter.json_schema(ref_template=_REFS.replace("{name}", "{model}" + suffix))
            defs = {name + suffix: each for name, each in schema.pop("$defs").items()}
        self._defs.update(defs)
        return schema


class _Adapted(type):
    """A class that stands for what pydantic reads: whatever it reads counts as one."""

    def __instancecheck__(cls, instance: object) -> bool:
        return True


_NOTHING: Any = object()


def _split(hint: Any) -> tuple[Any, tuple[msgspec.Meta, ...], str]:
    """A hint's type, its bounds, and a text that describes it."""
    if typing.get_origin(hint) is not typing.Annotated:
        return hint, (), ""
    base, *marks = typing.get_args(hint)
    said = next((mark for mark in marks if isinstance(mark, str)), "")
    metas = tuple(mark for mark in marks if isinstance(mark, msgspec.Meta))
    others = [mark for mark in marks if not isinstance(mark, str | msgspec.Meta | Unkeyed)]
    for mark in others:  # pydantic's
        base = typing.Annotated[base, mark]
    return base, metas, said


def _adapter(hint: Any) -> Any:
    """pydantic's reader of a type that mentions one of its own, where the program has loaded pydantic."""
    pydantic = sys.modules.get("pydantic")
    if pydantic is None or not _mentions_pydantic(hint, pydantic, set()):
        return None
    try:
        return pydantic.TypeAdapter(hint)
    except Exception:  # it raises errors of several classes for types that it can't describe
        return None


def _mentions_pydantic(hint: Any, pydantic: Any, seen: set[int]) -> bool:
    if id(hint) in seen:
        return False
    seen.add(id(hint))
    if isinstance(hint, type) and issubclass(hint, pydantic.BaseModel):
        return True
    if hasattr(hint, "__pydantic_core_schema__") or type(hint).__module__.partition(".")[0] in ("pydantic", "annotated_types"):
        return True
    return any(_mentions_pydantic(part, pydantic, seen) for part in typing.get_args(hint))


def _explain(error: ValueError) -> str:
    """pydantic's errors in one line."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    return "; ".join(f"{'.'.join(map(str, each['loc'])) or 'it'}: {each['msg']}" for each in errors()[:5])


def _plain(value: Any) -> Any:
    """A default as a value of JSON, or nothing."""
    try:
        return msgspec.json.decode(msgspec.json.encode(value))
    except (TypeError, ValueError, msgspec.MsgspecError):
        return _NOTHING


def _shorten(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else f"{hint!s:.100}"
