"""The grid of budgets and deadlines as a table, a picture and a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from rich.table import Table

from headway.bench.allocate.program import CellPlayed, Comparison
from headway.observe import words
from headway.observe.pictures.svg import Drawing

GRID = "allocate-grid.svg"
_SIZE, _LEFT, _TOP = 74, 92, 96
_NAMES = {"mcpp": "MCPP", "fixed": "best fixed policy", "paper": "MCPP of the paper"}


def difference(played: CellPlayed) -> tuple[float, float]:
    """How much more often MCPP is done than the fixed policy, episode by episode, and half of the 95 % interval.

    >>> from headway.bench.allocate.program import Cell
    >>> difference(CellPlayed(Cell("g", 1, 1), "f", {"mcpp": [True, True], "fixed": [False, True]}))[0]
    0.5
    """
    pairs = [float(ours) - float(fixed) for ours, fixed in zip(played.done["mcpp"], played.done["fixed"], strict=True)]
    mean = fmean(pairs)
    error = (sum((pair - mean) ** 2 for pair in pairs) / max(1, len(pairs) - 1) / len(pairs)) ** 0.5
    return mean, 1.96 * error


def table(found: Comparison) -> Table:
    """Each cell: how often MCPP and the fixed policy were done, and the difference."""
    shown = Table(title=f"done within budget and deadline: MCPP, the best fixed policy; {_count(found)}")
    for name in (
        "graph",
        "budget",
        "deadline",
        "MCPP",
        *(["paper's"] if _has_paper(found) else []),
        "fixed",
        "difference",
        "which",
    ):
        shown.add_column(name, justify="left" if name in ("graph", "which") else "right", no_wrap=name != "which")
    for row in _rows(found):
        shown.add_row(*row)
    return shown


def page(found: Comparison, machine: str) -> str:
    """The page for people: what was compared, the picture, the table."""
    paper = _has_paper(found)
    head = ["graph", "budget", "deadline", "MCPP", *(["paper's MCPP"] if paper else []), "fixed", "difference", "the fixed policy"]
    lines = [
        "# Policies on a grid of budgets and deadlines",
        "",
        "Workflows of WfCommons whose steps are puzzles: a step is done once a sample solves it. Budget and deadline are multiples",
        f"of the least that it takes on average. A cell is the share of {_count(found)} that was done. The fixed policy is",
        "the best of all base and one-shot policies in its cell, chosen on other workloads. Policies estimate from half of the",
        f"outcomes and are played on the other half, on the same draws. Made by `headway bench allocate` on {machine}.",
        "",
        f"Outcomes: {found.provenance}.",
        "",
        f"![The grid](pictures/{GRID})",
        "",
        "| " + " | ".join(head) + " |",
        "|---|" + "---:|" * (len(head) - 2) + "---|",
    ]
    lines += ["| " + " | ".join(row) + " |" for row in _rows(found)]
    return "\n".join(lines) + "\n"


def draw_grid(found: Comparison) -> str:
    """The grid as a picture, a whole SVG file: a square for each cell of each graph, the darker the more often it is done."""
    graphs = list(dict.fromkeys(each.cell.graph for each in found.cells))
    names = [name for name in ("mcpp", "fixed", "paper") if name in found.cells[0].done]
    budgets = sorted({each.cell.budget for each in found.cells})
    deadlines = sorted({each.cell.deadline for each in found.cells})
    wide, high = len(deadlines) * _SIZE + _LEFT, len(budgets) * _SIZE + _TOP
    drawing = Drawing(wide * len(names) + 24)
    for row, graph in enumerate(graphs):
        for column, name in enumerate(names):
            x, y = column * wide + _LEFT, row * high + _TOP
            drawing.text(x, y - 34, f"{graph}: {_NAMES[name]}", "title")
            drawing.text(x, y - 18, "deadline across, budget down, as multiples of the least", "sub")
            for place, deadline in enumerate(deadlines):
                drawing.text(x + (place + 0.5) * _SIZE, y - 4, f"{deadline:g}", "tick")
            for place, budget in enumerate(budgets):
                drawing.text(x - 8, y + (place + 0.5) * _SIZE + 4, f"{budget:g}", "small")
            for each in (each for each in found.cells if each.cell.graph == graph):
                at = x + deadlines.index(each.cell.deadline) * _SIZE, y + budgets.index(each.cell.budget) * _SIZE
                _draw_cell(drawing, at, each, name)
    return drawing.finish(high * len(graphs) + 24)


def _draw_cell(drawing: Drawing, at: tuple[float, float], played: CellPlayed, name: str) -> None:
    x, y = at
    share = fmean(played.done[name])
    mean, half = difference(played)
    said = f"{share:.0%}" if name != "fixed" else f"{share:.0%} by {played.fixed}"
    title = f"budget {played.cell.budget:g}, deadline {played.cell.deadline:g}: {said}; MCPP {mean:+.0%} ± {half:.0%}"
    drawing.rect(x + 1, y + 1, _SIZE - 2, _SIZE - 2, f'fill="#4c78a8" fill-opacity="{0.06 + 0.94 * share:.3f}"', title)
    drawing.text(x + 8, y + _SIZE / 2 - 2, f"{share:.0%}", "on")
    if name == "mcpp":
        drawing.text(x + 8, y + _SIZE / 2 + 14, f"{mean * 100:+.0f} ± {half * 100:.0f}", "on")


def write(found: Comparison, folder: Path, machine: str) -> list[Path]:
    """Put the page and its picture into a folder; their paths."""
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    files = {f"pictures/{GRID}": draw_grid(found), "allocate-benchmark.md": page(found, machine)}
    for name, text in files.items():
        (folder / name).write_text(text)
    return [folder / name for name in files]


def _rows(found: Comparison) -> Sequence[list[str]]:
    rows = []
    for each in found.cells:
        mean, half = difference(each)
        shares = [f"{fmean(each.done[name]):.0%}" for name in ("mcpp", "paper", "fixed") if name in each.done]
        where = [each.cell.graph, f"{each.cell.budget:g}", f"{each.cell.deadline:g}"]
        rows.append([*where, *shares, f"{mean * 100:+.0f} ± {half * 100:.0f}", each.fixed])
    return rows


def _count(found: Comparison) -> str:
    seeds = len(found.seeds)
    return f"{found.episodes * seeds} episodes on {words.count(seeds, 'workload')}"


def _has_paper(found: Comparison) -> bool:
    return "paper" in found.cells[0].done
