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
from headway.cli.foresight import check, predict
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
from headway.cli.steering import cancel, fork, set_result, signal
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


app.command()(check)
app.command()(predict)
app.command()(fork)
app.command()(cancel)
app.command()(signal)
app.command(name="set")(set_result)
app.command()(gc)
app.command()(doctor)
