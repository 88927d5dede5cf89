"""What a client's JSON schema must be, before any library sees it.

It comes from anybody. A reference to another document would make a careless validator fetch it, and depth or size would keep the
server busy, so both are refused here, in words.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headway.errors import UsageError

MOST_DEPTH = 64
MOST_NODES = 10_000


def check_schema(schema: Any, what: str) -> dict[str, Any]:
    """A schema that is safe to read.

    Args:
        schema: what a client sent.
        what: what it describes, for the error.

    Returns:
        The same.

    Raises:
        UsageError: it is no object, refers to another document or to nowhere, or is too deep or too large.

    Example:
        >>> check_schema({"$ref": "https://example.com/s.json"}, "tools[0]")
        Traceback (most recent call last):
        headway.errors.UsageError: tools[0]: $ref 'https://example.com/s.json' leads out of the schema; only '#/…' is followed
    """
    if not isinstance(schema, dict):
        raise UsageError(f"{what}: its schema is no JSON object")
    references: list[str] = []
    for nodes, (value, depth) in enumerate(_walk(schema)):
        if depth > MOST_DEPTH:
            raise UsageError(f"{what}: its schema is nested deeper than {MOST_DEPTH} levels")
        if nodes > MOST_NODES:
            raise UsageError(f"{what}: its schema has more than {MOST_NODES:,} parts")
        for name in ("$ref", "$dynamicRef", "$recursiveRef"):
            if isinstance(value, dict) and isinstance(reference := value.get(name), str):
                references.append(reference)
    for reference in references:
        _check_reference(schema, reference, what)
    return schema


def depth_of(value: Any, most: int) -> int:
    """How deep a JSON value is nested, counted no further than `most` + 1.

    >>> depth_of([[], {"a": [1]}], 10), depth_of([[[[]]]], 2)
    (3, 3)
    """
    deepest = 0
    for _, depth in _walk(value):
        deepest = max(deepest, depth)
        if deepest > most:
            break
    return deepest


def _walk(value: Any) -> Iterator[tuple[Any, int]]:
    """Every object and list in a value, with its depth from 1 on. It keeps a list of its own: the value may be deep."""
    open_ones = [(value, 1)]
    while open_ones:
        value, depth = open_ones.pop()
        if isinstance(value, dict | list):
            yield value, depth
            parts = value.values() if isinstance(value, dict) else value
            open_ones += [(part, depth + 1) for part in parts if isinstance(part, dict | list)]


def _check_reference(schema: dict[str, Any], reference: str, what: str) -> None:
    if not reference.startswith("#"):
        raise UsageError(f"{what}: $ref {reference!r:.100} leads out of the schema; only '#/…' is followed")
    found: Any = schema
    for step in reference[1:].split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        found = found[int(name)] if isinstance(found, list) and name.isdecimal() and int(name) < len(found) else found
        found = found.get(name) if isinstance(found, dict) else found
        if found is None:
            raise UsageError(f"{what}: $ref {reference!r:.100} leads to nothing in the schema")
