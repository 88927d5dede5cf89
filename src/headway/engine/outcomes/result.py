"""What a run returns to its caller: the root's result, or an error that says how to go on."""

from __future__ import annotations

from typing import Any

from headway.engine.call import Call
from headway.engine.transitions import CANCELLED, FAILED
from headway.errors import DeadlineExceeded, HeadwayError, Interrupted, RunCancelled
from headway.journal.codec.codec import add_note
from headway.journal.records import RunStatus

ANOTHER_DEADLINE = " --deadline SECONDS"  # what a run whose own deadline has passed needs to go on


def result_of(root: Call, status: RunStatus, failure: BaseException | None, run_id: str, again: str) -> Any:
    """The root's result. `failure`: why the driver stopped; `again`: the command that goes on with the run, empty without a store.

    Raises:
        RunCancelled, Interrupted, StoreError: the run did not come to its end.
        BaseException: the root's own error.
    """
    stopped = status in (RunStatus.INTERRUPTED, RunStatus.CANCELLED)
    if failure is not None and (stopped or not isinstance(failure, RunCancelled)):
        raise failure
    if status == RunStatus.INTERRUPTED:
        if not again:
            raise Interrupted(f"run {run_id!r} was interrupted; it had no store, so nothing is kept")
        raise Interrupted(f"run {run_id!r} was interrupted; what is finished is journaled. Go on with: {again}")
    if root.state == FAILED:
        assert root.error is not None
        if again:
            _say_what_next(root, root.error, run_id, again)
        raise root.error
    if root.state == CANCELLED:
        raise RunCancelled(f"run {run_id!r} was cancelled: {root.cancellation()}")
    return root.result()


def _say_what_next(root: Call, error: BaseException, run_id: str, again: str) -> None:
    """Note on the error that failed the run how it goes on."""
    bound = root.scope.deadline
    if isinstance(error, DeadlineExceeded) and bound is not None and bound.left_s <= 0:
        add_note(error, f"what is finished is journaled; go on with: {again}{ANOTHER_DEADLINE}")
    elif not isinstance(error, HeadwayError):
        add_note(error, f"run {run_id!r} failed; what is finished is journaled, the same run_id goes on")
