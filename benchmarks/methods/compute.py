"""Renders `docs/results/compute.md`: an overview by parts and by what must be shown, then every row and promise of each part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.methods import METHODS, ROOMS
from benchmarks.methods.figures import Result, figures_of, is_reached, load
from benchmarks.methods.parts import PARTS, REFUSED, SHOWN
from benchmarks.methods.row import Held, Row

HEAD = """# Results: compute where it pays

Each row is a property that a method must show, with the test that holds it. Ours is compared with the baseline seed by seed; the
last columns have the mean of that comparison, its 95 % interval (Student's t over seeds), and whether the property is reached by
the bound of the interval. Promises have no number; tests hold them. Made by `python -m benchmarks.methods --write-docs`.
"""
MOST = 12  # rows of a line that are listed; of more, only the count


def compute() -> str:
    """The page."""
    rows, held = METHODS.all_rows()
    results = load(METHODS.results)
    machines = ", ".join(dict.fromkeys(found.machine for found in results.values()))
    lines = [HEAD, "## What is here", "", *_parts(rows, held, results), f"Measured on {machines}.", ""]
    lines += [*_methods(rows, results), *_missed(rows, results), *_shown(rows, held, results), *_refused(held)]
    for number, room in enumerate(ROOMS, 1):
        lines += list_room(f"{number} {room.capitalize()}", room, rows, held, results)
    return "\n".join(lines).rstrip() + "\n"


# --- what is here ----------------------------------------------------------------------------------------------------


def _parts(rows: Sequence[Row], held: Sequence[Held], results: Mapping[str, Result]) -> list[str]:
    """The parts, and how many methods, rows, promises and tests each has."""
    lines = ["| | part | | methods | rows | reached | promises | tests |", "|---:|---|---|---:|---:|---:|---:|---:|"]
    for number, room in enumerate(ROOMS, 1):
        lines += [f"| {number} | {room.capitalize()} | {PARTS[room]} | {_counts(room, rows, held, results)} |"]
    return [*lines, f"| | all | | {_counts('', rows, held, results)} |", ""]


def _counts(room: str, rows: Sequence[Row], held: Sequence[Held], results: Mapping[str, Result]) -> str:
    of, promises = ([row for row in every if row.item == room or not room] for every in (rows, held))
    tests = {row.test for row in of} | {test for each in promises for test in each.tests}
    reached = sum(is_reached(row, results) is True for row in of)
    return " | ".join(map(str, (len({row.method for row in of}), len(of), reached, len(promises), len(tests))))


def _methods(rows: Sequence[Row], results: Mapping[str, Result]) -> list[str]:
    """Each method, with how many of its rows are reached."""
    lines = ["Methods, and how many of their rows are reached:", ""]
    for room in ROOMS:
        of: dict[str, list[bool]] = {}
        for row in rows:
            if row.item == room:
                of.setdefault(row.method, []).append(is_reached(row, results) is True)
        if of:
            said = "; ".join(f"{method} ({sum(reached)} of {len(reached)})" for method, reached in of.items())
            lines += [f"- **{room.capitalize()}**: {said}"]
    return [*lines, ""]


def _missed(rows: Sequence[Row], results: Mapping[str, Result]) -> list[str]:
    """The rows that are not reached, with their figures and the reason."""
    lines = ["Not reached:", ""]
    for row in rows:
        if is_reached(row, results) is not True:
            *_, compared, said = figures_of(row, results)
            said = said.removeprefix("*not reached*").lstrip(": ")
            lines += [f"- {row.name} ({row.baseline}): {compared}{'; ' if compared else ''}{said}"]
    return [*lines, ""] if len(lines) > 2 else []


# --- what must be shown and refused ----------------------------------------------------------------------------------


def _shown(rows: Sequence[Row], held: Sequence[Held], results: Mapping[str, Result]) -> list[str]:
    """Each line with the rows that hold it, one below the other."""
    lines = ["## What it must show", "", "| | by | ours | baseline's | compared | | test |", "|---|---|---:|---:|---:|---|---|"]
    for line in SHOWN:
        measured, promises = line.of(rows), line.of(held)
        if len(measured) + len(promises) > MOST:
            reached = sum(is_reached(row, results) is True for row in measured)
            by = [f"all rows and promises below | | | | {reached} of {len(measured)} reached | all below"]
        else:
            by = [f"{row.name} | {' | '.join(figures_of(row, results))} | `{row.test}`" for row in measured]
            by += [f"{each.promise} | | | | held | {_tests(each)}" for each in promises]
        lines += [f"| {says} | {each} |" for says, each in zip([line.says, *[""] * len(by)], by, strict=False)]
    return [*lines, ""]


def _refused(held: Sequence[Held]) -> list[str]:
    lines = ["## What is refused, before anything is spent", "", "| | tests | promises |", "|---|---:|---|"]
    for line in REFUSED:
        promises = line.of(held)
        tests = {test for each in promises for test in each.tests}
        lines += [f"| {line.says} | {len(tests)} | {'<br>'.join(each.promise for each in promises)} |"]
    return [*lines, ""]


# --- rows ------------------------------------------------------------------------------------------------------------


def list_room(title: str, room: str, rows: Sequence[Row], held: Sequence[Held], results: Mapping[str, Result]) -> list[str]:
    """The rows and the promises of a room, each in a table."""
    lines = [f"## {title}", ""]
    if of := [row for row in rows if row.item == room]:
        lines += ["| row | baseline | ours | baseline's | ours / baseline's or difference | | seeds | measured | test |"]
        lines += ["|---|---|---:|---:|---:|---|---:|---|---|", *(_row(row, results) for row in of), ""]
    if promises := [each for each in held if each.item == room]:
        lines += ["| promise | tests |", "|---|---|"]
        lines += [f"| {each.promise} | {_tests(each)} |" for each in promises] + [""]
    return lines


def _tests(promise: Held) -> str:
    return "<br>".join(f"`{test}`" for test in promise.tests)


def _row(row: Row, results: Mapping[str, Result]) -> str:
    found = results.get(row.name)
    measured = f"{found.when[:10]}, {found.commit}" if found else ""
    cells = [f"{row.method}: {row.shows} ({row.unit})", row.baseline, *figures_of(row, results)]
    return f"| {' | '.join(cells)} | {len(row.numbers)} | {measured} | `{row.test}` |"
