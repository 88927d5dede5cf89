"""Seeded bugs of answers of a type, and of what is served."""

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
