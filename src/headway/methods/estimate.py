"""Immutable estimators of success, cost and time, with an honest spread.

    seen = Outcomes(seconds=Amount(prior=30.0))
    for each in observations:
        seen = seen.observe(each)
    seen.predict(Action("translate", "small", count=4))       # Belief(success=…, cost={…}, seconds=…)

`Beta` believes in a probability, `Amount` in a number that is zero or more, and `Outcomes` keeps both for each step and choice,
which makes it an `Estimator`. Each states its prior, so that a prediction without data is a stated guess and not a surprise. With
`keep=1` nothing is forgotten, and the order of observations changes nothing, not even the last bit. A `keep` below 1 follows a
drift: each new observation makes the older ones count less, and the spread grows to what the recent ones support.

A spread contains the true value with a probability of at least `COVER`. For a probability it is the Bayesian interval. For an
amount it is the interval between order statistics that contains the next of exchangeable draws, whatever their distribution is
(Vovk, Gammerman and Shafer, "Algorithmic learning in a random world", 2005). That takes nine draws. With fewer, it is their range,
widened by a stated factor: enough for draws that are within that factor of each other, and no promise for others.

This module must never look at a clock or draw random numbers: the simulator uses the same objects.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from headway.methods import settings
from headway.methods.records import COVER, Action, Belief, Observation, Spread

_WIDTH = 1.02  # of a bin, as a ratio of its ends
_LOG_WIDTH = math.log(_WIDTH)
_ZERO = -(2**31)  # the bin of nothing


@dataclass(frozen=True, slots=True)
class Beta:
    """A belief in a probability, from what succeeded and what failed.

    Attributes:
        right: weight of the successes seen. `wrong`: of the failures.
        prior: what they are counted on top of; one each is "nothing is known", a uniform prior.
        keep: the share of the weight seen that each observation leaves of those before it; 1 forgets nothing.

    Example:
        >>> Beta().observe(True).observe(True).observe(False).mean
        0.6
        >>> round(Beta(3, 1).some(4), 3)
        0.96
    """

    right: float = 0.0
    wrong: float = 0.0
    prior: tuple[float, float] = (1.0, 1.0)
    keep: float = 1.0

    def __post_init__(self) -> None:
        settings.finite("Beta", right=self.right, wrong=self.wrong)
        settings.number("Beta", 0, math.inf, above=True, prior_right=self.prior[0], prior_wrong=self.prior[1])
        settings.number("Beta", 0, 1, above=True, keep=self.keep)

    def observe(self, ok: bool | None) -> Beta:
        """The belief after one more try; None, which nobody checked, changes nothing."""
        if ok is None:
            return self
        return replace(self, right=self.right * self.keep + ok, wrong=self.wrong * self.keep + (not ok))

    @property
    def mean(self) -> float:
        """The probability that the next try succeeds."""
        a, b = self._shape
        return a / (a + b)

    def some(self, count: int) -> float:
        """The probability that at least one of the next tries succeeds. Tries share one unknown probability, so this is less than
        `1 - (1 - mean)**count`, which takes it for known."""
        a, b = self._shape
        return 1.0 - math.prod((b + tried) / (a + b + tried) for tried in range(count))

    def interval(self, cover: float = COVER, count: int = 1) -> tuple[float, float]:
        """Bounds of the probability that one of `count` tries succeeds, as likely to be below as above them."""
        a, b = self._shape
        ends = (1 - cover) / 2, (1 + cover) / 2
        low, high = (1.0 - (1.0 - _beta_quantile(a, b, end)) ** count for end in ends)
        return low, high

    @property
    def _shape(self) -> tuple[float, float]:
        return self.prior[0] + self.right, self.prior[1] + self.wrong


@dataclass(frozen=True, slots=True)
class Amount:
    """A belief in a number that is zero or more: tokens, US dollars, seconds.

    What is seen is counted in bins of 2 % width (DDSketch: Masson, Rim and Lee, arXiv 1908.10693), so it takes a few kilobytes
    however much is seen, and every number that comes out is right within 1 %.

    Attributes:
        prior: what is guessed before anything is seen; it counts as `prior_weight` observations in the mean.
        factor: how many times more or less than the guess, or than all that was seen, it may well be.
        keep: the share of the weight that each observation leaves of those before it; 1 forgets nothing.
        bins: the weight in each bin, by its number.

    Example:
        >>> seen = Amount(prior=10.0)
        >>> seen.interval()
        (1.0, 100.0)
        >>> for seconds in (4, 5, 6, 4, 5, 6, 4, 5, 60):
        ...     seen = seen.observe(seconds)
        >>> [round(bound) for bound in seen.interval()], round(seen.quantile(0.5))
        ([4, 60], 5)
    """

    prior: float = 1.0
    prior_weight: float = 1.0
    factor: float = 10.0
    keep: float = 1.0
    bins: tuple[tuple[int, float], ...] = ()

    def __post_init__(self) -> None:
        settings.finite("Amount", prior=self.prior, prior_weight=self.prior_weight)
        settings.number("Amount", 1, math.inf, factor=self.factor)
        settings.number("Amount", 0, 1, above=True, keep=self.keep)

    @property
    def weight(self) -> float:
        """How many observations there are, less what is forgotten."""
        return math.fsum(weight for _, weight in self.bins)

    def observe(self, amount: float) -> Amount:
        """The belief after one more. Raises UsageError for what is no finite number from zero on."""
        settings.finite("Amount.observe", amount=amount)
        number = _ZERO if amount == 0 else math.ceil(math.log(amount) / _LOG_WIDTH)
        bins = self.bins if self.keep == 1 else tuple((bin_, weight * self.keep) for bin_, weight in self.bins)
        at = bisect_left(bins, (number, -math.inf))
        if at < len(bins) and bins[at][0] == number:
            return replace(self, bins=(*bins[:at], (number, bins[at][1] + 1.0), *bins[at + 1 :]))
        return replace(self, bins=(*bins[:at], (number, 1.0), *bins[at:]))

    def mean(self, *, trim: float = 0.0, largest_of: int = 1) -> float:
        """What one more is on average.

        Args:
            trim: the share at either end of what was seen that is left out, below a half: what hung for an hour once says little
                about the next time. Of money, leave nothing out: rare large bills are a part of the mean.
            largest_of: instead, what the largest of so many more is on average.
        """
        settings.number("Amount.mean", 0, 0.499, trim=trim)
        total, below = self.weight, 0.0
        parts, weights = [self.prior * self.prior_weight], [self.prior_weight]
        for number, weight in self.bins:
            inside = min(below + weight, total * (1 - trim)) - max(below, total * trim)
            if inside > 0 and largest_of == 1:
                parts.append(inside * _middle(number))
                weights.append(inside)
            elif inside > 0:
                share = ((below + weight) / total) ** largest_of - (below / total) ** largest_of
                parts.append(total * share * _middle(number))
                weights.append(total * share)
            below += weight
        return math.fsum(parts) / whole if (whole := math.fsum(weights)) else self.prior

    def quantile(self, share: float) -> float:
        """The amount that this share of what was seen does not pass; the prior where nothing was seen."""
        settings.number("Amount.quantile", 0, 1, share=share)
        return _middle(self._bin(share * self.weight)) if self.bins else self.prior

    def interval(self, cover: float = COVER, largest_of: int = 1) -> tuple[float, float]:
        """Bounds that the next one (or the largest of the next ones) is between with at least this probability, once there are
        enough observations for it: nine for the next one, about nine for each of which it is the largest."""
        low, high = (((1 - cover) / 2) ** (1 / largest_of), ((1 + cover) / 2) ** (1 / largest_of))
        if not self.bins:
            return self.prior / self.factor, self.prior * self.factor
        count = self.weight
        least, most = _ends(self.bins[0][0])[0], _ends(self.bins[-1][0])[1]
        below, above = math.floor((count + 1) * low + 1e-9), math.ceil((count + 1) * high - 1e-9)
        return (
            _ends(self._bin(below))[0] if below >= 1 else least / self.factor,
            _ends(self._bin(above))[1] if above <= count else (most or self.prior) * self.factor * largest_of,
        )

    def _bin(self, rank: float) -> int:
        """The bin of the observation of a rank, from the smallest."""
        below = 0.0
        for number, weight in self.bins:
            below += weight
            if below >= rank:
                return number
        return self.bins[-1][0]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is believed of one step with one choice, or of one choice with any step."""

    success: Beta
    cost: Mapping[str, Amount]
    seconds: Amount
    weight: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcomes:
    """An `Estimator` that remembers what came of each step with each choice.

    A step that was not seen with a choice is believed to do as the choice did with others; a choice that was not seen, as the prior
    says. `keep` is that of its parts.

    Attributes:
        success: the prior of success. `seconds`: of time. `cost`: of each unit that actions cost; a unit that is not named here has
            the prior `Amount()` once it is seen.
        trim: the share at either end of times that the mean leaves out.
        seen: what is believed of (step, choice), and of ("", choice) for all steps together.

    Example:
        >>> seen = Outcomes(cost={"tokens": Amount(prior=100)})
        >>> for ok in (True, True, False):
        ...     seen = seen.observe(Observation("sort", "small", ok, {"tokens": 50}, seconds=2.0))
        >>> belief = seen.predict(Action("sort", "small", count=2))
        >>> round(belief.success.mean, 2), round(belief.cost["tokens"].mean), belief.observations
        (0.8, 125, 3.0)
        >>> seen.predict(Action("merge", "small")).success.mean, seen.predict(Action("sort", "large")).success.mean
        (0.6, 0.5)

    Source:
        The beta-binomial model, with Laplace's uniform prior (Gelman et al., "Bayesian Data Analysis", chapter 2).
    """

    success: Beta = field(default_factory=Beta)
    cost: Mapping[str, Amount] = field(default_factory=dict)
    seconds: Amount = field(default_factory=Amount)
    trim: float = 0.0
    seen: Mapping[tuple[str, str], Outcome] = field(default_factory=dict)

    def observe(self, seen: Observation, /) -> Outcomes:
        """The belief after one more sample ended."""
        changed = {key: self._of(key)[1] for key in ((seen.step, seen.choice), ("", seen.choice))}
        return replace(self, seen={**self.seen, **{key: _update_outcome(outcome, seen) for key, outcome in changed.items()}})

    def predict(self, action: Action, /) -> Belief:
        """What is expected of an action; see `Belief`. Samples of one action may all be cheap or all be dear, so the spread of
        their cost is that of one, times their number."""
        known, outcome = self._of((action.step, action.choice))
        if not known:
            outcome = self._of(("", action.choice))[1]
        k, seconds = action.count, outcome.seconds
        return Belief(
            Spread(outcome.success.some(k), *outcome.success.interval(count=k)),
            {unit: _times(k, Spread(amount.mean(), *amount.interval())) for unit, amount in outcome.cost.items()},
            Spread(seconds.mean(trim=self.trim, largest_of=k), *seconds.interval(largest_of=k)),
            outcome.weight,
        )

    def _of(self, key: tuple[str, str]) -> tuple[bool, Outcome]:
        """What is believed by this key, and whether anything was seen."""
        found = self.seen.get(key)
        return found is not None, found or Outcome(self.success, dict(self.cost), self.seconds)


def _update_outcome(outcome: Outcome, seen: Observation) -> Outcome:
    cost = {**outcome.cost, **{unit: outcome.cost.get(unit, Amount()).observe(spent) for unit, spent in seen.cost.items()}}
    seconds = outcome.seconds.observe(seen.seconds)
    return Outcome(outcome.success.observe(seen.ok), cost, seconds, seconds.weight)


def _times(count: int, one: Spread) -> Spread:
    return Spread(count * one.mean, count * one.low, count * one.high)


def _ends(number: int) -> tuple[float, float]:
    """The bounds of a bin."""
    return (0.0, 0.0) if number == _ZERO else (math.exp((number - 1) * _LOG_WIDTH), math.exp(number * _LOG_WIDTH))


def _middle(number: int) -> float:
    """The number that is within 1 % of all in a bin."""
    low, high = _ends(number)
    return 2 * low * high / (low + high) if high else 0.0


@lru_cache(maxsize=4096)
def _beta_quantile(a: float, b: float, share: float) -> float:
    """The number that this share of a Beta(a, b) distribution is below, to about nine digits, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(48):
        middle = (low + high) / 2
        low, high = (middle, high) if _beta_below(a, b, middle) < share else (low, middle)
    return (low + high) / 2


def _beta_below(a: float, b: float, x: float) -> float:
    """The share of a Beta(a, b) distribution that is below x: the regularised incomplete beta function by its continued fraction
    (Press et al., "Numerical recipes", 6.4), with Lentz's method."""
    if not 0 < x < 1:
        return float(x >= 1)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    if x > (a + 1) / (a + b + 2):
        return 1 - front * _fraction(b, a, 1 - x) / b
    return front * _fraction(a, b, x) / a


def _fraction(a: float, b: float, x: float) -> float:
    tiny = 1e-300
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1) or tiny)
    value = d
    for m in range(1, 400):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        change = 1.0
        for term in (even, odd):
            d = 1 / (1 + term * d or tiny)
            c = 1 + term / c or tiny
            change = c * d
            value *= change
        if abs(change - 1) < 1e-12:
            break
    return value
