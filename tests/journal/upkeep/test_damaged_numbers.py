"""A damaged page may give a row without a number, or with a text for one: that is damage like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import headway as hw
from headway.errors import StoreDamaged
from headway.journal.sqlite.store import SqliteStore


@hw.task
async def add(n: int) -> int:
    return n + 1


@hw.task
async def program() -> int:
    return sum(await hw.gather(*(add(n) for n in range(3))))


@pytest.mark.parametrize("number", [None, "two", b"2", 0])
@pytest.mark.parametrize("place", [0, 1, -1])
def test_a_row_whose_number_is_damaged_is_named_and_can_be_skipped(tmp_path: Path, number: Any, place: int) -> None:
    hw.run(program, store=tmp_path, run_id="run", progress=False)
    with SqliteStore(tmp_path) as store:
        (info,) = store.runs()
        whole = [(seq, *row) for seq, row in store.rows(info.uid)]
        read = store.reading

        def damaged(query: Any) -> Any:
            found = read(query)
            if isinstance(found, list) and found and isinstance(found[0], tuple) and len(found[0]) == 6:
                found[place] = (number, *found[place][1:])
            return found

        store.reading = damaged  # type: ignore[method-assign]
        with pytest.raises(StoreDamaged, match="run 'run' is damaged: record"):
            list(store.rows(info.uid))
        kept = [(seq, *row) for seq, row in store.rows(info.uid, skip_damaged=True)]
        assert kept == [row for row in whole if row != whole[place]]
