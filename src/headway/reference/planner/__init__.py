"""The planner: a small transformer that turns questions about countries into plans, its training and its questions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headway.reference.planner.sampling import PlannerModel as PlannerModel


def __getattr__(name: str) -> object:
    """`PlannerModel` is imported when it is asked for: it needs PyTorch."""
    if name == "PlannerModel":
        from headway.extras import explain_missing

        with explain_missing("PlannerModel", "torch"):
            from headway.reference.planner.sampling import PlannerModel
        return PlannerModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
