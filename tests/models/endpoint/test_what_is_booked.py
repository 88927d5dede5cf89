"""What a request is booked at: what was spent, or what can have been spent, marked as assumed."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import Any

import pytest
from documents import GOOD, PRICE, RESERVED, USAGE, bound, chunk, counted
from typer.testing import CliRunner

import headway as hw
from headway import models
from headway.cli.app import app
from headway.models.openai.usage import usage_in


@pytest.mark.parametrize("chat", [True, False])
def test_a_whole_answer_instead_of_a_stream_is_an_answer(asked, chat):
    choice = {"message": {"role": "assistant", "content": "Hi"}} if chat else {"text": "Hi"}
    document = {"choices": [{"index": 0, "finish_reason": "stop", **choice}], "usage": USAGE}
    reply, spent = asked("document", document, chat=chat)
    assert (reply.text, reply.tokens) == ("Hi", 10)
    assert spent == {"tokens": 10, "money": 10, "calls": 1}


@pytest.mark.parametrize("said", ['{"choices": [{"ind', '["no", "answer"]', '{"error": {"message": "out of order"}}', "{}"])
def test_a_document_that_is_no_answer_is_booked_as_if_it_was_worked_on(asked, said):
    error, spent = asked("document", said)
    assert isinstance(error, hw.ModelError)
    assert "does not speak the OpenAI protocol" in str(error)
    assert spent["tokens"] == spent["assumed_tokens"] == bound(said)


def test_a_first_event_that_is_broken_is_booked_as_if_it_was_worked_on(asked):
    said = ['{"id": "c1", "choi']
    error, spent = asked("plays", said)
    assert "does not speak the OpenAI protocol" in str(error)
    assert spent["tokens"] == spent["assumed_tokens"] == bound(said)


@pytest.mark.parametrize(
    ("status", "worked"), [(504, True), (502, True), (524, True), (520, True), (408, True), (500, False), (503, False)]
)
def test_a_gateway_that_gave_up_may_have_a_server_that_works_on(asked, status, worked):
    error, spent = asked(f"gateway-{status}", calls=1)  # no second attempt
    assert isinstance(error, hw.BudgetExceeded)
    assert (spent["tokens"], spent.get("assumed_tokens", 0)) == ((bound(""),) * 2 if worked else (0, 0))


@pytest.mark.parametrize(("code", "worked"), [(500, True), (503, False), (429, False)])
def test_an_error_before_the_first_text_of_a_stream(asked, code, worked):
    said = [{"error": {"message": "failed", "code": code}}]
    _, spent = asked("plays", said, calls=1)
    assert spent["tokens"] == (bound(said) if worked else 0)


def test_a_model_that_is_stopped_while_it_thinks_in_silence_is_booked_at_its_reservation(asked):
    error, spent = asked("silent", "Hi", seconds=0.3)
    assert isinstance(error, hw.DeadlineExceeded)
    assert spent["tokens"] == spent["assumed_tokens"] == bound("Hi")


def test_the_silent_loser_of_a_race_is_booked_before_the_race_is_left(misbehaving):
    silent, fine = (models.Endpoint(f"{kind}-race", base_url=misbehaving.url, price=PRICE) for kind in ("silent", "fine"))

    @hw.task
    async def later() -> str:
        while not misbehaving.log("silent-race", "asked"):
            await hw.sleep(0.01)
        return (await models.sample(fine, "Hi", max_tokens=RESERVED)).text

    @hw.task
    async def program() -> dict[str, float]:
        with hw.budget(tokens=10_000) as spent:
            await hw.race(models.sample(silent, "Hi", max_tokens=RESERVED), later())
            return dict(spent.spent)

    assert hw.run(program, store=None)["tokens"] == (2 + 8 + RESERVED) + 10


GROWN = {**USAGE, "completion_tokens": 1, "total_tokens": 8}
WHOLE = [
    pytest.param([*GOOD, counted(**USAGE)], id="at the end"),
    pytest.param([GOOD[0], chunk(" is 42.", "stop", USAGE)], id="in the last choice"),
    pytest.param([chunk("", None, {"prompt_tokens": 7, "total_tokens": 7}), *GOOD, counted(**USAGE)], id="early and then whole"),
    pytest.param([chunk("The answer", None, GROWN), GOOD[1], counted(**USAGE)], id="growing"),
    pytest.param([*GOOD, counted(**USAGE), counted(**USAGE)], id="twice"),
    pytest.param([*GOOD, counted(prompt_tokens=7, completion_tokens=1, total_tokens=10)], id="thoughts only in the total"),
]


@pytest.mark.parametrize("said", WHOLE)
def test_usage_is_taken_where_it_is_whole(asked, said):
    reply, spent = asked("plays", said)
    assert reply.text == "The answer is 42."
    assert spent == {"tokens": 10, "money": 10, "calls": 1}


@pytest.mark.parametrize(
    ("usage", "read", "written"),
    [
        ({"prompt_tokens": None, "completion_tokens": None, "total_tokens": None}, None, None),
        ({"prompt_tokens": 7}, 7, None),
        ({"prompt_tokens": 7, "completion_tokens": None, "total_tokens": 12}, 7, 5),
        ({"completion_tokens": 3}, None, 3),
        ({}, None, None),
        ({"prompt_tokens": -7, "completion_tokens": 3}, None, 3),
        ({"prompt_tokens": "many", "completion_tokens": True}, None, None),
        ({"prompt_tokens": float("nan"), "completion_tokens": 3.0}, None, 3),
    ],
    ids=str,
)
def test_usage_that_says_half_or_nothing_throws_no_answer_away(asked, usage, read, written):
    """What it does not say is the prompt's bound, and the two events that came; those are assumed."""
    said = [*GOOD, counted(**usage)]
    reply, spent = asked("plays", said)
    assert reply.text == "The answer is 42."
    assert reply.prompt_tokens == (read or bound(said) - RESERVED)
    assert spent["tokens"] == reply.prompt_tokens + (written or 2) == reply.tokens
    assert spent.get("assumed_tokens", 0) == (0 if read else bound(said) - RESERVED) + (0 if written else 2)


@pytest.mark.parametrize(
    ("usage", "cached", "reasoning"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 900}}, 900, 0),
        ({"prompt_cache_hit_tokens": 800, "prompt_cache_miss_tokens": 200}, 800, 0),
        ({"cache_read_input_tokens": 700}, 700, 0),
        ({"completion_tokens_details": {"reasoning_tokens": 14}}, 0, 14),
        ({"prompt_tokens_details": {"cached_tokens": 5_000}, "completion_tokens_details": {"reasoning_tokens": 5_000}}, 1_000, 15),
        ({"prompt_tokens_details": None, "completion_tokens_details": {"reasoning_tokens": None}}, 0, 0),
    ],
)
def test_cached_and_thought_tokens_are_told_apart(asked, usage, cached, reasoning):
    whole = {"prompt_tokens": 1_000, "completion_tokens": 15, "total_tokens": 1_015, **usage}
    reply, _ = asked("plays", [*GOOD, counted(**whole)])
    assert (reply.cached_tokens, reply.reasoning_tokens) == (cached, reasoning)
    assert usage_in(whole) == models.Usage(1_000, 15, cached, reasoning)


@pytest.mark.parametrize(
    ("usage", "taken"),
    [
        # as a part of the prompt: the total says so
        (
            {"prompt_tokens": 900, "completion_tokens": 50, "total_tokens": 950, "cache_read_input_tokens": 800},
            models.Usage(900, 50, 800),
        ),
        # beside it: the total says so, or they are more than it, or no other word counts the prompt
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "total_tokens": 1_050,
                "cache_read_input_tokens": 50,
                "cache_creation_input_tokens": 850,
            },
            models.Usage(1_000, 50, cached=50, stored=850),
        ),
        ({"prompt_tokens": 100, "completion_tokens": 50, "cache_read_input_tokens": 900}, models.Usage(1_000, 50, 900)),
        (
            {"input_tokens": 100, "output_tokens": 50, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 40},
            models.Usage(200, 50, cached=60, stored=40),
        ),
        # others' words for what is put there, and for a response's parts
        (
            {
                "prompt_tokens": 900,
                "completion_tokens": 50,
                "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 800},
            },
            models.Usage(900, 50, stored=800),
        ),
        (
            {
                "input_tokens": 900,
                "output_tokens": 50,
                "total_tokens": 950,
                "input_tokens_details": {"cached_tokens": 800},
                "output_tokens_details": {"reasoning_tokens": 40},
            },
            models.Usage(900, 50, 800, 40),
        ),
    ],
)
def test_what_has_to_do_with_a_cache_is_a_part_of_the_prompt_whoever_counts(usage, taken):
    assert usage_in(usage) == taken


def test_the_bill_is_right_to_the_millionth_of_a_dollar(asked, misbehaving):
    price = models.Price(3.00, 15.00, cached=0.30, stored=3.75)
    model = models.Endpoint("plays-bill", base_url=misbehaving.url, price=price)
    usage = {"prompt_tokens": 1_000, "completion_tokens": 333, "cache_read_input_tokens": 9_001, "cache_creation_input_tokens": 123}
    prompt = [models.Message("user", json.dumps([*GOOD, counted(**usage)]))]

    @hw.task
    async def program() -> tuple[models.Reply, dict[str, float]]:
        with hw.budget(money=1) as spent:
            reply = await models.sample(model, prompt, max_tokens=400)
        return reply, spent.spent

    reply, spent = hw.run(program, store=None)
    assert reply.usage == models.Usage(10_124, 333, cached=9_001, stored=123)
    assert spent["money"] == pytest.approx((1_000 * 3 + 9_001 * 0.3 + 123 * 3.75 + 333 * 15) / 1e6, abs=1e-9)


def test_a_budget_of_money_holds_when_all_of_the_prompt_is_put_into_the_cache():
    price = models.Price(3.00, 15.00, cached=0.30, stored=3.75)
    assert (
        price.at_most(models.Usage(1_000, 10))
        >= price.of(models.Usage(1_000, 10, stored=1_000))
        > price.of(models.Usage(1_000, 10))
    )


@pytest.mark.parametrize(
    "wrong", [(-1, 2), (1, None), (1, float("nan")), ("1", 2), (True, 2), (1, 2, -0.1), (1, 2, None, float("inf"))]
)
def test_what_is_no_price_is_refused(wrong):
    with pytest.raises(hw.UsageError, match=r"Price\(\w+=.*\): US dollars per million tokens, zero or more"):
        models.Price(*wrong)


def test_cached_tokens_cost_what_the_list_says():
    price, usage = models.prices.list_price("gpt-5.1"), models.Usage(100_000, 10, cached=99_000)
    assert price.of(usage) == pytest.approx((1_000 * 1.25 + 99_000 * 0.125 + 10 * 10) / 1e6, abs=1e-12)
    assert models.Price(2, 8).of(models.Usage(1_000_000, 0, cached=1_000_000)) == 2, "as much as others, where no price says less"


OPENED = chunk("", role="assistant")
EARLY = chunk("", None, {"prompt_tokens": 7, "completion_tokens": 0, "total_tokens": 7})


@pytest.mark.parametrize(("said", "read"), [([OPENED], None), ([OPENED, EARLY], 7)])
@pytest.mark.parametrize("end", ["stopped", "closed", "broken"])
def test_a_stream_that_was_opened_and_said_nothing_yet_may_hide_thoughts(asked, said, read, end):
    """What is known is what was read, where the server has told so."""
    kind = {"stopped": "opens", "closed": "plays", "broken": "breaks"}[end]
    error, spent = asked(kind, said, seconds=0.5 if end == "stopped" else 60, calls=1)
    assert isinstance(error, hw.DeadlineExceeded if end == "stopped" else hw.BudgetExceeded)
    most = bound(said) if read is None else read + RESERVED
    assert spent["tokens"] == most
    assert spent["assumed_tokens"] == (most if read is None else RESERVED)


@pytest.mark.parametrize("end", ["stopped", "closed", "broken"])
def test_what_had_come_when_a_stream_ended_early_is_booked_and_not_its_reservation(asked, end):
    said = [OPENED, chunk("One"), chunk(" two")]
    kind = {"stopped": "opens", "closed": "plays", "broken": "breaks"}[end]
    _, spent = asked(kind, said, seconds=0.5 if end == "stopped" else 60, calls=1)
    assert spent["tokens"] == spent["assumed_tokens"] == bound(said) - RESERVED + 2


def test_what_a_server_counts_as_it_goes_is_not_assumed_when_it_is_stopped(asked):
    said = [chunk("One", None, {"prompt_tokens": 7, "completion_tokens": 9, "total_tokens": 16})]
    _, spent = asked("opens", said, seconds=0.5)
    assert spent == {"tokens": 16, "money": 16, "calls": 1}


def test_the_prompt_of_a_model_that_can_not_count_is_assumed_until_it_says_more(misbehaving):
    class Silent:
        name, price = "own", models.FREE

        async def stream(self, request):
            yield models.Piece("a", tokens=1, finish="stop")

    class Counting(Silent):
        def count(self, prompt):
            return 3

    @hw.task
    async def program() -> list[dict[str, float]]:
        booked = []
        for model in (Silent(), Counting()):
            with hw.budget(tokens=100) as spent:
                await models.sample(model, "Hi", max_tokens=5)
            booked.append(spent.spent)
        return booked

    silent, counting = hw.run(program, store=None)
    assert silent == {"tokens": 11, "assumed_tokens": 10, "money": 0}
    assert counting == {"tokens": 4, "money": 0}


def test_an_endpoint_reserves_what_its_tokenizer_counts(misbehaving):
    model = models.Endpoint("fine-count", base_url=misbehaving.url, price=PRICE, count=lambda prompt: len(prompt.split()))

    @hw.task
    async def program() -> dict[str, float]:
        with hw.budget(tokens=4 + RESERVED) as spent:
            await models.sample(model, "why is it blue", max_tokens=RESERVED)
        return spent.spent

    assert hw.run(program, store=None)["tokens"] == 10


@pytest.mark.parametrize("failure", ["PoolTimeout", "ConnectError", "ConnectTimeout"])
def test_what_was_never_sent_has_not_cost_anything(failure):
    import openai

    from headway.models.openai.failures import model_error

    error: Any = openai.APITimeoutError if failure.endswith("Timeout") else openai.APIConnectionError
    error = error(request=None)
    error.__cause__ = type(failure, (Exception,), {})("none")
    told = model_error("m", error)
    assert isinstance(told, hw.ModelUnavailable)
    assert not told.may_have_cost


@pytest.mark.parametrize(("kind", "shown"), [("slow", "12 of 100 (12 assumed)"), ("silent", "30 of 100 (30 assumed)")])
def test_a_run_that_is_stopped_at_once_shows_what_had_come_or_the_reservation(misbehaving, tmp_path, kind, shown):
    """Two words of an answer had come, or nothing. The bound of its prompt is 10 tokens."""
    model = models.Endpoint(f"{kind}-stopped", base_url=misbehaving.url, price=models.FREE)

    @hw.task
    async def program() -> None:
        async def until_two_words_came() -> None:
            await asyncio.to_thread(misbehaving.until, f"{kind}-stopped", "asked")
            await asyncio.sleep(0.2)
            signal.raise_signal(signal.SIGINT)
            asyncio.get_running_loop().call_later(0.05, signal.raise_signal, signal.SIGINT)

        with hw.budget(tokens=100):
            stopping = asyncio.ensure_future(until_two_words_came())
            await models.sample(model, "Hi", max_tokens=RESERVED)
            await stopping

    with pytest.raises(hw.Interrupted):
        hw.run(program, store=tmp_path / "store", run_id="run", progress=False)
    told = CliRunner().invoke(app, ["show", "run", "--store", str(tmp_path / "store")])
    assert shown in " ".join(told.output.split())
