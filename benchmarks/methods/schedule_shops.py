"""CP-SAT on the 162 classic job shops, 30 seconds of two cores each.

python -m benchmarks.methods.schedule_shops              the sweep; the same command goes on where it was killed
python -m benchmarks.methods.schedule_shops --so-far     keep what the sweep has by now, also while it runs

An instance gets 60 s of processor time, for which a busy machine takes longer. The sweep takes up to 81 minutes of two cores, so
its results are kept in `benchmarks/results/job_shops.json`, a line for each instance, and the rows are read from there. An instance
that has reached its best known value, perhaps in less time, is not run again; the others begin with those that were nearest to it.
So far 14 of them had their 60 s; the other results came of 30 s of processor time. The settings were chosen on generated job shops.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from statistics import fmean

import headway as hw
from benchmarks.methods.row import Pair, Row
from benchmarks.sides import ROOT
from headway.bench.schedule.shops import Shop, sweep
from headway.methods.schedule.instances import classic

RESULTS = ROOT / "benchmarks" / "results" / "job_shops.json"
STORE, RUN = ROOT / "build" / "methods", "job-shops"
CPU_S = 60.0
WANTED = 60  # instances whose best known makespan is reached


def load() -> list[Shop]:
    """The results that are kept; none where there is no file."""
    return [Shop(**each) for each in json.loads(RESULTS.read_text())] if RESULTS.exists() else []


def keep(shops: Sequence[Shop]) -> None:
    """Write results beside those that are kept, in the order of the literature."""
    found = {shop.name: shop for shop in [*load(), *shops]}
    lines = [json.dumps(dataclasses.asdict(found[name])) for name in classic.texts() if name in found]
    RESULTS.write_text("[\n" + ",\n".join(lines) + "\n]\n")


def say(shops: Sequence[Shop]) -> str:
    """What came of a sweep, in a line."""
    best, proven = sum(shop.is_best for shop in shops), sum(shop.found <= shop.bound for shop in shops)
    gaps = fmean(shop.gap for shop in shops), fmean(shop.rules / shop.best - 1 for shop in shops)
    spent = sum(shop.cpu_s for shop in shops) / 60
    return (
        f"{len(shops)} of {len(classic.texts())} instances: best known value on {best} ({proven} proven optimal), mean gap "
        f"{gaps[0]:.2%} (best dispatch rule {gaps[1]:.1%}), {spent:.0f} minutes of processor time"
    )


def measure_swept(seed: int) -> Pair:
    """How many instances have results, and how many there are."""
    return Pair(len(load()), len(classic.texts()))


def measure_best(seed: int) -> Pair:
    """On how many the best known value was reached, of those that have results, and on how many it is wanted."""
    return Pair(sum(shop.is_best for shop in load()), WANTED)


def measure_gap(seed: int) -> Pair:
    """The mean gap to the best known value, over those that have results: CP-SAT's, and that of the best dispatch rule."""
    shops = load()
    return Pair(fmean(shop.gap for shop in shops), fmean(shop.rules / shop.best - 1 for shop in shops))


TEST = "tests/methods/schedule/test_cp_sat.py::test_classic_job_shops_end_between_bound_and_rule"
ROWS = [
    Row(
        method="CP-SAT",
        function="headway.methods.schedule.solve",
        item="schedule",
        claim="",
        shows="at most 30 s of two cores on each of the 162 classic job shops",
        baseline="all",
        unit="job shops swept",
        measure=measure_swept,
        compare="difference",
        reached=lambda low, high: low >= 0,
        exact=True,
        test=TEST,
        reason="the sweep is not at its end",
    ),
    Row(
        method="CP-SAT",
        function="headway.methods.schedule.solve",
        item="schedule",
        claim="",
        shows="the best known makespan on at least 60 of the 162 classic job shops",
        baseline="the number that is wanted",
        unit="job shops, of those swept",
        measure=measure_best,
        compare="difference",
        reached=lambda low, high: low >= 0,
        exact=True,
        test=TEST,
        reason="the sweep is not at its end",
    ),
    Row(
        method="CP-SAT",
        function="headway.methods.schedule.solve",
        item="schedule",
        claim="",
        shows="a small mean gap to the best known makespan of the classic job shops",
        baseline="the best of six rules with two schemes",
        unit="share of the best known, over those swept",
        measure=measure_gap,
        compare="difference",
        reached=lambda low, high: high < 0,
        exact=True,
        test=TEST,
    ),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--store", default=str(STORE), help="where the sweep is kept")
    parser.add_argument("--so-far", action="store_true", help="keep what there is, and run nothing")
    options = parser.parse_args()
    if options.so_far:
        calls = hw.view(RUN, store=options.store).calls
        shops = [call.value for call in calls if call.task.endswith("solve_shop") and call.ok]
    else:
        gaps = {shop.name: shop.gap for shop in load()}
        names = sorted((name for name in classic.texts() if gaps.get(name, 1.0) > 0), key=lambda name: gaps.get(name, 1.0))
        shops = hw.run(sweep, names, CPU_S, store=options.store, run_id=RUN, pools={"process": 1}, progress=True)
    keep(shops)
    print(say(load()))


if __name__ == "__main__":
    main()
