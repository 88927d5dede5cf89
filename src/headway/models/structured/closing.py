"""Turns a type's JSON schema into the narrow kind that servers hold a model to word by word.

OpenAI's strict mode wants objects that are closed and whose properties are all there, and knows few keywords. Both are no loss: a
model that must name every field can't forget one, and what it writes is read by the type anyway. `close_schema` gives that form,
and says whether strict mode takes it. This file knows no types and does no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

_BEYOND = frozenset(
    {"allOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "patternProperties", "propertyNames"}
    | {"prefixItems", "contains", "minContains", "maxContains", "unevaluatedProperties", "unevaluatedItems"}
    | {"uniqueItems", "minProperties", "maxProperties", "minLength", "maxLength", "contentEncoding", "contentMediaType"}
)
"""Keywords that strict mode refuses."""
_SAYING = frozenset({"type", "enum", "const", "$ref", "anyOf", "oneOf", "properties"})
"""Of these a schema has one, unless it takes anything."""
_OPENING = frozenset(
    {"additionalProperties", "patternProperties", "unevaluatedProperties", "allOf", "anyOf", "oneOf", "if", "then", "else", "$ref"}
)
"""Beside `properties`: of these each may say of others."""
_MAPS = ("properties", "$defs", "definitions")
_WHOLE = ("allOf", "enum", "const", "default", "examples")
"""What is joined (`allOf`) closes only as a whole, and values are no schemas."""
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})


def close_schema(schema: Mapping[str, Any]) -> tuple[Json, bool]:
    """A schema with its root in place of a reference to it, its objects closed and their properties required.

    A property that has no default and may be missing stays so: what is always there might never end.

    Args:
        schema: of a type, as msgspec or pydantic makes it.

    Returns:
        The schema, and whether strict mode takes it.

    Example:
        >>> close_schema({"type": "object", "properties": {"n": {"type": "integer", "default": 1}}})[0]
        {'type': 'object', 'properties': {'n': {'type': 'integer'}}, 'required': ['n'], 'additionalProperties': False}
        >>> close_schema({"type": "object", "additionalProperties": {"type": "integer"}})[1]
        False
    """
    return _close(_inline_root(schema))


def close_objects(schema: Any) -> Any:
    """A schema of anybody's with its objects closed, where nothing else in it might open them. What is required stays as it is.

    A small model that may add properties adds properties until its tokens end.

    Args:
        schema: a JSON schema.

    Returns:
        The schema.

    Example:
        >>> close_objects({"type": "object", "properties": {"n": {"type": "integer", "default": 1}}})
        {'type': 'object', 'properties': {'n': {'type': 'integer', 'default': 1}}, 'additionalProperties': False}
    """
    if isinstance(schema, list):
        return [close_objects(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    made: Json = {}
    for name, value in schema.items():
        if name in _MAPS and isinstance(value, Mapping):
            made[name] = {key: close_objects(each) for key, each in value.items()}
        else:
            made[name] = value if name in _WHOLE else close_objects(value)
    if isinstance(schema.get("properties"), Mapping) and not _OPENING & schema.keys():
        made["additionalProperties"] = False
    return made


def _inline_root(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Providers want an object at the root. References to it from below still hold, so recursive types do."""
    where = schema.get("$ref", "")
    for kept in ("$defs", "definitions"):
        name = where.removeprefix(f"#/{kept}/")
        if name != where and name in schema.get(kept, {}):
            rest = schema[kept]
            if not _mentions(rest, where):
                rest = {other: value for other, value in rest.items() if other != name}
            return {**schema[kept][name], **({kept: rest} if rest else {})}
    return schema


def _mentions(schema: Any, where: str) -> bool:
    if isinstance(schema, Mapping):
        return schema.get("$ref") == where or any(_mentions(value, where) for value in schema.values())
    return isinstance(schema, list) and any(_mentions(value, where) for value in schema)


def _close(schema: Any) -> tuple[Any, bool]:
    if not isinstance(schema, Mapping):
        return schema, schema is not True  # `True` takes anything
    made: Json = {}
    strict = bool(_SAYING & schema.keys()) and not _BEYOND & schema.keys() and schema.get("format", "date") in _FORMATS
    strict = strict and not ("$ref" in schema and schema.keys() - {"$ref", "$defs", "definitions", "default"})
    for name, value in schema.items():
        if name in _MAPS:
            made[name], inner = _close_map(value)
        elif name in _LISTS:
            made["anyOf" if name == "oneOf" else name], inner = _close_list(value)
        elif name in ("items", "additionalProperties") and isinstance(value, Mapping):
            made[name], inner = _close(value)
        else:
            made[name], inner = value, True
        strict = strict and inner
    if schema.get("type") == "object" or "properties" in schema:
        strict = _close_object(schema, made) and strict
    for name in ("default", "discriminator"):  # every property is there; and what a server is not told of it need not know
        made.pop(name, None)
    return made, strict


def _close_map(values: Mapping[str, Any]) -> tuple[Json, bool]:
    closed = {name: _close(value) for name, value in values.items()}
    return {name: value for name, (value, _) in closed.items()}, all(strict for _, strict in closed.values())


def _close_list(values: list[Any]) -> tuple[list[Any], bool]:
    closed = [_close(value) for value in values]
    return [value for value, _ in closed], all(strict for _, strict in closed)


def _close_object(schema: Mapping[str, Any], made: Json) -> bool:
    """Close an object in place. Whether strict mode takes it: not where it is a map of any names."""
    if "properties" not in schema:
        return schema.get("additionalProperties") is False
    needed = set(schema.get("required", ()))
    made["required"] = [name for name, value in schema["properties"].items() if name in needed or "default" in value]
    made.setdefault("additionalProperties", False)
    return made["additionalProperties"] is False and len(made["required"]) == len(schema["properties"])
