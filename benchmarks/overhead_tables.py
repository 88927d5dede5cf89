"""What the overhead benchmark says: costs, ratios, the constant part of a run, and which targets are reached."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from benchmarks.measure import Results
from benchmarks.shapes import SHAPES
from benchmarks.sides import BARE, DURABLE, MEMORY, PEERS, SIDES, Cell, Side
from benchmarks.tables import Table, number


def overhead_tables(results: Results) -> list[Table]:
    """Return every table of the overhead benchmark."""
    tables = [_costs(results), _to_bare(results), _cpu(results), _to_durable(results), _constant(results), _targets(results)]
    return [table for table in tables if table.rows]


def _shapes(results: Results) -> list[str]:
    measured = {cell.shape for cell, seconds in results.seconds.items() if seconds}
    return [name for name in SHAPES if name in measured]


def _grid(results: Results, sides: tuple[Side, ...], title: str, value: Callable[[Side, Cell], str]) -> Table:
    names, rows = _shapes(results), []
    for side in sides:
        row = [value(side, cell) if (cell := results.cell(side, name)) else "" for name in names]
        if any(row):
            rows.append((side.name, *row))
    return Table(title, ("", *names), tuple(rows))


def _costs(results: Results) -> Table:
    reduced = False

    def micros(side: Side, cell: Cell) -> str:
        nonlocal reduced
        cost = (results.median_s(side, cell) or 0.0) / cell.calls * 1e6
        largest = max(c.calls for c in results.seconds if c.shape == cell.shape)
        reduced |= cell.calls < largest
        return number(cost) + (f" @{cell.calls:,}" if cell.calls < largest else "")

    table = _grid(results, SIDES, "µs per call", micros)
    notes = [f"{side.name} {version}: keeps {side.keeps}" for side in SIDES if (version := results.versions.get(side))]
    if reduced:
        notes.append("@n: run with n calls instead, as the whole shape would take too long; ratios compare equal sizes.")
    notes += [f"not measured: {what}: {why}" for what, why in results.missing.items()]
    return Table(table.title, table.columns, table.rows, tuple(notes))


def ratio(results: Results, side: Side, cell: Cell, base: Side) -> float | None:
    """Return how many times longer `side` took than `base` for the same row and size."""
    ours, theirs = results.median_s(side, cell), results.median_s(base, cell)
    return ours / theirs if ours and theirs else None


def _to_bare(results: Results) -> Table:
    def times(side: Side, cell: Cell) -> str:
        return number(r) if (r := ratio(results, side, cell, BARE)) else ""

    return _grid(results, SIDES[1:], "Times bare asyncio", times)


def _cpu(results: Results) -> Table:
    """The CPU time of asyncio's and Headway's own processes, which other work on the machine hardly changes."""

    def times(side: Side, cell: Cell) -> str:
        ours, bare = results.cpu.get(cell), results.cpu.get(Cell(BARE, cell.shape, cell.kind, cell.calls))
        if not ours or not bare:
            return ""
        cost = f"{number(median(ours) / cell.calls * 1e6)} µs"
        return cost if side is BARE else f"{cost}, {number(median(a / b for a, b in zip(ours, bare, strict=False)))}x"

    return _grid(results, (BARE, MEMORY, DURABLE), "CPU time per call, and times bare asyncio", times)


def _to_durable(results: Results) -> Table:
    def times(side: Side, cell: Cell) -> str:
        return number(r) if (r := ratio(results, side, cell, DURABLE)) else ""

    return _grid(results, PEERS, "Times Headway durable", times)


def _constant(results: Results) -> Table:
    names, rows = _shapes(results), []
    for side in (MEMORY, DURABLE):
        cells = {name: cell for name in names if (cell := results.cell(side, name)) and cell in results.empty}
        if not cells:
            continue
        for kept, word in ((results.empty, "a fresh store"), (results.again, "a store that is there")):
            ms = {name: number(median(kept[cell]) * 1e3) for name, cell in cells.items()}
            rows.append((f"{side.name}: empty run on {word}, ms", *[ms.get(name, "") for name in names]))
        rest = {name: number((results.marginal_s(side, cell) or 0.0) / cell.calls * 1e6) for name, cell in cells.items()}
        rows.append((f"{side.name}: µs per call without it", *[rest.get(name, "") for name in names]))
    for side in PEERS:
        row = [side.name]
        for name in names:
            cell = results.cell(side, name)
            theirs, ours = (results.median_s(side, cell), results.marginal_s(DURABLE, cell)) if cell else (None, None)
            row.append(f"{number(theirs / ours)}x" if theirs and ours else "")
        if any(row[1:]):
            rows.append((f"{side.name}, times Headway durable without it", *row[1:]))
    notes = (
        "Every other table counts the whole run: make a fresh store, run, commit the last outcome, close. "
        "What peers do before their first call is never counted.",
    )
    return Table("The constant part of a Headway run", ("", *names), tuple(rows), notes)


def _targets(results: Results) -> Table:
    rows = []
    for name, most in (("fan-20k", 5.0), ("chain-1k", 8.0), ("graph-5k", 12.0)):
        cell = results.cell(DURABLE, name)
        if cell and (found := ratio(results, DURABLE, cell, BARE)):
            word = "reached" if found <= most else "not reached"
            rows.append((f"Headway durable, {name}", f"≤ {most:g}x asyncio", f"{number(found)}x", word))
    if again := [seconds for cell, kept in results.again.items() if cell.side is DURABLE for seconds in kept]:
        word = "reached" if median(again) <= 3e-3 else "not reached"
        rows.append(("Headway durable, an empty run on a store that is there", "≤ 3 ms", f"{number(median(again) * 1e3)} ms", word))
    for peer, least in (("dbos sqlite", 200.0), ("dask distributed", 100.0), ("ray", 25.0), ("parsl threads", 5.0)):
        side = next(side for side in PEERS if side.name == peer)
        cells = [cell for name in _shapes(results) if (cell := results.cell(side, name))]
        ratios = {c.shape: r for c in cells if (r := ratio(results, side, c, DURABLE))}
        if ratios:
            good = sum(r >= least for r in ratios.values())
            word = "reached" if good == len(ratios) else f"reached on {good} of {len(ratios)}" if good else "not reached"
            low, high = min(ratios, key=ratios.__getitem__), max(ratios, key=ratios.__getitem__)
            span = f"{number(ratios[low])}x ({low}) to {number(ratios[high])}x ({high})"
            rows.append((f"Headway durable against {peer}", f"≥ {least:g}x faster per call", span, word))
    return Table("Targets", ("", "wanted", "measured", ""), tuple(rows))
