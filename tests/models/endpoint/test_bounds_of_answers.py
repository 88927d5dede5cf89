"""Servers that ignore the bound of an answer are hung up on, and what came is counted."""

from __future__ import annotations

import pytest
from documents import PRICE, RESERVED, USAGE, bound, chunk, counted

import headway as hw
from headway import models
from headway.models.openai.connection import Connection
from headway.models.openai.protocol import request_body
from headway.models.requests import make_request


@pytest.mark.parametrize(
    ("base", "env", "name"),
    [
        (None, None, "max_completion_tokens"),
        ("https://api.openai.com/v1", None, "max_completion_tokens"),
        ("https://eu.api.openai.com/v1", None, "max_completion_tokens"),
        ("https://mine.openai.azure.com/openai/v1", None, "max_completion_tokens"),
        (None, "http://localhost:8080/v1", "max_tokens"),
        ("http://localhost:8080/v1", None, "max_tokens"),
        ("https://api.openai.com.evil.example/v1", None, "max_tokens"),
    ],
)
def test_the_bound_is_sent_under_the_name_that_the_server_obeys(monkeypatch, base, env, name):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    if env:
        monkeypatch.setenv("OPENAI_BASE_URL", env)
    body = request_body(
        "m", make_request([models.Message("user", "Hi")], max_tokens=5), of_openai=Connection("m", base, "sk-none", 1, {}).of_openai
    )
    assert {key: value for key, value in body.items() if "tokens" in key} == {name: 5}


@pytest.mark.parametrize("chat", [True, False])
def test_a_server_that_ignores_the_bound_is_hung_up_on(misbehaving, chat):
    model = models.Endpoint(f"uncapped-{chat}", base_url=misbehaving.url, price=PRICE)

    @hw.task
    async def program() -> tuple[str, str, float]:
        with hw.budget(tokens=200) as spent:
            reply = await models.sample(model, [models.Message("user", "Hi")] if chat else "Hi", max_tokens=RESERVED)
        return reply.text, reply.samples[0].finish, spent.spent["tokens"]

    with pytest.warns(RuntimeWarning, match="the server wrote more than max_tokens=20"):
        text, finish, spent = hw.run(program, store=None)
    assert finish == "length"
    assert text.count("x") == RESERVED + 9
    assert spent < 100
    assert misbehaving.until(f"uncapped-{chat}", "hung up")


@pytest.mark.parametrize("reason", ["", "null", "stop"])
def test_a_server_that_says_in_every_event_that_it_ended_is_hung_up_on_too(asked, reason):
    with pytest.warns(RuntimeWarning, match="the server wrote more than max_tokens=20"):
        reply, spent = asked("opens", said := [chunk("x ", reason) for _ in range(RESERVED * 3)])
    assert (reply.text, reply.samples[0].finish) == ("x " * (RESERVED + 9), "length")
    assert spent["tokens"] == bound(said) + 9


def test_a_text_that_comes_after_its_end_is_a_part_of_it(asked):
    reply, _ = asked("plays", [chunk("Hello", "stop"), chunk(" there"), counted(**USAGE)])
    assert (reply.text, reply.samples[0].finish) == ("Hello there", "stop")


def test_a_server_that_puts_many_tokens_into_an_event_is_hung_up_on_by_its_own_count(asked):
    """As with guessing ahead, or with a bound that thoughts don't count for."""
    grown = {"prompt_tokens": 7, "completion_tokens": 50, "total_tokens": 57}
    with pytest.warns(RuntimeWarning, match="the server wrote more than max_tokens=20"):
        reply, spent = asked("opens", [chunk("many words", None, grown)])
    assert (reply.text, reply.samples[0].finish) == ("many words", "length")
    assert spent == {"tokens": 57, "money": 57, "calls": 1}


def test_a_whole_answer_that_is_too_long_is_kept_and_told_of(asked):
    document = {
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "long"}}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 500, "total_tokens": 507},
    }
    with pytest.warns(RuntimeWarning, match="the server wrote more than max_tokens=20"):
        reply, spent = asked("document", document)
    assert (reply.text, spent["tokens"]) == ("long", 507)


def test_a_sample_that_is_cut_off_grows_no_more_while_the_others_go_on(asked):
    said = [chunk("x ") for _ in range(RESERVED + 9)]
    said += [
        chunk("y ", index=1),
        chunk("x ", "length"),
        chunk("", "stop", index=1),
        counted(prompt_tokens=7, completion_tokens=31),
    ]
    with pytest.warns(RuntimeWarning, match="the server wrote more than max_tokens=20"):
        reply, spent = asked("plays", said, n=2)
    assert [one.text for one in reply.samples] == ["x " * (RESERVED + 9), "y "]
    assert [one.finish for one in reply.samples] == ["length", "stop"]
    assert reply.tokens == spent["tokens"]


@pytest.mark.parametrize("reason", ["", "null"])
def test_a_stream_that_breaks_off_with_an_empty_reason_is_no_answer(asked, reason):
    error, spent = asked("plays", [chunk("Transfer 100 ", reason), chunk("to ", reason)], calls=2)
    assert isinstance(error, hw.BudgetExceeded)
    assert spent["calls"] == 2, "it is asked again"
