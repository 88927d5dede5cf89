"""`headway check`: try a program under many schedules and crashes, and print what would hurt."""

from __future__ import annotations

import contextlib
import functools
import io
from dataclasses import dataclass
from typing import Any

import msgspec
import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from headway.cli import console
from headway.cli.arguments import parse_arguments
from headway.cli.commands.runs import load_task
from headway.cli.pools import parse_pools
from headway.errors import UsageError
from headway.journal.open import open_to_read
from headway.journal.records import Row, RunInfo
from headway.sim.check import Finding, Report, check
from headway.sim.store import blobs_of


@dataclass(frozen=True)
class CheckOptions:
    """The command's options."""

    target: str
    args: list[str]
    kw: list[str]
    schedules: int
    seed: int
    seconds: float
    pools: list[str]
    answers: str | None
    store: str
    json: bool


class FoundDocument(msgspec.Struct):
    kind: str
    error: bool
    task: str
    call: str
    what: str
    advice: str
    again: str


class CheckDocument(msgspec.Struct):
    """What `--json` prints."""

    program: str
    ok: bool
    schedules: int
    crashes: int
    replays: int
    calls: int
    skipped: list[str]
    findings: list[FoundDocument]


def check_program(options: CheckOptions) -> None:
    """Load the program, check it, print the report. Exits with 1 where something was found that loses or repeats work."""
    task = load_task(options.target)
    args, kwargs = parse_arguments(task.fn, options.args, options.kw)
    pools = parse_pools(options.pools)
    answers = _answers(options.answers, options.store) if options.answers else None
    with console.err().status("checking") as status:

        def tell(what: str, done: int, of: int) -> None:
            status.update(f"checking {task.name}: {what} {done + 1} of {of}")

        with contextlib.redirect_stdout(io.StringIO()):  # hide what the program prints each time: it is not the answer
            report = check(
                functools.partial(task, **kwargs),
                *args,
                schedules=options.schedules,
                seed=options.seed,
                seconds=options.seconds,
                answers=answers,
                tell=tell,
                pools=pools,
            )
    if options.json:
        console.print_json(_document(report))
    else:
        console.out().print(_page(report))
    if not report.ok:
        raise typer.Exit(1)


def _answers(run_id: str, url: str) -> tuple[RunInfo, list[Row], dict[bytes, bytes]]:
    """A recorded run, whose leaves answer instead of running."""
    store = open_to_read(url)
    try:
        info = store.run(run_id)
        rows = [row for _, row in store.rows(info.uid)]
        if not rows:
            raise UsageError(f"run {run_id!r} has recorded nothing that could answer: run it first, then check with its answers")
        blobs = {name: bytes(store.get_blob(name)) for row in rows for name in blobs_of(row)}
        return info, rows, blobs
    finally:
        store.close()


def _document(report: Report) -> CheckDocument:
    findings = [
        FoundDocument(
            kind=found.kind,
            error=found.kind.is_error,
            task=found.task,
            call=found.call,
            what=found.what,
            advice=found.advice,
            again=found.again,
        )
        for found in report.findings
    ]
    return CheckDocument(
        program=report.program,
        ok=report.ok,
        schedules=report.schedules,
        crashes=report.crashes,
        replays=report.replays,
        calls=report.calls,
        skipped=report.skipped,
        findings=findings,
    )


def _page(report: Report) -> Any:
    done = (
        f"{report.program}: {report.calls:,} calls, {report.schedules:,} schedules, {report.crashes:,} crashes, "
        f"{report.replays:,} replays"
    )
    parts: list[Any] = [Text(done, style="bold")]
    if report.findings:
        table = Table(show_header=True, header_style="bold", expand=False, show_lines=True)
        table.add_column("found", no_wrap=True)
        table.add_column("where and what", overflow="fold")
        for found in sorted(report.findings, key=lambda found: not found.kind.is_error):
            table.add_row(Text(str(found.kind), style="red" if found.kind.is_error else "yellow"), _describe_findings(found))
        parts.append(table)
    parts += [Text(f"not looked at: {what}", style="dim") for what in report.skipped]
    errors = sum(found.kind.is_error for found in report.findings)
    if errors:
        parts.append(Text(f"{errors} to mend.", style="bold red"))
    else:
        parts.append(Text("Nothing found that loses or repeats work.", style="bold green"))
    return Group(*parts)


def _describe_findings(found: Finding) -> Text:
    text = Text()
    if found.call:
        text.append(f"{found.call} ", style="bold")
    text.append(f"{found.what}\n")
    text.append(found.advice, style="cyan")
    if found.again:
        text.append(f"\nagain: {found.again}", style="dim")
    return text
