"""Runs what a model asked for: all calls of a turn side by side, and every fault a value that the model is shown.

    reply = await models.sample(model, messages, tools=offered)
    results = await tools.run_calls(offered, reply.samples[0].calls)
    messages += [reply.samples[0].message, *(result.message for result in results)]

Each is a call of its tool's task and a child of the current call, so a resumed run finds what is finished. A tool that does not
exist, arguments that don't fit and a tool that fails are the model's to hear. Bounds that were reached, a cancelled call, and what
goes wrong with the run or its store are not: they are raised, when all calls have ended.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from headway.errors import NoCanonicalForm, ToolArgumentsError, UsageError, WrongArguments
from headway.joins.base import Settled
from headway.joins.gather import settle
from headway.models.messages import ToolCall
from headway.near import near_misses
from headway.tools.approval import ask_approval, read_approval
from headway.tools.faults import describe_failure, is_answer
from headway.tools.finding.shelf import Shelf
from headway.tools.gate import Asked, Gate, admit_all
from headway.tools.results import MOST_BYTES, ToolResult, as_json, bound, failed, returned
from headway.tools.tool import Tool


async def run_calls(
    offered: Sequence[Tool],
    calls: Sequence[ToolCall],
    *,
    most_bytes: int = MOST_BYTES,
    ask_first: Callable[[Tool, ToolCall], bool] | None = None,
    approval_timeout_s: float | None = None,
    gate: Gate | None = None,
) -> list[ToolResult]:
    """Run the calls of one turn, all at once.

    Args:
        offered: the tools that the model was told of. What is found is put on a `Shelf`.
        calls: what it asked.
        most_bytes: how much of each result the model is shown, in bytes of UTF-8. The whole value is in the journal.
        ask_first: whether a person is asked about a call, besides those of tools that always need approval.
        approval_timeout_s: how long a person has to approve, in seconds; then it counts as denied. None waits without end.
        gate: what decides about the calls before any of them starts, and about what is shown of their results.

    Returns:
        What became of each, in the order of the calls.

    Raises:
        BudgetExceeded: a budget could not afford one of them.
        DeadlineExceeded: a deadline stopped one of them.
        CallCancelled: somebody cancelled one of them.
        UsageError: two tools have one name, or a call needs approval outside of a run.

    Example:
        >>> from headway import models, tools
        >>> @tools.tool
        ... async def double(number: int) -> int:
        ...     '''Twice a number.'''
        ...     return 2 * number
        >>> @hw.task
        ... async def program() -> list[str]:
        ...     asked = [models.ToolCall("a", "double", '{"number": 21}'), models.ToolCall("b", "halve", "{}")]
        ...     return [result.content for result in await tools.run_calls([double], asked)]
        >>> hw.run(program, store=None)
        ['42', "There is no tool 'halve'; there is 'double'"]
    """
    named = _by_name(offered)
    results: list[ToolResult | None] = [None] * len(calls)
    ready: dict[int, _Ready] = {}
    seen: set[str] = set()
    for place, call in enumerate(calls):  # all are looked at before any is run
        try:
            tool = _find(named, call, seen)
            ready[place] = _Ready(tool, _parse(tool, call), tool.labels.needs_approval or bool(ask_first and ask_first(tool, call)))
        except _NotRun as error:
            results[place] = failed(call, str(error), most_bytes)
    looked_at = [Asked(calls[place], tool, values) for place, (tool, values, _) in ready.items()]
    passes = dict(zip(ready, await admit_all(gate, looked_at), strict=True))
    running: dict[int, Awaitable[Any]] = {}
    for place, (tool, values, asks) in ready.items():
        try:
            if passes[place].what == "refuse":
                raise _NotRun(passes[place].why)
            asks = asks or passes[place].what == "ask"
            running[place] = _run_if_approved(tool, calls[place], values, approval_timeout_s) if asks else _start(tool, values)
        except _NotRun as error:
            results[place] = failed(calls[place], str(error), most_bytes)
    for place, end in zip(running, await settle(*running.values()), strict=True):
        ended = _judge(calls[place], end, most_bytes)
        results[place] = ended if gate is None else gate.show(ready[place].tool, ended)
    done = [result for result in results if result is not None]
    if isinstance(offered, Shelf):
        offered.learn(done)
    return done


class _Ready(NamedTuple):
    """A call that may begin: its tool, its arguments, and whether a person is asked first."""

    tool: Tool
    values: dict[str, Any]
    asks: bool


class _NotRun(Exception):
    """Why a call is not run, for the model."""


def _by_name(offered: Sequence[Tool]) -> dict[str, Tool]:
    named: dict[str, Tool] = {}
    for tool in offered:
        if not isinstance(tool, Tool):
            raise UsageError(f"tools.run_calls: offered tools, got {tool!r:.100}: make it one with tools.tool(…)")
        if named.setdefault(tool.name, tool) is not tool:
            raise UsageError(f"tools.run_calls: two tools are called {tool.name!r}: give one of them another with name=")
    return named


def _find(named: dict[str, Tool], call: ToolCall, seen: set[str]) -> Tool:
    """The tool that a call asks for. Raises _NotRun."""
    tool = named.get(call.name)
    if tool is None:
        raise _NotRun(f"There is no tool {call.name!r:.100}; {near_misses(call.name, list(named))}")
    if call.id and call.id in seen:
        raise _NotRun(f"Not run: the id {call.id!r:.100} names another call of this turn. Give each call an id of its own")
    seen.add(call.id)
    return tool


def _parse(tool: Tool, call: ToolCall) -> dict[str, Any]:
    """The arguments of a call. Raises _NotRun where they don't fit."""
    try:
        return tool.parse(call.arguments)
    except ToolArgumentsError as error:
        raise _NotRun(str(error)) from None


def _start(tool: Tool, values: dict[str, Any]) -> Awaitable[Any]:
    """Start a tool. Raises _NotRun where it can't be called so."""
    try:
        return tool.start_with(values)
    except (NoCanonicalForm, WrongArguments) as error:
        raise _NotRun(f"{tool.name} can't be called with these arguments: {str(error).partition(': give the call')[0]}") from None
    except UsageError:
        raise
    except Exception as error:  # outside of a run, a plain function runs here
        raise _NotRun(describe_failure(tool.name, error)) from error


async def _run_if_approved(tool: Tool, call: ToolCall, values: dict[str, Any], timeout_s: float | None) -> Any:
    """How a tool's call ended, once a person has approved it; a result that is an error where nobody has."""
    try:
        approval = read_approval(await ask_approval(tool.name, as_json(values), timeout=timeout_s))
    except TimeoutError:
        return failed(call, f"Not run: {tool.name} needs the approval of a person, and nobody gave it in {timeout_s:g} seconds.")
    if not approval.approved:
        why = f": {approval.reason}" if approval.reason else "."
        return failed(call, f"Not run: a person was asked and did not approve {tool.name}{why}")
    try:
        if approval.arguments:
            values = tool.parse(approval.arguments)
        started = _start(tool, values)
    except ToolArgumentsError as error:
        return failed(call, f"Not run: a person changed the arguments, and they don't fit. {error}")
    except _NotRun as error:
        return failed(call, str(error))
    (end,) = await settle(started)
    return end


def _judge(call: ToolCall, end: Settled[Any], most_bytes: int) -> ToolResult:
    """What became of a call, or its error where that is not the model's to hear."""
    if isinstance(end.value, Settled):  # of a call that was approved
        end = end.value
    if end.error is None:
        return bound(end.value, most_bytes) if isinstance(end.value, ToolResult) else returned(call, end.value, most_bytes)
    if not is_answer(end.error):
        raise end.error
    return failed(call, describe_failure(call.name, end.error), most_bytes)
