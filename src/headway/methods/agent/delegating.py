"""Lets an agent give parts of its task to others, who work side by side, each with a share of what is left.

    await agent(model, [search, read, delegate(model, [search, read])], "Compare the ten largest countries of Africa")

The shares follow the rule of KISS: of n parts each gets 1/(n + 1) of what the budgets leave, and one share stays with the one who
gave them away, however deep they are nested.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Unpack, cast

import msgspec

from headway.engine.handle import Handle
from headway.engine.tasks.callables import describe_error
from headway.joins.gather import settle
from headway.methods import settings
from headway.methods.agent.loop import Settings, agent, check_settings, make_tools
from headway.methods.agent.shares import DELEGATES
from headway.methods.allocate.budgets.shares import child_budgets
from headway.models.ask import AnyModel
from headway.models.base import identity_of
from headway.models.limits import LimitedModel
from headway.models.messages import ToolSpec
from headway.scopes.budget import remaining
from headway.task import task
from headway.tools.faults import is_answer
from headway.tools.parameters import ToolArgumentsError
from headway.tools.tool import AnyTool, Labels, Tool

_DESCRIPTION = (
    "Give parts of your task to helpers who work on them at the same time, and get back what each found. A helper knows nothing "
    "but what you write for it: say all that it needs."
)
MOST = 16


@dataclass(frozen=True)
class Brief:
    """What helpers work with."""

    model: AnyModel
    tools: Sequence[Tool]
    settings: Settings = field(default_factory=lambda: Settings())

    def __headway_key__(self) -> object:
        plain: Any = self.model
        while isinstance(plain, LimitedModel):
            plain = plain.model
        kept = {name: value for name, value in self.settings.items() if name != "hear"}
        return ("brief", identity_of(plain), tuple(self.tools), kept)


def delegate(
    model: AnyModel,
    tools: Sequence[AnyTool],
    *,
    name: str = "delegate",
    description: str = _DESCRIPTION,
    most: int = MOST,
    depth: int = 1,
    **options: Unpack[Settings],
) -> Tool:
    """Make a tool by which a model gives parts of its task to helpers: agents of their own, side by side.

    Args:
        model: what the helpers are.
        tools: what they may use.
        name: what the tool is called.
        description: what the model is told of it.
        most: how many parts there may be at a time.
        depth: how deep it nests: helpers of a depth above 1 can delegate, too.
        **options: the helpers' settings, as for `agent`.

    Returns:
        The tool. It gives a list of texts, one for each part; of a helper that failed, why. Each part may spend 1/(n + 1) of what
        the budgets leave when n of them begin. A model may use it once in a turn.

    Raises:
        UsageError: settings that make no sense.

    Example:
        >>> from headway.methods.agent import delegate
        >>> from headway import models
        >>> delegate(models.open("openai:qwen3@http://localhost:8000/v1"), []).spec.parameters["required"]
        ['tasks']

    Source:
        KISS Sorcar, arXiv 2604.23822, for the shares.
    """
    settings.at_least_one("delegate", most=most, depth=depth)
    check_settings(options)
    made = make_tools(tools)
    if depth > 1:
        made.append(delegate(model, made, name=name, description=description, most=most, depth=depth - 1, **options))

    labels = Labels(any(each.labels.effect for each in made), any(each.labels.reads_untrusted for each in made))
    parameters = _PartsParameters(name, most, Brief(model, made, options))
    return Tool(ToolSpec(name, description, parameters.schema), labels, work_on_parts, parameters)


class _PartsParameters:
    """What a delegation takes: the parts, and what the helpers work with, which is not the model's to say."""

    def __init__(self, name: str, most: int, brief: Brief) -> None:
        self._name, self._most = name, most
        self.identity = (brief,)
        parts = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": most}
        self.schema = {"type": "object", "properties": {"tasks": parts}, "required": ["tasks"], "additionalProperties": False}

    def parse(self, arguments: str) -> dict[str, Any]:
        try:
            read = msgspec.json.decode(arguments, type=_Parts)
        except msgspec.DecodeError as error:
            raise ToolArgumentsError(f'{self._name}: {error}. Write {{"tasks": ["…"]}}.') from None
        if not 1 <= len(read.tasks) <= self._most:
            raise ToolArgumentsError(f"{self._name}: {len(read.tasks)} parts: at least one, at most {self._most} at a time.")
        return {"tasks": read.tasks}

    def place(self, values: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (*self.identity, values["tasks"]), {}


class _Parts(msgspec.Struct, forbid_unknown_fields=True):
    tasks: list[str]


@task(name=DELEGATES)
async def work_on_parts(brief: Brief, tasks: list[str]) -> list[str]:
    """Work on all parts side by side."""
    shares: Sequence[contextlib.AbstractContextManager[object]]
    shares = child_budgets(len(tasks)) if remaining() else [contextlib.nullcontext() for _ in tasks]
    begun: list[Handle[str]] = []
    for part, share in zip(tasks, shares, strict=True):
        with share:
            begun.append(work_on_part(brief, part))
    found = []
    for end in await settle(*begun):
        if end.error is not None and not is_answer(end.error):
            raise end.error
        found.append(cast("str", end.value) if end.error is None else f"This helper failed: {describe_error(end.error)}")
    return found


@task(name="agent.part")
async def work_on_part(brief: Brief, part: str) -> str:
    """Work on one part."""
    ended = await agent(brief.model, brief.tools, part, **brief.settings)
    if ended.why == "budget":
        return f"This helper's share of the budget was used up. It last said: {ended.text or 'nothing'}"
    return ended.text
