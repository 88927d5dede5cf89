"""WideSearch's score of a table against the right one: by rows, by items, and whole.

    marking = Marking({"country": Column(), "area": Column("number_near", 0.05)}, key=("country",))
    score = score_table(read_table(reply.text), gold, marking)
    score.rows.f1, score.items.f1, score.success

Pure: a judge of cells is a function of the caller's; `judge_table` asks one that has to be awaited.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal, TypeAlias

from headway.errors import UsageError
from headway.joins.gather import gather
from headway.methods import settings
from headway.methods.plan.matrix.cells import METRICS, PREPARED, read_number, text_of
from headway.methods.plan.matrix.table import Table, normalise_column

Metric: TypeAlias = Literal["exact_match", "in_match", "url_match", "number_near", "date_near", "judge"]
Prepared: TypeAlias = Literal["norm_str", "extract_number", "norm_date"]
Pairs: TypeAlias = Sequence[tuple[str, str]]
"""Cells of a column: what was said, and what is right."""
Judge: TypeAlias = Callable[[str, Pairs, str], Sequence[float]]
"""From a column's name, its pairs and the criterion to a mark for each, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Column:
    """How the cells of a column are marked.

    Attributes:
        metric: by what: one of WideSearch's, or a "judge".
        criterion: of `number_near`, by which share a number may be off.
        prepared: what is done to both cells first, in this order.
        rule: what a judge is told of this column.

    Raises:
        UsageError: an unknown metric or preparation, a criterion that is no number from zero on.
    """

    metric: Metric = "exact_match"
    criterion: float = 0.0
    prepared: tuple[Prepared, ...] = ("norm_str",)
    rule: str = ""

    def __post_init__(self) -> None:
        if self.metric not in (*METRICS, "judge"):
            raise UsageError(f"Column: metric={self.metric!r}: one of {', '.join(METRICS)}, judge")
        settings.finite("Column", criterion=self.criterion)
        if unknown := [name for name in self.prepared if name not in PREPARED]:
            raise UsageError(f"Column: prepared has {unknown[0]!r}: there are {', '.join(PREPARED)}")


@dataclass(frozen=True, slots=True)
class Marking:
    """How a table is marked.

    Attributes:
        columns: the required columns, by name, and how each is marked.
        key: the names of those by which rows are found again. A key that is found is right.

    Raises:
        UsageError: no columns, one twice, no key, or a key that is no column.
    """

    columns: Mapping[str, Column]
    key: tuple[str, ...]

    def __post_init__(self) -> None:
        names = [normalise_column(name) for name in self.columns]
        if not self.columns or len(set(names)) < len(names):
            raise UsageError(f"Marking: columns={list(self.columns)!r:.80}: at least one, and none twice")
        keys = [normalise_column(name) for name in self.key]
        if not keys or not set(keys) <= set(names):
            raise UsageError(f"Marking: key={self.key!r:.80}: a tuple of one or more of the columns {list(self.columns)!r:.80}")


@dataclass(frozen=True, slots=True)
class Marks:
    """Precision, recall and their harmonic mean, each from 0 to 1.

    Attributes:
        precision: how much of what was said is right.
        recall: how much of what is right was said.
    """

    precision: float = 0.0
    recall: float = 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both > 1e-9 else 0.0


@dataclass(frozen=True, slots=True)
class TableScore:
    """What a table is worth.

    Attributes:
        success: whether it is right in whole.
        rows: by rows; a row counts as much as its worst cell.
        items: by cells.
        why: why all is zero, where it was not even compared.
    """

    success: bool = False
    rows: Marks = field(default_factory=Marks)
    items: Marks = field(default_factory=Marks)
    why: str = ""


def score_table(
    said: Table | None,
    gold: Table,
    marking: Marking,
    *,
    rename: Mapping[str, str] | None = None,
    same: Mapping[str, Mapping[str, str]] | None = None,
    judge: Judge | None = None,
) -> TableScore:
    """Mark a table.

    Names of columns are compared without capitals and blanks. Rows with a key that was there before are dropped, and the rest is
    joined with the right rows by key. Each required cell has the mark of its metric, and a key's is 1. By rows the marks of a row
    count as their least, by items each of its own.

    It departs in three things. Rows whose keys become the same only when they are prepared count once, where the authors' code
    joins each of them. Dates are read in the usual forms of English, ISO and Chinese dates, and not by a library. A column has one
    metric.

    Args:
        said: what was answered; None where there is no table.
        gold: what is right.
        marking: the columns, their metrics, the key.
        rename: what said columns are called in the marking, where the names differ; a model may have said so.
        same: by the name of a key column, what said keys are called in the right table.
        judge: marks the cells of the columns whose metric is "judge".

    Returns:
        The score. All zero where the columns are not exactly those required.

    Raises:
        UsageError: the right table lacks a required column or has no rows; a judge is needed and missing, or its marks are none.

    Example:
        >>> gold = Table(("country", "area"), (("Italy", 301336), ("Malta", 316)))
        >>> said = Table(("Country", "Area"), (("italy", "300000"), ("Malta", "400"), ("Atlantis", "1")))
        >>> near = Column("number_near", 0.05, ("extract_number",))
        >>> score = score_table(said, gold, Marking({"country": Column(), "area": near}, ("country",)))
        >>> round(score.rows.f1, 2), round(score.items.precision, 2), score.items.recall, score.success
        (0.4, 0.5, 0.75, False)

    Source:
        WideSearch, ByteDance Seed, its evaluation code (src/evaluation/evaluation.py at 0e664c3).
    """
    required = [normalise_column(name) for name in marking.columns]
    right = _columns_of(gold)
    if right is None or not set(required) <= right.keys():
        raise UsageError(
            f"score_table: gold has the columns {list(gold.columns)!r:.80}; required are {list(marking.columns)!r:.80}"
        )
    if not gold.rows:
        raise UsageError("score_table: gold has no rows, so nothing can be found")
    if said is None:
        return TableScore(why="there is no table")
    ours = _columns_of(said, {normalise_column(old): normalise_column(new) for old, new in (rename or {}).items()})
    if ours is None or set(ours) != set(required):
        return TableScore(why=f"its columns are {', '.join(said.columns)}; required are {', '.join(marking.columns)}")
    return _score(_Compared(marking, required, _prepare(ours, right, marking, same or {}), judge))


def _columns_of(table: Table, rename: Mapping[str, str] | None = None) -> dict[str, list[str]] | None:
    """The cells of each column as text, by its normalised name; None where two columns have one name."""
    names = [(rename or {}).get(name, name) for name in map(normalise_column, table.columns)]
    if len(set(names)) < len(names):
        return None
    return {name: [text_of(row[place]) for row in table.rows] for place, name in enumerate(names)}


_Rows: TypeAlias = dict[tuple[str, ...], dict[str, str]]


def _prepare(
    ours: dict[str, list[str]], right: dict[str, list[str]], marking: Marking, same: Mapping[str, Mapping[str, str]]
) -> tuple[_Rows, _Rows]:
    """The rows of both tables by their keys, each cell prepared. Of rows with one key the first stays."""
    keys = [normalise_column(name) for name in marking.key]
    aliases = {normalise_column(name): dict(known) for name, known in same.items()}
    columns = {normalise_column(name): column for name, column in marking.columns.items()}
    said, gold = dict[str, list[str]](), dict[str, list[str]]()
    for name, column in columns.items():
        said[name], gold[name] = _as_numbers(ours[name], right[name])
        if name in keys and name in aliases:
            said[name] = [aliases[name].get(cell, cell) for cell in said[name]]
        for step in column.prepared:
            said[name], gold[name] = list(map(PREPARED[step], said[name])), list(map(PREPARED[step], gold[name]))
    return _by_key(said, keys), _by_key(gold, keys)


def _as_numbers(ours: list[str], right: list[str]) -> tuple[list[str], list[str]]:
    """Two columns that both hold numbers alone are written alike, so that 5 is 5.0."""
    if any("%" in cell for cell in (*ours, *right)):
        return ours, right
    found = [[read_number(cell) if cell else None for cell in column] for column in (ours, right)]
    if any(
        number is None and cell
        for numbers, column in zip(found, (ours, right), strict=True)
        for number, cell in zip(numbers, column, strict=True)
    ):
        return ours, right
    said, gold = ([("" if number is None else f"{number:.17g}") for number in numbers] for numbers in found)
    return said, gold


def _by_key(columns: dict[str, list[str]], keys: list[str]) -> _Rows:
    rows: _Rows = {}
    for place in range(len(next(iter(columns.values())))):
        row = {name: cells[place] for name, cells in columns.items()}
        rows.setdefault(tuple(row[name] for name in keys), row)
    return rows


@dataclass(frozen=True, slots=True)
class _Compared:
    """Two tables with their rows by key."""

    marking: Marking
    required: list[str]
    tables: tuple[_Rows, _Rows]
    judge: Judge | None


def _score(both: _Compared) -> TableScore:
    said, gold = both.tables
    joined = [key for key in gold if key in said]
    marks = _mark(both, joined)
    by_row = sum(min(each) for each in marks)
    by_item = sum(map(sum, marks))
    wide = len(both.required)
    rows = Marks(by_row / len(said) if said else 0.0, by_row / len(gold))
    items = Marks(by_item / (len(said) * wide) if said else 0.0, by_item / (len(gold) * wide))
    perfect = all(mark == 1.0 for found in (rows, items) for mark in (found.precision, found.recall, found.f1))
    return TableScore(perfect or said == gold, rows, items)


def _mark(both: _Compared, joined: list[tuple[str, ...]]) -> list[list[float]]:
    """The marks of the required cells of each row that both tables have."""
    said, gold = both.tables
    keys = {normalise_column(name) for name in both.marking.key}
    marks: list[list[float]] = [[] for _ in joined]
    for name, column in both.marking.columns.items():
        at = normalise_column(name)
        pairs = [(said[key][at], gold[key][at]) for key in joined]
        if at in keys:
            found: Sequence[float] = [1.0] * len(pairs)
        elif column.metric == "judge":
            found = _ask_judge(both.judge, name, pairs, column.rule)
        else:
            found = [METRICS[column.metric](ours, right, column.criterion) for ours, right in pairs]
        for row, mark in zip(marks, found, strict=True):
            row.append(mark)
    return marks


def _ask_judge(judge: Judge | None, name: str, pairs: Pairs, rule: str) -> Sequence[float]:
    if judge is None:
        raise UsageError(f"score_table: column {name!r} is marked by a judge: give judge=")
    if not pairs:
        return []
    found = judge(name, pairs, rule)
    if len(found) != len(pairs):
        raise UsageError(f"score_table: the judge gave {len(found)} marks for {len(pairs)} cells of column {name!r}")
    settings.probability(f"score_table: a mark of column {name!r}", **{f"cell_{place}": mark for place, mark in enumerate(found)})
    return found


async def judge_table(
    said: Table | None,
    gold: Table,
    marking: Marking,
    judge: Callable[[str, Pairs, str], Awaitable[Sequence[float]]],
    *,
    rename: Mapping[str, str] | None = None,
    same: Mapping[str, Mapping[str, str]] | None = None,
) -> TableScore:
    """Mark a table with a judge that has to be awaited, usually a task: it is asked once for each column, side by side.

    Args:
        said: what was answered.
        gold: what is right.
        marking: the columns, their metrics, the key.
        judge: from a column's name, its pairs (said, right) and its rule to a mark for each, from 0 to 1.
        rename: as of `score_table`.
        same: as of `score_table`.

    Returns:
        The score, as of `score_table`.

    Raises:
        UsageError: as `score_table`.
        Exception: what the judge raises.

    Example:
        >>> @hw.task
        ... async def alike(column: str, pairs: list[tuple[str, str]], rule: str) -> list[float]:
        ...     return [float(set(said.split(";")) == set(right.split(";"))) for said, right in pairs]
        >>> gold = Table(("country", "languages"), (("Malta", "english;maltese"),))
        >>> said = Table(("country", "languages"), (("Malta", "maltese;english"),))
        >>> marking = Marking({"country": Column(), "languages": Column("judge")}, ("country",))
        >>> import asyncio
        >>> asyncio.run(judge_table(said, gold, marking, alike)).success
        True
    """
    asked: dict[str, tuple[Pairs, str]] = {}

    def collect(name: str, pairs: Pairs, rule: str) -> Sequence[float]:
        asked[name] = pairs, rule
        return [0.0] * len(pairs)

    score_table(said, gold, marking, rename=rename, same=same, judge=collect)
    given = await gather(*(judge(name, list(pairs), rule) for name, (pairs, rule) in asked.items()))
    marks = dict(zip(asked, given, strict=True))
    return score_table(said, gold, marking, rename=rename, same=same, judge=lambda name, pairs, rule: marks[name])


@dataclass(frozen=True, slots=True)
class TrialScores:
    """What several tries at several questions came to, each a mean over the questions.

    Attributes:
        success: Avg@N of success.
        row_f1: Avg@N by rows.
        item_f1: Avg@N by items.
        best_row_f1: Max@N by rows: of each question its best try.
        best_item_f1: Max@N by items.
        passed: Pass@N: the share of questions of which at least one try is right in whole.
    """

    success: float
    row_f1: float
    item_f1: float
    best_row_f1: float
    best_item_f1: float
    passed: float


def score_trials(trials: Sequence[Sequence[TableScore]]) -> TrialScores:
    """Sum up several tries at each question.

    Args:
        trials: the scores of all tries, question by question, of each the same number.

    Returns:
        Avg@N, Max@N and Pass@N.

    Raises:
        UsageError: no question, no try, or more tries of one question than of another.

    Example:
        >>> right, wrong = TableScore(True, Marks(1, 1), Marks(1, 1)), TableScore()
        >>> score_trials([[right, wrong], [wrong, wrong]]).passed
        0.5
    """
    counts = {len(each) for each in trials}
    if len(counts) != 1 or not min(counts):
        raise UsageError(f"score_trials: the questions have {sorted(counts)} tries: give each the same number, at least one")
    return TrialScores(
        fmean(fmean(float(one.success) for one in each) for each in trials),
        fmean(fmean(one.rows.f1 for one in each) for each in trials),
        fmean(fmean(one.items.f1 for one in each) for each in trials),
        fmean(max(one.rows.f1 for one in each) for each in trials),
        fmean(max(one.items.f1 for one in each) for each in trials),
        fmean(float(any(one.success for one in each)) for each in trials),
    )
