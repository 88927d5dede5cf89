"""A comparison as a table, two pictures and a page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from rich.table import Table

from headway.bench.schedule.program import BEST, KINDS, LEVELS, SOLVER, Comparison, Kept, Value
from headway.observe.pictures.chart import Point, Series, chart

RAMP, SHOPS = "schedule-ramp.svg", "schedule-shops.svg"
_NAMED = 12  # job shops that there is room for below the picture


def ways(found: Comparison) -> list[str]:
    """All ways to schedule, in their order: rules, the best of them, CP-SAT."""
    every = [each.way for part in (found.ramps, found.machines, found.shops) for each in part]
    return [*(name for name in dict.fromkeys(every) if name not in (BEST, SOLVER)), BEST, SOLVER]


def table(found: Comparison) -> Table:
    """What each way keeps, and how far it is from the best."""
    sizes = f"{found.seeds} ramps, {count(found.machines)} machines, {count(found.shops)} job shops"
    shown = Table(title=f"{sizes}: steps kept; mean gap to the least tardiness or makespan (share at the least)")
    shown.add_column("", no_wrap=True)
    for title in columns():
        shown.add_column(title, justify="right")
    for way, cells in rows(found).items():
        shown.add_row(way, *cells)
    return shown


def columns() -> tuple[str, ...]:
    """The titles of the columns behind the first."""
    return (*KINDS, "tardiness", "job shops")


def rows(found: Comparison) -> dict[str, list[str]]:
    """Cells by way: the share of steps whose constraints are all kept, mean gaps, and how often there is none."""
    cells: dict[str, list[str]] = {}
    for way in ways(found):
        steps = [each for each in found.ramps if each.way == way]
        cells[way] = [share([each.kept for each in steps if each.kind == kind]) for kind in KINDS]
        for part in (found.machines, found.shops):
            mine = [each for each in part if each.way == way]
            least = share([each.value <= each.least for each in mine])
            cells[way].append(f"{fmean(each.gap for each in mine):.1%} ({least})" if mine else "")
    return cells


def pictures(found: Comparison) -> dict[str, str]:
    """The pictures by the names of their files: what is kept along the ramp, and the gap on each job shop."""
    kept: defaultdict[str, dict[int, list[Kept]]] = defaultdict(lambda: defaultdict(list))
    for each in found.ramps:
        kept[each.way][KINDS.index(each.kind) * LEVELS + each.level].append(each)
    along = [
        Series(way, [Point(step, fmean(each.kept for each in at), label=at[0].kind) for step, at in sorted(kept[way].items())])
        for way in ways(found)
        if way in kept
    ]
    kinds = ", then ".join(KINDS)
    made = {RAMP: chart("Steps of the ramp whose constraints are all kept", along, x=f"step: {kinds}", y="kept", percent=True)}
    names = list(dict.fromkeys(each.problem for each in found.shops))
    gaps = [
        Series(way, [Point(names.index(each.problem) + 1, max(0.0, each.gap), label=each.problem) for each in mine])
        for way in ways(found)
        if (mine := [each for each in found.shops if each.way == way])
    ]
    sub = f"CP-SAT: {found.cpu_s:g} s of one core each"
    made[SHOPS] = chart(
        "Above the best known makespan",
        gaps,
        x=f"job shops: {', '.join(names)}" if len(names) <= _NAMED else "job shops",
        y="gap",
        sub=sub,
    )
    return made


def page(found: Comparison, machine: str) -> str:
    """The page for people: what was compared, the table, the pictures."""
    lines = [
        "# Schedules: rules and CP-SAT",
        "",
        f"{found.seeds} ramps of problems that grow harder (the share of steps whose constraints are all kept), "
        f"{count(found.machines)} times one",
        "machine with due dates (mean gap to the least total tardiness, and how often it is reached), and "
        f"{count(found.shops)} classic job",
        f"shops (the same for the best known makespan). CP-SAT had {found.cpu_s:g} s of one core for each problem. Made by",
        f"`headway bench schedule` on {machine}.",
        "",
        f"![What is kept along the ramp](pictures/{RAMP})",
        "",
        f"![Above the best known makespan](pictures/{SHOPS})",
        "",
        "| | " + " | ".join(columns()) + " |",
        "|---|" + "---:|" * len(columns()),
    ]
    lines += [f"| {way} | " + " | ".join(cells) + " |" for way, cells in rows(found).items()]
    return "\n".join(lines) + "\n"


def write(found: Comparison, folder: Path, machine: str) -> list[Path]:
    """Put the page and its pictures into a folder; their paths."""
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    files = {f"pictures/{name}": picture for name, picture in pictures(found).items()}
    files["schedule-benchmark.md"] = page(found, machine)
    for name, text in files.items():
        (folder / name).write_text(text)
    return [folder / name for name in files]


def count(values: Sequence[Value]) -> int:
    """On how many problems something was measured."""
    return len({each.problem for each in values})


def share(hits: Sequence[bool]) -> str:
    """The share of hits, in %; empty where nothing was tried."""
    return f"{fmean(hits):.0%}" if hits else ""
