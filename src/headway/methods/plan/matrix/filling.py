"""A batch of rows as a call: its sub-agent is asked, and asked again for what is lacking, each time as a call of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from headway.engine.identity.signature import unkeyed
from headway.errors import UsageError
from headway.methods.plan.matrix.deciding import Batch, ask_again, match_records
from headway.methods.plan.matrix.table import Cell
from headway.methods.search.failures import Errors, Failed, Failures
from headway.scopes.anytime import Stopped, anytime
from headway.task import task


class Worker(Protocol):
    """A sub-agent: the records of a batch's rows, in any order. Fewer than rows are asked for again, with what was had."""

    def __call__(self, batch: Batch, /) -> Awaitable[Sequence[Mapping[str, object]]]: ...


@dataclass(frozen=True, slots=True)
class BatchEnd:
    """What came of a batch.

    Attributes:
        places: the numbers of its rows in the matrix.
        records: what was had of them.
        lacking: the rows without a record.
        tries: how often its sub-agent was asked.
        errors: what it failed with, in words.
        stopped: why it ended.
    """

    places: tuple[int, ...]
    records: tuple[dict[str, Cell], ...] = ()
    lacking: tuple[int, ...] = ()
    tries: int = 0
    errors: tuple[str, ...] = ()
    stopped: Stopped = "done"

    @property
    def was_refused(self) -> bool:
        """Whether the budget afforded it no sub-agent at all."""
        return self.stopped == "budget" and not self.tries


@dataclass(frozen=True)
class Filling:
    """How batches are filled: by what sub-agent, how often it is asked again, and what it may fail with."""

    work: Worker
    retries: int
    errors: Errors


@task(name="matrix.fill", label=lambda batch, given, name, how: batch.label)
async def fill_batch(batch: Batch, given: dict[str, Any], name: str, how: Annotated[Filling, unkeyed]) -> BatchEnd:
    """Ask for the records of a batch until none is lacking, or the retries are used up. A bound leaves what was had."""
    failed = Failures(how.errors)
    kept: dict[str, BatchEnd] = {"end": BatchEnd(batch.places, lacking=batch.places)}
    with anytime(kept) as block:
        asked, end = batch, kept["end"]
        while end.lacking and end.tries <= how.retries:
            said = await failed.spare(0, how.work(asked))
            records, lacking = list(end.records), list(end.lacking)
            if not isinstance(said, Failed):
                records, lacking = _merge(batch, end, asked, _check_records(said, name))
            end = BatchEnd(batch.places, tuple(records), tuple(lacking), end.tries + 1, _say(failed))
            block.keep("end", end)
            asked = ask_again(batch, asked.attempt, records, lacking)
    end = kept["end"]
    return BatchEnd(end.places, end.records, end.lacking, end.tries, end.errors, block.stopped)


def _merge(
    batch: Batch, end: BatchEnd, asked: Batch, said: Sequence[Mapping[str, object]]
) -> tuple[list[dict[str, Cell]], list[int]]:
    """What there is now, with what a sub-agent has just said. Where records can only be counted, the longer list stays."""
    records, lacking = match_records(asked, said)
    if batch.has_keys:
        return [*end.records, *records], lacking
    if len(records) < len(end.records):
        return list(end.records), list(end.lacking)
    return records, lacking


def _check_records(said: object, name: str) -> Sequence[Mapping[str, object]]:
    if not isinstance(said, list | tuple) or not all(isinstance(each, Mapping) for each in said):
        raise UsageError(f"a_mapreduce: work={name} gave {said!r:.80}: give a list of records, a dictionary for each row")
    return said


def _say(failed: Failures) -> tuple[str, ...]:
    return tuple(f"{type(error).__name__}: {error}" for error in failed.errors)
