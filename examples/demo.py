"""Train a language model on two processes, then search with it under one budget. Kill it at any moment, start it again: it goes on.

    python examples/demo.py                     # kill it, then the same line once more
    python examples/demo.py --puzzles 12 --steps 20

First the small Countdown model that comes with Headway is trained a little further, by a gang of two processes with checkpoints.
Then four search methods solve held-out puzzles with it, all at the same time and all under one budget of tokens. It prints a table
and writes a page: puzzles solved against tokens spent, the budget over time, what ran when. All progress is in the journal and the
checkpoints, so a killed trainer, worker or driver costs what was in flight and no more.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from html import escape
from pathlib import Path

from rich.console import Console
from rich.table import Table

import headway as hw
from headway.bench.search.program import Asked, Attempt, run_attempt
from headway.events import CheckpointLoaded, Event, RunStarted
from headway.observe.pictures.chart import Point, Series, chart
from headway.observe.pictures.gantt import draw_gantt
from headway.observe.reading import read_run
from headway.observe.recorded import RecordedRun
from headway.reference.countdown.sampling import CountdownModel
from headway.reference.countdown.training import Recipe, train
from headway.reference.training import Trained

METHODS = ("best of n", "solve, detect, verify", "beam", "A*")
ALLOWED = 352  # tokens for one method on one puzzle, at most
SHARED = 215  # tokens for one method on one puzzle, on average: what all of them share
AT_A_TIME = 48


@dataclass(frozen=True)
class Result:
    """What the demo found: the training, and every attempt at a puzzle."""

    trained: Trained
    attempts: list[Attempt]
    tokens: float


@hw.task
async def learn_and_search(steps: int, puzzles: int) -> Result:
    """Train, then search with the trained model."""
    recipe = Recipe(steps=steps, rate=2e-4, muon_rate=1e-3, warmup=10, every=20, seed=2, begin=str(CountdownModel.file))
    trained = await train.options(processes=2)(recipe)
    with hw.budget(tokens=SHARED * puzzles * len(METHODS)) as book:
        attempts = await search_all(trained.weights, puzzles)
    return Result(trained, attempts, book.spent["tokens"])


async def search_all(weights: str, puzzles: int) -> list[Attempt]:
    """All methods on all puzzles, those of a puzzle together, until the budget is used up."""
    asked = [Asked("countdown", weights, method, ALLOWED, number, puzzles) for number in range(puzzles) for method in METHODS]
    done = []
    async for attempt in hw.map(run_attempt, asked, window=AT_A_TIME):
        done.append(attempt)
        solved = sum(each.solved for each in done)
        hw.progress(len(done), len(asked), solved=solved)
    return done


# --- what people look at ---------------------------------------------------------------------------------------------


def table(result: Result) -> Table:
    """A row for each method."""
    shown = Table(title=f"{len({each.question for each in result.attempts})} held-out puzzles, one budget")
    for column in ("method", "solved", "tokens", "tokens per solved", "one after another"):
        shown.add_column(column, justify="left" if column == "method" else "right")
    for method in METHODS:
        of = [each for each in result.attempts if each.method == method]
        solved, tokens = sum(each.solved for each in of), sum(each.tokens for each in of)
        sequential = sum(each.sequential for each in of) / len(of)
        per = f"{tokens / solved:,.0f}" if solved else "-"
        shown.add_row(method, f"{solved} ({solved / len(of):.0%})", f"{tokens:,.0f}", per, f"{sequential:.0f}")
    return shown


def page(result: Result, recorded: RecordedRun) -> str:
    """A page with all pictures in it: nothing is loaded from anywhere."""
    language = result.trained.language
    training = chart(
        "Training: loss of each step",
        [Series("nats per token", [Point(at, loss) for at, loss in enumerate(language)], dots=False)],
        x="step",
        y="loss",
        sub=f"{result.trained.processes} processes, with checkpoints",
        height=260,
    )
    pictures = [training, solved_against_tokens(result), budget_over_time(recorded), draw_gantt(recorded)]
    rows = "".join(
        f"<tr><td>{escape(method)}</td><td>{solved} of {total}</td><td>{tokens:,.0f}</td></tr>"
        for method, solved, total, tokens in totals(result)
    )
    return (
        "<!doctype html><meta charset=utf-8><title>Headway: learn and search</title><style>body{font:15px system-ui,sans-serif;"
        "max-width:1240px;margin:2rem auto;color:#1d2733}svg{max-width:100%;height:auto;display:block;margin:1.5rem 0}"
        "td,th{padding:.2rem 1rem .2rem 0;text-align:left}</style><h1>Learn and search</h1><p>A small model, trained a little "
        f"further on two processes, then four search methods under one budget of {SHARED} tokens per attempt.</p>"
        f"<table><tr><th>method<th>solved<th>tokens</tr>{rows}</table>{''.join(pictures)}\n"
    )


def totals(result: Result) -> list[tuple[str, int, int, float]]:
    """For each method: solved, tried, tokens."""
    groups = [(method, [each for each in result.attempts if each.method == method]) for method in METHODS]
    return [(method, sum(each.solved for each in of), len(of), sum(each.tokens for each in of)) for method, of in groups]


def solved_against_tokens(result: Result) -> str:
    """How many puzzles each method had solved when it had spent so much."""
    series = []
    for method in METHODS:
        points, tokens, solved = [Point(0, 0)], 0.0, 0
        for each in (each for each in result.attempts if each.method == method):
            tokens, solved = tokens + each.tokens, solved + each.solved
            points.append(Point(tokens, solved, label=f"puzzle {each.question}"))
        series.append(Series(method, points, dots=False))
    return chart("Solved against what it took", series, x="tokens read and written", y="puzzles solved", sub="puzzle after puzzle")


def budget_over_time(recorded: RecordedRun) -> str:
    """What was spent of the shared budget when, from the journal."""
    spent = sorted((call.ended, call.cost.get("tokens", 0.0)) for call in recorded.calls.values() if call.cost.get("tokens"))
    points, total = [], 0.0
    for at, tokens in spent:
        total += tokens
        points.append(Point(at - spent[0][0], total))
    every = max(1, len(points) // 300)
    series = [Series("spent", [*points[::every], *points[-1:]], dots=False)]
    return chart("The budget over time", series, x="seconds since the search began", y="tokens", height=260)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--puzzles", type=int, default=60, help="how many held-out puzzles (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=80, help="steps of training (default: %(default)s)")
    parser.add_argument("--store", default=".headway", help="the folder of the journal (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="where the page goes (default: %(default)s)")
    parser.add_argument("--fresh", action="store_true", help="begin a new run instead of going on with one")
    options = parser.parse_args()
    console, began = Console(), time.monotonic()
    run = f"demo-{options.puzzles}-{options.steps}" + (time.strftime("-%m%d-%H%M%S") if options.fresh else "")

    def listen(event: Event) -> None:
        if isinstance(event, RunStarted) and event.recorded:
            console.print(f"{run} goes on: {event.recorded:,} results are in the journal already.", style="cyan")
        elif isinstance(event, CheckpointLoaded) and event.rank == 0:
            console.print(f"{run} goes on: the training continues after step {event.step}, its newest checkpoint.", style="cyan")

    try:
        result: Result = hw.run(
            learn_and_search, options.steps, options.puzzles, run_id=run, store=options.store, progress=True, events=listen
        )
    except hw.Interrupted as stop:
        parser.exit(130, f"{stop}\n")
    console.print(table(result))
    with hw.SqliteStore(options.store) as store:
        recorded = read_run(store, run)
    options.out.mkdir(parents=True, exist_ok=True)
    report = options.out / f"{run}.html"
    report.write_text(page(result, recorded))
    console.print(
        f"Loss {result.trained.language[0]:.3f} to {result.trained.language[-1]:.3f}; {result.tokens:,.0f} of "
        f"{SHARED * options.puzzles * len(METHODS):,} tokens spent, in {time.monotonic() - began:.1f} s.\n"
        f"Look at [bold]{report}[/]; every call: [bold]headway show {run} --store {options.store}",
        soft_wrap=True,
    )


if __name__ == "__main__":
    main()
