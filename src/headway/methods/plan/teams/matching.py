"""Who does what, as Orchestra-o1's paper says it in formulas: backends by skill, tools by probability, batches under a budget.

    match_backend(unit, backends, cost_weight=1.0, delay_weight=0.1)
    choose_tools({"search": 0.9, "shell": 0.2}, gamma=0.5)
    choose_batch(offers, most=4, budget=0.5)

The authors' public code leaves all of this to a model (`orchestra` does, too). These are the paper's formulas as pure functions,
and `Matching` is a policy made of them for the executor of all plans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.records import Action, View

ANY = frozenset({"text"})


@dataclass(frozen=True, slots=True)
class Backend:
    """A model that sub-tasks can be given to.

    Attributes:
        name: what it is called.
        skills: how good it is at each of some kinds of work.
        price: what a token costs, in the unit of the budget.
        delay_s: how long it takes to answer.
        reads: the kinds of input that it can read.
    """

    name: str
    skills: tuple[float, ...]
    price: float = 0.0
    delay_s: float = 0.0
    reads: frozenset[str] = ANY

    def __post_init__(self) -> None:
        where = f"Backend({self.name!r:.40})"
        settings.finite(where, price=self.price, delay_s=self.delay_s)
        for skill in self.skills:
            settings.number(where, skills=skill)


@dataclass(frozen=True, slots=True)
class SubTask:
    """A sub-task.

    Attributes:
        needs: how much of each kind of work is in it.
        tokens: how many it takes, about.
        reads: the kinds of input that come with it.
        value: what it is worth to have it done.
    """

    needs: tuple[float, ...]
    tokens: float = 0.0
    reads: frozenset[str] = ANY
    value: float = 1.0

    def __post_init__(self) -> None:
        settings.finite("SubTask", tokens=self.tokens)
        settings.number("SubTask", value=self.value)
        for need in self.needs:
            settings.number("SubTask", needs=need)


@dataclass(frozen=True, slots=True)
class Offer:
    """A sub-task that could be begun.

    Attributes:
        value: what it is worth.
        cost: what it costs.
    """

    value: float
    cost: float


def score_backend(unit: SubTask, backend: Backend, *, cost_weight: float = 1.0, delay_weight: float = 0.0) -> float:
    """How well a backend fits: skills that are needed, less what it costs and how long it takes.

    Args:
        unit: the sub-task.
        backend: the backend.
        cost_weight: what a unit of cost takes off.
        delay_weight: what a second takes off.

    Returns:
        The score, the larger the better.

    Raises:
        UsageError: the vectors are of different lengths.

    Example:
        >>> score_backend(SubTask((1.0, 0.5), tokens=100), Backend("b", (0.5, 1.0), price=0.001))
        0.9
    """
    if len(unit.needs) != len(backend.skills):
        raise UsageError(
            f"backend {backend.name!r} has {len(backend.skills)} skills and the unit needs {len(unit.needs)}: give as many"
        )
    fit = sum(need * skill for need, skill in zip(unit.needs, backend.skills, strict=True))
    return fit - cost_weight * backend.price * unit.tokens - delay_weight * backend.delay_s


def match_backend(
    unit: SubTask, backends: Sequence[Backend], *, cost_weight: float = 1.0, delay_weight: float = 0.0
) -> Backend | None:
    """The backend that fits best among those that can read what comes with the sub-task.

    Args:
        unit: the sub-task.
        backends: all there are.
        cost_weight: what a unit of cost takes off.
        delay_weight: what a second takes off.

    Returns:
        The first of the best; None where none can read it.

    Raises:
        UsageError: settings that make no sense.

    Example:
        >>> small, large = Backend("small", (0.5,), price=0.001), Backend("large", (1.0,), price=0.01)
        >>> match_backend(SubTask((1.0,), tokens=100), [small, large]).name
        'small'
        >>> match_backend(SubTask((9.0,), tokens=100), [small, large]).name
        'large'

    Source:
        Orchestra-o1: the argmax over b of ⟨r(u), φ_b⟩ - λ_c·κ_b·tokens(u) - λ_l·δ_b. It departs in that modalities are a condition.
    """
    settings.finite("match_backend", cost_weight=cost_weight, delay_weight=delay_weight)
    able = [backend for backend in backends if unit.reads <= backend.reads]
    return max(able, key=lambda each: score_backend(unit, each, cost_weight=cost_weight, delay_weight=delay_weight), default=None)


def choose_tools(likely: Mapping[str, float], gamma: float) -> tuple[str, ...]:
    """The tools that a sub-task is given: those that it needs with a probability above `gamma`.

    Args:
        likely: the probability that it needs each.
        gamma: from 0 to 1.

    Returns:
        Their names, in the given order.

    Raises:
        UsageError: what is no probability.

    Example:
        >>> choose_tools({"search": 0.9, "shell": 0.2}, 0.5)
        ('search',)
    """
    settings.probability("choose_tools", gamma=gamma)
    for name, chance in likely.items():
        settings.probability(f"choose_tools: {name}", likely=chance)
    return tuple(name for name, chance in likely.items() if chance > gamma)


def choose_batch(offers: Sequence[Offer], *, most: int, budget: float) -> tuple[int, ...]:
    """The sub-tasks that are begun together: those that are worth most, at most so many, for at most so much.

    Exact, in time that depends on how many of the partial choices are beaten by none: choices that cost more and are worth less
    than another of as many are dropped.

    Args:
        offers: all that could be begun.
        most: how many at most.
        budget: what they may cost together.

    Returns:
        Their places, in order. What is worth nothing is not begun.

    Raises:
        UsageError: settings that make no sense.

    Example:
        >>> choose_batch([Offer(3.0, 2.0), Offer(2.0, 1.0), Offer(2.0, 1.0)], most=2, budget=2.0)
        (1, 2)

    Source:
        Orchestra-o1: a batch of at most K_max within the budget B_t that is worth most.
    """
    settings.whole_number("choose_batch", most=most)
    settings.finite("choose_batch", budget=budget)
    for offer in offers:
        settings.finite("choose_batch", cost=offer.cost)
        settings.number("choose_batch", value=offer.value)
    by_count: list[list[_Choice]] = [[(0.0, 0.0, ())], *([] for _ in range(most))]
    for place, offer in enumerate(offers):
        if offer.value <= 0 or offer.cost > budget:
            continue
        for count in range(most, 0, -1):
            grown = [
                (cost + offer.cost, value + offer.value, (*chosen, place))
                for cost, value, chosen in by_count[count - 1]
                if cost + offer.cost <= budget
            ]
            by_count[count] = _undominated([*by_count[count], *grown])
    return max((choice for choices in by_count for choice in choices), key=lambda choice: (choice[1], -choice[0]))[2]


_Choice = tuple[float, float, tuple[int, ...]]
"""What a partial choice costs, what it is worth, and its places."""


def _undominated(choices: list[_Choice]) -> list[_Choice]:
    """Those that no other one beats, cheapest first."""
    kept: list[_Choice] = []
    for choice in sorted(choices, key=lambda each: (each[0], -each[1])):
        if not kept or choice[1] > kept[-1][1]:
            kept.append(choice)
    return kept


def round_latency(delays_s: Sequence[float], sync_s: float = 0.0) -> tuple[float, float]:
    """How long a round of sub-tasks takes one after the other, and side by side: the sum falls to the largest.

    Args:
        delays_s: how long each takes, in seconds.
        sync_s: what it takes to bring them together, in seconds.

    Returns:
        Both, in seconds.

    Raises:
        UsageError: what is no time.

    Example:
        >>> round_latency([3.0, 1.0, 2.0], 0.5)
        (6.0, 3.5)

    Source:
        Orchestra-o1's proposition on the latency of a round.
    """
    for delay_s in delays_s:
        settings.finite("round_latency", delay_s=delay_s)
    settings.finite("round_latency", sync_s=sync_s)
    return sum(delays_s), max(delays_s, default=0.0) + sync_s


@dataclass(frozen=True)
class Matching:
    """A policy: starts the most valuable steps that are ready, each with the backend that fits it best.

    Attributes:
        units: what each step needs, by id.
        backends: who there is; their names are the `choices` of the steps.
        most: how many steps may run at once.
        unit: in which unit of the budgets a backend's price counts.
        cost_weight: what a unit of cost takes off.
        delay_weight: what a second takes off.
        name: what it is called in messages.

    Raises:
        UsageError: settings that make no sense, or a step that no backend can read, when it is asked.

    Example:
        >>> units = {"a": SubTask((1.0, 0.0)), "b": SubTask((0.0, 1.0))}
        >>> policy = Matching(units, (Backend("poet", (0.9, 0.1)), Backend("clerk", (0.2, 0.8))), most=2)
        >>> view = View(("a", "b"), {"a": ("poet", "clerk"), "b": ("poet", "clerk")})
        >>> [(action.step, action.choice) for action in policy(view, Random(0))]
        [('a', 'poet'), ('b', 'clerk')]
    """

    units: Mapping[str, SubTask]
    backends: tuple[Backend, ...]
    most: int = 4
    unit: str = "money"
    cost_weight: float = 1.0
    delay_weight: float = 0.0
    name: str = field(default="matching", init=False)

    def __post_init__(self) -> None:
        settings.at_least_one("Matching", most=self.most)
        settings.finite("Matching", cost_weight=self.cost_weight, delay_weight=self.delay_weight)
        settings.several("Matching", Backend, backends=self.backends)

    def __call__(self, view: View, rng: Random) -> Sequence[Action]:
        """What is started now.

        Args:
            view: what may be started.
            rng: not used.

        Returns:
            The actions.
        """
        room = self.most - sum(running.action.count for running in view.running)
        if room <= 0:
            return []
        weights = {"cost_weight": self.cost_weight, "delay_weight": self.delay_weight}
        pairs = []
        for step in view.ready:
            if step not in self.units:
                raise UsageError(f"Matching: units= says nothing of step {step!r}")
            unit = self.units[step]
            able = [each for each in self.backends if each.name in view.choices.get(step, ())]
            backend = match_backend(unit, able, **weights)
            if backend is None:
                raise UsageError(f"Matching: no backend can read what step {step!r} comes with: {', '.join(sorted(unit.reads))}")
            pairs.append((step, backend, Offer(unit.value, backend.price * unit.tokens)))
        left = view.left.get(self.unit, sum(offer.cost for _, _, offer in pairs))
        chosen = choose_batch([offer for _, _, offer in pairs], most=room, budget=max(0.0, left))
        return [Action(pairs[place][0], pairs[place][1].name, why=f"worth {pairs[place][2].value:g}") for place in chosen]
