"""AdaptOrch: choose by the shape of a plan how its steps are given to agents, and score what comes of it.

    router = fit(tried)                                              # from makespans of plans of the past, or of simulated ones
    done = await adaptorch(agent, graph, router, consistency=agreement)

How the choice is made stands in `routing`. A result whose parts contradict each other is worth another try in another topology; the
number of tries is bounded.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from headway.engine.identity.signature import unkeyed
from headway.errors import UsageError
from headway.methods import settings
from headway.methods.graph import Graph
from headway.methods.plan.executor import execute
from headway.methods.plan.records import Executed
from headway.methods.plan.teams.routing import Router, features
from headway.methods.plan.teams.topologies import Assignment, Topology, arrange
from headway.methods.search.failures import SAMPLE_ERRORS, Errors
from headway.task import task

W = TypeVar("W")
T = TypeVar("T")


@dataclass(frozen=True)
class Orchestrated(Generic[W, T]):
    """What came of a plan.

    Attributes:
        results: by step, of the topology whose results agree best.
        topology: that one.
        score: how well its results agree, from 0 to 1; 1 where nobody scores.
        tried: each topology that was tried, with its score, in order.
        executed: the plan of assignments as it ran.
    """

    results: Mapping[str, T]
    topology: Topology
    score: float
    tried: tuple[tuple[Topology, float], ...]
    executed: Executed[Assignment[W], Mapping[str, T]]


async def adaptorch(
    agent: Callable[[Assignment[W], Mapping[str, T]], Awaitable[Mapping[str, T]]],
    graph: Graph[W],
    router: Router,
    *,
    lead: Callable[[Assignment[W], Mapping[str, T]], Awaitable[Mapping[str, T]]] | None = None,
    consistency: Callable[[Mapping[str, T]], float] | None = None,
    enough: float = 0.5,
    reroutes: int = 1,
    friction: float = 0.0,
    errors: Errors = SAMPLE_ERRORS,
) -> Orchestrated[W, T]:
    """Give the steps of a plan to agents in the topology that fits its shape, and try another one where the results disagree.

    It departs in that thresholds are fitted and not given, and in that the next topology is the next best by the same fit. It
    departs in that the best of all tries is taken, not the last.

    Args:
        agent: does an assignment: `agent(assignment, given)` gives a result for each of its steps, by id; `given` has the results
            that its steps need of others.
        graph: the plan.
        router: ranks the topologies for its features; see `fit`.
        lead: takes in the results of a level in a hierarchy, and gives what is told to the next level. Without one, all is told.
        consistency: how well results agree, from 0 to 1: a pure function. Without one, nothing is tried twice.
        enough: a score that needs no other try.
        reroutes: how many other topologies are tried at most.
        friction: what a hand-over costs, in steps of average length.
        errors: what an agent may fail with without failing the program; its results are missing then.

    Returns:
        The results of the topology whose results agree best.

    Raises:
        UsageError: settings that make no sense, before anything is done; an agent that gives no result for one of its steps.
        Exception: what an agent raises that `errors` does not name.

    Example:
        >>> from headway.methods.graph import Node, after
        >>> from headway.methods.plan import teams
        >>> @hw.task
        ... async def add(assignment: teams.Assignment[int], given: dict[str, int]) -> dict[str, int]:
        ...     known = dict(given)
        ...     for step in assignment.steps:
        ...         known[step.id] = step.does + sum(known[need.step] for need in step.needs)
        ...     return {step.id: known[step.id] for step in assignment.steps}
        >>> plan = Graph((Node("a", 1), Node("b", 2, after("a")), Node("c", 3, after("a", "b"))))
        >>> @hw.task
        ... async def program() -> tuple[dict[str, int], str]:
        ...     done = await teams.adaptorch(add, plan, teams.Router(("sequential", "parallel")))
        ...     return dict(done.results), done.topology
        >>> hw.run(program, store=None)
        ({'a': 1, 'b': 3, 'c': 7}, 'sequential')

    Source:
        AdaptOrch, arXiv 2602.16873; after the idea of, from its abstract.
    """
    where = "adaptorch"
    settings.function(where, agent=agent)
    settings.function(where, optional=True, lead=lead, consistency=consistency)
    settings.instance(where, Router, router=router)
    settings.probability(where, enough=enough)
    settings.whole_number(where, reroutes=reroutes)
    ranking = router.rank(features(graph, friction=friction))
    arrange(graph, ranking[0])  # refuses a plan that can't be given to agents
    best: Orchestrated[W, T] | None = None
    tried: list[tuple[Topology, float]] = []
    for topology in ranking[: 1 + reroutes if consistency is not None else 1]:
        executed = await run_arranged(agent, arrange(graph, topology), lead=lead, errors=errors)
        results = {step.id: gave[step.id] for gave in executed.results.values() for step in graph if step.id in gave}
        score = 1.0 if consistency is None else consistency(results)
        settings.probability(f"{where}: consistency=… gave", score=score)
        tried.append((topology, score))
        if best is None or score > best.score:
            best = Orchestrated(results, topology, score, (), executed)
        if score >= enough:
            break
    assert best is not None
    return Orchestrated(best.results, best.topology, best.score, tuple(tried), best.executed)


async def run_arranged(
    agent: Callable[..., Awaitable[Mapping[str, T]]],
    arranged: Graph[Assignment[W]],
    *,
    lead: Callable[..., Awaitable[Mapping[str, T]]] | None = None,
    errors: Errors = SAMPLE_ERRORS,
) -> Executed[Assignment[W], Mapping[str, T]]:
    """Run a plan of assignments on the executor of all plans."""

    def step(assignment: Assignment[W], given: Mapping[str, Mapping[str, T]]) -> Any:
        return do_assignment(assignment, {id: gave[id] for gave in given.values() for id in gave}, agent, lead)

    return await execute(step, graph=arranged, errors=errors)


@task(name="adaptorch.agent", label=lambda assignment, known, agent, lead: " ".join(each.id for each in assignment.steps))
async def do_assignment(
    assignment: Assignment[Any],
    known: dict[str, Any],
    agent: Annotated[Callable[..., Awaitable[Any]], unkeyed],
    lead: Annotated[Callable[..., Awaitable[Any]] | None, unkeyed],
) -> dict[str, Any]:
    """One agent at work. A lead hands on what it was told of earlier levels as well."""
    if assignment.lead:
        return {**known, **(await lead(assignment, known) if lead is not None else {})}
    own = {step.id for step in assignment.steps}
    needed = {need.step for step in assignment.steps for need in step.needs} - own
    gave = await agent(assignment, {id: known[id] for id in sorted(needed)})
    if not isinstance(gave, Mapping) or {*gave} != own:
        raise UsageError(
            f"adaptorch: the agent gave {gave!r:.120}: give a result for each of its steps, by id: {', '.join(sorted(own))}"
        )
    return dict(gave)


def agreement(results: Mapping[str, Any]) -> float:
    """How much texts have in common: the mean share of words that two of them share.

    Args:
        results: texts, by step.

    Returns:
        From 0 to 1; 1 where there are fewer than two.

    Example:
        >>> agreement({"a": "it is Rome", "b": "it is Rome", "c": "Paris"})
        0.3333333333333333
    """
    words = [{*str(text).lower().split()} for text in results.values()]
    shared = [
        len(one & other) / len(one | other) if one | other else 1.0
        for place, one in enumerate(words)
        for other in words[place + 1 :]
    ]
    return sum(shared) / len(shared) if shared else 1.0
