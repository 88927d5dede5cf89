"""`gc` and `doctor`: keeping a store small and whole."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from headway.cli import console
from headway.cli.options import Json, Store, Trace
from headway.cli.trouble import PROBLEM, handle_errors
from headway.journal.place import has_database, name_place, no_store

_STYLES = {"error": "red", "risk": "yellow", "warning": "yellow", "unread": "yellow", "info": "dim"}


@handle_errors
def gc(
    delete: Annotated[list[str] | None, typer.Option("--delete", metavar="RUN", help="Delete this run first; repeatable.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    vacuum: Annotated[
        bool, typer.Option("--vacuum", help="Give the space of deleted records back: to the disk, or in a database to new records.")
    ] = False,
    store: Store = ".headway",
    json: Json = False,
    traceback: Trace = False,
) -> None:
    """Remove from a store what no run needs."""
    collect(store, delete or [], dry_run=dry_run, vacuum=vacuum, as_json=json)


@handle_errors
def doctor(
    repair: Annotated[bool, typer.Option("--repair", help="Rebuild the store from what can be read; keeps a backup.")] = False,
    store: Store = ".headway",
    json: Json = False,
    traceback: Trace = False,
) -> None:
    """Check every record and blob of a store.

    Exits with 3 if something is wrong.
    """
    examine_store(store, repair=repair, as_json=json)


def collect(store: str, delete: list[str], *, dry_run: bool, vacuum: bool, as_json: bool) -> None:
    from headway.journal.open import open_existing
    from headway.journal.upkeep.gc import gc
    from headway.observe import words

    opened = open_existing(store)
    try:
        done = gc(opened, now=time.time(), dry_run=dry_run, delete_runs=delete, vacuum=vacuum)
    finally:
        opened.close()
    if as_json:
        console.print_json(done)
        return
    removed = [
        words.count(done.runs, "run"),
        words.count(done.rows, "record"),
        f"{words.count(done.blobs, 'blob')} ({words.nbytes(done.blob_bytes)})",
        words.count(done.temporary_files, "temporary file"),
    ]
    console.out().print(f"{'would remove' if dry_run else 'removed'} {', '.join(removed)}")
    if done.kept_young:
        console.note(f"{words.count(done.kept_young, 'unnamed blob')} kept, because a run may still be about to name it")


def examine_store(store: str, *, repair: bool, as_json: bool) -> None:
    """Raises typer.Exit where the store is not whole."""
    from headway.journal.upkeep.doctor import examine
    from headway.observe import words

    place = name_place(store)
    if isinstance(place, Path) and not has_database(place):
        raise no_store(place)
    if repair:
        _repair(store, as_json=as_json)
        return
    report = examine(store)
    if as_json:
        console.print_json(report)
    else:
        _print_findings(report.findings)
        checked = f"{words.count(report.runs, 'run')}, {words.count(report.records, 'record')}, "
        checked += f"{words.count(report.blobs, 'blob')} ({words.nbytes(report.blob_bytes)})"
        style = {"whole": "green", "damaged": "red"}.get(report.verdict, "yellow")
        console.out().print(f"{report.store}: {report.verdict}; checked {checked}", style=style, markup=False)
        if report.verdict == "damaged" and isinstance(place, Path):
            console.note(f"rebuild it from what can be read with: headway doctor --repair --store {store}", "bold")
    if report.verdict != "whole":
        raise typer.Exit(PROBLEM)


def _repair(store: str, *, as_json: bool) -> None:
    from headway.journal.upkeep.repair import repair
    from headway.observe import words

    done = repair(store, now=time.time())
    if as_json:
        console.print_json(done)
        return
    _print_findings(done.dropped)
    kept = f"{words.count(done.runs, 'run')}, {words.count(done.records, 'record')}"
    console.out().print(f"{store}: kept {kept}; dropped {len(done.dropped)}; the old database is {done.backup}", markup=False)


def _print_findings(findings: tuple[Any, ...]) -> None:
    for finding in findings:
        console.out().print(f"{finding.severity}: {finding}", style=_STYLES.get(finding.severity, ""), markup=False)
