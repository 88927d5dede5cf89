"""A made world of tables: sub-agents that leave out rows and get cells wrong as planted, so that what helps can be counted.

Whether a row is left out depends on seed, row and attempt alone, and is likelier the more rows are asked for together. A call costs
some tokens for its instructions and some for each row.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import headway as hw
from headway.methods.plan.matrix import (
    Batch,
    Column,
    Field,
    Marking,
    Matrix,
    Table,
    TableFilled,
    TableScore,
    a_mapreduce,
    score_table,
)
from headway.methods.plan.matrix.deciding import cut_batches

INSTRUCTED, PER_ROW = 400, 60  # tokens of a call, and of each row in it
FIELDS = (Field("country", slot=0), Field("capital"), Field("area", "integer"))
MARKING = Marking({"country": Column(), "capital": Column(), "area": Column("number_near", 0.01)}, ("country",))


@dataclass(frozen=True)
class World:
    """What is planted: by which chance a row is left out, how much likelier for each row beside it, how often a cell is wrong."""

    seed: int = 0
    rows: int = 40
    lost: float = 0.3
    crowded: float = 0.02
    wrong: float = 0.0

    def rng(self, *of: object) -> random.Random:
        return random.Random(f"{self.seed} {of}")


@cache
def gold(world: World) -> Table:
    """The right table."""
    rng = random.Random(world.seed)
    made = tuple((f"Land {number}", f"Town {rng.randrange(10**6)}", rng.randrange(10, 10**6)) for number in range(world.rows))
    return Table(("country", "capital", "area"), made)


@hw.task(cost={"tokens": 4000})
async def answer_rows(world: World, batch: Batch) -> list[dict[str, Any]]:
    """A sub-agent."""
    await hw.sleep(1 + len(batch.rows))
    hw.charge(tokens=INSTRUCTED + PER_ROW * len(batch.rows))
    known = {record["country"]: record for record in gold(world).records}
    said = []
    for (country,) in batch.rows:
        rng = world.rng(country, batch.attempt)
        if rng.random() < world.lost + world.crowded * (len(batch.rows) - 1):
            continue
        record: dict[str, Any] = dict(known[country])
        if rng.random() < world.wrong:
            record["capital"] = "Nowhere"
        said.append(record)
    return said


@dataclass(frozen=True)
class Orchestrated:
    """An orchestrator that decides as it is told."""

    world: World
    strategy: Any = "per_atom"
    chunk: int = 1
    fields: tuple[Field, ...] = FIELDS

    async def __call__(self, question: str, hints: tuple[str, ...], draft: Matrix | None) -> Matrix:
        rows = tuple((str(country),) for country, *_ in gold(self.world).rows)
        return Matrix(rows, "Which capital and area has __0__?", self.fields, self.strategy, chunk=self.chunk)


@dataclass(frozen=True)
class Working:
    """The sub-agent of a world."""

    world: World

    def __call__(self, batch: Batch) -> Awaitable[list[dict[str, Any]]]:
        return answer_rows(self.world, batch)


@hw.task
async def fill(world: World, retries: int = 2, strategy: str = "per_atom", chunk: int = 1) -> TableFilled:
    """Fill the table of a world."""
    orchestrate = Orchestrated(world, strategy, chunk)
    return await a_mapreduce("capitals and areas", orchestrate, Working(world), retries=retries)


def score(world: World, found: TableFilled) -> TableScore:
    return score_table(found.table, gold(world), MARKING)


@hw.task
async def fill_and_count(world: World, retries: int, strategy: str, chunk: int) -> tuple[TableFilled, float]:
    """Fill the table of a world. Also the tokens that it took."""
    most = 10**9
    with hw.budget(tokens=most):
        found = await a_mapreduce("which?", Orchestrated(world, strategy, chunk), Working(world), retries=retries)
        return found, most - hw.remaining()["tokens"]


@hw.task
async def fill_twice(world: World) -> TableFilled:
    """The plain way: every row is asked for twice, whatever came of it first, and the first record of each stays."""
    matrix = await Orchestrated(world)("", (), None)
    batches = cut_batches(matrix)
    said = await hw.gather(*(answer_rows(world, replace(batch, attempt=attempt)) for attempt in (0, 1) for batch in batches))
    records = {record["country"]: record for some in reversed(said) for record in some}
    return TableFilled(Table.of(records.values(), [each.name for each in FIELDS]), matrix)
