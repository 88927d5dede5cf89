"""SALE: agents bid for a task with a short strategy, and the cheap ones learn from earlier auctions to bid better."""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Generic, NamedTuple, TypeVar

from headway.errors import UsageError
from headway.joins.gather import gather
from headway.methods import settings
from headway.methods.records import Action, View

W = TypeVar("W")

BEST_GRADE = 5.0


class Strategy(NamedTuple):
    """How an agent would go about a task, in a few lines; its tokens, and the mean entropy of a token, in nats."""

    text: str
    tokens: int
    entropy: float = 0.0


class Past(NamedTuple, Generic[W]):
    """What an earlier auction taught: its task, a strategy that lost, and the one that won."""

    task: W
    lost: str
    won: str


@dataclass(frozen=True, slots=True)
class Weights:
    """What an offer is made of.

    Attributes:
        cost: of the price of a strategy: price of a token times tokens.
        entropy: of the strategy's entropy.
        jury: of the grades of each juror; one that is not named counts 1.
    """

    cost: float = 1.0
    entropy: float = 0.0
    jury: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bid:
    """What an agent offers.

    Attributes:
        agent: whose it is.
        price: of a token of this agent.
        strategy: how it would go about the task.
        grades: what each juror says of it, from 0 to 5.
        refined: whether it was written with what earlier auctions taught.
    """

    agent: str
    price: float
    strategy: Strategy
    grades: Mapping[str, float]
    refined: bool = False

    def offer(self, weights: Weights) -> float:
        """Cost less value: the lowest wins.

        Args:
            weights: what they are made of.

        Returns:
            The offer.

        Example:
            >>> bid = Bid("small", 0.05, Strategy("look it up", 100), {"small": 4.0, "large": 2.0})
            >>> bid.offer(Weights(jury={"large": 0.5}))
            0.0
        """
        value = weights.entropy * self.strategy.entropy
        value += sum(weights.jury.get(juror, 1.0) * grade for juror, grade in self.grades.items())
        return weights.cost * self.price * self.strategy.tokens - value


@dataclass(frozen=True, slots=True)
class Auction(Generic[W]):
    """How an auction ended.

    Attributes:
        task: what was bid for.
        bids: the last one of each agent, the best offer first. The first has won.
        lessons: what it teaches, for the memory of the next ones.
    """

    task: W
    bids: tuple[Bid, ...]
    lessons: tuple[Past[W], ...]

    @property
    def winner(self) -> Bid:
        """The bid with the best offer."""
        return self.bids[0]


def overlap(one: object, other: object) -> float:
    """How alike two texts are: the share of their words that both have.

    Args:
        one: a text, or what makes one.
        other: another.

    Returns:
        From 0 to 1.

    Example:
        >>> overlap("sort a list", "sort a tree")
        0.5
    """
    words, others = set(str(one).split()), set(str(other).split())
    return len(words & others) / (len(words | others) or 1)


async def auction(
    task: W,
    agents: Mapping[str, float],
    plan: Callable[[W, str, Sequence[Past[W]]], Awaitable[Strategy]],
    grade: Callable[[W, str, str], Awaitable[float]],
    *,
    weights: Weights = Weights(),
    memory: Sequence[Past[W]] = (),
    alike: Callable[[W, W], float] = overlap,
    nearest: int = 3,
) -> Auction[W]:
    """Have agents bid for a task; those cheaper than the winner may bid again with what earlier auctions taught.

    Each agent writes a strategy, and each of them grades all strategies, its own as well. The offer with the lowest cost less value
    wins, unless a cheaper agent beats it with a strategy that it wrote anew after strategies which won and lost like tasks.

    It departs in that a juror grades one strategy a call. It departs in that whether the winner then did the task well changes
    nothing; keep the lessons of those alone that did, if that can be checked.

    Args:
        task: what is to be done.
        agents: their names, and the price of a token of each.
        plan: writes the strategy of an agent: `plan(task, agent, lessons)`, without lessons at first. Usually a task.
        grade: a juror's grade of a strategy, from 0 to 5: `grade(task, strategy, juror)`.
        weights: what an offer is made of; see `fit_weights`.
        memory: the lessons of earlier auctions, such as a snapshot of an `hw.collection`.
        alike: how alike two tasks are, the larger the more.
        nearest: how many lessons an agent is shown.

    Returns:
        The bids, the best first, and what they teach.

    Raises:
        UsageError: a senseless setting, or a grade that is none.
        Exception: what `plan` and `grade` raise.

    Example:
        >>> async def plan(task: str, agent: str, lessons: list[Past]) -> Strategy:
        ...     return Strategy(lessons[0].won if lessons else f"{agent}'s way", 10)
        >>> async def grade(task: str, strategy: str, juror: str) -> float:
        ...     return 4.0 if strategy == "large's way" else 1.0
        >>> async def two() -> list[str]:
        ...     first = await auction("sort it", {"small": 0.05, "large": 0.2}, plan, grade)
        ...     again = await auction("sort them", {"small": 0.05, "large": 0.2}, plan, grade, memory=first.lessons)
        ...     return [first.winner.agent, again.winner.agent]
        >>> asyncio.run(two())
        ['large', 'small']

    Source:
        SALE: Alazraki et al., "Scaling small agents through strategy auctions", arXiv 2602.02751; after the idea of.
    """
    where = "auction"
    settings.function(where, plan=plan, grade=grade, alike=alike)
    settings.whole_number(where, nearest=nearest)
    if not isinstance(agents, Mapping) or not agents:
        raise UsageError(f"{where}: agents={agents!r:.80}: the price of a token of each agent, by its name; at least one")
    settings.finite(where, **agents)

    async def bid(agent: str, lessons: Sequence[Past[W]]) -> Bid:
        strategy = await plan(task, agent, lessons)
        if not isinstance(strategy, Strategy):
            raise UsageError(f"{where}: plan={plan!r} returned {strategy!r:.80}: it must return an agents.Strategy")
        settings.finite(f"{where}: the strategy of {agent!r}", tokens=strategy.tokens, entropy=strategy.entropy)
        grades = await gather(*(grade(task, strategy.text, juror) for juror in agents))
        for juror, given in zip(agents, grades, strict=True):
            settings.number(f"{where}: juror {juror!r}", 0, BEST_GRADE, grade=given)
        return Bid(agent, agents[agent], strategy, dict(zip(agents, grades, strict=True)), bool(lessons))

    first = await gather(*(bid(agent, ()) for agent in agents))
    winner = min(first, key=lambda each: each.offer(weights))
    known = recall_lessons(memory, task, alike, nearest)
    cheaper = [each.agent for each in first if each.price < winner.price] if known else []
    again = await gather(*(bid(agent, known) for agent in cheaper))
    best = {each.agent: each for each in first}
    for each in again:
        best[each.agent] = min(best[each.agent], each, key=lambda one: one.offer(weights))
    bids = sorted(best.values(), key=lambda each: each.offer(weights))
    lessons = tuple(Past(task, each.strategy.text, bids[0].strategy.text) for each in bids[1:])
    return Auction(task, tuple(bids), lessons)


def recall_lessons(memory: Sequence[Past[W]], task: W, alike: Callable[[W, W], float] = overlap, nearest: int = 3) -> list[Past[W]]:
    """The lessons of the tasks that are most alike; of equals, the latest.

    Args:
        memory: all lessons, the oldest first.
        task: what is to be done now.
        alike: how alike two tasks are.
        nearest: how many.

    Returns:
        The lessons, the most alike first.

    Example:
        >>> memory = [Past("a b", "lost", "1"), Past("a c", "lost", "2"), Past("a b", "lost", "3")]
        >>> [past.won for past in recall_lessons(memory, "a b", nearest=2)]
        ['3', '1']
    """
    return [memory[place] for _, place in heapq.nlargest(nearest, ((alike(past.task, task), n) for n, past in enumerate(memory)))]


class Tried(NamedTuple):
    """An auction for a task of a training set, and what each agent is worth there: how likely it is right, less what it costs."""

    bids: Sequence[Bid]
    worth: Mapping[str, float]
    group: str = ""


def fit_weights(tried: Sequence[Tried], options: Sequence[Weights]) -> Weights:
    """Choose weights by the group of tasks that they serve worst: the least of the largest mean regrets.

    It departs in that it tries given options, where the paper solves an integer program.

    Args:
        tried: auctions for tasks on which every agent was tried; their groups are, say, bins of difficulty.
        options: weights to choose among.

    Returns:
        The first of the best options.

    Raises:
        UsageError: there are no tasks, no options, or an agent that bid was not tried.

    Example:
        >>> bids = [Bid("small", 1.0, Strategy("", 1), {"": 2.0}), Bid("large", 3.0, Strategy("", 1), {"": 3.0})]
        >>> fit_weights([Tried(bids, {"small": 0.2, "large": 0.7})], [Weights(cost=1.0), Weights(cost=0.1)]).cost
        0.1

    Source:
        SALE: Alazraki et al., "Scaling small agents through strategy auctions", arXiv 2602.02751; after the idea of.
    """
    if not tried or not options:
        raise UsageError("fit_weights: at least one task that was tried, and one option to choose among")
    for each in tried:
        if not each.bids:
            raise UsageError(f"fit_weights: nobody bid for a task of group {each.group!r}")
        if missing := [bid.agent for bid in each.bids if bid.agent not in each.worth]:
            raise UsageError(f"fit_weights: {missing[0]!r} has no worth= in a task of group {each.group!r}")
        for agent, worth in each.worth.items():
            settings.number(f"fit_weights: agent {agent!r}", worth=worth)
    groups: dict[str, list[Tried]] = {}
    for each in tried:
        groups.setdefault(each.group, []).append(each)
    return min(options, key=lambda weights: max(_regret(of_group, weights) for of_group in groups.values()))


def _regret(tried: Sequence[Tried], weights: Weights) -> float:
    lost = 0.0
    for each in tried:
        chosen = min(each.bids, key=lambda bid: bid.offer(weights)).agent
        lost += max(each.worth[bid.agent] for bid in each.bids) - each.worth[chosen]
    return lost / len(tried)


@dataclass(frozen=True)
class Sale:
    """A policy that gives each step to the agent with the best offer, and after a failure to the next best.

    Attributes:
        bids: the bids for each step, the best first, as an `Auction` has them.
        rounds: how many agents try a step before it is given up.

    Raises:
        UsageError: a senseless setting; or a step that nobody bid for.

    Example:
        >>> bids = [Bid(agent, 1.0, Strategy("", 1), {}) for agent in ("small", "large")]
        >>> policy = Sale({"a": bids})
        >>> [policy(View(("a",), ended=ended), Random(1))[0].choice for ended in ((), (Observation("a", "small", False),))]
        ['small', 'large']

    Source:
        SALE: Alazraki et al., "Scaling small agents through strategy auctions", arXiv 2602.02751; after the idea of.
    """

    bids: Mapping[str, Sequence[Bid]] = field(repr=False)
    rounds: int = 2

    name = "sale"

    def __post_init__(self) -> None:
        settings.at_least_one("Sale", rounds=self.rounds)
        for step, bids in self.bids.items():
            if not bids:
                raise UsageError(f"Sale: nobody bid for step {step!r}")

    def __call__(self, view: View, rng: Random, /) -> Sequence[Action]:
        actions = []
        for step in view.ready:
            if step not in self.bids:
                raise UsageError(f"Sale: nobody bid for step {step!r}; there are bids for: {', '.join(self.bids)[:80] or 'none'}")
            tried = {each.choice for each in view.ended if each.step == step}
            open_ = [bid for bid in self.bids[step] if bid.agent not in tried]
            if open_ and len(tried) < self.rounds:
                actions.append(Action(step, open_[0].agent, why=f"offer {len(tried) + 1} of {len(self.bids[step])}"))
        return actions
