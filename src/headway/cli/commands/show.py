"""`ls` and `show`: commands that only read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import NamedTuple

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from headway.cli import console, documents
from headway.cli.documents import LsDocument, RunDocument, ShowDocument
from headway.errors import UsageError
from headway.journal.decisions import Waits, WaitsOver, decode_decision, is_told
from headway.journal.open import open_to_read
from headway.journal.owner import clock
from headway.journal.place import show_place
from headway.journal.records import COSTED, ENDED, Amounts, Attempt, Charge, Kind, Outcome, Row, RunInfo, Start, Status
from headway.journal.recovery.ledger import add
from headway.journal.recovery.recovered import decode_attempt, decode_charge, decode_outcome, decode_start
from headway.journal.shared.queues import JobInfo
from headway.journal.store import RUNS_PAGE, Store
from headway.observe import tree, words
from headway.observe.critical import CriticalPath, critical_path
from headway.observe.display import add_bar
from headway.observe.pictures.gantt import draw_gantt
from headway.observe.reading import read_run
from headway.observe.recorded import RecordedRun, State, Waiting
from headway.observe.status import check_statuses, find_jobs, find_runs, is_live, name_driver
from headway.view import RunView

BUDGETS = 4
WAITING = 5
_STYLES = {
    "new": "dim",
    "queued": "cyan",
    "delayed": "cyan",
    "parked": "cyan",
    "stuck": "bold red",
    "running": "bold blue",
    "cancelling": "magenta",
    "crashed": "bold red",
    "done": "green",
    "failed": "red",
    "cancelled": "magenta",
    "interrupted": "yellow",
}
_KIND = COSTED - 1


class RunTally(NamedTuple):
    """What `ls` says of a run, read without building the whole run."""

    calls: int
    failed: int
    spent: Amounts
    last: float
    waits_for: tuple[str, ...]


def tally_rows(rows: Iterable[tuple[int, Row]]) -> RunTally:
    """Count a run's outcomes and add up what it spent. Only rows with a cost are decoded, and the last one for its time."""
    outcomes: dict[bytes, bytes] = {}
    costs: dict[tuple[bytes, bytes], Amounts] = {}
    waits = _Waits()
    row = None
    for _, row in rows:
        kind = row.kind & _KIND
        if kind == Kind.OUTCOME:
            outcomes[row.key] = row.body
            waits.drop_call(row.key)
        elif kind == Kind.DECISION:
            waits.read_decision(row)
        if row.kind & COSTED and (decode := _COSTED.get(kind)) is not None:
            body = decode(row.body)
            costs[row.key, body.scope] = body.cost
    spent: Amounts = {}
    for cost in costs.values():
        spent = add(spent, cost) if cost else spent
    failed = sum(decode_outcome(body).status == Status.ERROR for body in outcomes.values())
    last = 0.0
    if row is not None and row.kind & _KIND == Kind.OUTCOME:
        last = decode_outcome(row.body).ended
    return RunTally(len(outcomes), failed, spent, last, waits.names)


class _Waits:
    """The names of the signals that calls wait for, by the rows read so far."""

    def __init__(self) -> None:
        self._names: dict[bytes, str] = {}
        self._of: dict[bytes, list[bytes]] = {}  # the waits of a call

    def read_decision(self, row: Row) -> None:
        if row.key in self._names:
            del self._names[row.key]
        elif is_told(row.body, Waits, WaitsOver):
            told = decode_decision(row.body).told
            if isinstance(told, Waits):
                self._names[told.wait] = told.name
                self._of.setdefault(row.parent, []).append(told.wait)
            elif isinstance(told, WaitsOver):
                self._names.pop(told.wait, None)

    def drop_call(self, call: bytes) -> None:
        for wait in self._of.pop(call, ()):
            self._names.pop(wait, None)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._names.values())


_COSTED: dict[int, Callable[[bytes], Outcome | Start | Attempt | Charge]] = {
    Kind.OUTCOME: decode_outcome,
    Kind.START: decode_start,
    Kind.ATTEMPT: decode_attempt,
    Kind.CHARGE: decode_charge,
}


def list_runs(store: str, *, statuses: Sequence[str], limit: int | None, as_json: bool) -> None:
    """Print the newest `limit` runs, the newest last; all where it is None."""
    check_statuses(statuses, "--state")
    now = time.time()
    opened = open_to_read(store)
    try:
        page = RUNS_PAGE if limit is None else min(limit + 1, RUNS_PAGE)
        found = find_runs(opened, now, statuses=statuses, page=page, newest_first=True)
        infos = list(islice(found, None if limit is None else limit + 1))  # one more tells that there are more
        runs = [_describe_listed(opened, info, job, now) for info, job in reversed(infos[:limit])]
    finally:
        opened.close()
    is_more = len(infos) > len(runs)
    if as_json:
        console.print_json(LsDocument(store=opened.url, runs=runs, is_more=is_more))
        return
    if is_more:
        console.note(f"there are older runs: headway ls --limit {10 * len(runs)}, or --all")
    if not runs:
        such = f" that are {' or '.join(statuses)}" if statuses else ""
        console.note(f"no runs{such} in {opened.url} yet")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name, side in (("run", "left"), ("task", "left"), ("status", "left"), ("calls", "right"), ("spent", "left")):
        table.add_column(name, justify="right" if side == "right" else "left", no_wrap=name != "spent")
    table.add_column("started", justify="right", no_wrap=True)
    table.add_column("took", justify="right", no_wrap=True)
    for run in runs:
        table.add_row(*_row(run, now))
    console.out().print(table)


def _describe_listed(store: Store, info: RunInfo, job: JobInfo | None, now: float) -> RunDocument:
    told = tally_rows(store.rows(info.uid))
    waits_for = () if info.status in ENDED else told.waits_for
    return documents.run_document(
        info, now, job, calls=told.calls, failed=told.failed, spent=told.spent, last=told.last, waits_for=waits_for
    )


def _row(run: RunDocument, now: float) -> list[Text]:
    failed = f" ({run.failed:,} failed)" if run.failed else ""
    status = Text(run.status, style=_STYLES.get(run.status, ""))
    if run.until is not None:
        status.append(f" until {clock(run.until)}", style="dim")
    if run.waits_for_runs:
        status.append(f", waits for {words.names_of(run.waits_for_runs, 1)}", style="dim")
    if run.waits_for and run.status not in ENDED:
        status.append(f", waits for {words.names_of(run.waits_for, 2)}", style="bold magenta")
    return [
        Text(run.run_id, style="bold"),
        Text(words.clip(run.task, 40)),
        status,
        Text(f"{run.calls:,}{failed}"),
        Text(words.clip(words.amounts(run.spent), 60), style="dim"),
        Text(words.age(now - run.created)),
        Text(words.seconds(run.duration_s) if run.duration_s is not None else ""),
    ]


# --- show --------------------------------------------------------------------------------------------------------------


def show_run(run_id: str, store: str, options: tree.Options, *, gantt: str | None, as_json: bool) -> None:
    now = time.time()
    opened = open_to_read(store)
    try:
        recorded = read_run(opened, run_id)
        job = find_jobs(opened, [recorded.info], now).get(recorded.info.uid)
    finally:
        opened.close()
    if options.task and not any(tree.matches_task(call.task, options.task) for call in recorded.calls.values()):
        tasks = sorted({call.task for call in recorded.calls.values() if call.task})
        raise UsageError(f"run {run_id!r} has no calls of {options.task!r}; its tasks are {', '.join(tasks[:12])}")
    if is_live(recorded.info, now):
        recorded = msgspec.structs.replace(recorded, until=max(recorded.until, now))
    path, run = critical_path(recorded), _summary(recorded, job, now)
    if gantt:
        from headway.cli.commands.pictures import write_picture

        write_picture(gantt, draw_gantt(recorded, path), "--gantt")
        console.note(f"the chart is in {gantt}")
    if as_json:
        console.print_json(_document(recorded, run, path, store, options, now))
    elif not gantt:
        out = console.out()
        out.print(header(recorded, run, path, now))
        out.print(tree.draw(recorded, path, tree.select(recorded, path, options), out.width))


def _document(
    recorded: RecordedRun, run: RunDocument, path: CriticalPath, store: str, options: tree.Options, now: float
) -> ShowDocument:
    view = RunView(recorded, store, now)
    calls = [call for call in recorded.calls.values() if not options.task or tree.matches_task(call.task, options.task)]
    return ShowDocument(
        store=show_place(store),
        run=run,
        deadline=recorded.deadline,
        wall_s=path.wall_s,
        budgets=documents.budget_documents(recorded),
        waiting=documents.waiting_documents(recorded),
        calls=[documents.call_document(view.call(call), recorded, path) for call in calls],
    )


def _summary(recorded: RecordedRun, job: JobInfo | None, now: float) -> RunDocument:
    counts = recorded.count()
    over = counts[State.OK] + counts[State.FAILED] + counts[State.CANCELLED]
    return documents.run_document(
        recorded.info,
        now,
        job,
        calls=over,
        failed=counts[State.FAILED],
        spent=recorded.spent(),
        last=recorded.until,
        waits_for=[wait.name for wait in recorded.waiting],
    )


def header(recorded: RecordedRun, run: RunDocument, path: CriticalPath, now: float) -> RenderableType:
    """The lines above the tree: status, times, counts, waits, budgets and deadline."""
    head = Text(run.run_id, style="bold").append(f"  {run.task}  ", style="dim")
    head.append(run.status, style=_STYLES.get(run.status, ""))
    head.append(f"  {words.seconds(path.wall_s)}", style="bold")
    counts = ", ".join(f"{number:,} {state.said}" for state, number in recorded.count().items() if number)
    if run.driven_by:
        counts += "; most calls that run now are not in the journal yet"
    parts: list[RenderableType] = [head, Text(_history(recorded, run, now), style="dim"), Text(counts)]
    if run.status not in ENDED:
        parts += [_waiting(run, wait, now) for wait in recorded.waiting[:WAITING]]
    if recorded.budgets:
        parts.append(_budgets(recorded, run))
    elif run.spent:
        parts.append(Text(f"spent {words.amounts(run.spent)}"))
    if recorded.deadline is not None and not run.ended:
        left = recorded.deadline - now
        said = f"in {words.seconds(left)}" if left > 0 else f"{clock(recorded.deadline)} ({words.age(-left)})"
        parts.append(Text(f"deadline {said}", style="yellow" if run.driven_by else "dim"))
    return Group(*parts, Text())


def _waiting(run: RunDocument, wait: Waiting, now: float) -> Text:
    """Which call waits for which signal, and the command that sends it."""
    until = "" if wait.until is None else f", until {clock(wait.until)}"
    said = f"{words.clip(wait.who, 60)} waits for {wait.name!r} for {words.seconds(max(0.0, now - wait.since))}{until}: "
    return Text(said, style="magenta").append(f"headway signal {run.run_id} {wait.name} VALUE", style="bold")


def _history(recorded: RecordedRun, run: RunDocument, now: float) -> str:
    info = recorded.info
    said = [f"created {clock(run.created)} ({words.age(now - run.created)})"]
    if run.drives > 1:
        said.append(f"resumed {words.count(run.drives - 1, 'time')}")
    if run.driven_by:
        said.append(f"driven by {run.driven_by} for {words.seconds(now - info.owned_since)}")
    elif run.status == "crashed":
        next_one = f"a worker of queue {run.queue!r} takes it up" if run.queue else f"go on with `headway resume {run.run_id}`"
        said.append(f"{name_driver(info) or 'its driver'} is gone: {next_one}")
    elif run.queue:
        said.append(_describe_wait(run))
    elif run.ended:
        said.append(f"ended {words.age(now - run.ended)}")
    if run.forked_from:
        said.append(f"forked from {run.forked_from} at {info.spec.forked_at.hex()[:8]}")
    return "; ".join(said)


def _describe_wait(run: RunDocument) -> str:
    """What a queued run waits for."""
    queue = f"queue {run.queue!r}"
    if run.status == "stuck":
        return f"its drivers died again and again: workers of {queue} take it after `headway queue retry {run.run_id}`"
    if run.status != "parked":
        return f"it waits for a worker of {queue}" if run.until is None else f"{queue} holds it back until {clock(run.until)}"
    wakes = [f"until {clock(run.until)}"] if run.until is not None else []
    wakes += [f"for a signal ({words.names_of(run.waits_for, 4)})"] * bool(run.waits_for)
    wakes += [f"for the end of {words.names_of(run.waits_for_runs, 2)}"] * bool(run.waits_for_runs)
    return f"it waits {' or '.join(wakes) or 'for a signal'} without a process; then a worker of {queue} goes on with it"


def _budgets(recorded: RecordedRun, run: RunDocument) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for budget in recorded.budgets[:BUDGETS]:
        for unit, limit in budget.limits.items():
            known, held = budget.spent.get(unit, 0.0), budget.held.get(unit, 0.0)
            spent = known if run.driven_by else known + held
            assumed = budget.spent.get(f"assumed_{unit}", 0.0) + (0.0 if run.driven_by else held)
            notes = [f"{words.amount(assumed)} assumed"] * bool(assumed)
            notes += [f"{words.amount(held)} reserved"] * bool(held and run.driven_by)
            note = f" ({', '.join(notes)})" if notes else ""
            add_bar(table, f"budget {unit}", spent, limit, note)
    if len(recorded.budgets) > BUDGETS:
        table.add_row(Text(f"… {len(recorded.budgets) - BUDGETS:,} more budgets inside", style="dim"))
    return table
