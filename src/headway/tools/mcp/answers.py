"""What an MCP server said, as records of ours, which the journal keeps. Nothing that a server says is trusted here."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headway.models.messages import Audio, Image, Part, Text

MOST_SCHEMA = 1 << 18  # bytes of a tool's schema; a larger one is not offered
MOST_DEPTH = 40
MOST_DESCRIPTION = 8192  # characters


@dataclass(frozen=True)
class Offer:
    """A tool that a server offers.

    Attributes:
        name: as the server has it.
        description: what it does, in the server's words.
        parameters: the JSON schema of its arguments.
        reads_only: whether the server says that it changes nothing.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    reads_only: bool


@dataclass(frozen=True)
class McpAnswer:
    """What a tool of a server gave.

    Attributes:
        content: texts, pictures and sounds, for the model.
        structured: the same as JSON, where the server gives it and it fits the tool's schema.
        is_error: whether the tool says that it failed.
        is_certain: whether it is known what came of the call. It is not where the connection broke, or the program died, in the
            middle of a call that may change something.
    """

    content: tuple[Part, ...] = ()
    structured: Any = None
    is_error: bool = False
    is_certain: bool = field(default=True, kw_only=True)

    @property
    def text(self) -> str:
        """The texts of the content."""
        return "\n".join(part.text for part in self.content if isinstance(part, Text))

    def __headway_show__(self) -> tuple[str | tuple[Part, ...], bool]:
        """What a model is shown of it."""
        if all(isinstance(part, Text) for part in self.content):
            return self.text, self.is_error
        return self.content, self.is_error


def make_error(text: str, *, is_certain: bool = True) -> McpAnswer:
    """An answer that is an error."""
    return McpAnswer((Text(text),), is_error=True, is_certain=is_certain)


def read_answer(result: Any) -> McpAnswer:
    """The SDK's `CallToolResult` as a record."""
    structured = result.structured_content
    return McpAnswer(tuple(map(_read_block, result.content or ())), structured, bool(result.is_error))


def _read_block(block: Any) -> Part:
    if block.type == "text":
        return Text(block.text)
    if block.type in ("image", "audio"):
        try:
            data = base64.b64decode(block.data, validate=True)
        except (binascii.Error, ValueError):
            return Text(f"[{block.type}: its bytes are no base64]")
        if block.type == "image":
            return Image(data, block.mime_type)
        kind = block.mime_type.partition("/")[2].removeprefix("x-")
        if kind in ("wav", "mp3", "mpeg"):
            return Audio(data, "wav" if kind == "wav" else "mp3")
        return Text(f"[audio: {len(data):,} bytes of {block.mime_type}]")
    if block.type == "resource_link":
        return Text(f"[resource {block.uri}]" + (f" {block.description}" if block.description else ""))
    if block.type == "resource":
        held = block.resource
        return Text(held.text if getattr(held, "text", None) is not None else f"[resource {held.uri}: {held.mime_type or 'bytes'}]")
    return Text(f"[{block.type}]")


def read_offer(tool: Any) -> Offer | str:
    """A tool of the SDK's list as a record, or why it can't be offered to a model."""
    schema = tool.input_schema
    if not isinstance(schema, dict) or schema.get("type", "object") != "object":
        return "the schema of its arguments is no object"
    if len(json.dumps(schema, ensure_ascii=False).encode()) > MOST_SCHEMA:
        return f"the schema of its arguments has more than {MOST_SCHEMA:,} bytes"
    if wrong := _find_wrong(schema, 0):
        return wrong
    description = (tool.description or tool.title or "")[:MOST_DESCRIPTION]
    hints = tool.annotations
    return Offer(tool.name, description, {"type": "object", **schema}, bool(hints is not None and hints.read_only_hint))


def _find_wrong(schema: Any, depth: int) -> str:
    """Why a schema is refused: it is too deep, or wants something from elsewhere."""
    if depth > MOST_DEPTH:
        return f"the schema of its arguments is more than {MOST_DEPTH} levels deep"
    parts = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    for name in ("$ref", "$dynamicRef"):
        reference = schema.get(name) if isinstance(schema, dict) else None
        if isinstance(reference, str) and not reference.startswith("#"):
            return f"the schema of its arguments refers to {reference!r:.80}, which is not part of it"
    for part in parts:
        if wrong := _find_wrong(part, depth + 1):
            return wrong
    return ""
