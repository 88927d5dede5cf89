"""What is said in a conversation: messages, their parts, the tools that a model may ask for, and what it asks of them.

    models.Message("user", (models.Text("What is on this picture?"), models.Image(png, "image/png")))
    models.ToolSpec("area", "The area of a country in km2.", {"type": "object", "properties": {"country": {"type": "string"}}})
    models.ToolCall("call_1", "area", '{"country": "Italy"}')

Records are frozen and hold nothing but data. No backend is known here: `openai` says them on the wire, `local` in a prompt.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Text:
    """Text, as a part of a message.

    Attributes:
        text: what it says.
    """

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """A picture, as a part of a message: its bytes, or where it is.

    Attributes:
        data: the file's bytes; empty where there is a `url`.
        media_type: what they are, as "image/png".
        url: where the server finds it.
        detail: how closely the server looks: "auto", "low" or "high".
    """

    data: bytes = b""
    media_type: str = "image/png"
    url: str = ""
    detail: Literal["auto", "low", "high"] = "auto"


@dataclass(frozen=True, slots=True)
class Audio:
    """A sound, as a part of a message.

    Attributes:
        data: the file's bytes.
        kind: what they are: "wav" or "mp3".
    """

    data: bytes
    kind: Literal["wav", "mp3"] = "wav"


Part = Text | Image | Audio


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What a model asks of a tool.

    Attributes:
        id: what the answer names it by.
        name: the tool's name, as the model wrote it: there may be no such tool.
        arguments: JSON as the model wrote it. It may be invalid, or cut off.
    """

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as a model is told of it.

    Attributes:
        name: up to 64 of the characters A-Z, a-z, 0-9, `_` and `-`.
        description: what it does, for the model.
        parameters: the JSON schema of its arguments, an object.
        strict: whether the server is to hold the model to the schema, where it can.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})
    strict: bool = False

    def __headway_key__(self) -> object:
        return ("tool", self.name, self.description, _json_of(self.parameters), self.strict)


@dataclass(frozen=True, slots=True)
class Schema:
    """The form that an answer must have.

    Attributes:
        name: what the server calls it: as the name of a tool.
        schema: JSON schema.
        strict: whether the server is to hold the model to it, where it can.
    """

    name: str
    schema: Mapping[str, Any]
    strict: bool = True

    def __headway_key__(self) -> object:
        return ("schema", self.name, _json_of(self.schema), self.strict)


def _json_of(schema: Mapping[str, Any]) -> str:
    """A schema as one text, for keys: a catalogue has thousands of values, and each turn names all of them."""
    return json.dumps(schema, sort_keys=True, default=dict)


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    Attributes:
        role: "system", "user", "assistant" or "tool".
        content: what was said: text, or parts.
        calls: what an assistant asked of tools.
        call_id: the `ToolCall.id` that a tool's message answers.
        name: the tool that a tool's message is from; elsewhere who speaks.
        thoughts: what an assistant thought before it said this. Some servers want it back in the next turn.
    """

    role: Role
    content: str | tuple[Part, ...] = ""
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""
    name: str = ""
    thoughts: str = ""

    @property
    def text(self) -> str:
        """The text of the content.

        >>> Message("user", (Text("What is "), Image(url="https://…/1.png"), Text("this?"))).text
        'What is this?'
        """
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if isinstance(part, Text))
