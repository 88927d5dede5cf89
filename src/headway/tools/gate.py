"""What decides about a turn's calls before any of them starts: the place where guards stand.

    results = await tools.run_calls(offered, calls, gate=watch)

A gate sees all calls of a turn at once, in the model's order and with arguments that fit. It may make calls of its own, such as
asking a model to judge. What it decides it must decide by recorded things alone, so that a resumed run decides the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from headway.models.messages import ToolCall
from headway.tools.results import ToolResult
from headway.tools.tool import Tool


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that a model asks for, and that could be made.

    Attributes:
        call: what the model asked.
        tool: the tool.
        values: the arguments as the tool takes them.
    """

    call: ToolCall
    tool: Tool
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pass:
    """What a gate decides about a call.

    Attributes:
        what: "run" it, "ask" a person first, or "refuse" it.
        why: why it is refused, for the model.
    """

    what: Literal["run", "ask", "refuse"] = "run"
    why: str = ""


class Gate(Protocol):
    """What decides about the calls of one agent, turn by turn."""

    async def admit(self, asked: Sequence[Asked]) -> Sequence[Pass]:
        """Decide about each call of a turn, before any of them starts.

        Args:
            asked: the calls, in the model's order.

        Returns:
            A decision for each.
        """

    def show(self, tool: Tool, result: ToolResult) -> ToolResult:
        """Change what a model is shown of a result.

        Args:
            tool: the tool that gave it.
            result: the result.

        Returns:
            The result to be shown; the same where nothing is to be changed.
        """


async def admit_all(gate: Gate | None, asked: Sequence[Asked]) -> Sequence[Pass]:
    """What a gate says, and that every call is run where there is none."""
    if gate is None or not asked:
        return [Pass()] * len(asked)
    passes = await gate.admit(asked)
    if len(passes) != len(asked):
        raise ValueError(f"{gate!r:.80} gave {len(passes)} decisions about {len(asked)} calls")
    return passes
