"""Schedules as a program sees them: a task that is enqueued at times of the clock, with no process of its own.

    hw.add_schedule("digest", send_digest, cron="0 8 * * mon-fri", zone="Europe/Berlin", overlap="skip", store=STORE)

The schedule is in the store, and every worker fires what is due; a due time becomes one run whoever looks first.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

import msgspec

from headway.engine.identity.keys import call_key
from headway.engine.tasks.options import is_number
from headway.errors import UsageError
from headway.journal.open import DEFAULT_STORE, open_existing, open_store, open_to_read
from headway.journal.records import RunSpec
from headway.journal.shared.queues import Job
from headway.journal.shared.schedules import Overlap, Schedule, ScheduleInfo
from headway.journal.store import Store
from headway.near import near_misses
from headway.service.asking import ask_for

StoreLike = str | Path | Store


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """A schedule as it is now.

    Attributes:
        name: its name. Its runs are called `name@time`, with the time in UTC.
        task: the name of the task that it enqueues.
        cron: when: minute, hour, day of the month, month, day of the week.
        zone: the time zone in which that is meant.
        queue: the queue of its runs.
        overlap: what becomes of a run that is due while the one before has not ended: `skip`, `queue` or `cancel`.
        catch_up_s: how many seconds late a run may begin that was due while no worker looked.
        paused: whether it enqueues nothing now.
        due: when it is due next, in seconds since 1970; None where it is paused.
        last_run: the id of the run that it enqueued last; None where there was none.
    """

    name: str
    task: str
    cron: str
    zone: str
    queue: str
    overlap: str
    catch_up_s: float
    paused: bool
    due: float | None
    last_run: str | None


class ScheduleOptions(TypedDict, total=False):
    """What `add_schedule` takes besides the name, the task and its arguments.

    Attributes:
        cron: when: five fields (minute, hour, day of the month, month, day of the week), or a word such as `@daily`.
        zone: the time zone in which that is meant, such as "Europe/Berlin". Default "UTC". A time that a change of the clock leaves
            out or has twice is due once.
        overlap: what becomes of a run that is due while the one before has not ended: "skip" (default) leaves it out, "queue" has
            it begin when that one ends, "cancel" cancels that one first.
        catch_up_s: how many seconds late a run may begin that was due while no worker looked. Default 3600; older ones are given
            up.
        kwargs: keyword arguments of the task.
        queue: the queue of its runs.
        key: of whom they are.
        priority: higher first.
        version: only a worker started with this `--version` takes them.
        store: a folder, a Postgres URL, or a store that is open. Default ".headway".
    """

    cron: str
    zone: str
    overlap: Literal["skip", "queue", "cancel"]
    catch_up_s: float
    kwargs: Mapping[str, Any] | None
    queue: str
    key: str
    priority: int
    version: str
    store: StoreLike


def add_schedule(name: str, task: Any, /, *args: Any, **options: Unpack[ScheduleOptions]) -> ScheduleView:
    """Add a schedule, or replace the one of its name.

    Args:
        name: its name.
        task: the task, at the top level of a module that the workers load.
        *args: its arguments.
        **options: see `ScheduleOptions`; `cron` must be there.

    Returns:
        The schedule as it is now. One that is replaced keeps its pause.

    Raises:
        UsageError: an option makes no sense, or the task can't be found again by a worker.

    Example:
        >>> @hw.task
        ... async def tidy() -> None: ...
        >>> try:
        ...     hw.add_schedule("nightly", tidy, cron="0 3 * *", store=hw.MemoryStore())
        ... except hw.UsageError as error:
        ...     print("refused")
        refused
    """
    what = f"hw.add_schedule({name!r})"
    if unknown := options.keys() - ScheduleOptions.__annotations__.keys():
        raise UsageError(f"{what} has no option {', '.join(sorted(unknown))}: keyword arguments of the task go into kwargs={{…}}")
    if not isinstance(name, str) or not isinstance(options.get("cron"), str):
        raise UsageError(f'{what} needs a name and a line of cron, such as cron="0 8 * * mon-fri"')
    overlap, late = options.get("overlap", "skip"), options.get("catch_up_s", 3600.0)
    if overlap not in list(Overlap):
        raise UsageError(f"{what}: overlap={overlap!r}; {near_misses(str(overlap), [each.value for each in Overlap])}")
    if not is_number(late):
        raise UsageError(f"{what}: catch_up_s={late!r}: a number of seconds")
    asked = ask_for(task, args, options.get("kwargs"), None, what)
    if asked.blobs:
        raise UsageError(f"{what}: an argument holds an array or bytes of more than 16 KiB: give a path or a name instead")
    made = Schedule(
        name=name,
        cron=options["cron"],
        zone=options.get("zone", "UTC"),
        spec=asked.spec,
        job=Job(
            queue=options.get("queue", "default"),
            key=options.get("key", ""),
            priority=options.get("priority", 0),
            version=options.get("version", ""),
        ),
        overlap=Overlap(overlap),
        catch_up_s=float(late),
        identity=asked.identity,
        asked=asked.asked,
    )
    given = options.get("store", DEFAULT_STORE)
    store = open_store(given)
    try:
        return _view(store.put_schedule(made, time.time()))
    finally:
        if store is not given:
            store.close()


def schedules(*, store: StoreLike = DEFAULT_STORE) -> list[ScheduleView]:
    """All schedules, by name.

    Args:
        store: where they are.

    Returns:
        A view of each.

    Example:
        >>> hw.schedules(store=hw.MemoryStore())
        []
    """
    opened = open_to_read(store)
    try:
        return [_view(each) for each in opened.schedules()]
    finally:
        if opened is not store:
            opened.close()


def pause_schedule(name: str, /, *, store: StoreLike = DEFAULT_STORE) -> None:
    """Have a schedule enqueue nothing from now on.

    Args:
        name: the schedule.
        store: where it is.

    Raises:
        UsageError: there is no such schedule.

    Example:
        >>> try:
        ...     hw.pause_schedule("nightly", store=hw.MemoryStore())
        ... except hw.UsageError:
        ...     print("no such schedule")
        no such schedule
    """
    _change(store, lambda opened: opened.pause_schedule(name, True, time.time()))


def resume_schedule(name: str, /, *, store: StoreLike = DEFAULT_STORE) -> None:
    """Have a schedule go on. What was due while it was paused is not made up for.

    Args:
        name: the schedule.
        store: where it is.

    Raises:
        UsageError: there is no such schedule.

    Example:
        >>> try:
        ...     hw.resume_schedule("nightly", store=hw.MemoryStore())
        ... except hw.UsageError:
        ...     print("no such schedule")
        no such schedule
    """
    _change(store, lambda opened: opened.pause_schedule(name, False, time.time()))


def remove_schedule(name: str, /, *, store: StoreLike = DEFAULT_STORE) -> None:
    """Remove a schedule. Its runs stay.

    Args:
        name: the schedule.
        store: where it is.

    Raises:
        UsageError: there is no such schedule.

    Example:
        >>> try:
        ...     hw.remove_schedule("nightly", store=hw.MemoryStore())
        ... except hw.UsageError:
        ...     print("no such schedule")
        no such schedule
    """
    _change(store, lambda opened: opened.remove_schedule(name))


def make_run(schedule: Schedule, run_id: str, due: float) -> RunSpec:
    """One run of a schedule, with keys of its own."""
    salt = secrets.token_bytes(16)
    root = call_key(salt, 0, schedule.identity, schedule.asked)
    return msgspec.structs.replace(schedule.spec, run_id=run_id, salt=salt, root=root, created=due)


def _change(store: StoreLike, change: Any) -> None:
    opened = open_existing(store)
    try:
        change(opened)
    finally:
        if opened is not store:
            opened.close()


def _view(info: ScheduleInfo) -> ScheduleView:
    schedule = info.schedule
    return ScheduleView(
        name=schedule.name,
        task=schedule.spec.task,
        cron=schedule.cron,
        zone=schedule.zone,
        queue=schedule.job.queue,
        overlap=str(schedule.overlap),
        catch_up_s=schedule.catch_up_s,
        paused=info.paused,
        due=None if info.paused else info.due,
        last_run=info.last_run or None,
    )
