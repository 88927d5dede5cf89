"""What a model can do besides answering text, and the refusal of what it can't, before anything is sent or paid.

A model says it in its attribute `abilities`: `abilities = frozenset({"tools", "schema"})`. One that says nothing can do nothing of
the kind: what it does not know it would ignore, and nobody would see it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

from headway.errors import UsageError
from headway.models.base import BatchModel, Model, Request
from headway.models.messages import Audio, Image

Ability = Literal["tools", "schema", "images", "audio", "names", "top_logprobs", "continues", "extra", "headers"]

ALL: frozenset[Ability] = frozenset(get_args(Ability))
"""What the OpenAI protocol has words for."""

_WAYS_OUT: dict[Ability, str] = {
    "tools": "takes no tools, nor messages about them",
    "schema": "can't be held to a schema: models.answer tells it the form in the prompt, and checks what it writes",
    "images": "sees no images",
    "audio": "hears no sounds",
    "names": "does not tell who speaks in a message: leave its name out",
    "top_logprobs": "does not tell the likeliest tokens: leave top_logprobs out",
    "continues": "does not go on with an assistant's message: leave continues out",
    "extra": "takes no extra fields",
    "headers": "is asked without headers",
}


def abilities_of(model: Model | BatchModel) -> frozenset[Ability]:
    """What a model says that it can do."""
    return frozenset(getattr(model, "abilities", ()))


def check_abilities(model: Model | BatchModel, request: Request) -> None:
    """Raises UsageError for what a request asks and its model can't do: by what it says of itself, and by its `check`."""
    able = abilities_of(model)
    for ability in needed_abilities(request):
        if ability not in able:
            raise UsageError(f"{model.name} {_WAYS_OUT[ability]}. (A model of yours that can says abilities = {{{ability!r}}}.)")
    if (check := getattr(model, "check", None)) is not None:
        check(request)


def needed_abilities(request: Request) -> Iterator[Ability]:
    """What a request asks of a model besides answering text."""
    if request.tools:
        yield "tools"
    if request.schema is not None:
        yield "schema"
    if request.top_logprobs:
        yield "top_logprobs"
    if request.continues:
        yield "continues"
    if request.extra:
        yield "extra"
    if request.headers:
        yield "headers"
    if isinstance(request.prompt, str):
        return
    for message in request.prompt:
        if message.role == "tool" or message.calls:
            yield "tools"
        if message.name and message.role != "tool":
            yield "names"
        for part in () if isinstance(message.content, str) else message.content:
            if isinstance(part, Image):
                yield "images"
            elif isinstance(part, Audio):
                yield "audio"
