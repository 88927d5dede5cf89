"""The parts of A-MapReduce, made from a model: an orchestrator, and sub-agents with and without tools.

    filled = await a_mapreduce(question, ask_orchestrator(model), agent_worker(model, [search, read]))

Models are held to a schema where they can be, and what they write is brought into the schema of the record in any case.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import msgspec

from headway.errors import ModelError, UsageError
from headway.methods.agent.loop import Settings, agent
from headway.methods.plan.matrix.amapreduce import Orchestrator
from headway.methods.plan.matrix.deciding import Batch, Field, Kind, Matrix, Strategy, describe_matrix, record_schema
from headway.methods.plan.matrix.filling import Worker
from headway.models.ask import AnyModel
from headway.models.messages import Message, Schema
from headway.models.structured.answering import Answering, answer
from headway.models.structured.closing import close_schema
from headway.models.structured.forms import Form
from headway.tools.tool import AnyTool

_DECIDE = """Make this question into a table of tasks that many helpers can work on at once.
rows: a list of tasks, each a list of the atoms that tell it from the others (such as one country).
template: the question that is asked of each row. __0__ stands for its first atom, __1__ for its second.
fields: what is wanted of each row, in order. kind: string, number, integer or boolean. slot: the number of the atom that the field
repeats, or null. Have one field repeat the atom by which a row is known.
strategy: per_atom gives each row a helper of its own; by_attr gives a helper all rows with an equal atom number attr; open gives a
helper chunk rows. More rows for a helper cost less and are answered less completely.

Question: {question}"""
_EXPERIENCE = "\n\nYour first draft was: {draft}\nExperience says:\n{hints}\nDecide again."
_FILL = """Answer every question below. Give a record for each, with the fields {fields}. Leave out no record; where you don't know
a value, write null.

{asked}"""
_AGAIN = "\n\nBefore, only these records came: {partial}\nGive those that are lacking{all}."


@dataclass
class DecidedField:
    """A field, as a model writes it."""

    name: str
    kind: Kind
    slot: int | None


@dataclass
class Decided:
    """A matrix, as a model writes it."""

    rows: list[list[str]]
    template: str
    fields: list[DecidedField]
    strategy: Strategy
    chunk: int
    attr: int


def ask_orchestrator(model: AnyModel, **options: Unpack[Answering]) -> Orchestrator:
    """An orchestrator that is a model.

    Args:
        model: any model, as for `models.answer`.
        **options: how it is asked.

    Returns:
        The part.

    Raises:
        ModelError: when the part is awaited. The model refused, or decided what makes no sense; it says why.

    Example:
        >>> from headway import models
        >>> from headway.methods.plan.matrix import ask_orchestrator
        >>> class Decisive:
        ...     name = "decisive"
        ...     async def stream(self, request):
        ...         fields = '[{"name": "area", "kind": "number", "slot": null}]'
        ...         decided = '{"rows": [["Italy"]], "template": "Area of __0__?", "fields": ' + fields
        ...         yield models.Piece(decided + ', "strategy": "per_atom", "chunk": 1, "attr": 0}', finish="stop", tokens=40)
        >>> import asyncio
        >>> asyncio.run(ask_orchestrator(Decisive())("How large is Italy?", (), None)).rows
        (('Italy',),)
    """

    async def orchestrate(question: str, hints: tuple[str, ...], draft: Matrix | None) -> Matrix:
        prompt = _DECIDE.format(question=question)
        if draft is not None:
            prompt += _EXPERIENCE.format(draft=describe_matrix(draft), hints="\n".join(f"- {hint}" for hint in hints))
        options.setdefault("max_tokens", 2048)
        said = await answer(model, [Message("user", prompt)], Decided, **options)
        try:
            fields = tuple(Field(each.name, each.kind, each.slot) for each in said.fields)
            rows = tuple(map(tuple, said.rows))
            return Matrix(rows, said.template, fields, said.strategy, max(1, said.chunk), said.attr)
        except UsageError as error:
            raise ModelError(f"{model.name} decided what makes no sense: {error}") from None

    return orchestrate


def model_worker(model: AnyModel, **options: Unpack[Answering]) -> Worker:
    """A sub-agent that is a model without tools, held to the schema of the records.

    Args:
        model: any model, as for `models.answer`.
        **options: how it is asked.

    Returns:
        The part.

    Example:
        >>> from headway import models
        >>> from headway.methods.plan.matrix import Field, Matrix, model_worker
        >>> from headway.methods.plan.matrix.deciding import cut_batches
        >>> class Knowing:
        ...     name = "knowing"
        ...     async def stream(self, request):
        ...         yield models.Piece('{"records": [{"area": 316}]}', finish="stop", tokens=9)
        >>> (batch,) = cut_batches(Matrix((("Malta",),), "Area of __0__?", (Field("area", "integer"),)))
        >>> import asyncio
        >>> asyncio.run(model_worker(Knowing())(batch))
        [{'area': 316}]
    """

    def work(batch: Batch) -> Awaitable[Sequence[Mapping[str, object]]]:
        asked: Answering = {"max_tokens": 64 + 128 * len(batch.rows), **options}
        return answer(model, [Message("user", describe_batch(batch))], _form_of(batch.fields), **asked)

    return work


def agent_worker(model: AnyModel, tools: Sequence[AnyTool], **options: Unpack[Settings]) -> Worker:
    """A sub-agent that is an agent with tools and a loop of its own.

    Args:
        model: any model that takes tools.
        tools: what it may use.
        **options: as for `methods.agent.agent`. By default 32 turns, as the authors have it.

    Returns:
        The part. Records are read from the JSON in what the agent says last.

    Example:
        >>> from headway import models, tools
        >>> from headway.methods.plan.matrix import Field, Matrix, agent_worker
        >>> from headway.methods.plan.matrix.deciding import cut_batches
        >>> @tools.tool
        ... async def look_up(country: str) -> dict[str, int]:
        ...     '''The area of a country in km2.'''
        ...     return {"area": 316}
        >>> class Asking:  # asks for the tool, and says what it gave
        ...     name, abilities = "asking", {"tools"}
        ...     async def stream(self, request):
        ...         told = [said.text for said in request.prompt if said.role == "tool"]
        ...         if told:
        ...             yield models.Piece(told[0], finish="stop", tokens=6)
        ...         else:
        ...             call = models.CallPiece(0, "a", "look_up", '{"country": "Malta"}')
        ...             yield models.Piece(calls=(call,), finish="tool", tokens=9)
        >>> (batch,) = cut_batches(Matrix((("Malta",),), "Area of __0__?", (Field("area", "integer"),)))
        >>> import asyncio
        >>> asyncio.run(agent_worker(Asking(), [look_up])(batch))
        [{'area': 316}]
    """

    async def work(batch: Batch) -> Sequence[Mapping[str, object]]:
        chosen: Settings = {"turns": 32, **options}
        said = await agent(model, tools, describe_batch(batch), **chosen)
        return read_records(said.value or "")

    return work


def describe_batch(batch: Batch) -> str:
    """What a sub-agent is told of a batch: its questions, its fields, and what was had before."""
    asked = batch.asked[0] if len(batch.asked) == 1 else "\n".join(f"{at}. {text}" for at, text in enumerate(batch.asked, 1))
    told = _FILL.format(fields=", ".join(each.name for each in batch.fields), asked=asked)
    if not batch.attempt:
        return told
    partial = json.dumps(list(batch.partial), ensure_ascii=False)
    return told + _AGAIN.format(partial=partial, all="" if batch.has_keys else ", and these again")


def read_records(text: str) -> list[dict[str, Any]]:
    """The records in what a model wrote: all JSON objects, also those in lists and in an object that only holds a list.

    Example:
        >>> read_records('Here: [{"a": 1}, {"a": 2}] and {"records": [{"a": 3}]}')
        [{'a': 1}, {'a': 2}, {'a': 3}]
    """
    found: list[dict[str, Any]] = []
    decoder, at = json.JSONDecoder(), 0
    while (at := min((place for mark in "[{" if (place := text.find(mark, at)) >= 0), default=-1)) >= 0:
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            at += 1
            continue
        found += _records_in(value)
    return found


def _records_in(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [record for each in value for record in _records_in(each)]
    if not isinstance(value, dict):
        return []
    if (
        len(value) == 1
        and isinstance(inside := next(iter(value.values())), list)
        and all(isinstance(each, dict) for each in inside)
    ):
        return _records_in(inside)
    return [value]


class _Records(msgspec.Struct):
    records: list[dict[str, Any]]


def _form_of(fields: Sequence[Field]) -> Form[Sequence[Mapping[str, object]]]:
    """The form of the records of some fields."""
    listed = {"type": "array", "items": record_schema(fields)}
    closed, strict = close_schema({"type": "object", "properties": {"records": listed}, "required": ["records"]})
    return Form(Schema("records", closed, strict), (), lambda text: msgspec.json.decode(text, type=_Records).records, None)
