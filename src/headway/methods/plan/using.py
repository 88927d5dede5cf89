"""The step of a plan of tool calls: fills in results, runs the tool, and fails with words that a planner can read.

    ran = await execute(use_tools([lookup, compare]), planner=planner)

Each step is a call that runs its tool as a call below it, through `tools.run_calls`, so approvals and guards hold here as for an
agent. A tool's failure is recorded as an answer and not asked for again on a resume.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from headway.engine.handle import Handle
from headway.engine.identity.signature import unkeyed
from headway.errors import CallError, UsageError
from headway.methods.plan.lines import Use
from headway.methods.search.failures import SAMPLE_ERRORS
from headway.models.messages import ToolCall
from headway.task import Task, task
from headway.tools.gate import Gate
from headway.tools.results import Unshowable, as_json
from headway.tools.running import run_calls
from headway.tools.tool import AnyTool, Tool, tool


class StepFailed(CallError):
    """Raised by a step of a plan whose tool failed, or did not take its arguments. Its text is for the planner."""


STEP_ERRORS: tuple[type[Exception], ...] = (*SAMPLE_ERRORS, StepFailed)
"""What a step that uses a tool may fail with without failing the program."""

Step = Callable[[Use, Mapping[str, Any]], Handle[Any]]
"""How `execute` does what a step says, with the results of the steps that it needs."""


@dataclass(frozen=True)
class Kit:
    """The tools of a plan, and who stands between them and the planner."""

    tools: Mapping[str, Tool] = field(default_factory=dict)
    gate: Gate | None = None
    approval_timeout_s: float | None = None


def use_tools(tools: Sequence[AnyTool], *, gate: Gate | None = None, approval_timeout_s: float | None = None) -> Step:
    """The step of a plan whose steps are uses of tools.

    Args:
        tools: typed functions, tasks or tools.
        gate: what decides about each call before it starts: see `tools.run_calls`.
        approval_timeout_s: how long a person has to approve a call that needs it, in seconds; None waits without end.

    Returns:
        The `step=` of `execute`. It fails with `StepFailed`; give `errors=STEP_ERRORS` so that the plan goes on.

    Raises:
        UsageError: two tools have one name.

    Example:
        >>> from headway.methods import plan
        >>> from headway.methods.graph import Graph, Node, after
        >>> async def double(number: int) -> int:
        ...     '''Twice a number.'''
        ...     return 2 * number
        >>> first = Node("1", plan.Use("double", {"number": 4}))
        >>> graph = Graph((first, Node("2", plan.Use("double", {"number": plan.Ref("1")}), after("1"))))
        >>> @hw.task
        ... async def program() -> int:
        ...     return (await plan.execute(plan.use_tools([double]), graph=graph)).results["2"]
        >>> hw.run(program, store=None)
        16
    """
    kit = Kit(name_tools("use_tools", tools), gate, approval_timeout_s)

    def step(does: Use, given: Mapping[str, Any]) -> Handle[Any]:
        return use_tool(does.tool, does.fill(given), kit)

    return step


def name_tools(where: str, tools: Sequence[AnyTool]) -> dict[str, Tool]:
    """The tools by name. Raises UsageError where that is no list of tools, or two have one name."""
    if isinstance(tools, str | Mapping) or not isinstance(tools, Sequence):
        raise UsageError(f"{where}: tools={tools!r:.80}: a list of typed functions, tasks or tools")
    named: dict[str, Tool] = {}
    for each in map(tool, tools):
        if named.setdefault(each.name, each) is not each:
            raise UsageError(f"{where}: two tools are called {each.name!r}: give one of them another with tools.tool(…, name=)")
    return named


def is_step_failure(error: BaseException) -> bool:
    """Whether an error is a step's answer, which is recorded and told again."""
    return isinstance(error, StepFailed)


@task(name="plan.use_tool", label="{tool}")
async def _use_tool(tool: str, arguments: dict[str, Any], kit: Annotated[Kit, unkeyed]) -> Any:
    """One call of a tool, with arguments in which nothing is left to fill in."""
    known = kit.tools[tool]
    try:
        call = ToolCall("", tool, as_json(as_taken(known, arguments)))
    except Unshowable as error:
        raise StepFailed(f"{tool} was not run: an argument is {error}") from None
    (result,) = await run_calls([known], [call], gate=kit.gate, approval_timeout_s=kit.approval_timeout_s)
    if result.is_error:
        raise StepFailed(result.message.text)
    return result.value


use_tool: Task[[str, dict[str, Any], Kit], Any] = Task(replace(_use_tool.spec, tells=is_step_failure))


def as_taken(tool: Tool, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments; a single value in the place of a list is a list of one."""
    properties = tool.spec.parameters.get("properties", {})
    return {
        name: [value]
        if properties.get(name, {}).get("type") == "array" and not isinstance(value, list | tuple | set | frozenset)
        else value
        for name, value in arguments.items()
    }
