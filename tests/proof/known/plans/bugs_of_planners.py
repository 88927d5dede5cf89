"""Seeded bugs of the trained planner, and of how small models are heard."""

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
