"""Questions of FanOutQA answered by the plans that people wrote for them: one step at a time, in rounds, or as a flow of data.

Each sub-question is a search and a page that is opened; the search waits for the sub-questions that people say must be answered
before. All three ways do the same steps. What differs is what waits for what, so they must find the same, with as many calls.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import headway as hw
from headway import tools
from headway.engine.handle import Handle
from headway.methods import plan
from headway.methods.graph import Graph, Node, after
from headway.methods.plan.policies import one_by_one, rounds
from headway.methods.protocols import Policy
from library.asking import Heard, NoAnswer, ask
from library.fanout import Question
from library.pages import find_line

ORDERS: Mapping[str, Policy | None] = {"one by one": one_by_one, "rounds": rounds, "dataflow": None}
"""What waits for what."""


@dataclass(frozen=True)
class Asks:
    """A step: "search" for a sub-question, or "open" the page that the search found best."""

    tool: str
    question: str

    def __str__(self) -> str:
        return f"{self.tool}: {self.question}"


@dataclass(frozen=True)
class Answered:
    """What came of a question.

    Attributes:
        question: which.
        way: how it was answered.
        answer: all that was found, a line for each sub-question.
        calls: how often the library was asked.
        searches: how many of these were searches.
        rounds: how many steps waited for each other, at most.
        tokens: read in all, and on the longest chain of steps that waited for each other.
        critical_tokens: on the longest chain of steps that waited for each other.
        seconds: how long it took; None where the program was killed in the middle of it.
        failed: the steps that failed, or never began.
        ran: the plan as it ran.
    """

    question: str
    way: str
    answer: str
    calls: int
    searches: int
    rounds: int
    tokens: int
    critical_tokens: int
    seconds: float | None
    failed: int = 0
    ran: plan.Executed[Asks, Heard] | None = None


def make_plan(question: Question) -> Graph[Asks]:
    """The oracle plan of a question: two steps for each sub-question that a page answers."""
    leaves = {leaf.id for leaf in question.leaves()}
    ends: dict[str, tuple[str, ...]] = {}  # of each sub-question, the sub-questions with which it is answered
    before: dict[str, set[str]] = {}
    waiting = [(part, set(part.needs)) for part in question.parts]
    while waiting:
        part, needs = waiting.pop()
        ends[part.id] = tuple(leaf.id for leaf in part.leaves())
        before[part.id] = needs
        waiting += [(each, needs | set(each.needs)) for each in part.parts]
    nodes: list[Node[Asks]] = []
    for leaf in question.leaves():
        needed = sorted({f"{end} open" for need in before[leaf.id] for end in ends[need] if end in leaves})
        nodes.append(Node(f"{leaf.id} search", Asks("search", leaf.question), after(*needed)))
        nodes.append(Node(f"{leaf.id} open", Asks("open", leaf.question), after(f"{leaf.id} search")))
    return Graph(tuple(nodes))


@hw.task(label=lambda tool, question, found: f"{tool.name}: {question}")
async def take_step(tool: tools.Tool, question: str, found: Heard | None) -> Heard:
    """Search, or open the first page that was found. Raises NoAnswer."""
    if found is None:
        return await ask(tool, query=question)
    if not found.value:
        raise NoAnswer(f"nothing was found for {question!r}")
    return await ask(tool, title=found.value[0])


@hw.task
async def begin() -> tuple[int, float]:
    """Which process began, and when."""
    return os.getpid(), hw.now()


def seconds_since(begun: tuple[int, float]) -> float | None:
    """How long it took, unless it began in another process."""
    process, at = begun
    return hw.now() - at if process == os.getpid() else None


@hw.task(label=lambda library, question, way: f"{way}: {question.question}")
async def answer_by_oracle(library: tools.McpServer, question: Question, way: str) -> Answered:
    """Answer a question by its oracle plan."""
    search, open_page = await tools.list_mcp_tools(library, only=["search", "open"])
    begun = await begin()

    def step(does: Asks, given: Mapping[str, Heard]) -> Handle[Heard]:
        if does.tool == "search":
            return take_step(search, does.question, None)
        (found,) = given.values()
        return take_step(open_page, does.question, found)

    ran = await plan.execute(step, graph=make_plan(question), policy=ORDERS[way], errors=(NoAnswer,))
    heard: Mapping[str, Heard] = ran.results
    tokens = {id: each.tokens for id, each in heard.items()}
    lines = [find_line(heard[f"{leaf.id} open"].text, leaf.question) for leaf in question.leaves() if f"{leaf.id} open" in heard]
    return Answered(
        question.id,
        way,
        "\n".join(lines),
        calls=sum(each.tries for each in heard.values()),
        searches=sum(each.tries for id, each in heard.items() if id.endswith("search")),
        rounds=len(in_order(ran.graph, way)),
        tokens=sum(tokens.values()),
        critical_tokens=longest(ran.graph, way, tokens),
        seconds=seconds_since(begun),
        failed=len(ran.failures) + len(ran.skipped),
        ran=ran,
    )


def in_order(graph: Graph[Asks], way: str) -> Sequence[Sequence[str]]:
    """The steps, those together that need not wait for each other."""
    return [(id,) for id in graph.order()] if way == "one by one" else graph.rounds()


def longest(graph: Graph[Asks], way: str, tokens: Mapping[str, int]) -> int:
    """The tokens of the longest chain of steps that wait for each other."""
    if way == "dataflow":
        return int(graph.critical_path(lambda node: tokens.get(node.id, 0))[0])
    return sum(max(tokens.get(id, 0) for id in together) for together in in_order(graph, way))
