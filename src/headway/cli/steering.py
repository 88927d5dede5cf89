"""`fork`, `cancel`, `signal` and `set`: what somebody says to a run from outside."""

from __future__ import annotations

from typing import Annotated

import typer

from headway.cli.options import Json, RunId, Store, Trace
from headway.cli.trouble import handle_errors


@handle_errors
def fork(
    run_id: RunId,
    at: Annotated[
        str, typer.Option("--at", metavar="CALL", help="The call to run again: the beginning of its key, TASK, or TASK:TEXT.")
    ],
    new_id: Annotated[str | None, typer.Option("--new-id", help="The new run's id.  [default: generated]")] = None,
    store: Store = ".headway",
    json: Json = False,
    traceback: Trace = False,
) -> None:
    """Make a new run from an old one.

    The new run has all recorded results of RUN, except that of CALL and what was computed from it.
    """
    from headway.cli.commands.runs import fork_run

    fork_run(run_id, at, new_id, store, as_json=json)


@handle_errors
def cancel(run_id: RunId, store: Store = ".headway", json: Json = False, traceback: Trace = False) -> None:
    """Ask a run to stop. What is finished stays."""
    from headway.cli.commands.runs import cancel_run

    cancel_run(run_id, store, as_json=json)


@handle_errors
def signal(
    run_id: RunId,
    name: Annotated[str, typer.Argument(help="The name of the signal, as in hw.wait_event(NAME).")],
    value: Annotated[str, typer.Argument(help="Read as JSON if it is JSON, else as text.")] = "null",
    store: Store = ".headway",
    json: Json = False,
    traceback: Trace = False,
) -> None:
    """Send a value to a run.

    The run gets it from hw.wait_event(NAME), now or when it gets there.
    """
    from headway.cli.commands.runs import signal_run

    signal_run(run_id, name, value, store, as_json=json)


@handle_errors
def set_result(
    run_id: RunId,
    call: Annotated[str, typer.Argument(metavar="CALL", help="The beginning of its key, TASK, or TASK:TEXT.")],
    value: Annotated[str, typer.Argument(help="The result, read as `run` reads arguments, by the task's return annotation.")],
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who gives the result.  [default: you, on this machine]")] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace a result that the call has already.")] = False,
    store: Store = ".headway",
    json: Json = False,
    traceback: Trace = False,
) -> None:
    """Give a call its result by hand.

    For a call that failed or hangs. Resume the run afterwards.
    """
    from headway.cli.commands.runs import set_by_hand

    set_by_hand(run_id, call, value, store, by=by, force=force, as_json=json)
