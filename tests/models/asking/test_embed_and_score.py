"""Calls that only read: vectors and scores of texts, journaled, paid and sent in parts, from real local servers."""

from __future__ import annotations

import asyncio
import math
import operator
from typing import Any

import pytest
from reading import vector_of

import headway as hw
from headway import models
from headway.methods.search.parts import vectors_of
from headway.models.numbers.reading import parts_of
from headway.models.prices import OPENAI, list_price, reading_price_of

PRICE = models.Price(read=1_000_000, written=1_000_000)
TEXTS = ["one", "three", "seventeen"]


@pytest.fixture
def endpoint(misbehaving):
    def make(kind: str, name: str = "", **options: Any) -> models.Endpoint:
        return models.Endpoint(f"reads-{kind}-{name}", **{"base_url": misbehaving.url, "price": PRICE, "timeout": 20} | options)

    return make


def run(program: Any) -> Any:
    """The result, or the error, and what was booked."""

    @hw.task(codec="pickle")
    async def outer() -> Any:
        with hw.budget(tokens=100_000, money=1e9, calls=100) as spent:
            try:
                found = await program()
            except (hw.ModelError, hw.UsageError) as error:
                found = error
        return found, spent.spent

    return hw.run(outer, store=None)


# --- embeddings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plain", "sorted", "packed"])
def test_there_is_a_vector_for_each_text_in_its_order(endpoint, misbehaving, kind):
    model = endpoint(kind)
    found, spent = run(lambda: models.embed(model, TEXTS))
    assert [list(vector) for vector in found.vectors] == [vector_of(text) for text in TEXTS]
    assert (found.tokens, found.model) == (3, model.name)
    assert spent == {"tokens": 3, "money": 3, "calls": 1}
    (asked,) = misbehaving.log(model.name, "asked")
    assert (asked["path"], asked["body"]["input"]) == ("/v1/embeddings", TEXTS)


def test_the_length_of_vectors_and_further_fields_are_said(endpoint, misbehaving):
    model = endpoint("plain", "short", extra={"input_type": "query"})
    found, _ = run(lambda: models.embed(model, TEXTS, dimensions=1))
    assert found.vectors == ((3.0,), (5.0,), (9.0,))
    assert misbehaving.log(model.name, "asked")[0]["body"]["input_type"] == "query"


@pytest.mark.parametrize("kind", ["few", "twice", "odd"])
def test_an_answer_without_a_vector_for_each_is_an_error_that_is_paid(endpoint, kind):
    error, spent = run(lambda: models.embed(endpoint(kind), TEXTS))
    assert type(error) is hw.ModelError
    assert "does not speak the OpenAI protocol: it answered with no vector for each text" in str(error)
    assert spent["tokens"] == spent["assumed_tokens"] > 0, "nobody knows what it counted"


def test_what_nobody_counted_is_booked_at_its_bound_and_marked(endpoint):
    bound = sum(len(text) + 8 for text in TEXTS)
    _, spent = run(lambda: models.embed(endpoint("uncounted"), TEXTS))
    assert spent == {"tokens": bound, "money": bound, "calls": 1, "assumed_tokens": bound}
    _, spent = run(lambda: models.embed(endpoint("uncounted", "own", count=len), TEXTS))
    assert spent == {"tokens": 17, "money": 17, "calls": 1}


def test_what_the_server_refuses_costs_nothing(misbehaving):
    error, spent = run(lambda: models.embed(models.Endpoint("refuses-embed", base_url=misbehaving.url, price=PRICE), TEXTS))
    assert "400: scripted invalid_request_error" in str(error)
    assert spent["tokens"] == 0


def test_a_busy_server_is_asked_again(misbehaving):
    model = models.Endpoint("busy-embed", base_url=misbehaving.url, price=PRICE)
    error, spent = run(lambda: models.embed(model, TEXTS))
    assert (type(error), spent["calls"]) == (hw.ModelError, 2), "at the second time it answers with a stream of samples"


def test_a_budget_refuses_before_anything_is_sent(endpoint, misbehaving):
    model = endpoint("plain", "refused")

    @hw.task
    async def program() -> None:
        with hw.budget(tokens=40):
            await models.embed(model, TEXTS)

    with pytest.raises(hw.BudgetExceeded):
        hw.run(program, store=None)
    assert misbehaving.log(model.name, "asked") == []


def test_a_long_list_goes_out_in_parts_and_a_crash_loses_none_that_came_back(endpoint, misbehaving, tmp_path):
    model = endpoint("plain", "long")
    texts = [f"text {number}" for number in range(300)]
    lives = iter("12")

    @hw.task(name="embedding")
    async def program() -> list[tuple[float, ...]]:
        found = await models.embed(model, texts)
        if next(lives) == "1":
            raise RuntimeError("a crash")
        return list(found.vectors)

    with pytest.raises(RuntimeError):
        hw.run(program, store=tmp_path / "store", run_id="run")
    found = hw.run(program, store=tmp_path / "store", run_id="run")
    assert [list(vector) for vector in found] == [vector_of(text) for text in texts]
    assert sorted(len(one["body"]["input"]) for one in misbehaving.log(model.name, "asked")) == [44, 128, 128]


def test_a_limit_is_kept_for_each_part(endpoint):
    model = models.limit_model(endpoint("plain", "limited"), 1)
    found, spent = run(lambda: models.embed(model, ["x"] * 300))
    assert len(found.vectors) == 300
    assert spent["tokens"] == 300


@pytest.mark.parametrize(
    ("texts", "options", "said"),
    [
        ("one", {}, "a list of texts"),
        ([], {}, "at least one"),
        ([""], {}, "texts that are not empty"),
        ([3], {}, "texts that are not empty"),
        (["\ud83d"], {}, "a half of a character"),
        (["x"], {"dimensions": 0}, "dimensions=0"),
    ],
)
def test_what_can_not_be_embedded_is_refused_at_the_call(endpoint, texts, options, said):
    error, spent = run(lambda: models.embed(endpoint("plain"), texts, **options))
    assert said in str(error)
    assert spent["calls"] == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (3, "it must give models.Embeddings"),
        (models.Embeddings(((1.0,),), 1, "m"), "gave 1 vectors for 3 texts"),
        (models.Embeddings(((1.0,), (1.0, 2.0), (1.0,)), 1, "m"), "for text 1: 1 numbers, please"),
        (models.Embeddings(((math.nan,),) * 3, 1, "m"), "for text 0"),
    ],
)
def test_a_model_of_one_s_own_that_gives_no_vectors_is_told_so(given, said):
    class Own:
        name, price = "own", models.FREE

        async def embed(self, texts: list[str], dimensions: int | None = None) -> Any:
            return given

    error, _ = run(lambda: models.embed(Own(), TEXTS))
    assert said in str(error)
    error, _ = run(lambda: models.embed(3, TEXTS))
    assert "3 can't embed texts" in str(error)


def test_outside_of_a_run_they_are_just_vectors(endpoint):
    async def outside() -> models.Embeddings:
        return await models.embed(endpoint("plain"), ["x"] * 200)

    assert len(asyncio.run(outside()).vectors) == 200


def test_a_search_takes_an_embedder(endpoint):
    @hw.task
    async def program() -> list[list[float]]:
        return await vectors_of(models.embedder(endpoint("plain"), lambda number: "x" * number), "?", [1, 2])

    assert hw.run(program, store=None) == [[1.0, 0.0], [2.0, 0.0]]


def test_prices_of_what_only_reads_are_known():
    assert list_price("text-embedding-3-small", OPENAI) is None, "as a model that writes it has none"
    assert list_price("text-embedding-3-small", OPENAI, reads=True) == models.Price(0.02, 0.0)
    assert reading_price_of(
        models.Endpoint("text-embedding-3-small", api_key="sk-none", base_url="https://api.openai.com/v1")
    ) == models.Price(0.02, 0.0)


def test_without_a_price_a_bound_of_money_is_refused(endpoint):
    error, _ = run(lambda: models.embed(endpoint("plain", price=None), TEXTS))
    assert "has no price, so a bound of money can't hold for it" in str(error)


@pytest.mark.parametrize("nbytes", [150_000, 300_000])
def test_large_texts_go_out_alone(nbytes):
    assert [len(part) for part in parts_of(("x" * nbytes, "y", "z" * nbytes))] in ([2, 1], [1, 1, 1])


def test_llama_cpp_embeds_too(llama):
    model = models.Endpoint("gemma", base_url=llama("--embedding").url, price=models.FREE)
    found, spent = run(lambda: models.embed(model, ["a cat", "a kitten", "an invoice"]))
    cat, kitten, invoice = found.vectors
    assert len(cat) == 640
    assert sum(map(operator.mul, cat, kitten)) > sum(map(operator.mul, cat, invoice))
    assert spent["tokens"] == found.tokens > 0


# --- scores ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scoring", "query", "paths"),
    [
        (None, "?", ["/v1/score"]),
        ("score", "?", ["/v1/score"]),
        ("rerank", "?", ["/v1/rerank"]),
        (None, "", ["/pooling"]),
        ("pooling", "", ["/pooling"]),
        ("pooling", "?", ["/pooling"] * 3),
    ],
)
@pytest.mark.parametrize("kind", ["plain", "sorted"])
def test_there_is_a_score_for_each_text_in_its_order(endpoint, misbehaving, scoring, query, paths, kind):
    model = endpoint(kind, f"{scoring}-{query}", scoring=scoring)
    found, spent = run(lambda: models.score(model, TEXTS, query))
    assert found.values == (3.0, 5.0, 9.0)
    asked = misbehaving.log(model.name, "asked")
    assert [one["path"] for one in asked] == paths
    assert (spent["tokens"], found.tokens) == (3, 3)
    if len(paths) == 3:
        roles = [[message["role"] for message in one["body"]["messages"]] for one in asked]
        assert roles == [["user", "assistant"]] * 3


@pytest.mark.parametrize("kind", ["few", "twice", "odd"])
@pytest.mark.parametrize("scoring", ["score", "pooling"])
def test_an_answer_without_a_score_for_each_is_an_error(endpoint, kind, scoring):
    error, _ = run(lambda: models.score(endpoint(kind, scoring=scoring), TEXTS, "?" if scoring == "score" else ""))
    assert type(error) is hw.ModelError
    assert "it answered with no score for each text" in str(error)


def test_a_comparison_with_nothing_is_refused_and_costs_nothing(endpoint, misbehaving):
    model = endpoint("plain", "nothing", scoring="rerank")
    error, spent = run(lambda: models.score(model, TEXTS))
    assert "scoring='rerank' compares texts with a query: give one" in str(error)
    assert spent["tokens"] == 0
    assert misbehaving.log(model.name, "asked") == []
