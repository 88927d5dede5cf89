"""The Countdown model: a small transformer that solves number puzzles, its training and its puzzles."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headway.reference.countdown.sampling import CountdownModel as CountdownModel


def __getattr__(name: str) -> object:
    """`CountdownModel` is imported when it is asked for: it needs PyTorch."""
    if name == "CountdownModel":
        from headway.extras import explain_missing

        with explain_missing("CountdownModel", "torch"):
            from headway.reference.countdown.sampling import CountdownModel
        return CountdownModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
