"""`headway serve`, a real process over real sockets, asked by plain HTTP as any client would."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from servers import HERE, Server, start, stop

from headway.errors import ModelError, UsageError
from headway.models.base import ModelFault, Reply, Sample
from headway.models.serving.answers import Envelope, error_of


@pytest.fixture
def batch(served) -> Server:
    return served("batch")


@pytest.fixture
def streaming(served) -> Server:
    return served("streaming")


def connection(server: Server) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=20)


def post(server: Server, path: str, body: Any) -> tuple[int, Any]:
    asking = connection(server)
    asking.request("POST", f"/v1/{path}", body if isinstance(body, str) else json.dumps(body), {"content-type": "application/json"})
    with contextlib.closing(asking):
        answer = asking.getresponse()
        told = answer.read()
    return answer.status, json.loads(told) if answer.getheader("content-type") == "application/json" else told.decode()


def events(text: str) -> Iterator[Any]:
    for line in text.split("\n\n"):
        if line:
            assert line.startswith("data: ")
            yield line[6:] if line == "data: [DONE]" else json.loads(line[6:])


def test_it_says_where_it_is_and_how_to_ask(batch):
    where, how = batch.first_lines
    assert where == f"stand-in-batch answers at {batch.url}\n"
    assert how.startswith(f"  curl {batch.url}/completions -H 'content-type: application/json' -d '{{")


def test_it_lists_its_model(batch):
    asking = connection(batch)
    asking.request("GET", "/v1/models")
    told = json.loads(asking.getresponse().read())
    assert told["object"] == "list"
    assert [model["id"] for model in told["data"]] == ["stand-in-batch"]
    asking.close()


def test_a_completion_has_all_that_the_protocol_says(batch):
    status, told = post(batch, "completions", {"model": "stand-in-batch", "prompt": "a b", "n": 2, "logprobs": 0, "seed": 1})
    assert status == 200
    assert told["object"] == "text_completion"
    assert told["id"].startswith("cmpl-")
    assert [choice["text"].split()[:2] for choice in told["choices"]] == [["A", "B"]] * 2
    assert [(choice["index"], choice["finish_reason"]) for choice in told["choices"]] == [(0, "stop"), (1, "stop")]
    assert told["choices"][0]["logprobs"]["token_logprobs"] == [-0.5, -0.5]
    assert told["usage"] == {"prompt_tokens": 2, "completion_tokens": 8, "total_tokens": 10}


def test_a_chat_completion_has_all_that_the_protocol_says(batch):
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "a b"}]}]
    status, told = post(batch, "chat/completions", {"messages": messages, "logprobs": True, "max_completion_tokens": 5})
    assert status == 200
    assert told["object"] == "chat.completion"
    (choice,) = told["choices"]
    assert choice["message"] == {"role": "assistant", "content": choice["message"]["content"]}
    assert choice["message"]["content"].startswith("A B")
    assert [part["logprob"] for part in choice["logprobs"]["content"]] == [-0.5, -0.5]


def test_a_stream_is_a_series_of_events(streaming):
    body = {"prompt": "a b", "stream": True, "stream_options": {"include_usage": True}}
    status, told = post(streaming, "completions", body)
    *chunks, usage, done = events(told)
    assert (status, done) == (200, "[DONE]")
    assert [(chunk["choices"][0]["text"], chunk["choices"][0]["finish_reason"]) for chunk in chunks] == [
        (" b", None),
        (" a", None),
        ("", "stop"),
    ]
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 4)


def test_a_streamed_answer_has_the_usage_that_a_whole_one_has(served):
    body = {"prompt": "a b c", "n": 2}
    whole = post(served("counting"), "completions", body)[1]
    *_, streamed, _ = events(
        post(served("counting"), "completions", body | {"stream": True, "stream_options": {"include_usage": True}})[1]
    )
    assert streamed["usage"] == whole["usage"] == {"prompt_tokens": 3, "completion_tokens": 6, "total_tokens": 9}


def test_a_streamed_chat_begins_with_who_speaks(streaming):
    _, told = post(streaming, "chat/completions", {"messages": [{"role": "user", "content": "a"}], "stream": True, "n": 2})
    *chunks, done = events(told)
    assert done == "[DONE]"
    opening = [chunk["choices"][0]["delta"] for chunk in chunks[:2]]
    assert opening == [{"role": "assistant", "content": ""}] * 2
    assert all(chunk["object"] == "chat.completion.chunk" for chunk in chunks)
    assert {chunk["choices"][0]["index"] for chunk in chunks} == {0, 1}


def test_requests_at_the_same_time_are_answered_together(batch):
    def sizes() -> list[int]:
        with ThreadPoolExecutor(8) as threads:
            told = list(threads.map(lambda at: post(batch, "completions", {"prompt": f"p{at}"})[1], range(16)))
        return [int(one["choices"][0]["text"].split()[1]) for one in told]

    assert any(max(sizes()) > 1 for _ in range(20))


@pytest.mark.parametrize("streamed", [False, True])
def test_a_client_that_goes_away_stops_the_work(batch, streamed, tmp_path):
    told = tmp_path / "told"
    asking = connection(batch)
    asking.request("POST", "/v1/completions", json.dumps({"prompt": f"wait {told}", "stream": streamed}))
    until(lambda: told.exists() and told.read_text() == "asked")
    asking.close()
    until(lambda: told.read_text() == "unwanted")


def test_a_client_that_goes_away_in_the_middle_of_a_stream_stops_the_work(streaming):
    asking = connection(streaming)
    asking.request("POST", "/v1/completions", json.dumps({"prompt": "word " * 10_000, "max_tokens": 10_000, "stream": True}))
    assert asking.getresponse().readline().startswith(b"data: ")
    assert text(streaming, "how many are under way?") == " 2"
    asking.close()
    until(lambda: text(streaming, "how many are under way?") == " 1")


def test_a_client_that_goes_away_before_it_has_asked_is_no_error_of_the_server():
    server = start("-m", "headway", "serve", f"{HERE / 'standins.py'}:batch", "--port", "0", lines=2, stderr=subprocess.PIPE)
    host = urlsplit(server.url)
    with socket.create_connection((host.hostname, host.port)) as asking:
        asking.sendall(b'POST /v1/completions HTTP/1.1\r\nhost: here\r\ncontent-length: 100\r\n\r\n{"prompt":')
    assert text(server, "a").startswith("A")
    server.process.terminate()
    assert server.process.stderr is not None
    with server.process.stderr as said:
        assert said.read() == ""
    assert stop(server) == 0


def text(server: Server, prompt: str) -> str:
    return str(post(server, "completions", {"prompt": prompt})[1]["choices"][0]["text"])


def until(true: Callable[[], bool]) -> None:
    """Look from outside, at a server in a process of its own."""
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("completions", "{", 400, "the body is not JSON"),
        ("completions", [], 400, "no JSON object"),
        ("completions", {"model": "gpt-5", "prompt": "a"}, 404, "there is no model 'gpt-5' here"),
        ("completions", {"prompt": [1, 2]}, 400, "prompt: one text"),
        ("completions", {"prompt": "a", "n": 0}, 400, "n=0: a whole number"),
        ("completions", {"prompt": "a", "echo": True}, 400, "echo is not supported"),
        ("completions", {"prompt": "a", "logprobs": 5}, 400, "logprobs above 1 is not supported by stand-in-batch"),
        ("completions", {"prompt": "a", "top_k": 40}, 400, "top_k is not supported"),
        ("completions", {"prompt": "a", "min_p": 0.1}, 400, "min_p is not supported"),
        ("completions", {"prompt": "a", "repetition_penalty": 1.1}, 400, "repetition_penalty is not supported"),
        ("completions", {"prompt": "a", "presence_penalty": -1}, 400, "presence_penalty is not supported"),
        ("completions", {"prompt": "a", "ignore_eos": True}, 400, "ignore_eos is not supported"),
        ("completions", {"prompt": "a", "suffix": "b"}, 400, "suffix is not supported"),
        ("completions", {"prompt": "a", "best_of": 3}, 400, "best_of is not supported"),
        ("completions", {"prompt": "a", "logit_bias": {"50256": -100}}, 400, "logit_bias is not supported"),
        ("completions", {"prompt": "a", "grammar": "root ::= [0-9]"}, 400, "grammar is not known here"),
        ("completions", {"prompt": "a", "max_token": 5}, 400, "max_token is not known here; did you mean 'max_tokens'?"),
        ("completions", {"prompt": "a", "messages": []}, 400, "messages is not known here"),
        ("completions", {"prompt": "a", "n": 129}, 400, "n=129: at most 128 samples a request"),
        ("completions", {"prompt": "a", "n": 10**400}, 400, "at most 128 samples a request"),
        ("completions", "[" * 100_000, 400, "the body is not JSON"),
        ("chat/completions", {"messages": []}, 400, "at least one message"),
        ("chat/completions", {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400, "no image_url"),
        ("chat/completions", {"messages": [{"role": "user", "content": "a"}], "tools": [{}]}, 400, "tools[0]: {'type': 'function'"),
        *(
            ("chat/completions", {"messages": [{"role": "user", "content": "a"}], name: value}, 400, f"{name} is not {why}")
            for name, value, why in (
                ("functions", [{}], "supported"),
                ("tools", [{"type": "function", "function": {"name": "f"}}], "supported by stand-in-batch"),
                ("function_call", {"name": "f"}, "supported"),
                ("response_format", {"type": "json_object"}, "supported"),
                ("modalities", ["text", "audio"], "supported"),
                ("reasoning_effort", "high", "known here"),
                ("web_search_options", {}, "known here"),
                ("chat_template_kwargs", {"enable_thinking": False}, "known here"),
                ("prompt", "a", "known here"),
            )
        ),
        (
            "chat/completions",
            {"messages": [{"role": "user", "content": "a"}], "max_tokens": 5, "max_completion_tokens": 9},
            400,
            "they say the same",
        ),
        (
            "chat/completions",
            {"messages": [{"role": "tool", "content": "a", "tool_call_id": "1"}]},
            400,
            "which no call before it has",
        ),
        ("chat/completions", {"messages": [{"role": "user", "content": "a", "name": "Ann"}]}, 400, "the name of a message is not"),
        (
            "chat/completions",
            {"messages": [{"role": "assistant", "content": "", "tool_calls": [{}]}]},
            400,
            "a message with the call {}: it has an id",
        ),
        ("embeddings", {"input": "a"}, 404, "there is nothing here"),
    ],
)
def test_errors_have_the_protocol_s_form(batch, path, body, status, said):
    told = post(batch, path, body)
    assert told[0] == status
    assert said in told[1]["error"]["message"]
    assert told[1]["error"].keys() == {"message", "type", "param", "code"}


@pytest.fixture
def faulty(tmp_path) -> Iterator[tuple[Server, Path]]:
    """A server of a model with a fault, and what it says on stderr."""
    with (tmp_path / "stderr").open("w") as stderr:
        server = start("-m", "headway", "serve", f"{HERE / 'standins.py'}:buggy", "--port", "0", lines=2, stderr=stderr.fileno())
    yield server, tmp_path / "stderr"
    stop(server)


def test_a_fault_of_the_model_is_the_server_s_and_said_on_its_stderr(faulty):
    server, stderr = faulty
    for number, body in enumerate(({"prompt": "at once"}, {"prompt": "at once", "stream": True}), start=1):
        status, told = post(server, "completions", body)
        assert (status, told["error"]["type"], told["error"]["message"]) == (500, "server_error", "ValueError: a bug")
        assert stderr.read_text().count("ValueError: a bug") == number
    first, error = events(post(server, "completions", {"prompt": "later", "stream": True})[1])
    assert (first["choices"][0]["text"], error["error"]["type"]) == ("so far", "server_error")
    assert stderr.read_text().count("ValueError: a bug") == 3


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UsageError("the prompt is too long"), 400),
        (ModelFault("m: sample_batch gave 'x' for a request"), 500),
        (ValueError("a bug"), 500),
        (ModelError("refused"), 502),
    ],
)
def test_only_what_is_wrong_with_a_request_is_blamed_on_it(error, status):
    assert error_of(error)[0] == status


def test_why_a_text_ended_is_served_as_no_refusal():
    envelope = Envelope("chat", "id", 1, "m")
    choices = envelope.whole(
        Reply((Sample("42", 1, "stop", said="it ended for 'new'"), Sample("", 1, "refusal", said="no")), 1, "m")
    )
    assert [one["message"].get("refusal") for one in choices["choices"]] == [None, "no"]


def test_why_a_streamed_text_ended_is_served_as_no_refusal(served):
    body = {"messages": [{"role": "user", "content": "a"}], "stream": True}
    *chunks, done = events(post(served("ending_anew"), "chat/completions", body)[1])
    assert done == "[DONE]"
    assert [part["choices"][0]["delta"] for part in chunks] == [{"role": "assistant", "content": ""}, {"content": "42"}, {}]


@pytest.mark.parametrize(
    "more",
    [
        {"user": "ann", "metadata": {"a": "b"}, "service_tier": "auto", "store": False, "prompt_cache_key": "k"},
        {"tools": [], "tool_choice": "auto", "function_call": "none", "parallel_tool_calls": True, "functions": []},
        {"response_format": {"type": "text"}, "modalities": ["text"], "logit_bias": {}, "top_logprobs": 0},
        {"presence_penalty": 0, "frequency_penalty": 0.0, "top_k": -1, "min_p": 0, "repetition_penalty": 1.0, "ignore_eos": False},
        {"max_tokens": 5, "max_completion_tokens": 5, "logprobs": False, "stop": None, "seed": None, "tools": None},
    ],
)
def test_what_changes_no_answer_is_taken_as_it_is_meant(batch, more):
    status, told = post(batch, "chat/completions", {"messages": [{"role": "user", "content": "a", "name": None}], **more})
    assert (status, told["choices"][0]["finish_reason"]) == (200, "stop")


def test_a_sample_that_is_no_answer_is_served_as_a_refusal_and_never_as_an_empty_text(served):
    body = {"messages": [{"role": "user", "content": "a b"}], "n": 3}
    (refused, tool, fine) = post(served("half_willing"), "chat/completions", body)[1]["choices"]
    assert (refused["message"]["refusal"], refused["finish_reason"]) == ("no", "stop")
    assert (tool["message"]["refusal"], tool["finish_reason"]) == ("it asked for a tool: f{}", "stop")
    assert (fine["message"], fine["finish_reason"]) == ({"role": "assistant", "content": "yes"}, "stop")
    chunks = list(events(post(served("half_willing"), "chat/completions", body | {"stream": True})[1]))[:-1]
    said = {chunk["choices"][0]["index"]: chunk["choices"][0]["delta"].get("refusal") for chunk in chunks}
    assert said == {0: "no", 1: "it asked for a tool: f{}", 2: None}
    status, told = post(served("half_willing"), "chat/completions", body | {"n": 1})
    assert (status, told["error"]["message"]) == (502, "half-willing refused to answer: no")


def test_a_streamed_answer_of_a_model_that_counts_nothing_has_the_usage_of_a_whole_one(served):
    body = {"prompt": "a b c", "n": 3}
    whole = post(served("half_willing"), "completions", body)[1]
    *_, streamed, _ = events(
        post(served("half_willing"), "completions", body | {"stream": True, "stream_options": {"include_usage": True}})[1]
    )
    assert streamed["usage"] == whole["usage"]
    assert streamed["usage"]["prompt_tokens"] == 5 + 8, "its bytes"


def test_the_countdown_model_is_served_as_any(tmp_path):
    """Its weights are random here; what it can do is tested elsewhere."""
    from headway.reference.countdown.tokens import LANGUAGE
    from headway.reference.network import Network, Shape
    from headway.reference.weights import write

    write(tmp_path / "random.safetensors", Network(Shape(layers=1, features=32, heads=2, hidden=32), LANGUAGE), {})
    server = start("-m", "headway", "serve", str(tmp_path / "random.safetensors"), "--port", "0", lines=2)
    try:
        body = {"prompt": "25 8 7 3 -> 82\n", "n": 3, "max_tokens": 5, "seed": 1, "logprobs": 0}
        status, told = post(server, "completions", body)
        assert (status, [len(choice["logprobs"]["token_logprobs"]) for choice in told["choices"]]) == (200, [5, 5, 5])
        assert told["usage"]["completion_tokens"] == 15
        assert post(server, "completions", body)[1]["choices"] == told["choices"]
        status, told = post(server, "completions", {"prompt": "why is the sky blue?"})
        assert (status, told["error"]["type"]) == (400, "invalid_request_error")
    finally:
        stop(server)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_it_is_told_to_also_with_a_request_under_way(tmp_path, how):
    asked = tmp_path / "asked"
    server = start("-m", "headway", "serve", "standins:batch", "--port", "0", lines=2, stderr=subprocess.STDOUT)
    threading.Thread(target=lambda: _try(server, f"wait {asked}"), daemon=True).start()
    until(asked.exists)
    server.process.send_signal(how)
    assert server.process.wait(timeout=20) == 0
    assert server.process.stdout is not None
    assert "interrupted" not in server.process.stdout.read()
    stop(server)


def _try(server: Server, prompt: str) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        post(server, "completions", {"prompt": prompt})


def test_a_port_that_is_taken_is_an_error_in_words(batch):
    port = batch.url.split(":")[2].removesuffix("/v1")
    done = subprocess.run(
        [sys.executable, "-m", "headway", "serve", "openai:m@http://x", "--port", port], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert f"nothing can listen on 127.0.0.1 port {port}: Address already in use" in done.stderr
