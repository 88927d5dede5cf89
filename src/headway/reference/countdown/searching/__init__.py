"""The search model: a small transformer that searches for the solutions of number puzzles, alone or with helpers; its training."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headway.reference.countdown.searching.sampling import SearchModel as SearchModel


def __getattr__(name: str) -> object:
    """`SearchModel` is imported when it is asked for: it needs PyTorch."""
    if name == "SearchModel":
        from headway.extras import explain_missing

        with explain_missing("SearchModel", "torch"):
            from headway.reference.countdown.searching.sampling import SearchModel
        return SearchModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
