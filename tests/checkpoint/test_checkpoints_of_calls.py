"""Checkpoints that belong to calls of a run. No torch here: the workers import this file."""

from __future__ import annotations

import numpy as np
import pytest

import headway as hw
from headway.errors import UsageError


@hw.task(pool="process")
def train(total, dies_at):
    state = {"w": np.zeros(3)}
    with hw.checkpoints() as ck:
        done = []
        for step in ck.steps(state, total=total, every=2):
            if step == dies_at and hw.call().attempt == 1:
                raise OSError("out of luck")
            state["w"] += 1
            done.append(step)
            ck.wait()
    return [state["w"].tolist(), done]


@hw.task
async def two_trainings():
    retried = train.options(retry=hw.Retry(attempts=2, delay_s=0.01))
    return await hw.gather(retried(9, 5), retried(9, 7))


def test_a_call_finds_its_own_checkpoints_again_and_no_others(tmp_path):
    heard = []
    results = hw.run(two_trainings, store=tmp_path / "store", run_id="r", events=heard.append)
    assert results == [[[9.0] * 3, [4, 5, 6, 7, 8]], [[9.0] * 3, [6, 7, 8]]]
    saved = [event for event in heard if isinstance(event, hw.events.CheckpointSaved)]
    assert len({event.key for event in saved}) == 2
    assert {event.step for event in saved} == {2, 4, 6, 8, 9}
    assert len(list((tmp_path / "store" / "checkpoints" / "r").iterdir())) == 2


@hw.task
async def asks_for_checkpoints():
    return hw.checkpoints()


def test_a_store_without_a_folder_has_no_place_for_checkpoints():
    with pytest.raises(UsageError, match=r"no place for checkpoints: .* run with store=PATH"):
        hw.run(asks_for_checkpoints, store=":memory:")
