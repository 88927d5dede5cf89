"""The catalogue of plans and memory: what graphs of steps and what is remembered must show here: `python -m benchmarks.plans`.

Each module lists its rows as `ROWS`, as those of `benchmarks.methods` do. `asked.py` says what was asked for by name; a row, or a
promise, answers it by the beginning of its name.
"""

from __future__ import annotations

from benchmarks.methods.catalogue import Catalogue

PLANS = Catalogue(
    "benchmarks.plans",
    (
        ("plan", "Plans"),
        ("memory", "Memory"),
        ("planner", "The trained planner"),
        ("research", "The example"),
    ),
    others=("__main__", "asked", "atlas"),
)
