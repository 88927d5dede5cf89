"""The Responses API: what is said to a server, what is understood of its events, and a real server that speaks it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from documents import PRICE, RESERVED

import headway as hw
from headway import models
from headway.models import Audio, Image, Message, Schema, Text, ToolCall, ToolSpec
from headway.models.openai.responses import request_body
from headway.models.requests import make_request

AREA = ToolSpec("area", "The area of a country.", {"type": "object", "properties": {"country": {"type": "string"}}})
HI = [Message("user", "Hi")]
ITALY = '{"country": "Italy"}'
USAGE = {
    "input_tokens": 7,
    "output_tokens": 3,
    "total_tokens": 10,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens_details": {"reasoning_tokens": 2},
}


# --- what is said ----------------------------------------------------------------------------------------------------


def said(prompt: Any = HI, *, of_openai: bool = True, thoughts: bool = False, **options: Any) -> dict[str, Any]:
    return request_body("m", make_request(prompt, **options), of_openai=of_openai, thoughts=thoughts)


def test_a_conversation_is_a_list_of_items_that_name_each_other():
    messages = [
        Message("system", "Be brief."),
        Message("user", (Text("What is this?"), Image(b"abc", detail="low"))),
        Message("assistant", "Let me look.", (ToolCall("a", "area", ITALY), ToolCall("b", "area", "{")), thoughts="hm"),
        Message("tool", "302,073", call_id="a", name="area"),
        Message("tool", (Text("a map"), Image(url="https://x.org/1.png")), call_id="b"),
    ]
    items = said(messages)["input"]
    assert items == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What is this?"},
                {"type": "input_image", "image_url": "data:image/png;base64,YWJj", "detail": "low"},
            ],
        },
        {"role": "assistant", "content": "Let me look."},
        {"type": "function_call", "call_id": "a", "name": "area", "arguments": ITALY},
        {"type": "function_call", "call_id": "b", "name": "area", "arguments": '{"invalid_json": "{"}'},
        {"type": "function_call_output", "call_id": "a", "output": "302,073"},
        {
            "type": "function_call_output",
            "call_id": "b",
            "output": [
                {"type": "input_text", "text": "a map"},
                {"type": "input_image", "image_url": "https://x.org/1.png", "detail": "auto"},
            ],
        },
    ]
    back = said(messages, thoughts=True)["input"]
    assert back[2] == {"type": "reasoning", "id": "rs_2", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}


def test_tools_and_schemas_are_flat():
    body = said(
        tools=[AREA, ToolSpec("now")], tool_choice="area", schema=Schema("x", {"type": "object", "properties": {}}), top_logprobs=2
    )
    assert body["tools"][0] == {
        "type": "function",
        "name": "area",
        "description": "The area of a country.",
        "parameters": AREA.parameters,
        "strict": False,
    }
    assert body["tool_choice"] == {"type": "function", "name": "area"}
    assert (body["parallel_tool_calls"], body["store"], body["max_output_tokens"]) == (True, False, 256)
    assert body["text"]["format"]["type"] == "json_schema"
    assert body["text"]["format"]["name"] == "x"
    assert (body["include"], body["top_logprobs"]) == (["message.output_text.logprobs"], 2)
    assert "temperature" not in body
    assert "top_p" not in body
    allowed = said(tools=[AREA, ToolSpec("now")], tool_choice=["now"])["tool_choice"]
    assert allowed == {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "now"}]}
    others = said(tools=[AREA, ToolSpec("now")], tool_choice=["now"], of_openai=False, temperature=0.5)
    assert ([tool["name"] for tool in others["tools"]], "tool_choice" in others, others["temperature"]) == (["now"], False, 0.5)


@pytest.mark.parametrize(
    ("prompt", "options", "why"),
    [
        ("Once", {}, "it answers messages and continues no text"),
        (HI, {"n": 2}, "one sample a call"),
        (HI, {"stop": "x"}, "no texts that end a sample"),
        (HI, {"seed": 1}, "it takes none"),
        ([*HI, Message("assistant", "Once")], {"continues": True}, "it goes on with no message"),
        ([Message("user", (Audio(b"x"),))], {}, "it takes no sounds"),
        ([Message("user", "Hi", name="Ada")], {}, "nobody has a name there"),
    ],
)
def test_what_the_api_can_not_do_is_refused_before_anything_is_sent(misbehaving, prompt, options, why):
    model = models.Endpoint("fine-refusing", base_url=misbehaving.url, api="responses", price=PRICE)

    @hw.task
    async def program() -> dict[str, float]:
        with hw.budget(tokens=10_000) as spent, pytest.raises(hw.UsageError, match="the Responses API can't do this") as raised:
            await models.sample(model, prompt, **options)
        assert why in str(raised.value)
        return spent.spent

    assert hw.run(program, store=None)["tokens"] == 0
    assert misbehaving.log("fine-refusing", "asked") == []


# --- what is understood ----------------------------------------------------------------------------------------------


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", **fields}


def function_call(id: str, arguments: str = "", name: str = "area") -> dict[str, Any]:
    return {"type": "function_call", "id": f"fc_{id}", "call_id": id, "name": name, "arguments": arguments}


def message(text: str, **part: Any) -> dict[str, Any]:
    return {"type": "message", "id": "msg", "role": "assistant", "content": [{"type": "output_text", "text": text, **part}]}


def ended(*output: Any, kind: str = "completed", **fields: Any) -> dict[str, Any]:
    return event(kind, response={"object": "response", "status": kind, "output": [*output], "usage": USAGE, **fields})


REASONING = {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "Look it up."}]}
CALLS = [
    event("created", response={"object": "response", "status": "in_progress", "error": None}),
    event("output_item.added", output_index=0, item={"type": "reasoning", "id": "rs", "summary": []}),
    event("reasoning_summary_text.delta", output_index=0, item_id="rs", delta="Look "),
    event("reasoning_summary_text.delta", output_index=0, item_id="rs", delta="it up."),
    event("output_item.done", output_index=0, item=REASONING),
    event("output_item.added", output_index=1, item=function_call("a")),
    event("output_item.added", output_index=2, item=function_call("b")),
    event("function_call_arguments.delta", output_index=2, item_id="fc_b", delta='{"country": '),
    event("function_call_arguments.delta", output_index=1, item_id="fc_a", delta=ITALY),
    event("function_call_arguments.delta", output_index=2, item_id="fc_b", delta='"Spain"}'),
    event("function_call_arguments.done", output_index=1, item_id="fc_a", arguments=ITALY),
    event("output_item.done", output_index=1, item=function_call("a", ITALY)),
    ended(REASONING, function_call("a", ITALY), function_call("b", '{"country": "Spain"}')),
]


def without_places(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in one.items() if key != "output_index"} for one in events]


@pytest.mark.parametrize(
    "events",
    [
        CALLS,
        without_places(CALLS),
        [*CALLS[:1], *CALLS[-1:]],
        [CALLS[-1]["response"]],
        [one for one in CALLS if "delta" not in one["type"]],
    ],
)
def test_calls_and_thoughts_come_whole_however_much_of_them_is_streamed(asked, events):
    kind, events = ("document", events[0]) if len(events) == 1 else ("plays", events)
    reply, spent = asked(kind, events, api="responses", tools=[AREA])
    (one,) = reply.samples
    assert [(call.id, call.arguments) for call in one.calls] == [("a", ITALY), ("b", '{"country": "Spain"}')]
    assert (one.finish, one.text, one.thoughts) == ("tool", "", "Look it up.")
    assert reply.usage == models.Usage(7, 3, 4, 2)
    assert spent == {"tokens": 10, "money": 10, "calls": 1}


def test_a_text_with_its_log_probabilities_is_a_text(asked):
    def token(text: str) -> dict[str, Any]:
        return {"token": text, "logprob": -0.5, "top_logprobs": [{"token": "x", "logprob": -1}]}

    events = [
        event("output_text.delta", output_index=0, item_id="msg", delta="The ", logprobs=[token("The ")]),
        event("output_text.delta", output_index=0, item_id="msg", delta="end.", logprobs=[token("end"), token(".")]),
        ended(message("The end.", logprobs=[token("The "), token("end"), token(".")])),
    ]
    reply, _ = asked("plays", events, api="responses", top_logprobs=1)
    assert (reply.text, reply.samples[0].finish, reply.samples[0].logprob) == ("The end.", "stop", -1.5)
    assert reply.samples[0].top == ((models.Alternative("x", -1.0),),) * 3


@pytest.mark.parametrize(
    ("last", "finish"),
    [
        (ended(message("The"), kind="incomplete", incomplete_details={"reason": "max_output_tokens"}), "length"),
        (ended(message("The"), usage={**USAGE, "output_tokens": RESERVED, "total_tokens": RESERVED + 7}), "length"),
        (ended(message("The"), kind="incomplete", incomplete_details={"reason": "content_filter"}), "filter"),
        (ended(message("The"), kind="incomplete", incomplete_details={"reason": "new"}), "stop"),
        (ended(message("The")), "stop"),
    ],
)
def test_why_an_answer_ended(asked, last, finish):
    reply, _ = asked("plays", [event("output_text.delta", output_index=0, delta="The"), last], api="responses")
    assert (reply.text, reply.samples[0].finish) == ("The", finish)


def test_a_refusal_is_one(asked):
    events = [
        event("refusal.delta", output_index=0, delta="I can't "),
        event("refusal.delta", output_index=0, delta="help"),
        ended(),
    ]
    error, spent = asked("plays", events, api="responses")
    assert type(error) is hw.ModelError
    assert "refused to answer: I can't help" in str(error)
    assert spent["tokens"] == 10


@pytest.mark.parametrize(("form", "code"), [("failed", "server_error"), ("failed", "rate_limit_exceeded"), ("error", "503")])
def test_a_response_that_its_server_could_not_go_on_with_is_asked_for_again(asked, form, code):
    failed = (
        ended(kind="failed", error={"code": code, "message": "busy"})
        if form == "failed"
        else {"type": "error", "code": code, "message": "busy"}
    )
    error, spent = asked("plays", [CALLS[0], failed], api="responses", calls=2)
    assert isinstance(error, hw.BudgetExceeded)
    assert spent["calls"] == 2


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([ended(kind="failed", error={"code": "invalid_prompt", "message": "no"})], "invalid_prompt: no"),
        ([event("output_text.delta", output_index=0, delta=3)], "an event is not of its kind (a text that is a int)"),
        ([event("function_call_arguments.delta", output_index=0, delta="{")], "arguments of a call that has not begun"),
        ([{"choices": []}], '{"choices": []}'),
    ],
)
def test_what_asking_again_would_not_mend_is_an_error(asked, events, told):
    error, spent = asked("plays", events, api="responses")
    assert type(error) is hw.ModelError
    assert told in str(error)
    assert spent["calls"] == 1


def test_a_stream_that_breaks_off_is_asked_for_again(asked):
    error, spent = asked("plays", CALLS[:-1], api="responses", calls=2, tools=[AREA])
    assert isinstance(error, hw.BudgetExceeded)
    assert spent["calls"] == 2


# --- a real server ---------------------------------------------------------------------------------------------------


def test_llama_cpp_speaks_it_too(llama):
    model = models.Endpoint("gemma", base_url=llama().url, api="responses", price=models.FREE)

    async def ask() -> tuple[models.Reply, list[str]]:
        reply = await models.sample(model, HI, max_tokens=8, temperature=0)
        return reply, [piece.text async for piece in models.stream(model, HI, max_tokens=8, temperature=0)]

    reply, pieces = asyncio.run(ask())
    assert reply.text == "".join(pieces) != ""
    assert len([text for text in pieces if text]) > 1
    assert (reply.samples[0].tokens, reply.samples[0].finish, reply.prompt_tokens > 0) == (8, "length", True)


def test_llama_cpp_goes_on_with_a_message_and_tells_the_likeliest_tokens(llama):
    model = models.Endpoint("gemma", base_url=llama().url, price=models.FREE)

    async def ask() -> models.Reply:
        begun = [models.Message("user", "Tell me a story."), models.Message("assistant", "Once upon a")]
        return await models.sample(model, begun, continues=True, max_tokens=3, temperature=0, top_logprobs=2)

    (one,) = asyncio.run(ask()).samples
    assert one.text.startswith(" time")
    assert [len(place) for place in one.top] == [2] * 3
    assert all(place[0].logprob == pytest.approx(value) for place, value in zip(one.top, one.logprobs, strict=True)), (
        "at temperature 0"
    )
