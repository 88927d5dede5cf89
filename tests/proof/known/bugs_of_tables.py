"""Seeded bugs of tables that many fill and of research by gaps: a row or a search done twice, what was had and is lost."""

from __future__ import annotations

from seeded import Bug, bug

FILLED = "methods/plan/matrix/test_amapreduce.py::"
FOUND = "methods/plan/matrix/test_ssd.py::"
LOOP = "methods/plan/research/test_research.py::"

OF_TABLES: tuple[Bug, ...] = (
    bug(
        "a row that was answered is asked for again with those that are lacking",
        "deciding:ask_again",
        "place in set(lacking) or not batch.has_keys",
        "True",
        tests=f"{FILLED}test_only_the_rows_that_are_lacking_are_asked_for_again",
    ),
    bug(
        "a record of a row that nobody asked for gets into the table",
        "deciding:match_records",
        "[record for key, record in named if key in rows]",
        "[record for _, record in named]",
        tests=f"{FILLED}test_records_are_matched_to_the_rows_whose_atoms_they_repeat",
    ),
    bug(
        "a plan that a deadline ends loses the results that it had",
        "_Execution._end_step",
        "self.rules.keep is not None",
        "False",
        tests=f"{FILLED}test_a_deadline_ends_it_with_the_rows_so_far",
    ),
    bug(
        "samples of texts are drawn anew after a kill, and looked at again",
        "_Search._draw",
        "Random(f'{self.size.seed} {what}')",
        "Random()",
        tests=f"{FOUND}test_a_run_that_is_killed_ends_as_if_it_had_not_been",
    ),
    bug(
        "a query that was searched in an earlier cycle is searched again",
        "gaps:plan_gaps",
        "set(asked)",
        "set[str]()",
        tests=f"{LOOP}test_it_ends_when_it_could_only_repeat_itself",
    ),
    bug(
        "a search begins though the one that it builds on found nothing",
        "gaps:plan_gaps",
        "test=FOUND",
        "test=''",
        tests=f"{LOOP}test_what_builds_on_a_search_that_found_nothing_is_taken_back_and_asked_for_another_way",
    ),
)
