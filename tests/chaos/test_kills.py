"""A run killed with SIGKILL at random moments, again and again until it ends, gives the result of an undisturbed one."""

from __future__ import annotations

import random
import signal
import subprocess
from collections import Counter

import pytest
from victims import Victims, check_recorded_once, kill, often, rows, successes, until


def kill_until_done(victims: Victims, size: int, seed: int, longest_s: float, most: int) -> int:
    """Start, kill, check that nothing recorded runs again, repeat. Returns how often it was killed."""
    drawn = random.Random(seed)
    for kills in range(most):
        before, seen = successes(rows(victims.store())), len(victims.lines("store"))
        process = victims.start("program.py", "store", size)
        if drawn.random() < 0.8 or not kills:  # most lives get something done; the others may die as they start
            until(process, lambda seen=seen: len(victims.lines("store")) > seen)
        try:
            process.wait(drawn.uniform(0.0, longest_s) if kills else 0.0)  # the first never gets to its end, however fast it is
        except subprocess.TimeoutExpired:
            kill(process)
        again = {line[1] for line in victims.lines("store")[seen:]} & before.keys()
        assert not again, f"recorded calls ran again after kill {kills}: {again}"
        if process.returncode == 0:
            return kills
        assert process.returncode == -signal.SIGKILL, victims.said("store")
    raise AssertionError(f"not done after {most} starts")


def check(victims: Victims, size: int, seed: int, longest_s: float, most: int) -> None:
    expected = victims.undisturbed("program.py", size)
    kills = kill_until_done(victims, size, seed, longest_s, most)
    assert kills > 0, "the program ended before the first kill: give it more to do"
    assert victims.result("store") == expected
    assert len(Counter(line[2] for line in victims.lines("store", "pay"))) == size
    check_recorded_once(rows(victims.store()))


@pytest.mark.on_postgres
def test_a_run_that_is_killed_again_and_again_ends_as_if_it_had_not_been(victims):
    check(victims, size=30, seed=1, longest_s=0.6, most=60)


@pytest.mark.on_postgres("make chaos")
@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 2 + often(6)))
def test_many_kills_at_many_moments(victims, seed):
    check(victims, size=60, seed=seed, longest_s=0.2 + 0.1 * (seed % 6), most=200)
