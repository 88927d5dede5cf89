"""Searches for puzzles: plain functions from a question, as a person would read it, to an answer or None.

None of them knows of tasks or runs; each counts what it spends on the `Nodes` that it is given. Every family of puzzles has two
that go about it in different ways, so that a race between them is worth running.
"""

from __future__ import annotations

from collections.abc import Callable

from strategies import countdown, cryptarithm, rush_hour, sokoban, sudoku, zebra
from strategies.nodes import Nodes, OutOfNodes

__all__ = ["SEARCHES", "Nodes", "OutOfNodes", "Search"]

Search = Callable[[str, Nodes], str | None]

SEARCHES: dict[str, dict[str, Search]] = {
    "countdown": {"depth_first": countdown.depth_first},  # the other one, spawn and join, takes several processes
    "cryptarithm": {"by_columns": cryptarithm.by_columns, "by_weight": cryptarithm.by_weight},
    "rush_hour": {"best_first": rush_hour.best_first, "breadth_first": rush_hour.breadth_first},
    "sokoban": {"breadth_first": sokoban.breadth_first, "fewest_pushes": sokoban.fewest_pushes},
    "sudoku": {"exact_cover": sudoku.exact_cover, "fewest_candidates": sudoku.fewest_candidates},
    "zebra_puzzles": {"by_kind": zebra.by_kind, "by_propagation": zebra.by_propagation},
}
