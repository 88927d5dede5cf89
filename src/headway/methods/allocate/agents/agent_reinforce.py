"""Agent-REINFORCE: learns which agents work together, and who hears whom, by REINFORCE on the graph's own probabilities."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from random import Random
from statistics import fmean, pstdev
from typing import NamedTuple

from headway.context import random
from headway.errors import UsageError
from headway.joins.gather import gather
from headway.methods import settings
from headway.methods.graph import Graph, Need, Node
from headway.scopes.anytime import Stopped, anytime

REDRAWS = 200  # of a graph that is over the budget
STEEPEST = 6.0  # no logit gets larger, so that nothing is ever ruled out


class Seat(NamedTuple):
    """What an agent of a graph does, and by which model."""

    role: str
    model: str


@dataclass(frozen=True, slots=True)
class AgentGraph:
    """Who works, and who hears whom.

    Attributes:
        seats: the agents, in an order in which each hears earlier ones alone.
        edges: pairs of places: the second hears the first.

    Example:
        >>> plan = AgentGraph((Seat("assistant", "3B"), Seat("fuser", "8B")), ((0, 1),)).plan()
        >>> plan.ready({}), plan["1"].does.role
        (('0',), 'fuser')
    """

    seats: tuple[Seat, ...]
    edges: tuple[tuple[int, int], ...] = ()

    def plan(self) -> Graph[Seat]:
        """The graph as a plan, for `allocate.run_plan`; the steps are named by their places."""
        heard: dict[int, list[Need]] = {}
        for before, after in self.edges:
            heard.setdefault(after, []).append(Need(str(before)))
        return Graph(tuple(Node(str(place), seat, tuple(heard.get(place, ()))) for place, seat in enumerate(self.seats)))


class Reward(NamedTuple):
    """A graph that was tried, and how well it did."""

    graph: AgentGraph
    score: float


@dataclass(frozen=True, slots=True)
class Logits:
    """A distribution over graphs: each edge is there or not, and each place takes one of the seats, all independently.

    Attributes:
        options: the seats there are.
        edges: of each pair of places, in the order of `itertools.combinations`: the log-odds that the edge is there.
        seats: of each place and option, up to a constant: the log-probability that it is taken.

    Example:
        >>> even = Logits.even([Seat("assistant", "3B"), Seat("assistant", "8B")], 2)
        >>> good, bad = (Reward(AgentGraph((seat, seat), ((0, 1),)), score) for seat, score in zip(even.options, (1.0, 0.0)))
        >>> even.update([good, bad], rate=1.0).likeliest().seats[0].model
        '3B'
    """

    options: tuple[Seat, ...]
    edges: tuple[float, ...]
    seats: tuple[tuple[float, ...], ...]

    @classmethod
    def even(cls, options: Sequence[Seat], places: int) -> Logits:
        """All graphs of so many places, equally likely.

        Args:
            options: the seats there are.
            places: how many agents.

        Returns:
            The distribution.
        """
        return cls(tuple(options), (0.0,) * math.comb(places, 2), ((0.0,) * len(options),) * places)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The pairs of places, as `edges` has them."""
        return list(combinations(range(len(self.seats)), 2))

    def sample(self, rng: Random) -> AgentGraph:
        """Draw a graph.

        Args:
            rng: draws.

        Returns:
            The graph.
        """
        seats = tuple(rng.choices(self.options, [math.exp(logit) for logit in of_place])[0] for of_place in self.seats)
        edges = tuple(pair for pair, logit in zip(self.pairs, self.edges, strict=True) if rng.random() < _sigmoid(logit))
        return AgentGraph(seats, edges)

    def likeliest(self) -> AgentGraph:
        """The graph that is drawn most often."""
        seats = tuple(self.options[max(range(len(of_place)), key=of_place.__getitem__)] for of_place in self.seats)
        return AgentGraph(seats, tuple(pair for pair, logit in zip(self.pairs, self.edges, strict=True) if logit > 0))

    def likelihood(self, graph: AgentGraph) -> float:
        """How often a graph is drawn.

        Args:
            graph: of seats that are among the options.

        Returns:
            The logarithm of its probability.
        """
        there = set(graph.edges)
        edges = sum(
            math.log(_sigmoid(logit if pair in there else -logit)) for pair, logit in zip(self.pairs, self.edges, strict=True)
        )
        places = zip(self.seats, graph.seats, strict=True)
        return edges + sum(math.log(_softmax(of_place)[self.options.index(seat)]) for of_place, seat in places)

    def update(self, rewards: Sequence[Reward], rate: float) -> Logits:
        """One step of REINFORCE: along the gradient of each graph's log-probability, by how much better than the mean it did.

        Args:
            rewards: graphs that were drawn from this distribution, and their scores.
            rate: how far, for a score that is a standard deviation above the mean.

        Returns:
            The distribution after it.
        """
        mean, spread = fmean(each.score for each in rewards), pstdev(each.score for each in rewards)
        if spread == 0:
            return self
        edges, seats = list(self.edges), [list(of_place) for of_place in self.seats]
        for graph, score in rewards:
            step = rate * (score - mean) / spread / len(rewards)
            there = set(graph.edges)
            for number, pair in enumerate(self.pairs):
                edges[number] += step * ((pair in there) - _sigmoid(self.edges[number]))
            for place, seat in enumerate(graph.seats):
                for number, share in enumerate(_softmax(self.seats[place])):
                    seats[place][number] += step * ((self.options[number] == seat) - share)
        return Logits(self.options, tuple(map(_clip, edges)), tuple(tuple(map(_clip, of_place)) for of_place in seats))


@dataclass(frozen=True, slots=True)
class Shaped:
    """How a search for a graph ended.

    Attributes:
        best: the graph that is likeliest in the end, within the budget; None where none was tried.
        logits: the distribution that was learnt.
        tried: all graphs that were, in their order.
        stopped: why it ended.
    """

    best: AgentGraph | None
    logits: Logits
    tried: tuple[Reward, ...]
    stopped: Stopped


async def agent_reinforce(
    evaluate: Callable[[AgentGraph], Awaitable[float]],
    seats: Mapping[Seat, float],
    *,
    places: int,
    budget: float = math.inf,
    rounds: int = 40,
    width: int = 16,
    rate: float = 3.0,
    start: Logits | None = None,
) -> Shaped:
    """Draw graphs of agents, see how well they do, and make what did well more likely.

    It departs in that the step is REINFORCE on the scores, where the paper has a model turn textual feedback into an update. It
    departs in that graphs over the budget are drawn again.

    Args:
        evaluate: how well a graph does, the larger the better; usually a task that runs `graph.plan()`. It may be noisy.
        seats: what an agent may be, and what each takes of the budget.
        places: how many agents.
        budget: what a graph may take.
        rounds: updates at most.
        width: graphs of a round, side by side.
        rate: how far an update goes.
        start: what is drawn from at first, such as what was learnt before; all graphs alike where it is None.

    Returns:
        The likeliest graph in the end, the distribution, and all graphs that were tried. It ends after its rounds, or when the
        budget or the deadline around it is used up.

    Raises:
        UsageError: a senseless setting, a budget that pays for no graph, or a score that is no number.
        Exception: what `evaluate` raises, but for budgets and deadlines.

    Example:
        >>> async def score(graph: AgentGraph) -> float:
        ...     return len(graph.edges) + sum(seat.model == "8B" for seat in graph.seats)
        >>> seats = {Seat("assistant", "3B"): 1.0, Seat("assistant", "8B"): 2.0}
        >>> @hw.task
        ... async def program() -> AgentGraph:
        ...     return (await agent_reinforce(score, seats, places=3, rounds=20)).best
        >>> len(hw.run(program, store=None).edges)
        3

    Source:
        Agent-REINFORCE: Wang et al., "Generalizing test-time compute-optimal scaling as an optimizable graph", arXiv 2511.00086;
        after the idea of. REINFORCE: Williams, 1992.
    """
    logits = _check("agent_reinforce", evaluate, seats, places, budget, rounds, width, rate, start)
    rng, found, number = random(), dict[int, Reward](), 0

    async def attempt(number: int, graph: AgentGraph) -> Reward:
        score = await evaluate(graph)
        if not isinstance(score, int | float) or not math.isfinite(score):
            raise UsageError(f"agent_reinforce: evaluate={evaluate!r} gave {score!r:.40}: a finite number, the larger the better")
        block.keep(number, Reward(graph, float(score)))
        return Reward(graph, float(score))

    with anytime(found) as block:
        for _ in range(rounds):
            graphs = draw_within(logits, seats, budget, width, rng)
            rewards = await gather(*(attempt(number + place, graph) for place, graph in enumerate(graphs)))
            number += width
            logits = logits.update(rewards, rate)
    tried = tuple(found[number] for number in sorted(found))
    return Shaped(choose_graph(logits, tried, seats, budget), logits, tried, block.stopped)


def draw_within(logits: Logits, seats: Mapping[Seat, float], budget: float, count: int, rng: Random) -> list[AgentGraph]:
    """Draw graphs within a budget; one that is over it is drawn again, and at last takes cheaper seats.

    Args:
        logits: what is drawn from.
        seats: what each seat takes.
        budget: what a graph may take.
        count: how many graphs.
        rng: draws.

    Returns:
        The graphs.

    Example:
        >>> seats = {Seat("assistant", "3B"): 1.0, Seat("assistant", "8B"): 3.0}
        >>> graphs = draw_within(Logits.even(list(seats), 3), seats, 5.0, 8, Random(1))
        >>> max(sum(seats[seat] for seat in graph.seats) for graph in graphs)
        5.0
    """
    cheapest = min(seats, key=lambda seat: seats[seat])
    drawn: list[AgentGraph] = []
    for _ in range(count):
        graph = logits.sample(rng)
        for _ in range(REDRAWS):
            if _units(graph, seats) <= budget:
                break
            graph = logits.sample(rng)
        while _units(graph, seats) > budget:
            dearest = max(range(len(graph.seats)), key=lambda place: seats[graph.seats[place]])
            graph = AgentGraph((*graph.seats[:dearest], cheapest, *graph.seats[dearest + 1 :]), graph.edges)
        drawn.append(graph)
    return drawn


def choose_graph(logits: Logits, tried: Sequence[Reward], seats: Mapping[Seat, float], budget: float) -> AgentGraph | None:
    """The likeliest graph; where that is over the budget, the likeliest of those that were tried.

    Args:
        logits: what was learnt.
        tried: graphs within the budget.
        seats: what each seat takes.
        budget: what a graph may take.

    Returns:
        The graph, None where none was tried.

    Example:
        >>> large = Seat("assistant", "8B")
        >>> choose_graph(Logits.even([large], 2), [Reward(AgentGraph((large, large)), 1.0)], {large: 1.0}, 2.0).edges
        ()
    """
    likeliest = logits.likeliest()
    if not tried or _units(likeliest, seats) <= budget:
        return likeliest if tried else None
    return max(tried, key=lambda each: logits.likelihood(each.graph)).graph


def _units(graph: AgentGraph, seats: Mapping[Seat, float]) -> float:
    return sum(seats[seat] for seat in graph.seats)


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def _softmax(logits: Sequence[float]) -> list[float]:
    weights = [math.exp(logit) for logit in logits]
    return [weight / sum(weights) for weight in weights]


def _clip(logit: float) -> float:
    return min(STEEPEST, max(-STEEPEST, logit))


def _check(
    where: str,
    evaluate: object,
    seats: Mapping[Seat, float],
    places: int,
    budget: float,
    rounds: int,
    width: int,
    rate: float,
    start: Logits | None,
) -> Logits:
    """The distribution to start from. Raises UsageError for settings that make no sense."""
    settings.function(where, evaluate=evaluate)
    settings.at_least_one(where, places=places, rounds=rounds)
    settings.whole_number(where, least=2, width=width)
    settings.number(where, 0, math.inf, above=True, rate=rate)
    if not isinstance(seats, Mapping) or not seats or not all(isinstance(seat, Seat) for seat in seats):
        raise UsageError(f"{where}: seats={seats!r:.80}: what each agents.Seat takes of the budget, at least one")
    for seat, units in seats.items():
        settings.finite(f"{where}: {seat}", units=units)
    settings.number(where, 0, budget=budget)
    if (least := places * min(seats.values())) > budget:
        raise UsageError(f"{where}: budget={budget:g}: {places} agents of the cheapest seat take {least:g}")
    if start is None:
        return Logits.even(list(seats), places)
    if len(start.seats) != places or set(start.options) - seats.keys():
        raise UsageError(
            f"{where}: start= has {len(start.seats)} places and seats {list(start.options)!r:.80}: give those of this search"
        )
    return start
