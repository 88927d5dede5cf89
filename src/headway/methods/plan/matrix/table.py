"""A table: named columns and rows of plain values, as models write it and as answers are compared.

A table holds what was written and judges nothing. It never guesses at a type: a number that a model wrote as text stays text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from headway.errors import UsageError

Cell: TypeAlias = str | int | float | bool | None
"""A value in a table; None where there is none."""
Record: TypeAlias = Mapping[str, Cell]
"""A row, by the names of the columns."""

_FENCED = re.compile(r"```markdown(.*?)```", re.DOTALL)
_LINES = re.compile(r"((?:[^\n]*\|[^\n]*(?:\n|$))+)")


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under named columns.

    Attributes:
        columns: their names, as they were written.
        rows: each with a cell for every column.

    Raises:
        UsageError: a row with more or fewer cells than there are columns.

    Example:
        >>> from headway.methods.plan.matrix import Table
        >>> Table.of([{"city": "Rome", "people": 2746984}, {"city": "Bern"}]).rows
        (('Rome', 2746984), ('Bern', None))
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...] = ()

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise UsageError(f"Table: row {number} has {len(row)} cells, and there are {len(self.columns)} columns")

    @classmethod
    def of(cls, records: Iterable[Record], columns: Sequence[str] | None = None) -> Table:
        """A table of records.

        Args:
            records: the rows.
            columns: the columns, in order; those of all records, as they are met, where none are given.

        Returns:
            The table. What a record lacks is None, and what is no column is left out.
        """
        kept = list(records)
        named = tuple(columns) if columns is not None else tuple(dict.fromkeys(name for record in kept for name in record))
        return cls(named, tuple(tuple(record.get(name) for name in named) for record in kept))

    @property
    def records(self) -> list[dict[str, Cell]]:
        """The rows, by the names of the columns."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def normalise_column(name: str) -> str:
    """The name of a column as it is compared: in small letters and without blanks.

    Example:
        >>> normalise_column(" Area in km2")
        'areainkm2'
    """
    return name.strip().lower().replace(" ", "")


def read_table(text: str) -> Table | None:
    """The first table that a text has in Markdown.

    Args:
        text: what a model wrote: a fence marked `markdown`, else the first lines with upright strokes.

    Returns:
        The table, its cells as text and None where one is empty; None where there is no table, or a row has more cells than there
        are columns.

    Example:
        >>> read_table("Here it is:\\n| City | Area |\\n|---|---|\\n| Rome | 1285 |\\n").rows
        (('Rome', '1285'),)
    """
    found = _FENCED.search(text) or _LINES.search(text)
    if found is None or text.count("|") < 4:
        return None
    lines = [line for line in map(str.strip, found[1].splitlines()) if "|" in line and not set(line) <= set("|- :")]
    if not lines:
        return None
    columns, *rows = map(_split_line, lines)
    if any(len(row) > len(columns) for row in rows):
        return None
    padded = (row + [""] * (len(columns) - len(row)) for row in rows)
    return Table(tuple(columns), tuple(tuple(cell or None for cell in row) for row in padded))


def write_table(table: Table) -> str:
    """A table in Markdown.

    Args:
        table: the table.

    Returns:
        A line each for the columns, the rule and every row. `read_table` reads it again, its cells as text.

    Example:
        >>> print(write_table(Table(("city", "area"), (("Rome", 1285),))))
        | city | area |
        |---|---|
        | Rome | 1285 |
    """
    lines = [_join_line(table.columns), "|" + "---|" * len(table.columns)]
    return "\n".join(lines + [_join_line(row) for row in table.rows])


def _join_line(cells: Sequence[Cell]) -> str:
    return "| " + " | ".join("" if cell is None else re.sub(r"[|\s]+", " ", str(cell)) for cell in cells) + " |"


def _split_line(line: str) -> list[str]:
    return [cell.strip() for cell in line.removeprefix("|").removesuffix("|").split("|")]
