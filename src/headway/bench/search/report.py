"""Comparisons as tables, pictures and a page."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.table import Table

from headway.bench.search.methods import OPTIMAL, PROBES
from headway.bench.search.program import Comparison, Mean, means
from headway.bench.search.savings import Interval, Saving, savings
from headway.bench.search.workloads import WORKLOADS
from headway.observe.pictures.chart import Point, Series, chart

PAGE = "search-benchmark.md"
_ACROSS = {"tokens": "tokens read and written per question", "sequential": "tokens one after another"}

ABOUT = {
    "countdown": """\
Combine all the numbers so that they give the target. **Has an answer is as good as an oracle here**: an answer that follows the
rules is right in 577 of 578 cases, so whatever waits for one that parses knows that it is right. Methods that look only at answers
therefore have one curve, and stopping at the first answer saves most of what there is to save.""",
    "arithmetic": """\
Reasoning-gym's `basic_arithmetic` and `chain_sum`, worked out line by line. **A wrong answer looks like a right one**: a number.
The value head was fitted on other questions and errs ([training](training.md) states its AUROC), so methods differ.
Searches over steps read the question again at each line. These budgets pay for few such paths, and on long questions for one, so
beam, DVTS, REBASE and DORA come to nearly the same.""",
}


def table(found: Comparison) -> Table:
    """Solved questions by method and budget, and under each share what was spent."""
    rows = by_method(means(found.attempts))
    budgets = sorted({each.budget for each in found.attempts})
    title = (
        f"{WORKLOADS[found.workload].title}, {found.questions} held-out questions, {found.model}: solved, and tokens spent on each"
    )
    shown = Table(title=title)
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
    whose = OPTIMAL if OPTIMAL in rows else next(iter(rows), "none")
    sub = f"{found.questions} held-out questions; band: 95 % interval of {whose} (Wilson); methods of one colour have one curve"
    made = {}
    for field, axis in _ACROSS.items():
        series = [Series(name, [_point(each, field, sure=name == whose) for each in of]) for name, of in rows.items()]
        title = f"{WORKLOADS[found.workload].title}: solved against {axis}"
        made[picture(found, field)] = chart(title, series, x=axis, y="solved", sub=sub, log_x=True, percent=True, height=480)
    return made


def picture(found: Comparison, field: str) -> str:
    """The name of a picture's file."""
    return f"search-{found.workload}-{field}.svg"


def page(found: Sequence[Comparison], machine: str) -> str:
    """The page for people: what was compared, the tables, the pictures."""
    lines = [
        "# Search methods",
        "",
        "Questions that the models were not trained on, under budgets of tokens per question. A cell is the share solved, as",
        "reasoning-gym's scorer decides, and the tokens read and written per question that it took. Made by",
        f"`headway bench search` on {machine}.",
    ]
    for each in found:
        lines += ["", *_section(each)]
    return "\n".join(lines) + "\n"


def _section(found: Comparison) -> list[str]:
    rows = by_method(means(found.attempts))
    budgets = sorted({each.budget for each in found.attempts})
    lines = [
        f"## {WORKLOADS[found.workload].title}",
        "",
        *ABOUT[found.workload].splitlines(),
        "",
        f"{found.questions} questions, `{found.model}`.",
        "",
        f"![Solved against tokens](pictures/{picture(found, 'tokens')})",
        "",
        f"![Solved against sequential tokens](pictures/{picture(found, 'sequential')})",
        "",
        "| method | " + " | ".join(f"≤ {budget:,}" for budget in budgets) + " |",
        "|---|" + "---:|" * len(budgets),
    ]
    for method, of in rows.items():
        cells = {each.budget: f"{each.solved:.1%} ({each.tokens:,.0f})" for each in of}
        lines.append(f"| {method} | " + " | ".join(cells.get(budget, "") for budget in budgets) + " |")
    if OPTIMAL in rows and len(rows) > 1:
        lines += ["", *_what_it_saves(found, max(budgets))]
    return lines


def _what_it_saves(found: Comparison, most: int) -> list[str]:
    lines = [
        f"### What the compute-optimal choice saves on {WORKLOADS[found.workload].title}",
        "",
        f"Its budget is a mean over questions, of which one may take up to {most:,} tokens. A question is probed with up to",
        f"{PROBES} answers, until the value head takes one; what is done next was fitted on {found.questions} other questions. At",
        "each budget it stands beside the strongest other method, found on the very questions that are measured on: the one that",
        "solves most for as many tokens, and the one that needs the fewest tokens to solve as many. Intervals are 95 %, over",
        "resampled questions.",
        "",
        "| budget | solved | tokens | strongest for as many tokens | solves more by | fewest tokens for as many | cheaper |",
        "|---:|---:|---:|---|---:|---|---:|",
    ]
    lines += [_row(each) for each in savings(found.attempts, OPTIMAL)]
    if found.table is not None:
        lines += ["", "What it chooses, by difficulty (easiest first) and budget:", ""]
        lines += ["| | " + " | ".join(f"≤ {budget:,.0f}" for budget in found.table.budgets) + " |"]
        lines += ["|---|" + "---|" * len(found.table.budgets)]
        for number, choices in enumerate(found.table.choices, 1):
            lines.append(f"| bin {number} | " + " | ".join(choices) + " |")
    return lines


def _row(each: Saving) -> str:
    gain = "" if each.gain is None else _say(each.gain, lambda share: f"{100 * share:+.1f}") + " points"
    cheaper = "" if each.cheaper is None else _say(each.cheaper, lambda ratio: "never" if math.isinf(ratio) else f"{ratio:.2f}x")
    names = each.for_as_much or "none", each.for_as_many or "none"
    return f"| {each.budget:,} | {each.solved:.1%} | {each.tokens:,.0f} | {names[0]} | {gain} | {names[1]} | {cheaper} |"


def _say(interval: Interval, number: Callable[[float], str]) -> str:
    return f"{number(interval.value)} [{number(interval.low)}, {number(interval.high)}]"


def write(found: Sequence[Comparison], folder: Path, machine: str) -> list[Path]:
    """Put the page and its pictures into a folder; their paths."""
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    files = {f"pictures/{name}": made for each in found for name, made in pictures(each).items()}
    files[PAGE] = page(found, machine)
    for name, text in files.items():
        (folder / name).write_text(text)
    return [folder / name for name in files]


def by_method(all_means: Sequence[Mean]) -> dict[str, list[Mean]]:
    """The means of each method, the least budget first."""
    found: dict[str, list[Mean]] = {}
    for each in sorted(all_means, key=lambda each: each.budget):
        found.setdefault(each.method, []).append(each)
    return found


def _point(mean: Mean, field: str, *, sure: bool) -> Point:
    low, high = (mean.low, mean.high) if sure else (None, None)  # twelve bands over each other would show nothing
    return Point(max(1.0, getattr(mean, field)), mean.solved, low, high, f"(≤ {mean.budget:,} tokens)")
