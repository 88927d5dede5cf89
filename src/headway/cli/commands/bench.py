"""`headway bench`: search methods side by side, policies, schedulers, and how far a scorer can be trusted."""

from __future__ import annotations

import hashlib
import itertools
import os
import platform
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from headway.cli.options import NewRunId, Store, Trace
from headway.cli.trouble import handle_errors

bench = typer.Typer(name="bench", help="Compare methods on this machine.", no_args_is_help=True, rich_markup_mode=None)

Out = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the page and its pictures go.")]


def _digest(asked: object) -> str:
    """Tells comparisons apart: a command that is given again goes on with its run, and another one has another run."""
    return hashlib.blake2b(repr(asked).encode(), digest_size=4).hexdigest()


def _name_of(
    workload: str, asked: tuple[tuple[str, ...], tuple[int, ...]], questions: int, weights: str, *, everything: bool
) -> str:
    """The run of a comparison of search methods."""
    name = "-".join(map(str, ("search", workload, questions, *asked[1])))
    return name if everything and not weights else f"{name}-{_digest((asked[0], weights))}"


def _write(report: Callable[[Path, str], Iterable[Path]], out: Path) -> None:
    """Write a page and its pictures, and say where they are."""
    for path in report(out, f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"):
        _say_wrote(path)


def _say_wrote(path: Path) -> None:
    from rich.console import Console

    Console().print(f"wrote {path}", highlight=False, soft_wrap=True)


@bench.callback()
def _bench() -> None:
    """Compare methods on this machine."""


@bench.command()
@handle_errors
def search(
    workload: Annotated[
        list[str] | None,
        typer.Option("--workload", help="What is asked: countdown or arithmetic; repeat for more.  [default: both]"),
    ] = None,
    method: Annotated[list[str] | None, typer.Option("--method", help="A method; repeat for more.  [default: all]")] = None,
    budget: Annotated[
        list[int] | None,
        typer.Option(
            "--budget", metavar="TOKENS", min=1, help="Tokens per question; repeat for more.  [default: the workload's own]"
        ),
    ] = None,
    questions: Annotated[int, typer.Option("--questions", min=1, help="How many held-out questions of each workload.")] = 200,
    weights: Annotated[
        str,
        typer.Option("--weights", metavar="FILE", help="Weights for one workload, from training.  [default: the shipped models]"),
    ] = "",
    out: Out = Path("out"),
    run_id: NewRunId = None,
    store: Store = ".headway",
    traceback: Trace = False,
) -> None:
    """Compare search methods on held-out questions.

    Runs each method under each token budget, with the small models that come with Headway: Countdown puzzles, where an answer that
    parses is right, and arithmetic, where wrong answers look right. If it is killed, the same command resumes it. Needs the extras
    torch and solve.
    """
    from rich.console import Console

    import headway as hw
    from headway.errors import UsageError
    from headway.extras import explain_missing

    with explain_missing("headway bench search", "torch,solve"):
        from headway.bench.search import program, report
        from headway.bench.search.methods import METHODS, OPTIMAL
        from headway.bench.search.workloads import WORKLOADS

    known = [*METHODS, OPTIMAL]
    if unknown := [name for name in method or [] if name not in known]:
        raise UsageError(f"there is no method {', '.join(map(repr, unknown))}: there are {', '.join(known)}")
    if unknown := [name for name in workload or [] if name not in WORKLOADS]:
        raise UsageError(f"there is no workload {', '.join(map(repr, unknown))}: there are {', '.join(WORKLOADS)}")
    workloads = [WORKLOADS[name] for name in dict.fromkeys(workload or WORKLOADS)]
    if weights and len(workloads) > 1:
        raise UsageError("--weights are those of one model: say with --workload whose")
    console = Console()
    found = []
    for each in workloads:
        asked = tuple(method or known), tuple(sorted(set(budget or each.budgets)))
        name = _name_of(each.name, asked, questions, weights, everything=not method)
        run = f"{run_id}-{each.name}" if run_id and len(workloads) > 1 else run_id or name
        found.append(hw.run(program.compare, each.name, weights, *asked, questions, store=store, run_id=run, progress=True))
        console.print(report.table(found[-1]))
    _write(partial(report.write, found), out)


@bench.command()
@handle_errors
def schedule(
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many ramps, and machines of each kind.")] = 5,
    cpu_s: Annotated[
        float, typer.Option("--cpu", metavar="SECONDS", min=0.1, help="Processor time of CP-SAT for each problem.")
    ] = 5.0,
    shops: Annotated[
        list[str] | None, typer.Option("--shop", metavar="NAME", help="A classic job shop; repeat for more.  [default: ten]")
    ] = None,
    out: Out = Path("out"),
    run_id: NewRunId = None,
    store: Store = ".headway",
    traceback: Trace = False,
) -> None:
    """Compare dispatch rules with the solver CP-SAT.

    Schedules problems that grow harder, one machine with due dates, and classic job shops; a checker judges every schedule. If it
    is killed, the same command resumes it. Needs the extra solvers.
    """
    from rich.console import Console

    import headway as hw
    from headway.bench.schedule import program, report
    from headway.bench.schedule.shops import SAMPLE
    from headway.extras import require
    from headway.methods.schedule.instances import classic

    require("headway bench schedule", "ortools")
    asked = tuple(dict.fromkeys(shops or SAMPLE))
    for each in asked:
        classic.load_classic(each)
    name = run_id or f"schedule-{seeds}-{_digest((cpu_s, asked))}"
    found = hw.run(program.compare, seeds, cpu_s, asked, store=store, run_id=name, progress=True)
    Console().print(report.table(found))
    _write(partial(report.write, found), out)


@bench.command()
@handle_errors
def scorer(
    name: Annotated[
        str, typer.Argument(metavar="SCORER", help="package.module:function, from (prompt, answers) to a score for each answer.")
    ] = "countdown",
    items: Annotated[
        Path | None,
        typer.Option("--items", metavar="FILE", help="Items, one JSON object a line.  [default: Countdown puzzles]"),
    ] = None,
    puzzles: Annotated[int, typer.Option("--puzzles", min=1, help="How many held-out Countdown puzzles.")] = 100,
    samples: Annotated[int, typer.Option("--samples", min=2, help="Answers to each puzzle.")] = 16,
    run_id: NewRunId = None,
    store: Store = ".headway",
    traceback: Trace = False,
) -> None:
    """Rate a scorer before a search trusts it.

    An item has one right answer and several wrong ones: prompt, chosen, rejected, subset (RewardBench 2's format). Without a
    file, the small model answers Countdown puzzles, and it is shown what best-of-n gives with the scorer: that needs the extras
    torch and solve. If it is killed, the same command resumes it.
    """
    import sys

    from rich.console import Console

    import headway as hw
    from headway.bench.scorer import program, report
    from headway.bench.scorer.items import load_scorer, read_items
    from headway.extras import explain_missing

    sys.path.insert(0, "")  # the user's module is in the folder they are in
    if name != program.COUNTDOWN:
        load_scorer(name)
    asked = (name, puzzles, samples) if items is None else (name, read_items(items))
    if items is None or name == program.COUNTDOWN:
        with explain_missing("headway bench scorer on Countdown", "torch,solve"):
            from headway.bench.scorer import countdown
    rating = countdown.rate_on_countdown if items is None else program.rate_on_items
    found = hw.run(rating, *asked, store=store, run_id=run_id or f"scorer-{_digest(asked)}", progress=True)
    Console().print(report.table(found))


@bench.command()
@handle_errors
def allocate(
    graph: Annotated[
        list[str] | None,
        typer.Option("--graph", help="A workflow; repeat for more.  [default: srasearch, epigenomics, genome, montage]"),
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option("--model", help="Whose questions its steps are; repeat.  [default: countdown, arithmetic]")
    ] = None,
    budget: Annotated[
        list[float] | None,
        typer.Option("--budget", metavar="TIMES", min=0.1, help="Times the least; repeat.  [default: 1.2, 1.6, 2.4]"),
    ] = None,
    deadline: Annotated[
        list[float] | None,
        typer.Option("--deadline", metavar="TIMES", min=0.1, help="Times the least; repeat.  [default: 1.35, 1.7, 2.5]"),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many workloads of each workflow.")] = 8,
    episodes: Annotated[int, typer.Option("--episodes", min=1, help="How often each is played.")] = 2,
    paper: Annotated[bool, typer.Option("--paper", help="Play the paper's own variant of MCPP, too.")] = False,
    outcomes: Annotated[
        str, typer.Option("--outcomes", metavar="FILE", help="A table that --record wrote.  [default: the shipped one]")
    ] = "",
    record: Annotated[
        Path | None, typer.Option("--record", metavar="FILE", help="Record the table of outcomes anew, and play nothing.")
    ] = None,
    out: Out = Path("out"),
    run_id: NewRunId = None,
    store: Store = ".headway",
    traceback: Trace = False,
) -> None:
    """Compare policies on a grid of budgets and deadlines.

    Plays MCPP and the best fixed policy on workflows of WfCommons whose steps are questions, with recorded outcomes of the models
    that come with Headway. If it is killed, the same command resumes it. Needs the extra numpy; --record needs torch and solve.
    """
    from rich.console import Console

    import headway as hw
    from headway.extras import explain_missing, require

    if record is not None:
        with explain_missing("headway bench allocate --record", "torch,solve"):
            from headway.bench.allocate import record as recording
        sizes = recording.QUESTIONS, recording.SAMPLES
        seen = hw.run(recording.record_outcomes, *sizes, store=store, run_id=run_id or recording.RUN_ID, progress=True)
        recording.make_table(seen).save(record)
        _say_wrote(record)
        return
    require("headway bench allocate", "numpy")
    from headway.bench.allocate import program, report, workload

    grid = (
        tuple(model or workload.read_models(outcomes)),
        tuple(graph or workload.GRAPHS),
        tuple(sorted(budget or workload.BUDGETS)),
        tuple(sorted(deadline or workload.DEADLINES)),
        tuple(range(1, seeds + 1)),
    )
    asked = (*grid, episodes, outcomes, paper)
    for of, shape in itertools.product(*grid[:2]):
        workload.make_workload(shape, 1, outcomes, of)
    found = hw.run(program.compare, *asked, store=store, run_id=run_id or f"allocate-{_digest(asked)}", progress=True)
    Console().print(report.table(found))
    _write(partial(report.write, found), out)
