"""Measures the catalogue of methods and prints it: `python -m benchmarks.methods`.

python -m benchmarks.methods                  what has no figure yet
python -m benchmarks.methods ETS MCPP         the rows whose names contain one of these, again
python -m benchmarks.methods --room schedule --slow
python -m benchmarks.methods --write-docs     render docs/methods.md and docs/results/compute.md from the results kept
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table

import headway as hw
from benchmarks.methods import METHODS, figures, page
from benchmarks.methods.catalogue import Catalogue
from benchmarks.methods.measuring import Asked, Measured, measure_rows
from benchmarks.methods.row import Pair, Row
from benchmarks.sides import ROOT
from benchmarks.tables import terminal


def arguments(catalogue: Catalogue, about: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {catalogue.package}", description=about.split("\n")[0])
    parser.add_argument("words", nargs="*", metavar="NAME", help="rows whose names contain this; repeat for more")
    parser.add_argument("--room", choices=[room for room, _ in catalogue.rooms], help="the rows of one room")
    parser.add_argument("--slow", action="store_true", help="measure the rows that take minutes, too")
    parser.add_argument("--list", action="store_true", help="measure nothing, list the rows and their figures")
    parser.add_argument("--write-docs", action="store_true", help="measure nothing, render the pages")
    return parser.parse_args()


def main(catalogue: Catalogue, write: Callable[[], Sequence[Path]], about: str) -> int:
    """Measure a catalogue as its command line says, or `write` its pages."""
    options, console = arguments(catalogue, about), terminal()
    if options.write_docs:
        for path in write():
            console.print(f"wrote {path.relative_to(ROOT)}", highlight=False)
        return 0
    results = figures.load(catalogue.results)
    rows = choose(catalogue.all_rows()[0], options, results)
    failed: list[Measured] = []
    if not options.list and rows:
        found = run(rows, catalogue)
        failed = [each for each in found if each.pair is None]
        results = results | collect(found)
        figures.keep(results, catalogue)
    console.print(show(rows, results))
    for each in failed:
        console.print(f"{each.row}, seed {each.seed}: {each.error}", style="red", highlight=False, markup=False)
    return 1 if failed else 0


def choose(rows: Sequence[Row], options: argparse.Namespace, results: Mapping[str, figures.Result]) -> list[Row]:
    """The rows that are asked for: by name, or all that have no figure."""
    words = [word.casefold() for word in options.words]
    found = [row for row in rows if not options.room or row.item == options.room]
    found = [row for row in found if not words or any(word in row.name.casefold() for word in words)]
    if options.list or words:
        return found
    return [row for row in found if (options.slow or not row.slow) and row.name not in results]


def run(rows: Sequence[Row], catalogue: Catalogue) -> list[Measured]:
    """Measure rows. The same rows of the same commit are one run, which goes on when it was killed."""
    asked = [Asked(row.name, seed, catalogue.package) for row in rows for seed in row.numbers]
    room = catalogue.package.rpartition(".")[2]
    name = hashlib.blake2b(repr((commit(), asked)).encode(), digest_size=6).hexdigest()
    return hw.run(measure_rows, asked, store=str(ROOT / "build" / room), run_id=f"{room}-{name}", progress=True)


def collect(found: Sequence[Measured]) -> dict[str, figures.Result]:
    """The results of the rows of which no seed failed."""
    pairs: defaultdict[str, dict[int, Pair]] = defaultdict(dict)
    for each in found:
        if each.pair is not None:
            pairs[each.row][each.seed] = each.pair
    failed = {each.row for each in found if each.pair is None}
    when, at, here = datetime.now(UTC).isoformat(timespec="seconds"), commit(), machine()
    return {row: figures.Result(of, when, at, here) for row, of in pairs.items() if row not in failed}


def commit() -> str:
    """The commit that is measured, with a plus where files have changed since."""
    command = ["git", "describe", "--always", "--abbrev=7", "--dirty=+", "--exclude=*"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def machine() -> str:
    """What is measured on, in a few words."""
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def show(rows: Sequence[Row], results: Mapping[str, figures.Result]) -> Table:
    """The rows with their figures, for a terminal."""
    table = Table("row", "ours", "baseline", "compared", "", title=f"{len(rows)} rows", title_justify="left")
    for row in rows:
        table.add_row(f"{row.name} ({row.unit})", *figures.figures_of(row, results))
    return table


if __name__ == "__main__":
    sys.exit(main(METHODS, page.write_methods, __doc__ or ""))
