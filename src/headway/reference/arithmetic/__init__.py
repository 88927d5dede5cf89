"""The arithmetic model: a small transformer that works line by line and slips, its training, its questions and its verifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headway.reference.arithmetic.sampling import ArithmeticModel as ArithmeticModel


def __getattr__(name: str) -> object:
    """`ArithmeticModel` is imported when it is asked for: it needs PyTorch."""
    if name == "ArithmeticModel":
        from headway.extras import explain_missing

        with explain_missing("ArithmeticModel", "torch"):
            from headway.reference.arithmetic.sampling import ArithmeticModel
        return ArithmeticModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
