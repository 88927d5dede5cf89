"""One delegation a turn: its parts share what is left, and two at once would share it twice."""

from __future__ import annotations

from collections.abc import Sequence

from headway.models.messages import ToolCall
from headway.tools.results import ToolResult
from headway.tools.tool import Tool

DELEGATES = "agent.delegate"
"""The name of the task behind every tool that delegates."""
_REFUSED = "Not run: another call of this turn gives parts away, too. Put all parts into one call."


def keep_one_delegation(
    tools: Sequence[Tool], calls: Sequence[ToolCall], by: str = DELEGATES
) -> tuple[list[ToolCall], dict[int, ToolResult]]:
    """Split a turn's calls into those to run, and refusals of the others by their place in the turn. `by`: whose tools delegate."""
    delegating = {each.name for each in tools if each.task.name == by}
    kept: list[ToolCall] = []
    refused: dict[int, ToolResult] = {}
    for place, call in enumerate(calls):
        if call.name in delegating and any(other.name in delegating for other in kept):
            refused[place] = ToolResult(call, _REFUSED, is_error=True)
        else:
            kept.append(call)
    return kept, refused
