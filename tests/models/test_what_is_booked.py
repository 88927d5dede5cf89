"""What a request is booked at: what was spent, or what can have been spent, marked as assumed. And answers that are none."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import Any

import pytest
from typer.testing import CliRunner

import headway as hw
from headway import models
from headway.cli.app import app
from headway.models.openai.protocol import finish_of, request_body, usage_in
from headway.models.requests import make_request
from headway.models.streaming import pieces_of

pytest.importorskip("openai")

PRICE = models.Price(read=1_000_000, written=1_000_000)
RESERVED = 20


@pytest.fixture
def asked(misbehaving):
    """Ask a server that answers as it is told, and tell the reply or the error, and what was booked."""

    def ask(kind: str, said: Any = "", *, calls: int = 9, chat: bool = True, seconds: float = 60, n: int = 1) -> Any:
        model = models.Endpoint(f"{kind}-{abs(hash(str(said)))}", base_url=misbehaving.url, price=PRICE, timeout=20)
        text = said if isinstance(said, str) else json.dumps(said)

        @hw.task
        async def program() -> tuple[Any, dict[str, float]]:
            got: Any
            with hw.budget(tokens=100_000, money=1e12, calls=calls) as spent:
                try:
                    with hw.deadline(seconds=seconds):
                        got = await models.sample(model, [models.Message("user", text)] if chat else text, max_tokens=RESERVED, n=n)
                except (hw.ModelError, hw.BudgetExceeded, hw.DeadlineExceeded) as error:
                    got = error
            return got, spent.spent

        return program_result(program)

    def program_result(program: Any) -> Any:
        kept: list[Any] = []

        @hw.task(codec="pickle")
        async def outer() -> None:
            kept.append(await program.fn())

        hw.run(outer, store=None)
        return kept[0]

    return ask


def chunk(text: str | None = "", finish: str | None = None, usage: Any = None, index: int = 0, **delta: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": "x",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": index, "delta": {"content": text, **delta}, "finish_reason": finish, "logprobs": None}],
    }
    return made if usage is None else {**made, "usage": usage}


def counted(**usage: Any) -> dict[str, Any]:
    return {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": usage}


USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
GOOD = [chunk("The answer"), chunk(" is 42.", "stop")]


# --- what is booked --------------------------------------------------------------------------------------------------


def bound(said: Any) -> int:
    return len((said if isinstance(said, str) else json.dumps(said)).encode()) + 8 + 32 + RESERVED


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


# --- usage -----------------------------------------------------------------------------------------------------------

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

    from headway.models.openai.protocol import model_error

    error: Any = openai.APITimeoutError if failure.endswith("Timeout") else openai.APIConnectionError
    error = error(request=None)
    error.__cause__ = type(failure, (Exception,), {})("none")
    told = model_error("m", error)
    assert isinstance(told, hw.ModelUnavailable)
    assert not told.may_have_cost


# --- the bound of a sample's length ----------------------------------------------------------------------------------


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
    from headway.models.openai.endpoint import _is_openai

    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    if env:
        monkeypatch.setenv("OPENAI_BASE_URL", env)
    body = request_body("m", make_request([models.Message("user", "Hi")], max_tokens=5), of_openai=_is_openai(base))
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


# --- events in the words of many servers -----------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["", "null"])
def test_a_stream_that_breaks_off_with_an_empty_reason_is_no_answer(asked, reason):
    error, spent = asked("plays", [chunk("Transfer 100 ", reason), chunk("to ", reason)], calls=2)
    assert isinstance(error, hw.BudgetExceeded)
    assert spent["calls"] == 2, "it is asked again"


TEXT = [{"type": "text", "text": "The answer"}, {"type": "output_text", "text": " is 42."}]
THOUGHT = [{"type": "thinking", "thinking": [{"type": "text", "text": "6 * 7"}]}]


@pytest.mark.parametrize("streamed", [True, False])
def test_a_content_in_parts_is_their_text_and_no_thought(asked, streamed):
    choice = {"index": 0, "message": {"content": THOUGHT + TEXT}, "finish_reason": "stop"}
    events = [chunk(THOUGHT), chunk(TEXT[:1]), chunk(TEXT[1:]), chunk([], "stop"), counted(**USAGE)]
    reply, _ = asked("plays", events) if streamed else asked("document", {"choices": [choice], "usage": USAGE})
    assert (reply.text, reply.samples[0].finish) == ("The answer is 42.", "stop")


def test_thoughts_in_parts_are_paid(asked):
    said = [chunk(THOUGHT), chunk(THOUGHT), chunk("42", "stop")]
    _, spent = asked("plays", said)
    assert spent["tokens"] == bound(said) - RESERVED + 3


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ([{"type": "image_url", "image_url": "x"}], "a part of a content that is 'image_url'"),
        ([{"type": "text", "text": 42}], "a part of a content whose text is a int"),
        (["The answer"], "a part of a content that is None"),
        (42, "a content that is a int"),
    ],
)
def test_a_content_of_another_kind_is_an_error_and_no_text(asked, content, told):
    error, _ = asked("plays", [chunk(content, "stop")])
    assert type(error) is hw.ModelError
    assert told in str(error)


@pytest.mark.parametrize("other", [{"type": "ping"}, {**counted(), "choices": None}])
def test_events_without_choices_throw_no_answer_away(asked, other):
    reply, spent = asked("plays", [other, GOOD[0], other, GOOD[1], {**counted(**USAGE), "choices": None}, other])
    assert reply.text == "The answer is 42."
    assert spent == {"tokens": 10, "money": 10, "calls": 1}


@pytest.mark.parametrize("kind", ["plays", "document"])
@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"detail": "model overloaded"}, '{"detail": "model overloaded"}'),
        ({"object": "error", "message": "maximum context length is 10"}, "maximum context length is 10"),
        ({"choices": None, "detail": "no access for sk-0123456789abcdef"}, "no access for ***"),
    ],
)
def test_an_answer_without_choices_is_an_error_in_the_server_s_words(asked, kind, said, told):
    error, spent = asked(kind, [said] if kind == "plays" else said)
    assert type(error) is hw.ModelError
    assert told in str(error)
    assert "attribute" not in str(error)
    assert spent["tokens"] == spent["assumed_tokens"]


# --- outside of a run ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "wrong", "told"),
    [
        ([chunk("Transfer 100 "), chunk("to ")], hw.ModelUnavailable, "the stream ended before 1 of 1 samples did"),
        ([chunk("", "content_filter")], hw.ModelError, "a content filter of the server held the answer back"),
        ([chunk(None, refusal="no"), chunk(None, "stop")], hw.ModelError, "refused to answer: no"),
        ([chunk(None, "stop", function_call={"name": "f", "arguments": ""})], hw.ModelError, "asked for a tool"),
    ],
)
def test_a_stream_outside_of_a_run_that_is_no_answer_ends_with_an_error(misbehaving, said, wrong, told):
    model = models.Endpoint(f"plays-outside-{told}", base_url=misbehaving.url)
    heard = []

    async def outside() -> None:
        async for piece in models.stream(model, [models.Message("user", json.dumps(said))]):
            heard.append(piece)

    with pytest.raises(wrong, match=told):
        asyncio.run(outside())
    assert heard, "what came is handed on"


# --- what is no answer -----------------------------------------------------------------------------------------------

CALL = {"index": 0, "id": "1", "type": "function", "function": {"name": "search", "arguments": '{"q": "sky"}'}}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            [chunk(None, tool_calls=[CALL]), chunk(None, "tool_calls")],
            r'asked for a tool instead of answering \(search\{"q": "sky"\}\)',
        ),
        ([chunk(None, tool_calls=[CALL]), chunk(None, "stop")], "asked for a tool"),
        ([chunk("Let me look.", tool_calls=[CALL]), chunk(None, "stop")], "asked for a tool"),
        (
            [chunk(None, function_call={"name": "f", "arguments": "{}"}), chunk(None, "function_call")],
            r"asked for a tool .*\(f\{\}\)",
        ),
        ([chunk(None, "tool_calls")], r"asked for a tool instead of answering \(it did not say which\)"),
        ([chunk(None, refusal="I can't "), chunk(None, refusal="help"), chunk(None, "stop")], "refused to answer: I can't help$"),
        ([chunk(None, tool_calls=[CALL]), chunk(None, "length")], "asked for a tool"),
        ([chunk("", "content_filter")], "a content filter of the server held the answer back"),
        ([chunk("", "MALFORMED_FUNCTION_CALL")], r"asked for a tool instead of answering \(it did not say which\)"),
        ([chunk("", "OTHER")], "gave no answer: it ended for 'OTHER'"),
        ([chunk([{"type": "refusal", "refusal": "I can't help"}], "stop")], "refused to answer: I can't help$"),
    ],
)
def test_tools_and_refusals_are_named_and_paid(asked, said, told):
    error, spent = asked("plays", [*said, counted(**USAGE)])
    assert type(error) is hw.ModelError
    with pytest.raises(hw.ModelError, match=told):
        raise error
    assert spent == {"tokens": 10, "money": 10, "calls": 1}, "it is not asked again"


def test_a_refusal_beside_a_text_is_a_text(asked):
    reply, _ = asked("plays", [chunk("No: ", refusal="policy"), chunk("ask a lawyer.", "stop"), counted(**USAGE)])
    assert (reply.text, reply.samples[0].finish) == ("No: ask a lawyer.", "stop")


@pytest.mark.parametrize(
    ("said", "finish"),
    [
        ([chunk("42", "tool_calls")], "stop"),  # vLLM with tool_choice="required" and no parser
        ([chunk("42", "tool_calls", tool_calls=[])], "stop"),
        ([chunk("42"), chunk("", "content_filter")], "filter"),
        ([chunk("42"), chunk("", "model_context_window_exceeded")], "length"),
        ([chunk("42"), chunk("", "malformed_function_call")], "stop"),
        ([chunk("42", "length", reasoning="so")], "length"),
    ],
)
def test_a_text_is_an_answer_whatever_ended_it(asked, said, finish):
    reply, _ = asked("plays", [*said, counted(**USAGE)])
    assert (reply.text, reply.samples[0].finish, reply.samples[0].said) == ("42", finish, "")


def test_why_a_text_ended_is_kept_where_nobody_knows_the_word(asked):
    reply, _ = asked("plays", [chunk("42"), chunk("", "something new"), counted(**USAGE)])
    assert (reply.text, reply.samples[0].finish, reply.samples[0].said) == ("42", "stop", "it ended for 'something new'")
    assert [piece.said for piece in pieces_of(reply)] == ["it ended for 'something new'", ""]


@pytest.mark.parametrize("reason", ["error", "abort", "timeout", "insufficient_system_resource"])
def test_a_sample_that_its_server_could_not_go_on_with_is_asked_for_again(asked, reason):
    error, spent = asked("plays", [chunk("4"), chunk("", reason)], calls=2)
    assert isinstance(error, hw.BudgetExceeded)
    assert spent["calls"] == 2
    assert spent["tokens"] == spent["assumed_tokens"] > 2


def test_one_of_several_samples_that_is_no_answer_takes_none_away(asked):
    said = [
        chunk("fine", "stop", index=0),
        chunk(None, "tool_calls", index=1, tool_calls=[CALL]),
        chunk(None, "stop", index=2, refusal="no"),
        chunk("", "content_filter", index=3),
        counted(**USAGE),
    ]
    reply, _ = asked("plays", said, n=4)
    assert [(one.text, one.finish, one.said) for one in reply.samples] == [
        ("fine", "stop", ""),
        ("", "tool", 'search{"q": "sky"}'),
        ("", "refusal", "no"),
        ("", "filter", ""),
    ]


def test_a_model_that_only_thought_was_cut_off(asked):
    reply, _ = asked("plays", [chunk(None, reasoning_content="so 42"), chunk(None, "length"), counted(**USAGE)])
    assert (reply.text, reply.samples[0].finish) == ("", "length")


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", "stop"),
        ("STOP", "stop"),
        ("eos_token", "stop"),
        ("something new", "stop"),
        ("length", "length"),
        ("MAX_TOKENS", "length"),
        ("model_context_window_exceeded", "length"),
        ("content_filter", "filter"),
        ("content_filtered", "filter"),
        ("SAFETY", "filter"),
        ("BLOCKLIST", "filter"),
        ("SPII", "filter"),
        ("IMAGE_SAFETY", "filter"),
        ("MALFORMED_FUNCTION_CALL", "tool"),
        ("tool_use", "tool"),
        (None, None),
        ("", None),
        ("null", None),
        ("None", None),
    ],
)
def test_why_a_sample_ended_in_the_words_of_many_servers(reason, finish):
    assert finish_of(reason) == finish


# --- where a stopped run shows it ------------------------------------------------------------------------------------


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
