"""Divide-Then-Aggregate: rounds of parallel calls, each of which waits for all of the last one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, TypeVar

from headway.engine.handle import Handle
from headway.engine.identity.signature import unkeyed
from headway.errors import UsageError
from headway.methods import settings
from headway.methods.graph import Graph, Node, after
from headway.methods.plan.executor import execute
from headway.methods.plan.using import Kit, name_tools
from headway.models.ask import AnyModel, sample
from headway.models.checks.answers import AskedForTools
from headway.models.messages import Message, ToolCall
from headway.models.requests import Sampling
from headway.task import task
from headway.tools.gate import Gate
from headway.tools.results import ToolResult
from headway.tools.running import run_calls
from headway.tools.tool import AnyTool

W = TypeVar("W")


@dataclass(frozen=True)
class Aggregated:
    """What came of a task.

    Attributes:
        answer: what the model said last; empty where it only ever asked for calls.
        why: whether it "answered", or its "rounds" were used up.
        rounds: the results of each round, in the order in which the model asked for them.
        messages: the conversation, to go on from.
    """

    answer: str
    why: Literal["answered", "rounds"]
    rounds: tuple[tuple[ToolResult, ...], ...]
    messages: tuple[Message, ...]


async def divide_then_aggregate(
    task: str,
    model: AnyModel,
    tools: Sequence[AnyTool],
    *,
    rounds: int = 8,
    forced: bool = True,
    system: str = "",
    sampling: Sampling | None = None,
    gate: Gate | None = None,
    approval_timeout_s: float | None = None,
) -> Aggregated:
    """Work on a task in rounds: the model divides what is left into calls, all run at once, and it is told all results together.

    Args:
        task: what is to be done.
        model: a model that asks for several tools at once.
        tools: typed functions, tasks or tools.
        rounds: how many rounds of calls at most.
        forced: whether the model is then asked once more and must answer; not for a model that does nothing but ask for tools.
        system: what the model is told before all else.
        sampling: how the model is asked: see `models.Sampling`.
        gate: what decides about each call before it starts.
        approval_timeout_s: how long a person has to approve a call that needs it, in seconds; None waits without end.

    Returns:
        What it answered, and the results of each round. A tool's failure is a result that the model is told.

    Raises:
        UsageError: settings that make no sense, before anything is asked.
        ModelError: the model refused or failed.

    Example:
        >>> from headway import models
        >>> from headway.methods import plan
        >>> async def area(country: str) -> int:
        ...     '''The area of a country in km2.'''
        ...     return {"Italy": 302068, "Malta": 316}[country]
        >>> class Divider:  # asks for both at once, then says what they gave
        ...     name, abilities = "divider", {"tools"}
        ...     async def stream(self, request):
        ...         told = [said.text for said in request.prompt if said.role == "tool"]
        ...         if told:
        ...             yield models.Piece(" and ".join(told), finish="stop", tokens=6)
        ...         else:
        ...             names = enumerate(("Italy", "Malta"))
        ...             asked = tuple(models.CallPiece(at, f"c{at}", "area", f'{{"country": "{name}"}}') for at, name in names)
        ...             yield models.Piece(calls=asked, finish="tool", tokens=9)
        >>> @hw.task
        ... async def program() -> str:
        ...     return (await plan.divide_then_aggregate("How large are Italy and Malta?", Divider(), [area])).answer
        >>> hw.run(program, store=None)
        '302068 and 316'

    Source:
        DTA-Llama: Zhu et al., arXiv 2501.12432; after the idea of its inference (process, threads, wait for all, repeat). Its
        training is not here: `by_levels` makes rounds of a plan as its data have them. It departs in telling the model of failures
        as results.
    """
    kit = _check(task, tools, rounds, sampling, gate, approval_timeout_s)
    options: Any = {**(sampling or {}), "tools": list(kit.tools.values())}
    messages = [Message("system", system)] if system else []
    messages.append(Message("user", task))
    done: list[tuple[ToolResult, ...]] = []
    while True:
        last = len(done) == rounds
        if last and not forced:
            return Aggregated(_last_words(messages), "rounds", tuple(done), tuple(messages))
        try:
            said = (await sample(model, messages, **options, tool_choice="none" if last else "auto")).samples[0]
        except AskedForTools:
            if not last:
                raise
            return Aggregated(_last_words(messages), "rounds", tuple(done), tuple(messages))
        messages.append(said.message)
        if not said.calls:
            return Aggregated(said.text, "rounds" if last else "answered", tuple(done), tuple(messages))
        results = await run_round(said.calls, kit)
        done.append(results)
        messages += [result.message for result in results]


async def run_round(calls: Sequence[ToolCall], kit: Kit) -> tuple[ToolResult, ...]:
    """Run the calls of a round, and wait for all of them.

    Args:
        calls: what the model asked for.
        kit: the tools.

    Returns:
        What became of each, in their order.
    """

    def step(does: ToolCall, given: Mapping[str, Any]) -> Handle[ToolResult]:
        return run_thread(does, kit)

    graph: Graph[ToolCall] = Graph(tuple(Node(str(place), call) for place, call in enumerate(calls, 1)))
    ran = await execute(step, graph=graph, errors=())
    return tuple(ran.results[node.id] for node in graph)


@task(name="plan.thread", label="{call.name}")
async def run_thread(call: ToolCall, kit: Annotated[Kit, unkeyed]) -> ToolResult:
    """One call of a round."""
    (result,) = await run_calls(list(kit.tools.values()), [call], gate=kit.gate, approval_timeout_s=kit.approval_timeout_s)
    return result


def by_levels(graph: Graph[W]) -> Graph[W]:
    """The same steps in rounds: each needs all steps of the round before, as a turn-based model would run them.

    Args:
        graph: a plan.

    Returns:
        A plan with the same steps. No executor can be done with it before it could be with the plan itself; it can be as fast where
        each step needs whatever takes longest in the round before.

    Example:
        >>> steps = (Node("a", 1), Node("b", 5), Node("c", 5, after("a")))
        >>> graph = Graph(steps)
        >>> [levels.critical_path(lambda node: node.does)[0] for levels in (graph, by_levels(graph))]
        [6, 10]

    Source:
        How DTA-Llama makes its data of paths of single calls: Zhu et al., arXiv 2501.12432; after the idea of.
    """
    before: tuple[str, ...] = ()
    nodes: list[Node[W]] = []
    for level in graph.rounds():
        nodes += [replace(graph[id], needs=after(*before)) for id in level]
        before = level
    return Graph(tuple(nodes))


def _check(
    task: str, tools: Sequence[AnyTool], rounds: int, sampling: Sampling | None, gate: Gate | None, approval_timeout_s: float | None
) -> Kit:
    if not isinstance(task, str) or not task.strip():
        raise UsageError(f"divide_then_aggregate: task={task!r:.80}: what is to be done, as text")
    settings.at_least_one("divide_then_aggregate", rounds=rounds)
    if taken := {"n", "tools", "tool_choice", "schema"} & (sampling or {}).keys():
        raise UsageError(f"divide_then_aggregate: sampling has {', '.join(sorted(taken))}, which the rounds set themselves")
    named = name_tools("divide_then_aggregate", tools)
    if not named:
        raise UsageError("divide_then_aggregate: there are no tools, so there is nothing to divide")
    return Kit(named, gate, approval_timeout_s)


def _last_words(messages: Sequence[Message]) -> str:
    return next((message.text for message in reversed(messages) if message.role == "assistant" and message.text), "")
