"""Measures what the capacity model reckons with: `python -m benchmarks.scale_out.figures`, about two minutes.

One server with durable commits, and processes that do one thing over and over. How often it is done in a second, with several
asking, says for how long the server is busy with one; so the figures are those of the whole server, whatever it has of cores. Kept
in `benchmarks/results/capacity.json`; `python -m benchmarks.scale_out --write-docs` puts them into docs/scale.md.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import headway as hw
from benchmarks.scale_out import served
from benchmarks.scale_out.alone import server
from benchmarks.scale_out.claiming import TASK, fill, measure_claims
from benchmarks.scale_out.model import Figures
from benchmarks.sides import ROOT, environ
from headway.journal.open import open_store
from headway.journal.postgres.address import parse_address
from headway.journal.records import Row, RunSpec
from headway.journal.shared.queues import QueueSettings
from headway.journal.store import Store

KEPT = ROOT / "benchmarks" / "results" / "capacity.json"
SERVED = ROOT / "benchmarks" / "scale_out" / "served.py"
SECONDS, ASKING, MANY_ROWS, BODY = 4.0, 6, 500, bytes(300)
CALLS, CLAIMED, PARKED = 20_000, 10_000, 20_000
FEW, MORE, HELD = 40, 240, 100


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The figures of the model, and what things weigh.

    Attributes:
        figures: seconds of single things; the server counts as one core.
        parked_bytes: of database, for a run that is parked.
        row_bytes: of database, for a row with a body of 300 bytes.
        driven_bytes: of a worker's memory, for a run that it drives.
        sessions: of the server, for a worker.
        machine: what was measured on.
        when: the day.
    """

    figures: Figures
    parked_bytes: float
    row_bytes: float
    driven_bytes: float
    sessions: float
    machine: str
    when: str


def load_measured(path: Path = KEPT) -> Measured | None:
    """What was measured last."""
    if not path.exists():
        return None
    data = json.loads(path.read_text())
    return Measured(**{**data, "figures": Figures(**data["figures"])})


# --- one thing over and over -----------------------------------------------------------------------------------------


def begin_commits(store: Store, rows: int) -> Callable[[], int]:
    """Commits of so many rows to a run of one's own."""
    owner = f"pid {os.getpid()}"
    spec = RunSpec(run_id=f"run-{os.getpid()}-{time.time_ns()}", task=TASK)
    _, lease = store.begin_run(spec, owner, 3600.0, time.time())
    assert lease is not None
    group, seq = [Row(3, bytes([i % 256]) * 16, bytes(16), BODY) for i in range(rows)], 1

    def commit() -> int:
        nonlocal seq
        store.commit(lease, seq, group, time.time())
        seq += rows
        return 1

    return commit


def begin_looks(store: Store, rows: int) -> Callable[[], int]:
    """Looks into a queue in which nothing is due."""

    def look() -> int:
        now = time.time()
        store.sweep_jobs(now)
        store.take_jobs("worker", ["q"], [TASK], 4, 30.0, now)
        return 1

    return look


WORK = {"commits": begin_commits, "looks": begin_looks}


def do(what: str, rows: int, url: str, seconds: float, gate: Any, found: Any) -> None:
    """In a process: do it for so long, and say how often it was done."""
    with open_store(url) as store:
        once = WORK[what](store, rows)
        once()
        gate.wait()
        ends, count = time.monotonic() + seconds, 0
        while time.monotonic() < ends:
            count += once()
    found.put(count / seconds)


def rate(what: str, url: str, *, rows: int = 1, processes: int = ASKING) -> float:
    """How often a second processes do something together."""
    context = multiprocessing.get_context("spawn")
    gate, found = context.Barrier(processes), context.SimpleQueue()
    asking = [context.Process(target=do, args=(what, rows, url, SECONDS, gate, found)) for _ in range(processes)]
    for process in asking:
        process.start()
    for process in asking:
        process.join()
    if any(process.exitcode for process in asking):
        raise RuntimeError(f"{what}: a process failed")
    return float(sum(found.get() for _ in asking))


# --- drivers and workers ---------------------------------------------------------------------------------------------


def worker(url: str, slots: int, *options: str) -> list[str]:
    """The command of a worker of `served.py`."""
    return [sys.executable, "-m", "headway", "worker", str(SERVED), "--store", url, "--slots", str(slots), *options]


def seconds_a_call(url: str) -> float:
    """Of one driver, for a call."""
    command = [sys.executable, "-m", "benchmarks.scale_out.driver", url, str(CALLS)]
    done = subprocess.run(command, input="go\n", capture_output=True, text=True, cwd=ROOT, env=environ(ROOT), check=True)
    began, ended = json.loads(done.stdout.splitlines()[-1])
    return float(ended - began) / CALLS


def seconds_a_turn(url: str) -> float:
    """Of one worker, for a run that makes no calls: that of many less that of few, as a worker takes a while to start."""

    def drain(runs: int) -> float:
        place = f"{url}?schema=turns{runs}"
        with open_store(place) as store:
            for number in range(runs):
                hw.enqueue(served.nothing, number, store=store)
        began = time.monotonic()
        subprocess.run(worker(place, 8, "--drain"), env=environ(ROOT), check=True, capture_output=True, cwd=ROOT)
        return time.monotonic() - began

    return max(1e-4, (drain(MORE) - drain(FEW)) / (MORE - FEW))


def weigh_driven(url: str, runs: int) -> tuple[float, float]:
    """Bytes of memory of a worker that drives so many runs, and its sessions."""
    place = f"{url}?schema=held{runs}"
    with open_store(place) as store:
        for number in range(runs):
            hw.enqueue(served.hold, number, store=store)
    taken = f"SELECT count(*) FROM held{runs}.job WHERE state='taken'"
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name='headway'"
    held = subprocess.Popen(worker(place, runs), env=environ(ROOT), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    try:
        until = time.monotonic() + 120
        while ask(url, taken) < runs:
            if held.poll() is not None or time.monotonic() > until:
                raise RuntimeError("the worker did not take its runs")
            time.sleep(0.2)
        time.sleep(3.0)  # they come to rest
        resident = Path(f"/proc/{held.pid}/statm").read_text().split()[1]
        return float(int(resident) * os.sysconf("SC_PAGE_SIZE")), ask(url, sessions)
    finally:
        held.kill()
        held.wait()


def ask(url: str, query: str) -> float:
    """A number from the server."""
    import psycopg

    with psycopg.connect(parse_address(url).conninfo, application_name="figures") as connection:
        ((found,),) = connection.execute(query).fetchall()
    return float(found)


def weigh(url: str, schema: str, relation: str = "") -> float:
    """Bytes of a table, or of all tables of a schema."""
    one = f"AND relname='{relation}'" if relation else ""
    where = f"relnamespace='{schema}'::regnamespace AND relkind='r' {one}"
    return ask(url, f"SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE {where}")


# --- all of it -------------------------------------------------------------------------------------------------------


def measure(say: Callable[[str], None]) -> Measured:
    """Measure all figures, one after the other."""
    with server() as url:
        say("commits")
        place = f"{url}?schema=commits"
        single = rate("commits", place)
        alone = rate("commits", place, processes=1)
        rows = ask(url, "SELECT count(*) FROM commits.record")
        row_bytes = weigh(url, "commits", "record") / rows
        many = rate("commits", f"{url}?schema=rows", rows=MANY_ROWS)
        commit_s = 1 / single
        say("looks and claims")
        fill(f"{url}?schema=parked", PARKED, 100, state="parked", at=math.inf)
        parked_bytes = weigh(url, "parked") / PARKED
        look_s = 1 / rate("looks", f"{url}?schema=parked")
        options = argparse.Namespace(workers=8, batch=20, jobs=CLAIMED)
        claims = measure_claims(f"{url}?schema=claims", QueueSettings(name="q"), 100, options)
        say("drivers and workers")
        call_s, turn_s = seconds_a_call(f"{url}?schema=calls"), seconds_a_turn(url)
        (one, _), (more, sessions) = weigh_driven(url, 1), weigh_driven(url, 1 + HELD)
    figures = Figures(
        call_s=call_s,
        turn_s=turn_s,
        commit_s=commit_s,
        row_s=max(0.0, 1 / many - commit_s) / MANY_ROWS,
        look_s=look_s,
        claim_s=max(0.0, 1 / claims - look_s / 20),
        reply_s=max(0.0, 1 / alone - commit_s),
    )
    return Measured(
        figures=figures,
        parked_bytes=parked_bytes,
        row_bytes=row_bytes,
        driven_bytes=(more - one) / HELD,
        sessions=sessions,
        machine=f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        when=datetime.now(UTC).date().isoformat(),
    )


def main() -> None:
    from rich.console import Console

    found = measure(Console(stderr=True).print)
    KEPT.write_text(json.dumps(asdict(found), indent=1) + "\n")
    print(KEPT.read_text())


if __name__ == "__main__":
    main()
