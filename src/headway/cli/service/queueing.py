"""`enqueue`, `queue …` and `workers`."""

from __future__ import annotations

import dataclasses
import datetime
import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.table import Table
from rich.text import Text

import headway as hw
from headway.cli import console
from headway.cli.arguments import parse_arguments
from headway.cli.commands.runs import load_task
from headway.cli.service.documents import (
    DoneDocument,
    EnqueuedDocument,
    JobDocument,
    JobsDocument,
    QueueDocument,
    QueuesDocument,
    WorkerDocument,
    WorkersDocument,
)
from headway.errors import UsageError
from headway.journal.open import open_to_read
from headway.journal.owner import clock, describe_owner
from headway.journal.shared.queues import JobInfo, JobState
from headway.observe import words
from headway.service.queues import QueueView, WorkerView, count

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Place(NamedTuple):
    """Where and how a run waits."""

    queue: str
    key: str
    priority: int
    at: str
    version: str


def enqueue_program(
    target: str, texts: list[str], keywords: list[str], run_id: str | None, place: Place, store: str, *, as_json: bool
) -> None:
    """Load the program, enqueue a run of its task, print the run's id."""
    task = load_task(target)
    args, kwargs = parse_arguments(task.fn, texts, keywords)
    at = parse_time(place.at)
    made = hw.enqueue(
        task,
        *args,
        kwargs=kwargs,
        run_id=run_id,
        queue=place.queue,
        key=place.key,
        priority=place.priority,
        at=at,
        version=place.version,
        store=store,
    )
    if as_json:
        console.print_json(EnqueuedDocument(run_id=made, queue=place.queue, store=store))
    else:
        console.out().print(made, markup=False, soft_wrap=True)


def parse_time(text: str) -> float | None:
    """The time that `--at` names: a date and time with a zone, or so long from now.

    Raises UsageError.
    """
    if not text:
        return None
    if text.startswith("+"):
        return time.time() + parse_duration(text[1:], "--at")
    try:
        at = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--at {text}: write a time such as 2027-01-31T09:00+01:00, or +90s, +15m, +6h from now") from None
    if at.tzinfo is None:
        raise UsageError(f"--at {text}: say in which zone, such as {text}+01:00 or {text}Z")
    return at.timestamp()


def parse_duration(text: str, option: str) -> float:
    """Seconds, from a text like "90s", "15m", "6h" or "2d".

    >>> parse_duration("15m", "--catch-up"), parse_duration("2", "--catch-up")
    (900.0, 2.0)

    Raises UsageError, naming the option.
    """
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    try:
        seconds = float(number) * _UNITS[unit]
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise UsageError(f"{option} {text}: write a duration such as 90s, 15m, 6h or 2d")
    return seconds


# --- queues ----------------------------------------------------------------------------------------------------------


def list_queues(store: str, *, as_json: bool) -> None:
    """Print every queue with what is in it."""
    found = hw.queues(store=store)
    if as_json:
        console.print_json(QueuesDocument(store=store, queues=[QueueDocument(**dataclasses.asdict(each)) for each in found]))
        return
    if not found:
        console.note(f"no queue in {store} has runs or settings")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("queue", "waiting", "oldest", "delayed", "running", "parked", "stuck", "limits"):
        table.add_column(column, justify="left" if column in ("queue", "limits") else "right", no_wrap=True)
    for queue in found:
        table.add_row(
            Text(queue.name),
            count(queue.waiting),
            words.seconds(queue.oldest_s) if queue.oldest_s is not None else "",
            count(queue.delayed),
            count(queue.running),
            count(queue.parked),
            Text(count(queue.stuck), style="red" if queue.stuck else ""),
            Text(_describe_bounds(queue), style="yellow" if queue.paused else "dim"),
        )
    console.out().print(table)


def _describe_bounds(queue: QueueView) -> str:
    parts = ["paused"] if queue.paused else []
    parts += [f"limit {queue.limit}"] if queue.limit is not None else []
    parts += [f"{queue.key_limit} a key"] if queue.key_limit is not None else []
    parts += [f"depth {queue.depth}"] if queue.depth is not None else []
    return ", ".join(parts)


def change_queue(
    name: str, bounds: dict[str, str], deaths: int | None, backoff_s: float | None, store: str, *, as_json: bool
) -> None:
    """Set what a queue allows, and print it."""
    settings: dict[str, Any] = {key: _parse_bound(text, key) for key, text in bounds.items() if text}
    settings |= {"deaths": deaths} if deaths is not None else {}
    settings |= {"backoff_s": backoff_s} if backoff_s is not None else {}
    if not settings:
        raise UsageError(f"headway queue set {name}: say what to set, such as --limit 20")
    queue = hw.set_queue(name, store=store, **settings)
    said = _describe_bounds(queue) or "no bounds"
    _say(name, f"{said}; a run is stuck after {queue.deaths} deaths", as_json=as_json)


def _parse_bound(text: str, setting: str) -> int | None:
    if text == "none":
        return None
    if not text.isdecimal():
        raise UsageError(f"--{setting.replace('_', '-')} {text}: a whole number, or none")
    return int(text)


def pause_queue(name: str, store: str, *, paused: bool, as_json: bool) -> None:
    (hw.pause_queue if paused else hw.resume_queue)(name, store=store)
    _say(name, "paused: none of its runs is taken" if paused else "its runs are taken again", as_json=as_json)


def retry_run(run_id: str, store: str, *, as_json: bool) -> None:
    was_stuck = hw.retry_stuck(run_id, store=store)
    _say(run_id, "waits for a worker again" if was_stuck else "was not stuck; nothing to do", as_json=as_json)


def _say(name: str, done: str, *, as_json: bool) -> None:
    if as_json:
        console.print_json(DoneDocument(name=name, done=done))
    else:
        console.out().print(f"{name}: {done}", markup=False, soft_wrap=True)


# --- jobs ------------------------------------------------------------------------------------------------------------


def list_jobs(store: str, queue: str, state: str, most: int, *, as_json: bool) -> None:
    """Print runs that have not ended, a page of them."""
    opened, now = open_to_read(store), time.time()
    try:
        found = opened.jobs(now, queue=queue or None, state=JobState(state) if state else None, most=most)
    finally:
        opened.close()
    alive = [worker for worker in hw.workers(store=store) if worker.state in ("working", "draining")]
    whys = [_why_not(job, alive) for job in found]
    if as_json:
        jobs = [_document(job, why) for job, why in zip(found, whys, strict=True)]
        console.print_json(JobsDocument(store=store, jobs=jobs))
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("run", "task", "queue", "key", "state", "since or until", "deaths", ""):
        table.add_column(column, no_wrap=column != "")
    for job, why in zip(found, whys, strict=True):
        style = "red" if job.state == JobState.STUCK else ""
        table.add_row(
            Text(job.run_id),
            Text(job.task),
            Text(job.job.queue),
            Text(job.job.key),
            Text(job.state, style=style),
            Text(clock(job.at) if math.isfinite(job.at) else "a signal"),
            str(job.deaths or ""),
            Text(why or (describe_owner(job.owner) if job.owner else ""), style="yellow" if why else "dim"),
        )
    console.out().print(table)
    if len(found) == most:
        console.note(f"these are the first {most}; --most shows more")


def _why_not(job: JobInfo, alive: Sequence[WorkerView]) -> str | None:
    """Why no worker that is heard of can take a job."""
    if job.state not in (JobState.WAITING, JobState.DELAYED, JobState.PARKED):
        return None
    serving = [worker for worker in alive if job.job.queue in worker.queues]
    if not serving:
        return f"no worker serves queue {job.job.queue}"
    if not any(job.task in worker.tasks for worker in serving):
        return f"no worker of queue {job.job.queue} has loaded {job.task}"
    if job.job.version and not any(job.job.version in worker.versions for worker in serving):
        return f"no worker of queue {job.job.queue} has --version {job.job.version}"
    return None


def _document(job: JobInfo, why: str | None) -> JobDocument:
    return JobDocument(
        run_id=job.run_id,
        task=job.task,
        queue=job.job.queue,
        key=job.job.key,
        priority=job.job.priority,
        state=str(job.state),
        at=job.at,
        owner=describe_owner(job.owner) if job.owner else None,
        deaths=job.deaths,
        version=job.job.version,
        why=why,
    )


# --- workers ---------------------------------------------------------------------------------------------------------


def list_workers(store: str, *, as_json: bool) -> None:
    """Print every worker that was heard of lately."""
    found = hw.workers(store=store)
    if as_json:
        names = set(WorkerDocument.__struct_fields__)
        rows = [{name: part for name, part in dataclasses.asdict(each).items() if name in names} for each in found]
        console.print_json(WorkersDocument(store=store, workers=[WorkerDocument(**row) for row in rows]))
        return
    if not found:
        console.note(f"no worker of {store} was heard of lately; start one with: headway worker PROGRAM")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("worker", "program", "queues", "slots", "state", "heard of"):
        table.add_column(column, no_wrap=True)
    for worker in found:
        style = {"working": "green", "draining": "yellow"}.get(worker.state, "red")
        busy, queues = f"{worker.busy} of {worker.slots}", ", ".join(worker.queues)
        heard = words.age(worker.seen_s)
        table.add_row(Text(worker.name), Text(worker.program), Text(queues), busy, Text(worker.state, style=style), heard)
    console.out().print(table)
