"""Under DistributedDataParallel: a resumed training is the uninterrupted one, and what its ranks have for themselves is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from torch_gang import TorchGang

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def gang(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TorchGang]:
    with TorchGang(2, tmp_path_factory.mktemp("gang")) as gang:
        yield gang


def test_a_resumed_training_with_batch_statistics_has_the_losses_of_an_undisturbed_one(gang: TorchGang, tmp_path: Path) -> None:
    whole = gang.run("ddp_jobs:train", root=str(tmp_path / "whole"), total=6)
    gang.run("ddp_jobs:train", root=str(tmp_path / "parts"), total=3)
    rest = gang.run("ddp_jobs:train", root=str(tmp_path / "parts"), total=6)
    assert rest[0]["losses"] == whole[0]["losses"][3:]  # to the bit; between two forwards, the other rank's buffers are its own
    assert [each["warned"] for each in (*whole, *rest)] == [[]] * 4


@pytest.mark.parametrize("way", [{"broadcast": False}, {"wrapped": False}])
def test_statistics_that_ddp_is_not_known_to_send_are_told_to_differ(gang: TorchGang, tmp_path: Path, way: dict[str, bool]) -> None:
    for done in gang.run("ddp_jobs:train", root=str(tmp_path), total=3, **way):
        assert any("step 3: model.1.running_mean" in each and "as DDP wraps it" in each for each in done["warned"])
        assert len(done["losses"]) == 3


def test_own_state_goes_from_shards_to_replicas_and_moments_elsewhere_are_refused(gang: TorchGang, tmp_path: Path) -> None:
    for done in gang.run("ddp_jobs:wrapped", root=str(tmp_path)):
        assert (done["seen"], done["same"], done["moments"], done["on"]) == (7, True, 4, True)
        assert "state_dict() of this ZeroRedundancyOptimizer raises" in done["refused"]
        assert "`.optim`" in done["refused"]
