"""Rounds of measurements: one side's process at a time, every side once a round, so that a slow minute falls on all of
them.

In each round a side gets a fresh process that starts its cluster or server untimed, then for each shape a small
warm-up and one timed run. A shape that takes longer than the limit, or fails, is that side's alone to lose: its
process is replaced and the reason kept.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import shapes
from benchmarks.sides import MANY_MACHINES, SIDES, Cell, Side, environ, environment

START_LIMIT_S = 120.0
WARM_CALLS = {"fan": 100, "chain": 20, "tree": 31, "graph": 60}


@dataclass
class Results:
    """What was measured: seconds by cell, seconds of the empty runs timed beside them, and why something is missing."""

    seconds: dict[Cell, list[float]] = field(default_factory=dict)
    cpu: dict[Cell, list[float]] = field(default_factory=dict)  # seconds of CPU of the side's own process, all its threads
    empty: dict[Cell, list[float]] = field(default_factory=dict)  # on a fresh store
    again: dict[Cell, list[float]] = field(default_factory=dict)  # on a store that is there
    versions: dict[Side, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)  # side, or side and shape, to reason

    def cell(self, side: Side, shape: str) -> Cell | None:
        """Return the largest measured cell of a side in a shape's row."""
        found = [c for c, s in self.seconds.items() if c.side == side and c.shape == shape and s]
        return max(found, key=lambda cell: cell.calls, default=None)

    def median_s(self, side: Side, like: Cell) -> float | None:
        """Return the median seconds that a side took for a cell of the same row, kind and size."""
        seconds = self.seconds.get(Cell(side, like.shape, like.kind, like.calls))
        return median(seconds) if seconds else None

    def marginal_s(self, side: Side, like: Cell) -> float | None:
        """Return the same less the empty run that was timed right after each of them."""
        cell = Cell(side, like.shape, like.kind, like.calls)
        pairs = zip(self.seconds.get(cell, ()), self.empty.get(cell, ()), strict=True)
        rest = [whole - empty for whole, empty in pairs]
        return max(0.0, median(rest)) if rest else None

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        return {
            "cells": [
                {"side": c.side.name, "shape": c.shape, "kind": c.kind, "calls": c.calls, "seconds": s}
                | {name: kept[c] for name, kept in (("cpu", self.cpu), ("empty", self.empty), ("again", self.again)) if c in kept}
                for c, s in self.seconds.items()
            ],
            "versions": {side.name: version for side, version in self.versions.items()},
            "missing": self.missing,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Results:
        """Return what `to_json` was made from; sides that no longer take part are dropped."""
        sides = {side.name: side for side in (*SIDES, *MANY_MACHINES)}
        cells = {Cell(sides[c["side"]], c["shape"], c["kind"], c["calls"]): c for c in data["cells"] if c["side"] in sides}
        return cls(
            seconds={cell: c["seconds"] for cell, c in cells.items()},
            cpu={cell: c["cpu"] for cell, c in cells.items() if "cpu" in c},
            empty={cell: c["empty"] for cell, c in cells.items() if "empty" in c},
            again={cell: c["again"] for cell, c in cells.items() if "again" in c},
            versions={sides[name]: version for name, version in data["versions"].items() if name in sides},
            missing=data["missing"],
        )


class Lost(Exception):
    """The side's process ended, failed to start or ran past its limit."""


class Worker:
    """A side's process, and the thread that reads its answers."""

    def __init__(self, side: Side, python: Path, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.answers: queue.Queue[str] = queue.Queue()
        self.log = folder / "stderr.txt"
        with self.log.open("w") as errors:
            self.process = subprocess.Popen(
                [str(python), "-m", "benchmarks.peers.worker", side.module, str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=folder,
                env=environ(folder),
                start_new_session=True,
            )
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self.version = str(self._answer(START_LIMIT_S)["version"])
        except BaseException:
            self.kill()
            raise

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.answers.put(line)
        self.answers.put("")

    def _answer(self, limit_s: float) -> dict[str, Any]:
        try:
            line = self.answers.get(timeout=limit_s)
        except queue.Empty:
            raise Lost(f"took longer than {limit_s:.0f} s") from None
        if not line:
            raise Lost(f"its process ended: {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise Lost(" ".join(str(answer["error"]).split())[:200])
        return answer

    def _last_words(self) -> str:
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1][:200] if lines else "it said nothing"

    def ask(self, kind: str, calls: int, limit_s: float) -> dict[str, Any]:
        """Have it run one shape; raises Lost."""
        assert self.process.stdin is not None
        warm = shapes.fit(kind, min(calls, WARM_CALLS[kind]))
        try:
            self.process.stdin.write(json.dumps({"kind": kind, "calls": calls, "warm": warm}) + "\n")
            self.process.stdin.flush()
        except OSError:
            raise Lost(f"its process ended: {self._last_words()}") from None
        return self._answer(limit_s)

    def stop(self) -> None:
        """Close it politely, then surely."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=30)
        self.kill()

    def kill(self) -> None:
        """End the process and every process it started that is still there."""
        for pid in [*_descendants(self.process.pid), self.process.pid]:
            if pid == self.process.pid and self.process.poll() is not None:
                continue
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


def _descendants(root: int) -> list[int]:
    """Return the processes that are in the session which the worker opened, and those under them."""
    rows: list[tuple[int, int, int]] = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            rows.append((int(entry.name), int(fields[1]), int(fields[3])))
    found = {pid for pid, _, session in rows if session == root and pid != root}
    while more := {pid for pid, parent, _ in rows if (parent in found or parent == root) and pid not in found}:
        found |= more
    return sorted(found - {root})


def run(cells: list[Cell], repeats: int, limit_s: float, folder: Path, say: Callable[[str], None]) -> Results:
    """Measure every cell `repeats` times, in rounds."""
    results = Results(seconds={cell: [] for cell in cells})
    by_side: dict[Side, list[Cell]] = {}
    for cell in cells:
        by_side.setdefault(cell.side, []).append(cell)
    pythons: dict[Side, Path] = {}
    for side in by_side:
        say(f"environment of {side.name}")
        pythons[side], why = environment(side)
        if why:
            results.missing[side.name] = why
            del pythons[side]
    order = list(pythons)
    for turn in range(repeats):
        for side in order[turn % len(order) :] + order[: turn % len(order)]:
            began = time.perf_counter()
            _run_side(side, pythons[side], by_side[side], results, limit_s, folder / f"{side.module}-{turn}")
            say(f"round {turn + 1} of {repeats}: {side.name}, {time.perf_counter() - began:.1f} s")
    return results


def _run_side(side: Side, python: Path, cells: list[Cell], results: Results, limit_s: float, folder: Path) -> None:
    worker: Worker | None = None
    try:
        for cell in cells:
            if f"{side.name}, {cell.shape}" in results.missing or side.name in results.missing:
                continue
            try:
                if worker is None:
                    worker = Worker(side, python, folder)
                    results.versions[side] = worker.version
            except Lost as lost:
                results.missing[side.name] = f"did not start: {lost}"
                return
            try:
                answer = worker.ask(cell.kind, cell.calls, limit_s)
            except Lost as lost:
                results.missing[f"{side.name}, {cell.shape}"] = f"{cell.calls:,} calls: {lost}"
                worker.kill()
                worker = None
                continue
            results.seconds[cell].append(answer["seconds"])
            results.cpu.setdefault(cell, []).append(answer["cpu_s"])
            if "empty_s" in answer:
                results.empty.setdefault(cell, []).append(answer["empty_s"])
                results.again.setdefault(cell, []).append(answer["again_s"])
    finally:
        if worker is not None:
            worker.stop()
        shutil.rmtree(folder, ignore_errors=True)
