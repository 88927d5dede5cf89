"""TURA: a question becomes a graph of sub-questions, each for the tool server that fits it, answered within a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Unpack

from headway.context import now
from headway.engine.handle import Handle
from headway.engine.identity.signature import unkeyed
from headway.errors import UsageError
from headway.methods import settings
from headway.methods.agent.loop import agent
from headway.methods.graph import EditRefused, Graph, Node, after
from headway.methods.plan.executor import execute
from headway.methods.plan.records import Executed
from headway.methods.plan.so_far import say_tool, show_value
from headway.methods.plan.using import STEP_ERRORS, StepFailed
from headway.models.ask import AnyModel, sample
from headway.models.messages import Message
from headway.models.structured.answering import Answering, answer
from headway.scopes.deadline import deadline
from headway.task import task
from headway.tools.finding.toolbox import Toolbox
from headway.tools.tool import Tool


@dataclass(frozen=True)
class SubQuestion:
    """A part of a question, for one server.

    Attributes:
        id: what other parts refer to it by.
        question: what is asked, complete in itself but for the answers that it needs.
        server: the name of the server that answers it.
        needs: the ids of the parts whose answers it needs.
    """

    id: str
    question: str
    server: str
    needs: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Retrieved:
    """What came of a question.

    Attributes:
        answer: the answer, made of those of the parts.
        parts: the parts of the question, as atomic sub-questions.
        servers: the servers that were found for them, the best first.
        ran: what came of each sub-question of the plan.
        late: the ids of those that had no answer in time, or failed, or never began.
    """

    answer: str
    parts: tuple[str, ...]
    servers: tuple[str, ...]
    ran: Executed[SubQuestion, str]
    late: tuple[str, ...]


@dataclass(frozen=True)
class _Split:
    """The parts of a question, each of which can be asked by itself."""

    parts: list[str]


@dataclass(frozen=True)
class _Plan:
    """Sub-questions with the servers that answer them."""

    tasks: list[SubQuestion]


_SPLIT = """Split this into the fewest questions that can each be answered by one source. Keep it whole where it is one question.

{question}"""
_PLAN = """Plan how this is answered. Each task asks one server one question; tasks that don't need each other run at the same time.

{question}

Its parts:
{parts}

The servers:
{servers}"""
_WRONG = "This plan can't be used: {why} Write it again."
_ANSWER = """Answer the question with what was found, and with nothing else.

{question}

{found}"""


async def tura(
    question: str,
    model: AnyModel,
    servers: Toolbox,
    *,
    solver: AnyModel | None = None,
    k: int = 5,
    latency_s: float | None = None,
    turns: int = 4,
    **options: Unpack[Answering],
) -> Retrieved:
    """Answer a question by servers that are found for its parts, asked in parallel where the parts allow it.

    The model splits the question. The servers that score best for any part are candidates. A question of one part goes to the best
    of them as it is; for any other the model writes a graph of sub-questions, which runs as wide as it may. A small agent with one
    server answers each.

    Args:
        question: what is asked.
        model: splits, plans and answers.
        servers: where servers are found by what they say of themselves and by queries that people might ask of them
            (`Toolbox(…, queries=await tools.write_queries(…))`).
        solver: the model that works on sub-questions with tools, usually a smaller one; by default the same.
        k: how many servers at most.
        latency_s: when the sub-questions must have been answered, in seconds after they are begun. The answer is made of those that
            are; None waits for all.
        turns: how often the solver of a sub-question is asked at most.
        **options: how the model is asked: see `models.answer`.

    Returns:
        The answer, and how it came about.

    Raises:
        UsageError: settings that make no sense, or no server fits.
        ModelError: the model gave no answer of the form that was asked for.

    Source:
        Zhao et al., arXiv 2508.04604. It departs in finding servers by BM25 or an embedder, as the toolbox does, and in calling a
        question simple where it has one part, by rule; the paper trains both. It departs in what is done with a plan that can't be
        used: the model is told why, once, and then each part goes to its best server, all at once.
    """
    _check(question, servers, k, latency_s, turns)
    how: Any = options
    split = await answer(model, [Message("user", _SPLIT.format(question=question))], _Split, **how)
    parts = tuple(part for part in split.parts if part.strip()) or (question,)
    found = [each.tool for each in await servers.find(list(parts), k)]
    if not found:
        raise UsageError(f"tura: no server fits {question!r:.80}: describe the servers better, or give queries for them")
    graph = await _plan(question, parts, found, servers, model, how)
    until = None if latency_s is None else now() + latency_s
    solve = _Solve(solver or model, servers, turns, until)

    def step(does: SubQuestion, given: Mapping[str, Any]) -> Handle[str]:
        return solve_part(does.question, does.server, dict(given), solve)

    ran = await execute(step, graph=graph, errors=STEP_ERRORS)
    late = tuple(node.id for node in ran.graph if node.id not in ran.results)
    asked = _ANSWER.format(question=question, found=_say_found(ran))
    said = (await sample(model, [Message("user", asked)], **how)).text
    return Retrieved(said, parts, tuple(each.name for each in found), ran, late)


async def _plan(
    question: str, parts: Sequence[str], found: Sequence[Tool], servers: Toolbox, model: AnyModel, how: Any
) -> Graph[SubQuestion]:
    """The graph of sub-questions: one node for a simple question, else what the model writes."""
    if len(parts) == 1:
        return Graph((Node("1", SubQuestion("1", question, found[0].name)),))
    said_servers = "\n".join(f"- {say_tool(each)}" for each in found)
    asked = _PLAN.format(question=question, parts="\n".join(f"- {part}" for part in parts), servers=said_servers)
    messages = [Message("user", asked)]
    names = [each.name for each in found]
    for _ in range(2):
        planned = await answer(model, messages, _Plan, **how)
        try:
            return as_graph(planned.tasks, names)
        except UsageError as error:
            messages += [Message("assistant", str(planned.tasks)), Message("user", _WRONG.format(why=str(error)))]
    best = [(await servers.find(part, 1) or await servers.find(list(parts), 1))[0].tool.name for part in parts]
    pairs = enumerate(zip(parts, best, strict=True), 1)
    return Graph(tuple(Node(str(number), SubQuestion(str(number), part, name)) for number, (part, name) in pairs))


def as_graph(tasks: Sequence[SubQuestion], servers: Sequence[str]) -> Graph[SubQuestion]:
    """The plan that sub-questions are.

    Args:
        tasks: the sub-questions.
        servers: the names of the servers that there are.

    Returns:
        A step for each.

    Raises:
        UsageError: there are none, one names no server, or they make no plan: an id twice, a need that is not there, a cycle.

    Example:
        >>> tasks = [SubQuestion("1", "Where is it?", "maps"), SubQuestion("2", "Is it warm there?", "weather", ["1"])]
        >>> as_graph(tasks, ["maps", "weather"]).rounds()
        (('1',), ('2',))
    """
    if not tasks:
        raise UsageError("There are no tasks.")
    if wrong := next((each for each in tasks if each.server not in servers), None):
        raise UsageError(f"Task {wrong.id}: there is no server {wrong.server!r:.60}; there are: {', '.join(servers)}.")
    if wrong := next((each for each in tasks if not each.id or not each.question.strip()), None):
        raise UsageError(f"Task {wrong.id!r:.40} has no id or no question.")
    try:
        return Graph(tuple(Node(each.id, each, after(*dict.fromkeys(each.needs))) for each in tasks))
    except EditRefused as error:
        raise UsageError(f"{error}.") from None


@dataclass(frozen=True)
class _Solve:
    """How sub-questions are worked on."""

    model: AnyModel
    servers: Toolbox
    turns: int
    until: float | None


@task(name="plan.solve_part", label="{server}")
async def solve_part(question: str, server: str, given: dict[str, str], solve: Annotated[_Solve, unkeyed]) -> str:
    """Answer a sub-question with one server, by the time that is set."""
    known = "\n".join(f"{id}: {show_value(value)}" for id, value in given.items())
    asked = f"{question}\n\nKnown:\n{known}" if known else question
    if solve.until is None:
        return await _solve(asked, server, solve)
    said = ""
    with deadline(at=solve.until, raises=False) as left:
        said = await _solve(asked, server, solve)
    if left.expired and not said:
        raise StepFailed("it had no answer in time")
    return said


async def _solve(asked: str, server: str, solve: _Solve) -> str:
    done = await agent(solve.model, [solve.servers[server]], asked, turns=solve.turns)
    return done.value or ""


def _say_found(ran: Executed[SubQuestion, str]) -> str:
    lines = []
    for node in ran.graph:
        what = ran.results.get(node.id, "(no answer)")
        lines.append(f"- {node.does.question}: {what}")
    return "\n".join(lines)


def _check(question: str, servers: Toolbox, k: int, latency_s: float | None, turns: int) -> None:
    if not isinstance(question, str) or not question.strip():
        raise UsageError(f"tura: question={question!r:.80}: what is asked, as text")
    if not isinstance(servers, Toolbox):
        raise UsageError(f"tura: servers={servers!r:.80}: a tools.Toolbox")
    settings.at_least_one("tura", k=k, turns=turns)
    if latency_s is not None:
        settings.number("tura", 0, above=True, latency_s=latency_s)
