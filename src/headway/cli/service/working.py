"""`worker`: loads programs and drives what is enqueued, until it is told to end."""

from __future__ import annotations

import asyncio
import importlib
import time
import types
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from headway.cli import console
from headway.cli.commands.runs import import_from_here
from headway.cli.pools import parse_pools
from headway.engine.tasks.spec import TASKS, TaskSpec
from headway.engine.world import MACHINE
from headway.errors import UsageError
from headway.ipc.interrupts import interrupts
from headway.journal.open import open_store
from headway.journal.owner import clock, describe_owner
from headway.observe import words
from headway.pools.program import load_program
from headway.service.taken import CANCELLED, DONE, FAILED, HANDED_OVER, LOST, PARKED, DriveOptions, Ended
from headway.service.worker import Said, Worker, WorkerOptions


class WorkerArguments(NamedTuple):
    """The command's own words."""

    programs: Sequence[str]
    queues: Sequence[str]
    slots: int
    grace_s: float
    drain: bool
    versions: Sequence[str]
    processes: int | None
    pools: Sequence[str]
    store: str


def run_worker(given: WorkerArguments) -> None:
    """Load the programs, and work until told to end."""
    import_from_here()
    tasks = load_tasks(given.programs)
    if given.store == ":memory:":
        raise UsageError("headway worker --store :memory:: nobody else could put anything into it; name a folder or a Postgres URL")
    options = WorkerOptions(
        queues=tuple(dict.fromkeys(given.queues)),
        slots=given.slots,
        versions=tuple(given.versions),
        grace_s=given.grace_s,
        drain=given.drain,
        program=", ".join(given.programs),
        drive=DriveOptions(pools=parse_pools(given.pools, given.processes) or {}),
    )
    store = open_store(given.store)
    try:
        asyncio.run(_work(store, tasks, options, Story(options, store.url, len(tasks))))
    finally:
        store.close()


async def _work(store: object, tasks: dict[str, TaskSpec], options: WorkerOptions, story: Story) -> None:
    worker = Worker(store, tasks, options, MACHINE, story.tell)  # type: ignore[arg-type]  # a store
    with interrupts(lambda _: worker.leave(), lambda _: None):
        await worker.work()


def load_tasks(programs: Sequence[str]) -> dict[str, TaskSpec]:
    """The tasks of these programs, by name. Raises UsageError for a program that can't be found or has none."""
    here = set(TASKS)
    for program in programs:
        before = set(TASKS)
        module = _load(program)
        if not any(name not in before or getattr(spec.fn, "__module__", "") == module.__name__ for name, spec in TASKS.items()):
            raise UsageError(f"{program} has no task: decorate the functions that are to be enqueued with @hw.task")
    return {name: spec for name, spec in TASKS.items() if name not in here or not _is_own(spec)}


def _is_own(spec: TaskSpec) -> bool:
    """Whether it is one of Headway's own tasks, which nobody enqueues."""
    return str(getattr(spec.fn, "__module__", "")).partition(".")[0] == "headway"


def _load(program: str) -> types.ModuleType:
    if ":" in program:
        raise UsageError(f"{program}: a worker takes every task of a program, so name the file alone: {program.partition(':')[0]}")
    if program.endswith(".py") or "/" in program:
        return load_program(Path(program))
    try:
        return importlib.import_module(program)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{program}.".startswith(f"{error.name}."):
            raise
        raise UsageError(f"there is no module {program!r} (for a file, write {program}.py)") from error


class Story:
    """Says what a worker does, a line at a time on stderr, and a summary at its end."""

    def __init__(self, options: WorkerOptions, store: str, tasks: int) -> None:
        self._options, self._store, self._tasks = options, store, tasks
        self._counts: dict[str, int] = {}
        self._began: dict[str, float] = {}

    def tell(self, said: Said) -> None:
        """Tell one thing that the worker said."""
        told = getattr(self, f"_tell_{said.what.replace(' ', '_')}")(said)
        if told is not None:
            text, style = told
            console.note(f"{time.strftime('%H:%M:%S')}  {text}", style)

    def _tell_ready(self, said: Said) -> tuple[str, str]:
        options = self._options
        slots, tasks = words.count(options.slots, "slot"), words.count(self._tasks, "task")
        return f"worker on {self._store}: {slots} for {', '.join(options.queues)}; {tasks} loaded", "bold"

    def _tell_took(self, said: Said) -> tuple[str, str]:
        self._began[said.run_id] = time.monotonic()
        return f"{said.run_id}  took {said.task}", "dim"

    def _tell_ended(self, said: Said) -> tuple[str, str]:
        ended, seconds = said.ended, time.monotonic() - self._began.pop(said.run_id, time.monotonic())
        assert ended is not None
        self._counts[ended.how] = self._counts.get(ended.how, 0) + 1
        return f"{said.run_id}  {_describe_end(ended)} after {seconds:.1f} s", _STYLES[ended.how]

    def _tell_swept(self, said: Said) -> tuple[str, str]:
        swept = said.swept
        assert swept is not None
        who = describe_owner(swept.owner)
        if swept.stuck:
            return f"{said.run_id}  is stuck: its drivers died {swept.deaths} times, the last was {who}", "red"
        return f"{said.run_id}  taken back from {who}, which is gone; it goes on at {clock(swept.at)}", "yellow"

    def _tell_fired(self, said: Said) -> tuple[str, str]:
        return (f"{said.run_id}  enqueued by schedule {said.text}", "dim") if said.run_id else (f"schedule {said.text}", "yellow")

    def _tell_trouble(self, said: Said) -> tuple[str, str]:
        return f"the store can't be used, and is tried again: {said.text}", "red"

    def _tell_again(self, said: Said) -> tuple[str, str]:
        return "the store can be used again", "green"

    def _tell_draining(self, said: Said) -> tuple[str, str]:
        runs = f"{said.text} run{'s' * (said.text != '1')}"
        grace = f"{self._options.grace_s:g} s"
        return f"told to end: takes nothing more; {runs} may go on for {grace} (once more: hand over now)", "yellow"

    def _tell_handing_over(self, said: Said) -> tuple[str, str]:
        return f"hands {said.text} run{'s' * (said.text != '1')} over", "yellow"

    def _tell_left(self, said: Said) -> tuple[str, str]:
        order = (DONE, FAILED, CANCELLED, PARKED, HANDED_OVER, LOST)
        counts = ", ".join(f"{self._counts[how]} {how}" for how in order if how in self._counts)
        return f"worker ends: {counts or 'it drove nothing'}", "bold"


_STYLES = {DONE: "green", FAILED: "red", CANCELLED: "yellow", PARKED: "dim", HANDED_OVER: "yellow", LOST: "red"}


def _describe_end(ended: Ended) -> str:
    if ended.how == PARKED:
        return "parked until " + (clock(ended.until) if ended.until is not None else "it gets a signal")
    if ended.error is None or ended.how == CANCELLED:
        return ended.how
    said = str(ended.error).partition("\n")[0]
    return f"{ended.how}: {type(ended.error).__name__}: {said:.200}"
