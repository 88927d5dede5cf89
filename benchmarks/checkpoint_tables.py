"""What the checkpoint benchmark says, each value beside what was wanted."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any, NamedTuple

from benchmarks.checkpoint_calm import CALM_SHARE
from benchmarks.tables import Table, number

MIB = 1 << 20
BLOCK_BYTES = 4 * MIB

Case = dict[str, Any]
Value = Callable[[Case], float | None]


class Goal(NamedTuple):
    """A row: what it is, how it is wanted, its value in a case (None: not measured), how to print it, the most it may be."""

    what: str
    wanted: str
    value: Value
    show: Callable[[float], str]
    most: float


def percent(value: float) -> str:
    return f"{number(value * 100)} %"


def times(value: float) -> str:
    return f"{value:.3g}x"


def mib(value: float) -> str:
    return f"{value / MIB:,.1f} MiB"


def seconds(value: float) -> str:
    return f"{value:.3f}"


def middle(case: Case, part: str, *names: str) -> float | None:
    """The median over the rounds of a part of the sum of some values."""
    rounds = case.get(part, {}).get("rounds")
    return median(sum(each[name] for name in names) for each in rounds) if rounds else None


def share(part: str, ours: tuple[str, ...], theirs: str) -> Value:
    def value(case: Case) -> float | None:
        one, other = middle(case, part, *ours), middle(case, part, theirs)
        return one / other if one is not None and other else None

    return value


def raw_s(case: Case) -> float | None:
    """The raw limit: the median of all times that it was measured, twice a round."""
    rounds = case.get("saving", {}).get("rounds")
    return median(each[name] for each in rounds for name in ("raw_s", "raw_again_s")) if rounds else None


def against_raw(name: str) -> Value:
    def value(case: Case) -> float | None:
        one, raw = middle(case, "saving", name), raw_s(case)
        return one / raw if one is not None and raw else None

    return value


def read_share(part: str) -> Value:
    def value(case: Case) -> float | None:
        read = middle(case, part, "ours_read")
        return read / case[part]["needed"] if read is not None else None

    return value


def above(name: str, state: float) -> Value:
    """The peak above the state, less so many times the state."""

    def value(case: Case) -> float | None:
        peaks = case.get("memory", {}).get("peaks")
        return float(peaks[name][0] - state * case["memory"]["nbytes"]) if peaks else None

    return value


def part(name: str, key: str) -> Value:
    return lambda case: middle(case, name, key)


RAW_READING = ("raw_direct_s", "raw_cached_s")


def raw_read_s(name: str) -> Value:
    """Raw reading of the files that a part loads: the faster of two ways."""

    def value(case: Case) -> float | None:
        found = [middle(case, name, way) for way in RAW_READING]
        return min((each for each in found if each is not None), default=None)

    return value


def fastest_of_dcp(name: str) -> Value:
    """The fastest raw reading of all rounds, of what `dcp.load` takes: less than that can't be wanted of this disk."""

    def value(case: Case) -> float | None:
        rounds, dcp_s = case.get(name, {}).get("rounds"), middle(case, name, "dcp_s")
        return min(each[way] for each in rounds for way in RAW_READING) / dcp_s if rounds and dcp_s else None

    return value


GOALS = (
    Goal(
        "training blocked by a save, of `dcp.save`",
        "≤ 2 %",
        share("saving", ("ours_call_s", "ours_wait_s"), "dcp_save_s"),
        percent,
        0.02,
    ),
    Goal(
        "training time lost to a save, of what `dcp.async_save` loses",
        "≤ 30 %",
        share("saving", ("ours_lost_s",), "dcp_lost_s"),
        percent,
        0.30,
    ),
    Goal("durable, waited for, of raw writing", "≤ 1.15x", against_raw("ours_durable_s"), times, 1.15),
    Goal("durable, behind the training, of raw writing", "≤ 1.15x", against_raw("ours_behind_s"), times, 1.15),
    Goal("cold load, of `dcp.load`", "≤ 0.5x", share("loading", ("ours_s",), "dcp_s"), times, 0.5),
    Goal("cold load on 1 process instead of 2", "≤ 0.5x", share("fewer", ("ours_s",), "dcp_s"), times, 0.5),
    Goal("cold load of rows as columns", "≤ 0.5x", share("columns", ("ours_s",), "dcp_s"), times, 0.5),
    Goal("bytes read, of those needed", "1x", read_share("loading"), times, 1.0),
    Goal("the same on 1 process instead of 2", "1x", read_share("fewer"), times, 1.0),
    Goal("the same of rows as columns", "1x", read_share("columns"), times, 1.0),
    Goal("read for a row of 4 KiB", "≤ 4 MiB", part("row", "read"), mib, BLOCK_BYTES),
    Goal("memory above the state and a copy, saving", "≤ 64 MiB", above("ours save", 1), mib, 64 * MIB),
    Goal("memory above the state, loading", "≤ 256 MiB", above("ours load", 0), mib, 256 * MIB),
)

FACTS: tuple[tuple[str, Value, Callable[[float], str]], ...] = (
    ("a step without a save", lambda case: _base(case, 0), seconds),
    ("forward and backward of it", lambda case: _base(case, 1), seconds),
    ("ours: call of `save`", part("saving", "ours_call_s"), seconds),
    ("ours: optimizer waits for the copy", part("saving", "ours_wait_s"), seconds),
    ("ours: copy, behind forward and backward", part("saving", "ours_copy_s"), seconds),
    ("ours: training time lost in all", part("saving", "ours_lost_s"), seconds),
    ("ours: durable, behind the training", part("saving", "ours_behind_s"), seconds),
    ("ours: durable, waited for", part("saving", "ours_durable_s"), seconds),
    ("`dcp.async_save`: call", part("saving", "dcp_call_s"), seconds),
    ("`dcp.async_save`: training time lost in all", part("saving", "dcp_lost_s"), seconds),
    ("`dcp.async_save`: done", part("saving", "dcp_behind_s"), seconds),
    ("`dcp.save`", part("saving", "dcp_save_s"), seconds),
    ("raw writing, `O_DIRECT` and fsync", raw_s, seconds),
    ("ours: cold load, verified", part("loading", "ours_s"), seconds),
    ("`dcp.load`, cold", part("loading", "dcp_s"), seconds),
    ("raw reading, the faster of two ways", raw_read_s("loading"), seconds),
    ("the fastest raw reading of all rounds, of `dcp.load`", fastest_of_dcp("loading"), times),
    ("ours: on 1 process instead of 2", part("fewer", "ours_s"), seconds),
    ("`dcp.load` of that", part("fewer", "dcp_s"), seconds),
    ("raw reading of that", raw_read_s("fewer"), seconds),
    ("the fastest, of `dcp.load`", fastest_of_dcp("fewer"), times),
    ("ours: rows as columns", part("columns", "ours_s"), seconds),
    ("`dcp.load` of that", part("columns", "dcp_s"), seconds),
    ("raw reading of that", raw_read_s("columns"), seconds),
    ("the fastest, of `dcp.load`", fastest_of_dcp("columns"), times),
    ("ours: a row of 4 KiB", part("row", "seconds"), seconds),
    ("ours: memory above the state, saving, MiB", above("ours save", 0), lambda value: number(value / MIB)),
    ("`dcp.async_save`: the same", above("dcp save", 0), lambda value: number(value / MIB)),
    ("ours: memory above the state, loading, MiB", above("ours load", 0), lambda value: number(value / MIB)),
    ("`dcp.load`: the same", above("dcp load", 0), lambda value: number(value / MIB)),
)


def _base(case: Case, which: int) -> float | None:
    rounds = case.get("saving", {}).get("rounds")
    return median(step[which] for each in rounds for step in each["base"]) if rounds else None


def checkpoint_tables(data: dict[str, Any]) -> list[Table]:
    """The goals with what was reached, and the seconds behind them."""
    cases = data["cases"]
    heads = tuple(_head(case) for case in cases)
    goals = []
    for goal in GOALS:
        cells = tuple(_judged(goal, goal.value(case)) for case in cases)
        if any(cells):
            goals.append((goal.what, goal.wanted, *cells))
    facts = []
    for what, value, show in FACTS:
        found = [value(case) for case in cases]
        if any(each is not None for each in found):
            facts.append((what, *("" if each is None else show(each) for each in found)))
    notes = [*_doubts(cases), *(f"not measured: {why}" for why in data["missing"])]
    return [
        Table("What a checkpoint must reach", ("", "wanted", *heads), tuple(goals), tuple(notes)),
        Table("Seconds behind it", ("", *heads), tuple(facts)),
    ]


def _judged(goal: Goal, value: float | None) -> str:
    if value is None:
        return ""
    return f"{goal.show(value)} {'ok' if value <= goal.most else 'missed'}"


def _head(case: Case) -> str:
    size = case["nbytes"] / (1 << 30)
    name = f"{size:g} GiB" if size >= 1 else f"{case['nbytes'] / MIB:g} MiB"
    return f"{name}, {case['processes']} process{'es' if case['processes'] > 1 else ''}"


def _doubts(cases: list[Case]) -> list[str]:
    """What would make numbers worthless: wrong bytes, a cache that was warm, forward and backward shorter than the copy."""
    found = []
    for case in cases:
        for name in ("loading", "fewer"):
            if name in case and case[name] and case[name]["hash"] != case[name]["saved"]:
                found.append(f"{_head(case)}, {name}: not the state that was saved")
        if case.get("columns") and not case["columns"]["equal"]:
            found.append(f"{_head(case)}, columns: not the state that was saved")
        for name in ("loading", "fewer", "columns"):
            for each in case.get(name, {}).get("rounds", ()):
                held = max(each["ours_still_cached"], each["dcp_still_cached"])
                if held > 0.01:
                    found.append(f"{_head(case)}, {name}: {held:.0%} of the files was still in the page cache")
        rounds = [each for part in case.values() if isinstance(part, dict) for each in part.get("rounds", ())]
        disturbed = sum(each["others"] > CALM_SHARE for each in rounds)
        if disturbed:
            found.append(f"{_head(case)}: other work was going on before {disturbed} of {len(rounds)} rounds")
        copy_s, forward_s = middle(case, "saving", "ours_copy_s"), _base(case, 1)
        if copy_s is not None and forward_s is not None and copy_s > forward_s:
            found.append(f"{_head(case)}: copying took longer than forward and backward")
    return found
