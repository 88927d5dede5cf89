"""`make prove`: put random programs through every trouble, on all cores, and print what came of it.

    python tests/proof/prove.py [--triples 100000] [--seed 1] [--write-docs]

A triple is a program, a schedule and a trouble (a crash at one journal record, a kill, a second driver, …). Ends with 1 at the
first promise that is not kept, printing the seed that shows it again: `python tests/proof/prove.py --again TROUBLE SEED`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent))

from explore import TROUBLES, Case, explore
from programs import CALM, WILD
from programs import main as program

from headway.sim.history import Violated

BATCH = 20  # seeds handed to a worker at a time
PAGE = Path(__file__).parents[2] / "docs" / "proof.md"


@dataclass
class Figures:
    """What was looked at, and what was found."""

    triples: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    programs: int = 0
    core_s: float = 0.0

    def add(self, other: Figures) -> None:
        self.triples += other.triples
        self.broken += other.broken
        self.programs += other.programs
        self.core_s += other.core_s


def look(first: int) -> Figures:
    """Put the programs of some seeds through all troubles."""
    figures = Figures(programs=BATCH)
    began = time.process_time()
    for seed in range(first, first + BATCH):
        for trouble in TROUBLES:
            try:
                figures.triples[trouble] += explore(trouble, seed)
            except Violated as error:
                figures.broken.append(f"{error}\n  again: python tests/proof/prove.py --again {trouble!r} {seed}")
    figures.core_s = time.process_time() - began
    return figures


def undisturbed_per_second(programs: int = 400) -> float:
    """How many small random programs one core runs in a second, when nothing is done to them and nobody looks at the promises."""
    began = time.process_time()
    for seed in range(programs):
        case = Case(seed, CALM if seed % 2 else WILD)
        case.history().live(program, "p", 1)
    return programs / (time.process_time() - began)


def prove(wanted: int, first: int, console: Console) -> tuple[Figures, float]:
    """Look until `wanted` triples were seen or a promise was broken."""
    figures, began, seed = Figures(), time.perf_counter(), first
    bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console)
    with ProcessPoolExecutor() as workers, bar:
        shown = bar.add_task("triples", total=wanted)
        running = set()
        while (figures.triples.total() < wanted and not figures.broken) or running:
            while len(running) < 2 * (os.cpu_count() or 1) and figures.triples.total() < wanted and not figures.broken:
                running.add(workers.submit(look, seed))
                seed += BATCH
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for each in done:
                figures.add(each.result())
            bar.update(shown, completed=figures.triples.total())
    return figures, time.perf_counter() - began


def table(figures: Figures) -> Table:
    made = Table("trouble", "triples", title=f"{figures.programs:,} random programs", title_justify="left")
    made.columns[1].justify = "right"
    for trouble, count in figures.triples.most_common():
        made.add_row(trouble, f"{count:,}")
    made.add_row("all", f"{figures.triples.total():,}", style="bold")
    return made


def page(figures: Figures, wall_s: float, rate: float, first: int) -> str:
    """The figures as a part of docs/proof.md."""
    rows = "\n".join(f"| {trouble} | {count:,} |" for trouble, count in figures.triples.most_common())
    return f"""<!-- figures -->
Seen on {time.strftime("%Y-%m-%d")}, {os.cpu_count()} cores, Python {sys.version.split()[0]}, seeds from {first} on:
{figures.programs:,} programs, {figures.triples.total():,} triples, {len(figures.broken)} violations, {wall_s:.0f} s
({figures.triples.total() / figures.core_s:.0f} triples and {rate:.0f} undisturbed programs a second and core).

| trouble | triples |
|---|---|
{rows}
<!-- /figures -->"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--triples", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write-docs", action="store_true")
    parser.add_argument("--again", nargs=2, metavar=("TROUBLE", "SEED"))
    given = parser.parse_args()
    console = Console(highlight=False)
    if given.again:
        console.print(f"{explore(given.again[0], int(given.again[1]))} triples, nothing broken")
        return 0
    rate = undisturbed_per_second()
    figures, wall_s = prove(given.triples, given.seed, console)
    console.print(table(figures))
    console.print(f"{len(figures.broken)} violations, {wall_s:.0f} s; {rate:.0f} undisturbed programs a second and core")
    for broken in figures.broken[:5]:
        console.print(broken, markup=False)
    if given.write_docs and not figures.broken:
        before, _, rest = PAGE.read_text().partition("<!-- figures -->")
        after = rest.partition("<!-- /figures -->")[2]
        PAGE.write_text(before + page(figures, wall_s, rate, given.seed) + after)
    return 1 if figures.broken else 0


if __name__ == "__main__":
    sys.exit(main())
