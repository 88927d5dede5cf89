"""Every layout saves what every other one continues, to the bit: arrays, moments, settings, random streams, data, and losses.

A small GPT is trained for a few steps in one layout, saved while it trains on, and loaded in another. What is claimed is equality,
so nothing is compared with a tolerance: the whole arrays of the checkpoint with what each rank had, what each rank then has with
its part of the whole, and twenty losses with those of a run that was put into the same state without a checkpoint. The parts are
computed by `gpt_cuts` from nothing but numpy. That these are what the layouts really compute with is the one approximate claim:
all layouts train one model.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from gpt_layouts import PLANS
from torch_gang import RankFailed, TorchGang

STEP, MORE, LOSSES = 3, 2, 20  # saved after, trained on meanwhile, compared
WHOLE = "HEADWAY_CHAOS" in os.environ  # `make chaos`: every pair of layouts
SHARE = 3  # else one pair in so many
RING = ("zero2tp2", "tp2pp2", "fsdp2tp2", "ep2dp2", "sp2dp2")  # of each kind one: each is loaded by the next
TIED = [name for name in PLANS if name.endswith("-tied")]
FEW = ["hsdp2x2"]  # pairs with some of the others say enough
ALL = [name for name in PLANS if name not in TIED + FEW]


class Bench:
    """Gangs of four and eight processes, and the checkpoints that they have saved."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gangs: dict[int, TorchGang] = {}
        self._saved: dict[str, list[dict[str, Any]] | RankFailed] = {}

    def gang(self, layout: str) -> TorchGang:
        size = max(4, PLANS[layout].size)
        return self.gangs.setdefault(size, TorchGang(size, self.folder / f"gang-{size}"))

    def saved(self, layout: str) -> list[dict[str, Any]]:
        """What the ranks said of saving in this layout."""
        if layout not in self._saved:
            root = str(self.folder / layout)
            try:
                said = self.gang(layout).run("gpt_jobs:save", layout=layout, root=root, step=STEP, more=MORE)
                self._saved[layout] = said[: PLANS[layout].size]
            except RankFailed as error:
                self._saved[layout] = error
        found = self._saved[layout]
        if isinstance(found, RankFailed):
            raise found
        return found

    def losses(self, layout: str) -> list[float]:
        """The losses of whole batches. Ranks that do not have all of a batch have equal parts of it."""
        rows = [said["losses"] for said in self.saved(layout) if said["losses"][0] is not None]
        return [mean(column) for column in zip(*rows, strict=True)]

    def wrong_in_saving(self, layout: str) -> list[str]:
        return [f"rank {rank}: {line}" for rank, said in enumerate(self.saved(layout)) for line in said["wrong"]]

    def wrong_in_loading(self, layout: str, *sources: str) -> list[str]:
        roots = {}
        for source in sources:
            self.saved(source)
            roots[source] = str(self.folder / source)
        said = self.gang(layout).run("gpt_jobs:load", 600.0, layout=layout, roots=roots, step=STEP, more=LOSSES)
        assert all(list(each) == list(sources) for each in said[: PLANS[layout].size])
        return [
            f"{source}, rank {rank}: {line}"
            for rank, answer in enumerate(said)
            for source, each in answer.items()
            for line in each["wrong"][:5]
        ]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(tmp_path_factory.mktemp("layouts"))
    yield bench
    for gang in bench.gangs.values():
        gang.close()


@pytest.mark.parametrize("layout", RING)
def test_a_checkpoint_is_what_its_ranks_had_when_it_was_taken(bench: Bench, layout: str) -> None:
    assert bench.wrong_in_saving(layout) == []


@pytest.mark.parametrize("layout", RING)
def test_each_layout_trains_the_same_model(bench: Bench, layout: str) -> None:
    assert bench.losses(layout) == pytest.approx(bench.losses("one"), abs=2e-5)


@pytest.mark.parametrize(("source", "target"), list(zip(RING, (*RING[1:], RING[0]), strict=True)))
def test_another_layout_goes_on_as_if_it_had_been_there_from_the_start(bench: Bench, source: str, target: str) -> None:
    assert bench.wrong_in_loading(target, source) == []


@pytest.mark.long
@pytest.mark.parametrize("layout", list(PLANS))
def test_every_checkpoint_is_what_its_ranks_had(bench: Bench, layout: str) -> None:
    assert bench.wrong_in_saving(layout) == []
    assert bench.losses(layout) == pytest.approx(bench.losses("one-tied" if layout in TIED else "one"), abs=2e-5)


LATER = {"ep2dp2", "fsdp2tp2", "zero2tp2", "tp2pp2dp2"}
in_chaos = pytest.mark.skipif(not WHOLE, reason="takes minutes: make chaos")


def sources_of(target: str) -> list[str]:
    """Whose checkpoints a layout loads: all of them, or a third, and the next layout another third."""
    return ALL if WHOLE else ALL[ALL.index(target) % SHARE :: SHARE]


@pytest.mark.long
@pytest.mark.parametrize("target", [pytest.param(each, marks=in_chaos) if each in LATER else each for each in ALL])
def test_every_layout_goes_on_with_what_others_have_saved(bench: Bench, target: str) -> None:
    assert bench.wrong_in_loading(target, *sources_of(target)) == []


def test_every_layout_is_loaded_by_several() -> None:
    often = Counter(source for target in ALL if target not in LATER for source in sources_of(target))
    assert min(often[source] for source in ALL) >= 2


@in_chaos
@pytest.mark.long
@pytest.mark.parametrize(("source", "target"), [("hsdp2x2", "zero2tp2"), ("tp2dp2", "hsdp2x2"), ("hsdp2x2", "hsdp2x2")])
def test_copies_of_shards_are_loaded_and_saved(bench: Bench, source: str, target: str) -> None:
    assert bench.wrong_in_loading(target, source) == []


@in_chaos
@pytest.mark.long
@pytest.mark.parametrize("target", TIED)
def test_tied_weights_stay_tied_in_every_layout(bench: Bench, target: str) -> None:
    assert bench.wrong_in_loading(target, *TIED) == []
