"""Draws a progress display: takes a tally and a time, returns something that rich can print.

Pure drawing; `progress` decides when. Imported only when something is drawn, because rich takes a while to load.
"""

from __future__ import annotations

from collections import Counter

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from headway.events import CallProgress
from headway.observe import words
from headway.observe.tally import BudgetTally, Counts, Phase, Tally

TASK_ROWS = 8
BUDGET_ROWS = 3
PROGRESS_ROWS = 4

_STYLES = {
    Phase.DONE: "green",
    Phase.REUSED: "cyan",
    Phase.RUNNING: "bold blue",
    Phase.RETRYING: "yellow",
    Phase.QUEUED: "dim",
    Phase.FAILED: "red",
    Phase.CANCELLED: "magenta",
}
_ORDER = tuple(_STYLES)
_ENDS = {"done": ("✓", "green"), "failed": ("✗", "red"), "cancelled": ("■", "magenta"), "interrupted": ("‖", "yellow")}


def view(tally: Tally, now: float, rate: float) -> RenderableType:
    """The live display: a head line, the counters, the tasks and the budgets."""
    counts, run = tally.totals(), tally.run
    head = Text()
    if run is not None:
        head.append(run.run_id, style="bold").append(f"  {run.task}  ", style="dim")
        head.append(words.seconds(max(0.0, now - run.at)), style="bold")
    head.append(f"  {_format_speed(rate)}", style="dim")
    if left := _time_left(tally, now):
        head.append(f"  {left}", style="yellow")
    parts: list[RenderableType] = [head]
    if run is not None and run.resumed:
        parts.append(Text(f"goes on from {words.count(run.recorded, 'recorded result')}", style="cyan"))
    parts += [_counters(counts), _task_table(tally)]
    if said := list(tally.progress.values())[:PROGRESS_ROWS]:
        parts.append(_progress_bars(said))
    if tally.waiting or tally.short:
        parts.append(Text(f"waits for {_name_waits(tally)}", style="bold magenta"))
    if tally.budgets:
        parts.append(_budget_bars(tally.root_budgets()))
    return Group(*parts)


def line(tally: Tally, now: float, rate: float) -> Text:
    """One line for a log."""
    run = tally.run
    elapsed = words.seconds(now - run.at) if run else ""
    said = [_format_progress(event) for event in list(tally.progress.values())[:PROGRESS_ROWS]]
    waits = f"waits for {_name_waits(tally)}" if tally.waiting or tally.short else ""
    parts = [_count_calls(tally.totals()), waits, *said, _format_speed(rate), _format_spent(tally), _time_left(tally, now)]
    return Text(f"{run.run_id if run else 'run'} {elapsed}: " + "; ".join(part for part in parts if part))


def summary(tally: Tally, now: float) -> Text:
    """The summary that stays on the screen: how the run ended, what it did and what it spent."""
    run, end = tally.run, tally.end
    status = end.status if end else "stopped"
    mark, style = _ENDS.get(status, ("•", "yellow"))
    took = (end.at if end else now) - run.at if run else 0.0
    text = Text().append(f"{mark} ", style=f"bold {style}").append(run.run_id if run else "run", style="bold")
    text.append(f" {status}", style=style).append(f" in {words.seconds(took)}: {_count_calls(tally.totals()) or 'no calls'}")
    if tally.retries:
        text.append(f", {tally.retries:,} retried")
    for extra in (_format_spent(tally), words.count(tally.warnings, "warning") if tally.warnings else ""):
        text.append(f"; {extra}" if extra else "")
    return text


def warning(message: str, *, is_last: bool) -> Text:
    return Text(f"warning: {message}{' (later warnings are not shown here)' if is_last else ''}", style="yellow")


def _format_speed(rate: float) -> str:
    return f"{words.amount(round(rate, 1 if rate < 100 else None))} calls/s"


def _name_waits(tally: Tally) -> str:
    """The signals that calls wait for, each with how many do: what somebody outside has to send. And the units of budgets."""
    signals = words.names_of([event.name for event in list(tally.waiting.values())])
    units = Counter(event.name for event in list(tally.short.values()))
    budgets = [f"budget {unit} ({words.count(number, 'call')})" for unit, number in units.items()]
    return ", ".join([*([signals] if signals else ()), *budgets])


def _time_left(tally: Tally, now: float) -> str:
    deadline = tally.deadline()
    if deadline is None:
        return ""
    left = deadline - now
    return f"deadline in {words.seconds(left)}" if left > 0 else f"deadline passed {words.age(-left)}"


def _format_spent(tally: Tally) -> str:
    budgets = [budget for budget in tally.root_budgets() if budget.depth == 0][:BUDGET_ROWS]
    return ", ".join(
        f"{unit} {words.amount(budget.spent.get(unit, 0.0))} of {words.amount(limit)}"
        for budget in budgets
        for unit, limit in budget.limits.items()
    )


def _count_calls(counts: Counts) -> str:
    return ", ".join(f"{counts[phase]:,} {phase.name.lower()}" for phase in _ORDER if counts[phase])


def _counters(counts: Counts) -> Text:
    text = Text()
    for phase in _ORDER:
        if counts[phase]:
            text.append(f"{counts[phase]:,} {phase.name.lower()}   ", style=_STYLES[phase])
    return text


def _task_table(tally: Tally) -> Table:
    """The tasks with the most open calls, then the most calls."""
    tasks = sorted(tally.rows(), key=lambda item: (-sum(item[1][:3]), -sum(item[1])))
    seen = [phase for phase in _ORDER if any(counts[phase] for _, counts in tasks)]
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=bool(tasks))
    table.add_column("task", header_style="dim", no_wrap=True, max_width=40)
    for phase in seen:
        table.add_column(phase.name.lower(), justify="right", header_style="dim")
    for name, counts in tasks[:TASK_ROWS]:
        table.add_row(Text(name), *(Text(f"{counts[p]:,}" if counts[p] else "", style=_STYLES[p]) for p in seen))
    if len(tasks) > TASK_ROWS:
        table.add_row(Text(f"… {len(tasks) - TASK_ROWS} more tasks", style="dim"))
    return table


def _budget_bars(budgets: list[BudgetTally]) -> Table:
    """Bars for the outermost budgets; the many that calls open for themselves are only counted."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for budget in budgets[:BUDGET_ROWS]:
        for unit, limit in budget.limits.items():
            spent, reserved = budget.spent.get(unit, 0.0), budget.reserved.get(unit, 0.0)
            promised = f" ({words.amount(reserved)} reserved)" if reserved else ""
            add_bar(table, unit, spent, limit, promised, is_over=budget.closed)
    if len(budgets) > BUDGET_ROWS:
        table.add_row(Text(""), Text(f"… {len(budgets) - BUDGET_ROWS:,} more budgets inside", style="dim"))
    return table


def _progress_bars(said: list[CallProgress]) -> Table:
    """The progress of calls that report it (`hw.progress`)."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for event in said:
        bar = ProgressBar(total=event.total, completed=event.done, width=28) if event.total else Text("")
        table.add_row(Text(event.task), bar, Text(_format_progress(event, named=False)))
    return table


def _format_progress(event: CallProgress, *, named: bool = True) -> str:
    of = f" of {words.amount(event.total)}" if event.total is not None else ""
    more = "".join(f", {name} {words.amount(number)}" for name, number in event.numbers.items())
    return f"{event.task + ' ' if named else ''}{words.amount(event.done)}{of}{more}"


def add_bar(table: Table, unit: str, spent: float, limit: float, more: str = "", *, is_over: bool = False) -> None:
    """A row of a grid: what is spent of a limit, as a bar and in numbers."""
    style = "red" if is_over or spent > limit else "green"
    bar = ProgressBar(total=max(limit, 1e-9), completed=min(spent, limit), width=28, complete_style=style)
    table.add_row(Text(unit), bar, Text(f"{words.amount(spent)} of {words.amount(limit)}{more}", style=style))
