"""Random programs, queues, and workers of the service on stores of other machines, whose connections lie. `make prove` does more.

A lie that was never told in a batch has not been tested: each batch counts what struck, and fails where a kind never did.
"""

from __future__ import annotations

import os
from collections import Counter

import far
import pytest
from explore import explore, kinds_of

from headway.sim.far.lies import untold
from headway.sim.history import Violated

BATCH = 24  # seeds in each trouble of the default suite: as many as each lie needs to be told
MANY = 30  # `make prove` looks at more
BASE_SEED = int(os.environ["HEADWAY_PROOF_SEED"])
FOUND = (
    ("the store goes back", 116),
    ("the store goes back", 101000087),  # to before its run: the proof itself was blind from there on
    ("overtaken far away", 374),
    ("many drivers", 1101),
    ("workers and a queue", 931157082),  # a schedule's run waited for ever for one that was stuck already
    ("workers of the service", 74),  # a broken connection was the failure of a started run, and cancelled its siblings
)


def _look(trouble: str, seeds: range) -> Counter[str]:
    """Put the programs of these seeds through one trouble. What struck."""
    far.STRUCK.clear()
    for seed in seeds:
        try:
            explore(trouble, seed, kinds_of(seed))
        except Violated as broken:
            broken.add_note(f"again: python tests/proof/prove.py --again {trouble!r} {seed}")
            raise
    return Counter(far.STRUCK)


def test_each_promise_is_kept_on_a_store_that_lies_and_each_lie_was_told():
    struck = sum((_look(trouble, range(BATCH)) for trouble in far.FAR), Counter[str]())
    assert not untold(struck, far.KINDS)


@pytest.mark.parametrize(("trouble", "seed"), FOUND)
def test_a_far_store_that_once_found_a_fault_finds_none(trouble, seed):
    explore(trouble, seed, kinds_of(seed))


@pytest.mark.long
@pytest.mark.parametrize("trouble", far.FAR)
def test_many_programs_keep_every_promise_on_a_store_that_lies(trouble):
    _look(trouble, range(BASE_SEED, BASE_SEED + MANY))
