"""Which errors are bounds that were reached, and no failures."""

from __future__ import annotations

from typing import Literal

from headway.errors import BudgetExceeded, DeadlineExceeded, InputFailed


def bound_of(error: BaseException) -> Literal["budget", "deadline"] | None:
    """The bound that an error stands for, or None where it is an error of its own.

    A group of errors stands for a bound if all its parts do: the budget if one of them does. A call that failed because of an
    input stands for what the input's error does.
    """
    if isinstance(error, BudgetExceeded):
        return "budget"
    if isinstance(error, DeadlineExceeded):
        return "deadline"
    if isinstance(error, InputFailed) and error.__cause__ is not None:
        return bound_of(error.__cause__)
    if isinstance(error, BaseExceptionGroup):
        bounds = {bound_of(part) for part in error.exceptions}
        return None if None in bounds else "budget" if "budget" in bounds else "deadline"
    return None
