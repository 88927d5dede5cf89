"""`run`, `resume`, `fork`, `set`, `cancel` and `signal`: commands that change a run."""

from __future__ import annotations

import importlib
import os
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from rich.table import Table
from rich.text import Text

import headway as hw
from headway.cli import console
from headway.cli.arguments import find_return_type, parse_amounts, parse_arguments, parse_json, parse_value
from headway.cli.commands.pictures import write_picture
from headway.cli.commands.show import tally_rows
from headway.cli.documents import ChangeDocument, PlanDocument, PlannedDocument, RunResult
from headway.cli.find import find_call
from headway.cli.orders import load_order
from headway.cli.pools import parse_pools
from headway.cli.trouble import ProgramFailed, store_option
from headway.engine.replay.dry_run import PlannedCall, ResumePlan
from headway.engine.tasks.spec import TASKS
from headway.errors import HeadwayError, Interrupted, RunError, StoreError, UnknownRun, UsageError
from headway.journal.open import find_store, open_to_read
from headway.journal.place import show_place
from headway.journal.records import ENDED, RunInfo, RunSpec, RunStatus
from headway.observe import words
from headway.observe.status import find_jobs, status_of
from headway.pools.program import load_object, load_program
from headway.run import Policy, new_run_id
from headway.task import Task

PLANNED = 20


class Options(NamedTuple):
    """The options that `run` and `resume` share."""

    store: str
    json: bool
    progress: bool | None
    events: str | None
    gantt: str | None
    take_over: bool
    workers: int | None
    pools: Sequence[str] = ()
    order: str | None = None
    hire: Sequence[str] = ()

    def common(self) -> dict[str, Any]:
        return {
            "store": self.store,
            "progress": self.progress,
            "events": self.events,
            "pools": parse_pools(self.pools, self.workers, self.hire),
            "take_over": self.take_over,
            "order": load_order(self.order) if self.order is not None else None,
        }


def run_program(
    target: str,
    texts: list[str],
    keywords: list[str],
    run_id: str | None,
    budgets: list[str],
    deadline_s: float | None,
    options: Options,
) -> None:
    """Load the program, run its task, print the result."""
    task = load_task(target)
    args, kwargs = parse_arguments(task.fn, texts, keywords)
    budget = parse_amounts(budgets, "--budget")
    before = _find_run(options.store, run_id) if run_id else None
    run_id = run_id or new_run_id(task.name)

    def drive() -> Any:
        return hw.run(task, *args, kwargs=kwargs, run_id=run_id, budget=budget, deadline_s=deadline_s, **options.common())

    _finish(run_id, before, drive, options)


def load_task(target: str) -> Task[..., Any]:
    """The task that `program.py:task` names."""
    import_from_here()
    task = load_object(target)
    if not isinstance(task, Task):
        raise UsageError(f"{target} is {type(task).__name__}, not a task: decorate it with @hw.task")
    return task


def resume_run(
    run_id: str,
    on_change: Mapping[str, Policy],
    budgets: list[str],
    deadline_s: float | None,
    options: Options,
    *,
    retry_failed: bool = False,
) -> None:
    """Load the program of a stored run and go on with it."""
    budget = parse_amounts(budgets, "--budget")
    before = _load_program_of(run_id, options.store)
    _note_queue(before, options.store)

    def drive() -> Any:
        return hw.resume(
            run_id, retry_failed=retry_failed, on_change=on_change, budget=budget, deadline_s=deadline_s, **options.common()
        )

    _finish(run_id, before, drive, options)


def _note_queue(info: RunInfo, store: str) -> None:
    """Say so where workers would go on with a run by themselves."""
    now = time.time()
    opened = open_to_read(store)
    try:
        job = find_jobs(opened, [info], now).get(info.uid)
    finally:
        opened.close()
    if job is not None and not info.owner:
        said = f"run {info.spec.run_id} is {status_of(info, now, job)} in queue {job.job.queue!r}"
        console.note(f"{said}; it goes on here now, past the queue's limits, and its workers leave it to this process")


def _finish(run_id: str, before: RunInfo | None, drive: Callable[[], Any], options: Options) -> None:
    """Drive the run to its end and print its result. Draw it, whether it succeeds or fails."""
    try:
        result = _drive(run_id, drive, options)
    except Exception:
        _draw(run_id, options)
        raise
    now = _find_run(options.store, run_id)
    was_done = before is not None and before.status == RunStatus.DONE and now is not None and now.nrows == before.nrows
    if options.json:
        said = console.plain(result)
        console.print_json(
            RunResult(run_id=run_id, store=show_place(options.store), status="done", from_journal=was_done, result=said)
        )
    else:
        if was_done:
            console.note(f"run {run_id} was done before; this is its result from the journal")
        _print_result(result)
    _draw(run_id, options)


def _drive(run_id: str, drive: Callable[[], Any], options: Options) -> Any:
    """Return the result. Raises ProgramFailed for an error of the program; those of the run or the store pass through."""
    try:
        return drive()
    except (RunError, StoreError):
        raise
    except KeyboardInterrupt as error:
        raise Interrupted(
            f"run {run_id!r} was interrupted; what is finished is journaled. Go on with: headway resume {run_id}"
            + store_option(options.store)
        ) from error
    except Exception as error:
        known = _find_run(options.store, run_id)
        if known is None and isinstance(error, UsageError):
            raise
        raise ProgramFailed(run_id if known else "", options.store) from error


def _print_result(result: Any) -> None:
    if isinstance(result, str):
        sys.stdout.write(result + "\n")
    elif result is not None and sys.stdout.isatty():
        from rich.pretty import pprint

        pprint(result, console=console.out(), expand_all=False)
    elif result is not None:
        sys.stdout.write(repr(result) + "\n")


def _draw(run_id: str, options: Options) -> None:
    """Draw the run if `--gantt` was given. A picture that can't be written never changes how the command ends."""
    if not options.gantt or _find_run(options.store, run_id) is None:
        return
    from headway.observe.pictures.gantt import draw_gantt
    from headway.observe.reading import read_run

    store = open_to_read(options.store)
    try:
        write_picture(options.gantt, draw_gantt(read_run(store, run_id)), "--gantt")
        console.note(f"the chart is in {options.gantt}")
    except HeadwayError as error:
        console.note(str(error), "red")
    finally:
        store.close()


def _find_run(store: str, run_id: str) -> RunInfo | None:
    """The run, if there is such a store and it has such a run."""
    opened = find_store(store)
    if opened is None:
        return None
    try:
        return opened.run(run_id)
    except UnknownRun:
        return None
    finally:
        opened.close()


def _load_program_of(run_id: str, store: str) -> RunInfo:
    """Import the program that a run was started from, so that its tasks and types are known."""
    opened = open_to_read(store)
    try:
        info = opened.run(run_id)
    finally:
        opened.close()
    spec = info.spec
    if "." in spec.module:
        import_from_here()
        try:
            importlib.import_module(spec.module)
        except ModuleNotFoundError as error:
            raise UsageError(f"run {run_id!r} was started from module {spec.module}, which is not found here: {error}") from error
    elif spec.path:
        load_program(spec.path)
    return info


def import_from_here() -> None:
    """Let modules be imported from the current folder too, as `python -m` does."""
    if "" not in sys.path and os.getcwd() not in sys.path:  # noqa: PTH109 - as it is spelled on sys.path
        sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as it is spelled on sys.path


def plan_run(run_id: str, store: str, on_change: Mapping[str, Policy], *, retry_failed: bool = False, as_json: bool) -> None:
    """Print what a resume would do."""
    root = _load_program_of(run_id, store).spec
    plan: ResumePlan = hw.resume(run_id, store=store, dry_run=True, retry_failed=retry_failed, on_change=on_change)
    if as_json:
        console.print_json(
            PlanDocument(
                run_id=run_id,
                reuse=[_describe_planned(call) for call in plan.reuse],
                rerun=[_describe_planned(call) for call in plan.rerun],
                unfinished=[_describe_planned(call) for call in plan.unfinished],
                unasked=[_describe_planned(call) for call in plan.unasked],
            )
        )
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("", "call", "key", "why"):
        table.add_column(column, no_wrap=column != "why")
    parts = (
        ("run again", "yellow", plan.rerun),
        ("unfinished", "blue", plan.unfinished),
        ("not asked for", "dim", plan.unasked),
        ("reused", "green", plan.reuse),
    )
    for said, style, calls in parts:
        _add_planned(table, Text(said, style=style), calls, root)
    console.out().print(table)
    counts = ", ".join(f"{len(calls):,} {said}" for said, _, calls in parts)
    console.out().print(f"{counts}; nothing was run", style="dim")


def _add_planned(table: Table, said: Text, calls: Sequence[PlannedCall], root: RunSpec) -> None:
    for call in calls[:PLANNED]:
        task = call.task or (root.task if call.key == root.root.hex() else "")
        name = f"{task}({call.label or '…'})" if task else "a call of an unknown task"
        table.add_row(said, Text(words.clip(name, 90)), Text(call.key[:8], style="dim"), Text(call.why))
    if len(calls) > PLANNED:
        table.add_row(said, Text(f"… {len(calls) - PLANNED:,} more", style="dim"))


def _describe_planned(call: PlannedCall) -> PlannedDocument:
    return PlannedDocument(key=call.key, task=call.task, label=call.label, why=call.why)


def fork_run(run_id: str, at: str, new_id: str | None, store: str, *, as_json: bool) -> None:
    """Fork a run at the call that `at` names."""
    from headway.observe.reading import read_run

    opened = open_to_read(store)
    try:
        call = find_call(read_run(opened, run_id), at)
    finally:
        opened.close()
    made = hw.fork(run_id, at=call.key.hex(), store=store, new_id=new_id)
    _say(ChangeDocument(run_id=made, done=f"forked from {run_id} at {call.name}"), as_json=as_json)
    if not as_json:
        console.note(f"run it with: headway resume {made}{store_option(store)}", "bold")


def set_by_hand(run_id: str, wanted: str, text: str, store: str, *, by: str, force: bool, as_json: bool) -> None:
    """Give the call that `wanted` names its result."""
    from headway.observe.reading import read_run

    opened = open_to_read(store)
    try:
        call = find_call(read_run(opened, run_id), wanted)
    finally:
        opened.close()
    hw.set_result(run_id, call.key.hex(), _result_of(run_id, call.task, text, store), store=store, by=by, force=force)
    _say(ChangeDocument(run_id=run_id, done=f"{call.name} has its result"), as_json=as_json)
    if not as_json:
        console.note(f"go on with: headway resume {run_id}{store_option(store)}", "bold")


def _result_of(run_id: str, task: str, text: str, store: str) -> Any:
    """The text as a value of the task's return type. If the program can't be loaded, it is read as JSON."""
    try:
        _load_program_of(run_id, store)
    except (HeadwayError, OSError, ImportError) as error:
        console.note(f"the program of {run_id} can't be loaded ({error}), so the value is taken as JSON", "yellow")
    spec = TASKS.get(task)
    return parse_json(text) if spec is None else parse_value(text, find_return_type(spec.fn), "VALUE")


def cancel_run(run_id: str, store: str, *, as_json: bool) -> None:
    opened = open_to_read(store)
    try:
        status = opened.run(run_id).status
    finally:
        opened.close()
    over = status in ENDED
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # that the run is done is said below, in the command's own words
        hw.cancel(run_id, store=store)
    _say(ChangeDocument(run_id=run_id, done=f"already {status}, nothing to stop" if over else "asked to stop"), as_json=as_json)


def signal_run(run_id: str, name: str, value: str, store: str, *, as_json: bool) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        hw.signal(run_id, name, parse_json(value), store=store)
    for each in told:
        console.note(str(each.message), "yellow")
    if (waits := _waits_for(run_id, store)) and name not in waits:
        console.note(f"nobody in run {run_id!r} waits for {name!r} now: it waits for {words.names_of(waits, 4)}", "yellow")
    _say(ChangeDocument(run_id=run_id, done=f"signal {name} sent"), as_json=as_json)


def _waits_for(run_id: str, store: str) -> tuple[str, ...]:
    opened = open_to_read(store)
    try:
        info = opened.run(run_id)
        return () if info.status in ENDED else tally_rows(opened.rows(info.uid)).waits_for
    finally:
        opened.close()


def _say(said: ChangeDocument, *, as_json: bool) -> None:
    if as_json:
        console.print_json(said)
    else:
        console.out().print(f"{said.run_id}: {said.done}", markup=False, soft_wrap=True)
