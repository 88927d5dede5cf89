"""Tables filled by many sub-agents, and what piles of texts are made of: what that costs, and what it finds.

Worlds are made: sub-agents that leave out rows by planted chances, readers that misread. The gold tables of countries are real.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from statistics import fmean

from benchmarks.methods.row import Held, Pair, Row
from headway import testing
from headway.methods.plan.matrix import Column, Marking, Table, read_table, score_table, write_table

TESTS = "tests/methods/plan/matrix"
FILLED, SCORED, FOUND = f"{TESTS}/test_amapreduce.py::", f"{TESTS}/test_widesearch.py::", f"{TESTS}/test_ssd.py::"
sys.path.append(str(Path(__file__).parents[2] / TESTS))
PILES = 6  # of a seed
MARKING = Marking(
    {"country": Column(), "capital": Column(), "area": Column("number_near", 0.01, ("extract_number",))}, ("country",)
)

# --- made tables -----------------------------------------------------------------------------------------------------


@cache
def fill(seed: int, retries: int, strategy: str = "per_atom", chunk: int = 1) -> tuple[float, float]:
    """Row F1, and thousands of tokens. A row alone is left out by a chance of .3, and by .02 more for each row beside it."""
    import tabling  # type: ignore[import-not-found]  # of the tests

    world = tabling.World(seed=1000 + seed, rows=240, wrong=0.05)
    found, tokens = testing.run(tabling.fill_and_count, world, retries, strategy, chunk, store=None)
    return tabling.score(world, found).rows.f1, tokens / 1000


def twice(seed: int) -> float:
    """Row F1 where every row is asked for twice."""
    import tabling

    world = tabling.World(seed=1000 + seed, rows=240, wrong=0.05)
    return float(tabling.score(world, testing.run(tabling.fill_twice, world, store=None)).rows.f1)


# --- real tables -----------------------------------------------------------------------------------------------------


@cache
def countries() -> Table:
    """Country, capital and area of all that have them."""
    from pyworldatlas import Atlas

    with Atlas() as atlas:
        found = [each for each in atlas.countries() if each.capital is not None and each.area_km2]
        rows = tuple((each.name, each.capital.name, int(each.area_km2)) for each in found if each.capital and each.area_km2)
    return Table(("country", "capital", "area"), rows)


def damaged(seed: int) -> Pair:
    """Row F1 of a real table of which rows were taken, and cells changed, as written and read again; and as it must be."""
    rng, gold = random.Random(seed), countries()
    kept = [row for row in gold.rows if rng.random() < 0.8]
    said = [(name, "Nowhere" if rng.random() < 0.1 else capital, area) for name, capital, area in kept]
    right = sum(ours == row for ours, row in zip(said, kept, strict=True))
    made = [(f"Land {number}", "Town", 1) for number in range(rng.randrange(20))]
    score = score_table(read_table(write_table(Table(gold.columns, (*said, *made)))), gold, MARKING)
    precision, recall = right / (len(said) + len(made)), right / len(gold.rows)
    return Pair(score.rows.f1, 2 * precision * recall / (precision + recall))


# --- sub-populations -------------------------------------------------------------------------------------------------


@cache
def overlap(seed: int, samples: int, rounds: int) -> float:
    """How much the group that looks worst shares with the planted one, over some piles of texts."""
    import populations  # type: ignore[import-not-found]  # of the tests

    piles = [populations.Pile(seed=1000 + PILES * seed + number) for number in range(PILES)]
    return fmean(populations.overlap(pile, testing.run(populations.search, pile, samples, rounds, store=None)) for pile in piles)


@cache
def of_random_dimension(seed: int) -> float:
    """The same, where one of the true dimensions is drawn and read as well as it can be."""
    import populations

    found = []
    for number in range(PILES):
        pile = populations.Pile(seed=1000 + PILES * seed + number)
        found.append(populations.overlap_of_one(pile, random.Random(f"{seed} {number}").choice(sorted(populations.KNOWN))))
    return fmean(found)


def row(
    method: str,
    shows: str,
    baseline: str,
    unit: str,
    measure: Callable[[int], Pair],
    reached: Callable[[float, float], bool],
    test: str,
    *,
    ratio: bool = False,
    slow: bool = False,
    exact: bool = False,
    seeds: int = 5,
    reason: str = "",
) -> Row:
    function, claim = OF[method]
    return Row(
        method=method,
        function=f"headway.methods.plan.matrix.{function}",
        item="plan",
        claim=claim,
        shows=shows,
        baseline=baseline,
        unit=unit,
        measure=measure,
        reached=reached,
        compare="ratio" if ratio else "difference",
        test=test,
        slow=slow,
        exact=exact,
        seeds=seeds,
        reason=reason,
    )


OF = {
    "A-MapReduce": ("a_mapreduce", "+5.11 to 17.50 % item F1 and -45.8 % time against other systems of agents"),
    "WideSearch": ("score_table", "rows and items of a table are marked by rules that anyone can apply"),
    "SSD-LLM": (
        "find_subpopulations",
        "sub-populations of a data set are found by language models, and the ones that fail most with them",
    ),
}
MORE = f"{FILLED}test_the_more_often_it_is_asked_again_the_more_complete_the_table_becomes"

ROWS: list[Row | Held] = [
    row(
        "A-MapReduce",
        "asked again once for what is lacking, a table of 240 rows is more complete",
        "the same sub-agents (each row is left out by a planted chance of .3), not asked again",
        "row F1",
        lambda seed: Pair(fill(seed, 1)[0], fill(seed, 0)[0]),
        lambda low, high: low > 0.1,
        MORE,
    ),
    row(
        "A-MapReduce",
        "asked again twice, it is more complete than when asked once",
        "asked again once",
        "row F1",
        lambda seed: Pair(fill(seed, 2)[0], fill(seed, 1)[0]),
        lambda low, high: low > 0.02,
        MORE,
    ),
    row(
        "A-MapReduce",
        "asked again twice for what is lacking alone, it is more complete than when every row is asked for twice",
        "every row asked for twice, whatever came of it first: 480 calls; ours are about 330",
        "row F1",
        lambda seed: Pair(fill(seed, 2)[0], twice(seed)),
        lambda low, high: low > 0,
        f"{FILLED}test_only_the_rows_that_are_lacking_are_asked_for_again",
    ),
    row(
        "A-MapReduce",
        "chunks of 8 cost at most half the tokens of one row at a time, with 2 retries",
        "one row at a time, 2 retries",
        "thousand tokens",
        lambda seed: Pair(fill(seed, 2, "open", 8)[1], fill(seed, 2)[1]),
        lambda low, high: high < 0.5,
        f"{FILLED}test_chunks_cost_less_and_lose_more",
        ratio=True,
    ),
    row(
        "A-MapReduce",
        "chunks of 8 are as complete as one row at a time, within 3 points, with 2 retries",
        "one row at a time, 2 retries",
        "row F1",
        lambda seed: Pair(fill(seed, 2, "open", 8)[0], fill(seed, 2)[0]),
        lambda low, high: low > -0.03,
        f"{FILLED}test_chunks_cost_less_and_lose_more",
        seeds=20,
    ),
    row(
        "A-MapReduce",
        "chunks of 4 cost at most 0.6 of the tokens of one row at a time, with 2 retries",
        "one row at a time, 2 retries",
        "thousand tokens",
        lambda seed: Pair(fill(seed, 2, "open", 4)[1], fill(seed, 2)[1]),
        lambda low, high: high < 0.6,
        f"{FILLED}test_chunks_cost_less_and_lose_more",
        ratio=True,
    ),
    row(
        "A-MapReduce",
        "one row at a time is more complete than chunks of 8, where nothing is asked again",
        "chunks of 8, not asked again",
        "row F1",
        lambda seed: Pair(fill(seed, 0)[0], fill(seed, 0, "open", 8)[0]),
        lambda low, high: low > 0.02,
        f"{FILLED}test_chunks_cost_less_and_lose_more",
    ),
    row(
        "WideSearch",
        "row F1 of real tables with rows taken, cells changed and rows made up is what counting gives",
        "counted by hand",
        "row F1",
        damaged,
        lambda low, high: abs(low) < 1e-9 and abs(high) < 1e-9,
        f"{SCORED}test_a_real_table_is_marked_down_by_what_is_taken_from_it",
    ),
    row(
        "SSD-LLM",
        "the group that fails most is the planted one more often than by one look at one sample",
        "one sample names the dimensions and one the attributes, nothing is refined; the same readers and the same test of groups",
        "Jaccard index with the planted group",
        lambda seed: Pair(overlap(seed, 5, 4), overlap(seed, 1, 1)),
        lambda low, high: low > 0.1,
        f"{FOUND}test_the_planted_group_is_found_better_than_by_one_look",
    ),
    row(
        "SSD-LLM",
        "it is the planted one more often than by one dimension that is drawn and read without error",
        "one of the three true dimensions, drawn, its attributes all known and read without error",
        "Jaccard index with the planted group",
        lambda seed: Pair(overlap(seed, 5, 4), of_random_dimension(seed)),
        lambda low, high: low > 0.1,
        f"{FOUND}test_the_planted_group_is_found_better_than_by_one_look",
    ),
    Held(
        item="plan",
        promise="A-MapReduce: a run that is killed repeats no row and no retry, and ends with the same table",
        tests=(f"{FILLED}test_a_run_that_is_killed_repeats_no_row_and_ends_as_if_it_had_not_been",),
    ),
    Held(
        item="plan",
        promise="A-MapReduce: every row is in exactly one batch; only what is lacking is asked for again, with what was had; what "
        "stays lacking gets a fallback record and is named",
        tests=(
            f"{FILLED}test_every_row_is_in_exactly_one_batch",
            f"{FILLED}test_only_the_rows_that_are_lacking_are_asked_for_again",
            f"{FILLED}test_who_is_asked_again_is_shown_what_was_had",
            f"{FILLED}test_a_row_that_nobody_answers_has_a_fallback_record_that_repeats_its_atom",
        ),
    ),
    Held(
        item="plan",
        promise="A-MapReduce: in plan mode the orchestrator decides again with the three first hints of experience",
        tests=(f"{FILLED}test_in_plan_mode_the_orchestrator_decides_again_with_three_hints",),
    ),
    Held(
        item="plan",
        promise="A-MapReduce: a budget or a deadline leaves the table so far; a failing sub-agent is asked again, a bug is raised",
        tests=(
            f"{FILLED}test_a_budget_ends_it_with_the_rows_so_far_and_fallbacks",
            f"{FILLED}test_a_deadline_ends_it_with_the_rows_so_far",
            f"{FILLED}test_a_sub_agent_that_fails_is_asked_again_and_its_errors_are_told",
            f"{FILLED}test_a_bug_of_a_sub_agent_is_raised",
        ),
    ),
    Held(
        item="plan",
        promise="A-MapReduce, WideSearch, SSD-LLM: a matrix, a marking or a setting that makes no sense is refused in a sentence",
        tests=(
            f"{FILLED}test_a_matrix_that_makes_no_sense_is_refused",
            f"{FILLED}test_senseless_arguments_are_refused_in_a_sentence",
            f"{SCORED}test_what_makes_no_sense_is_refused_in_a_sentence",
            f"{FOUND}test_senseless_arguments_are_refused_in_a_sentence",
        ),
    ),
    Held(
        item="plan",
        promise="WideSearch: a wrong set of columns is worth nothing, a row its worst cell, a double key its first row; Avg@N, "
        "Max@N and Pass@N",
        tests=(
            f"{SCORED}test_another_set_of_columns_is_worth_nothing_at_all",
            f"{SCORED}test_a_row_counts_as_its_worst_cell_and_items_each_of_their_own",
            f"{SCORED}test_of_rows_with_one_key_the_first_counts_and_the_others_are_dropped",
            f"{SCORED}test_precision_and_recall_are_counted_as_sets_are",
            f"{SCORED}test_several_tries_are_summed_up_as_means_bests_and_passes",
        ),
    ),
    Held(
        item="plan",
        promise="SSD-LLM: the failed calls of a run are sliced, and the chance of a group is that of counting all draws",
        tests=(
            f"{FOUND}test_the_failed_calls_of_a_run_are_sliced",
            f"{FOUND}test_the_chance_is_that_of_counting_all_draws",
        ),
    ),
    Held(
        item="plan",
        promise="SSD-LLM: it goes on after a crash with an equal result, and a budget leaves the labels so far",
        tests=(
            f"{FOUND}test_a_run_that_is_killed_ends_as_if_it_had_not_been",
            f"{FOUND}test_a_budget_leaves_the_labels_so_far",
        ),
    ),
]
