"""`worker`, `enqueue`, `workers`, `queue` and `schedule`: the commands and their options. Their code is in the files beside
this one, imported when a command runs."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from headway.cli.options import Json, Keywords, Pools, Program, RunId, Store, Trace, Workers
from headway.cli.trouble import handle_errors

Queue = Annotated[str, typer.Option("--queue", "-q", help="The queue.")]
QueueName = Annotated[str, typer.Argument(metavar="QUEUE", help="The queue's name.")]
Key = Annotated[str, typer.Option("--key", help="Of whom it is: keys of a queue take turns, and may have a limit each.")]
Priority = Annotated[int, typer.Option("--priority", help="Higher first.")]
Version = Annotated[str, typer.Option("--version", help="Only a worker that has this --version takes it.")]
ScheduleName = Annotated[str, typer.Argument(metavar="SCHEDULE", help="The schedule's name.")]

queue_app = typer.Typer(name="queue", help="Look at queues, bound them, and pause them.", no_args_is_help=True)
schedule_app = typer.Typer(name="schedule", help="Enqueue tasks at times of the clock.", no_args_is_help=True)


def add_commands(app: typer.Typer) -> None:
    """Add the commands of the service to the whole."""
    app.command()(worker)
    app.command()(enqueue)
    app.command()(workers)
    app.add_typer(queue_app)
    app.add_typer(schedule_app)


@handle_errors
def worker(
    programs: Annotated[list[str], typer.Argument(metavar="PROGRAM", help="path/to/file.py or package.module; one or more.")],
    queues: Annotated[
        list[str] | None, typer.Option("--queue", "-q", help="Serve this queue; repeatable.  [default: default]")
    ] = None,
    slots: Annotated[int, typer.Option("--slots", "-n", min=1, help="How many runs it drives at a time.")] = 4,
    grace: Annotated[
        float, typer.Option("--grace", min=0, metavar="SECONDS", help="How long runs may go on when it is told to end.")
    ] = 20.0,
    drain: Annotated[bool, typer.Option("--drain", help="End when nothing waits any more.")] = False,
    versions: Annotated[
        list[str] | None, typer.Option("--version", help="Also take runs that are pinned to this version; repeatable.")
    ] = None,
    processes: Workers = None,
    pool: Pools = None,
    store: Store = ".headway",
    traceback: Trace = False,
) -> None:
    """Drive runs that were enqueued, until told to end.

    On SIGTERM or Ctrl-C it takes nothing more and lets its runs go on for the grace; then it hands them over, and other workers go
    on with what is journaled. A second signal hands them over now.
    """
    from headway.cli.service.working import WorkerArguments, run_worker

    run_worker(
        WorkerArguments(
            programs=programs,
            queues=queues or ["default"],
            slots=slots,
            grace_s=grace,
            drain=drain,
            versions=versions or [],
            processes=processes,
            pools=pool or [],
            store=store,
        )
    )


@handle_errors
def enqueue(
    program: Program,
    args: Annotated[list[str] | None, typer.Argument(help="The task's arguments, as for `run`.")] = None,
    kw: Keywords = None,
    run_id: Annotated[
        str | None, typer.Option("--run-id", help="The run's id. A run that has it already is not made again.")
    ] = None,
    queue: Queue = "default",
    key: Key = "",
    priority: Priority = 0,
    at: Annotated[str, typer.Option("--at", metavar="TIME", help="Not before: 2027-01-31T09:00+01:00, or +90s, +15m, +6h.")] = "",
    version: Version = "",
    store: Store = ".headway",
    json: Json = False,
    traceback: Trace = False,
) -> None:
    """Put a run into a queue, for a worker to drive."""
    from headway.cli.service.queueing import Place, enqueue_program

    enqueue_program(program, args or [], kw or [], run_id, Place(queue, key, priority, at, version), store, as_json=json)


@handle_errors
def workers(store: Store = ".headway", json: Json = False, traceback: Trace = False) -> None:
    """List the workers that were heard of lately."""
    from headway.cli.service.queueing import list_workers

    list_workers(store, as_json=json)


@queue_app.command("ls")
@handle_errors
def queue_ls(store: Store = ".headway", json: Json = False, traceback: Trace = False) -> None:
    """List queues: what waits, what runs, since when the oldest waits."""
    from headway.cli.service.queueing import list_queues

    list_queues(store, as_json=json)


@queue_app.command("jobs")
@handle_errors
def queue_jobs(
    queue: Annotated[str, typer.Argument(metavar="[QUEUE]", help="Only of this queue.")] = "",
    state: Annotated[
        Literal["waiting", "delayed", "taken", "parked", "stuck", ""], typer.Option("--state", help="Only in this state.")
    ] = "",
    most: Annotated[int, typer.Option("--most", min=1, help="How many at most.")] = 50,
    store: Store = ".headway",
    json: Json = False,
    traceback: Trace = False,
) -> None:
    """List runs that were enqueued and have not ended, and say which of them no worker can take."""
    from headway.cli.service.queueing import list_jobs

    list_jobs(store, queue, state, most, as_json=json)


@queue_app.command("set")
@handle_errors
def queue_set(
    queue: QueueName,
    limit: Annotated[str, typer.Option("--limit", metavar="N|none", help="How many of its runs may go on at a time.")] = "",
    key_limit: Annotated[str, typer.Option("--key-limit", metavar="N|none", help="The same for each key.")] = "",
    depth: Annotated[str, typer.Option("--depth", metavar="N|none", help="How many may wait before more are refused.")] = "",
    deaths: Annotated[int | None, typer.Option("--deaths", min=1, help="After how many deaths a run is stuck.")] = None,
    backoff: Annotated[
        float | None, typer.Option("--backoff", min=0, metavar="SECONDS", help="Until a run is taken again whose driver died.")
    ] = None,
    store: Store = ".headway",
    json: Json = False,
    traceback: Trace = False,
) -> None:
    """Set what a queue allows. What is not named stays."""
    from headway.cli.service.queueing import change_queue

    change_queue(queue, {"limit": limit, "key_limit": key_limit, "depth": depth}, deaths, backoff, store, as_json=json)


@queue_app.command("pause")
@handle_errors
def queue_pause(queue: QueueName, store: Store = ".headway", json: Json = False, traceback: Trace = False) -> None:
    """Have no run of a queue taken from now on. Those that go on are not stopped."""
    from headway.cli.service.queueing import pause_queue

    pause_queue(queue, store, paused=True, as_json=json)


@queue_app.command("resume")
@handle_errors
def queue_resume(queue: QueueName, store: Store = ".headway", json: Json = False, traceback: Trace = False) -> None:
    """Have runs of a queue taken again."""
    from headway.cli.service.queueing import pause_queue

    pause_queue(queue, store, paused=False, as_json=json)


@queue_app.command("retry")
@handle_errors
def queue_retry(run_id: RunId, store: Store = ".headway", json: Json = False, traceback: Trace = False) -> None:
    """Have a run that is stuck taken again."""
    from headway.cli.service.queueing import retry_run

    retry_run(run_id, store, as_json=json)


@schedule_app.command("add")
@handle_errors
def schedule_add(
    name: ScheduleName,
    program: Program,
    args: Annotated[list[str] | None, typer.Argument(help="The task's arguments, as for `run`.")] = None,
    kw: Keywords = None,
    cron: Annotated[str, typer.Option("--cron", metavar="LINE", help="When: '0 8 * * mon-fri', '@daily'.")] = "",
    zone: Annotated[str, typer.Option("--zone", help="The time zone that is meant, such as Europe/Berlin.")] = "UTC",
    overlap: Annotated[
        Literal["skip", "queue", "cancel"], typer.Option("--overlap", help="Where the run before has not ended.")
    ] = "skip",
    catch_up: Annotated[
        str, typer.Option("--catch-up", metavar="DURATION", help="How late a run may begin that nobody looked for: 90s, 15m, 6h.")
    ] = "1h",
    queue: Queue = "default",
    key: Key = "",
    priority: Priority = 0,
    version: Version = "",
    store: Store = ".headway",
    json: Json = False,
    traceback: Trace = False,
) -> None:
    """Add a schedule, or replace the one of its name."""
    from headway.cli.service.queueing import Place
    from headway.cli.service.scheduling import When, add_schedule

    when = When(cron, zone, overlap, catch_up)
    add_schedule(name, program, args or [], kw or [], when, Place(queue, key, priority, "", version), store, as_json=json)


@schedule_app.command("ls")
@handle_errors
def schedule_ls(store: Store = ".headway", json: Json = False, traceback: Trace = False) -> None:
    """List schedules: when each is due next, and its last run."""
    from headway.cli.service.scheduling import list_schedules

    list_schedules(store, as_json=json)


@schedule_app.command("pause")
@handle_errors
def schedule_pause(name: ScheduleName, store: Store = ".headway", json: Json = False, traceback: Trace = False) -> None:
    """Have a schedule enqueue nothing from now on."""
    from headway.cli.service.scheduling import change_schedule

    change_schedule(name, "paused", store, as_json=json)


@schedule_app.command("resume")
@handle_errors
def schedule_resume(name: ScheduleName, store: Store = ".headway", json: Json = False, traceback: Trace = False) -> None:
    """Have a schedule go on. What was due meanwhile is not made up for."""
    from headway.cli.service.scheduling import change_schedule

    change_schedule(name, "resumed", store, as_json=json)


@schedule_app.command("rm")
@handle_errors
def schedule_rm(name: ScheduleName, store: Store = ".headway", json: Json = False, traceback: Trace = False) -> None:
    """Remove a schedule. Its runs stay."""
    from headway.cli.service.scheduling import change_schedule

    change_schedule(name, "removed", store, as_json=json)
