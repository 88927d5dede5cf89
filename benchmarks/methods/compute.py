"""Renders `docs/results/compute.md`: an overview by parts and by what must be shown, then every row and promise of each part.

`docs/results/plans.md` is rendered in the same way, with a table of the methods that were asked for besides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.methods import METHODS
from benchmarks.methods.catalogue import Catalogue
from benchmarks.methods.figures import Result, figures_of, is_reached, load
from benchmarks.methods.parts import PARTS, REFUSED, SHOWN, Line
from benchmarks.methods.row import Held, Row

HEAD = """# Results: compute where it pays

Each row is a property that a method must show, with the test that holds it. Ours is compared with the baseline seed by seed; the
last columns have the mean of that comparison, its 95 % interval (Student's t over seeds), and whether the property is reached by
the bound of the interval. Promises have no number; tests hold them. Made by `python -m benchmarks.methods --write-docs`.
"""
MOST = 12  # rows of a line that are listed; of more, only the count


@dataclass(frozen=True)
class Overview:
    """What a page says of a catalogue.

    Attributes:
        head: what the page opens with.
        catalogue: whose rows they are.
        parts: its rooms, in the order of the page, and what each is about.
        shown: what must be shown.
        refused: what must be refused.
        refusing: the title of that.
        named: the methods that were asked for by name, each with the beginnings of the names of its rows.
    """

    head: str
    catalogue: Catalogue
    parts: Mapping[str, str]
    shown: Sequence[Line]
    refused: Sequence[Line]
    refusing: str = "What is refused, before anything is spent"
    named: Sequence[Line] = ()


def compute() -> str:
    """The page of all rows of methods."""
    return render(Overview(HEAD, METHODS, PARTS, SHOWN, REFUSED))


def render(page: Overview) -> str:
    """A page: an overview, then every row and promise, room by room."""
    rows, held = page.catalogue.all_rows()
    results = load(page.catalogue.results)
    machines = ", ".join(dict.fromkeys(found.machine for found in results.values()))
    lines = [page.head, "## What is here", "", *_parts(page, rows, held, results), f"Measured on {machines}.", ""]
    lines += [*_named(page, rows, held, results), *_methods(page, rows, results), *_missed(rows, results)]
    lines += [*_shown(page, rows, held, results), *_refused(page, held)]
    for number, (room, title) in enumerate(page.catalogue.rooms, 1):
        lines += list_room(f"{number} {title}", room, rows, held, results)
    return "\n".join(lines).rstrip() + "\n"


# --- what is here ----------------------------------------------------------------------------------------------------


def _parts(page: Overview, rows: Sequence[Row], held: Sequence[Held], results: Mapping[str, Result]) -> list[str]:
    """The parts, and how many methods, rows, promises and tests each has."""
    lines = ["| | part | | methods | rows | reached | promises | tests |", "|---:|---|---|---:|---:|---:|---:|---:|"]
    for number, (room, title) in enumerate(page.catalogue.rooms, 1):
        lines += [f"| {number} | {title} | {page.parts[room]} | {_counts(room, rows, held, results)} |"]
    return [*lines, f"| | all | | {_counts('', rows, held, results)} |", ""]


def _counts(room: str, rows: Sequence[Row], held: Sequence[Held], results: Mapping[str, Result]) -> str:
    of, promises = ([row for row in every if row.item == room or not room] for every in (rows, held))
    tests = {row.test for row in of} | {test for each in promises for test in each.tests}
    reached = sum(is_reached(row, results) is True for row in of)
    return " | ".join(map(str, (len({row.method for row in of}), len(of), reached, len(promises), len(tests))))


def _named(page: Overview, rows: Sequence[Row], held: Sequence[Held], results: Mapping[str, Result]) -> list[str]:
    """Each method that was asked for, where it is, and how many of its rows are reached."""
    if not page.named:
        return []
    lines = ["| asked for | by | rows | reached | promises |", "|---|---|---:|---:|---:|"]
    for line in page.named:
        of, promises = line.of(rows), line.of(held)
        functions = dict.fromkeys(row.function.removeprefix("headway.") for row in of)
        reached = sum(is_reached(row, results) is True for row in of)
        by = ", ".join(f"`{function}`" for function in functions)
        lines += [f"| {line.says} | {by} | {len(of)} | {reached} | {len(promises)} |"]
    return [*lines, ""]


def _methods(page: Overview, rows: Sequence[Row], results: Mapping[str, Result]) -> list[str]:
    """Each method, with how many of its rows are reached."""
    lines = ["Methods, and how many of their rows are reached:", ""]
    for room, title in page.catalogue.rooms:
        of: dict[str, list[bool]] = {}
        for row in rows:
            if row.item == room:
                of.setdefault(row.method, []).append(is_reached(row, results) is True)
        if of:
            said = "; ".join(f"{method} ({sum(reached)} of {len(reached)})" for method, reached in of.items())
            lines += [f"- **{title}**: {said}"]
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


def _shown(page: Overview, rows: Sequence[Row], held: Sequence[Held], results: Mapping[str, Result]) -> list[str]:
    """Each line with the rows that hold it, one below the other."""
    lines = ["## What it must show", "", "| | by | ours | baseline's | compared | | test |", "|---|---|---:|---:|---:|---|---|"]
    for line in page.shown:
        measured, promises = line.of(rows), line.of(held)
        if len(measured) + len(promises) > MOST:
            reached = sum(is_reached(row, results) is True for row in measured)
            by = [f"all rows and promises below | | | | {reached} of {len(measured)} reached | all below"]
        else:
            by = [f"{row.name} | {' | '.join(figures_of(row, results))} | `{row.test}`" for row in measured]
            by += [f"{each.promise} | | | | held | {_tests(each)}" for each in promises]
        lines += [f"| {says} | {each} |" for says, each in zip([line.says, *[""] * len(by)], by, strict=False)]
    return [*lines, ""]


def _refused(page: Overview, held: Sequence[Held]) -> list[str]:
    lines = [f"## {page.refusing}", "", "| | tests | promises |", "|---|---:|---|"]
    for line in page.refused:
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
