"""Research by gaps: how much is covered for as many searches, in how many rounds, on made worlds of facts that lead to facts."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.methods.row import Held, Pair, Row
from headway import testing

TESTS = "tests/methods/plan/research"
LOOP = f"{TESTS}/test_research.py::"
PARTS = f"{TESTS}/test_parts_from_models.py::"
sys.path.append(str(Path(__file__).parents[2] / TESTS))
ROUNDS = 3  # of the plans that are made beforehand


@cache
def study(seed: int) -> tuple[Any, float, int, int]:
    """A world of 60 facts, most of which are known to be needed only once others are found: coverage, searches, rounds."""
    import covers  # type: ignore[import-not-found]  # of the tests

    world = covers.World(seed=1000 + seed)
    report = testing.run(covers.study, world, store=None)
    return world, covers.coverage(world, covers.facts_of(report.findings)), report.searches, report.cycles


def against_rounds(seed: int, rounds: int) -> Pair:
    """Coverage, and that of as many searches in rounds that were fixed beforehand."""
    import covers

    world, covered, searches, _ = study(seed)
    return Pair(covered, testing.run(covers.search_in_rounds, world, searches, rounds, store=None))


def against_wide(seed: int) -> Pair:
    """Coverage, and that of as many searches in one round."""
    import covers

    world, covered, searches, _ = study(seed)
    return Pair(covered, testing.run(covers.search_wide, world, searches, store=None))


def rounds_needed(seed: int) -> Pair:
    """Rounds until no gap is left; and searches, which is the rounds of an agent that searches for one thing after another."""
    _, _, searches, rounds = study(seed)
    return Pair(rounds, searches)


def row(shows: str, baseline: str, unit: str, measure: Any, reached: Any, **more: Any) -> Row:
    return Row(
        method="DuMate",
        function="headway.methods.plan.research.research",
        item="plan",
        claim="58.03 on DeepResearch Bench, 61.95 on Bench II, with searches that go on while a rubric finds gaps",
        shows=shows,
        baseline=baseline,
        unit=unit,
        measure=measure,
        reached=reached,
        test=f"{LOOP}test_at_equal_searches_it_covers_more_than_rounds_that_were_fixed_and_than_one_wide_round",
        **more,
    )


ROWS: list[Row | Held] = [
    row(
        "rounds that go on until no gap is left cover more than three rounds of as many searches",
        f"{ROUNDS} rounds, fixed beforehand, each with a third of the searches: for what lacks then, and in further wordings",
        "share of the facts",
        lambda seed: against_rounds(seed, ROUNDS),
        lambda low, high: low > 0,
        compare="difference",
    ),
    row(
        "they cover more than one wide round of as many searches",
        "one round: what is known to be needed at the start, in many wordings",
        "share of the facts",
        against_wide,
        lambda low, high: low > 0,
        compare="difference",
    ),
    row(
        "no gap is left in at most a quarter of the rounds that searching one after another takes",
        "the same searches, one after another",
        "rounds",
        rounds_needed,
        lambda low, high: high < 0.25,
    ),
    Held(
        item="plan",
        promise="DuMate: the loop ends when no gap is left, and says what it searched and why: every search of the run is in the "
        "trail, each with the gap that it was for and what came of it",
        tests=(
            f"{LOOP}test_it_ends_when_no_gap_is_left_and_says_what_it_searched_and_why",
            f"{LOOP}test_the_trail_reads_as_a_table",
        ),
    ),
    Held(
        item="plan",
        promise="DuMate: it ends when it could only repeat itself, when its cycles are used up, and inside its budget and its "
        "deadline, with the report so far and its open gaps named",
        tests=(
            f"{LOOP}test_it_ends_when_it_could_only_repeat_itself",
            f"{LOOP}test_it_ends_when_its_cycles_are_used_up_and_names_what_is_open",
            f"{LOOP}test_a_bound_gives_the_report_so_far_with_its_open_gaps_named",
        ),
    ),
    Held(
        item="plan",
        promise="DuMate: what builds on a search that found nothing is taken out of the plan and asked for another way; researches "
        "lie below one another as deep as is allowed",
        tests=(
            f"{LOOP}test_what_builds_on_a_search_that_found_nothing_is_taken_back_and_asked_for_another_way",
            f"{LOOP}test_researches_lie_below_one_another_as_deep_as_is_allowed",
        ),
    ),
    Held(
        item="plan",
        promise="DuMate: a run that is killed repeats no search, and ends with the same report",
        tests=(f"{LOOP}test_a_research_that_is_killed_repeats_no_search_and_ends_as_if_it_had_not_been",),
    ),
    Held(
        item="plan",
        promise="DuMate: the lasting rubric reaches whoever judges and whoever writes; a model plays all parts over the wire",
        tests=(
            f"{LOOP}test_the_lasting_rubric_reaches_whoever_judges_and_whoever_writes",
            f"{PARTS}test_a_model_researches_over_the_wire",
        ),
    ),
    Held(
        item="plan",
        promise="DuMate: settings and parts that make no sense are refused in a sentence; a failing search is told, a bug raised",
        tests=(
            f"{LOOP}test_senseless_arguments_are_refused_in_a_sentence",
            f"{LOOP}test_a_search_that_fails_is_told_in_the_trail_and_asked_another_way",
            f"{LOOP}test_a_bug_of_a_part_is_raised",
        ),
    ),
]
