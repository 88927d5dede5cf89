"""What an orchestrator decides of a table, and what follows from it: batches, questions, records that lack, the table at the end.

    matrix = Matrix((("Italy",), ("Malta",)), "What is the area of __0__?", (Field("country", slot=0), Field("area", "number")))
    for batch in cut_batches(matrix): ...

All of it is pure. Nothing here asks a model or waits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.plan.matrix.table import Cell, Record, Table, normalise_column

Kind: TypeAlias = Literal["string", "number", "integer", "boolean"]
Strategy: TypeAlias = Literal["per_atom", "by_attr", "open"]

_SLOT = re.compile(r"__(\d+)__")
_TYPES: dict[str, tuple[type, ...]] = {"string": (str,), "number": (int, float), "integer": (int,), "boolean": (bool,)}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of every record.

    Attributes:
        name: what it is called; a column of the table.
        kind: of its values, as JSON schema names them.
        slot: which atom of the row it repeats, where it does. By such fields records are matched to their rows.

    Raises:
        UsageError: a name that is no text, an unknown kind.
    """

    name: str
    kind: Kind = "string"
    slot: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise UsageError(f"Field: name={self.name!r:.80}: a text")
        if self.kind not in _TYPES:
            raise UsageError(f"Field({self.name!r:.40}): kind={self.kind!r:.80}: one of {', '.join(_TYPES)}")


@dataclass(frozen=True, slots=True)
class Matrix:
    """A table to be filled, as an orchestrator decides it.

    Attributes:
        rows: the atoms of each row, all of one length: a task each.
        template: the question of a row; `__0__`, `__1__`, … stand for its atoms.
        fields: what a record holds.
        strategy: how rows are put into batches: each alone ("per_atom"), those with an equal atom `attr` ("by_attr"), or as
            `groups` say and the rest in chunks ("open").
        chunk: "open": rows of a chunk.
        attr: "by_attr": the number of the atom.
        groups: "open": numbers of rows that belong together.
        why: why it was decided so, for people and for the memory.

    Raises:
        UsageError: no rows or fields, rows of unequal length, a field twice, a slot or a group of something that is not there.
    """

    rows: tuple[tuple[str, ...], ...]
    template: str
    fields: tuple[Field, ...]
    strategy: Strategy = "per_atom"
    chunk: int = 1
    attr: int = 0
    groups: tuple[tuple[int, ...], ...] = ()
    why: str = ""

    def __post_init__(self) -> None:
        widths = {len(row) for row in self.rows}
        if len(widths) != 1 or not min(widths):
            raise UsageError(f"Matrix: rows have {sorted(widths) or 'no'} atoms: give one row or more, each of the same length")
        (width,) = widths
        names = [normalise_column(each.name) for each in self.fields]
        if not names or len(set(names)) < len(names):
            raise UsageError(f"Matrix: fields={[each.name for each in self.fields]!r:.80}: at least one, and none twice")
        used = {int(number) for number in _SLOT.findall(self.template)}
        slots = {each.slot for each in self.fields if each.slot is not None}
        if beyond := sorted(number for number in used | slots if not 0 <= number < width):
            raise UsageError(f"Matrix: slot {beyond[0]}: a row has the atoms 0 to {width - 1}")
        if not used and len(self.rows) > 1:
            raise UsageError(
                f"Matrix: template={self.template!r:.80} has no slot, so all {len(self.rows)} rows ask the same: use __0__"
            )
        self._check_strategy(width)

    def _check_strategy(self, width: int) -> None:
        if self.strategy not in ("per_atom", "by_attr", "open"):
            raise UsageError(f"Matrix: strategy={self.strategy!r:.80}: per_atom, by_attr or open")
        settings.at_least_one("Matrix", chunk=self.chunk)
        settings.whole_number("Matrix", attr=self.attr)
        if self.attr >= width:
            raise UsageError(f"Matrix: attr={self.attr}: a row has the atoms 0 to {width - 1}")
        grouped = [number for group in self.groups for number in group]
        if len(set(grouped)) < len(grouped) or any(not 0 <= number < len(self.rows) for number in grouped):
            raise UsageError(f"Matrix: groups={self.groups!r:.80}: each of the rows 0 to {len(self.rows) - 1} in one group at most")

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of a record."""
        return record_schema(self.fields)


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows that one sub-agent is given together.

    Attributes:
        places: the numbers of the rows in the matrix.
        rows: their atoms.
        asked: their questions.
        fields: what a record holds.
        attempt: 0 for the first, then how often it was tried before.
        partial: the records that were had before.
    """

    places: tuple[int, ...]
    rows: tuple[tuple[str, ...], ...]
    asked: tuple[str, ...]
    fields: tuple[Field, ...]
    attempt: int = 0
    partial: tuple[Record, ...] = ()

    @property
    def label(self) -> str:
        """What people call it."""
        return f"rows {self.places[0]}…{self.places[-1]}" if len(self.places) > 1 else f"row {self.places[0]}"

    @property
    def has_keys(self) -> bool:
        """Whether its records can be matched to its rows."""
        return any(each.slot is not None for each in self.fields)


def record_schema(fields: Sequence[Field]) -> dict[str, Any]:
    """The JSON schema of a record of some fields. Every field may be null."""
    properties = {each.name: {"type": [each.kind, "null"]} for each in fields}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def fill_template(template: str, row: Sequence[str]) -> str:
    """The question of a row.

    Each slot is filled once: an atom that looks like a slot stays as it is.

    Example:
        >>> fill_template("How far is __0__ from __1__?", ("Rome", "Bern"))
        'How far is Rome from Bern?'
    """
    return _SLOT.sub(lambda slot: row[int(slot[1])], template)


def cut_batches(matrix: Matrix) -> list[Batch]:
    """The batches of a matrix. Every row is in exactly one.

    Example:
        >>> field = Field("area", "number")
        >>> matrix = Matrix((("Italy",), ("Malta",), ("Fiji",)), "Area of __0__?", (field,), "open", chunk=2)
        >>> [batch.places for batch in cut_batches(matrix)]
        [(0, 1), (2,)]
    """
    return [make_batch(matrix, places) for places in _cut(matrix)]


def _cut(matrix: Matrix) -> list[tuple[int, ...]]:
    everything = range(len(matrix.rows))
    if matrix.strategy == "per_atom":
        return [(place,) for place in everything]
    if matrix.strategy == "by_attr":
        found: dict[str, list[int]] = {}
        for place in everything:
            found.setdefault(matrix.rows[place][matrix.attr], []).append(place)
        return list(map(tuple, found.values()))
    groups = [tuple(sorted(group)) for group in matrix.groups if group]
    grouped = {place for group in groups for place in group}
    rest = [place for place in everything if place not in grouped]
    return groups + [tuple(rest[start : start + matrix.chunk]) for start in range(0, len(rest), matrix.chunk)]


def make_batch(matrix: Matrix, places: Sequence[int]) -> Batch:
    """The batch of some rows of a matrix."""
    rows = tuple(matrix.rows[place] for place in places)
    return Batch(tuple(places), rows, tuple(fill_template(matrix.template, row) for row in rows), matrix.fields)


def project(record: Mapping[str, object], fields: Sequence[Field]) -> dict[str, Cell]:
    """A record by the schema: the fields it has to have and no other; what is of another kind is None.

    Names are compared without capitals and blanks. A number in text is one where a number is due.

    Example:
        >>> project({"Area": "301,336", "note": "large"}, (Field("area", "number"), Field("country")))
        {'area': 301336, 'country': None}
    """
    given = {normalise_column(str(name)): value for name, value in record.items()}
    return {each.name: _as_kind(given.get(normalise_column(each.name)), each.kind) for each in fields}


def _as_kind(value: object, kind: Kind) -> Cell:
    if isinstance(value, list | tuple) and kind == "string":
        value = ", ".join(map(str, value))
    if isinstance(value, str) and kind in ("number", "integer"):
        value = _read_number(value)
    if isinstance(value, float) and kind == "integer" and value.is_integer():
        value = int(value)
    if kind == "string" and isinstance(value, int | float):
        value = str(value)
    if isinstance(value, bool) and kind != "boolean":
        return None
    if isinstance(value, str | int | float) and isinstance(value, _TYPES[kind]):
        return value if value != "" else None
    return None


def _read_number(text: str) -> float | int | None:
    cleaned = text.replace(",", "").strip()
    try:
        return int(cleaned)
    except ValueError:
        pass
    try:
        return float(cleaned)
    except ValueError:
        return None


def match_records(batch: Batch, records: Iterable[Mapping[str, object]]) -> tuple[list[dict[str, Cell]], list[int]]:
    """The records of a batch, projected, and which of its rows are still without one.

    Where fields repeat atoms, a record belongs to the row whose atoms it repeats, and one that repeats none is left out. Where no
    field does, records can only be counted, and the last rows are those without. A record that holds nothing counts as none.

    Args:
        batch: what was asked.
        records: what was answered.

    Returns:
        The records, and the numbers of the rows in the matrix that lack one.
    """
    kept = [record for record in (project(each, batch.fields) for each in records) if _says_something(record, batch.fields)]
    keys = [(each.name, each.slot) for each in batch.fields if each.slot is not None]
    if not keys:
        return kept, list(batch.places[len(kept) :])
    rows = {tuple(_alike(row[slot]) for _, slot in keys): place for place, row in zip(batch.places, batch.rows, strict=True)}
    named = [(tuple(_alike(record[name]) for name, _ in keys), record) for record in kept]
    answered = {rows[key] for key, _ in named if key in rows}
    return [record for key, record in named if key in rows], [place for place in batch.places if place not in answered]


def _says_something(record: Mapping[str, Cell], fields: Sequence[Field]) -> bool:
    """Whether it has a value beyond those that only repeat the question."""
    asked = [each.name for each in fields if each.slot is None] or [each.name for each in fields]
    return any(record[name] is not None for name in asked)


def _alike(value: Cell) -> str:
    return "".join(str(value).casefold().split())


def ask_again(batch: Batch, attempt: int, records: Sequence[Mapping[str, Cell]], lacking: Sequence[int]) -> Batch:
    """The batch to be tried next: of a batch the rows that lack a record where they are known, else all; with what was had."""
    kept = [at for at, place in enumerate(batch.places) if place in set(lacking) or not batch.has_keys]
    return replace(
        batch,
        places=tuple(batch.places[at] for at in kept),
        rows=tuple(batch.rows[at] for at in kept),
        asked=tuple(batch.asked[at] for at in kept),
        attempt=attempt + 1,
        partial=tuple(dict(record) for record in records),
    )


def make_fallback(matrix: Matrix, place: int) -> dict[str, Cell]:
    """The record of a row that nobody answered: it repeats the atoms that it can, and is else empty."""
    row = matrix.rows[place]
    return {each.name: row[each.slot] if each.slot is not None and each.kind == "string" else None for each in matrix.fields}


def reduce_records(matrix: Matrix, records: Iterable[Record]) -> Table:
    """All records in one table, with the fields as its columns."""
    return Table.of(records, [each.name for each in matrix.fields])


def describe_matrix(matrix: Matrix) -> str:
    """What an experience keeps of a matrix: its size, its template, its fields and how it was cut.

    Args:
        matrix: the matrix.

    Returns:
        A line for a memory.

    Example:
        >>> print(describe_matrix(Matrix((("Italy",), ("Malta",)), "Area of __0__?", (Field("area", "number"),))))
        2 rows of 1 atom; template: Area of __0__?; fields: area; batches: per_atom
    """
    width = len(matrix.rows[0])
    atoms = f"{width} atom{'s' * (width > 1)}"
    cut = {"open": f"open, {matrix.chunk} rows each", "by_attr": f"by_attr, atom {matrix.attr}"}.get(matrix.strategy, "per_atom")
    why = f"; {matrix.why}" if matrix.why else ""
    fields = ", ".join(each.name for each in matrix.fields)
    return f"{len(matrix.rows)} rows of {atoms}; template: {matrix.template:.200}; fields: {fields}; batches: {cut}{why}"
