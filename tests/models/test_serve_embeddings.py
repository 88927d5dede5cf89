"""`headway serve` of a model that embeds: by plain HTTP, by the real client, and by our own."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from servers import HERE, Server, start, stop

import headway as hw
from headway import models


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    running = start("-m", "headway", "serve", f"{HERE / 'able.py'}:embedder", "--port", "0", lines=2)
    yield running
    stop(running)


def post(server: Server, body: Any, path: str = "embeddings") -> tuple[int, Any]:
    asking = urllib.request.Request(f"{server.url}/{path}", json.dumps(body).encode(), {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(asking, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())["error"]["message"]


def test_vectors_are_served_as_the_protocol_says_them(server):
    assert post(server, {"input": ["a bee", "xyz"]}) == (
        200,
        {
            "object": "list",
            "data": [
                {"object": "embedding", "index": 0, "embedding": [5.0, 3.0]},
                {"object": "embedding", "index": 1, "embedding": [3.0, 0.0]},
            ],
            "model": "embedder",
            "usage": {"prompt_tokens": 3, "total_tokens": 3},
        },
    )
    assert post(server, {"input": "a", "dimensions": 1, "user": "ann"})[1]["data"][0]["embedding"] == [1.0]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"input": [[1, 2]]}, "input: a text, or a list of texts"),
        ({"input": []}, "input: a text"),
        ({"input": ["a", ""]}, "none of them empty"),
        ({"input": ["a"] * 2049}, "2,049 texts; at most 2,048"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format='int8': 'float' or 'base64'"),
        ({"input": "a", "dimensions": 0}, "dimensions=0"),
        ({"input": "a", "task": "query"}, "task is not known here"),
        ({"input": "\ud800"}, "half of a character"),
    ],
)
def test_a_bad_request_is_refused_in_words(server, body, said):
    status, told = post(server, body)
    assert (status, said in told) == (400, True)


def test_what_only_embeds_is_asked_for_nothing_else(server):
    assert post(server, {"prompt": "a"}, "completions")[0] == 404
    assert post(server, {"input": "a", "model": "other"})[0] == 404


def test_the_real_client_gets_the_vectors_in_base64_as_it_likes_them(server):
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=server.url, api_key="none", max_retries=0) as client:
        found = client.embeddings.create(model="embedder", input=["a bee", "xyz"])
    assert [one.embedding for one in found.data] == [[5.0, 3.0], [3.0, 0.0]]


def test_our_own_client_embeds_many_in_parts(server):
    pytest.importorskip("openai")
    model = models.Endpoint("embedder", base_url=server.url, price=models.FREE)

    @hw.task
    async def program() -> models.Embeddings:
        return await models.embed(model, ["a" * (at % 7 + 1) for at in range(300)])

    found = hw.run(program, store=None)
    assert [vector[0] for vector in found.vectors] == [float(at % 7 + 1) for at in range(300)]
    assert found.tokens == 300
