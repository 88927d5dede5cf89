"""Collections on disk: what doctor finds, what a repair saves, what gc keeps."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import headway as hw
from headway.journal.shared.items import Item
from headway.journal.upkeep.doctor import examine
from headway.journal.upkeep.gc import gc
from headway.journal.upkeep.repair import repair

arrays = hw.collection("arrays")


@hw.task
async def fill(size: int) -> None:
    for n in range(size):
        await arrays.append(np.full(20_000, float(n)))
        await hw.collection("words").append(f"word {n}")


@hw.task
async def sizes() -> list[int]:
    return [len(await arrays.snapshot()), len(await hw.collection("words").snapshot())]


@pytest.fixture
def folder(go: Callable[..., object], tmp_path: Path) -> Path:
    go(fill, 3)
    return tmp_path / "store"


def change(folder: Path, statement: str) -> None:
    connection = sqlite3.connect(folder / "journal.db", isolation_level=None)
    connection.execute(statement)
    connection.close()


def read(folder: Path, name: str) -> hw.Snapshot[object]:
    return hw.collection(name, store=folder).read()


def test_gc_keeps_the_items_of_a_run_that_is_deleted(folder):
    with hw.SqliteStore(folder) as store:
        done = gc(store, now=4e9, grace_s=0, delete_runs=["run"])
    assert done.runs == 1
    assert [float(each[0]) for each in read(folder, "arrays")] == [0.0, 1.0, 2.0]
    assert examine(folder).whole


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE item SET body=x'ff' WHERE collection='words' AND number=1", "collection 'words': item 1 is damaged"),
        ("UPDATE item SET number=7 WHERE collection='words' AND number=2", "collection 'words': item 7 is damaged"),
        ("DELETE FROM item WHERE collection='words' AND number=1", "collection 'words': item 1 missing"),
    ],
)
def test_damage_is_found_and_a_repair_goes_on_without_it(go, folder, statement, says):
    change(folder, statement)
    assert any(says in str(finding) for finding in examine(folder).findings)
    with pytest.raises(hw.StoreDamaged, match="words"):
        read(folder, "words")
    assert any("words" in str(finding) for finding in repair(folder, now=4e9).dropped) or "DELETE" in statement
    assert examine(folder).whole
    left = list(read(folder, "words"))
    assert left == [word for word in ("word 0", "word 1", "word 2") if word in left]
    assert len(left) == 2
    go(fill, 4, run_id="more")
    assert list(read(folder, "words")) == [*left, "word 0", "word 1", "word 2", "word 3"]


def test_an_item_whose_blob_is_gone_is_named_and_left_out_after_a_repair(go, folder):
    with hw.SqliteStore(folder) as store:
        (digest,) = store.items("arrays")[1].blobs[-1:]
        store.blobs.path(digest).unlink()
    assert any("collection 'arrays': item 1" in str(finding) for finding in examine(folder).findings)
    repair(folder, now=4e9)
    snapshot = read(folder, "arrays")
    assert (snapshot.version, [float(each[0]) for each in snapshot]) == (3, [0.0, 2.0])
    assert go(sizes, run_id="reader") == [2, 3]


def test_a_version_that_was_recorded_and_is_no_longer_there_fails_loudly(go, folder):
    stop: list[int] = []

    @hw.task
    async def program() -> int:
        found = await hw.collection("words").snapshot()
        if not stop:
            raise RuntimeError("stop")
        return len(found)

    with pytest.raises(RuntimeError):
        go(program, run_id="late")
    stop.append(1)
    change(folder, "DELETE FROM item WHERE collection='words' AND number=2")
    with pytest.raises(hw.StoreDamaged, match="words"):
        go(program, run_id="late")


def test_an_item_without_a_value_is_one_that_was_lost():
    assert Item(b"t").is_lost
    assert not Item(b"t", b"v").is_lost
