"""UFO³ Galaxy: a plan over devices, which a planner edits whenever steps have ended.

Devices differ in what they can do, do a few steps at a time, and may be lost. While the planner edits, nothing new is started, and
what ends meanwhile is told in one go the next time. So a planner never edits a step that starts under its hands, and ten steps that
end together cost one round of editing.

All of it is done by the executor of plans (`plan.execute`). This module says which devices a step may run on, how the four kinds of
lines between steps are written as needs, and how parallel a plan was.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.graph import Graph, Need, Node, When
from headway.methods.plan.executor import Planners, execute
from headway.methods.plan.policies import LeastBusy
from headway.methods.plan.records import Ended, Executed, Started
from headway.methods.protocols import Policy
from headway.methods.search.failures import SAMPLE_ERRORS, Errors

W = TypeVar("W")
T = TypeVar("T")

LineKind = Literal["unconditional", "conditional", "success-only", "completion-only"]


@dataclass(frozen=True, slots=True)
class Device:
    """Something that does steps.

    Attributes:
        name: what tells it from others.
        can: what it can do.
        at_once: how many steps it does at a time.

    Raises:
        UsageError: it has no name, or does no whole number of steps.

    Example:
        >>> Device("phone", frozenset({"camera", "browser"})).at_once
        1
    """

    name: str
    can: frozenset[str] = frozenset()
    at_once: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise UsageError(f"Device({self.name!r:.40}): the name of a device is a text that is not empty")
        where = f"Device({self.name!r:.40})"
        settings.at_least_one(where, at_once=self.at_once)
        settings.several(where, str, can=self.can)


def line(step: str, kind: LineKind = "unconditional", test: str = "") -> Need:
    """A line of UFO³ between two steps, as a need of the later one.

    Args:
        step: the id of the earlier step.
        kind: "success-only" waits for its success; "unconditional" and "completion-only" for its end, however it ends;
            "conditional" for a result that a test holds for.
        test: the name of the test of a conditional line, one of those that `galaxy` is given.

    Returns:
        The need.

    Raises:
        UsageError: there is no such kind; a conditional line without a test, or another one with a test.

    Example:
        >>> line("1", "conditional", "is_long")
        Need(step='1', on='success', test='is_long')
    """
    if kind not in _ENDS:
        raise UsageError(f"line: kind={kind!r:.40}: one of {', '.join(_ENDS)}")
    if bool(test) != (kind == "conditional"):
        raise UsageError(f"line: a {kind} line {'takes no test' if test else 'needs test=, the name of a test'}")
    return Need(step, _ENDS[kind], test)


_ENDS: Mapping[str, When] = {
    "unconditional": "end",
    "conditional": "success",
    "success-only": "success",
    "completion-only": "end",
}
