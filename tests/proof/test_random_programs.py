"""Random programs, put through every trouble. `make prove` does the same with many more.

A failure names the broken promise and the seed: `python tests/proof/prove.py --again TROUBLE SEED` shows it again. The long test
looks at other seeds for each version of the code, from a number on that it prints; `HEADWAY_PROOF_SEED=NUMBER` looks at others.
"""

from __future__ import annotations

import os
import random

import pytest
from explore import TROUBLES, explore, kinds_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nodes import CALM_STREAMS, GROUP_STREAMS, WILD_STREAMS
from programs import CALM, WILD, write

from headway.sim.history import Violated

FEW = 12  # seeds in each trouble of the default suite
MANY = 480  # in CI: with a dozen triples to a seed, more than 5,000
BASE_SEED = int(os.environ["HEADWAY_PROOF_SEED"])  # one for all processes of a test run: tests/conftest.py draws it
FOUND = (  # faults that one program in ten thousand has met
    *(("crash at a record", seed) for seed in (70788, 555315, 1004504, 1007714, 9200226, 9200252, 20261510, 20261788, 990162682)),
    *(("edited", seed) for seed in (61046, 1007184, 8100369)),
    ("killed again and again", 762915860),
    ("source changed", 20261618),
)
HOW_TO_REPEAT = f"HEADWAY_PROOF_SEED={BASE_SEED} repeats them"


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("seed", range(FEW))
def test_a_random_program_keeps_every_promise(trouble, seed):
    explore(trouble, seed)


@pytest.mark.parametrize(("trouble", "seed"), FOUND)
def test_a_program_that_once_found_a_fault_finds_none(trouble, seed):
    explore(trouble, seed, kinds_of(seed))


@pytest.mark.parametrize("kinds", [CALM_STREAMS, WILD_STREAMS, GROUP_STREAMS], ids=["calm", "wild", "in groups"])
@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_random_program_with_streams_keeps_every_promise(trouble, kinds):
    for seed in range(4):
        explore(trouble, seed, kinds)


@pytest.mark.parametrize("kinds", [CALM, WILD], ids=["calm", "wild"])
@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_random_program_whose_bodies_run_in_processes_keeps_every_promise(trouble, kinds):
    for seed in range(3):
        explore(trouble, seed, kinds, write(random.Random(f"away {seed}"), kinds, away=True))


@pytest.mark.long
@pytest.mark.parametrize("first", range(0, MANY, 40))
def test_many_random_programs_keep_every_promise(first):
    triples = 0
    for seed in range(BASE_SEED + first, BASE_SEED + first + 40):
        for trouble in TROUBLES:
            try:
                triples += explore(trouble, seed, kinds_of(seed))
            except Violated as broken:
                broken.add_note(f"again: python tests/proof/prove.py --again {trouble!r} {seed}; all: {HOW_TO_REPEAT}")
                raise
    assert triples > 400


@given(st.randoms(use_true_random=False), st.sampled_from(sorted(TROUBLES)), st.booleans(), st.integers(0, 1000))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_programs_that_hypothesis_writes_keep_every_promise(choice: random.Random, trouble: str, calm: bool, seed: int):
    """The same programs, drawn by hypothesis: it shrinks the one that fails."""
    kinds = CALM if calm else WILD
    explore(trouble, seed, kinds, write(choice, kinds, most=8))


@pytest.mark.long
@given(st.randoms(use_true_random=False), st.sampled_from(sorted(TROUBLES)), st.booleans(), st.integers(0, 1000))
@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_many_programs_that_hypothesis_writes_keep_every_promise(choice: random.Random, trouble: str, calm: bool, seed: int):
    kinds = CALM if calm else WILD
    explore(trouble, seed, kinds, write(choice, kinds, most=12))
