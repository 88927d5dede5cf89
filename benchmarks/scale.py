"""What stays true when a run grows: `python -m benchmarks.scale`.

The cost of a call in a durable run of a million against one of ten thousand, the memory of a call while it lives and
after it was joined, the time that a killed run with many finished calls needs to go on, and the round trip through
threads and worker processes.

    python -m benchmarks.scale --quick         a tenth of the calls
    python -m benchmarks.scale --only memory
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import machine, page
from benchmarks.scale_tables import scale_tables
from benchmarks.shapes import WINDOW
from benchmarks.sides import ROOT, environ
from benchmarks.tables import terminal

RESULTS = ROOT / "benchmarks" / "results"
PARTS = ("cost", "memory", "resume", "pools")


class Stopped(Exception):
    """A program ended without an answer."""


def run_program(program: str, calls: int, folder: Path, limit_s: float) -> dict[str, float]:
    """Run one program of `benchmarks.scaling` in a process of its own; raises Stopped."""
    command = [sys.executable, "-m", "benchmarks.scaling", program, str(calls), str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, env=environ(folder), cwd=ROOT, check=False)
    except subprocess.TimeoutExpired:
        raise Stopped(f"{program} with {calls:,} calls took longer than {limit_s:.0f} s") from None
    lines = done.stdout.splitlines()
    if not lines:
        words = [line for line in done.stderr.splitlines() if line.strip()] or ["it said nothing"]
        raise Stopped(f"{program} with {calls:,} calls ended with {done.returncode}: {words[-1][:200]}")
    answer: dict[str, float] = json.loads(lines[-1])
    return answer


class Series:
    """Runs programs, each repeat on a folder of its own, and keeps what they said."""

    def __init__(self, folder: Path, repeats: int, limit_s: float, console: Console) -> None:
        self.folder, self.repeats, self.limit_s, self.console = folder, repeats, limit_s, console
        self.said: dict[str, list[dict[str, float]]] = {}
        self.missing: list[str] = []

    def run(self, *programs: str, calls: int, repeats: int | None = None) -> None:
        """Run the programs one after another on the same folder, some times over."""
        for turn in range(repeats or self.repeats):
            with tempfile.TemporaryDirectory(dir=self.folder) as place:
                for program in programs:
                    self.console.print(f"{program}, {calls:,} calls, {turn + 1} of {repeats or self.repeats}")
                    try:
                        facts = run_program(program, calls, Path(place), self.limit_s)
                    except Stopped as stopped:
                        self.missing.append(str(stopped))
                        return
                    self.said.setdefault(f"{program} {calls}", []).append(facts)

    def data(self) -> dict[str, Any]:
        return {"said": self.said, "missing": self.missing}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", action="append", choices=PARTS, help="a part; repeat for more (all)")
    parser.add_argument("--repeats", type=int, default=3, help="of every part; the largest run is done once (3)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the calls, once")
    parser.add_argument("--limit", type=float, default=900.0, metavar="SECONDS", help="for one program (900)")
    parser.add_argument("--folder", type=Path, default=ROOT / "build", help="where stores lie while measuring (build)")
    parser.add_argument("--out", type=Path, default=RESULTS / "scale.json", help="the file of results")
    parser.add_argument("--write-docs", action="store_true", help="measure nothing, render docs/benchmarks.md")
    return parser.parse_args()


def main() -> None:
    options, console = arguments(), terminal()
    if options.write_docs:
        console.print(f"wrote {page.write(options.out.parent)}")
        return
    part, repeats = (10, 1) if options.quick else (1, options.repeats)
    sizes = {"small": 10_000, "large": 1_000_000 // part, "held": 200_000 // part, "resumed": 100_000 // part}
    sizes["pooled"] = 500 // part
    wanted = options.only or PARTS
    here = machine.describe(options.folder)
    for line in here.lines():
        console.print(line, highlight=False, soft_wrap=True)
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="benchmarks-") as folder:
        series = Series(Path(folder), repeats, options.limit, Console(stderr=True, style="dim", highlight=False))
        if "cost" in wanted:
            series.run("cost", calls=sizes["small"])
            series.run("cost", calls=sizes["large"], repeats=1)
        if "memory" in wanted:
            series.run("memory_rss", calls=sizes["held"])
            series.run("memory_traced", calls=sizes["held"], repeats=1)
        if "resume" in wanted:
            series.run("first", "second", calls=sizes["resumed"])
        if "pools" in wanted:
            series.run("pools", calls=sizes["pooled"])
    data = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": asdict(here),
        "repeats": repeats,
        "sizes": sizes,
        "window": WINDOW,
        **series.data(),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(data, indent=1) + "\n")
    for table in scale_tables(data):
        table.show(console)
    console.print(f"results: {options.out}")


if __name__ == "__main__":
    main()
