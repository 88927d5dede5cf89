"""Seeded bugs of the trained planner, of how small models are heard, and of the methods of plans that are numbered lines."""

from __future__ import annotations

from seeded import Bug, bug

OF_PLANNERS: tuple[Bug, ...] = (
    bug(
        "training sees the questions that it is measured on",
        "planner.questions:draw",
        "split_of(steps) == split",
        "True",
        tests="reference/test_planner.py::test_a_question_belongs_to_one_split_whatever_its_words",
    ),
    bug(
        "a plan that is read may use a step that comes later",
        "plans:read_plan",
        "not 0 < each < number",
        "False",
        tests="reference/test_planner.py::test_what_is_no_plan_is_refused_in_words",
    ),
    bug(
        "a stream tells the beginning of a stop text",
        "reference.sampling:_next_piece",
        "max(map(len, text.request.stop), default=1) - 1",
        "0",
        tests="reference/test_sampling.py::test_a_stream_tells_nothing_of_a_stop_text",
    ),
    bug(
        "a small model is heard when it has said all",
        "ask:begin",
        "answers_together(model) and not (listener is not None and answers_singly(model))",
        "answers_together(model)",
        tests="reference/test_planner.py::test_a_plan_is_told_line_by_line_while_it_is_written",
    ),
)

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
