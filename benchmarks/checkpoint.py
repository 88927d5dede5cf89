"""Saving and loading beside torch.distributed.checkpoint: `python -m benchmarks.checkpoint`.

A training of Linear layers with AdamW, whose state has 1 and 2 GiB, on 1 and 2 gloo processes. In the same run and in turns: what
a save costs the training, how long it takes until it is durable and what the disk can do at most, verified loads from a cold page
cache, loads under another layout, bytes read, and memory above the state.

    python -m benchmarks.checkpoint --quick                a few minutes, 256 MiB
    python -m benchmarks.checkpoint --size 1 --processes 2 --only saving
    python -m benchmarks.checkpoint --write-docs           render docs/benchmarks.md from the results kept
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import machine, page
from benchmarks.checkpoint_memory import Eye
from benchmarks.checkpoint_tables import checkpoint_tables
from benchmarks.sides import ROOT, environ
from benchmarks.tables import terminal

RESULTS = ROOT / "benchmarks" / "results"
PARTS = ("saving", "loading", "columns", "row", "memory")
GIB = 1 << 30


class Stopped(Exception):
    """A gang ended without an answer."""


class Runner:
    """Runs gangs, one after another, and keeps what they measured."""

    def __init__(self, repeats: int, patience_s: float, limit_s: float, console: Console) -> None:
        self.repeats, self.patience_s, self.limit_s, self.console = repeats, patience_s, limit_s, console
        self.missing: list[str] = []
        self._gangs = 0

    def run(self, program: str, size: int, folder: Path, nbytes: int, repeats: int | None = None) -> dict[str, Any]:
        """What the gang's first process said; nothing, and a note why, where it ended without a word."""
        self.console.print(f"{program}, {nbytes / GIB:g} GiB, {size} processes")
        try:
            return self._run(program, size, folder, nbytes, self.repeats if repeats is None else repeats)
        except Stopped as stopped:
            self.missing.append(f"{program}, {nbytes / GIB:g} GiB, {size} processes: {stopped}")
            self.console.print(self.missing[-1])
            return {}

    def _run(self, program: str, size: int, folder: Path, nbytes: int, repeats: int) -> dict[str, Any]:
        self._gangs += 1
        gang = [self._start(program, rank, size, folder, nbytes, repeats) for rank in range(size)]
        eye = Eye([each.pid for each in gang]) if program == "memory" else None
        try:
            said = gang[0].communicate(timeout=self.limit_s)[0]
            for each in gang[1:]:
                each.wait(60)
        except subprocess.TimeoutExpired:
            raise Stopped(f"took longer than {self.limit_s:.0f} s") from None
        finally:
            for each in gang:
                each.kill()
                each.wait()
            if eye is not None:
                eye.close()
        lines = said.splitlines()
        if any(each.returncode for each in gang) or not lines:
            raise Stopped(" ".join(_last_words(folder, size)))
        found: dict[str, Any] = json.loads(lines[-1])
        if eye is not None:
            found["peaks"] = {name: eye.peak_above(tuple(window)) for name, window in found["windows"].items()}
        return found

    def _start(self, program: str, rank: int, size: int, folder: Path, nbytes: int, repeats: int) -> subprocess.Popen[str]:
        words = [program, rank, size, folder, nbytes, repeats, self.patience_s]
        with (folder / f"stderr-{rank}.txt").open("w") as errors:
            return subprocess.Popen(
                [sys.executable, "-m", "benchmarks.checkpoint_gang", *map(str, words)],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=ROOT,
                env={**environ(folder), "GANG": str(self._gangs), "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // size))},
            )


def _last_words(folder: Path, size: int) -> list[str]:
    words = []
    for rank in range(size):
        lines = [line for line in (folder / f"stderr-{rank}.txt").read_text(errors="replace").splitlines() if line.strip()]
        words.append(f"rank {rank}: {lines[-1][:300] if lines else 'it said nothing'}")
    return [word for word in words if "gloo" not in word] or words  # gloo only complains of the other


def measure(options: argparse.Namespace, runner: Runner) -> list[dict[str, Any]]:
    """What was measured, by size of state and number of processes."""
    found = []
    for gib in options.size:
        nbytes = int(gib * GIB)
        for processes in options.processes:
            case: dict[str, Any] = {"nbytes": nbytes, "processes": processes}
            with tempfile.TemporaryDirectory(dir=options.folder, prefix="benchmarks-") as place:
                folder = Path(place)
                wanted = [part for part in PARTS if part in options.only]
                if "saving" in wanted:
                    saved = case["saving"] = runner.run("saving", processes, folder, nbytes)
                elif "loading" in wanted:
                    saved = runner.run("saving", processes, folder, nbytes, repeats=0)  # something to load
                if "loading" in wanted and saved:
                    loads = {"loading": processes} | ({"fewer": 1} if processes > 1 else {})
                    for name, size in loads.items():
                        case[name] = runner.run("loading", size, folder, nbytes)
                        if case[name]:
                            case[name]["saved"] = saved["hash"]
                shutil.rmtree(folder / "ours", ignore_errors=True)
                shutil.rmtree(folder / "dcp", ignore_errors=True)
                if "columns" in wanted and processes > 1:
                    case["columns"] = runner.run("columns", processes, folder, nbytes)
                if "row" in wanted and processes == 1:
                    case["row"] = runner.run("row", 1, folder, nbytes)
                if "memory" in wanted:
                    case["memory"] = runner.run("memory", processes, folder, nbytes)
            found.append(case)
    return found


def together(kept: list[dict[str, Any]], measured: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was measured, and of the same cases what was measured before and was not asked for now."""
    before = {(case["nbytes"], case["processes"]): case for case in kept}
    return [before.get((case["nbytes"], case["processes"]), {}) | case for case in measured]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checkpoint", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", action="append", choices=PARTS, help="a part; repeat for more (all); others stay")
    parser.add_argument("--size", action="append", type=float, metavar="GIB", help="of the state; repeat for more (1 and 2)")
    parser.add_argument("--processes", action="append", type=int, help="repeat for more (1 and 2)")
    parser.add_argument("--repeats", type=int, default=5, help="rounds; a result is the median (5)")
    parser.add_argument("--quick", action="store_true", help="a state of 256 MiB")
    parser.add_argument(
        "--patience", type=float, default=10.0, metavar="SECONDS", help="to wait before a round while other work goes on (10)"
    )
    parser.add_argument("--limit", type=float, default=1200.0, metavar="SECONDS", help="for one gang (1200)")
    parser.add_argument("--folder", type=Path, default=ROOT / "build", help="on which disk to measure (build)")
    parser.add_argument("--out", type=Path, default=RESULTS / "checkpoint.json", help="the file of results")
    parser.add_argument("--write-docs", action="store_true", help="measure nothing, render docs/benchmarks.md")
    options = parser.parse_args()
    options.only = options.only or list(PARTS)
    options.size = options.size or ([0.25] if options.quick else [1.0, 2.0])
    options.processes = options.processes or [1, 2]
    return options


def main() -> None:
    options, console = arguments(), terminal()
    if options.write_docs:
        console.print(f"wrote {page.write(options.out.parent)}")
        return
    here = machine.describe(options.folder)
    for line in here.lines():
        console.print(line, highlight=False, soft_wrap=True)
    runner = Runner(
        options.repeats, options.patience, options.limit, Console(stderr=True, style="dim", highlight=False, markup=False)
    )
    kept = json.loads(options.out.read_text())["cases"] if set(options.only) < set(PARTS) and options.out.exists() else []
    data = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": asdict(here),
        "repeats": options.repeats,
        "cases": together(kept, measure(options, runner)),
        "missing": runner.missing,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(data, indent=1) + "\n")
    for table in checkpoint_tables(data):
        table.show(console)
    console.print(f"results: {options.out}")


if __name__ == "__main__":
    main()
