"""What the page of results opens with: its parts, what must be shown, and what must be refused, each with the rows that hold it.

A row is named by the beginning of its name: "ETS:" are all rows of ETS, "ETS: held nodes" is one of them. Promises are named alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from benchmarks.methods.row import Held, Row

R = TypeVar("R", Row, Held)

PARTS = {
    "search": "more compute for one question, until it is answered or the budget is used up",
    "allocate": "what to start next, with which model and how many samples, from what is left",
    "schedule": "when each piece of work starts: rules, a solver, and the queue of a run",
    "workloads": "two small models with questions, on which methods differ",
    "catalogue": "[all methods](../methods.md), and this page, printed by a command",
}
"""The rooms, in the order of the page, and what each is about."""


@dataclass(frozen=True)
class Line:
    """Something that must be shown or refused, and the beginnings of the names of the rows that hold it."""

    says: str
    rows: tuple[str, ...]

    def of(self, rows: Iterable[R]) -> list[R]:
        """Those of some rows, or promises, that hold it."""
        return [row for row in rows if row.name.startswith(self.rows)]


SHOWN: Sequence[Line] = (
    Line("Every method shows the property of its paper, against the strongest simple way", ("",)),
    Line(
        "MCPP, on workflows of WfCommons with recorded outcomes of the Countdown model: nowhere below the best fixed policy beyond "
        "noise, and above it in tight cells that were chosen on other seeds ([the grid](../allocate-benchmark.md))",
        ("MCPP: done at least", "MCPP: no cell", "MCPP: done more often than the best fixed"),
    ),
    Line("ETS: fewer nodes the dearer they are, at equal accuracy; fewer for a solved puzzle than REBASE", ("ETS:",)),
    Line(
        "DeepPrune: at least 60 % fewer tokens within three points, on the second model with traces of at least 100 tokens",
        ("DeepPrune: at least 60 % fewer tokens on long sums", "DeepPrune: within 3 points of the majority on long sums"),
    ),
    Line(
        "BATS: as many solved as without a tracker, with at most 60 % of the calls",
        ("BATS: at most 60 % of the calls of the same agent", "BATS: with these calls"),
    ),
    Line(
        "Knapsack: greedy equals the dynamic program; worth at least as much as equal shares, always",
        ("Knapsack: groups are worth more", "knapsack: greedy equals"),
    ),
    Line("Every step of R-ConstraintBench's ramp has a schedule of ours", ("R-ConstraintBench's ramp: every step",)),
    Line("MDDC: 141 on the example of its paper, where MDD has 144", ("MDDC: the example",)),
    Line(
        "CP-SAT on the 162 classic job shops, 30 s each: the best known makespan on at least 60",
        ("CP-SAT: at most 30 s", "CP-SAT: the best known", "CP-SAT: a small mean gap"),
    ),
    Line(
        "Learned assignment: within 5 % of the Hungarian method on sizes it was not trained on", ("Two-stage learned assignment:",)
    ),
    Line(
        "`headway bench allocate` and `headway bench schedule` go on where they were killed, and show a table and pictures "
        "([policies](../allocate-benchmark.md), [schedules](../schedule-benchmark.md))",
        ("`headway bench allocate`", "`headway bench schedule`"),
    ),
    Line(
        "Whatever a policy asks for, no budget and no deadline is passed: 10,000 schedules",
        ("Spending under a policy:", "a check of spending"),
    ),
    Line(
        "A workload that tells methods apart: wrong answers look right, with a verifier of honest quality",
        ("A workload that tells methods apart:", "A learned verifier of honest quality:", "Questions that are measured on"),
    ),
)
"""What must be shown."""

REFUSED: Sequence[Line] = (
    Line(
        "NaN, percentages for probabilities, and other settings that make no sense",
        (
            "every method: a setting",
            "every method: a part that gives NaN",
            "Agents that choose how to spend refuse",
            "tuning: an empty space",
            "budgets: no prompts",
            "costs: no data",
            "curricula: boxes",
            "policies: settings",
            "estimators: amounts",
            "assignment: NaN",
            "partition: weights",
            "orders: no order",
            "What makes no sense (NaN",
        ),
    ),
    Line(
        "Nothing where something is needed, and lists of unequal lengths",
        (
            "pure functions: no candidates",
            "MBR, CHOPS, BatchPrompt, documents, splits",
            "Agents that choose how to spend refuse",
            "budgets: no prompts",
            "assignment: NaN",
            "What makes no sense (NaN",
        ),
    ),
    Line("Problems without a schedule: the constraints that clash are named", ("A problem without a schedule",)),
    Line(
        "Problems without a solution: no choice fits the budget, no column for a row",
        ("Agents that choose how to spend refuse", "assignment: NaN"),
    ),
    Line("A policy that answers what is not allowed", ("A policy that answers",)),
    Line("An estimator without data", ("An estimator without data", "costs: no data")),
    Line(
        "A missing extra: what to install",
        ("policies: settings", "tuning: an empty space", "ETS: what is kept", "`headway bench allocate`"),
    ),
)
"""What must be refused in a sentence, before anything is spent."""
