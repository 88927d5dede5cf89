"""What is wrong with a request is said at the call, before anything is sent or paid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from standins import StandInModel

import headway as hw
from headway import models
from headway.models import Audio, Image, Message, Schema, Text, ToolCall, ToolSpec
from headway.models.requests import make_request

HI = [Message("user", "Hi")]
HALF = "\ud83d"
OBJECT = {"type": "object", "properties": {}}
AREA = ToolSpec("area", "", OBJECT)
ASKED = Message("assistant", "", (ToolCall("a", "area", "{}"),))


def told(prompt: Any = HI, **options: Any) -> str:
    with pytest.raises(hw.UsageError) as raised:
        make_request(prompt, **options)
    return str(raised.value)


@pytest.mark.parametrize(
    ("tools", "said"),
    [
        ([ToolSpec("get area")], "a tool named 'get area': up to 64 of the characters"),
        ([ToolSpec("")], "a tool named ''"),
        ([ToolSpec("x" * 65)], "a tool named 'xxx"),
        ([ToolSpec(3)], "a tool named 3"),
        ([AREA, ToolSpec("area")], "two tools named 'area'"),
        ([ToolSpec("area", HALF)], "the tool area: its description is no text that can be sent"),
        ([ToolSpec("area", "", {"type": "string"})], "its parameters are of type 'string': the arguments of a tool are an object"),
        ([ToolSpec("area", "", {})], "its parameters are of type None"),
        ([ToolSpec("area", "", "object")], "its parameters are no JSON schema"),
        ([ToolSpec("area", "", {**OBJECT, "default": float("nan")})], "its parameters: no JSON"),
        ([ToolSpec("area", "", {**OBJECT, "default": {1, 2}})], "its parameters: no JSON (set is no value of JSON)"),
        ([ToolSpec("area", "", {**OBJECT, "title": HALF})], "its parameters: a half of a character"),
        ([ToolSpec("area", "", OBJECT, strict="yes")], "strict='yes': True or False"),
        (["area"], "the tool 'area': a models.ToolSpec"),
        ("area", "tools='area': a list"),
    ],
)
def test_tools_are_checked(tools, said):
    assert said in told(tools=tools)


def test_a_schema_that_holds_itself_is_no_schema():
    loop: dict[str, Any] = {"type": "object", "properties": {}}
    loop["properties"]["again"] = loop
    assert "its parameters: no JSON" in told(tools=[ToolSpec("area", "", loop)])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tool_choice": "required"}, "tool_choice='required': there are no tools"),
        ({"tool_choice": "area"}, "tool_choice='area': there are no tools"),
        ({"tools": [AREA], "tool_choice": "areas"}, "tool_choice='areas': the tools are area; or 'auto', 'none' or 'required'"),
        ({"tools": [AREA], "tool_choice": ["area", "fly"]}, "tool_choice with 'fly': the tools are area"),
        ({"tools": [AREA], "tool_choice": []}, "tool_choice=(): the names of tools"),
        ({"tools": [AREA], "tool_choice": ["area", "area"]}, "the names of tools, each once"),
        ({"tools": [AREA], "tool_choice": 3}, "tool_choice=3"),
        ({"tools": [AREA], "parallel_tool_calls": 1}, "parallel_tool_calls=1: True or False"),
        ({"top_logprobs": 21}, "top_logprobs=21: a whole number from 0 to 20"),
        ({"top_logprobs": -1}, "top_logprobs=-1"),
        ({"top_logprobs": True}, "top_logprobs=True"),
        ({"schema": {"type": "object"}}, "no answer can have this form"),
        ({"schema": Schema("an answer", OBJECT)}, "a schema named 'an answer'"),
        ({"schema": Schema("answer", 3)}, "the schema answer is no JSON schema"),
        ({"extra": {"max_tokens": 3}}, "extra={'max_tokens': …}: say it with max_tokens="),
        ({"extra": {"response_format": {}}}, "say it with schema="),
        ({"extra": {"best_of": 5}}, "say it with n="),
        ({"extra": {3: 4}}, "further fields of the body, by name"),
        ({"extra": {"x": object()}}, "extra: no JSON"),
        ({"extra": {"x": HALF}}, "extra: a half of a character"),
        ({"headers": {"X Y": "z"}}, "a header named 'X Y'"),
        ({"headers": {"x": "a\r\nb: c"}}, "the header x: its value has a line break"),
        ({"headers": {"Content-Length": "3"}}, "the header Content-Length: the client sets it"),
        ({"headers": {"x": 3}}, "the header x"),
        ({"headers": ["x"]}, "headers of list"),
        ({"continues": True}, "continues=True without a text of an assistant at the end"),
        ({"continues": 1}, "continues=1: True or False"),
    ],
)
def test_options_are_checked(options, said):
    assert said in told(**options)


def test_what_a_header_holds_is_never_repeated():
    assert "hunter2" not in told(headers={"x": "hunter2\n"})


@pytest.mark.parametrize("option", [{"tools": [AREA]}, {"continues": True}])
def test_a_text_to_continue_asks_for_no_tools_and_is_continued_anyway(option):
    assert "text" in told("Once upon a time", **option)


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        (
            [Message("user", "Hi"), Message("tool", "1", call_id="a")],
            "messages[1]: a tool's message with call_id='a', which no call",
        ),
        (
            [ASKED, Message("tool", "1", call_id="b")],
            "with call_id='b', which no call before it has: those that wait for an answer are 'a'",
        ),
        ([ASKED, Message("tool", "1", call_id="a"), Message("tool", "2", call_id="a")], "none waits for an answer"),
        ([ASKED, Message("user", "Well?")], "messages[1]: the call 'a' has no answer"),
        ([ASKED], "the call 'a' that no tool's message answers"),
        ([Message("user", "Hi", ASKED.calls)], "a message of role user with calls: only an assistant asks for tools"),
        ([Message("user", "Hi", call_id="a")], "a message of role user with a call_id"),
        ([Message("assistant", "", (*ASKED.calls, *ASKED.calls))], "calls whose ids are ['a', 'a']"),
        ([Message("assistant", "", (ToolCall("", "area", "{}"),))], "calls whose ids are ['']"),
        ([Message("robot", "Hi")], "role='robot'"),
        ([Message("user", 3)], "content=3: text, or a tuple"),
        ([Message("user", (Image(),))], "an Image with neither data nor url"),
        ([Message("user", (Image(b"x", url="http://x/1.png"),))], "an Image with both data and url"),
        ([Message("user", (Image("x"),))], "Image(data=…) of str: the file's bytes"),
        ([Message("user", (Image(b"x", "png"),))], "Image(media_type='png')"),
        ([Message("user", (Image(b"x", detail="huge"),))], "Image(detail='huge')"),
        ([Message("user", (Audio(b""),))], "an Audio without data"),
        ([Message("user", (Audio(b"x", "ogg"),))], "Audio(kind='ogg'): 'wav' or 'mp3'"),
        ([Message("system", (Image(b"x"),))], "only users and tools show any"),
        ([Message("user", (Text(HALF),))], "prompt: a half of a character"),
        ([Message("user", "Hi", name=HALF)], "prompt: a half of a character"),
        ([Message("user", "Hi"), Message("assistant", "Ho", thoughts=HALF)], "prompt: a half of a character"),
        (
            [Message("assistant", "", (ToolCall("a", "area", HALF),)), Message("tool", "", call_id="a")],
            "prompt: a half of a character",
        ),
        ([Message("user", "Hi", name=3)], "messages[0]: 3 where there must be a text"),
    ],
)
def test_conversations_are_checked(messages, said):
    assert said in told(messages)


def test_nothing_is_reserved_or_asked_for_a_request_that_makes_no_sense():
    model = StandInModel()

    @hw.task
    async def program() -> dict[str, float]:
        with hw.budget(tokens=10) as spent, pytest.raises(hw.UsageError, match="two tools"):
            models.sample(model, HI, tools=[AREA, AREA])
        return spent.spent

    assert hw.run(program, store=None) == {"tokens": 0}
    assert model.asked == []


# --- what is accepted ------------------------------------------------------------------------------------------------


@dataclass
class Tool:
    spec: ToolSpec


def test_tools_are_anything_that_says_what_a_model_is_told():
    request = make_request(HI, tools=[Tool(AREA), ToolSpec("now")], tool_choice=["now"])
    assert (request.tools, request.tool_choice) == ((AREA, ToolSpec("now")), ("now",))


def test_a_conversation_in_openai_s_form_is_the_same_conversation():
    call = {"id": "a", "type": "function", "function": {"name": "area", "arguments": '{"country": "Italy"}'}}
    said: list[dict[str, Any]] = [
        {"role": "developer", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "How large is this country?"},
                {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,YWJj", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "https://example.org/1.png"}},
                {"type": "input_audio", "input_audio": {"data": "YWJj", "format": "mp3"}},
            ],
        },
        {"role": "assistant", "content": None, "refusal": None, "reasoning_content": "It is Italy.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": "302,073"},
    ]
    parts = (
        Text("How large is this country?"),
        Image(b"abc", "image/jpeg", detail="low"),
        Image(url="https://example.org/1.png"),
        Audio(b"abc", "mp3"),
    )
    assert make_request(said).prompt == (
        Message("system", "Be brief."),
        Message("user", parts),
        Message("assistant", "", (ToolCall("a", "area", '{"country": "Italy"}'),), thoughts="It is Italy."),
        Message("tool", "302,073", call_id="a"),
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"role": "robot", "content": "Hi"}, "a message of role 'robot'"),
        ({"content": "Hi"}, "a message of role None"),
        ({"role": "user"}, "without a content"),
        ({"role": "user", "content": 3}, "a content of int"),
        ({"role": "user", "content": "Hi", "weight": 1}, "a message with 'weight'"),
        ({"role": "user", "content": [{"type": "video_url"}]}, "a part of type 'video_url'"),
        ({"role": "user", "content": [{"type": "image_url"}]}, "a part that is no image_url"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png,x"}}]}, "not in base64"),
        ({"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "?", "format": "wav"}}]}, "no input_audio"),
        ({"role": "assistant", "tool_calls": [{"id": "a"}]}, "a message with the call"),
        ({"role": "tool", "content": "x", "tool_call_id": 3}, "a message with tool_call_id=3"),
    ],
)
def test_dictionaries_that_are_no_messages_are_refused(given, said):
    assert said in told([given])
