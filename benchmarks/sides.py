"""Who takes part, what each needs installed, and how many calls each can be asked for in reasonable time.

Every peer has an environment of its own under `.venv-peers`, because their dependencies exclude each other. It is
made once and reused; delete the folder to get newer releases. A peer that cannot be installed is left out and named
with the reason.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import shapes
from benchmarks.shapes import Shape

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ROOT / ".venv-peers"

QUIET = {
    "DO_NOT_TRACK": "1",
    "ANONYMIZED_TELEMETRY": "false",
    "LANGSMITH_TRACING": "false",
    "LANGCHAIN_TRACING_V2": "false",
    "PREFECT_LOGGING_LEVEL": "ERROR",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "true",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "60",
    "PYTHONDONTWRITEBYTECODE": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
}


@dataclass(frozen=True)
class Side:
    name: str
    module: str
    keeps: str  # what is on disk when a shape is done
    packages: tuple[str, ...] = ()
    most: dict[str, int] = field(default_factory=dict, hash=False)  # calls of a kind beyond which it takes too long

    @property
    def is_peer(self) -> bool:
        return bool(self.packages)


BARE = Side("asyncio", "bare_asyncio", "nothing")
MEMORY = Side("headway memory", "headway_memory", "nothing")
DURABLE = Side("headway durable", "headway_durable", "every outcome, SQLite WAL, synchronous=FULL")
PEERS = (
    Side("parsl threads", "parsl_threads", "nothing", ("parsl",)),
    Side("dask distributed", "dask_cluster", "nothing", ("distributed",), {"fan": 5_000, "tree": 1_023}),
    Side("ray", "ray_local", "nothing", ("ray",), {"tree": 1_023}),
    Side(
        "dbos sqlite",
        "dbos_sqlite",
        "every step, SQLite with its default journal",
        ("dbos",),
        {"fan": 1_000, "chain": 1_000, "tree": 255, "graph": 1_000},
    ),
    Side(
        "langgraph sqlite",
        "langgraph_sqlite",
        "every task's writes, SQLite WAL",
        ("langgraph", "langgraph-checkpoint-sqlite"),
        {"fan": 1_000, "chain": 1_000, "tree": 1_023, "graph": 1_000},
    ),
    Side(
        "prefect",
        "prefect_local",
        "every task run's state, by a local server in SQLite",
        ("prefect", "fastapi<0.150"),  # later releases dropped an argument that Prefect's server still passes
        {"fan": 500, "chain": 250, "tree": 127, "graph": 200},
    ),
)
SIDES = (BARE, MEMORY, DURABLE, *PEERS)

ON_POSTGRES = Side("headway postgres", "headway_postgres", "every outcome, Postgres, synchronous_commit=on")
DBOS_ON_POSTGRES = Side(
    "dbos postgres",
    "dbos_postgres",
    "every step, Postgres, synchronous_commit=on",
    ("dbos",),
    {"fan": 1_000, "chain": 1_000, "tree": 255, "graph": 1_000},
)
MANY_MACHINES = (DURABLE, ON_POSTGRES, DBOS_ON_POSTGRES)
"""Sides on one Postgres server, which HEADWAY_POSTGRES names, beside the folder (`benchmarks.scale_out`)."""


@dataclass(frozen=True)
class Cell:
    """One measurement to take: this side runs that kind of shape with so many calls, for the row of `shape`."""

    side: Side
    shape: str
    kind: str
    calls: int


def plan(sides: list[Side], chosen: list[Shape], scale: float = 1.0) -> list[Cell]:
    """Return the cells to measure. Headway and asyncio also run every size that a slower peer had to be cut down to."""
    cells: list[Cell] = []
    cuts: set[tuple[str, str, int]] = set()
    for side in (side for side in sides if side.is_peer):
        for shape in chosen:
            full = shapes.fit(shape.kind, int(shape.calls * scale))
            most = int(side.most.get(shape.kind, shape.calls) * scale)
            calls = shapes.fit(shape.kind, min(full, most))
            smaller = [s for s in chosen if s.kind == shape.kind and s.calls < shape.calls]
            if any(calls <= shapes.fit(s.kind, int(s.calls * scale)) for s in smaller):
                continue  # the row of the smaller shape has it
            cells.append(Cell(side, shape.name, shape.kind, calls))
            cuts.add((shape.name, shape.kind, calls))
    whole = {(s.name, s.kind, shapes.fit(s.kind, int(s.calls * scale))) for s in chosen}
    for side in (side for side in sides if not side.is_peer):
        cells.extend(Cell(side, *cut) for cut in sorted(whole | cuts))
    return cells


def environment(side: Side) -> tuple[Path, str]:
    """Return the interpreter of a side and, when there is none, a word on why not."""
    if not side.is_peer:
        return Path(sys.executable), ""
    home = ENVIRONMENTS / side.module.split("_")[0]
    python, stamp = home / "bin" / "python", home / "installed"
    wanted = "\n".join(side.packages)
    if stamp.exists() and stamp.read_text() == wanted:
        return python, ""
    if not python.exists():
        venv.create(home, with_pip=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *side.packages]
    try:
        done = subprocess.run(install, capture_output=True, text=True, timeout=900, check=False)
    except subprocess.TimeoutExpired:
        return python, "not installed: pip took longer than 15 minutes"
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["pip failed"]
        return python, f"not installed: {lines[-1][:160]}"
    stamp.write_text(wanted)
    return python, ""


def environ(folder: Path) -> dict[str, str]:
    """Return the variables that a side's process gets: quiet, offline, and writing to its own folder."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    return {**os.environ, **QUIET, "PYTHONPATH": path, "PREFECT_HOME": str(folder / "prefect")}
