"""Seeded bugs of methods, of what models cost, and of what is remembered."""

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
# --- what is remembered, replayed and kept up ------------------------------------------------------------------------
_MEMORY = "methods/memory/test_memory.py"
_AS_OF = "methods/memory/test_memory_as_of.py"
_REPLAY = "methods/memory/test_replaying.py"
OF_MEMORY: tuple[Bug, ...] = (
        "a forgotten case comes back",
        "Book._forget",
        "self._take_off(old)",
        "pass",
        tests=f"{_MEMORY}::test_a_forgotten_case_is_found_no_more_its_texts_are_gone_from_the_store_and_its_id_is_free",
        "what was forgotten stays in the store",
        "memory.memory:write",
        "await collecting.erase(of.collection, gone)",
        "pass",
        tests=f"{_MEMORY}::test_a_forgotten_case_is_found_no_more_its_texts_are_gone_from_the_store_and_its_id_is_free",
        "a case that is put in is written twice",
        "Memory._write",
        "await write(self.name, record)",
        "(await write(self.name, record), await write(self.name, record))[0]",
        tests="methods/memory/test_memory_survives.py::test_a_run_that_is_killed_at_any_record_writes_each_record_once",
        "a pinned memory shows what others write",
        "Book.read",
        "self._as_of is None or entry.number < self._as_of or entry.is_own",
        tests=f"{_AS_OF}::test_a_fork_sees_the_memory_of_the_time_at_which_it_begins",
        "a fork remembers its source's future",
        "following:_lineage",
        "min(before, made)",
        "before",
        tests=f"{_AS_OF}::test_a_fork_sees_the_memory_of_the_time_at_which_it_begins",
        "an edit that came too late takes effect",
        "Book._written",
        "record.expects is not None and kept.hit.number != record.expects",
        tests=f"{_MEMORY}::test_of_two_updates_made_from_the_same_hit_the_second_is_refused",
        "what a model remembers counts as trusted",
        "memory.tools:remember",
        "untrusted=untrusted",
        "untrusted=False",
        tests="methods/memory/test_memory_tools.py::test_what_an_agent_remembers_another_run_recalls_as_data",
        "a step is replayed without its guard",
        "choosing:choose",
        "world.same_look(step.look, world.target(view, step.action))",
        tests=f"{_REPLAY}::test_a_step_whose_target_looks_otherwise_is_decided_anew_and_learned",
        "a failed task stays in the tree",
        "replaying:_sum_up",
        "tree.remove(trace.task) if failed else tree.add(trace)",
        "tree.add(trace)",
        tests=f"{_REPLAY}::test_a_failed_task_is_taken_out_of_the_tree",
        "what depends on an edit of a task tree is left as it was",
        "TaskTree.apply",
        "_behind(graph, slots)",
        "()",
        tests="methods/memory/test_task_tree.py::test_a_replaced_value_is_history_and_all_that_depends_on_it_is_stale",
    ),
)
