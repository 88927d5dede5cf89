"""What one call costs: `python -m benchmarks.overhead`.

Runs the shapes of `benchmarks.shapes` on bare asyncio, on Headway in memory and durable, and on six peers in
environments of their own, in rounds, and prints the median cost of a call, the ratios, and which targets are reached.
Results go to a JSON file.

    python -m benchmarks.overhead --quick                     a few minutes, a tenth of the calls
    python -m benchmarks.overhead --no-peers --shapes fan-20k
    python -m benchmarks.overhead --only "headway durable" --only ray
    python -m benchmarks.overhead --write-docs                render docs/benchmarks.md from the results kept
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from benchmarks import machine, measure, page
from benchmarks.overhead_tables import overhead_tables
from benchmarks.shapes import SHAPES
from benchmarks.sides import ROOT, SIDES, plan
from benchmarks.tables import terminal

RESULTS = ROOT / "benchmarks" / "results"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--shapes", action="append", choices=list(SHAPES), help="a shape; repeat for more (all)")
    parser.add_argument("--only", action="append", choices=[s.name for s in SIDES], help="a side; repeat for more (all)")
    parser.add_argument("--no-peers", action="store_true", help="asyncio and Headway alone")
    parser.add_argument("--repeats", type=int, default=5, help="rounds; a result is the median (5)")
    parser.add_argument("--quick", action="store_true", help="two rounds with a tenth of the calls")
    parser.add_argument("--limit", type=float, default=120.0, metavar="SECONDS", help="for one shape of one side (120)")
    parser.add_argument("--folder", type=Path, default=ROOT / "build", help="where stores lie while measuring (build)")
    parser.add_argument("--out", type=Path, default=RESULTS / "overhead.json", help="the file of results")
    parser.add_argument("--write-docs", action="store_true", help="measure nothing, render docs/benchmarks.md")
    return parser.parse_args()


def main() -> None:
    options, console = arguments(), terminal()
    if options.write_docs:
        console.print(f"wrote {page.write(options.out.parent)}")
        return
    sides = [s for s in SIDES if (not options.only or s.name in options.only) and not (options.no_peers and s.is_peer)]
    chosen = [SHAPES[name] for name in options.shapes or SHAPES]
    scale, repeats = (0.1, 2) if options.quick else (1.0, options.repeats)
    here = machine.describe(options.folder)
    for line in here.lines():
        console.print(line, highlight=False, soft_wrap=True)
    log = Console(stderr=True, style="dim", highlight=False)
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="benchmarks-") as folder:
        results = measure.run(plan(sides, chosen, scale), repeats, options.limit, Path(folder), log.print)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    data = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": asdict(here),
        "repeats": repeats,
        "scale": scale,
        **results.to_json(),
    }
    options.out.write_text(json.dumps(data, indent=1) + "\n")
    for table in overhead_tables(results):
        table.show(console)
    console.print(f"results: {options.out}")


if __name__ == "__main__":
    main()
