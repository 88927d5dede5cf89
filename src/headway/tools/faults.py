"""Decides which errors of a tool its model is told, and words them.

A tool's own error is an answer, as its result is: what the model did next rests on it. So it is recorded as one
(`TaskSpec.tells`), and a run that is taken up after a failure tells it again instead of running the tool again.
"""

from __future__ import annotations

from headway.engine.tasks.callables import describe_error
from headway.errors import CallCancelled, CheckpointError, NotInRun, RunError, StoreError
from headway.joins.bound import bound_of


def is_answer(error: BaseException) -> bool:
    """Whether an error is the tool's own, for its model to hear. Bounds that were reached, a cancelled call, and what goes wrong
    with the run or its store are not."""
    if not isinstance(error, Exception) or bound_of(error) is not None:
        return False
    if isinstance(error, StoreError):
        return isinstance(error, CheckpointError)
    return not isinstance(error, CallCancelled | RunError | NotInRun)


def describe_failure(name: str, error: BaseException) -> str:
    """A tool's error in words for the model: those that a resumed run finds in its record."""
    if isinstance(error, BaseExceptionGroup):
        return f"{name} failed: " + "; ".join(describe_error(each) for each in error.exceptions)
    return f"{name} failed: {describe_error(error)}"
