"""Tuning: it is quicker side by side, weeds out by levels, goes on after a crash, and ends within its bounds."""

from __future__ import annotations

import math
import sys
from collections import Counter
from statistics import fmean
from typing import Any

import pytest
from benchmarks.methods.allocate_bayes import AT_RANDOM, SPACE, branin, measure_levels, seconds_to_target

import headway as hw
from headway.errors import UsageError
from headway.methods import allocate
from headway.methods.allocate import Between
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash

pytest.importorskip("optuna")
MADE: Counter[tuple[int, int]] = Counter()


@hw.task(cost={"tokens": 10})
async def measure(settings: dict[str, Any], trial: int, level: int) -> float:
    MADE[trial, level] += 1
    hw.charge(tokens=10)
    await hw.sleep(1 + hw.random().random())
    return branin(settings["x"], settings["y"])


@hw.task
async def search(trials: int, parallel: int, levels: int, tokens: float) -> allocate.Optimum:
    with hw.budget(tokens=tokens):
        return await allocate.tune(measure, SPACE, trials=trials, parallel=parallel, levels=levels, first=5)


@pytest.fixture(autouse=True)
def _nothing_was_measured() -> None:
    MADE.clear()


def test_four_at_a_time_reach_a_target_sooner_than_one_and_than_random_trials():
    seeds = range(100, 103)
    ours, serial, random = (
        sum(seconds_to_target(seed, parallel, first, trials=100) for seed in seeds)
        for parallel, first in ((4, 10), (1, 10), (4, AT_RANDOM))
    )
    assert ours < 0.6 * serial
    assert ours < 0.6 * random


def test_a_killed_tuning_goes_on_with_the_same_trials():
    program = (search, 24, 4, 2, 1e6)
    whole = History(1, STEADY)
    undisturbed = whole.live(*program)
    history = History(1, STEADY)
    for share in (0.3, 0.8):
        assert history.live(*program, crash=Crash(int(len(whole.rows()) * share), "after")).how == "died"
    tuned = history.live(*program).value
    history.check()  # and nothing that was recorded ran again
    assert sorted(probe.number for probe in tuned.trials) == list(range(24))
    assert {probe.number: probe.settings for probe in tuned.trials[:4]} == {
        probe.number: probe.settings for probe in undisturbed.value.trials[:4]
    }


def test_one_after_another_a_killed_tuning_ends_as_if_it_had_not_been_killed():
    program = (search, 16, 1, 2, 1e6)
    whole = History(1, STEADY)
    undisturbed = whole.live(*program)
    history = History(1, STEADY)
    assert history.live(*program, crash=Crash(len(whole.rows()) // 2, "after")).how == "died"
    assert history.live(*program).value == undisturbed.value
    history.check(undisturbed.outcome)


def test_tuning_ends_with_its_budget_and_keeps_what_was_measured(go):
    tuned = go(search, 40, 4, 1, 255)
    assert (len(tuned.trials), tuned.stopped) == (25, "budget")
    assert tuned.best.value == min(probe.value for probe in tuned.trials)


def test_only_the_best_of_a_level_go_on_to_the_next(go):
    tuned = go(search, 60, 4, 3, 1e6)
    ends = Counter(probe.end for probe in tuned.trials)
    assert ends["whole"] + ends["weeded out"] == 60
    assert 1 <= ends["whole"] <= 20 + 4  # a third, and those that were under way side by side before the third was known
    assert {probe.level for probe in tuned.trials if probe.end == "whole"} == {2}
    assert Counter(level for _, level in MADE)[0] == 60
    assert tuned.best.end == "whole"


def test_levels_of_effort_end_lower_for_as_much_of_it():
    ours, whole = zip(*map(measure_levels, range(100, 104)), strict=True)
    assert fmean(ours) < 0.7 * fmean(whole)


def test_settings_are_of_their_kinds_and_within_their_bounds(go):
    seen: list[dict[str, Any]] = []

    @hw.task
    async def look(settings: dict[str, Any], trial: int, level: int) -> float:
        seen.append(settings)
        return float(settings["n"])

    @hw.task
    async def program() -> allocate.Optimum:
        space = {"n": Between(4, 64, log=True), "share": Between(0.0, 1.0), "how": ["vote", "score"], "strict": (True, False)}
        return await allocate.tune(look, space, trials=30, largest=True)

    best = go(program).best
    assert best.value == best.settings["n"] == max(settings["n"] for settings in seen)
    assert all(isinstance(settings["n"], int) and 4 <= settings["n"] <= 64 for settings in seen)
    assert all(0 <= settings["share"] <= 1 and isinstance(settings["strict"], bool) for settings in seen)
    assert {settings["how"] for settings in seen} == {"vote", "score"}


def test_a_trial_that_fails_or_gives_no_number_is_no_best_one(go):
    @hw.task
    async def shaky(settings: dict[str, Any], trial: int, level: int) -> float:
        if trial == 0:
            raise ValueError("diverged")
        return math.nan if trial == 1 else float(trial)

    @hw.task
    async def tolerant() -> allocate.Optimum:
        return await allocate.tune(shaky, {"x": Between(0.0, 1.0)}, trials=4, parallel=1, errors=(ValueError,))

    @hw.task
    async def strict() -> allocate.Optimum:
        return await allocate.tune(shaky, {"x": Between(0.0, 1.0)}, trials=4, parallel=1)

    tuned = go(tolerant)
    assert [probe.end for probe in tuned.trials] == ["failed", "failed", "whole", "whole"]
    assert tuned.best.number == 2
    with pytest.raises(ValueError, match="diverged"):
        go(strict, run_id="strict")


@pytest.mark.parametrize(
    ("given_settings", "said"),
    [
        ({"space": {}}, "at least one setting"),
        ({"space": {"x": []}}, r"setting 'x' is \[\]: a Between"),
        ({"space": {"x": "abc"}}, "setting 'x' is 'abc': a Between"),
        ({"space": {"x": [None]}}, "values are numbers, texts, True or False"),
        ({"measure": 3}, "measure=3: a function"),
        ({"trials": -1}, "trials=-1: a whole number, at least 0"),
        ({"parallel": 0}, "parallel=0: a whole number, at least 1"),
        ({"levels": 0}, "levels=0: a whole number, at least 1"),
        ({"keep": 1}, "keep=1: a whole number, at least 2"),
        ({"seed": 0.5}, "seed=0.5: a whole number"),
    ],
)
def test_what_can_not_be_tuned_is_refused_before_anything_is_spent(go, given_settings, said):
    @hw.task
    async def program() -> None:
        options: dict[str, Any] = {"measure": measure, "space": SPACE} | given_settings
        await allocate.tune(options.pop("measure"), options.pop("space"), **options)

    with pytest.raises(UsageError, match=said):
        go(program)
    assert not MADE


@pytest.mark.parametrize("bounds", [(1, 1), (2.0, 1.0), (math.nan, 1.0), (0.0, math.inf), (True, 3), ("a", "b")])
def test_bounds_that_hold_nothing_are_refused(bounds):
    with pytest.raises(UsageError, match="Between"):
        Between(*bounds)
    with pytest.raises(UsageError, match="bounds above 0"):
        Between(0.0, 1.0, log=True)


def test_without_optuna_one_sentence_says_what_to_install(go, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match=r"allocate.tune needs optuna: pip install 'headway\[tune\]'"):
        go(search, 3, 1, 1, 100)
