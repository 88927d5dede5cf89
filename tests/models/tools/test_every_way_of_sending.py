"""What is sent is what OpenAI's own types know, and calls come out as they went in, however they are cut into fragments."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from headway.models import Audio, CallPiece, Image, Message, Schema, Text, ToolCall, ToolSpec
from headway.models.openai import protocol, responses
from headway.models.openai.calls import CallReader
from headway.models.requests import make_request

SCHEMA = {"type": "object", "properties": {"k": {"type": "integer"}}}
TALK = [
    Message("system", "Be brief."),
    Message("user", (Text("What is this?"), Image(b"abc", detail="low"), Image(url="https://x.org/1.png"))),
    Message("assistant", "Let me look.", (ToolCall("a", "f", "{}"), ToolCall("b", "g", "{")), thoughts="hm"),
    Message("tool", "x", call_id="a", name="f"),
    Message("tool", (Text("y"), Image(b"abc")), call_id="b", name="g"),
]
TOOLS = [ToolSpec("f", "finds", SCHEMA, strict=True), ToolSpec("g")]
OPTIONS: dict[str, Any] = {"tools": TOOLS, "schema": Schema("s", SCHEMA), "top_logprobs": 3, "temperature": 0.5, "top_p": 0.5}


def as_known(type_: Any, body: dict[str, Any]) -> Any:
    """What OpenAI's types know of a body: fields that they don't are left out, and values of other types are refused."""
    adapter: TypeAdapter[Any] = TypeAdapter(type_)
    return read_all(adapter.validate_python(body))


def read_all(value: Any) -> Any:
    """A value with its iterators, which check what they give, read to their ends."""
    if isinstance(value, dict):
        return {name: read_all(part) for name, part in value.items()}
    return [read_all(part) for part in value] if isinstance(value, list) or hasattr(value, "__next__") else value


@pytest.mark.parametrize("choice", ["auto", "none", "required", "f", ["f"]])
def test_openai_s_own_types_know_every_field_of_a_chat(choice):
    from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming

    talk = [*TALK, Message("user", (Text("And this?"), Audio(b"x")), name="Ada")]
    body = protocol.request_body("m", make_request(talk, tool_choice=choice, n=2, stop="x", seed=1, **OPTIONS), of_openai=True)
    assert as_known(CompletionCreateParamsStreaming, body) == body


@pytest.mark.parametrize("choice", ["auto", "none", "required", "f", ["f"]])
def test_openai_s_own_types_know_every_field_of_the_responses_api(choice):
    from openai.types.responses.response_create_params import ResponseCreateParamsStreaming

    body = responses.request_body("m", make_request(TALK, tool_choice=choice, **OPTIONS), of_openai=True, thoughts=True)
    known = as_known(ResponseCreateParamsStreaming, body)
    assert known == body


def test_openai_s_own_types_know_every_field_of_a_text():
    from openai.types.completion_create_params import CompletionCreateParamsStreaming

    body = protocol.request_body("m", make_request("Once", n=2, stop="x", seed=1, top_logprobs=3), of_openai=True)
    assert as_known(CompletionCreateParamsStreaming, body) == body


# --- fragments -------------------------------------------------------------------------------------------------------

ARGUMENTS = st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=5), min_size=1, max_size=3).map(json.dumps)
CALLS = st.lists(st.tuples(st.sampled_from(["area", "now", "a"]), ARGUMENTS), min_size=1, max_size=4)


@st.composite
def cut(draw: st.DrawFn, text: str) -> list[str]:
    """A text in parts, the first of which may be empty."""
    places = sorted(draw(st.sets(st.integers(0, len(text)), max_size=4)))
    return [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]


WAYS = ["openai", "side by side", "index 0", "no index", "new ids", "name again", "one id"]


@settings(max_examples=100)
@given(st.data(), CALLS, st.sampled_from(WAYS))
def test_calls_come_out_as_they_went_in_however_they_are_cut(data, calls, way):
    streams = []
    for place, (name, arguments) in enumerate(calls):
        first, *rest = data.draw(cut(arguments))
        id = "same" if way == "one id" else f"id{place}"
        index = {"index 0": {"index": 0}, "no index": {}}.get(way, {"index": place})
        stream = [{**index, "id": id, "function": {"name": name, "arguments": first}}]
        for number, part in enumerate(rest):
            more: dict[str, Any] = {**index, "function": {"arguments": part}}
            if way == "new ids":
                more["id"] = f"new{place}.{number}"
            elif way == "name again":
                more |= {"id": id, "function": {"name": name, "arguments": part}}
            stream.append(more)
        streams.append(stream)
    sent = []
    while any(streams):
        open_ones = [stream for stream in streams if stream]
        sent.append((data.draw(st.sampled_from(open_ones)) if way == "side by side" else open_ones[0]).pop(0))
    if way == "side by side":  # in the order in which they begin, whatever their index
        order = list(dict.fromkeys(one["index"] for one in sent))
        calls = [calls[at] for at in order]
    assert collect(sent) == [list(call) for call in calls]


def collect(fragments: list[dict[str, Any]]) -> list[list[str]]:
    """What a reader makes of fragments, one event each."""
    reader, made, ids = CallReader(0), dict[int, list[str]](), set[str]()
    for fragment in fragments:
        for piece in reader.read({"tool_calls": [fragment]}, whole=False):
            assert isinstance(piece, CallPiece)
            call = made.setdefault(piece.place, ["", ""])
            call[0] += piece.name
            call[1] += piece.arguments
            if piece.id:
                assert piece.id not in ids, "each call has an id of its own"
                ids.add(piece.id)
    assert list(made) == list(range(len(made)))
    return [made[place] for place in made]
