"""Judges everything that an agent has asked so far, before the next of it happens.

    answer = await agent(model, offered, task, guards=[Monitor(ask_model(small, "Do these steps together do harm?"))])

A harmful task cut into harmless steps passes every judge that sees one step at a time. So the judge sees the list of all steps up
to this one. What it says of each prefix is recorded, and the decision is a threshold: nothing more is run from the first prefix on
that reaches it. Calls of one turn count in the model's order, each judged with those before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from headway.errors import CallError
from headway.joins.gather import gather
from headway.methods import settings
from headway.methods.guard.judges import Judge, Ruling, check_judge, rule
from headway.models.messages import Message
from headway.tools.gate import Asked, Gate, Pass
from headway.tools.results import ToolResult
from headway.tools.tool import Tool

THRESHOLD = 0.5
FIRST = 2
_STEP = 2000  # characters of a step that the judge is shown; of a longer one the beginning and the end


class Halted(CallError):
    """A monitor has stopped a list of steps before one that would have gone too far."""


@dataclass(frozen=True)
class Monitor:
    """Stops an agent before a step that, with all before it, is likely to do harm.

    Attributes:
        judge: gives the probability that a list of steps, one a line with its number, does harm.
        threshold: from which probability on nothing more is run.
        first: the first step at which the list is judged, from 1 on.

    Raises:
        UsageError: settings that make no sense.

    Example:
        >>> from headway.methods.guard import Monitor, Halted
        >>> def judge(steps: str) -> float:
        ...     return 0.9 if "buy fertiliser" in steps and "buy fuel oil" in steps else 0.1
        >>> @hw.task
        ... async def program() -> str:
        ...     try:
        ...         await Monitor(judge).check(["buy fertiliser", "water the roses", "buy fuel oil"])
        ...     except Halted as halted:
        ...         return str(halted)
        >>> hw.run(program, store=None)
        'halted before step 3: with the steps before it, it is likely to do harm (0.90, from 0.50 on nothing is run)'

    Source:
        Monitoring decomposition attacks with sequential monitors, arXiv 2506.10949. It departs: a halted list stays halted, and
        the prefixes of one turn are judged side by side.
    """

    judge: Judge
    threshold: float = THRESHOLD
    first: int = FIRST

    def __post_init__(self) -> None:
        check_judge("Monitor", self.judge)
        settings.probability("Monitor", threshold=self.threshold)
        settings.at_least_one("Monitor", first=self.first)

    def __headway_key__(self) -> object:
        return ("monitor", self.threshold, self.first)

    def open(self, tools: Sequence[Tool], history: Sequence[Message]) -> Gate:
        """Make the gate of one agent.

        Args:
            tools: what it is offered.
            history: what was said before: the steps in there count.

        Returns:
            The gate.
        """
        return _Watch(self, [describe_step(call.name, call.arguments) for message in history for call in message.calls])

    async def check(self, steps: Sequence[str]) -> None:
        """Check a list of steps, before any of them is done.

        Args:
            steps: what is to be done, each in words.

        Raises:
            CallError: `Halted`: a prefix of the list is too likely to do harm.
            UsageError: the judge said something that is no probability.

        Example:
            >>> from headway.methods.guard import Monitor
            >>> @hw.task
            ... async def program() -> bool:
            ...     await Monitor(lambda steps: "attack" in steps).check(["make tea", "drink it"])
            ...     return True
            >>> hw.run(program, store=None)
            True
        """
        rulings = await judge_prefixes(self, steps, 0)
        if (place := find_halt(rulings, self.threshold)) is not None:
            raise Halted(describe_halt(self, place, rulings))


async def judge_prefixes(monitor: Monitor, steps: Sequence[str], after: int) -> dict[int, Ruling]:
    """What the judge says of the prefixes that end with each step beyond the first `after`, by place from 0 on."""
    places = [place for place in range(after, len(steps)) if place + 1 >= monitor.first]
    said = await gather(*(rule(monitor.judge, "harmful", list_steps(steps[: place + 1]), steps[place]) for place in places))
    return dict(zip(places, said, strict=True))


def describe_halt(monitor: Monitor, place: int, rulings: dict[int, Ruling]) -> str:
    """What is said of a halt before a step, to a model or a user."""
    said = rulings[place]
    why = f": {said.why}" if said.why else ""
    return (
        f"halted before step {place + 1}: with the steps before it, it is likely to do harm ({said.probability:.2f}, from "
        f"{monitor.threshold:.2f} on nothing is run){why}"
    )


class _Watch:
    """The steps of one agent so far."""

    def __init__(self, monitor: Monitor, steps: list[str]) -> None:
        self._monitor, self._steps = monitor, steps
        self._halted = ""

    async def admit(self, asked: Sequence[Asked]) -> Sequence[Pass]:
        before = len(self._steps)
        self._steps += [describe_step(each.tool.name, each.values) for each in asked]
        if self._halted:
            return [Pass("refuse", f"Not run: {self._halted}")] * len(asked)
        rulings = await judge_prefixes(self._monitor, self._steps, before)
        place = find_halt(rulings, self._monitor.threshold)
        if place is None:
            return [Pass()] * len(asked)
        self._halted = describe_halt(self._monitor, place, rulings)
        return [Pass() if at < place else Pass("refuse", f"Not run: {self._halted}") for at in range(before, len(self._steps))]

    def show(self, tool: Tool, result: ToolResult) -> ToolResult:
        return result


def find_halt(rulings: dict[int, Ruling], threshold: float) -> int | None:
    """The first place whose ruling reaches the threshold.

    >>> find_halt({1: Ruling(0.2), 2: Ruling(0.7), 3: Ruling(0.9)}, 0.5)
    2
    """
    return next((place for place in sorted(rulings) if rulings[place].probability >= threshold), None)


def list_steps(steps: Sequence[str]) -> str:
    """Steps as a judge is shown them.

    >>> print(list_steps(["make tea", "drink it"]))
    1. make tea
    2. drink it
    """
    return "\n".join(f"{number}. {_shorten(step)}" for number, step in enumerate(steps, 1))


def describe_step(tool: str, arguments: Any) -> str:
    """A call as a step: the tool, and what it is given.

    >>> describe_step("send", {"to": "ada"})
    'send {"to":"ada"}'
    """
    text = (
        arguments if isinstance(arguments, str) else msgspec.json.encode(arguments, enc_hook=repr, order="deterministic").decode()
    )
    return f"{tool} {text}"


def _shorten(step: str) -> str:
    line = " ".join(step.split())
    return line if len(line) <= _STEP else f"{line[: _STEP // 2]} … {line[-_STEP // 2 :]}"
