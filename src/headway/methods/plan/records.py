"""What came of a plan, and what happened on the way there.

The log has no times: it is told again to a resumed program in the same order, and the journal has the time of each call. A step is
found there by the key of its call (`Started.call`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

from headway.errors import HeadwayError
from headway.methods.graph import Edit, Graph

W = TypeVar("W")
T_co = TypeVar("T_co", covariant=True)


class PlanFailed(HeadwayError):
    """Raised by `Executed.check` for a plan in which steps failed, or whose planner did."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What a step is given in the place of a result, where it needs another one to fail or only to end.

    Attributes:
        step: which step failed.
        error: how, as a text.
    """

    step: str
    error: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A planner was asked.

    Attributes:
        planner: which, by its place.
        turn: the how-manieth time, from 1.
        fresh: the steps that had ended since it was asked last.
    """

    planner: int
    turn: int
    fresh: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Planned:
    """A planner has said all that it had to say.

    Attributes:
        planner: which, by its place.
        error: what it failed with; empty where it came to its end.
    """

    planner: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class Edited:
    """Edits of a planner were applied, together.

    Attributes:
        planner: which, by its place.
        edits: the edits, in the order in which it said them.
    """

    planner: int
    edits: tuple[Edit[Any], ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """Edits of a planner were refused, together.

    Attributes:
        planner: which, by its place.
        edits: the edits, in the order in which it said them.
        why: what was wrong, as the planner is told when it is asked again.
    """

    planner: int
    edits: tuple[Edit[Any], ...]
    why: str


@dataclass(frozen=True, slots=True)
class Started:
    """A step has begun.

    Attributes:
        step: its id.
        choice: how it is done; empty where there is no choice.
        call: the key of its call, as in `headway show`; empty outside of a run.
    """

    step: str
    choice: str = ""
    call: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """A step has ended.

    Attributes:
        step: its id.
        error: what it failed with; empty where it succeeded.
    """

    step: str
    error: str = ""


Happening: TypeAlias = Asked | Planned | Edited | Refused | Started | Ended


@dataclass(frozen=True)
class Executed(Generic[W, T_co]):
    """What came of a plan.

    Attributes:
        graph: the plan as it was in the end.
        results: what the steps gave that succeeded, by id, in the order in which they ended.
        failures: what the others failed with, by id.
        skipped: the steps that never began: what they need failed, or ended otherwise than they need; in the order of the plan.
        log: all that happened, in the order in which the program was told.
    """

    graph: Graph[W]
    results: Mapping[str, T_co]
    failures: Mapping[str, str] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    log: tuple[Happening, ...] = ()

    def check(self) -> None:
        """Raise PlanFailed where a step failed that no step of the plan was there to handle, or a planner failed.

        A failure is handled where another step needs it, or needs the step to end in any way.
        """
        said = [f"step {id} failed: {error}" for id, error in self.failures.items() if not self._is_handled(id)]
        said += [f"the planner failed: {event.error}" for event in self.log if isinstance(event, Planned) and event.error]
        if not said:
            return
        skipped = f"; {len(self.skipped)} steps did not begin: {', '.join(self.skipped[:9])}" if said and self.skipped else ""
        more = f" (and {len(said) - 3} more)" if len(said) > 3 else ""
        raise PlanFailed(f"{'; '.join(said[:3])}{more}{skipped}")

    def _is_handled(self, id: str) -> bool:
        return any(
            need.step == id and need.on != "success" for other in self.graph.dependents(id) for need in self.graph[other].needs
        )
