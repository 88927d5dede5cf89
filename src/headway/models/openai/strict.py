"""The strict form of a schema, in which servers promise to keep to it.

Every property is required and no other is allowed. What was optional may be null instead, so a null that the schema itself does not
allow stands for what was left out. Calls of strict tools are collected without such nulls; `drop_nulls` does the same for answers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from headway.errors import UsageError

_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_TABLES = ("$defs", "definitions")
_NULL = {"type": "null"}


def strict_form(schema: Mapping[str, Any], what: str, *, needed: bool = False) -> dict[str, Any]:
    """A schema in its strict form.

    Args:
        schema: JSON schema.
        what: what it describes, for the error.
        needed: whether the server takes no other form. Where it does, a schema that has no strict form stays as it is.

    Returns:
        The strict form.

    Raises:
        UsageError: it has none, and one is needed.

    Example:
        >>> strict_form({"type": "object", "properties": {"k": {"type": "integer"}}}, "the tool find")["properties"]
        {'k': {'anyOf': [{'type': 'integer'}, {'type': 'null'}]}}
    """
    try:
        made: dict[str, Any] = _strict(schema, "$")
        return made
    except _HasNone as why:
        if needed:
            raise UsageError(f"{what}: {why}, which the strict form can't say: give strict=False") from None
        return dict(schema)


class _HasNone(Exception):
    """A schema that has no strict form."""


def _strict(schema: Any, where: str) -> Any:
    if not isinstance(schema, Mapping):
        return schema
    made = dict(schema)
    for name in _LISTS:
        if isinstance(made.get(name), list):
            made[name] = [_strict(one, f"{where}.{name}[{at}]") for at, one in enumerate(made[name])]
    for name in _TABLES:
        if isinstance(made.get(name), Mapping):
            made[name] = {key: _strict(one, f"{where}.{name}.{key}") for key, one in made[name].items()}
    if "items" in made:
        made["items"] = _strict(made["items"], f"{where}[]")
    if made.get("type") == "object" or "properties" in made:
        _close(made, where)
    return made


def _close(made: dict[str, Any], where: str) -> None:
    """Let an object have its properties and no others."""
    if made.get("additionalProperties") not in (None, False, True) or made.get("patternProperties"):
        raise _HasNone(f"{where} has properties of any name")
    given = made.get("properties") or {}
    if not given and made.get("additionalProperties") is True:
        raise _HasNone(f"{where} is any object")
    required = made.get("required") or ()
    made["properties"] = {
        name: _strict(one, f"{where}.{name}") if name in required else _or_null(_strict(one, f"{where}.{name}"))
        for name, one in given.items()
    }
    made["required"] = list(given)
    made["additionalProperties"] = False


def _or_null(schema: Any) -> Any:
    if allows_null(schema):
        return schema
    if not isinstance(schema, Mapping):
        return schema
    inner = {name: value for name, value in schema.items() if name != "default"}
    if isinstance(inner.get("anyOf"), list) and not inner.keys() - {"anyOf", "description", "title"}:
        return {**inner, "anyOf": [*inner["anyOf"], _NULL]}
    described = {name: inner.pop(name) for name in ("description", "title") if name in inner}
    return {"anyOf": [inner, _NULL], **described}


def allows_null(schema: Any) -> bool:
    """Whether a schema takes null.

    >>> allows_null({"type": ["string", "null"]}), allows_null({"type": "string"})
    (True, False)
    """
    if not isinstance(schema, Mapping):
        return bool(schema)
    kind = schema.get("type")
    if kind == "null" or (isinstance(kind, list) and "null" in kind) or None in (schema.get("enum") or ()):
        return True
    if "const" in schema:
        return schema["const"] is None
    if any(allows_null(one) for name in ("anyOf", "oneOf") for one in schema.get(name) or ()):
        return True
    return not schema.keys() & {"type", "enum", "anyOf", "oneOf", "allOf", "$ref", "properties"}


def drop_nulls(schema: Mapping[str, Any], value: Any) -> Any:
    """An answer in the strict form, with what was left out left out: nulls of properties that are optional and take none.

    Args:
        schema: the schema as it was before it was made strict.
        value: the answer, as JSON values.

    Returns:
        The answer as the schema has it.

    Example:
        >>> drop_nulls({"type": "object", "properties": {"k": {"type": "integer"}}}, {"k": None})
        {}
    """
    return _drop(schema, value, schema)


def drop_nulls_of(schema: Mapping[str, Any], text: str) -> str:
    """The same of JSON as a model wrote it. What holds no such nulls, and what is no JSON, stays as it is, to the letter.

    >>> drop_nulls_of({"type": "object", "properties": {"k": {"type": "integer"}}}, '{"k": null}')
    '{}'
    """
    try:
        value = json.loads(text)
    except ValueError:
        return text
    dropped = drop_nulls(schema, value)
    return text if dropped == value else json.dumps(dropped, ensure_ascii=False)


def _drop(schema: Any, value: Any, root: Mapping[str, Any]) -> Any:
    schema = _resolve(schema, root)
    if isinstance(value, list):
        return [_drop(schema.get("items"), one, root) for one in value]
    if not isinstance(value, dict):
        return value
    if not schema.get("properties"):
        options = [one for name in ("anyOf", "oneOf") for one in schema.get(name) or ()]
        fitting = [found for one in options if value.keys() <= ((found := _resolve(one, root)).get("properties") or {}).keys()]
        schema = fitting[0] if len(fitting) == 1 else {}
    properties, required = schema.get("properties") or {}, schema.get("required") or ()
    return {
        name: _drop(properties.get(name), one, root)
        for name, one in value.items()
        if not (one is None and name in properties and name not in required and not allows_null(_resolve(properties[name], root)))
    }


def _resolve(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema, or the one of this document that it refers to."""
    for _ in range(8):
        reference = schema.get("$ref") if isinstance(schema, Mapping) else None
        if not isinstance(reference, str) or not reference.startswith("#/"):
            break
        found: Any = root
        for name in reference[2:].split("/"):
            found = found.get(name) if isinstance(found, Mapping) else None
        schema = found
    return schema if isinstance(schema, Mapping) else {}
