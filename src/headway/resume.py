"""Going on with runs: `hw.resume` and `hw.aresume` with one, `hw.resume_all` with everything that stopped on the way.

async def lifespan(app):                   # a service starts: the runs that its last process left behind go on
    going_on = asyncio.create_task(hw.aresume_all(store="runs"))
    yield
"""

from __future__ import annotations

import asyncio
import difflib
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Unpack, cast, overload

from headway.engine.replay.dry_run import ResumePlan, plan_resume
from headway.engine.tasks.spec import TASKS, TaskSpec
from headway.engine.world import this_world
from headway.errors import Interrupted, RunOwned, UsageError
from headway.joins.base import Settled
from headway.journal.codec.codec import decode
from headway.journal.open import DEFAULT_STORE, open_existing, open_to_read
from headway.journal.place import has_database, name_place, show_place, stores_near
from headway.journal.records import RunInfo
from headway.journal.store import Store
from headway.near import near_misses
from headway.observe.status import QUEUE_STATUSES, check_statuses
from headway.run import RunOptions, check_run_options, drive, drive_run
from headway.task import Task
from headway.view import runs

STOPPED = ("crashed", "interrupted")
AT_ONCE = 8


@overload
def resume(run_id: str, /, *, dry_run: Literal[True], retry_failed: bool = ..., **options: Unpack[RunOptions]) -> ResumePlan: ...
@overload
def resume(run_id: str, /, *, dry_run: Literal[False] = ..., retry_failed: bool = ..., **options: Unpack[RunOptions]) -> Any: ...
def resume(run_id: str, /, *, dry_run: bool = False, retry_failed: bool = False, **options: Any) -> Any:
    """Go on with a run, with the arguments it was started with.

    The module that defines its task must have been imported. When the run has failed, calls that failed are asked again, finished
    ones are not. So are waits for signals that took too long, each with its whole time. A run that belongs to a queue goes on here
    and now, whatever it was held back for and past the queue's limits; its workers leave it to this process.

    Args:
        run_id: the run.
        dry_run: run nothing, and return a ResumePlan of what would be reused and run again.
        retry_failed: also ask again for calls whose failure was kept, by `settle` or an `except`, in a run or a call that ended
            well. What is around them runs once more; what succeeded is not asked again. Where that is killed on its way, resume
            with it again.
        **options: as for `run`, without `run_id` and `kwargs`.

    Returns:
        The program's result; with `dry_run` a ResumePlan.

    Raises:
        UnknownRun: the store has no such run.
        UsageError: the task is not loaded, the arguments could not be stored, or others are given.

    Example:
        >>> down = [True]
        >>> @hw.task
        ... async def fetch() -> str:
        ...     if down:
        ...         raise ConnectionError("the service is gone")
        ...     return "blue"
        >>> store = hw.MemoryStore()
        >>> try:
        ...     hw.run(fetch, store=store, run_id="sky")
        ... except ConnectionError:
        ...     down.clear()
        >>> hw.resume("sky", store=store)
        'blue'
    """
    _check_options(options, "hw.resume")
    if dry_run:
        return _plan(run_id, retry_failed, **options)
    found = _reopen(run_id, options)
    try:
        return drive_run(found.task, found.args, found.options, new_deadline=True, retry_failed=retry_failed)
    finally:
        found.close()


async def aresume(run_id: str, /, *, retry_failed: bool = False, **options: Unpack[RunOptions]) -> Any:
    """Go on with a run as `resume` does, inside an event loop that is already running.

    Args:
        run_id: the run.
        retry_failed: also ask again for calls whose failure was kept, as `resume` does.
        **options: as for `run`, without `run_id` and `kwargs`.

    Returns:
        The program's result.

    Example:
        >>> import asyncio
        >>> @hw.task
        ... async def double(x: int) -> int:
        ...     return 2 * x
        >>> store = hw.MemoryStore()
        >>> hw.run(double, 21, store=store, run_id="answer")
        42
        >>> asyncio.run(hw.aresume("answer", store=store))
        42
    """
    _check_options(options, "hw.aresume")
    return await _go_on(run_id, options, new_deadline=True, retry_failed=retry_failed)


async def _go_on(run_id: str, options: Any, *, new_deadline: bool = False, retry_failed: bool = False) -> Any:
    """Reopen a run off the loop, drive it, and close its store there as well."""
    world = this_world(asyncio.get_running_loop())
    found = await world.aside(_reopen, run_id, options)
    try:
        return await drive(found.task, found.args, found.options, new_deadline, retry_failed)
    finally:
        await world.aside(found.close)


def resume_all(**options: Any) -> dict[str, Settled[Any]]:
    """Go on with every run that stopped on the way, in a program without an event loop.

    Args:
        **options: as for `aresume_all`.

    Returns:
        How each ended, by its id.

    Example:
        >>> hw.resume_all(store="no-such-folder")
        {}
    """
    return asyncio.run(aresume_all(**options))


async def aresume_all(
    *,
    store: str | Path | Store = DEFAULT_STORE,
    status: str | Sequence[str] = STOPPED,
    task: str | None = None,
    at_once: int = AT_ONCE,
    **options: Any,
) -> dict[str, Settled[Any]]:
    """Go on with every run that stopped on the way. Meant for the start of a service.

    One run's failure, or a task that is not loaded, is that run's result and stops no other. A run that another process has taken
    up meanwhile is left to it and left out, and so is every run that belongs to a queue, which its workers go on with. A run keeps
    its deadline.

    Args:
        store: where the runs are. One that is not there yet has no runs, as when a service starts for the first time, and is not
            made. It warns where a store of a like name is nearby.
        status: which runs. By default "crashed" ones, whose process is gone, and "interrupted" ones, which were told to stop.
        task: only runs of this task, which is loaded or has runs in the store.
        at_once: how many go on at a time.
        **options: as for `run`, without `run_id` and `kwargs`.

    Returns:
        How each ended, by its id.

    Raises:
        UsageError: no run can have such a status or task, or only runs of a queue have it, or the options make no sense.
        Interrupted: the process got Ctrl-C or SIGTERM, and all have stopped.

    Example:
        >>> import asyncio
        >>> asyncio.run(hw.aresume_all(store="no-such-folder", status="crashed"))
        {}
    """
    wanted = (status,) if isinstance(status, str) else tuple(status)
    check_statuses(wanted, "status")
    if of_queues := [one for one in wanted if one in QUEUE_STATUSES]:
        raise UsageError(
            f"status={of_queues[0]!r}: only runs of a queue are {of_queues[0]}, and its workers go on with them. Start one with "
            "`headway worker`, or drive a single run here with hw.resume"
        )
    if not isinstance(at_once, int) or at_once < 1:
        raise UsageError(f"at_once={at_once!r}: a whole number, at least 1")
    _check_options(options, "hw.resume_all")
    world = this_world(asyncio.get_running_loop())
    if meant := await world.aside(_stores_near, store):
        warnings.warn(f"there is no store {show_place(store)!r} yet, so nothing goes on; {meant}", RuntimeWarning, stacklevel=2)
    if task is not None and not any(task in _names_of(name) for name in TASKS):
        listed = await world.aside(lambda: runs(store=store))
        _check_task(task, {run.task for run in listed} | TASKS.keys())
    asked = await world.aside(lambda: runs(store=store, status=wanted, task=task))
    found = [run.run_id for run in asked if run.queue is None]
    room = asyncio.Semaphore(at_once)
    ended: dict[str, Settled[Any]] = {}
    stopped: list[Interrupted] = []

    async def go_on(run_id: str) -> None:
        async with room:
            if stopped:
                return
            try:
                ended[run_id] = Settled(value=await _go_on(run_id, {**options, "store": store}))
            except RunOwned:
                return
            except Interrupted as error:
                stopped.append(error)
            except Exception as error:
                ended[run_id] = Settled(error=error)

    async with asyncio.TaskGroup() as group:
        for run_id in found:
            group.create_task(go_on(run_id))
    if stopped:
        raise stopped[0]
    return {run_id: ended[run_id] for run_id in found if run_id in ended}


def _check_options(options: Mapping[str, Any], what: str) -> None:
    """Raises UsageError for options that a run can't go on with."""
    for name in ("kwargs", "run_id"):
        if options.get(name) is not None:
            raise UsageError(
                f"{what}({name}={options[name]!r:.100}): a run goes on under its own name, with the arguments that it was started "
                "with. Start another with hw.run, or take hw.fork"
            )
    check_run_options(options)


def _names_of(task: str) -> tuple[str, str]:
    """The names by which a task may be asked for: its whole name and the last part of it."""
    return task, task.rpartition(".")[2]


def _check_task(task: str, known: Iterable[str]) -> None:
    names = [name for each in known for name in _names_of(each)]
    if task not in names:
        raise UsageError(f"task={task!r} is not loaded and has no runs in this store; {near_misses(task, names)}")


def _stores_near(store: str | Path | Store) -> str:
    """Where a store is not there: those of a like name, one of which may be meant."""
    place = name_place(store) if isinstance(store, str | Path) else store
    return stores_near(place) if isinstance(place, Path) and not has_database(place) else ""


@dataclass(frozen=True, slots=True)
class _Reopened:
    """The task, the arguments and the options with which a run goes on, and how to close the store that was opened for it."""

    task: Task[..., Any]
    args: tuple[Any, ...]
    options: RunOptions
    close: Callable[[], None]


def _reopen(run_id: str, options: Any) -> _Reopened:
    """Find a run in its store. May block. Raises UnknownRun, UsageError."""
    store = options.get("store", DEFAULT_STORE)
    opened = open_existing(store)
    try:
        info = opened.run(run_id)
        spec = _find_task(info)
        if info.spec.args is None:
            raise UsageError(
                f"run {run_id!r} was started with arguments that can't be stored: "
                f"go on with hw.run({info.spec.qualname or info.spec.task}, …, run_id={run_id!r}) and the same arguments"
            )
        args, kwargs = decode(info.spec.args, [opened.get_blob(name) for name in info.spec.blobs])
    except BaseException:
        if opened is not store:
            opened.close()
        raise
    again = cast("RunOptions", {**options, "kwargs": kwargs, "store": opened, "run_id": run_id})
    return _Reopened(Task(spec), args, again, opened.close if opened is not store else _nothing)


def _nothing() -> None:
    """A store that was given open stays open."""


def _plan(run_id: str, retry_failed: bool, **options: Any) -> ResumePlan:
    store = options.get("store", DEFAULT_STORE)
    opened = open_to_read(store)
    try:
        info = opened.run(run_id)
        _find_task(info)
        return plan_resume(opened, info, options.get("on_change") or {}, retry_failed=retry_failed)
    finally:
        if opened is not store:
            opened.close()


def _find_task(info: RunInfo) -> TaskSpec:
    spec = TASKS.get(info.spec.task)
    if spec is None:
        near = difflib.get_close_matches(info.spec.task, TASKS, 1)
        hint = f" (did you rename it to {near[0]}?)" if near else ""
        raise UsageError(
            f"run {info.spec.run_id!r} was started with task {info.spec.task}, which is not loaded{hint}: "
            f"import {info.spec.module or 'its module'} ({info.spec.path}) first"
        )
    return spec
