"""`make prove`: put random programs through every trouble, on all cores, and print what came of it.

    python tests/proof/prove.py [--triples 100000] [--seed SEED …] [--processes N] [--keep-on] [--write-docs]

A triple is a program, a schedule and a trouble (a crash at one journal record, a kill, a second driver, a store that lies, …).
Seeds count up from each `--seed` in turn; without one, from a number drawn for this run, which is printed. Ends with 1 at the first
promise that is not kept (with `--keep-on` after all triples), printing what shows it again: `python tests/proof/prove.py --again
TROUBLE SEED`; and where a lie was never told. Ctrl-C ends it as well, with what was seen until then.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import sys
import time
import warnings
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent))

from explore import TROUBLES, Case, explore, kinds_of
from far import FAR, KINDS, STRUCK
from programs import main as program

from headway.sim.far.lies import untold
from headway.sim.history import Violated

warnings.filterwarnings("ignore", ".*left behind", RuntimeWarning)  # a simulated coroutine that is held up stops late
BATCH = 20  # seeds handed to a worker at a time
PAGE = Path(__file__).parents[2] / "docs" / "proof.md"


@dataclass
class Figures:
    """What was looked at, and what was found."""

    triples: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)  # how often each lie was told, and each fault injected
    broken: list[str] = field(default_factory=list)
    programs: int = 0
    core_s: float = 0.0

    def add(self, other: Figures) -> None:
        self.triples += other.triples
        self.struck += other.struck
        self.broken += other.broken
        self.programs += other.programs
        self.core_s += other.core_s


def look(first: int) -> Figures:
    """Put the programs of some seeds through all troubles."""
    warnings.filterwarnings("ignore", ".*left behind", RuntimeWarning)  # a coroutine that is held up stops late
    figures = Figures(programs=BATCH)
    began = time.process_time()
    STRUCK.clear()
    for seed in range(first, first + BATCH):
        for trouble in (*TROUBLES, *FAR):
            try:
                figures.triples[trouble] += explore(trouble, seed, kinds_of(seed))
            except Violated as error:
                figures.broken.append(f"{error}\n  again: python tests/proof/prove.py --again {trouble!r} {seed}")
    figures.core_s = time.process_time() - began
    figures.struck = Counter(STRUCK)
    return figures


def undisturbed_per_second(programs: int = 400) -> float:
    """How many small random programs one core runs in a second, when nothing is done to them and nobody looks at the promises."""
    began = time.process_time()
    for seed in range(programs):
        case = Case(seed, kinds_of(seed))
        case.history().live(program, "p", 1)
    return programs / (time.process_time() - began)


def prove(wanted: int, firsts: list[int], console: Console, processes: int, keep_on: bool) -> tuple[Figures, float]:
    """Look until `wanted` triples were seen or a promise was broken, at seeds from each of `firsts` on, in turn."""
    figures, began = Figures(), time.perf_counter()
    seeds = (first + BATCH * batch for batch in itertools.count() for first in firsts)
    bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console)
    with ProcessPoolExecutor(processes) as workers, bar:
        shown = bar.add_task("triples", total=wanted)
        running: set[Future[Figures]] = set()

        def goes_on() -> bool:
            return figures.triples.total() < wanted and (keep_on or not figures.broken)

        try:
            while goes_on() or running:
                while len(running) < 2 * processes and goes_on():
                    running.add(workers.submit(look, next(seeds)))
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for each in done:
                    found = each.result()
                    figures.add(found)
                    for broken in found.broken:
                        console.print(broken, markup=False)
                bar.update(shown, completed=figures.triples.total())
        except KeyboardInterrupt:
            console.print("interrupted: this is what was seen until then")
            workers.shutdown(cancel_futures=True)
    return figures, time.perf_counter() - began


def table(figures: Figures) -> Table:
    made = Table("trouble", "triples", title=f"{figures.programs:,} random programs", title_justify="left")
    made.columns[1].justify = "right"
    for trouble, count in figures.triples.most_common():
        made.add_row(trouble, f"{count:,}")
    made.add_row("all", f"{figures.triples.total():,}", style="bold")
    return made


def table_of_lies(figures: Figures) -> Table:
    made = Table("on stores of other machines", "times", title_justify="left")
    made.columns[1].justify = "right"
    for kind in KINDS:
        made.add_row(kind, f"{figures.struck[kind]:,}", style=None if figures.struck[kind] else "bold red")
    return made


def page(figures: Figures, wall_s: float, rate: float, firsts: list[int]) -> str:
    """The figures as a part of docs/proof.md."""
    seeds = ", ".join(map(str, firsts))
    rows = "\n".join(f"| {trouble} | {count:,} |" for trouble, count in figures.triples.most_common())
    lies = "\n".join(f"| {kind} | {figures.struck[kind]:,} |" for kind in KINDS)
    return f"""<!-- figures -->
Seen on {time.strftime("%Y-%m-%d")}, {os.cpu_count()} cores, Python {sys.version.split()[0]}, seeds from {seeds} on:
{figures.programs:,} programs, {figures.triples.total():,} triples, {len(figures.broken)} violations, {wall_s:.0f} s
({figures.triples.total() / figures.core_s:.0f} triples and {rate:.0f} undisturbed programs a second and core).

| trouble | triples |
|---|---|
{rows}

| on stores of other machines | times |
|---|---|
{lies}
<!-- /figures -->"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--triples", type=int, default=100_000)
    parser.add_argument("--seed", type=int, action="append", help="where seeds begin; may be given several times")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep-on", action="store_true", help="look at all triples, whatever is found")
    parser.add_argument("--write-docs", action="store_true")
    parser.add_argument("--again", nargs=2, metavar=("TROUBLE", "SEED"))
    given = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    if given.again:
        trouble, seed = given.again[0], int(given.again[1])
        console.print(f"{explore(trouble, seed, kinds_of(seed))} triples, nothing broken")
        return 0
    firsts = given.seed or [random.SystemRandom().randrange(1_000_000_000)]
    console.print(f"seeds from {', '.join(map(str, firsts))} on")
    rate = undisturbed_per_second()
    figures, wall_s = prove(given.triples, firsts, console, given.processes, given.keep_on)
    console.print(table(figures))
    console.print(table_of_lies(figures))
    if figures.triples.total() > 100 * BATCH and (missing := untold(figures.struck, KINDS)):
        figures.broken.append(f"never met, so not tested: {', '.join(missing)}")
        console.print(figures.broken[-1])
    console.print(f"{len(figures.broken)} violations, {wall_s:.0f} s; {rate:.0f} undisturbed programs a second and core")
    if given.write_docs and not figures.broken:
        before, _, rest = PAGE.read_text().partition("<!-- figures -->")
        after = rest.partition("<!-- /figures -->")[2]
        PAGE.write_text(before + page(figures, wall_s, rate, firsts) + after)
    return 1 if figures.broken else 0


if __name__ == "__main__":
    sys.exit(main())
