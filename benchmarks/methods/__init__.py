"""The catalogue of methods: what each paper claims, and what was measured here: `python -m benchmarks.methods`."""

from __future__ import annotations

import importlib
import pkgutil

from benchmarks.methods.row import Held, Row

ROOMS = ("search", "allocate", "schedule", "workloads", "catalogue")
_OWN = ("__main__", "row", "figures", "page", "compute", "parts", "measuring", "solvers", "keeping")  # the other modules hold rows


def all_rows() -> tuple[list[Row], list[Held]]:
    """The rows of all modules of this folder, by room, and the promises that tests alone hold."""
    found = [row for rows in rows_by_module().values() for row in rows]
    found.sort(key=lambda row: ROOMS.index(row.item))
    return [row for row in found if isinstance(row, Row)], [row for row in found if isinstance(row, Held)]


def rows_by_module() -> dict[str, list[Row | Held]]:
    """What each module of this folder lists."""
    modules = sorted(each.name for each in pkgutil.iter_modules(__path__) if each.name not in _OWN)
    return {module: importlib.import_module(f"{__name__}.{module}").ROWS for module in modules}
