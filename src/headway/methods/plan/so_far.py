"""What a planner and a joiner are told of a plan that has run: its lines, what they gave, and what is wanted now.

Prompts are made of it by plain functions, so that a model which was trained on another form is told in its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headway.models.messages import Message
from headway.tools.results import Unshowable, as_json, show
from headway.tools.tool import Tool

MOST_BYTES = 4096
"""How much of a result a planner or a joiner is shown, in bytes of UTF-8."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a plan, and what came of it.

    Attributes:
        id: its number.
        said: the call as the planner wrote it.
        value: what it gave.
        error: why it gave nothing: how it failed, or that it never began; empty where it did give something.
        runs: whether it has not ended yet.
    """

    id: str
    said: str
    value: Any = None
    error: str = ""
    runs: bool = False

    @property
    def has_value(self) -> bool:
        """Whether it has ended with a result."""
        return not self.error and not self.runs

    def __str__(self) -> str:
        return (
            f"{self.id}. {self.said} -> {'(it runs)' if self.runs else f'({self.error})' if self.error else show_value(self.value)}"
        )


@dataclass(frozen=True, slots=True)
class SoFar:
    """How far the work on a question has come.

    Attributes:
        question: the question.
        lines: what was planned so far, in the order of the plan.
        thought: why the joiner wants more.
        fault: what was wrong with the plan, where it broke off.
        last: whether there will be no further round: what is planned now must do.
    """

    question: str
    lines: tuple[Line, ...] = ()
    thought: str = ""
    fault: str = ""
    last: bool = False


def show_value(value: Any) -> str:
    """A result as a model is shown it; what can't be shown is named by its type."""
    try:
        shown = show(value, MOST_BYTES)
    except Unshowable:
        return f"a {type(value).__name__}"
    return (
        shown if isinstance(shown, str) else " ".join(getattr(part, "text", f"<{type(part).__name__.lower()}>") for part in shown)
    )


def say_tool(tool: Tool) -> str:
    """A tool as a planner is told of it: how it is called, and what it does.

    Example:
        >>> from headway import tools
        >>> @tools.tool
        ... async def area(country: str, unit: str = "km2") -> float:
        ...     '''The area of a country.'''
        >>> say_tool(area)
        'area(country: string, unit: string = "km2"): The area of a country.'
    """
    schema = tool.spec.parameters
    taken = [_say_parameter(name, each, name in schema.get("required", ())) for name, each in schema.get("properties", {}).items()]
    return f"{tool.name}({', '.join(taken)}): {' '.join(tool.spec.description.split())}"


def _say_parameter(name: str, schema: Mapping[str, Any], required: bool) -> str:
    kind = " | ".join(map(_quote, schema["enum"])) if "enum" in schema else str(schema.get("type", "any"))
    if kind == "array" and "type" in schema.get("items", {}):
        kind = f"array of {schema['items']['type']}"
    default = "" if required else f" = {_quote(schema.get('default'))}"
    return f"{name}: {kind}{default}"


def _quote(value: Any) -> str:
    return as_json(value)


_RULES = """You plan how a question is answered with tools. Write a plan of numbered lines, each with one call of a tool:

1. tool("text", 2)
2. tool($1)
join()

- $1 stands for the result of line 1. A line refers to lines before it, and to no others.
- Lines that don't refer to each other run at the same time. So refer to a line only where you need its result.
- Arguments are data: texts in quotes, numbers, lists, and $ with a number. Nothing is computed in them.
- The last line is join(). Write nothing after it. A line that begins with Thought: is for yourself.

The tools:
{tools}"""


def planner_prompt(so_far: SoFar, tools: Sequence[Tool]) -> list[Message]:
    """What a planner is asked, as a conversation, after the idea of LLMCompiler's prompts.

    Args:
        so_far: the question, and what was done for it.
        tools: what a line may call.

    Returns:
        The messages.
    """
    said = [so_far.question]
    if so_far.lines:
        following = 1 + max((int(line.id) for line in so_far.lines if line.id.isdecimal()), default=0)
        said.append("This was done already:\n" + "\n".join(map(str, so_far.lines)))
        said.append(f"Don't repeat what was done: refer to its results. Go on with line {following}.")
    if so_far.thought:
        said.append(f"Thought: {so_far.thought}")
    if so_far.fault:
        said.append(f"The plan broke off. {so_far.fault}")
    rules = _RULES.format(tools="\n".join(f"- {say_tool(tool)}" for tool in tools))
    return [Message("system", rules), Message("user", "\n\n".join(said))]
