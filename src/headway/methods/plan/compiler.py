"""LLMCompiler: a planner writes lines, which run while it writes; a joiner answers, or asks it for more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from headway.engine.handle import Handle
from headway.errors import ToolArgumentsError, UsageError
from headway.methods import settings
from headway.methods.graph import Node
from headway.methods.plan.executor import execute
from headway.methods.plan.joining import Finish, Joiner, Replan
from headway.methods.plan.lines import LineError, Use
from headway.methods.plan.records import Executed, Planned
from headway.methods.plan.so_far import Line, SoFar, planner_prompt
from headway.methods.plan.using import STEP_ERRORS, Kit, StepFailed, as_taken, name_tools, use_tool
from headway.methods.plan.writing import PlanPrompt, write_lines
from headway.methods.protocols import Policy
from headway.methods.search.failures import Errors
from headway.models.ask import AnyModel
from headway.models.requests import Sampling
from headway.task import task
from headway.tools.gate import Gate
from headway.tools.results import Unshowable, as_json
from headway.tools.tool import AnyTool


@dataclass(frozen=True)
class Compiled:
    """What came of a question.

    Attributes:
        answer: what the joiner answered; None where it did not in the last round.
        why: whether it "finished" of its own will, or was "forced" to answer in the last round.
        lines: all lines of all rounds, and what came of each.
        rounds: what came of the plan of each round.
        faults: what was wrong with the plan of each round where it broke off; empty where it did not.
    """

    answer: Any
    why: Literal["finished", "forced"]
    lines: tuple[Line, ...]
    rounds: tuple[Executed[Use, Any], ...]
    faults: tuple[str, ...]


async def llm_compiler(
    question: str,
    planner: AnyModel,
    tools: Sequence[AnyTool],
    *,
    join: Joiner,
    max_replans: int = 1,
    mends: int = 1,
    prompt: PlanPrompt = planner_prompt,
    sampling: Sampling | None = None,
    grammar: int = 0,
    policy: Policy | None = None,
    errors: Errors = STEP_ERRORS,
    gate: Gate | None = None,
    approval_timeout_s: float | None = None,
) -> Compiled:
    """Answer a question by a plan of tool calls that runs while it is written.

    Every line starts as soon as it is written and what it refers to has ended. When nothing is left to run, the joiner sees all
    lines with their results and errors. It answers, or says what is lacking; then the planner writes further lines. It may refer to
    results of earlier rounds. A call that an earlier round has made with equal arguments is not made again: its result is taken.

    Args:
        question: what is asked.
        planner: a model that writes plans.
        tools: typed functions, tasks or tools.
        join: answers or asks for more: `ask_joiner(model)`, `last_result`, or an async function of your own.
        max_replans: how often the joiner may ask for more.
        mends: how often the planner is asked again, within a round, for the rest of a plan that can't be read.
        prompt: what the planner is asked; by default a conversation that explains the form.
        sampling: how the planner is asked: see `models.Sampling`.
        grammar: hold a local planner to plans that can be read, of so many lines at most; 0 holds it to nothing.
        policy: which of the lines that may start do; all at once without one.
        errors: what a step may fail with without failing the program.
        gate: what decides about each call of a tool before it starts.
        approval_timeout_s: how long a person has to approve a call that needs it, in seconds; None waits without end.

    Returns:
        The answer, and what was done for it. A line that failed ends nothing but the lines that need it: the joiner is told.

    Raises:
        UsageError: settings that make no sense, before anything is asked.
        Exception: what the joiner raises, and what a step or the planner raises that `errors` does not name.

    Example:
        >>> from headway import models
        >>> from headway.methods import plan
        >>> async def area(country: str) -> int:
        ...     '''The area of a country in km2.'''
        ...     return {"Italy": 302068, "Malta": 316}[country]
        >>> async def ratio(a: int, b: int) -> int:
        ...     '''How many times the one goes into the other.'''
        ...     return a // b
        >>> class Planner:
        ...     name = "planner"
        ...     async def stream(self, request):
        ...         for line in ('1. area("Italy")', '2. area("Malta")', "3. ratio($1, $2)", "join()"):
        ...             yield models.Piece(line + "\\n", tokens=8)
        ...         yield models.Piece(finish="stop")
        >>> @hw.task
        ... async def program() -> int:
        ...     asked = "How often does Malta fit into Italy?"
        ...     return (await plan.llm_compiler(asked, Planner(), [area, ratio], join=plan.last_result)).answer
        >>> hw.run(program, store=None)
        955

    Source:
        Kim et al., arXiv 2312.04511. It departs in enforcing that no executed call is repeated, which the paper only asks of its
        planner. It departs in letting a failed line end what needs it and telling the joiner, where the public code waits for ever.
        It departs in asking the planner again for a line that can't be read.
    """
    _check(question, join, max_replans)
    kit = Kit(name_tools("llm_compiler", tools), gate, approval_timeout_s)
    offered = list(kit.tools.values())
    write = write_lines(planner, offered, prompt=prompt, mends=mends, grammar=grammar, sampling=sampling)
    allowed = (*(errors if isinstance(errors, tuple) else (errors,)), LineError)
    done = Done(kit)
    so_far = SoFar(question, last=not max_replans)
    rounds: list[Executed[Use, Any]] = []
    faults: list[str] = []
    while True:
        ran = await execute(done.step, goal=so_far, planner=write, policy=policy, errors=allowed)
        rounds.append(ran)
        faults.append(fault_of(ran))
        done.add(ran)
        so_far = replace(so_far, lines=(*so_far.lines, *lines_of(ran)), fault=faults[-1])
        said = await join(so_far)
        if not isinstance(said, Finish | Replan):
            raise UsageError(f"llm_compiler: join= gave {said!r:.80}: a plan.Finish or a plan.Replan")
        if isinstance(said, Finish) or so_far.last:
            answer = said.answer if isinstance(said, Finish) else None
            return Compiled(answer, "forced" if so_far.last else "finished", so_far.lines, tuple(rounds), tuple(faults))
        so_far = replace(so_far, thought=said.thought, last=len(rounds) == max_replans)


def _check(question: str, join: Joiner, max_replans: int) -> None:
    if not isinstance(question, str) or not question.strip():
        raise UsageError(f"llm_compiler: question={question!r:.80}: what is asked, as text")
    settings.function("llm_compiler", join=join)
    settings.whole_number("llm_compiler", max_replans=max_replans)


def lines_of(ran: Executed[Use, Any]) -> tuple[Line, ...]:
    """The lines of a plan that has run, and what came of each.

    Args:
        ran: what `execute` returned.

    Returns:
        A line for each step, in the order of the plan.
    """
    return tuple(_line_of(ran, node) for node in ran.graph)


def _line_of(ran: Executed[Use, Any], node: Node[Use]) -> Line:
    if node.id in ran.results:
        return Line(node.id, node.does.said, ran.results[node.id])
    if node.id in ran.failures:
        return Line(node.id, node.does.said, error=_without_kind(ran.failures[node.id], StepFailed))
    lacks = ", ".join(f"${need.step}" for need in node.needs if need.step not in ran.results)
    return Line(node.id, node.does.said, error=f"it never began, because {lacks} has no result")


def fault_of(ran: Executed[Any, Any]) -> str:
    """What a planner failed with, for it to read; empty where it spoke to its end.

    Args:
        ran: what `execute` returned.

    Returns:
        The text of the last failure.
    """
    said = [event.error for event in ran.log if isinstance(event, Planned) and event.error]
    return _without_kind(said[-1], LineError) if said else ""


def _without_kind(error: str, kind: type[Exception]) -> str:
    return error.removeprefix(f"{kind.__name__}: ")


class Done:
    """What earlier rounds have done: their results, and which call gave each.

    Args:
        kit: the tools.
    """

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._values: dict[str, Any] = {}
        self._made: dict[str, Any] = {}  # the result of each call, by what was done

    def add(self, ran: Executed[Use, Any]) -> None:
        """Remember what a round has done."""
        self._values.update(ran.results)
        for id, value in ran.results.items():
            use = ran.graph[id].does
            if action := self._say_action(use.tool, use.fill(self._values)):
                self._made[action] = value

    def step(self, does: Use, given: Mapping[str, Any]) -> Handle[Any]:
        """Do a line of the next round. What was done already is taken, and not done again."""
        arguments = does.fill({**self._values, **given})
        action = self._say_action(does.tool, arguments)
        return recall(does.tool, self._made[action]) if action in self._made else use_tool(does.tool, arguments, self._kit)

    def _say_action(self, name: str, arguments: dict[str, Any]) -> str:
        """What makes two calls the same: the tool, and all its arguments as it takes them. Empty where that can't be said."""
        tool = self._kit.tools[name]
        properties = tool.spec.parameters.get("properties", {})
        try:
            taken = tool.parse(as_json(as_taken(tool, arguments)))
            defaults = {each: schema["default"] for each, schema in properties.items() if "default" in schema}
            return f"{name} {as_json({**defaults, **taken})}"
        except (Unshowable, ToolArgumentsError):
            return ""


@task(name="plan.recall", label="{tool}")
async def recall(tool: str, value: Any) -> Any:
    """What a call of an earlier round gave."""
    return value
