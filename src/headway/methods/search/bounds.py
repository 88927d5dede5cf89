"""Which errors are bounds that were reached, and no failures."""

from __future__ import annotations

from headway.errors import BudgetExceeded, DeadlineExceeded, InputFailed
from headway.methods.search.found import Stopped


def bound(error: BaseException) -> Stopped | None:
    """Which bound an error stands for; None where it is an error of its own."""
    if isinstance(error, BudgetExceeded):
        return "budget"
    if isinstance(error, DeadlineExceeded):
        return "deadline"
    if isinstance(error, InputFailed) and error.__cause__ is not None:
        return bound(error.__cause__)
    if isinstance(error, BaseExceptionGroup):
        whys = {bound(each) for each in error.exceptions}
        return None if None in whys else "budget" if "budget" in whys else "deadline"
    return None
