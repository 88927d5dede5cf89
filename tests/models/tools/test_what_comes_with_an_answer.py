"""Thoughts, likeliest tokens and calls come with an answer, from a stream, from the journal and from a whole document."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import Any

import pytest
from documents import USAGE, chunk, counted
from hypothesis import given
from hypothesis import strategies as st

import headway as hw
from headway import models
from headway.models.collect import ReplyCollector
from headway.models.requests import make_request
from headway.models.streaming import pieces_of

HI = [models.Message("user", "Hi")]
TOOLS = (models.ToolSpec("area"), models.ToolSpec("now"))


# --- thoughts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "thoughts"),
    [
        ([chunk(None, reasoning_content="so "), chunk(None, reasoning_content="it is")], "so it is"),
        ([chunk(None, reasoning="so "), chunk(None, reasoning="it is")], "so it is"),
        ([chunk(None, reasoning="so it is", reasoning_content="so it is")], "so it is"),  # vLLM says it under both names
        (
            [chunk([{"type": "thinking", "thinking": [{"type": "text", "text": "so "}, {"type": "text", "text": "it is"}]}])],
            "so it is",
        ),
        ([chunk([{"type": "thinking", "thinking": "so it is"}])], "so it is"),
        ([chunk([{"type": "reasoning", "text": "so it is"}])], "so it is"),
        ([chunk([{"type": "redacted_thinking", "data": "xyz"}])], ""),
    ],
)
def test_what_a_model_thought_is_kept_apart_from_what_it_said(asked, said, thoughts):
    reply, _ = asked("plays", [*said, chunk("42", "stop"), counted(**USAGE)])
    assert (reply.text, reply.samples[0].thoughts, reply.samples[0].message.thoughts) == ("42", thoughts, thoughts)
    assert reply.samples[0].message == models.Message("assistant", "42", thoughts=thoughts)


# --- likeliest tokens ------------------------------------------------------------------------------------------------


def test_the_likeliest_tokens_at_each_place_come_with_a_chat_and_with_a_text(asked):
    def token(text: str) -> dict[str, Any]:
        top = [{"token": text, "logprob": -0.5, "bytes": None}, {"token": "x", "logprob": -2, "bytes": None}]
        return {"token": text, "logprob": -0.5, "bytes": None, "top_logprobs": top}

    likely = lambda text: (models.Alternative(text, -0.5), models.Alternative("x", -2.0))  # noqa: E731
    one = chunk("4", None)
    one["choices"][0]["logprobs"] = {"content": [token("4")]}
    two = chunk("2", "stop")
    two["choices"][0]["logprobs"] = {"content": [token("2")]}
    reply, _ = asked("plays", [one, two, counted(**USAGE)], top_logprobs=2)
    assert reply.samples[0].top == (likely("4"), likely("2"))
    assert reply.samples[0].logprobs == (-0.5, -0.5)
    text = {"index": 0, "text": "4", "finish_reason": "stop"}
    text["logprobs"] = {"token_logprobs": [-0.5], "tokens": ["4"], "top_logprobs": [{"4": -0.5, "x": -2}]}
    reply, _ = asked("document", {"choices": [text], "usage": USAGE}, chat=False, top_logprobs=2)
    assert reply.samples[0].top == (likely("4"),)


# --- from the journal ------------------------------------------------------------------------------------------------

WORDS = st.text(max_size=4)
CALLS = st.lists(st.builds(models.ToolCall, st.just(""), st.sampled_from(["area", "now"]), WORDS), max_size=3).map(
    lambda calls: tuple(models.ToolCall(f"id{place}", call.name, call.arguments or "{}") for place, call in enumerate(calls))
)


@st.composite
def samples(draw: st.DrawFn) -> models.Sample:
    calls, text = draw(CALLS), draw(WORDS)
    finish = draw(st.sampled_from(["tool", "length"] if calls else ["stop", "length"]))
    if finish == "tool":
        calls = tuple(models.ToolCall(call.id, call.name, call.arguments if call.arguments.strip() else "{}") for call in calls)
    tokens = draw(st.integers(0, 5))
    top = tuple((models.Alternative("x", -0.5),) for _ in range(tokens))
    return models.Sample(text, tokens, finish, -0.5 * tokens if tokens else None, (-0.5,) * tokens, "", calls, draw(WORDS), top)


@given(st.lists(samples(), min_size=1, max_size=3))
def test_a_reply_with_calls_that_is_handed_out_in_pieces_is_the_same_reply(made):
    reply = models.Reply(tuple(made), 7, "m")
    collected = ReplyCollector(len(made), 50, request=make_request(HI, n=len(made), tools=TOOLS))
    for piece in pieces_of(reply):
        collected.add(piece)
    assert collected.reply("m") == reply


def test_a_stream_that_is_replayed_gives_its_calls_and_thoughts_again(misbehaving, tmp_path):
    call = {"index": 0, "id": "a", "type": "function", "function": {"name": "area", "arguments": '{"k": 1}'}}
    said = [
        chunk(None, reasoning_content="so "),
        chunk(None, reasoning_content="be it"),
        chunk("Look: "),
        chunk(None, tool_calls=[call]),
    ]
    model = models.Endpoint("plays-replayed", base_url=misbehaving.url, price=models.FREE)
    lives = iter("12")

    @hw.task(name="replayed", codec="pickle")
    async def program() -> list[models.Piece]:
        heard = []
        prompt = [models.Message("user", json.dumps([*said, chunk("", "stop"), counted(**USAGE)]))]
        async with aclosing(models.stream(model, prompt, tools=TOOLS)) as pieces:
            async for piece in pieces:
                heard.append(piece)
        if next(lives) == "1":
            raise RuntimeError("a crash")
        return heard

    with pytest.raises(RuntimeError):
        hw.run(program, store=tmp_path / "store", run_id="run")
    first, last = hw.run(program, store=tmp_path / "store", run_id="run")
    assert (first.text, first.thoughts, first.finish) == ("Look: ", "so be it", "tool")
    assert first.calls == (models.CallPiece(0, "a", "area", '{"k": 1}'),)
    assert last.usage == models.Usage(7, 3)
    assert len(misbehaving.log("plays-replayed", "asked")) == 1


# --- models of one's own ---------------------------------------------------------------------------------------------


class Own:
    """A model that streams what it is made of."""

    name, price, abilities = "own", models.FREE, {"tools"}

    def __init__(self, *pieces: models.Piece) -> None:
        self.pieces = pieces

    async def stream(self, request: models.Request) -> Any:
        for piece in self.pieces:
            yield piece


def answer(model: Any, **options: Any) -> models.Sample:
    @hw.task(codec="pickle")
    async def program() -> models.Sample:
        return (await models.sample(model, HI, **options)).samples[0]

    return hw.run(program, store=None)


def test_a_model_of_one_s_own_streams_calls_by_their_places():
    pieces = [models.Piece(calls=(models.CallPiece(0, "", "area", '{"a"'), models.CallPiece(1, "x", "now")))]
    pieces += [models.Piece(calls=(models.CallPiece(0, arguments=": 1}"),)), models.Piece(finish="stop")]
    one = answer(Own(*pieces), tools=TOOLS)
    assert one.calls == (models.ToolCall("call00000", "area", '{"a": 1}'), models.ToolCall("x", "now", "{}"))
    assert one.finish == "tool"


@pytest.mark.parametrize("place", [-1, 1, 10**9])
def test_a_call_out_of_order_is_a_fault_of_the_model(place):
    with pytest.raises(hw.UsageError, match=f"the model streams call {place} of a sample that has 0 so far"):
        answer(Own(models.Piece(calls=(models.CallPiece(place, "a", "area"),)), models.Piece(finish="stop")), tools=TOOLS)


def test_a_batch_model_s_calls_are_answers_where_tools_are_offered():
    class Batch:
        name, abilities = "batch", {"tools"}

        def sample_batch(self, requests: Any, stopping: Any) -> list[models.Reply]:
            one = models.Sample("", 1, "tool", calls=(models.ToolCall("a", "area", "{}"),))
            return [models.Reply((one,), 1, self.name) for _ in requests]

    assert answer(Batch(), tools=TOOLS).calls[0].name == "area"
    with pytest.raises(hw.ModelError, match=r"asked for a tool instead of answering \(area\{\}\), but the request offers no tools"):
        answer(Batch())


def test_a_request_that_a_model_refuses_in_its_check_costs_nothing():
    class Choosy(Own):
        def check(self, request: models.Request) -> None:
            if request.tools:
                raise hw.UsageError("choosy: no tools here")

    @hw.task
    async def program() -> dict[str, float]:
        with hw.budget(tokens=10) as spent, pytest.raises(hw.UsageError, match="no tools here"):
            models.sample(models.limit_model(Choosy(), 1), HI, tools=TOOLS)
        return spent.spent

    assert hw.run(program, store=None) == {"tokens": 0}
