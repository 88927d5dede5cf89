"""Seeded bugs of plans that are numbered lines."""

from __future__ import annotations

from seeded import Bug, bug

_PLAN = "methods/plan"

OF_LINES: tuple[Bug, ...] = (
    bug(
        "what an earlier round has executed is executed again",
        "plan.lines.compiler:Done.step",
        "action in self._made",
        "False",
        tests=f"{_PLAN}/test_compiler.py::test_what_was_executed_is_never_executed_again_by_a_further_round",
    ),
    bug(
        "two calls are the same although their arguments differ",
        "plan.lines.compiler:Done._say_action",
        "{**defaults, **taken}",
        "{**taken, **defaults}",
        tests=f"{_PLAN}/test_compiler.py::test_what_was_executed_is_never_executed_again_by_a_further_round",
    ),
    bug(
        "a line may refer to one that comes later",
        "plan.lines.reader:PlanReader._read_step",
        "each not in self._known",
        "False",
        tests=f"{_PLAN}/test_lines.py::test_what_can_not_be_read_is_refused_in_words_for_the_planner",
    ),
    bug(
        "a query that was asked before is searched again",
        "plan.searching:keep_new",
        "plain in known",
        "False",
        tests=f"{_PLAN}/test_searching.py::test_queries_of_a_list_are_searched_at_once_and_a_repeated_one_is_not",
    ),
    bug(
        "two sub-goals are worked on at once",
        "plan.deps:nearest_first",
        "view.running or not view.ready",
        "not view.ready",
        tests=f"{_PLAN}/test_deps.py::test_the_choice_is_a_softmax_of_minus_the_predicted_steps",
    ),
)
