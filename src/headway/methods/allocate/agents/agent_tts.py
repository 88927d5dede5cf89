"""AgentTTS: which model does each sub-task, and with how many samples, so that a whole task gains most within a budget."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, permutations
from random import Random
from typing import NamedTuple

from headway.context import random
from headway.errors import UsageError
from headway.joins.gather import gather
from headway.methods import settings
from headway.scopes.anytime import Stopped, anytime

UNIT_PARAMETERS, UNIT_PROMPT, UNIT_TOKENS = 3e9, 128.0, 64.0
"""One unit of budget is a sample of 64 tokens of a model of 3 billion parameters. With a prompt of 128 tokens, so many samples are
so many units."""


class Setup(NamedTuple):
    """How a sub-task is done: by which model, and with how many samples."""

    model: str
    samples: int


Plan = dict[str, Setup]
"""A setup for each sub-task, by its name."""


@dataclass(frozen=True)
class SubTask:
    """A part of a task.

    Attributes:
        name: what it is called.
        models: which may do it, and their numbers of parameters.
        prompt_tokens: of its prompt, on average.
        tokens: that a sample writes, on average.
        most: samples at most.

    Raises:
        UsageError: there is no model, or a number is senseless.
    """

    name: str
    models: Mapping[str, float]
    prompt_tokens: float = UNIT_PROMPT
    tokens: float = UNIT_TOKENS
    most: int = 64

    def __post_init__(self) -> None:
        where = f"SubTask({self.name!r})"
        if not self.models:
            raise UsageError(f"{where}: models= is empty: at least one model, and its number of parameters")
        for model, parameters in self.models.items():
            settings.number(f"{where}: model {model!r}", 0, math.inf, above=True, parameters=parameters)
        settings.number(where, 0, math.inf, above=True, prompt_tokens=self.prompt_tokens, tokens=self.tokens)
        settings.at_least_one(where, most=self.most)

    def units(self, setup: Setup) -> float:
        """What a setup takes of the budget; see `count_units`.

        Args:
            setup: a model of this sub-task, and a number of samples.

        Returns:
            Units.
        """
        return count_units(setup.samples, self.models[setup.model], self.prompt_tokens, self.tokens)

    def fit(self, model: str, units: float) -> int:
        """The most samples that fit.

        Args:
            model: which model draws them.
            units: what they may take.

        Returns:
            A power of two; 0 where not even one sample fits.
        """
        fits = [n for n in powers(self.most) if self.units(Setup(model, n)) <= units + 1e-9]
        return fits[-1] if fits else 0


def count_units(samples: int, parameters: float, prompt_tokens: float = UNIT_PROMPT, tokens: float = UNIT_TOKENS) -> float:
    """The budget that samples take: the compute of one prompt and of all samples, in samples of the smallest model.

    Args:
        samples: of one prompt, which is read once.
        parameters: of the model.
        prompt_tokens: of the prompt.
        tokens: that a sample writes.

    Returns:
        Units: b2·((a·b3/b1)(b1 + samples) - 1) with a = parameters / 3e9, b1 = prompt_tokens / tokens, b2 = 128 / 64 and
        b3 = prompt_tokens / 128.

    Raises:
        UsageError: a number is senseless.

    Example:
        >>> count_units(5, 3e9), count_units(5, 8e9), count_units(1, 3e9, 640, 64)
        (5.0, 16.666666666666664, 9.0)

    Source:
        AgentTTS: Wang et al., arXiv 2508.00890, and the authors' code (FairyFali/AgentTTS, 3f0c2df).
    """
    settings.at_least_one("count_units", samples=samples)
    settings.number("count_units", 0, math.inf, above=True, parameters=parameters, prompt_tokens=prompt_tokens, tokens=tokens)
    larger, shape, read = parameters / UNIT_PARAMETERS, prompt_tokens / tokens, prompt_tokens / UNIT_PROMPT
    return UNIT_PROMPT / UNIT_TOKENS * (larger * read / shape * (shape + samples) - 1)


class Tuning(NamedTuple):
    """A plan that was tried, and how well it did."""

    plan: Plan
    score: float


@dataclass(frozen=True, slots=True)
class Tuned:
    """How a search for a plan ended.

    Attributes:
        best: the plan that did best, None where none was tried.
        tried: all that were, in their order.
        stopped: why it ended.
        insights: what was learnt, in sentences.
    """

    best: Plan | None
    tried: tuple[Tuning, ...]
    stopped: Stopped
    insights: tuple[str, ...] = field(default=())


Propose = Callable[[Sequence[Tuning], Sequence[str], int], Awaitable[Sequence[Plan]]]


async def agent_tts(
    evaluate: Callable[[Plan], Awaitable[float]],
    subtasks: Sequence[SubTask],
    *,
    budget: float,
    trials: int = 50,
    width: int = 4,
    propose: Propose | None = None,
) -> Tuned:
    """Search for the models and samples of the sub-tasks of a task, within a budget of each plan.

    First every sub-task is tried with each model at an equal share. Then plans near the best are tried, guided by three insights:
    sub-tasks prefer models; more samples help less and less, so what a saturated sub-task has goes to another; and a sub-task's
    best setup changes with that of others.

    It departs in that a rule proposes plans where the paper asks a model; a model of your own may, as `propose`. It departs in that
    samples are powers of two.

    Args:
        evaluate: how well a plan does, the larger the better. Usually a task, so that no plan is paid for twice.
        subtasks: the parts of the task.
        budget: units that a plan may take; see `count_units`.
        trials: plans that are tried at most.
        width: how many at once.
        propose: plans to try next: `propose(tried, insights, count)`. What it proposes over the budget, or again, is left out, and
            the rule proposes in its place.

    Returns:
        The best plan, and all that were tried. It ends when nothing near the best is left to try, or when the trials, the budget
        or the deadline around it are used up.

    Raises:
        UsageError: a senseless setting, a budget that pays for no plan, or a score that is no number.
        Exception: what `evaluate` raises, but for budgets and deadlines.

    Example:
        >>> parts = [SubTask("find", {"small": 3e9}), SubTask("write", {"small": 3e9, "large": 9e9})]
        >>> async def score(plan: Plan) -> float:
        ...     return (plan["write"].model == "large") + 1 - 1 / plan["find"].samples
        >>> asyncio.run(agent_tts(score, parts, budget=16)).best
        {'find': Setup(model='small', samples=8), 'write': Setup(model='large', samples=1)}

    Source:
        AgentTTS: Wang et al., arXiv 2508.00890, and the authors' code (FairyFali/AgentTTS, 3f0c2df).
    """
    _check("agent_tts", evaluate, subtasks, budget, trials, width, propose)
    guided = Guided(tuple(subtasks), budget)
    rng, tried, found = random(), list[Tuning](), dict[int, Tuning]()

    async def attempt(number: int, plan: Plan) -> Tuning:
        score = await evaluate(plan)
        settings.number(f"agent_tts: evaluate({plan})", score=score)
        if not math.isfinite(score):
            raise UsageError(f"agent_tts: evaluate={evaluate!r} gave {score} for {plan}: a finite number, the larger the better")
        block.keep(number, Tuning(plan, score))
        return Tuning(plan, score)

    with anytime(found) as block:
        while (count := min(width, trials - len(tried))) > 0:
            plans: list[Plan] = []
            if propose is not None and len(tried) >= len(guided.first_plans()):
                plans = guided.allow(await propose(tried, guided.insights(tried), count), tried)[:count]
            plans += guided.propose(tried, rng, count - len(plans), plans)
            if not plans:
                break
            tried += await gather(*(attempt(len(tried) + place, plan) for place, plan in enumerate(plans)))
    seen = [found[number] for number in sorted(found)]
    best = max(seen, key=lambda each: each.score).plan if seen else None
    return Tuned(best, tuple(seen), block.stopped, tuple(guided.insights(seen)))


@dataclass(frozen=True)
class Guided:
    """The rule that proposes plans: a local search that is guided by what was tried. Pure.

    Attributes:
        subtasks: the parts of the task.
        budget: units that a plan may take.
    """

    subtasks: tuple[SubTask, ...]
    budget: float

    def units(self, plan: Plan) -> float:
        """What a plan takes of the budget.

        Args:
            plan: a setup for each sub-task.

        Returns:
            Units.
        """
        return sum(subtask.units(plan[subtask.name]) for subtask in self.subtasks)

    def first_plans(self) -> list[Plan]:
        """Each model of each sub-task at an equal share of the budget, the others with what is cheapest."""
        share = self.budget / len(self.subtasks)
        cheapest = {subtask.name: min(subtask.models, key=subtask.models.__getitem__) for subtask in self.subtasks}
        base = {subtask.name: self._equal(subtask, cheapest[subtask.name], share) for subtask in self.subtasks}
        plans = [base]
        for subtask in self.subtasks:
            plans += [{**base, subtask.name: self._equal(subtask, model, share)} for model in subtask.models]
        return self.allow(plans, ())

    def allow(self, plans: Sequence[Plan], tried: Sequence[Tuning]) -> list[Plan]:
        """The plans that are whole, within the budget, and new.

        Args:
            plans: what is proposed.
            tried: what was tried.

        Returns:
            Those that may be tried, in their order.
        """
        seen = {tuple(each.plan[subtask.name] for subtask in self.subtasks) for each in tried}
        allowed: list[Plan] = []
        for plan in plans:
            setups = tuple(plan.get(subtask.name) for subtask in self.subtasks)
            if setups not in seen and all(map(_is_setup, self.subtasks, setups)) and self.units(plan) <= self.budget + 1e-9:
                seen.add(setups)  # type: ignore[arg-type]  # none of them is None
                allowed.append(plan)
        return allowed

    def propose(self, tried: Sequence[Tuning], rng: Random, count: int, besides: Sequence[Plan] = ()) -> list[Plan]:
        """The next plans to try, the most promising first.

        Args:
            tried: what was tried.
            rng: breaks ties.
            count: how many plans.
            besides: plans that are tried with them.

        Returns:
            At most so many plans; none where all that are near the best ones were tried.
        """
        if count < 1:
            return []
        known = [*tried, *(Tuning(plan, -math.inf) for plan in besides)]
        if first := self.allow(self.first_plans(), known):
            return first[:count]
        value = self._learn(tried)
        found: list[Plan] = []
        for start in sorted(tried, key=lambda each: -each.score)[: 2 + count]:
            near = self.allow(self._near(start.plan), [*known, *(Tuning(plan, 0.0) for plan in found)])
            rng.shuffle(near)
            near.sort(key=lambda plan: -sum(value(subtask.name, plan[subtask.name]) for subtask in self.subtasks))
            found += near[: count - len(found)]
            if len(found) == count:
                break
        return found

    def insights(self, tried: Sequence[Tuning]) -> list[str]:
        """Say what was learnt: which model each sub-task prefers.

        Args:
            tried: what was tried.

        Returns:
            Sentences, one for each sub-task.
        """
        if not tried:
            return []
        value = self._learn(tried)
        said = []
        for subtask in self.subtasks:
            setups = {each.plan[subtask.name] for each in tried}
            best = max(sorted(setups), key=lambda setup: value(subtask.name, setup))
            said.append(f"{subtask.name} does best with {best.model} and {best.samples} samples, of {len(setups)} setups")
        return said

    def _equal(self, subtask: SubTask, model: str, share: float) -> Setup:
        return Setup(model, max(1, subtask.fit(model, share)))

    def _near(self, plan: Plan) -> list[Plan]:
        """Plans that differ in one sub-task, or in one that gets what another gives."""
        found: list[Plan] = []
        for subtask in self.subtasks:
            setup = plan[subtask.name]
            found += [{**plan, subtask.name: Setup(setup.model, n)} for n in (setup.samples * 2, setup.samples // 2)]
            spare = self.budget - self.units(plan) + subtask.units(setup)
            found += [{**plan, subtask.name: Setup(model, subtask.fit(model, spare))} for model in subtask.models]
            found += [{**plan, subtask.name: Setup(model, subtask.fit(model, subtask.units(setup)))} for model in subtask.models]
        for giver, taker in permutations(self.subtasks, 2):
            gives = {**plan, giver.name: Setup(plan[giver.name].model, plan[giver.name].samples // 2)}
            if gives[giver.name].samples:
                spare = self.budget - self.units(gives) + taker.units(plan[taker.name])
                found += [{**gives, taker.name: Setup(model, taker.fit(model, spare))} for model in taker.models]
        return found

    def _learn(self, tried: Sequence[Tuning]) -> Callable[[str, Setup], float]:
        """How good a setup of a sub-task seems: from the scores of plans that have it, or one like it, the best counting most.

        More samples of a model are never thought worse, and what doubling them gained last is thought to halve: gains saturate.
        """
        best: dict[tuple[str, str], dict[int, float]] = {}
        for each in tried:
            for name, setup in each.plan.items():
                of = best.setdefault((name, setup.model), {})
                of[setup.samples] = max(of.get(setup.samples, -math.inf), each.score)
        top, low = max(each.score for each in tried), min(each.score for each in tried)
        hope = (top - low) / 4 or 1.0

        def value(name: str, setup: Setup) -> float:
            known = best.get((name, setup.model))
            if not known:
                return top
            if setup.samples in known:
                return known[setup.samples]
            below = [n for n in known if n < setup.samples]
            if not below:
                return known[min(known)] - hope / 2
            last = max(below)
            before = [n for n in below if n < last]
            gain = known[last] - known[max(before)] if before else hope
            return known[last] + max(gain, 0.0) / 2

        return value


def powers(most: int) -> list[int]:
    """The powers of two up to a number."""
    return list(islice((2**n for n in range(64)), most.bit_length()))


def _is_setup(subtask: SubTask, setup: Setup | None) -> bool:
    return setup is not None and setup.model in subtask.models and 1 <= setup.samples <= subtask.most


def _check(
    where: str, evaluate: object, subtasks: Sequence[SubTask], budget: float, trials: int, width: int, propose: object
) -> None:
    settings.function(where, evaluate=evaluate)
    settings.function(where, optional=True, propose=propose)
    settings.at_least_one(where, trials=trials, width=width)
    settings.finite(where, budget=budget)
    if not subtasks or not all(isinstance(each, SubTask) for each in subtasks):
        raise UsageError(f"{where}: subtasks={subtasks!r:.80}: a list of agents.SubTask, at least one")
    if len({each.name for each in subtasks}) < len(subtasks):
        raise UsageError(f"{where}: two of the sub-tasks have the same name")
    least = sum(min(each.units(Setup(model, 1)) for model in each.models) for each in subtasks)
    if least > budget:
        raise UsageError(f"{where}: budget={budget:g}: one sample of the smallest model for each sub-task takes {least:g} units")
