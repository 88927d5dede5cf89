"""Seeded bugs of methods and of what models cost."""

from __future__ import annotations

from seeded import Bug, bug

OF_METHODS: tuple[Bug, ...] = (
    bug(
        "a step that has started is edited",
        "edits:apply_edits",
        "if edit.id in started: ...",
        "",
        tests="methods/test_graph.py::test_edits_do_what_they_say_or_nothing_and_every_graph_is_a_plan",
    ),
    bug(
        "a vote ignores which answers count as equal",
        "sample.majority:majority",
        "votes(made, equal)",
        "votes(made)",
        tests="methods/search/test_any_state.py::test_a_majority_is_settled_by_answers_that_are_the_same",
    ),
    bug(
        "a long prompt is reserved at the low price",
        "Price.at_most",
        "max(least, self.beyond[1].at_most(usage))",
        "least",
        tests="models/test_prices.py::test_no_usage_costs_more_than_at_most",
    ),
    bug(
        "a policy is asked again what it decided before a crash",
        "allocate.executor:_Execution._ask",
        "recall(frame, name, Chosen)",
        "None",
        tests="methods/allocate/test_executor.py::test_what_was_decided_before_a_crash_is_not_decided_again",
    ),
    bug(
        "a policy's answer is not checked",
        "allocate.executor:_Execution._choose",
        "check_actions(name_policy(self.policy), view, self.policy(view, rng))",
        "tuple(self.policy(view, rng))",
        tests="methods/allocate/test_executor.py::test_what_a_policy_may_not_answer_is_refused_before_anything_is_spent",
    ),
    bug(
        "a rollout forgets for how long something has run",
        "Rollouts._finish",
        "drawn.seconds > each.seconds",
        "drawn.seconds > 0",
        tests="methods/allocate/test_mcpp.py::test_what_has_run_for_long_is_expected_to_end_later_than_what_has_just_begun",
    ),
)

TABLES = "methods/plan/matrix/test_amapreduce.py::"
PILES = "methods/plan/matrix/test_ssd.py::"
RESEARCH = "methods/plan/research/test_research.py::"

OF_TABLES: tuple[Bug, ...] = (
    bug(
        "a row that was answered is asked for again with those that are lacking",
        "deciding:ask_again",
        "place in set(lacking) or not batch.has_keys",
        "True",
        tests=f"{TABLES}test_only_the_rows_that_are_lacking_are_asked_for_again",
    ),
    bug(
        "a record of a row that nobody asked for gets into the table",
        "deciding:match_records",
        "[record for key, record in named if key in rows]",
        "[record for _, record in named]",
        tests=f"{TABLES}test_records_are_matched_to_the_rows_whose_atoms_they_repeat",
    ),
    bug(
        "a plan that a deadline ends loses the results that it had",
        "_Execution._end_step",
        "self.rules.keep is not None",
        "False",
        tests=f"{TABLES}test_a_deadline_ends_it_with_the_rows_so_far",
    ),
    bug(
        "samples of texts are drawn anew after a kill, and looked at again",
        "_Search._draw",
        "Random(f'{self.size.seed} {what}')",
        "Random()",
        tests=f"{PILES}test_a_run_that_is_killed_ends_as_if_it_had_not_been",
    ),
    bug(
        "a query that was searched in an earlier cycle is searched again",
        "gaps:plan_gaps",
        "set(asked)",
        "set[str]()",
        tests=f"{RESEARCH}test_it_ends_when_it_could_only_repeat_itself",
    ),
    bug(
        "a search begins though the one that it builds on found nothing",
        "gaps:plan_gaps",
        "test=FOUND",
        "test=''",
        tests=f"{RESEARCH}test_what_builds_on_a_search_that_found_nothing_is_taken_back_and_asked_for_another_way",
    ),
)
