"""Ways to give the steps of a plan to agents, as plans of assignments: parallel, sequential, hierarchical, hybrid.

    arranged = arrange(graph, "hybrid")                # a Graph of assignments, for the executor of all plans
    makespan(arranged, seconds, costs)                 # how long it takes, before anything is run

An assignment is one agent with one or more steps. What an agent knows from its own steps costs nothing; what it is told by others
costs a hand-over. So the ways differ in who works at once and in what has to be told to whom. Everything here is pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.graph import Graph, Need, Node

W = TypeVar("W")
Topology = Literal["parallel", "sequential", "hierarchical", "hybrid"]
TOPOLOGIES: tuple[Topology, ...] = ("parallel", "sequential", "hierarchical", "hybrid")


@dataclass(frozen=True, slots=True)
class Assignment(Generic[W]):
    """What one agent does.

    Attributes:
        steps: its steps, in their order. Of a lead, those whose results it takes in.
        sources: from how many others it is told results.
        lead: whether it leads: it does no step, takes in the results of a level and hands them on.
    """

    steps: tuple[Node[W], ...]
    sources: int = 0
    lead: bool = False


@dataclass(frozen=True, slots=True)
class Costs:
    """What working together costs, in seconds.

    Attributes:
        start_s: to begin an agent.
        handover_s: for an agent to take in what one other tells it.
        lead_s: for a lead to take in one result.
    """

    start_s: float = 0.0
    handover_s: float = 0.0
    lead_s: float = 0.0

    def __post_init__(self) -> None:
        settings.finite("Costs", start_s=self.start_s, handover_s=self.handover_s, lead_s=self.lead_s)


def arrange(graph: Graph[W], topology: Topology) -> Graph[Assignment[W]]:
    """Give the steps of a plan to agents.

    Args:
        graph: the plan. Its steps may only need others to succeed.
        topology: "parallel", an agent for each step; "sequential", one agent for all; "hierarchical", an agent for each step, and
            a lead after each level, who alone tells results to the next; "hybrid", an agent for each chain of steps.

    Returns:
        A plan of assignments.

    Raises:
        UsageError: there is no such topology, the plan is empty, or a step needs another one to fail or to end.

    Example:
        >>> from headway.methods.graph import after
        >>> plan = Graph((Node("a", 1), Node("b", 2, after("a")), Node("c", 3, after("b")), Node("d", 4)))
        >>> [[step.id for step in node.does.steps] for node in arrange(plan, "hybrid")]
        [['a', 'b', 'c'], ['d']]
    """
    if topology not in TOPOLOGIES:
        raise UsageError(f"arrange: topology={topology!r:.80}: one of {', '.join(TOPOLOGIES)}")
    if not isinstance(graph, Graph) or not len(graph):
        raise UsageError(f"arrange: graph={graph!r:.80}: a methods.graph.Graph with at least one step")
    for node in graph:
        for need in node.needs:
            if need.on == "failure" or need.test:
                raise UsageError(
                    f"arrange: step {node.id!r} needs {need.step!r} on {need.test or need.on!r}: an agent can't tell that"
                )
    if topology == "hierarchical":
        return _with_leads(graph)
    if topology == "sequential":
        return _of_groups(graph, [list(graph.order())])
    return _of_groups(graph, [[node.id] for node in graph] if topology == "parallel" else chains(graph))


def chains(graph: Graph[Any]) -> list[list[str]]:
    """The chains of a plan: each step goes to the one before it, where it needs no other one and no other one needs that.

    Args:
        graph: the plan.

    Returns:
        The ids of each chain; each step is in one.

    Example:
        >>> from headway.methods.graph import after
        >>> chains(Graph((Node("a", 1), Node("b", 2, after("a")), Node("c", 3, after("a")))))
        [['a'], ['b'], ['c']]
    """
    found: list[list[str]] = []
    chain_of: dict[str, list[str]] = {}
    for id in graph.order():
        needs = graph[id].needs
        before = needs[0].step if len(needs) == 1 else ""
        if before and len(graph.dependents(before)) == 1:
            chain = chain_of[before]
        else:
            chain = []
            found.append(chain)
        chain.append(id)
        chain_of[id] = chain
    return found


def _of_groups(graph: Graph[W], groups: Sequence[Sequence[str]]) -> Graph[Assignment[W]]:
    """A plan of agents that do a group of steps each."""
    group_of = {id: ids[0] for ids in groups for id in ids}
    nodes = []
    for ids in groups:
        outside = dict.fromkeys(group_of[need.step] for id in ids for need in graph[id].needs if group_of[need.step] != ids[0])
        assignment = Assignment(tuple(graph[id] for id in ids), len(outside))
        nodes.append(Node(ids[0], assignment, tuple(Need(other) for other in outside)))
    return Graph(tuple(nodes))


def _with_leads(graph: Graph[W]) -> Graph[Assignment[W]]:
    """A plan of agents that do a step each, with a lead after each level but the last."""
    nodes: list[Node[Assignment[W]]] = []
    rounds, before = graph.rounds(), ""
    for level, ids in enumerate(rounds):
        needs = (Need(before),) if before else ()
        nodes += [Node(id, Assignment((graph[id],), len(needs)), needs) for id in ids]
        if level + 1 < len(rounds):
            taken = Assignment(tuple(graph[id] for id in ids), len(ids), lead=True)
            name = f"lead {level}"
            while name in graph:
                name += "'"
            nodes.append(Node(name, taken, (*(Need(id) for id in ids), *needs)))
            before = name
    return Graph(tuple(nodes))


def seconds_of(assignment: Assignment[W], seconds: Mapping[str, float], costs: Costs) -> float:
    """How long an agent takes for what it is assigned.

    Args:
        assignment: what it does.
        seconds: how long each step takes, by id.
        costs: what working together costs.

    Returns:
        Seconds.

    Example:
        >>> seconds_of(Assignment((Node("a", 1),), sources=2), {"a": 5.0}, Costs(start_s=1.0, handover_s=0.5))
        7.0
    """
    if assignment.lead:
        return costs.lead_s * len(assignment.steps)
    return costs.start_s + costs.handover_s * assignment.sources + sum(seconds[step.id] for step in assignment.steps)


def makespan(arranged: Graph[Assignment[W]], seconds: Mapping[str, float], costs: Costs) -> float:
    """How long a plan of assignments takes when each begins as soon as it can.

    Args:
        arranged: the plan, as `arrange` made it.
        seconds: how long each step takes, by id.
        costs: what working together costs.

    Returns:
        Seconds.

    Example:
        >>> from headway.methods.graph import after
        >>> plan = Graph((Node("a", 1), Node("b", 2, after("a")), Node("c", 3)))
        >>> times, costs = {"a": 1.0, "b": 1.0, "c": 1.0}, Costs(handover_s=5.0)
        >>> [makespan(arrange(plan, way), times, costs) for way in TOPOLOGIES]
        [7.0, 3.0, 7.0, 2.0]
    """
    duration: Callable[[Node[Assignment[W]]], float] = lambda node: seconds_of(node.does, seconds, costs)  # noqa: E731
    return arranged.critical_path(duration)[0]
