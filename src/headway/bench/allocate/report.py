"""The grid of budgets and deadlines as a table, a picture and a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf, sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import NamedTuple

from rich.table import Table

from headway.bench.allocate.program import CellPlayed, Comparison
from headway.observe import words
from headway.observe.pictures.svg import Drawing

GRID = "allocate-grid.svg"
_SIZE, _LEFT, _TOP, _GAP = 64, 34, 78, 22  # pixels: of a cell, left of a grid, above it, between a model's grids and the next
_NAMES = {"mcpp": "MCPP", "fixed": "best fixed", "paper": "paper's MCPP"}
_AHEAD, _BEHIND = "#2e7d32", "#c62828"


class Difference(NamedTuple):
    """How much more often MCPP is done than the fixed policy, and half of the 95 % interval."""

    mean: float
    half: float

    @property
    def side(self) -> int:
        """1 where MCPP is ahead beyond the interval, -1 where it is behind, else 0."""
        return (self.mean > self.half) - (self.mean < -self.half)

    def __str__(self) -> str:
        return f"{self.mean * 100:+.0f} ± {self.half * 100:.0f}"


def difference(cells: Iterable[CellPlayed]) -> Difference:
    """The difference in some cells. Chance lies in workloads: a workload counts once, by its mean over cells and episodes.

    >>> from headway.bench.allocate.program import Cell
    >>> played = CellPlayed(Cell("", "g", 1, 1), "f", {"mcpp": [1.0, 0.5, 1.0], "fixed": [0.5, 0.5, 0.0]})
    >>> print(difference([played]))
    +50 ± 120
    """
    pairs = [[ours - fixed for ours, fixed in zip(each.done["mcpp"], each.done["fixed"], strict=True)] for each in cells]
    means = [fmean(of_workload) for of_workload in zip(*pairs, strict=True)]
    if len(means) == 1:
        return Difference(means[0], inf)
    return Difference(fmean(means), _quantile(len(means) - 1) * stdev(means) / sqrt(len(means)))


def _quantile(free: int) -> float:
    """The 97.5 % quantile of Student's t, by its expansion around the normal distribution's."""
    z = 1.959964
    second, third = (5 * z**5 + 16 * z**3 + 3 * z) / 96, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + (z**3 + z) / 4 / free + second / free**2 + third / free**3


def table(found: Comparison) -> Table:
    """Each cell: how often MCPP and the fixed policy were done, and the difference."""
    shown = Table(title=f"done within budget and deadline: MCPP, the best fixed policy; {_count(found)}")
    head = ["model", "graph", "budget", "deadline", "MCPP", *(["paper's"] if _has_paper(found) else []), "fixed", "difference"]
    for name in (*head, "which"):
        left = name in ("model", "graph", "which")
        shown.add_column(name, justify="left" if left else "right", no_wrap=name != "which")
    for row in _rows(found):
        shown.add_row(*row)
    return shown


def page(found: Comparison, machine: str) -> str:
    """The page for people: what was compared, what came of it, the picture, the table."""
    paper = ["paper's MCPP"] if _has_paper(found) else []
    graphs = dict.fromkeys(each.cell.graph for each in found.cells)
    command = " ".join(["headway bench allocate", *(f"--graph {graph}" for graph in graphs)])
    cell = ["model", "graph", "budget", "deadline", "MCPP", *paper, "fixed", "difference", "the fixed policy"]
    lines = [
        "# Policies on a grid of budgets and deadlines",
        "",
        "Workflows of WfCommons whose steps are questions: a step is done once a sample is right. Budget and deadline are",
        f"multiples of the least that it takes on average. A cell is the share of {_count(found)} that was done. The",
        "fixed policy is the best of all base and one-shot policies in its cell, chosen on other workloads. Policies estimate from",
        "half of the outcomes and are played on the other half, on the same draws. Differences are in points, with their 95 %",
        f"intervals over workloads. Made by `{command}` on {machine}.",
        "",
        f"Outcomes: {found.provenance}.",
        "",
        "Over all cells of a workflow, and in how many of them MCPP is ahead or behind by more than the interval of that cell; of",
        "forty cells in which nothing differs, chance alone makes about one of each:",
        "",
        *_lines(["model", "graph", "MCPP", *paper, "fixed", "difference", "ahead", "behind"], 2, _sums(found)),
        "",
        f"![The grid](pictures/{GRID})",
        "",
        *_lines(cell, 2, _rows(found)),
    ]
    return "\n".join(lines) + "\n"


def draw_grid(found: Comparison) -> str:
    """The grid as a picture, a whole SVG file: a square for each cell of each workflow, the darker the more often it is done."""
    models = list(dict.fromkeys(each.cell.model for each in found.cells))
    graphs = list(dict.fromkeys(each.cell.graph for each in found.cells))
    policies = [name for name in ("mcpp", "fixed", "paper") if name in found.cells[0].done]
    budgets = sorted({each.cell.budget for each in found.cells})
    deadlines = sorted({each.cell.deadline for each in found.cells})
    wide, high = len(deadlines) * _SIZE + _LEFT, len(budgets) * _SIZE + _TOP
    of_model = wide * len(policies) + _GAP
    drawing = Drawing(max(of_model * len(models), 560) + 16)
    drawing.text(16, 26, "Done within budget and deadline", "title")
    drawing.text(16, 44, "budget down, deadline across, as multiples of the least; below a share how much more often", "sub")
    drawing.text(16, 60, "MCPP is done than the best fixed policy; a frame where that is more than chance", "sub")
    for row, graph in enumerate(graphs):
        for place, model in enumerate(models):
            for column, name in enumerate(policies):
                x, y = 16 + place * of_model + column * wide + _LEFT, 76 + row * high + _TOP
                if column == 0:
                    drawing.text(x, y - 42, f"{model} {graph}".strip(), "title")
                drawing.text(x, y - 22, _NAMES[name], "sub")
                for at, deadline in enumerate(deadlines):
                    drawing.text(x + (at + 0.5) * _SIZE, y - 5, f"{deadline:g}", "tick")
                for at, budget in enumerate(budgets):
                    drawing.text(x - 6, y + (at + 0.5) * _SIZE + 4, f"{budget:g}", "small")
                for each in (each for each in found.cells if (each.cell.model, each.cell.graph) == (model, graph)):
                    corner = x + deadlines.index(each.cell.deadline) * _SIZE, y + budgets.index(each.cell.budget) * _SIZE
                    _draw_cell(drawing, corner, each, name)
    return drawing.finish(76 + high * len(graphs) + 16)


def _draw_cell(drawing: Drawing, at: tuple[float, float], played: CellPlayed, name: str) -> None:
    x, y = at
    share, gain = fmean(played.done[name]), difference([played])
    said = f"{share:.0%}" if name != "fixed" else f"{share:.0%} by {played.fixed}"
    title = f"budget {played.cell.budget:g}, deadline {played.cell.deadline:g}: {said}; MCPP {gain}"
    drawing.rect(x + 1, y + 1, _SIZE - 2, _SIZE - 2, f'fill="#4c78a8" fill-opacity="{0.06 + 0.94 * share:.3f}"', title)
    drawing.text(x + 7, y + _SIZE / 2 - 3, f"{share:.0%}", "on")
    if name == "mcpp":
        drawing.text(x + 7, y + _SIZE / 2 + 13, str(gain), "on")
        if gain.side:
            frame = f'fill="none" stroke="{_AHEAD if gain.side > 0 else _BEHIND}" stroke-width="2.5" pointer-events="none"'
            drawing.rect(x + 2.5, y + 2.5, _SIZE - 5, _SIZE - 5, frame)


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
        where = [each.cell.model, each.cell.graph, f"{each.cell.budget:g}", f"{each.cell.deadline:g}"]
        rows.append([*where, *_shares([each]), str(difference([each])), each.fixed])
    return rows


def _sums(found: Comparison) -> Sequence[list[str]]:
    """Over all cells of each model and graph."""
    rows = []
    for model, graph in dict.fromkeys((each.cell.model, each.cell.graph) for each in found.cells):
        cells = [each for each in found.cells if (each.cell.model, each.cell.graph) == (model, graph)]
        sides = [difference([each]).side for each in cells]
        ahead, behind = sides.count(1), sides.count(-1)
        rows.append([model, graph, *_shares(cells), str(difference(cells)), f"{ahead} of {len(cells)}", str(behind)])
    return rows


def _shares(cells: Sequence[CellPlayed]) -> list[str]:
    names = (name for name in ("mcpp", "paper", "fixed") if name in cells[0].done)
    return [f"{fmean(share for each in cells for share in each.done[name]):.0%}" for name in names]


def _lines(head: Sequence[str], left: int, rows: Sequence[Sequence[str]]) -> list[str]:
    """A table of a page, whose first columns are words."""
    last = "---|" if head[-1] == "the fixed policy" else "---:|"
    rule = "|" + "---|" * left + "---:|" * (len(head) - left - 1) + last
    return ["| " + " | ".join(head) + " |", rule, *("| " + " | ".join(row) + " |" for row in rows)]


def _count(found: Comparison) -> str:
    workloads = len(found.cells[0].done["mcpp"])
    return f"{found.episodes * workloads} episodes on {words.count(workloads, 'workload')}"


def _has_paper(found: Comparison) -> bool:
    return "paper" in found.cells[0].done
