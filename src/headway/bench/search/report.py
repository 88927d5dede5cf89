"""A comparison as a table, two pictures and a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from headway.bench.search.methods import OPTIMAL, PROBES
from headway.bench.search.program import Comparison, Mean, means, tokens_for
from headway.observe.pictures.chart import Point, Series, chart

TOKENS, SEQUENTIAL = "search-tokens.svg", "search-sequential.svg"


def table(found: Comparison) -> Table:
    """Solved puzzles by method and budget, and under each share what was spent."""
    rows = by_method(means(found.attempts))
    budgets = sorted({each.budget for each in found.attempts})
    shown = Table(title=f"{found.puzzles} held-out puzzles, {found.model}: solved, and tokens spent per puzzle")
    shown.add_column("method", no_wrap=True)
    for budget in budgets:
        shown.add_column(f"≤ {budget:,}", justify="right")
    for method, of in rows.items():
        cells = {each.budget: f"{each.solved:.1%}\n[dim]{each.tokens:,.0f}[/]" for each in of}
        shown.add_row(method, *(cells.get(budget, "") for budget in budgets))
    return shown


def pictures(found: Comparison) -> dict[str, str]:
    """The pictures by the names of their files: solved against all tokens, and against tokens one after another."""
    rows = by_method(means(found.attempts))
    sub = f"{found.puzzles} held-out puzzles; bands are 95 % intervals (Wilson)"
    across = {TOKENS: ("tokens read and written per puzzle", "tokens"), SEQUENTIAL: ("tokens one after another", "sequential")}
    made = {}
    for file, (axis, field) in across.items():
        series = [Series(name, [_point(each, field) for each in of]) for name, of in rows.items()]
        title = f"Countdown: solved against {axis}"
        made[file] = chart(title, series, x=axis, y="solved", sub=sub, log_x=True, percent=True, height=480)
    return made


def page(found: Comparison, machine: str) -> str:
    """The page for people: what was compared, the table, the pictures."""
    rows = by_method(means(found.attempts))
    budgets = sorted({each.budget for each in found.attempts})
    lines = [
        "# Search methods on Countdown",
        "",
        f"{found.puzzles} puzzles that the model (`{found.model}`) was not trained on, under budgets of tokens per puzzle. A cell",
        "is the share solved, as reasoning-gym's scorer decides, and the tokens read and written per puzzle that it took. Made by",
        f"`headway bench search` on {machine}.",
        "",
        f"![Solved against tokens](pictures/{TOKENS})",
        "",
        f"![Solved against sequential tokens](pictures/{SEQUENTIAL})",
        "",
        "| method | " + " | ".join(f"≤ {budget:,}" for budget in budgets) + " |",
        "|---|" + "---:|" * len(budgets),
    ]
    for method, of in rows.items():
        cells = {each.budget: f"{each.solved:.1%} ({each.tokens:,.0f})" for each in of}
        lines.append(f"| {method} | " + " | ".join(cells.get(budget, "") for budget in budgets) + " |")
    if said := savings(found):
        lines += [
            "",
            "## What the compute-optimal choice saves",
            "",
            f"Its budget is a mean over puzzles, of which one may take up to {max(budgets):,} tokens. A puzzle is probed with up",
            f"to {PROBES} answers, until the value head takes one; what is done next was fitted on {found.puzzles} other puzzles.",
            "",
            *said,
        ]
    return "\n".join(lines) + "\n"


def savings(found: Comparison) -> list[str]:
    """How much cheaper the compute-optimal choice is than best-of-n, at the shares that either reaches."""
    rows = by_method(means(found.attempts))
    if OPTIMAL not in rows or "best of n" not in rows or found.table is None:
        return []
    lines = ["| solved | best of n, tokens | compute-optimal, tokens | cheaper |", "|---:|---:|---:|---:|"]
    plain, optimal = rows["best of n"], rows[OPTIMAL]
    for solved in sorted({each.solved for each in (*plain, *optimal)}):
        before, now = tokens_for(plain, solved), tokens_for(optimal, solved)
        said = ["never" if tokens is None else f"{tokens:,.0f}" for tokens in (before, now)]
        cheaper = f"{before / now:.2f}x" if before and now else ""
        lines.append(f"| {solved:.1%} | {said[0]} | {said[1]} | {cheaper} |")
    lines += ["", "What it chooses, by difficulty (easiest first) and budget:", ""]
    lines += ["| | " + " | ".join(f"≤ {budget:,.0f}" for budget in found.table.budgets) + " |"]
    lines += ["|---|" + "---|" * len(found.table.budgets)]
    for number, choices in enumerate(found.table.choices, 1):
        lines.append(f"| bin {number} | " + " | ".join(choices) + " |")
    return lines


def write(found: Comparison, folder: Path, machine: str) -> list[Path]:
    """Put the page and its pictures into a folder; their paths."""
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    files = {f"pictures/{name}": picture for name, picture in pictures(found).items()}
    files["search-benchmark.md"] = page(found, machine)
    for name, text in files.items():
        (folder / name).write_text(text)
    return [folder / name for name in files]


def by_method(all_means: Sequence[Mean]) -> dict[str, list[Mean]]:
    """The means of each method, the least budget first."""
    found: dict[str, list[Mean]] = {}
    for each in sorted(all_means, key=lambda each: each.budget):
        found.setdefault(each.method, []).append(each)
    return found


def _point(mean: Mean, field: str) -> Point:
    return Point(max(1.0, getattr(mean, field)), mean.solved, mean.low, mean.high, f"(≤ {mean.budget:,} tokens)")
