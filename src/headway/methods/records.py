"""Frozen records that methods exchange, the same for a search, a plan and a policy.

A search grows a `State` until it is a `Candidate`, which a `Verdict` judges. A policy looks at a `View` and answers with an
`Action`. The result of an action is an `Observation`, and an estimator's prediction of one is a `Belief`. The caller decides what a
solution is: a text, a list of moves, a tensor, a program. Only the caller's parts look inside.

Records hold data and no behaviour that needs a run, a clock or a store. Those that check themselves refuse a number that would
decide something by accident (NaN, a percentage) when they are made.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from headway.errors import UsageError
from headway.methods import settings

V_co = TypeVar("V_co", covariant=True)

COVER = 0.8
"""The probability that the bounds of a `Spread` hold the true value, at least."""


@dataclass(frozen=True, slots=True)
class State(Generic[V_co]):
    """A partial solution.

    Attributes:
        value: what there is so far, without the question.
        tokens: how many were written for it.
        logprob: their log-probability, the sum in nats.
        depth: steps taken; left to the search.
        done: whether no step can follow.
        answer: what equal answers have in common; None where there is none yet.
        branch: the place of its first step; left to the search. States of one branch grew from the same first step.
        path: the places of all its steps, the first first; left to the search. States whose paths begin alike share those steps.
    """

    value: V_co
    tokens: int = 0
    depth: int = 0
    done: bool = False
    answer: object = None
    logprob: float = 0.0
    branch: int = 0
    path: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate(Generic[V_co]):
    """A whole solution.

    Attributes:
        value: the solution, without the question.
        answer: what equal answers have in common; None where there is none.
        tokens: written for it.
        logprob: their sum in nats, None where nobody knows.
        score: how good it is, the larger the better, None where nobody said.
    """

    value: V_co
    answer: object
    tokens: int = 0
    logprob: float | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verifier found.

    Attributes:
        ok: right (True), wrong (False) or unknown (None).
        confidence: how sure the verifier is, from 0 to 1.
        feedback: what is wrong, for whoever tries again.
        tokens: what the verdict cost.

    Raises:
        UsageError: `ok` is something else, or the confidence is no probability.

    Example:
        >>> Verdict(False, 0.5, "step 3 divides by zero").right
        0.25
    """

    ok: bool | None
    confidence: float = 1.0
    feedback: str = ""
    tokens: int = 0

    def __post_init__(self) -> None:
        if self.ok is not None and not isinstance(self.ok, bool):
            raise UsageError(f"Verdict: ok={self.ok!r:.80}: True, False, or None for unknown")
        settings.probability("Verdict", confidence=self.confidence)

    @property
    def right(self) -> float:
        """How likely the answer is right, by this verdict: 1 is surely right, 0 surely wrong, a half unknown."""
        return 0.5 if self.ok is None else (1 + self.confidence) / 2 if self.ok else (1 - self.confidence) / 2


@dataclass(frozen=True, slots=True)
class Trial:
    """How a strategy did on a question.

    Attributes:
        question: the question.
        difficulty: estimated before the trial, the larger the harder.
        strategy: the name of the strategy.
        right: the share of tries that were right, from 0 to 1.
        cost: what it took, in the unit of the budgets, the estimate of the difficulty included.
    """

    question: str
    difficulty: float
    strategy: str
    right: float
    cost: float

    def __post_init__(self) -> None:
        where = f"Trial({self.question!r:.40})"
        settings.number(where, difficulty=self.difficulty)
        settings.probability(where, right=self.right)
        settings.finite(where, cost=self.cost)


@dataclass(frozen=True, slots=True)
class Action:
    """Start a step of a plan.

    Attributes:
        step: its id.
        choice: how it is done (a model, a tool, a device), empty where there is no choice.
        count: how many samples of it are started at once; one success is enough.
        why: what made the policy choose it, in a few words for people. It makes no two actions differ.
    """

    step: str
    choice: str = ""
    count: int = 1
    why: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        where = f"Action({self.step!r:.40})"
        settings.at_least_one(where, count=self.count)
        if not isinstance(self.why, str):
            raise UsageError(f"{where}: why={self.why!r:.80}: a text for people")


@dataclass(frozen=True, slots=True)
class Observation:
    """What one sample of an action led to.

    Attributes:
        ok: whether it succeeded, None where nobody checked.
        cost: by unit (`{"tokens": 120, "money": 0.004}`), as budgets count it.
        seconds: how long it took.
    """

    step: str
    choice: str = ""
    ok: bool | None = None
    cost: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        where = f"Observation({self.step!r:.40})"
        if self.ok is not None and not isinstance(self.ok, bool):
            raise UsageError(f"{where}: ok={self.ok!r:.80}: True, False, or None for unknown")
        settings.finite(where, seconds=self.seconds, **self.cost)


@dataclass(frozen=True, slots=True)
class Spread:
    """A number that is not known exactly: its mean, and bounds that hold it with a probability of at least `COVER`."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Belief:
    """What is expected of an action.

    Attributes:
        success: the probability that at least one sample succeeds.
        cost: of all samples, by unit.
        seconds: until the last sample ends.
        observations: how many this rests on; 0 where it is the prior alone.
    """

    success: Spread
    cost: Mapping[str, Spread]
    seconds: Spread
    observations: float = 0.0


@dataclass(frozen=True, slots=True)
class Running:
    """An action in flight.

    Attributes:
        action: what was started; its `count` is how many of its samples have not ended.
        seconds: for how long it has run.
        reserved: what these samples have reserved, by unit.
    """

    action: Action
    seconds: float = 0.0
    reserved: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class View:
    """All that a policy may know.

    Attributes:
        ready: ids of the steps that may start now, in the order of the plan.
        choices: what each ready step may be done with; a step that is not named here has no choice.
        running: what is in flight.
        ended: what has been seen so far, in the order in which it was recorded.
        left: what may still be spent, by unit, reservations taken off; a unit without a bound is not named.
        left_s: seconds until the deadline.
    """

    ready: tuple[str, ...]
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    running: tuple[Running, ...] = ()
    ended: tuple[Observation, ...] = ()
    left: Mapping[str, float] = field(default_factory=dict)
    left_s: float = math.inf
