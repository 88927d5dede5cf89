"""`headway store copy`: moves runs from one store to another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from headway.cli.options import Json, Trace
from headway.cli.trouble import PROBLEM, handle_errors

if TYPE_CHECKING:
    from headway.journal.copying.report import CopyProgress, CopyReport, OnProgress

store = typer.Typer(name="store", help="Copy runs between stores.", no_args_is_help=True, rich_markup_mode=None)
_STYLES = {"copied": "green", "there already": "dim", "refused": "bold red"}


class CopiedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A run, in `headway store copy --json`."""

    run_id: str
    outcome: str  # copied, there already or refused
    why: str
    rows: int
    blobs: int
    blob_bytes: int
    signals: int
    cached: int
    files: int
    job: str  # how it waits in its queue; empty where it belongs to none


class CopiedItemsDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A collection, in `headway store copy --json`."""

    name: str
    outcome: str
    why: str
    items: int


class CopiedScheduleDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule, in `headway store copy --json`."""

    name: str
    outcome: str
    why: str


class CopyDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`headway store copy --json`"""

    source: str
    target: str
    whole: bool
    cached: int
    runs: list[CopiedDocument]
    collections: list[CopiedItemsDocument]
    schedules: list[CopiedScheduleDocument]


@store.callback()
def _store() -> None:
    """Copy runs between stores."""


@store.command()
@handle_errors
def copy(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The store to read: a folder or the URL of a database.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The store to write; made if it is not there.")],
    runs: Annotated[list[str] | None, typer.Argument(metavar="[RUN]...", help="Only these runs.  [default: all]")] = None,
    json: Json = False,
    traceback: Trace = False,
) -> None:
    """Copy runs to another store, and verify them.

    Records, large values, signals, shared results, collections and checkpoints go along; the source stays as it is. What is there
    already is verified and left, so a copy that was killed goes on when it is given again. Runs that wait in a queue go with their
    place in it when the queue is paused here (`headway queue pause`), and schedules go along. Exits with 3 if something was
    refused.
    """
    from headway.cli import console
    from headway.journal.copying.runs import copy_runs

    with _showing() as show:
        report = copy_runs(source, target, runs or None, on_progress=show)
    if json:
        console.print_json(_document(report))
    else:
        _print(report)
    if not report.whole:
        raise typer.Exit(PROBLEM)


@contextmanager
def _showing() -> Iterator[OnProgress]:
    """A line on stderr that says how far the copy is, on a terminal."""
    from headway.cli import console

    with console.err().status("looking") as status:

        def show(progress: CopyProgress) -> None:
            status.update(f"{progress.done:,} runs done; {progress.run_id}: {progress.rows:,} records read")

        yield show


def _document(report: CopyReport) -> CopyDocument:
    return CopyDocument(
        source=report.source,
        target=report.target,
        whole=report.whole,
        cached=report.cached,
        runs=[msgspec.convert(one, CopiedDocument, from_attributes=True) for one in report.runs],
        collections=[msgspec.convert(one, CopiedItemsDocument, from_attributes=True) for one in report.collections],
        schedules=[msgspec.convert(one, CopiedScheduleDocument, from_attributes=True) for one in report.schedules],
    )


def _print(report: CopyReport) -> None:
    from rich.table import Column, Table
    from rich.text import Text

    from headway.cli import console
    from headway.observe import words

    if not report.runs and not report.collections and not report.schedules:
        console.note(f"no runs in {report.source} yet")
        return
    right = {"justify": "right", "no_wrap": True}
    columns = [Column(name, **right) for name in ("records", "values", "signals", "files")]  # type: ignore[arg-type]  # of rich
    table = Table("run", "", *columns, "", box=None, padding=(0, 2, 0, 0), header_style="dim")
    for run in report.runs:
        said = Text(f"{run.outcome}, {run.job}" if run.job else run.outcome, style=_STYLES[run.outcome])
        values = f"{run.blobs:,} ({words.nbytes(run.blob_bytes)})" if run.blobs else "0"
        numbers = [Text(f"{run.rows:,}"), Text(values), Text(f"{run.signals:,}"), Text(f"{run.files:,}")]
        table.add_row(Text(run.run_id, style="bold"), said, *numbers, Text(run.why))
    for one in report.collections:
        said = Text(one.outcome, style=_STYLES[one.outcome])
        table.add_row(Text(f"collection {one.name}", style="bold"), said, Text(f"{one.items:,}"), "", "", "", Text(one.why))
    for schedule in report.schedules:
        said = Text(schedule.outcome, style=_STYLES[schedule.outcome])
        table.add_row(Text(f"schedule {schedule.name}", style="bold"), said, "", "", "", "", Text(schedule.why))
    console.out().print(table)
    refused = sum(run.outcome == "refused" for run in report.runs)
    verified = f"{words.count(len(report.runs) - refused, 'run')} of {report.source} verified in {report.target}"
    console.note(f"{verified}; {refused:,} refused" if refused else verified, "dim" if report.whole else "yellow")
