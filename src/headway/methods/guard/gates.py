"""Guards of an agent: settings that many agents share, and the gate that each agent gets of them.

    answer = await agent(model, offered, task, guards=[Separation(), Monitor(judge)])

A guard is frozen and names itself, so it may be part of a call's key. What one agent has done so far is in its gate alone, which is
made anew in each life of the program and hears of the same turns again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from headway.errors import UsageError
from headway.models.messages import Message
from headway.tools.gate import Asked, Gate, Pass
from headway.tools.results import ToolResult
from headway.tools.tool import Tool


class Guard(Protocol):
    """What can stand between a model and its tools."""

    def open(self, tools: Sequence[Tool], history: Sequence[Message]) -> Gate:
        """Make the gate of one agent.

        Args:
            tools: what the agent is offered.
            history: what was said before.

        Returns:
            The gate.
        """


class _Gates:
    """Several gates, one after another: a call must pass them all. Those behind see only what those before let pass."""

    def __init__(self, gates: Sequence[Gate]) -> None:
        self._gates = gates

    async def admit(self, asked: Sequence[Asked]) -> Sequence[Pass]:
        passes = [Pass()] * len(asked)
        for gate in self._gates:
            left = [place for place, said in enumerate(passes) if said.what != "refuse"]
            if not left:
                break
            for place, said in zip(left, await gate.admit([asked[place] for place in left]), strict=True):
                if said.what != "run":
                    passes[place] = said
        return passes

    def show(self, tool: Tool, result: ToolResult) -> ToolResult:
        for gate in self._gates:
            result = gate.show(tool, result)
        return result


def open_gates(guards: Sequence[Guard], tools: Sequence[Tool], history: Sequence[Message] = ()) -> Gate | None:
    """The gate of one agent, made of all its guards; None without guards.

    Args:
        guards: the guards, in the order in which they are asked.
        tools: what the agent is offered.
        history: what was said before.

    Returns:
        The gate, for `tools.run_calls(…, gate=…)`.

    Raises:
        UsageError: one is no guard.

    Example:
        >>> from headway.methods.guard import open_gates
        >>> open_gates([], []) is None
        True
    """
    for guard in guards:
        if not hasattr(guard, "open"):
            raise UsageError(
                f"guards: {guard!r:.80} is no guard: give a Separation(…), a Monitor(…), or what has open(tools, history)"
            )
    return _Gates([guard.open(tools, history) for guard in guards]) if guards else None
