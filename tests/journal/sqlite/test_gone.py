"""A store whose folder is moved or removed while a run writes to it: the run fails, for nothing of it could be found again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import headway as hw


def _move(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))


def _remove_files(folder: Path) -> None:
    for file in folder.glob("journal*"):
        file.unlink()


def _put_another_there(folder: Path) -> None:
    _move(folder)
    hw.run(hw.task(lambda: 1, name="another"), store=folder, progress=False)


GOES = {"moved": _move, "removed": shutil.rmtree, "its files removed": _remove_files, "another put there": _put_another_there}


LIFE: dict[str, object] = {}


@hw.task
async def step(x: int) -> int:
    return x


@hw.task
async def program() -> list[int]:
    done = [await step(1)]
    if "goes" in LIFE:
        GOES[str(LIFE.pop("goes"))](Path(str(LIFE["store"])))
    return [*done, await step(2)]


@pytest.mark.parametrize("goes", GOES)
def test_a_run_whose_store_goes_away_does_not_succeed(tmp_path, goes):
    LIFE.update(goes=goes, store=tmp_path / "store")
    with pytest.raises(hw.StoreError, match="is gone: its journal was moved or removed while it was open here"):
        hw.run(program, store=tmp_path / "store", run_id="r", progress=False)


def test_a_store_that_is_put_back_goes_on(tmp_path):
    store = tmp_path / "store"
    LIFE.update(goes="moved", store=store)
    with pytest.raises(hw.StoreError, match="headway resume"):
        hw.run(program, store=store, run_id="r", progress=False)
    shutil.rmtree(store, ignore_errors=True)
    (tmp_path / "moved").rename(store)
    assert hw.resume("r", store=store, progress=False, take_over=True) == [1, 2]  # this process still lives, so it says so
