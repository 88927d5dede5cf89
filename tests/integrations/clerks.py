"""Agents of pydantic-ai for the tests: their model is a function of the conversation, which writes down that it was asked."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel

from headway.integrations.pydantic_ai import HeadwayDurability

Calls = Sequence[tuple[str, dict[str, Any]]]
Script = Callable[[int, list[ModelMessage]], Calls | str]


def results(messages: list[ModelMessage]) -> list[Any]:
    """What tools have given so far, and what the model was asked to mend."""
    parts = [part for message in messages for part in message.parts]
    return [part.content for part in parts if isinstance(part, ToolReturnPart)]


def prompt(messages: list[ModelMessage]) -> Any:
    """The user's first words."""
    return next(part.content for message in messages for part in message.parts if isinstance(part, UserPromptPart))


def scripted(script: Script, seen: list[str]) -> FunctionModel:
    """A model that asks for what the script says in each turn; a text is its answer. `seen` gets a line for each turn."""

    def turn(messages: list[ModelMessage]) -> tuple[int, Calls | str]:
        number = sum(isinstance(message, ModelResponse) for message in messages)
        seen.append(f"turn {number}")
        return number, script(number, messages)

    async def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        number, said = turn(messages)
        if isinstance(said, str):
            return ModelResponse([TextPart(said)])
        return ModelResponse([ToolCallPart(name, args, f"call-{number}-{at}") for at, (name, args) in enumerate(said)])

    async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
        number, said = turn(messages)
        if isinstance(said, str):
            for word in said.split(" "):
                yield word + " "
            return
        for at, (name, args) in enumerate(said):
            yield {at: DeltaToolCall(name, json.dumps(args), tool_call_id=f"call-{number}-{at}")}

    return FunctionModel(answer, stream_function=stream, model_name="scripted")


def clerk(script: Script, seen: list[str], *, agent: dict[str, Any] | None = None, **options: Any) -> Agent[Any, Any]:
    """A durable agent with such a model."""
    return Agent(scripted(script, seen), name="clerk", capabilities=[HeadwayDurability(**options)], **(agent or {}))
