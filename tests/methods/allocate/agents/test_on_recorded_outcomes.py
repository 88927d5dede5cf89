"""Agents that choose how to spend do it better than the strongest simple way on what the reference models did, too."""

from __future__ import annotations

import pytest

SEEDS = range(3)


def test_searching_where_it_is_hard_solves_more_chains_than_searching_anywhere():
    from benchmarks.methods import allocate_recorded as rows

    for seed in SEEDS:
        assert rows.measure_scale_collapse(seed).ours > 0
        ours, by_lot = rows.measure_scale_mixed(seed)
        assert ours > by_lot


def test_a_shared_quota_answers_more_questions_of_arithmetic_than_one_by_one():
    from benchmarks.methods import allocate_recorded as rows

    for seed in SEEDS:
        ours, theirs = rows.measure_drqa(seed)
        assert ours > theirs


def test_agent_tts_comes_to_the_optimum_of_the_recorded_ways_sooner_than_others():
    from benchmarks.methods import allocate_recorded as rows

    pytest.importorskip("optuna")
    pairs = [rows.compare_trials(0, bayes=True, tables=1)]
    pairs += [rows.compare_trials(seed, bayes=False, tables=1) for seed in SEEDS]
    assert all(ours < theirs for ours, theirs in pairs)
