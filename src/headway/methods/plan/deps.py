"""DEPS: when a sub-goal fails, what happened is described and explained, and the rest is planned anew; the nearest sub-goal goes
first."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.graph import Edit, Remove, Trace
from headway.methods.plan.executor import MOST_STEPS, execute
from headway.methods.plan.records import Executed
from headway.methods.protocols import Policy
from headway.methods.records import Action, View
from headway.methods.search.failures import SAMPLE_ERRORS, Errors

Q = TypeVar("Q")
W = TypeVar("W")
T = TypeVar("T")

Says = Callable[[Q, Trace[W]], Awaitable[str]]
"""Says something of what has happened to a plan, from its goal and its trace: a model, or a rule."""

Predict = Callable[[str, View], float]
"""How many steps a sub-goal is expected to take, by its id and what is seen now."""


@dataclass(frozen=True, slots=True)
class Why:
    """Why a planner is asked.

    Attributes:
        description: what has happened; empty the first time.
        explanation: why the sub-goal failed, by whoever was asked to explain it; empty the first time.
    """

    description: str = ""
    explanation: str = ""


Replanner = Callable[[Q, Trace[W], Why], AsyncIterator[Edit[W] | Sequence[Edit[W]]]]
"""A planner that is told why it is asked again."""


async def deps(
    goal: Q,
    planner: Replanner[Q, W],
    act: Callable[..., Awaitable[T]],
    *,
    predict: Predict,
    describe: Says[Q, W] | None = None,
    explain: Says[Q, W] | None = None,
    replans: int = 3,
    temperature: float = 0.01,
    errors: Errors = SAMPLE_ERRORS,
) -> Executed[W, T]:
    """Reach a goal by sub-goals, one at a time, and plan anew from what went wrong.

    Among the sub-goals that may be worked on, the one that is expected to be the nearest is likeliest to be next. When one fails,
    what has not begun is taken back, what happened is described, why it happened is explained, and the planner is asked again with
    both.

    Args:
        goal: what is to be reached.
        planner: `planner(goal, trace, why)`: an async generator of edits.
        act: `act(sub_goal, given)` works on a sub-goal, usually a task; it raises where it fails.
        predict: how many steps a sub-goal would take now.
        describe: says what has happened; by default which sub-goals were reached, and with what the others failed.
        explain: says why the last one failed; by default nobody is asked.
        replans: how often is planned anew at most.
        temperature: of the choice among sub-goals, above 0; small takes the nearest, large any.
        errors: what a sub-goal may fail with without failing the program.

    Returns:
        What came of each sub-goal. Sub-goals that were taken back are no part of its plan.

    Raises:
        UsageError: settings that make no sense, before anything is done.

    Example:
        >>> from headway.methods import plan
        >>> from headway.methods.graph import Add, Node, after
        >>> @hw.task
        ... async def act(does: str, given: dict) -> str:
        ...     if does == "mine iron by hand":
        ...         raise plan.StepFailed("the hand is too soft")
        ...     return does
        >>> async def planner(goal, trace, why):
        ...     if why.explanation:
        ...         yield Add(Node("pick", "make a pickaxe"))
        ...         yield Add(Node("iron 2", "mine iron with a pickaxe", after("pick")))
        ...     else:
        ...         yield Add(Node("iron", "mine iron by hand"))
        >>> async def explain(goal, trace):
        ...     return "A pickaxe is needed."
        >>> @hw.task
        ... async def program() -> list[str]:
        ...     nearest = lambda id, view: 1.0
        ...     ran = await plan.deps("iron", planner, act, predict=nearest, explain=explain, errors=plan.StepFailed)
        ...     return list(ran.results.values())
        >>> hw.run(program, store=None)
        ['make a pickaxe', 'mine iron with a pickaxe']

    Source:
        Wang et al., arXiv 2302.01560; after the idea of. It departs in taking the predicted steps from the caller; the paper trains
        a network for them.
    """
    settings.function("deps", planner=planner, act=act, predict=predict)
    settings.function("deps", optional=True, describe=describe, explain=explain)
    settings.whole_number("deps", replans=replans)
    policy = nearest_first(predict, temperature)

    async def plan_anew(goal: Any, trace: Trace[W]) -> AsyncGenerator[Edit[W] | Sequence[Edit[W]], None]:
        """Plan at first, and after each failure."""
        failed = any(id in trace.failures for id in trace.fresh)
        if trace.started and (not failed or len(trace.failures) > replans):
            return
        why = Why()
        if failed:
            if left := [Remove(node.id) for node in trace.graph if node.id not in trace.started]:
                yield left
            described = await describe(goal, trace) if describe is not None else describe_trace(trace)
            why = Why(described, await explain(goal, trace) if explain is not None else "")
        async for edit in planner(goal, trace, why):
            yield edit

    return await execute(
        act, goal=goal, planner=plan_anew, replan="step", rounds=MOST_STEPS, policy=policy, errors=errors, hold=True
    )


def describe_trace(trace: Trace[Any]) -> str:
    """What has happened to a plan, in words.

    Args:
        trace: what has happened.

    Returns:
        What was reached, and what failed and how.
    """
    reached = ", ".join(trace.results) or "nothing"
    failed = "; ".join(f"{id} failed: {error}" for id, error in trace.failures.items())
    return f"Reached: {reached}. {failed}".strip()


def nearest_first(predict: Predict, temperature: float = 0.01) -> Policy:
    """A policy that works on one step at a time, the likelier the nearer it is.

    Args:
        predict: how many steps a step of the plan would take now.
        temperature: above 0; small takes the nearest, large any.

    Returns:
        The policy: a step is chosen with a probability in proportion to exp(-predicted / temperature).

    Raises:
        UsageError: settings that make no sense; and by the policy, for a prediction that is no finite number.

    Example:
        >>> from random import Random
        >>> policy = nearest_first(lambda id, view: {"far": 9.0, "near": 2.0}[id])
        >>> [action.step for action in policy(View(ready=("far", "near")), Random(0))]
        ['near']
    """
    settings.function("nearest_first", predict=predict)
    settings.temperature("nearest_first", temperature=temperature)

    def policy(view: View, rng: Random) -> list[Action]:
        """The nearest step, where none runs."""
        if view.running or not view.ready:
            return []
        predicted = [predict(id, view) for id in view.ready]
        for id, steps in zip(view.ready, predicted, strict=True):
            if not isinstance(steps, int | float) or not math.isfinite(steps):
                raise UsageError(f"nearest_first: predict={steps!r:.40} for step {id!r}: a finite number of steps")
        nearest = min(predicted)
        weights = [math.exp((nearest - steps) / temperature) for steps in predicted]
        return [Action(rng.choices(view.ready, weights)[0])]

    return policy
