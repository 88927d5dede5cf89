"""Kinetics: what tokens cost once attention is counted, and which model to sample with.

A long answer reads a long cache for every token. Reading takes bandwidth rather than arithmetic; an eFLOP is a FLOP, or the bytes
that could be read in its place times the machine's FLOPs per byte. In eFLOPs attention outweighs the parameters of a small model
after a few hundred tokens. So small models with many samples are dearer than parameters say, and below some size a larger model
with fewer samples is the better buy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from headway.errors import UsageError
from headway.methods import settings

INTENSITY = 562.5
"""FLOPs that the paper's machine makes in the time in which it reads one byte."""


class Cost(NamedTuple):
    """eFLOPs, by what they are spent on: the parameters, the arithmetic of attention, and reading the cache."""

    parameters: float
    arithmetic: float
    reading: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.parameters + self.arithmetic + self.reading

    @property
    def attention(self) -> float:
        """What is not for the parameters."""
        return self.arithmetic + self.reading


@dataclass(frozen=True, slots=True)
class Transformer:
    """What of a model decides what its tokens cost.

    Attributes:
        parameters: how many there are.
        layers: of attention.
        heads: query heads of a layer.
        cache_heads: heads of a layer that keep keys and values.
        head_size: numbers in a head.
        intensity: FLOPs that the machine makes while it reads a byte.

    Raises:
        UsageError: a count is below 1, or the intensity is no finite number from zero on.

    Example:
        >>> small = Transformer(parameters=752_000_000, layers=28, heads=16, cache_heads=8, head_size=128)
        >>> cost = small.cost(context=512, tokens=8192)
        >>> round(cost.attention / cost.parameters), small.crossover(context=0) < 100
        (198, True)

    Source:
        Kinetics: Sadhukhan et al., arXiv 2506.05333; the formulas of its code, `cost_model/utils.py`.
    """

    parameters: int
    layers: int
    heads: int
    cache_heads: int
    head_size: int
    intensity: float = INTENSITY

    def __post_init__(self) -> None:
        settings.at_least_one("Transformer", parameters=self.parameters, layers=self.layers, heads=self.heads)
        settings.at_least_one("Transformer", cache_heads=self.cache_heads, head_size=self.head_size)
        settings.finite("Transformer", intensity=self.intensity)

    def cost(self, context: int, tokens: int, trials: int = 1) -> Cost:
        """What it takes to write answers: n · [2·P·g + 2(2c+g)·g·H_q·d] and I · 2(2c+n·g)·g·H_kv·d eFLOPs.

        The trials share the cache of their context. Numbers of the cache have two bytes. Reading the parameters is not counted,
        because many sequences share it.

        Args:
            context: tokens that are read before the first is written, c.
            tokens: that each trial writes, g.
            trials: answers, n.

        Returns:
            The cost by its parts, in eFLOPs.

        Raises:
            UsageError: a count is below 0.
        """
        settings.whole_number("Transformer.cost", context=context, tokens=tokens, trials=trials)
        asks, keeps = (self.layers * heads * self.head_size for heads in (self.heads, self.cache_heads))
        return Cost(
            2.0 * self.parameters * tokens * trials,
            2.0 * (2 * context + tokens) * tokens * asks * trials,
            self.intensity * 2.0 * (2 * context + trials * tokens) * tokens * keeps * (trials > 0),
        )

    def crossover(self, context: int, trials: int = 1) -> int:
        """From how many tokens on attention costs more than the parameters.

        Args:
            context: tokens that are read before.
            trials: answers that share the context.

        Returns:
            Tokens of a trial, the first number at which it does; 1 where the context alone is enough.

        Raises:
            UsageError: the context is below 0 or there is no trial.
        """
        settings.whole_number("Transformer.crossover", context=context)
        settings.at_least_one("Transformer.crossover", trials=trials)
        asks, keeps = (self.layers * heads * self.head_size for heads in (self.heads, self.cache_heads))
        each_token = trials * (asks + self.intensity * keeps)
        from_context = 2 * context * (trials * asks + self.intensity * keeps)
        return max(1, math.floor((trials * self.parameters - from_context) / each_token) + 1)

    def affords(self, budget: float, context: int, tokens: int) -> int:
        """How many trials a budget pays for.

        Args:
            budget: in eFLOPs.
            context: tokens that are read before.
            tokens: that each trial writes, at least 1.

        Returns:
            The largest number of trials whose cost is within the budget, 0 where not even one is.

        Raises:
            UsageError: the budget is no finite number from zero on, or a count is too low.
        """
        settings.finite("Transformer.affords", budget=budget)
        settings.at_least_one("Transformer.affords", tokens=tokens)
        one, two = (self.cost(context, tokens, trials).total for trials in (1, 2))
        return 0 if one > budget else 1 + math.floor((budget - one) / (two - one))


def pass_at(successes: int, samples: int, trials: int) -> float:
    """The probability that at least one of some trials is right, without bias: 1 - C(n-s, k) / C(n, k).

    Args:
        successes: samples that were right.
        samples: that were drawn.
        trials: how many are drawn of these; more than there are count as all of them.

    Returns:
        The coverage, from 0 to 1.

    Raises:
        UsageError: they are no counts, or there are more successes than samples.

    Example:
        >>> pass_at(1, 4, 2), pass_at(0, 4, 2)
        (0.5, 0.0)
    """
    settings.whole_number("pass_at", successes=successes, samples=samples, trials=trials)
    if successes > samples:
        raise UsageError(f"pass_at: {successes} successes of {samples} samples")
    drawn = min(trials, samples)
    return 1 - math.comb(samples - successes, drawn) / math.comb(samples, drawn)


class Skill(NamedTuple):
    """How a model did: how many samples of each question were right, of how many, and the tokens that one wrote."""

    model: Transformer
    successes: Sequence[int]
    samples: int
    tokens: int


class Choice(NamedTuple):
    """A model by its name, how many trials of each question, and the coverage that is expected of them."""

    model: str
    trials: int
    coverage: float


def choose_model(budget: float, tried: Mapping[str, Skill], *, context: int) -> Choice:
    """Choose with which model, and how many trials, a question is answered best for some eFLOPs.

    Args:
        budget: eFLOPs of a question.
        tried: by name, how each model did on other questions.
        context: tokens of a question.

    Returns:
        The choice with the best coverage; of equal ones the first in `tried`.

    Raises:
        UsageError: there are no models, a model has no questions, or no model can afford a single trial.

    Example:
        >>> small = Skill(Transformer(10**9, 28, 16, 8, 128), [1, 0, 4, 2], samples=16, tokens=8000)
        >>> large = Skill(Transformer(8 * 10**9, 36, 32, 8, 128), [9, 7, 15, 12], samples=16, tokens=6000)
        >>> choose_model(4e15, {"small": small, "large": large}, context=500).model
        'large'

    Source:
        Kinetics: Sadhukhan et al., arXiv 2506.05333; the formulas of its code, `cost_model/utils.py`.
    """
    if not tried:
        raise UsageError("choose_model: there are no models to choose from")
    best: Choice | None = None
    for name, seen in tried.items():
        if not seen.successes:
            raise UsageError(f"choose_model: model {name!r} has no questions to estimate from")
        trials = seen.model.affords(budget, context, seen.tokens)
        coverage = math.fsum(pass_at(count, seen.samples, trials) for count in seen.successes) / len(seen.successes)
        if trials and (best is None or coverage > best.coverage):
            best = Choice(name, trials, coverage)
    if best is None:
        least = min(seen.model.cost(context, seen.tokens).total for seen in tried.values())
        raise UsageError(f"choose_model: budget={budget:.3g} eFLOPs pays for no trial; the cheapest costs {least:.3g}")
    return best
