"""Which of a server's words are an answer, and which are an error in its own words."""

from __future__ import annotations

import asyncio
import json

import pytest
from documents import GOOD, RESERVED, USAGE, bound, chunk, counted

import headway as hw
from headway import models
from headway.models.openai.protocol import finish_of
from headway.models.streaming import pieces_of

TEXT = [{"type": "text", "text": "The answer"}, {"type": "output_text", "text": " is 42."}]
THOUGHT = [{"type": "thinking", "thinking": [{"type": "text", "text": "6 * 7"}]}]


@pytest.mark.parametrize("streamed", [True, False])
def test_a_content_in_parts_is_their_text_and_no_thought(asked, streamed):
    choice = {"index": 0, "message": {"content": THOUGHT + TEXT}, "finish_reason": "stop"}
    events = [chunk(THOUGHT), chunk(TEXT[:1]), chunk(TEXT[1:]), chunk([], "stop"), counted(**USAGE)]
    reply, _ = asked("plays", events) if streamed else asked("document", {"choices": [choice], "usage": USAGE})
    assert (reply.text, reply.samples[0].finish) == ("The answer is 42.", "stop")


def test_thoughts_in_parts_are_paid(asked):
    said = [chunk(THOUGHT), chunk(THOUGHT), chunk("42", "stop")]
    _, spent = asked("plays", said)
    assert spent["tokens"] == bound(said) - RESERVED + 3


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ([{"type": "image_url", "image_url": "x"}], "a part of a content that is 'image_url'"),
        ([{"type": "text", "text": 42}], "a part of a content whose text is a int"),
        (["The answer"], "a part of a content that is None"),
        (42, "a content that is a int"),
    ],
)
def test_a_content_of_another_kind_is_an_error_and_no_text(asked, content, told):
    error, _ = asked("plays", [chunk(content, "stop")])
    assert type(error) is hw.ModelError
    assert told in str(error)


@pytest.mark.parametrize("other", [{"type": "ping"}, {**counted(), "choices": None}])
def test_events_without_choices_throw_no_answer_away(asked, other):
    reply, spent = asked("plays", [other, GOOD[0], other, GOOD[1], {**counted(**USAGE), "choices": None}, other])
    assert reply.text == "The answer is 42."
    assert spent == {"tokens": 10, "money": 10, "calls": 1}


@pytest.mark.parametrize("kind", ["plays", "document"])
@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"detail": "model overloaded"}, '{"detail": "model overloaded"}'),
        ({"object": "error", "message": "maximum context length is 10"}, "maximum context length is 10"),
        ({"choices": None, "detail": "no access for sk-0123456789abcdef"}, "no access for ***"),
    ],
)
def test_an_answer_without_choices_is_an_error_in_the_server_s_words(asked, kind, said, told):
    error, spent = asked(kind, [said] if kind == "plays" else said)
    assert type(error) is hw.ModelError
    assert told in str(error)
    assert "attribute" not in str(error)
    assert spent["tokens"] == spent["assumed_tokens"]


@pytest.mark.parametrize(
    ("said", "wrong", "told"),
    [
        ([chunk("Transfer 100 "), chunk("to ")], hw.ModelUnavailable, "the stream ended before 1 of 1 samples did"),
        ([chunk("", "content_filter")], hw.ModelError, "a content filter of the server held the answer back"),
        ([chunk(None, refusal="no"), chunk(None, "stop")], hw.ModelError, "refused to answer: no"),
        ([chunk(None, "stop", function_call={"name": "f", "arguments": ""})], hw.ModelError, "asked for a tool"),
    ],
)
def test_a_stream_outside_of_a_run_that_is_no_answer_ends_with_an_error(misbehaving, said, wrong, told):
    model = models.Endpoint(f"plays-outside-{told}", base_url=misbehaving.url)
    heard = []

    async def outside() -> None:
        async for piece in models.stream(model, [models.Message("user", json.dumps(said))]):
            heard.append(piece)

    with pytest.raises(wrong, match=told):
        asyncio.run(outside())
    assert heard, "what came is handed on"


CALL = {"index": 0, "id": "1", "type": "function", "function": {"name": "search", "arguments": '{"q": "sky"}'}}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            [chunk(None, tool_calls=[CALL]), chunk(None, "tool_calls")],
            r'asked for a tool instead of answering \(search\{"q": "sky"\}\)',
        ),
        ([chunk(None, tool_calls=[CALL]), chunk(None, "stop")], "asked for a tool"),
        ([chunk("Let me look.", tool_calls=[CALL]), chunk(None, "stop")], "asked for a tool"),
        (
            [chunk(None, function_call={"name": "f", "arguments": "{}"}), chunk(None, "function_call")],
            r"asked for a tool .*\(f\{\}\)",
        ),
        ([chunk(None, "tool_calls")], r"asked for a tool instead of answering \(it did not say which\)"),
        ([chunk(None, refusal="I can't "), chunk(None, refusal="help"), chunk(None, "stop")], "refused to answer: I can't help$"),
        ([chunk(None, tool_calls=[CALL]), chunk(None, "length")], "asked for a tool"),
        ([chunk("", "content_filter")], "a content filter of the server held the answer back"),
        ([chunk("", "MALFORMED_FUNCTION_CALL")], r"asked for a tool instead of answering \(it did not say which\)"),
        ([chunk("", "OTHER")], "gave no answer: it ended for 'OTHER'"),
        ([chunk([{"type": "refusal", "refusal": "I can't help"}], "stop")], "refused to answer: I can't help$"),
    ],
)
def test_tools_and_refusals_are_named_and_paid(asked, said, told):
    error, spent = asked("plays", [*said, counted(**USAGE)])
    assert isinstance(error, hw.ModelError)
    assert not isinstance(error, hw.ModelUnavailable)
    with pytest.raises(hw.ModelError, match=told):
        raise error
    assert spent == {"tokens": 10, "money": 10, "calls": 1}, "it is not asked again"


def test_a_refusal_beside_a_text_is_a_text(asked):
    reply, _ = asked("plays", [chunk("No: ", refusal="policy"), chunk("ask a lawyer.", "stop"), counted(**USAGE)])
    assert (reply.text, reply.samples[0].finish) == ("No: ask a lawyer.", "stop")


@pytest.mark.parametrize(
    ("said", "finish"),
    [
        ([chunk("42", "tool_calls")], "stop"),  # vLLM with tool_choice="required" and no parser
        ([chunk("42", "tool_calls", tool_calls=[])], "stop"),
        ([chunk("42"), chunk("", "content_filter")], "filter"),
        ([chunk("42"), chunk("", "model_context_window_exceeded")], "length"),
        ([chunk("42"), chunk("", "malformed_function_call")], "stop"),
        ([chunk("42", "length", reasoning="so")], "length"),
    ],
)
def test_a_text_is_an_answer_whatever_ended_it(asked, said, finish):
    reply, _ = asked("plays", [*said, counted(**USAGE)])
    assert (reply.text, reply.samples[0].finish, reply.samples[0].said) == ("42", finish, "")


def test_why_a_text_ended_is_kept_where_nobody_knows_the_word(asked):
    reply, _ = asked("plays", [chunk("42"), chunk("", "something new"), counted(**USAGE)])
    assert (reply.text, reply.samples[0].finish, reply.samples[0].said) == ("42", "stop", "it ended for 'something new'")
    assert [piece.said for piece in pieces_of(reply)] == ["it ended for 'something new'", ""]


@pytest.mark.parametrize("reason", ["error", "abort", "timeout", "insufficient_system_resource"])
def test_a_sample_that_its_server_could_not_go_on_with_is_asked_for_again(asked, reason):
    error, spent = asked("plays", [chunk("4"), chunk("", reason)], calls=2)
    assert isinstance(error, hw.BudgetExceeded)
    assert spent["calls"] == 2
    assert spent["tokens"] == spent["assumed_tokens"] > 2


def test_one_of_several_samples_that_is_no_answer_takes_none_away(asked):
    said = [
        chunk("fine", "stop", index=0),
        chunk(None, "tool_calls", index=1, tool_calls=[CALL]),
        chunk(None, "stop", index=2, refusal="no"),
        chunk("", "content_filter", index=3),
        counted(**USAGE),
    ]
    reply, _ = asked("plays", said, n=4)
    assert [(one.text, one.finish, one.said) for one in reply.samples] == [
        ("fine", "stop", ""),
        ("", "tool", 'search{"q": "sky"}'),
        ("", "refusal", "no"),
        ("", "filter", ""),
    ]


def test_a_model_that_only_thought_was_cut_off(asked):
    reply, _ = asked("plays", [chunk(None, reasoning_content="so 42"), chunk(None, "length"), counted(**USAGE)])
    assert (reply.text, reply.samples[0].finish) == ("", "length")


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", "stop"),
        ("STOP", "stop"),
        ("eos_token", "stop"),
        ("something new", "stop"),
        ("length", "length"),
        ("MAX_TOKENS", "length"),
        ("model_context_window_exceeded", "length"),
        ("content_filter", "filter"),
        ("content_filtered", "filter"),
        ("SAFETY", "filter"),
        ("BLOCKLIST", "filter"),
        ("SPII", "filter"),
        ("IMAGE_SAFETY", "filter"),
        ("MALFORMED_FUNCTION_CALL", "tool"),
        ("tool_use", "tool"),
        (None, None),
        ("", None),
        ("null", None),
        ("None", None),
    ],
)
def test_why_a_sample_ended_in_the_words_of_many_servers(reason, finish):
    assert finish_of(reason) == finish
