"""The catalogue of methods: what each paper claims, and what was measured here: `python -m benchmarks.methods`."""

from __future__ import annotations

import importlib
import pkgutil

from benchmarks.methods.row import Held, Row

ROOMS = ("search", "allocate", "schedule", "workloads")
_OWN = ("__main__", "row", "page", "measuring")  # the other modules hold rows


def all_rows() -> tuple[list[Row], list[Held]]:
    """The rows of all modules of this folder, by room, and the promises that tests alone hold."""
    modules = sorted(each.name for each in pkgutil.iter_modules(__path__) if each.name not in _OWN)
    found = [row for module in modules for row in importlib.import_module(f"{__name__}.{module}").ROWS]
    found.sort(key=lambda row: ROOMS.index(row.item))
    return [row for row in found if isinstance(row, Row)], [row for row in found if isinstance(row, Held)]
