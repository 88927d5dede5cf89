"""The items of streams in the upkeep of a store: collected, examined, repaired and forked like results."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import headway as hw
from headway.journal.sqlite.store import SqliteStore
from headway.journal.upkeep.doctor import examine
from headway.journal.upkeep.gc import gc
from headway.journal.upkeep.repair import repair
from headway.observe.reading import read_run
from headway.view import view

LATER = 4e9  # long after the files of a test were written
ran: list[str] = []


@pytest.fixture(autouse=True)
def nothing_ran():
    ran.clear()


@hw.task
async def part(n: int) -> str:
    ran.append(f"part {n}")
    return f"{n}"


@hw.task
async def pages(count: int) -> AsyncIterator[str]:
    for n in range(count):
        ran.append(f"page {n}")
        yield await part(n) * 50_000


@hw.task
async def program(ends: bool) -> list[int]:
    sizes = [len(page) async for page in pages(3)]
    if not ends:
        raise RuntimeError("stops here")
    return sizes


def begin(folder: Path) -> None:
    with pytest.raises(RuntimeError):
        hw.testing.run(program, False, store=folder, run_id="run")
    ran.clear()


def go_on(folder: Path) -> list[int]:
    with SqliteStore(folder) as store:
        run = store.run("run")
    return hw.testing.run(program, False, store=folder, run_id=run.spec.run_id)


def read_again(folder: Path) -> None:
    """The run goes on, gets the items and fails as before."""
    with pytest.raises(RuntimeError, match="stops here"):
        go_on(folder)


def test_a_collection_of_garbage_keeps_the_blobs_of_items(tmp_path):
    begin(tmp_path)
    with SqliteStore(tmp_path) as store:
        assert gc(store, now=LATER).blobs == 0
    read_again(tmp_path)
    assert ran == []


def test_the_doctor_names_an_item_whose_blob_is_missing_and_a_repair_runs_the_stream_again(tmp_path):
    begin(tmp_path)
    assert examine(tmp_path).whole
    blobs = sorted(tmp_path.glob("blobs/??/*"))
    assert len(blobs) == 3
    blobs[0].unlink()
    found = examine(tmp_path).findings
    assert any("decision 'item'" in finding.what for finding in found)
    repair(tmp_path, now=100.0)
    assert examine(tmp_path).whole
    read_again(tmp_path)
    assert "page 0" in ran
    assert "part 0" not in ran


def test_a_fork_at_a_call_below_a_stream_keeps_the_items_before_it(tmp_path):
    begin(tmp_path)
    calls = {call.label: call for call in view("run", store=tmp_path).calls if call.task.endswith("part")}
    hw.fork("run", at=calls["1"].key, new_id="fork", store=tmp_path)
    with pytest.raises(RuntimeError):
        hw.testing.run(program, False, store=tmp_path, run_id="fork")
    assert [each for each in ran if each.startswith("part")] == ["part 1"]


def test_a_stream_that_was_given_its_result_by_hand_says_that_it_has_no_items(tmp_path):
    begin(tmp_path)
    (stream,) = [call for call in view("run", store=tmp_path).calls if call.task.endswith("pages")]
    hw.set_result("run", stream.key, 7, store=tmp_path, force=True)
    with pytest.raises(hw.UsageError, match="given its result by hand"):
        go_on(tmp_path)


def test_what_is_shown_of_a_stream_is_how_many_items_it_has_handed_out(tmp_path):
    begin(tmp_path)
    with SqliteStore(tmp_path) as store:
        recorded = read_run(store, "run")
    (stream,) = [call for call in recorded.calls.values() if call.task.endswith("pages")]
    assert stream.preview() == "3 items"
