"""The protocols of methods: the parts that a caller brings, and the decisions that a method makes.

Parts do work: `Generator`, `Stepper`, `Scorer`, `Embedder` and `Verifier` return awaitables and are usually tasks, so that each
sample, score and verdict is a call: journaled, budgeted, cancellable. The question is the first argument of all of them, and no
result repeats it. Decisions are pure: `Selector`, `Allocator`, `Policy` and `Estimator` go from data to data, so the simulator runs
the same objects as a run.

An `index` tells equal questions apart. It depends on the place in the search and never on time, so a resumed search makes the same
calls. A part that draws seeds itself with it, or with `hw.random()` inside of its task.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from random import Random
from reprlib import repr as shortly
from typing import Any, Protocol, Self, TypeAlias, TypeVar

from headway.errors import UsageError
from headway.methods.graph import Edit, Trace
from headway.methods.records import Action, Belief, Candidate, Observation, State, Verdict, View

Q_contra = TypeVar("Q_contra", contravariant=True)
V_co = TypeVar("V_co", covariant=True)
V_contra = TypeVar("V_contra", contravariant=True)
S = TypeVar("S")
W = TypeVar("W")

Equal: TypeAlias = Callable[[Any, Any], bool]
"""Whether two answers (or two partial solutions) are the same. They may be of any type, which only the caller knows."""


class Generator(Protocol[Q_contra, V_co]):
    """Samples a whole answer. `index` tells the samples of a question apart, so that a resumed search finds each again."""

    def __call__(self, question: Q_contra, index: int, /) -> Awaitable[Candidate[V_co]]: ...


class Stepper(Protocol[Q_contra, S]):
    """Extends a partial solution by one step. `index` tells the continuations of one state apart."""

    def __call__(self, question: Q_contra, state: State[S], index: int, /) -> Awaitable[State[S]]: ...


class Scorer(Protocol[Q_contra, S]):
    """Says how promising partial solutions or answers are, in their order: a finite number for each, the larger the better.

    All calls use the same scale. From 0 to 1 is what default temperatures and thresholds are made for.
    """

    def __call__(self, question: Q_contra, values: list[S], /) -> Awaitable[list[float]]: ...


class Embedder(Protocol[Q_contra, S]):
    """A vector for each partial solution; those that mean the same have vectors of the same direction."""

    def __call__(self, question: Q_contra, values: list[S], /) -> Awaitable[list[list[float]]]: ...


class Verifier(Protocol[Q_contra, V_contra]):
    """Whether a candidate answers the question. `index` tells repeated verdicts apart."""

    def __call__(self, question: Q_contra, candidate: Candidate[V_contra], index: int, /) -> Awaitable[Verdict]: ...


class Selector(Protocol[V_contra]):
    """The place of the candidate to return, among one or more. Pure."""

    def __call__(self, candidates: Sequence[Candidate[V_contra]], /) -> int: ...


class Allocator(Protocol):
    """How often each is continued, from their scores; the counts add up to `total`. Pure."""

    def __call__(self, scores: Sequence[float], total: int, /) -> list[int]: ...


class Planner(Protocol[Q_contra, W]):
    """Edits of a plan, as they are thought of, from the goal and what happened so far. The edits of a list belong together: all of
    them are applied, or none."""

    def __call__(self, goal: Q_contra, trace: Trace[W], /) -> AsyncIterator[Edit[W] | Sequence[Edit[W]]]: ...


class Policy(Protocol):
    """What to start now, from what may start and what is left. Pure: all chance comes from `rng`.

    An empty answer waits for what runs; where nothing runs, it gives up.
    """

    def __call__(self, view: View, rng: Random, /) -> Sequence[Action]: ...


class Estimator(Protocol):
    """A belief about success, cost and seconds. Immutable: `observe` returns another one."""

    def observe(self, seen: Observation, /) -> Self: ...

    def predict(self, action: Action, /) -> Belief: ...


def check_actions(policy: object, view: View, actions: Sequence[object]) -> tuple[Action, ...]:
    """What a policy answered, once it is allowed.

    Args:
        policy: whose answer it is, for the message.
        view: what it was shown.
        actions: its answer.

    Returns:
        The actions, in their order.

    Raises:
        UsageError: for what is no list of actions, a step that is not ready, a choice that the step does not have, and a step
            that is started twice with the same choice.

    Example:
        >>> view = View(ready=("a", "b"), choices={"a": ("small", "large")})
        >>> check_actions("greedy", view, [Action("a", "small", 4), Action("b")])
        (Action(step='a', choice='small', count=4, why=''), Action(step='b', choice='', count=1, why=''))
        >>> check_actions("greedy", view, [Action("c")])
        Traceback (most recent call last):
            ...
        headway.errors.UsageError: policy 'greedy': step 'c' is not ready; ready are: a, b
    """
    allowed: list[Action] = []
    if not isinstance(actions, Sequence):
        raise UsageError(f"policy {policy!r}: it answered {shortly(actions)}: give a list of actions, an empty one to wait")
    for action in actions:
        if not isinstance(action, Action):
            raise UsageError(f"policy {policy!r}: {shortly(action)} is no action: give methods.records.Action(step, choice, count)")
        if action.step not in view.ready:
            ready = ", ".join(view.ready[:9]) or "none"
            raise UsageError(f"policy {policy!r}: step {action.step!r} is not ready; ready are: {ready}")
        choices = view.choices.get(action.step, ("",))
        if action.choice not in choices:
            raise UsageError(f"policy {policy!r}: step {action.step!r} has no choice {action.choice!r}; it has: {choices!r:.80}")
        if any((one.step, one.choice) == (action.step, action.choice) for one in allowed):
            raise UsageError(f"policy {policy!r}: step {action.step!r} is started twice: raise count= of one action")
        allowed.append(action)
    return tuple(allowed)
