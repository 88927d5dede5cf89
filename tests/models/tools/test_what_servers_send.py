"""Calls of tools as servers really send them, each from a real local server: what is understood, and what is a clear error."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from documents import USAGE, chunk, counted

import headway as hw
from headway import models
from headway.models.openai.calls import CallReader

AREA = models.ToolSpec("area", "The area of a country in km2.", {"type": "object", "properties": {"country": {"type": "string"}}})
TOOLS = (AREA, models.ToolSpec("now"))
ITALY, SPAIN = '{"country": "Italy"}', '{"country": "Spain"}'


def fragment(index: int | None = 0, id: str | None = None, name: str | None = None, arguments: Any = None) -> dict[str, Any]:
    made: dict[str, Any] = {} if index is None else {"index": index}
    made |= {"id": id, "type": "function"} if id is not None else {}
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {**made, "function": function}


def calls(*fragments: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return chunk(None, finish, tool_calls=[*fragments])


def made(sample: models.Sample) -> list[tuple[str, str, str]]:
    return [(call.id, call.name, call.arguments) for call in sample.calls]


BOTH = [("a", "area", ITALY), ("b", "area", SPAIN)]
STREAMS: dict[str, tuple[list[Any], list[tuple[str, str, str]]]] = {
    "openai": (
        [
            calls(fragment(0, "a", "area", "")),
            calls(fragment(0, arguments='{"country": ')),
            calls(fragment(0, arguments='"Italy"}')),
            calls(fragment(1, "b", "area", "")),
            calls(fragment(1, arguments=SPAIN)),
            chunk(None, "tool_calls"),
        ],
        BOTH,
    ),
    "all of them in one event": (
        [calls(fragment(0, "a", "area", ITALY), fragment(1, "b", "area", SPAIN), finish="tool_calls")],
        BOTH,
    ),
    "two that grow side by side": (
        [
            calls(fragment(0, "a", "area", ""), fragment(1, "b", "area", "")),
            calls(fragment(0, arguments='{"country": '), fragment(1, arguments='{"country": ')),
            calls(fragment(1, arguments='"Spain"}'), fragment(0, arguments='"Italy"}')),
            chunk(None, "tool_calls"),
        ],
        BOTH,
    ),
    "ollama: index 0 for all, and the end is a stop": (
        [calls(fragment(0, "a", "area", ITALY)), calls(fragment(0, "b", "area", SPAIN)), chunk("", "stop")],
        BOTH,
    ),
    "ollama: arguments as an object": (
        [calls(fragment(0, "a", "area", json.loads(ITALY)), fragment(0, "b", "area", json.loads(SPAIN))), chunk("", "stop")],
        BOTH,
    ),
    "index 0 for all, in fragments": (
        [
            calls(fragment(0, "a", "area", "")),
            calls(fragment(0, arguments=ITALY)),
            calls(fragment(0, "b", "area", "")),
            calls(fragment(0, arguments=SPAIN)),
            chunk(None, "tool_calls"),
        ],
        BOTH,
    ),
    "index 0 for all, told apart by their ids": (
        [
            calls(fragment(0, "a", "area", ""), fragment(0, "b", "area", "")),
            calls(fragment(0, "b", arguments=SPAIN), fragment(0, "a", arguments=ITALY)),
            chunk(None, "tool_calls"),
        ],
        BOTH,
    ),
    "kimi: a new id with each fragment": (
        [
            calls(fragment(0, "a", "area", "")),
            calls(fragment(0, "x1", arguments='{"country": ')),
            calls(fragment(0, "x2", arguments='"Italy"}')),
            calls(fragment(1, "b", "area", "")),
            calls(fragment(1, "x3", arguments=SPAIN)),
            chunk(None, "tool_calls"),
        ],
        BOTH,
    ),
    "the name again with each fragment": (
        [
            calls(fragment(0, "a", "area", "")),
            calls(fragment(0, "a", "area", '{"country": ')),
            calls(fragment(0, "a", "area", '"Italy"}')),
            chunk(None, "tool_calls"),
        ],
        BOTH[:1],
    ),
    "the name in parts": (
        [calls(fragment(0, "a", "ar", "")), calls(fragment(0, "a", "ea", "")), calls(fragment(0, arguments=ITALY), finish="stop")],
        BOTH[:1],
    ),
    "no index at all": (
        [calls(fragment(None, "a", "area", ITALY)), calls(fragment(None, "b", "area", SPAIN)), chunk(None, "stop")],
        BOTH,
    ),
    "no index, in fragments": (
        [
            calls(fragment(None, "a", "area", "")),
            calls(fragment(None, arguments=ITALY)),
            calls(fragment(None, "b", "area", "")),
            calls(fragment(None, arguments=SPAIN)),
            chunk(None, "tool_calls"),
        ],
        BOTH,
    ),
    "no ids": (
        [calls(fragment(0, None, "area", ITALY)), calls(fragment(1, None, "area", SPAIN)), chunk(None, "tool_calls")],
        [("call00000", "area", ITALY), ("call00001", "area", SPAIN)],
    ),
    "no ids, and index 0 for all": (
        [calls(fragment(0, None, "area", ITALY)), calls(fragment(0, None, "now", "{}")), chunk(None, "stop")],
        [("call00000", "area", ITALY), ("call00001", "now", "{}")],
    ),
    "one id for all": (
        [calls(fragment(0, "a", "area", ITALY), fragment(1, "a", "area", SPAIN)), chunk(None, "tool_calls")],
        [("a", "area", ITALY), ("call00001", "area", SPAIN)],
    ),
    "indices from 1 on": ([calls(fragment(1, "a", "area", ITALY), fragment(3, "b", "area", SPAIN)), chunk(None, "stop")], BOTH),
    "no arguments": ([calls(fragment(0, "a", "now")), chunk(None, "tool_calls")], [("a", "now", "{}")]),
    "the form of old": (
        [
            chunk(None, function_call={"name": "area", "arguments": ""}),
            chunk(None, function_call={"arguments": ITALY}),
            chunk(None, "function_call"),
        ],
        [("call00000", "area", ITALY)],
    ),
    "a tool that nobody offered": ([calls(fragment(0, "a", "fly", "{}")), chunk(None, "tool_calls")], [("a", "fly", "{}")]),
    "arguments that are no JSON": ([calls(fragment(0, "a", "area", "Italy")), chunk(None, "tool_calls")], [("a", "area", "Italy")]),
}


@pytest.mark.parametrize("case", STREAMS)
def test_calls_are_told_apart_however_a_server_sends_them(asked, case):
    said, wanted = STREAMS[case]
    reply, spent = asked("plays", [*said, counted(**USAGE)], tools=TOOLS)
    (one,) = reply.samples
    assert made(one) == wanted
    assert (one.finish, one.text, one.said) == ("tool", "", "")
    assert spent == {"tokens": 10, "money": 10, "calls": 1}


@pytest.mark.parametrize("case", STREAMS)
def test_a_stream_hands_out_the_calls_that_the_reply_has(misbehaving, case):
    said, wanted = STREAMS[case]
    model = models.Endpoint(f"plays-{abs(hash(case))}", base_url=misbehaving.url)

    async def heard() -> list[models.Piece]:
        return [piece async for piece in models.stream(model, [models.Message("user", json.dumps(said))], tools=TOOLS)]

    grown: dict[int, list[str]] = {}
    pieces = asyncio.run(heard())
    for part in (call for piece in pieces for call in piece.calls):
        call = grown.setdefault(part.place, [part.id, "", ""])
        call[1] += part.name
        call[2] += part.arguments
    assert [grown[place][:2] for place in sorted(grown)] == [[id, name] for id, name, _ in wanted]
    assert [grown[place][2] or "{}" for place in sorted(grown)] == [arguments for _, _, arguments in wanted]
    assert [piece.finish for piece in pieces if piece.finish] == ["tool"]


@pytest.mark.parametrize("indices", [(None, None), (0, 0), (0, 1)])
@pytest.mark.parametrize("finish", ["tool_calls", "stop"])
def test_a_whole_answer_holds_its_calls_one_after_the_other(asked, indices, finish):
    first, second = (fragment(index, id, "area", arguments) for index, (id, _, arguments) in zip(indices, BOTH, strict=True))
    message = {"role": "assistant", "content": "Let me look.", "tool_calls": [first, second]}
    reply, _ = asked(
        "document", {"choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": USAGE}, tools=TOOLS
    )
    assert made(reply.samples[0]) == BOTH
    assert (reply.text, reply.samples[0].finish) == ("Let me look.", "tool")


def test_a_call_that_was_cut_off_is_kept_as_far_as_it_came(asked):
    said = [calls(fragment(0, "a", "area", ITALY)), calls(fragment(1, "b", "area", '{"coun')), chunk(None, "length")]
    reply, _ = asked("plays", [*said, counted(**USAGE)], tools=TOOLS)
    assert made(reply.samples[0]) == [BOTH[0], ("b", "area", '{"coun')]
    assert reply.samples[0].finish == "length", "so its last call may be part of one"


def test_a_call_that_was_cut_off_before_its_arguments_has_none(asked):
    reply, _ = asked("plays", [calls(fragment(0, "a", "area", "")), chunk(None, "length"), counted(**USAGE)], tools=TOOLS)
    assert made(reply.samples[0]) == [("a", "area", "")], "no arguments are not an empty object"


def test_a_stream_that_breaks_off_within_a_call_is_asked_for_again(asked):
    error, spent = asked("plays", [calls(fragment(0, "a", "area", ITALY))], calls=2, tools=TOOLS)
    assert isinstance(error, hw.BudgetExceeded)
    assert spent["calls"] == 2


@pytest.mark.parametrize("empty", [{}, {"tool_calls": []}, {"tool_calls": None}])
def test_a_text_is_no_call_whatever_its_end_says(asked, empty):
    reply, _ = asked("plays", [chunk("It is 302,073 km2.", **empty), chunk("", "tool_calls"), counted(**USAGE)], tools=TOOLS)
    assert (reply.text, reply.samples[0].finish, reply.samples[0].calls) == ("It is 302,073 km2.", "stop", ())


@pytest.mark.parametrize("choice", ["required", "area"])
@pytest.mark.parametrize("finish", ["tool_calls", "stop"])
def test_a_server_that_ignores_that_a_tool_is_required_is_told_of(asked, choice, finish):
    said = [chunk("I'd say 300,000.", tool_calls=[]), chunk("", finish), counted(**USAGE)]
    error, spent = asked("plays", said, tools=TOOLS, tool_choice=choice)
    assert type(error) is hw.ModelError
    assert 'was told to ask for a tool and gave the text "I\'d say 300,000."' in str(error)
    assert spent == {"tokens": 10, "money": 10, "calls": 1}, "it is paid, and not asked again"


def test_an_end_in_tool_calls_without_any_is_an_error(asked):
    error, _ = asked("plays", [chunk("", "tool_calls", tool_calls=[]), counted(**USAGE)], tools=TOOLS)
    assert type(error) is hw.ModelError
    assert "asked for a tool and did not say which (no call came): its server lost the call" in str(error)


def test_one_sample_that_asks_for_the_required_tool_is_enough(asked):
    said = [
        chunk("no", "stop"),
        {
            **calls(fragment(0, "a", "area", ITALY)),
            "choices": [{**calls(fragment(0, "a", "area", ITALY), finish="stop")["choices"][0], "index": 1}],
        },
    ]
    reply, _ = asked("plays", [*said, counted(**USAGE)], n=2, tools=TOOLS, tool_choice="required")
    assert [one.finish for one in reply.samples] == ["stop", "tool"]


@pytest.mark.parametrize("finish", ["stop", "tool_calls"])
def test_calls_that_a_parser_of_thoughts_has_swallowed_are_told_of_and_not_made(asked, finish):
    swallowed = '<tool_call>\n{"name": "area", "arguments": {"country": "Italy"}}\n</tool_call>'
    said = [chunk(None, reasoning_content=swallowed[:20]), chunk(None, reasoning_content=swallowed[20:]), chunk(None, finish)]
    error, _ = asked("plays", [*said, counted(**USAGE)], tools=TOOLS)
    assert type(error) is hw.ModelError
    assert "parser" in str(error)


def test_calls_beside_thoughts_are_calls(asked):
    said = [
        chunk(None, reasoning_content="I need <tool_call>s."),
        calls(fragment(0, "a", "area", ITALY)),
        chunk(None, "tool_calls"),
    ]
    reply, _ = asked("plays", [*said, counted(**USAGE)], tools=TOOLS)
    assert (made(reply.samples[0]), reply.samples[0].thoughts) == (BOTH[:1], "I need <tool_call>s.")


def test_calls_where_tools_are_offered_but_not_allowed_are_no_answer(asked):
    error, _ = asked(
        "plays", [calls(fragment(0, "a", "area", ITALY), finish="tool_calls"), counted(**USAGE)], tools=TOOLS, tool_choice="none"
    )
    assert isinstance(error, hw.ModelError)
    assert "asked for a tool instead of answering (area" in str(error)


@pytest.mark.parametrize(
    "bad", ["x", {"index": 0}, ["x"], [{"index": 0, "function": {"name": 3}}], [{"function": {"arguments": 7}}]]
)
def test_calls_that_are_none_are_an_error_of_the_protocol(asked, bad):
    error, _ = asked("plays", [chunk(None, tool_calls=bad), chunk(None, "tool_calls")], tools=TOOLS)
    assert type(error) is hw.ModelError
    assert "does not speak the OpenAI protocol" in str(error)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ('{"country": "Italy", "year": null}', '{"country": "Italy"}'),
        ('{"country":  "Italy"}', '{"country":  "Italy"}'),
        ('{"country": null}', '{"country": null}'),
        ('{"year": nul', '{"year": nul'),
    ],
)
def test_what_a_strict_tool_is_given_as_null_was_left_out(asked, written, kept):
    parameters = {
        "type": "object",
        "properties": {"country": {"type": "string"}, "year": {"type": "integer"}},
        "required": ["country"],
    }
    strict = models.ToolSpec("area", "", parameters, strict=True)
    said = [calls(fragment(0, "a", "area", written), finish="tool_calls"), counted(**USAGE)]
    assert asked("plays", said, tools=[strict])[0].samples[0].calls[0].arguments == kept
    loose = models.ToolSpec("area", "", parameters)
    assert asked("plays", said, tools=[loose])[0].samples[0].calls[0].arguments == written


def test_ids_that_are_missing_count_on_from_those_of_the_conversation():
    reader = CallReader(7)
    (piece,) = reader.read({"tool_calls": [{"function": {"name": "now"}}]}, whole=True)
    assert piece.id == "call00007"
