"""An answer of a type: a model is held to the form, what it writes is read by the type, and mended once.

    city = await models.answer(model, "Which city is the capital of Italy?", City)     # a City, or one ModelError that says why not

A model that can be held to a schema is: a server by its own means (`Request.schema`), a `Local` by a grammar. Another one is told
the form in the prompt. Whoever wrote it, an answer counts when the type reads it. A wrong one is shown to the model once, with what
is wrong; that is a call of its own, paid and recorded like the first. Only a model that was merely told is read with tolerance (a
fence around the JSON, text before it): a server that was to hold the form and did not is worth hearing of.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypedDict, TypeVar, Unpack, overload

from headway.engine.handle import Handle
from headway.errors import ModelError, UsageError
from headway.models.abilities import abilities_of, check_abilities
from headway.models.ask import AnyModel, begin
from headway.models.base import BatchModel, Model, Request, Sample, identity_of
from headway.models.limits import LimitedModel
from headway.models.messages import Message, Text
from headway.models.requests import Prompt, make_request
from headway.models.structured.forms import Form, FormError, form_of
from headway.task import task

T = TypeVar("T")
SHOWN = 200  # characters of a wrong answer in an error


class Answering(TypedDict, total=False):
    """How to sample an answer: those options of `Sampling` that leave one answer whole.

    Attributes:
        max_tokens: how long it may get, in tokens (256).
        temperature: how far samples spread; 0 takes the likeliest token (1.0).
        top_p: the share of probability that is sampled from (1.0).
        seed: what it is drawn from; None draws anew.
        extra: further fields of the body, for servers that know them.
        headers: further headers; no part of the key, and not recorded.
    """

    max_tokens: int
    temperature: float
    top_p: float
    seed: int | None
    extra: Mapping[str, Any]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """What is asked, and what names it: the model, the request, the form."""

    identity: object
    request: Request
    form: Form[T]
    model: AnyModel = field(compare=False, repr=False)
    told: bool  # the form is only told in the prompt

    def __headway_label__(self) -> str:
        return f"{self.model.name}, {self.form.schema.name}"


@overload
def answer(model: AnyModel, prompt: Prompt, schema: type[T] | Form[T], **options: Unpack[Answering]) -> Handle[T]: ...
@overload
def answer(model: AnyModel, prompt: Prompt, schema: Any, **options: Unpack[Answering]) -> Handle[Any]: ...
def answer(model: AnyModel, prompt: Prompt, schema: Any, **options: Unpack[Answering]) -> Handle[Any]:
    """Ask a model for a value of a type. A call of the current run; outside of a run just the value, to be awaited as well.

    Args:
        model: the model, as for `sample`.
        prompt: the messages of a conversation to answer, or a text to continue, as for `sample`.
        schema: the type: a dataclass, a msgspec struct, a typed dictionary, a pydantic model, a builtin type as `list[int]`, an
            enumeration, a union.
        **options: see `Answering`.

    Returns:
        The call. Its result is the value. Each request to the model is a call below it.

    Raises:
        UsageError: at the call, for a type whose values have no form in JSON, and what `sample` raises there.
        ModelError: on await. The model refused, was cut off at `max_tokens`, or wrote something else twice; and as `sample` does.

    Example:
        >>> from dataclasses import dataclass
        >>> from headway import models
        >>> @dataclass
        ... class Sum:
        ...     total: int
        >>> class Careless:  # can't be held to a schema, so it is told the form
        ...     name = "careless"
        ...     async def stream(self, request):
        ...         wrong = len(request.prompt) == 1
        ...         yield models.Piece('{"total": "five"}' if wrong else '{"total": 5}', finish="stop", tokens=5)
        >>> @hw.task
        ... async def program() -> Sum:
        ...     return await models.answer(Careless(), [{"role": "user", "content": "2 + 3?"}], Sum)
        >>> hw.run(program, store=None)
        Sum(total=5)
    """
    if unknown := options.keys() - Answering.__annotations__.keys():
        raise UsageError(f"models.answer takes no {', '.join(sorted(unknown))}; it takes {', '.join(Answering.__annotations__)}")
    form = schema if isinstance(schema, Form) else form_of(schema)
    request = make_request(prompt, **options)
    plain: Model | BatchModel | LimitedModel = model
    while isinstance(plain, LimitedModel):
        plain = plain.model
    told = "schema" not in abilities_of(plain)
    request = _tell_form(request, form) if told else replace(request, schema=form.schema)
    check_abilities(plain, request)
    return answer_once(Question(identity_of(plain), request, form, model, told))


@task(name="models.answer")
async def answer_once(asked: Question[T]) -> T:
    """Ask, read, and ask once more where that fails."""
    first = await _write(asked, asked.request)
    try:
        return _read(asked, first)
    except FormError as error:
        wrong = error
    second = await _write(asked, _show_fault(asked, first.text, str(wrong)))
    try:
        return _read(asked, second)
    except FormError as error:
        ignored = "" if asked.told else ". Its server may ignore schemas"
        raise ModelError(
            f"{asked.model.name} gave no {asked.form.schema.name} in two attempts: it wrote {second.text[:SHOWN]!r}, and "
            f"{error}{ignored}"
        ) from None


async def _write(asked: Question[T], request: Request) -> Sample:
    """What the model writes. Raises ModelError where that is no whole answer."""
    one = (await begin(asked.model, request)).samples[0]
    name = asked.model.name
    if one.finish == "filter":
        raise ModelError(f"{name}: a content filter of the server cut the answer off")
    if one.finish == "tool" or one.calls:
        raise ModelError(f"{name} asked for a tool instead of answering ({one.said or one.calls[0].name})")
    if one.finish == "length":
        try:
            asked.form.read(one.text)
        except FormError:
            raise ModelError(
                f"{name}: the answer was cut off at max_tokens={request.max_tokens}: give it more. It began {one.text[:SHOWN]!r}"
            ) from None
    return one


def _read(asked: Question[T], one: Sample) -> T:
    return asked.form.read_tolerant(one.text) if asked.told else asked.form.read(one.text)


def _tell_form(request: Request, form: Form[Any]) -> Request:
    """A request with the form told in its prompt."""
    said = f"Answer with JSON alone, of this JSON schema:\n{json.dumps(form.schema.schema, ensure_ascii=False)}"
    prompt = request.prompt
    if isinstance(prompt, str):
        return replace(request, prompt=f"{prompt}\n\n{said}\n")
    *before, last = prompt
    if last.role != "user":
        return replace(request, prompt=(*prompt, Message("user", said)))
    content = f"{last.content}\n\n{said}" if isinstance(last.content, str) else (*last.content, Text(f"\n\n{said}"))
    return replace(request, prompt=(*before, replace(last, content=content)))


def _show_fault(asked: Question[Any], wrong: str, fault: str) -> Request:
    """The request again, with what was answered and what is wrong with it."""
    schema = json.dumps(asked.form.schema.schema, ensure_ascii=False)
    said = f"That is not what was asked for: {fault}\nAnswer again, with JSON alone, of this JSON schema:\n{schema}"
    prompt = asked.request.prompt
    if isinstance(prompt, str):
        return replace(asked.request, prompt=f"{prompt}{wrong}\n\n{said}\n")
    shown = (Message("assistant", wrong),) if wrong else ()
    return replace(asked.request, prompt=(*prompt, *shown, Message("user", said)))
