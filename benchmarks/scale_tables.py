"""What the scale benchmark says, and which targets are reached."""

from __future__ import annotations

from statistics import median
from typing import Any

from benchmarks.tables import Table, number

WANTED_GROWTH, WANTED_LIVE_BYTES, WANTED_RESUME = 1.3, 1_500.0, 0.4


def middle(data: dict[str, Any], program: str, calls: int, name: str) -> float | None:
    """Return the median of one fact, or None when it was not measured."""
    found = [facts[name] for facts in data["said"].get(f"{program} {calls}", ()) if name in facts]
    return median(found) if found else None


def scale_tables(data: dict[str, Any]) -> list[Table]:
    """Return the table of the scale benchmark."""
    sizes, rows = data["sizes"], []

    def add(what: str, measured: str, wanted: str = "", reached: bool | None = None) -> None:
        word = "" if reached is None else "reached" if reached else "not reached"
        rows.append((what, measured, wanted, word))

    def micros(calls: int) -> float | None:
        whole, empty = middle(data, "cost", calls, "seconds"), middle(data, "cost", calls, "empty_s")
        return (whole - empty) / calls * 1e6 if whole is not None and empty is not None else None

    small, large = micros(sizes["small"]), micros(sizes["large"])
    for calls, cost in ((sizes["small"], small), (sizes["large"], large)):
        if cost is not None:
            peak, disk = middle(data, "cost", calls, "peak_mb"), middle(data, "cost", calls, "disk_bytes")
            add(f"a call of {calls:,} in one durable run", f"{number(cost)} µs")
            add(f"peak memory of that, window {data['window']:,}", f"{number(peak or 0)} MB")
            add("journal on disk", f"{number((disk or 0) / calls)} bytes a call")
    if small and large:
        growth = large / small
        add("growth of the cost of a call", f"{growth:.3g}x", f"≤ {WANTED_GROWTH}x", growth <= WANTED_GROWTH)
    for program, word in (("memory_rss", "resident"), ("memory_traced", "tracemalloc")):
        live = middle(data, program, sizes["held"], "live_bytes")
        joined = middle(data, program, sizes["held"], "joined_bytes")
        if live is not None and joined is not None:
            good = live <= WANTED_LIVE_BYTES
            add(f"a live call of {sizes['held']:,}, {word}", f"{number(live)} bytes", "≤ 1.5 kB", good)
            add(f"the same after it was joined, {word}", f"{number(max(0.0, joined))} bytes")
    before = middle(data, "first", sizes["resumed"], "seconds")
    after = middle(data, "second", sizes["resumed"], "seconds")
    if before and after:
        again = middle(data, "second", sizes["resumed"], "executed") or 0
        add(f"a run of {sizes['resumed']:,} calls, killed at its end", f"{number(before)} s")
        add("going on from there", f"{number(after)} s, {again:,.0f} calls run again")
        good = after / before <= WANTED_RESUME
        add("going on, of the first time", f"{after / before:.3g}x", f"≤ {WANTED_RESUME}x", good)
    cpu_before, cpu_after = (middle(data, program, sizes["resumed"], "cpu_s") for program in ("first", "second"))
    if cpu_before and cpu_after:
        add("the same in CPU time", f"{cpu_after / cpu_before:.3g}x")
    for name in ("thread", "process"):
        trip, fan = (middle(data, "pools", sizes["pooled"], f"{name}_{what}_us") for what in ("round_trip", "fan"))
        if trip is not None and fan is not None:
            add(f"{name} pool, one call at a time", f"{number(trip)} µs")
            add(f"{name} pool, {10 * sizes['pooled']:,} calls together", f"{number(fan)} µs a call")
    notes = tuple(f"not measured: {why}" for why in data["missing"])
    return [Table("At scale", ("", "measured", "wanted", ""), tuple(rows), notes)]
