"""`schedule add`, `ls`, `pause`, `resume` and `rm`."""

from __future__ import annotations

import dataclasses
from typing import Literal, NamedTuple

from rich.table import Table
from rich.text import Text

import headway as hw
from headway.cli import console
from headway.cli.arguments import parse_arguments
from headway.cli.commands.runs import load_task
from headway.cli.service.documents import DoneDocument, ScheduleDocument, SchedulesDocument
from headway.cli.service.queueing import Place, parse_duration
from headway.errors import UsageError
from headway.journal.owner import clock


class When(NamedTuple):
    """When a schedule is due, and what becomes of runs that are late or overlap."""

    cron: str
    zone: str
    overlap: Literal["skip", "queue", "cancel"]
    catch_up: str


def add_schedule(
    name: str, target: str, texts: list[str], keywords: list[str], when: When, place: Place, store: str, *, as_json: bool
) -> None:
    """Load the program, add a schedule of its task, say when it is due."""
    if not when.cron:
        raise UsageError("headway schedule add: say when it is due, such as --cron '0 8 * * mon-fri'")
    task = load_task(target)
    args, kwargs = parse_arguments(task.fn, texts, keywords)
    made = hw.add_schedule(
        name,
        task,
        *args,
        cron=when.cron,
        zone=when.zone,
        overlap=when.overlap,
        catch_up_s=parse_duration(when.catch_up, "--catch-up"),
        kwargs=kwargs,
        queue=place.queue,
        key=place.key,
        priority=place.priority,
        version=place.version,
        store=store,
    )
    _say(name, "paused" if made.due is None else f"due next at {clock(made.due)}", as_json=as_json)


def list_schedules(store: str, *, as_json: bool) -> None:
    """Print every schedule with its next time."""
    found = hw.schedules(store=store)
    if as_json:
        rows = [ScheduleDocument(**dataclasses.asdict(each)) for each in found]
        console.print_json(SchedulesDocument(store=store, schedules=rows))
        return
    if not found:
        console.note(f"{store} has no schedules")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("schedule", "task", "when", "due next", "overlap", "last run"):
        table.add_column(column, no_wrap=True)
    for each in found:
        due = Text("paused", style="yellow") if each.due is None else Text(clock(each.due))
        table.add_row(
            Text(each.name), Text(each.task), Text(f"{each.cron} ({each.zone})"), due, each.overlap, Text(each.last_run or "")
        )
    console.out().print(table)


def change_schedule(name: str, done: Literal["paused", "resumed", "removed"], store: str, *, as_json: bool) -> None:
    change = {"paused": hw.pause_schedule, "resumed": hw.resume_schedule, "removed": hw.remove_schedule}[done]
    change(name, store=store)
    _say(name, done, as_json=as_json)


def _say(name: str, done: str, *, as_json: bool) -> None:
    if as_json:
        console.print_json(DoneDocument(name=name, done=done))
    else:
        console.out().print(f"{name}: {done}", markup=False, soft_wrap=True)
