"""A-MapReduce: an orchestrator makes a table into a matrix of tasks, sub-agents fill it batch by batch, and it is put together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.graph import Add, Edit, Graph, Node, Trace
from headway.methods.plan.executor import execute
from headway.methods.plan.matrix.deciding import Batch, Matrix, cut_batches, make_fallback, reduce_records
from headway.methods.plan.matrix.filling import BatchEnd, Filling, Worker, fill_batch
from headway.methods.plan.matrix.table import Table
from headway.methods.records import Action, View
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failures
from headway.scopes.anytime import Stopped, anytime

HINTS = 3  # that an orchestrator is shown
AGAIN = ", again"  # behind the name of a batch that the budget refused at first


class Orchestrator(Protocol):
    """Makes a question into a matrix. In plan mode it is asked twice: the second time with hints from experience and its draft."""

    def __call__(self, question: str, hints: tuple[str, ...], draft: Matrix | None, /) -> Awaitable[Matrix]: ...


Hints = Callable[[str, Matrix], Awaitable[Sequence[str]]]
"""What experience says of a question and the draft for it, the most useful first."""


@dataclass(frozen=True, slots=True)
class TableFilled:
    """What came of a table.

    Attributes:
        table: the table, a row for each record; of rows that nobody answered, fallback records.
        matrix: what the orchestrator decided; None where a bound ended it before that.
        hints: what it was told from experience.
        batches: what came of each batch, in the order of the matrix; none of those that had not begun.
        lacking: the numbers of the rows without a record of their own.
        stopped: why it ended: it was "done", or the "budget" or the "deadline" ended it.
    """

    table: Table
    matrix: Matrix | None
    hints: tuple[str, ...] = ()
    batches: tuple[BatchEnd, ...] = field(default=(), repr=False)
    lacking: tuple[int, ...] = ()
    stopped: Stopped = "done"

    @property
    def completeness(self) -> float:
        """The share of the rows that were answered."""
        return 1 - len(self.lacking) / len(self.matrix.rows) if self.matrix is not None else 0.0

    @property
    def tries(self) -> int:
        """How often sub-agents were asked."""
        return sum(each.tries for each in self.batches)


async def a_mapreduce(
    question: str,
    orchestrate: Orchestrator,
    work: Worker,
    *,
    hints: Hints | None = None,
    retries: int = 2,
    workers: int = 8,
    errors: Errors = SAMPLE_ERRORS,
) -> TableFilled:
    """Fill a table with many sub-agents at once.

    An orchestrator decides the rows, the question of a row, the fields of a record and how rows are put into batches. A sub-agent
    works on each batch. Where it gives fewer records than rows, it is asked again with what was had. Rows that are lacking then get
    a fallback record, and all records become one table. With `hints`, the orchestrator makes a draft, is told what experience says
    of it, and decides again.

    It departs in this: where fields repeat atoms of the row (`Field.slot`), only the rows that are lacking are asked for again, and
    records of rows that nobody asked for are left out; `retries` counts the times after the first; records of a shorter list never
    replace those of a longer one; every row that is lacking gets a fallback, and not only those of a batch without any record.

    Args:
        question: what the table is about.
        orchestrate: makes it into a matrix.
        work: a sub-agent: gives the records of a batch. Usually a task; each time it is asked is a call.
        hints: what experience says of the draft; the first three are shown. Without it there is no plan mode.
        retries: how often a sub-agent is asked again for what is lacking.
        workers: batches at once.
        errors: what a sub-agent may fail with; it is asked again then.

    Returns:
        The table, what is lacking, and what came of each batch. Where a budget or a deadline ended it, the table so far.

    Raises:
        UsageError: settings that make no sense, an orchestrator that gives no matrix, a sub-agent that gives no records.
        Exception: what the parts raise, but for budgets and deadlines.

    Example:
        >>> from headway.methods.plan.matrix import Batch, Field, Matrix, a_mapreduce
        >>> AREAS = {"Italy": 301336, "Malta": 316}
        >>> @hw.task
        ... async def orchestrate(question: str, hints: tuple[str, ...], draft: Matrix | None) -> Matrix:
        ...     fields = Field("country", slot=0), Field("area", "integer")
        ...     return Matrix((("Italy",), ("Malta",)), "What is the area of __0__?", fields)
        >>> @hw.task
        ... async def work(batch: Batch) -> list[dict[str, object]]:
        ...     return [{"country": country, "area": AREAS[country]} for (country,) in batch.rows]
        >>> @hw.task
        ... async def program() -> tuple[tuple[object, ...], ...]:
        ...     return (await a_mapreduce("How large are Italy and Malta?", orchestrate, work)).table.rows
        >>> hw.run(program, store=None)
        (('Italy', 301336), ('Malta', 316))

    Source:
        A-MapReduce, its authors' code (MapReduceTool).
    """
    settings.whole_number("a_mapreduce", retries=retries)
    settings.at_least_one("a_mapreduce", workers=workers)
    settings.function("a_mapreduce", orchestrate=orchestrate, work=work)
    settings.function("a_mapreduce", optional=True, hints=hints)
    Failures(errors)  # refuses what are no errors
    if not isinstance(question, str) or not question.strip():
        raise UsageError(f"a_mapreduce: question={question!r:.80}: what the table is about, as text")
    kept: dict[str, Any] = {}
    how = Filling(work, retries, errors)
    cut = False
    with anytime(kept) as block:
        matrix, told = await _decide(question, orchestrate, hints)
        block.keep("matrix", matrix)
        block.keep("hints", told)
        name = settings.say_part(work)
        ran = await execute(
            lambda batch, given: fill_batch(batch, given, name, how),
            graph=Graph(tuple(Node(_name(batch), batch) for batch in cut_batches(matrix))),
            planner=try_refused,
            replan="done",
            policy=AtMost(workers, kept),
            errors=(),
            keep=block.keep,
        )
        cut = bool(ran.skipped)
    return _put_together(kept, "budget" if cut else block.stopped)


async def try_refused(goal: object, trace: Trace[Batch]) -> AsyncIterator[list[Edit[Batch]]]:
    """Add the batches that the budget refused once more: what ran beside them has given back what it did not need."""
    refused = [id for id, end in trace.results.items() if end.was_refused and not id.endswith(AGAIN)]
    refused = [id for id in refused if id + AGAIN not in trace.graph]
    if 0 < len(refused) < len(trace.results):
        yield [Add(Node(id + AGAIN, trace.graph[id].does)) for id in refused]


@dataclass(frozen=True)
class AtMost:
    """A policy: so many steps at once, one less for each that the budget has refused, and none more while nothing is left.

    Attributes:
        most: how many.
        came: what came of the steps so far, by id.
    """

    most: int
    came: Mapping[str, Any] = field(default_factory=dict, repr=False)
    name: str = "at most"

    def __call__(self, view: View, rng: Random, /) -> Sequence[Action]:
        if any(left <= 0 for left in view.left.values()):
            return []
        refused = sum(isinstance(end, BatchEnd) and end.was_refused for end in self.came.values())
        return [Action(step) for step in view.ready[: max(0, max(1, self.most - refused) - len(view.running))]]


async def _decide(question: str, orchestrate: Orchestrator, hints: Hints | None) -> tuple[Matrix, tuple[str, ...]]:
    """The matrix, and the hints that it was made with."""
    draft = _check_matrix(await orchestrate(question, (), None))
    if hints is None:
        return draft, ()
    told = await hints(question, draft)
    if isinstance(told, str) or not all(isinstance(each, str) for each in told):
        raise UsageError(f"a_mapreduce: hints= gave {told!r:.80}: give a list of texts")
    if not told:
        return draft, ()
    first = tuple(told[:HINTS])
    return _check_matrix(await orchestrate(question, first, draft)), first


def _check_matrix(given: object) -> Matrix:
    if not isinstance(given, Matrix):
        raise UsageError(f"a_mapreduce: the orchestrator gave {given!r:.80}: it must return a matrix.Matrix")
    return given


def _name(batch: Batch) -> str:
    return f"rows {','.join(map(str, batch.places))}" if len(batch.places) < 9 else f"rows {batch.places[0]},…,{batch.places[-1]}"


def _put_together(kept: dict[str, Any], stopped: Stopped) -> TableFilled:
    matrix: Matrix | None = kept.get("matrix")
    if matrix is None:
        return TableFilled(Table(()), None, stopped=stopped)
    names = [name for batch in cut_batches(matrix) for name in (_name(batch), _name(batch) + AGAIN)]
    ends: list[BatchEnd] = [kept[name] for name in names if name in kept]
    tried = {end.places for end in ends if not end.was_refused}
    ends = [end for end in ends if end.places not in tried or not end.was_refused]
    begun = {place for end in ends for place in end.places}
    missed = {place for place in range(len(matrix.rows)) if place not in begun} | {place for end in ends for place in end.lacking}
    lacking = tuple(sorted(missed))
    records = [record for end in ends for record in end.records] + [make_fallback(matrix, place) for place in lacking]
    cut: list[Stopped] = [each for each in (stopped, *(end.stopped for end in ends)) if each != "done"]
    return TableFilled(reduce_records(matrix, records), matrix, kept["hints"], tuple(ends), lacking, cut[0] if cut else "done")
