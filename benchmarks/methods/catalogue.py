"""A catalogue: a package whose modules list rows, where its results are kept, and in which order they are read."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.methods.row import Held, Row

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Catalogue:
    """The rows of a package.

    Attributes:
        package: its dotted name.
        rooms: what rows are sorted by, and what the page calls each of them.
        others: modules that hold no rows.
    """

    package: str
    rooms: tuple[tuple[str, str], ...]
    others: tuple[str, ...] = ("__main__",)

    @property
    def results(self) -> Path:
        """The folder of the results that are kept."""
        return ROOT / "benchmarks" / "results" / self.package.rpartition(".")[2]

    def all_rows(self) -> tuple[list[Row], list[Held]]:
        """The rows of all modules, by room, and the promises that tests alone hold."""
        order = [room for room, _ in self.rooms]
        found = [row for rows in self.rows_by_module().values() for row in rows]
        found.sort(key=lambda row: order.index(row.item))
        return [row for row in found if isinstance(row, Row)], [row for row in found if isinstance(row, Held)]

    def rows_by_module(self) -> dict[str, list[Row | Held]]:
        """What each module lists."""
        path = importlib.import_module(self.package).__path__
        modules = sorted(each.name for each in pkgutil.iter_modules(path) if each.name not in self.others)
        return {module: importlib.import_module(f"{self.package}.{module}").ROWS for module in modules}

    def row(self, name: str) -> Row:
        """The row of this name."""
        return _rows_by_name(self)[name]


@cache
def _rows_by_name(catalogue: Catalogue) -> dict[str, Row]:
    return {row.name: row for row in catalogue.all_rows()[0]}
