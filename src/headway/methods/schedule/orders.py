"""Dispatch rules as orders of a run: which of the calls that wait for room starts first.

    hw.run(program, order=by_rule(MDD))

The duration of a call is what calls of its task took so far, its due date the deadline around it. A duration that nobody knows yet
counts as whatever brings the call forward: the sooner one has run, the sooner it is known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from headway.engine.dispatch.order import Waiting
from headway.methods import settings
from headway.methods.schedule.rules import RULES, Ready, Rule, Scene


@dataclass(frozen=True)
class RuleOrder:
    """A dispatch rule as the order of a run; made by `by_rule`.

    Attributes:
        rule: the rule.
    """

    rule: Rule

    @property
    def static(self) -> bool:
        """Whether each call is judged once, alone."""
        return self.rule.fixed

    def __call__(self, waiting: Sequence[Waiting], /) -> list[float]:
        """The rule's key of each call."""
        known = [each.seconds for each in waiting if each.seconds is not None]
        scene = Scene(
            now=waiting[0].now_s,
            count=len(waiting),
            longest=max(known, default=0.0),
            total=sum(known),
            earliest_due=min(each.due_s for each in waiting),
        )
        return [min(self.rule.rank(ready, scene)[0] for ready in _show(each)) for each in waiting]


def by_rule(rule: Rule) -> RuleOrder:
    """Order the calls of a run by a dispatch rule.

    Args:
        rule: one of `headway.methods.schedule`, or your own.

    Returns:
        What `hw.run(order=...)` takes.

    Raises:
        UsageError: it is no rule.

    Example:
        >>> @hw.task
        ... async def wait(name: str, seconds: float) -> str:
        ...     await hw.sleep(seconds)
        ...     return name
        >>> @hw.task
        ... async def program() -> list[str]:
        ...     ended = []
        ...     with hw.limit(1):
        ...         async for handle in hw.as_completed(*(wait(name, 1.0) for name in "abc")):
        ...             ended.append(handle.result())
        ...     return ended
        >>> last_first = Rule("last first", lambda each, scene: -each.number, fixed=True)
        >>> hw.testing.run(program, store=None, order=by_rule(last_first))
        ['c', 'b', 'a']

    Source:
        List scheduling by priorities: Graham, "Bounds on multiprocessing timing anomalies" (SIAM J. Appl. Math. 17, 1969).
    """
    settings.instance("by_rule", Rule, rule=rule)
    return RuleOrder(rule)


ORDERS = {name.lower().replace(" ", "-"): by_rule(rule) for name, rule in RULES.items()}
"""An order for each rule, by the name that commands take."""


def _show(each: Waiting) -> list[Ready]:
    """The call as a rule sees it; with no duration and with an endless one where nobody knows it."""
    durations = [0.0, math.inf] if each.seconds is None else [each.seconds]
    ahead = math.inf if each.ahead_s is None else each.ahead_s
    return [Ready(each.number, duration, each.due_s, ahead) for duration in durations]
