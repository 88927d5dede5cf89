"""What many runs need, by the capacity model and the figures that were measured; and how far the model is from the simulator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.methods.row import Held, Pair, Row
from benchmarks.scale_out.figures import HELD, Measured, load_measured
from benchmarks.scale_out.model import LOOK_S, SMALL, Figures, Fleet, Load, demand, forecast
from benchmarks.scale_out.simulated import simulate
from benchmarks.sides import ROOT
from benchmarks.tables import number

PAGE = ROOT / "docs" / "scale.md"
MARKS = ("<!-- capacity -->", "<!-- /capacity -->")
FULL = 0.7  # busier than this nothing should be planned to be
SLOTS = HELD  # of a worker: runs that it drives at a time
SESSIONS = 100  # of a server: `max_connections` as it comes
WITHIN = 0.15  # of the simulated rate is what the model may be off at most; stated before it was measured
TURNS = 8  # of each run, that are counted


# --- the model beside the simulator ----------------------------------------------------------------------------------

SLOW_DISK = Figures(call_s=1e-4, turn_s=2e-3, commit_s=2e-3, row_s=5e-6, look_s=1e-3, claim_s=3e-4, reply_s=5e-4)
TWO_CORES = Figures(call_s=5e-4, turn_s=2e-3, commit_s=1e-3, row_s=1e-5, look_s=2e-3, claim_s=6e-4, reply_s=5e-4, cores=2)
POINTS: dict[str, tuple[Figures, Load, Fleet]] = {
    "nothing is full": (SMALL, Load(runs=60, rounds=5, lasts_s=0.5, parked_s=10.0), Fleet(workers=2, slots=20)),
    "slots are full": (SMALL, Load(runs=60, rounds=5, lasts_s=0.5), Fleet(workers=2, slots=10)),
    "drivers are full": (SMALL, Load(runs=60, rounds=5, wide=64, lasts_s=0.1), Fleet(workers=2, slots=40)),
    "commits of many calls fill the server": (SLOW_DISK, Load(runs=60, rounds=4, wide=20, lasts_s=0.2), Fleet(workers=2, slots=40)),
    "the server is nearly full": (SMALL, Load(runs=60, rounds=10, lasts_s=0.05), Fleet(workers=4, slots=20)),
    "the server is full": (SMALL, Load(runs=110, rounds=10, lasts_s=0.05), Fleet(workers=4, slots=30)),
    "a server of two cores is full": (TWO_CORES, Load(runs=110, rounds=10, lasts_s=0.05), Fleet(workers=4, slots=30)),
    "claims fill the server": (SMALL, Load(runs=120, rounds=1, lasts_s=0.05), Fleet(workers=8, slots=15)),
    "most runs are parked": (SMALL, Load(runs=100, rounds=5, wide=4, lasts_s=0.5, parked_s=30.0), Fleet(workers=3, slots=20)),
}
"""Loads in each of which something else is full first."""


def off_by(point: str, seed: int) -> float:
    """By which part of the simulated rate the model is off, either way."""
    figures, load, fleet = POINTS[point]
    return abs(forecast(figures, load, fleet).turns / simulate(figures, load, fleet, turns=TURNS * load.runs, seed=seed) - 1)


def largest(seed: int) -> Pair:
    """The largest error of all points in per cent, beside what is allowed."""
    return Pair(100 * max(off_by(point, seed) for point in POINTS), 100 * WITHIN)


# --- what runs need --------------------------------------------------------------------------------------------------

LOADS: Sequence[tuple[str, Load]] = (
    ("agents: 20 answers of 5 s, one after the other; always at work", Load(runs=1, rounds=20, lasts_s=5.0)),
    ("fan-outs: 10 rounds of 100 answers of 5 s; always at work", Load(runs=1, rounds=10, wide=100, lasts_s=5.0)),
    ("agents that wait for people: 20 answers, then parked for an hour", Load(runs=1, rounds=20, lasts_s=5.0, parked_s=3600.0)),
    ("reminders: one call of 1 s, then parked for a day", Load(runs=1, rounds=1, lasts_s=1.0, parked_s=86_400.0)),
)
SIZES = (1_000, 10_000, 100_000, 1_000_000)


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What so many runs need when nothing is to be busier than `FULL`."""

    turns: float  # a second
    calls: float  # a second
    driven: float  # runs that some worker has, on average
    cores: float  # of drivers
    workers: int
    servers: float  # of the kind that was measured
    sessions: float
    memory: float  # bytes of all workers
    database: float  # bytes for the runs themselves, without their history
    history: float  # bytes of rows a day


def needs(measured: Measured, load: Load, runs: int) -> Needs:
    """What so many runs of a load need."""
    figures = measured.figures
    stay_s = load.answers_s + load.calls * figures.call_s + figures.turn_s + load.rounds * (figures.commit_s + figures.reply_s)
    each = demand(figures, load, stay_s)
    turns = runs / (stay_s + load.parked_s)
    driven, cores = turns * stay_s, turns * each.driver_s / FULL
    workers = max(1, math.ceil(cores), math.ceil(driven / SLOTS / FULL))
    looks_s = workers / LOOK_S * figures.look_s  # of workers with free slots
    return Needs(
        turns=turns,
        calls=turns * load.calls,
        driven=driven,
        cores=cores,
        workers=workers,
        servers=(turns * each.server_s + looks_s) / FULL,
        sessions=workers * measured.sessions,
        memory=driven * measured.driven_bytes,
        database=runs * measured.parked_bytes,
        history=turns * load.calls * measured.row_bytes * 86_400,
    )


def most_runs(measured: Measured, load: Load) -> dict[str, float]:
    """How many concurrent runs of a load fill one of each."""
    many = 10**9  # so many that no part of a worker is left over
    them = needs(measured, load, many)
    for_slots, for_core = SLOTS * FULL * many / them.driven, many / them.cores
    return {
        "core": for_core,
        "slots": for_slots,
        "sessions": max(1.0, SESSIONS // measured.sessions) * min(for_slots, for_core),
        "server": many / them.servers,
    }


# --- the page --------------------------------------------------------------------------------------------------------


def tables(measured: Measured) -> str:
    """The figures, what fills each thing, and what a million runs need, for docs/scale.md."""
    figures = measured.figures
    one = [
        ("`call_s`", "a driver's core, for a call", f"{1e6 * figures.call_s:,.0f} µs"),
        ("`turn_s`", "a driver's core, to take a run up and give it back", f"{1e3 * figures.turn_s:.1f} ms"),
        ("`commit_s`", "the server, for a commit or a renewal", f"{1e6 * figures.commit_s:,.0f} µs"),
        ("`row_s`", "the server, for each row of it", f"{1e6 * figures.row_s:.1f} µs"),
        ("`look_s`", "the server, for a look into the queues that finds nothing", f"{1e6 * figures.look_s:,.0f} µs"),
        ("`claim_s`", "the server, for each run that is claimed", f"{1e6 * figures.claim_s:,.0f} µs"),
        ("`reply_s`", "disk and network, for a statement", f"{1e6 * figures.reply_s:,.0f} µs"),
        ("", "database, for a parked run", f"{number(measured.parked_bytes)} bytes"),
        ("", "database, for a row of 300 bytes", f"{number(measured.row_bytes)} bytes"),
        ("", "a worker's memory, for a run that it drives", f"{measured.driven_bytes / 1e3:,.0f} kB"),
        ("", "sessions of the server, for a worker", number(measured.sessions)),
    ]
    lines = [f"Measured on {measured.when} on {measured.machine}, which carried the server and all who asked it.", ""]
    lines += _table(("", "what it takes", "one of it"), one)
    lines += ["", f"So many concurrent runs fill one of each to {FULL:.0%}:", ""]
    full = [
        (name, *(f"{_round(found):,}" for found in most_runs(measured, load).values()), _next(measured, load))
        for name, load in LOADS
    ]
    columns = ("load", "a driver's core", f"a worker's {SLOTS} slots", f"{SESSIONS} sessions", "a server", "so add first")
    lines += _table(columns, full)
    for name, load in LOADS:
        rows = [_cells(needs(measured, load, runs), runs) for runs in SIZES]
        lines += ["", f"**{name[0].upper()}{name[1:]}**", "", *_table(COLUMNS, rows)]
    return "\n".join(lines)


COLUMNS = ("runs", "calls/s", "driven", "cores", "workers", "servers", "sessions", "memory", "database", "history a day")


def _cells(found: Needs, runs: int) -> tuple[str, ...]:
    whole = (f"{_round(found.calls):,}", f"{_round(found.driven):,}", f"{math.ceil(found.cores):,}", f"{found.workers:,}")
    sizes = (_bytes(found.memory), _bytes(found.database), _bytes(found.history))
    return (f"{runs:,}", *whole, f"{found.servers:.2g}" if found.servers < 1 else f"{math.ceil(found.servers):,}",
            f"{_round(found.sessions):,}", *sizes)  # fmt: skip


ADDED = {
    "core": "workers",
    "slots": "workers",
    "sessions": "a pooler",
    "server": "a larger server, then another one",
}


def _next(measured: Measured, load: Load) -> str:
    """What is to be added, in the order in which it is needed."""
    found = most_runs(measured, load)
    order = dict.fromkeys(ADDED[name] for name in sorted(found, key=lambda each: found[each]))
    return "; ".join(order)


def _round(value: float) -> int:
    """Two digits that count: more would claim what no model knows."""
    if value < 1:
        return math.ceil(value)
    digits = 1 - math.floor(math.log10(value))
    return int(round(value, min(0, digits)))


def _bytes(value: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if value >= size:
            return f"{number(value / size)} {unit}"
    return f"{number(value / 1e3)} kB"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(columns)} |", "|---" + "|---:" * (len(columns) - 1) + "|"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]


def page() -> str:
    """docs/scale.md with the tables of what was measured last."""
    text = PAGE.read_text()
    measured = load_measured()
    if measured is None:
        return text
    before, _, rest = text.partition(MARKS[0])
    return f"{before}{MARKS[0]}\n{tables(measured)}\n{MARKS[1]}{rest.partition(MARKS[1])[2]}"


ROWS: list[Row | Held] = [
    Row(
        method="Capacity",
        function="headway.enqueue",
        item="simulation",
        claim="what a fleet makes of a load follows from what single things cost",
        shows=f"the model is within {WITHIN:.0%} of the simulated rate, whatever is full first",
        baseline=f"{WITHIN:.0%}",
        unit="% off at most",
        measure=largest,
        reached=lambda low, high: high <= 1,
        test="tests/sim/test_capacity.py::test_the_model_is_near_the_simulator_whatever_is_full",
    ),
]
