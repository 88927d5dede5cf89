"""Seeded bugs of answers of a type, of what is served, and of the small models that are."""

from __future__ import annotations

from seeded import Bug, bug

OF_SERVING: tuple[Bug, ...] = (
    bug(
        "an answer of a type is mended for as long as it is wrong",
        "answering:answer_once",
        "second = await _write(asked, _show_fault(asked, first.text, str(wrong)))",
        "second = await answer_once.fn(asked)\nreturn second",
        tests="models/asking/test_answer.py::test_what_is_no_answer_is_said_as_what_it_is",
    ),
    bug(
        "an answer that was cut off is asked for again at the same length",
        "answering:_write",
        "one.finish == 'length'",
        "False",
        tests="models/asking/test_answer.py::test_what_is_no_answer_is_said_as_what_it_is",
    ),
    bug(
        "two types of one schema have one recorded answer",
        "forms:_make_form",
        "tuple(sorted(classes))",
        "()",
        tests="models/asking/test_answer.py::test_two_types_of_one_schema_are_two_answers",
    ),
    bug(
        "a model is sent what it would ignore",
        "models.ask:_describe",
        "check_abilities(model, request)",
        "None",
        tests="models/asking/test_answer.py::test_what_a_model_can_t_do_is_refused_before_anything_is_sent",
    ),
    bug(
        "a client is told as many of the likeliest tokens as it likes",
        "bodies:_read_logprobs",
        "0 <= top <= MOST_TOP",
        "0 <= top",
        tests="models/test_serve_tools.py::test_what_is_kept_back_is_refused_when_a_body_is_read",
    ),
    bug(
        "a client probes a served model by a bias of tokens",
        "bodies:_check_names",
        "_REFUSED[name](value)",
        "False",
        tests="models/test_serve_tools.py::test_what_is_kept_back_is_refused_when_a_body_is_read",
    ),
    bug(
        "a client's schema may refer to another document",
        "schemas:_check_reference",
        "not reference.startswith('#')",
        "False",
        tests="models/test_serve_tools.py::test_a_schema_that_leads_elsewhere_is_refused_when_it_is_read",
    ),
)

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
