"""The planner that a model is: it writes lines, and each becomes a step of the plan while it writes the next.

A line that can't be read breaks the plan off. The steps before it run on, and meanwhile the model is told what is wrong and asked
for the rest. It gets so many tries as the caller says; then the planner fails with the `LineError`, and whoever asked it goes on
without.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.graph import Add, Node, Trace
from headway.methods.plan.line_grammar import line_grammar
from headway.methods.plan.lines import LineError, Use, read_plan
from headway.methods.plan.so_far import Line, SoFar, planner_prompt
from headway.models.ask import AnyModel
from headway.models.requests import Prompt, Sampling
from headway.models.streaming import stream
from headway.tools.tool import Tool

PlanPrompt = Callable[[SoFar, Sequence[Tool]], Prompt]
"""What a planner is asked, made of how far the work has come and the tools."""

LinePlanner = Callable[[SoFar, Trace[Use]], AsyncGenerator[Add[Use], None]]


def write_lines(
    model: AnyModel,
    tools: Sequence[Tool],
    *,
    prompt: PlanPrompt = planner_prompt,
    mends: int = 1,
    grammar: int = 0,
    sampling: Sampling | None = None,
) -> LinePlanner:
    """Make a planner of a model that writes numbered lines.

    Args:
        model: the model.
        tools: what a line may call.
        prompt: what the model is asked; by default a conversation that explains the form.
        mends: how often it is asked again in a row for the rest of a plan that broke off.
        grammar: hold it to plans that can be read, of so many lines at most: for a `models.Local`. 0 holds it to nothing.
        sampling: how it is asked: see `models.Sampling`.

    Returns:
        The `planner=` of `execute`. Its goal is a `SoFar`. Steps that an earlier round has done are no steps of this one's plan:
        what refers to them needs none. It fails with `LineError` where the plan can't be read to its end.

    Raises:
        UsageError: settings that make no sense.
    """
    settings.function("write_lines", prompt=prompt)
    settings.whole_number("write_lines", mends=mends, grammar=grammar)
    options: dict[str, Any] = {**(sampling or {})}
    if taken := {"n", "tools", "tool_choice", "schema"} & options.keys():
        raise UsageError(f"write_lines: sampling has {', '.join(sorted(taken))}, which a planner of lines does not take")

    async def planner(goal: SoFar, trace: Trace[Use]) -> AsyncGenerator[Add[Use], None]:
        """Write the lines of one round."""
        told = goal
        for tries_left in reversed(range(mends + 1)):
            try:
                async for step in _write(model, tools, told, prompt, {**options, **_held(tools, grammar, told)}):
                    told = replace(told, lines=(*told.lines, Line(step.node.id, step.node.does.said, runs=True)))
                    yield _without_needs_of(step, goal)
                return
            except LineError as error:
                if not tries_left:
                    raise
                told = replace(told, fault=str(error))

    return planner


async def _write(
    model: AnyModel, tools: Sequence[Tool], told: SoFar, prompt: PlanPrompt, options: Mapping[str, Any]
) -> AsyncGenerator[Add[Use], None]:
    """Ask the model once, and read what it writes."""
    lost = [line.id for line in told.lines if line.error]
    texts = _texts(model, prompt(told, tools), options)
    async with aclosing(read_plan(texts, tools, [line.id for line in told.lines], lost)) as steps:
        async for step in steps:
            yield step


async def _texts(model: AnyModel, asked: Prompt, options: Mapping[str, Any]) -> AsyncGenerator[str, None]:
    async with aclosing(stream(model, asked, **options)) as pieces:
        async for piece in pieces:
            yield piece.text


def _held(tools: Sequence[Tool], lines: int, told: SoFar) -> dict[str, Any]:
    """The options that hold a model to so many lines, numbered on from those that are there."""
    if not lines:
        return {}
    first = 1 + max((int(line.id) for line in told.lines if line.id.isdecimal()), default=0)
    return {"extra": {"grammar": line_grammar(tools, lines=lines, first=first)}}


def _without_needs_of(step: Add[Use], goal: SoFar) -> Add[Use]:
    """The step without needs of what was done in earlier rounds, whose results are there."""
    done = {line.id for line in goal.lines}
    node = step.node
    return Add(Node(node.id, node.does, tuple(need for need in node.needs if need.step not in done)))
