"""`predict`: predicts how long a recorded run would take on other workers, and what it would cost.

`headway.sim.predict` computes the numbers. This module reads the options, shows progress and prints the result.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
from rich.console import Group
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from headway.cli import console
from headway.cli.commands.pictures import write_picture
from headway.cli.orders import load_order
from headway.errors import UsageError
from headway.journal.place import show_place
from headway.observe import words
from headway.sim.predict import Estimate, Point, Prediction, Spread, Workload, predict, read_workload
from headway.sim.predict.picture import draw_prediction

_UNITS = {"": 1.0, "s": 1.0, "ms": 1e-3, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_POOLS = {
    "process": "calls in pool 'process'",
    "thread": "calls in pool 'thread'",
    "inline": "calls on the event loop that call nothing",
}


class PredictOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The command line, as it was written."""

    run_id: str
    store: str
    workers: int
    mtbf: str | None = None
    repair: str = "30s"
    within: str | None = None
    budget: list[str] = []
    estimate: list[str] = []
    order: list[str] = []
    pool: str | None = None
    trials: int | None = None
    seed: int = 0
    svg: str | None = None
    json: bool = False


class PredictDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`headway predict --json`. Durations are seconds, a chance lies between `low` and `high` with 95 % confidence."""

    run_id: str
    store: str
    picture: str
    lower_bound_s: float
    enough_workers: int | None
    conclusion: str
    prediction: Prediction


def predict_run(options: PredictOptions) -> None:
    mtbf_s = _read_seconds("--mtbf", options.mtbf) if options.mtbf is not None else None
    repair_s = _read_seconds("--repair", options.repair)
    within_s = _read_seconds("--within", options.within) if options.within is not None else None
    budget = dict(_read_budget(text) for text in options.budget)
    estimates = dict(_read_estimate(text) for text in options.estimate)
    orders = {name: load_order(name) for name in options.order}
    workload = _workload(options, estimates)
    with _progress() as on_progress:
        answer = predict(
            workload,
            workers=options.workers,
            mtbf_s=mtbf_s,
            repair_s=repair_s,
            within_s=within_s,
            budget=budget,
            trials=options.trials,
            seed=options.seed,
            orders=orders,
            on_progress=on_progress,
        )
    picture = options.svg or f"{re.sub(r'[^A-Za-z0-9._-]+', '-', options.run_id).strip('-.') or 'run'}-prediction.svg"
    write_picture(picture, draw_prediction(answer), "--svg")
    console.note(f"the chart is in {picture}")
    if options.json:
        console.print_json(_document(options, answer, picture))
    else:
        _say(answer)


def _workload(options: PredictOptions, estimates: dict[str, Estimate]) -> Workload:
    workload = read_workload(options.run_id, options.store).with_estimates(estimates)
    return workload.with_pool(options.pool) if options.pool is not None else workload


def _document(options: PredictOptions, answer: Prediction, picture: str) -> PredictDocument:
    return PredictDocument(
        run_id=options.run_id,
        store=show_place(options.store),
        picture=picture,
        lower_bound_s=answer.lower_bound_s,
        enough_workers=answer.enough_workers,
        conclusion=answer.conclusion(),
        prediction=answer,
    )


# --- reading -----------------------------------------------------------------------------------------------------------


def read_duration(text: str) -> float:
    """Seconds from `90s`, `15m`, `6h`, `2d`, `1h30m`, `250ms` or a plain number of seconds. Raises ValueError.

    >>> read_duration("90s"), read_duration("6h"), read_duration("1h30m"), read_duration("2.5")
    (90.0, 21600.0, 5400.0, 2.5)
    """
    parts = re.findall(r"(\d+(?:\.\d*)?|\.\d+)\s*(ms|min|s|m|h|d|)\s*", text.strip())
    written = "".join(number + unit for number, unit in parts)
    if not parts or written != re.sub(r"\s+", "", text) or (len(parts) > 1 and not all(unit for _, unit in parts)):
        raise ValueError(text)
    return math.fsum(float(number) * _UNITS[unit] for number, unit in parts)


def _read_seconds(option: str, text: str) -> float:
    try:
        return read_duration(text)
    except ValueError:
        raise UsageError(f"{option} {text!r} is no duration: write 90s, 15m, 6h, 2d, or a number of seconds") from None


def _read_budget(text: str) -> tuple[str, float]:
    unit, _, amount = text.partition("=")
    try:
        number = float(amount.replace("_", ""))
    except ValueError:
        number = math.nan
    if not unit or not 0 <= number < math.inf:
        raise UsageError(f"--budget {text!r}: write UNIT=AMOUNT, such as tokens=1e6")
    return unit, number


def _read_estimate(text: str) -> tuple[str, Estimate]:
    """`search=2.5s`, or `search=2.5s±0.5s` (also `+-`) with a standard deviation."""
    task, _, said = text.rpartition("=")
    mean, _, spread = said.replace("+-", "±").partition("±")
    try:
        if not task:
            raise ValueError(text)
        return task, Estimate(read_duration(mean), read_duration(spread) if spread else 0.0)
    except ValueError:
        raise UsageError(f"--estimate {text!r}: write TASK=DURATION, such as search=2.5s or search=2.5s±0.5s") from None


# --- showing -----------------------------------------------------------------------------------------------------------


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None] | None]:
    """Shows how many trials are done, on stderr, where that is a terminal."""
    err = console.err()
    if not err.is_terminal:
        yield None
        return
    columns = (TextColumn("predicting"), BarColumn(), MofNCompleteColumn(), TextColumn("trials"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        bar = progress.add_task("trials")
        yield lambda done, total: progress.update(bar, completed=done, total=total)


def _say(answer: Prediction) -> None:
    out = console.out()
    head = Text(answer.name, style="bold").append(f"  on {words.count(answer.workers, 'worker')}", style="bold")
    said = f"{words.count(answer.calls, 'call')}, {answer.calls_on_workers:,} of them on workers ({_POOLS[answer.pool]})"
    if answer.mtbf_s is not None:
        said += f"; a worker fails every {words.seconds(answer.mtbf_s)} and is back after {words.seconds(answer.repair_s)}"
    said += "; 1 trial: nothing is left to chance" if answer.certain else f"; {words.count(answer.trials, 'trial')}"
    out.print(Group(head, Text(said, style="dim"), *(Text(note, style="yellow") for note in answer.notes), Text()))
    out.print(_numbers(answer))
    for table in (_curve(answer) if answer.curve else None, _orders(answer) if answer.orders else None):
        if table is not None:
            out.print(Text())
            out.print(table)
    out.print(Text())
    out.print(Text(answer.conclusion(), style="bold"))


def _numbers(answer: Prediction) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("")
    for name in ("1 in 10 below", "half below", "9 in 10 below", "mean"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row("makespan", *_cells(answer.makespan_s, words.seconds))
    for unit, cost in answer.cost.items():
        table.add_row(unit, *_cells(cost, words.amount))
    if answer.mtbf_s is not None:
        table.add_row("calls lost", *_cells(answer.lost_calls, words.amount))
    table.add_row("workers used", "", "", "", f"{answer.utilisation:.0%}")
    table.add_row("longest path", "", "", "", words.seconds(answer.longest_path_s), style="dim")
    table.add_row("work / workers", "", "", "", words.seconds(answer.work_s / answer.workers), style="dim")
    return table


def _cells(found: Spread, say: Callable[[float], str]) -> list[str]:
    return [say(found.p10), say(found.p50), say(found.p90), say(found.mean)]


def _curve(answer: Prediction) -> Table:
    units = list(answer.cost)[:3]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("workers", "makespan", "1 to 9 in 10", "used", *units, "trials"):
        table.add_column(name, justify="right", no_wrap=True)
    for point in answer.curve:
        style = "bold" if point.workers == answer.workers else ""
        table.add_row(*_row(point, units), style=style)
    return table


def _orders(answer: Prediction) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("order", no_wrap=True)
    for name in ("makespan", "1 to 9 in 10", "saves", "95 % interval"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row("as without one", *_made(answer.makespan_s), "", "", style="bold")
    for each in answer.orders:
        between = f"{each.low:+.1%} – {each.high:+.1%}" if each.high > each.low else ""
        table.add_row(each.order, *_made(each.makespan_s), f"{each.saved:+.1%}", between)
    return table


def _made(made: Spread) -> tuple[str, str]:
    between = f"{words.seconds(made.p10)} – {words.seconds(made.p90)}" if made.p90 > made.p10 else ""
    return words.seconds(made.p50), between


def _row(point: Point, units: list[str]) -> list[str]:
    costs = [words.amount(point.cost[unit].p50) if unit in point.cost else "" for unit in units]
    return [f"{point.workers:,}", *_made(point.makespan_s), f"{point.utilisation:.0%}", *costs, f"{point.trials:,}"]
