"""The commands and their options. Their code is in the files beside this one, imported when a command runs."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from headway.cli.ckpt.app import ckpt
from headway.cli.commands.bench import bench
from headway.cli.commands.mcp import mcp
from headway.cli.commands.serving import serve
from headway.cli.commands.store import store as stores
from headway.cli.commands.upkeep import doctor, gc
from headway.cli.options import (
    Budget,
    Events,
    Gantt,
    Hire,
    Json,
    Keywords,
    NewBudget,
    NewDeadline,
    NewRunId,
    Order,
    Pools,
    Program,
    Progress,
    Rerun,
    Reuse,
    RunId,
    Store,
    TakeOver,
    Trace,
    Workers,
    show_version,
)
from headway.cli.service.app import add_commands
from headway.cli.trouble import handle_errors

app = typer.Typer(
    name="headway",
    help="Parallel AI programs that never lose progress.",
    epilog="Exit codes: 0 it worked, 1 the program failed, 2 wrong usage, 3 a problem with the store or the run, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(ckpt)
app.add_typer(bench)
app.add_typer(stores)
app.command()(mcp)
app.command()(serve)
add_commands(app)


@app.callback()
def headway(
    version: Annotated[bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Parallel AI programs that never lose progress."""


@app.command()
@handle_errors
def run(
    program: Program,
    args: Annotated[list[str] | None, typer.Argument(help="The task's arguments. Put `--` before one like -3.")] = None,
    kw: Keywords = None,
    run_id: NewRunId = None,
    budget: Budget = None,
    deadline: Annotated[float | None, typer.Option("--deadline", metavar="SECONDS", help="The most seconds to take.")] = None,
    workers: Workers = None,
    pool: Pools = None,
    hire: Hire = None,
    order: Order = None,
    take_over: TakeOver = False,
    progress: Progress = None,
    events: Events = None,
    gantt: Gantt = None,
    store: Store = ".headway",
    json: Json = False,
    traceback: Trace = False,
) -> None:
    """Run a task, or resume its run.

    An argument is text where the parameter is annotated `str`; else it is read as JSON if it is JSON (5, true, '["a"]',
    '{"depth": 2}'), and otherwise as text.
    """
    from headway.cli.commands.runs import Options, run_program

    options = Options(
        store=store,
        json=json,
        progress=progress,
        events=events,
        gantt=gantt,
        take_over=take_over,
        workers=workers,
        pools=pool or [],
        hire=hire or [],
        order=order,
    )
    run_program(program, args or [], kw or [], run_id, budget or [], deadline, options)


@app.command()
@handle_errors
def resume(
    run_id: RunId,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be reused and what would run.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run every failed call again, even where the program handled its failure.")
    ] = False,
    reuse: Reuse = None,
    rerun: Rerun = None,
    budget: NewBudget = None,
    deadline: NewDeadline = None,
    workers: Workers = None,
    pool: Pools = None,
    hire: Hire = None,
    order: Order = None,
    take_over: TakeOver = False,
    progress: Progress = None,
    events: Events = None,
    gantt: Gantt = None,
    store: Store = ".headway",
    json: Json = False,
    traceback: Trace = False,
) -> None:
    """Resume a run where it stopped."""
    from headway.cli.commands.runs import Options, plan_run, resume_run

    on_change: dict[str, Literal["reuse", "rerun"]] = dict.fromkeys(reuse or (), "reuse")
    on_change |= dict.fromkeys(rerun or (), "rerun")
    if dry_run:
        plan_run(run_id, store, on_change, retry_failed=retry_failed, as_json=json)
        return
    options = Options(
        store=store,
        json=json,
        progress=progress,
        events=events,
        gantt=gantt,
        take_over=take_over,
        workers=workers,
        pools=pool or [],
        hire=hire or [],
        order=order,
    )
    resume_run(run_id, on_change, budget or [], deadline, options, retry_failed=retry_failed)


@app.command()
@handle_errors
def ls(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many of the newest runs.")] = 20,
    everything: Annotated[bool, typer.Option("--all", "-a", help="All runs, however many.")] = False,
    state: Annotated[
        list[str] | None,
        typer.Option("--state", metavar="STATE", help="Only runs that are running, crashed, done, failed, …; repeatable."),
    ] = None,
    store: Store = ".headway",
    json: Json = False,
    traceback: Trace = False,
) -> None:
    """List runs, the newest last."""
    from headway.cli.commands.show import list_runs

    list_runs(store, statuses=state or (), limit=None if everything else limit, as_json=json)


@app.command()
@handle_errors
def show(
    run_id: RunId,
    everything: Annotated[bool, typer.Option("--all", "-a", help="Every call; nothing is folded.")] = False,
    depth: Annotated[int | None, typer.Option("--depth", min=0, help="How many levels of the tree.  [default: what fits]")] = None,
    task: Annotated[str, typer.Option("--task", help="Only calls of this task, and who called them.")] = "",
    gantt: Gantt = None,
    store: Store = ".headway",
    json: Json = False,
    traceback: Trace = False,
) -> None:
    """Show the calls of a run as a tree.

    With their times and costs, and with the critical path: the calls that decided how long the run took.
    """
    from headway.cli.commands.show import show_run
    from headway.observe.tree import Options

    show_run(run_id, store, Options(everything, depth, task), gantt=gantt, as_json=json)


@app.command()
@handle_errors
def collection(
    name: Annotated[str, typer.Argument(help="The collection whose items to show.  [default: list all collections]")] = "",
    last: Annotated[int, typer.Option("--last", min=1, help="How many of the newest items.")] = 20,
    store: Store = ".headway",
    json: Json = False,
    traceback: Trace = False,
) -> None:
    """List collections, or the items of one.

    A collection is what the runs of a store build up together (`hw.collection`).
    """
    from headway.cli.commands.collections import list_collections, show_collection

    if name:
        show_collection(store, name, last, as_json=json)
    else:
        list_collections(store, as_json=json)


@app.command()
@handle_errors
def check(
    program: Program,
    args: Annotated[list[str] | None, typer.Argument(help="The task's arguments, as for `run`.")] = None,
    kw: Keywords = None,
    schedules: Annotated[int, typer.Option("--schedules", min=1, help="How many; each is also killed and resumed.")] = 20,
    seed: Annotated[int, typer.Option("--seed", help="The number of the first schedule; the same seed repeats the check.")] = 0,
    seconds: Annotated[float, typer.Option("--seconds", min=0, help="After this time it ends, and says what it left.")] = 60.0,
    pool: Pools = None,
    answers: Annotated[
        str | None, typer.Option("--answers", metavar="RUN", help="Answer the calls that make no calls of their own from RUN.")
    ] = None,
    store: Store = ".headway",
    json: Json = False,
    traceback: Trace = False,
) -> None:
    """Check that a program survives crashes.

    Tries it under many schedules, kills and resumes it, and says what would lose or repeat work. Its code runs for real, again and
    again, in a simulated world: `await` takes no time, and nothing is written to a store. Code that computes for long takes that
    long each time. Calls that need a network get their answers from a recorded run (`--answers`).
    """
    from headway.cli.commands.check import CheckOptions, check_program

    check_program(CheckOptions(program, args or [], kw or [], schedules, seed, seconds, pool or [], answers, store, json))


@app.command()
@handle_errors
def predict(
    run_id: RunId,
    workers: Annotated[int, typer.Option("--workers", min=1, help="How many calls can run at a time.")],
    mtbf: Annotated[
        str | None, typer.Option("--mtbf", metavar="DURATION", help="A worker's mean time between failures.  [default: none]")
    ] = None,
    repair: Annotated[str, typer.Option("--repair", metavar="DURATION", help="How long until a failed worker is back.")] = "30s",
    within: Annotated[str | None, typer.Option("--within", metavar="DURATION", help="Report the chance to end in it.")] = None,
    budget: Annotated[
        list[str] | None, typer.Option("--budget", metavar="UNIT=AMOUNT", help="Report the chance to stay in it; repeatable.")
    ] = None,
    estimate: Annotated[
        list[str] | None,
        typer.Option(
            "--estimate", metavar="TASK=DURATION", help="Use this instead of the recorded times: 2.5s or 2.5s±0.5s. Repeatable."
        ),
    ] = None,
    order: Annotated[
        list[str] | None,
        typer.Option("--order", metavar="NAME", help="Compare this order of the calls that wait; repeatable. See `headway run`."),
    ] = None,
    pool: Annotated[
        Literal["process", "thread", "inline"] | None,
        typer.Option("--pool", help="Whose calls occupy workers.  [default: the pool that did the work]"),
    ] = None,
    trials: Annotated[int | None, typer.Option("--trials", min=1, help="How often to simulate.  [default: 5 to 200]")] = None,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same prediction.")] = 0,
    svg: Annotated[str | None, typer.Option("--svg", metavar="FILE", help="The picture.  [default: RUN-prediction.svg]")] = None,
    store: Store = ".headway",
    json: Json = False,
    traceback: Trace = False,
) -> None:
    """Predict a run's time on other workers.

    And what it would cost. A DURATION is written 90s, 15m, 6h or 2d.
    """
    from headway.cli.commands.predict import PredictOptions, predict_run

    predict_run(
        PredictOptions(
            run_id=run_id,
            store=store,
            workers=workers,
            mtbf=mtbf,
            repair=repair,
            within=within,
            budget=budget or [],
            estimate=estimate or [],
            order=order or [],
            pool=pool,
            trials=trials,
            seed=seed,
            svg=svg,
            json=json,
        )
    )


@app.command()
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


@app.command()
@handle_errors
def cancel(run_id: RunId, store: Store = ".headway", json: Json = False, traceback: Trace = False) -> None:
    """Ask a run to stop. What is finished stays."""
    from headway.cli.commands.runs import cancel_run

    cancel_run(run_id, store, as_json=json)


@app.command()
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


@app.command(name="set")
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


app.command()(gc)
app.command()(doctor)
