"""How a conversation with tools is said to a server: what a real one gets, and what only OpenAI's own would."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

import headway as hw
from headway import models
from headway.models import Audio, Image, Message, Schema, Text, ToolCall, ToolSpec
from headway.models.openai.protocol import request_body
from headway.models.openai.strict import drop_nulls, strict_form
from headway.models.requests import make_request

PARAMETERS = {"type": "object", "properties": {"country": {"type": "string"}}, "required": ["country"]}
AREA = ToolSpec("area", "The area of a country.", PARAMETERS)
NOW = ToolSpec("now")
HI = [Message("user", "Hi")]
SAID = {"type": "function", "function": {"name": "area", "description": "The area of a country.", "parameters": PARAMETERS}}
SAID_NOW = {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}
COUNT = iter(range(10_000))


@pytest.fixture
def sent(misbehaving):
    """What a server gets of a request: its body, its headers."""

    def send(prompt: Any = HI, *, endpoint: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        model = models.Endpoint(f"fine-said-{next(COUNT)}", base_url=misbehaving.url, **(endpoint or {}))

        async def ask() -> None:
            with contextlib.suppress(hw.ModelError):  # it answers with a text, whatever is asked
                await models.sample(model, prompt, **options)

        asyncio.run(ask())
        (asked,) = misbehaving.log(model.name, "asked")
        return asked

    return send


def to_openai(prompt: Any = HI, **options: Any) -> dict[str, Any]:
    return request_body("m", make_request(prompt, **options), of_openai=True)


# --- tools -----------------------------------------------------------------------------------------------------------


def test_tools_are_offered(sent):
    body = sent(tools=[AREA, NOW])["body"]
    assert body["tools"] == [SAID, SAID_NOW]
    assert "tool_choice" not in body
    assert body["parallel_tool_calls"] is True, "llama.cpp's default is not to allow it"
    assert to_openai(tools=[AREA, NOW])["tools"] == body["tools"]
    assert "parallel_tool_calls" not in to_openai(tools=[AREA, NOW]), "some of OpenAI's models refuse the word"


@pytest.mark.parametrize(
    ("choice", "said"),
    [("none", "none"), ("required", "required"), ("area", {"type": "function", "function": {"name": "area"}})],
)
def test_what_is_to_be_chosen_is_said(sent, choice, said):
    options = {"tools": [AREA, NOW], "tool_choice": choice, "parallel_tool_calls": False}
    for body in (sent(**options)["body"], to_openai(**options)):
        assert (body["tool_choice"], body["parallel_tool_calls"]) == (said, False)
        assert body["tools"] == [SAID, SAID_NOW]


def test_the_tools_that_are_allowed_are_named_to_openai_and_alone_offered_to_others(sent):
    named = [{"type": "function", "function": {"name": "area"}}]
    ours = to_openai(tools=[AREA, NOW], tool_choice=["area"])
    assert ours["tool_choice"] == {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": named}}
    assert ours["tools"] == [SAID, SAID_NOW]
    body = sent(tools=[AREA, NOW], tool_choice=["area"])["body"]
    assert (body["tools"], "tool_choice" in body) == ([SAID], False)


def test_calls_and_their_answers_are_given_back(sent):
    messages = [
        *HI,
        Message("assistant", "", (ToolCall("a", "area", '{"country": "Italy"}'), ToolCall("b", "area", '{"coun'))),
        Message("tool", "302,073", call_id="a", name="area"),
        Message("tool", "the arguments are no JSON", call_id="b"),
    ]
    said = sent(messages, tools=[AREA])["body"]["messages"][1:]
    whole, cut = '{"country": "Italy"}', '{"invalid_json": "{\\"coun"}'
    assert said == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "area", "arguments": whole}},
                {"id": "b", "type": "function", "function": {"name": "area", "arguments": cut}},
            ],
        },
        {"role": "tool", "content": "302,073", "name": "area", "tool_call_id": "a"},
        {"role": "tool", "content": "the arguments are no JSON", "tool_call_id": "b"},
    ]
    assert "name" not in to_openai(messages, tools=[AREA])["messages"][2]


def test_a_reply_s_message_goes_on_with_the_conversation(sent):
    sample = models.Sample("Let me look.", 3, "tool", calls=(ToolCall("a", "now", "{}"),), thoughts="hm")
    said = sent([*HI, sample.message, Message("tool", "noon", call_id="a")], tools=[NOW])["body"]["messages"]
    assert said[1]["content"] == "Let me look."
    assert said[1]["tool_calls"][0]["id"] == said[2]["tool_call_id"] == "a"
    assert "hm" not in str(said)


def test_pictures_of_tools_follow_all_answers_to_a_turn():
    shown = (Text("Done."), Image(b"abc"))
    asked = Message("assistant", "", (ToolCall("a", "look", "{}"), ToolCall("b", "look", "{}")))
    answers = [Message("tool", shown, call_id="a", name="look"), Message("tool", "nothing", call_id="b")]
    for more, roles in (([], []), ([Message("user", "And now?")], ["user"])):
        body = to_openai([*HI, asked, *answers, *more])
        assert [message["role"] for message in body["messages"]] == ["user", "assistant", "tool", "tool", "user", *roles]
        assert body["messages"][2]["content"] == "Done."
        assert body["messages"][4]["content"] == [
            {"type": "text", "text": "From look (a):"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,YWJj"}},
        ]


# --- contents --------------------------------------------------------------------------------------------------------


def test_pictures_and_sounds_are_parts(sent):
    parts = (
        Text("What is this?"),
        Image(b"abc", "image/jpeg", detail="low"),
        Image(url="https://x.org/1.png"),
        Audio(b"abc", "mp3"),
    )
    assert sent([Message("user", parts)])["body"]["messages"][0]["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,YWJj", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://x.org/1.png"}},
        {"type": "input_audio", "input_audio": {"data": "YWJj", "format": "mp3"}},
    ]


def test_parts_of_text_alone_are_a_text():
    said = to_openai([Message("system", (Text("Be "), Text("brief."))), Message("user", "Hi", name="Ada")])["messages"]
    assert said == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi", "name": "Ada"}]


def test_thoughts_are_given_back_where_the_server_wants_them(sent):
    messages = [*HI, Message("assistant", "Ho", thoughts="hm"), *HI]
    assert sent(messages)["body"]["messages"][1] == {"role": "assistant", "content": "Ho"}
    for name in ("reasoning_content", "reasoning"):
        assert sent(messages, endpoint={"thoughts": name})["body"]["messages"][1][name] == "hm"


# --- schemas ---------------------------------------------------------------------------------------------------------

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer", "description": "years"},
        "home": {"$ref": "#/$defs/Home"},
    },
    "required": ["name"],
    "$defs": {"Home": {"type": "object", "properties": {"city": {"type": ["string", "null"]}}}},
}
STRICT = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"anyOf": [{"type": "integer"}, {"type": "null"}], "description": "years"},
        "home": {"anyOf": [{"$ref": "#/$defs/Home"}, {"type": "null"}]},
    },
    "required": ["name", "age", "home"],
    "additionalProperties": False,
    "$defs": {
        "Home": {
            "type": "object",
            "properties": {"city": {"type": ["string", "null"]}},
            "required": ["city"],
            "additionalProperties": False,
        }
    },
}


@pytest.mark.parametrize("strict", [True, False])
def test_an_answer_s_form_is_said_and_is_strict_where_it_is_to_be(sent, strict):
    body = sent(schema=Schema("person", PERSON, strict=strict))["body"]
    form = {"name": "person", "schema": STRICT if strict else PERSON, "strict": strict}
    assert body["response_format"] == {"type": "json_schema", "json_schema": form}


def test_a_tool_is_strict_where_it_is_to_be():
    function = to_openai(tools=[ToolSpec("meet", "", PERSON, strict=True)])["tools"][0]["function"]
    assert function == {"name": "meet", "parameters": STRICT, "strict": True}


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "$ has properties of any name"),
        ({"type": "object", "properties": {"x": {"type": "object", "additionalProperties": True}}}, "$.x is any object"),
        ({"type": "array", "items": {"type": "object", "patternProperties": {"x": {}}}}, "$[] has properties of any name"),
    ],
)
def test_a_schema_that_has_no_strict_form_is_refused_where_one_is_needed(schema, why):
    with pytest.raises(hw.UsageError, match=r"the schema x: .*which the strict form can't say: give strict=False") as raised:
        to_openai(schema=Schema("x", schema))
    assert why in str(raised.value)
    assert strict_form(schema, "the schema x") == schema, "others may be able to hold a model to it"


def test_what_was_left_out_in_the_strict_form_is_left_out():
    given = {"name": "Ada", "age": None, "home": {"city": None}}
    assert drop_nulls(PERSON, given) == {"name": "Ada", "home": {"city": None}}
    assert drop_nulls(PERSON, {"name": "Ada", "age": 3, "home": None}) == {"name": "Ada", "age": 3}
    assert drop_nulls({"type": "array", "items": PERSON}, [given]) == [{"name": "Ada", "home": {"city": None}}]
    either = {
        "anyOf": [{"$ref": "#/$defs/P"}, {"type": "null"}],
        "$defs": {"P": {"type": "object", "properties": {"k": {"type": "integer"}}}},
    }
    assert drop_nulls(either, {"k": None}) == {}


def test_a_schema_for_a_text_that_goes_on_is_for_servers_that_know_it(sent):
    assert sent("Once", schema=Schema("x", PERSON))["body"]["response_format"]["type"] == "json_schema"
    with pytest.raises(hw.UsageError, match="hold no text that they continue to a schema"):
        to_openai("Once", schema=Schema("x", PERSON))


# --- going on with a message -----------------------------------------------------------------------------------------

BEGUN = [*HI, Message("assistant", "Once upon")]


@pytest.mark.parametrize(
    ("how", "flags", "prefix"),
    [(None, True, None), ("flags", True, None), ("prefix", None, True), ("last", None, None)],
)
def test_a_message_is_gone_on_with_in_the_server_s_way(sent, how, flags, prefix):
    body = sent(BEGUN, continues=True, endpoint={"continuing": how})["body"]
    assert (body.get("continue_final_message"), body["messages"][-1].get("prefix")) == (flags, prefix)
    assert body.get("add_generation_prompt", True) is (not flags)


def test_openai_can_not_go_on_with_a_message_and_nothing_is_sent_or_reserved():
    @hw.task
    async def program() -> dict[str, float]:
        with hw.budget(tokens=10) as spent, pytest.raises(hw.UsageError, match="OpenAI's servers can't go on with an assistant's"):
            models.sample(models.Endpoint("gpt-4o", api_key="sk-none", price=models.FREE), BEGUN, continues=True)
        return spent.spent

    assert hw.run(program, store=None) == {"tokens": 0}


# --- further fields and headers --------------------------------------------------------------------------------------


def test_further_fields_are_part_of_the_body_and_a_request_s_own_come_first(sent):
    body = sent(extra={"top_k": 5}, endpoint={"extra": {"top_k": 1, "min_p": 0.1}})["body"]
    assert (body["top_k"], body["min_p"]) == (5, 0.1)


def test_log_probabilities_are_asked_for(sent):
    assert {name: value for name, value in sent(top_logprobs=3)["body"].items() if "logprobs" in name} == {
        "logprobs": True,
        "top_logprobs": 3,
    }
    assert sent("Once", top_logprobs=3)["body"]["logprobs"] == 3
