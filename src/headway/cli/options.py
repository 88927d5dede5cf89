"""The options and arguments that several commands share, so that each reads the same in every `--help`."""

from __future__ import annotations

from typing import Annotated

import typer

Store = Annotated[
    str,
    typer.Option(
        "--store", envvar="HEADWAY_STORE", help="The store: the folder, or the URL of the database, in which runs are kept."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]
Trace = Annotated[bool, typer.Option("--traceback", help="Show errors with all their frames.")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id, as `headway ls` shows it.")]
NewRunId = Annotated[str | None, typer.Option("--run-id", help="The run's id. An id that exists resumes that run.")]
Budget = Annotated[
    list[str] | None,
    typer.Option("--budget", metavar="UNIT=AMOUNT", help="The most that it may spend, such as tokens=1000; repeatable."),
]
NewBudget = Annotated[
    list[str] | None,
    typer.Option("--budget", metavar="UNIT=AMOUNT", help="A new bound for the run; what it has spent counts. Repeatable."),
]
NewDeadline = Annotated[
    float | None, typer.Option("--deadline", metavar="SECONDS", help="A new deadline for the run, counted from now.")
]
Progress = Annotated[
    bool | None, typer.Option("--progress/--no-progress", help="Show progress on stderr.  [default: if a terminal]")
]
Events = Annotated[str | None, typer.Option("--events", metavar="FILE", help="Append events to FILE, one JSON a line.")]
Gantt = Annotated[str | None, typer.Option("--gantt", metavar="FILE.svg", help="Draw what ran when.")]
TakeOver = Annotated[bool, typer.Option("--take-over", help="Take the run over from the process that drives it.")]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="Processes for process tasks.")]
Pools = Annotated[
    list[str] | None,
    typer.Option("--pool", metavar="NAME=SIZE|FILE:CLASS", help="A pool's size, or a pool of the program's own; repeatable."),
]
Hire = Annotated[
    list[str] | None,
    typer.Option(
        "--hire",
        metavar="WHERE",
        help="Run process and gang tasks on agents: local:2x2cpu, ray:8cpu, ray://HOST:PORT/8cpu or 'cmd:ssh HOST …'; repeatable.",
    ),
]
Order = Annotated[
    str | None,
    typer.Option(
        "--order",
        metavar="NAME",
        help="Which of the calls that wait starts first: edd, mdd, critical-path, longest-first, … or FILE:FUNCTION.  "
        "[default: the longest path ahead]",
    ),
]
Reuse = Annotated[
    list[str] | None,
    typer.Option("--reuse", metavar="TASK", help="Use its recorded results although its source changed; repeatable."),
]
Rerun = Annotated[
    list[str] | None, typer.Option("--rerun", metavar="TASK", help="Run its calls again if its source changed; repeatable.")
]
Program = Annotated[str, typer.Argument(metavar="PROGRAM:TASK", help="path/to/file.py:task or package.module:task")]
Keywords = Annotated[list[str] | None, typer.Option("--kw", "-k", metavar="NAME=VALUE", help="A keyword argument; repeatable.")]


def show_version(wanted: bool) -> None:
    """Print the version and end the command, if that is wanted."""
    if wanted:
        from headway import __version__

        typer.echo(f"headway {__version__}")
        raise typer.Exit
