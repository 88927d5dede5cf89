"""Seeded bugs of what is asked of models: what it costs at most, what stays secret, and which calls of tools are there."""

from __future__ import annotations

from seeded import Bug, bug

_SENT = "models/tools/test_what_servers_send.py"

OF_THE_WIRE: tuple[Bug, ...] = (
    bug(
        "the tools that a request offers are not reserved",
        "checks.bounds:prompt_bound",
        "_bound_of_tools(request)",
        "0",
        tests="models/tools/test_what_a_prompt_costs_at_most.py::"
        "test_a_catalogue_that_does_not_fit_the_budget_is_refused_before_anything_is_sent",
    ),
    bug(
        "sound is charged as text where the server does not tell them apart",
        "ModelCall.amounts",
        "if self.sound and not usage.audio: ...",
        "",
        tests="models/tools/test_what_a_prompt_costs_at_most.py::"
        "test_sound_is_charged_at_its_price_also_where_the_server_does_not_say_how_much_it_was",
    ),
    bug(
        "what a header holds is shown in errors",
        "Connection.secrets",
        "[*self.headers.values(), *(headers or {}).values()]",
        "[]",
        tests="models/tools/test_further_fields_and_headers.py::test_what_headers_hold_is_hidden_in_errors",
    ),
    bug(
        "a call of a tool that was offered to nobody is an answer",
        "checks.answers:Part.answers",
        "return asked.tools",
        "return True",
        tests="models/endpoint/test_what_is_an_answer.py::test_tools_and_refusals_are_named_and_paid",
    ),
    bug(
        "a stream that breaks off within a call gives a whole one",
        "protocol:EventReader._piece",
        'finish == "stop" and self._calls[index].any',
        "self._calls[index].any",
        tests=f"{_SENT}::test_a_stream_that_breaks_off_within_a_call_is_asked_for_again",
    ),
    bug(
        "two calls at one index become one",
        "CallReader._place_of",
        "return at_index if not before.given_id and not before.arguments else None",
        "return at_index",
        tests=f"{_SENT}::test_calls_are_told_apart_however_a_server_sends_them",
    ),
)
