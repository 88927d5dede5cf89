"""The endpoint against real servers over real sockets: one that misbehaves, and `headway serve`."""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

import headway as hw
from headway import models
from headway.models.collect import ReplyCollector
from headway.models.openai.failures import retry_after
from headway.models.openai.protocol import request_body
from headway.models.requests import make_request

PRICE = models.Price(read=1_000_000, written=1_000_000)


class Crash(RuntimeError):
    """Stands for the death of the process, after what was asked before it is recorded."""


@pytest.fixture
def endpoint(misbehaving):
    def make(name: str, **options: Any) -> models.Endpoint:
        return models.Endpoint(name, base_url=misbehaving.url, price=PRICE, **options)

    return make


@hw.task
async def ask(model: models.Endpoint, prompt: str, tokens: int = 10_000) -> tuple[str, dict[str, float]]:
    with hw.budget(tokens=tokens, money=10_000, calls=100) as spent:
        reply = await models.sample(model, prompt, max_tokens=20)
    return reply.text, spent.spent


def test_text_goes_to_completions_and_messages_to_chat(endpoint, misbehaving):
    model = endpoint("fine-paths", api_key="secret")

    async def both() -> list[models.Reply]:
        return [await models.sample(model, "Hi"), await models.sample(model, [models.Message("user", "Hi")])]

    replies = asyncio.run(both())
    assert [(reply.text, reply.prompt_tokens, reply.tokens) for reply in replies] == [("Hello there", 7, 10)] * 2
    asked = misbehaving.log("fine-paths", "asked")
    assert [one["path"] for one in asked] == ["/v1/completions", "/v1/chat/completions"]
    assert asked[0]["body"]["prompt"] == "Hi"
    assert asked[1]["body"]["messages"] == [{"role": "user", "content": "Hi"}]
    assert asked[0]["key"].endswith("Bearer secret")


def test_the_cost_is_what_the_server_counted(endpoint):
    text, spent = hw.run(ask, endpoint("fine-cost"), "Hi", store=None)
    assert (text, spent) == ("Hello there", {"tokens": 10, "money": 10, "calls": 1})


def test_after_a_crash_no_request_is_sent_again(endpoint, misbehaving, tmp_path):
    model = endpoint("fine-crash")

    lives = iter("12")

    @hw.task(name="crashing")
    async def program() -> list[str]:
        life = next(lives)
        answers = [(await ask(model, prompt))[0] for prompt in ("first", "second")]
        if life == "1":
            raise Crash
        return [*answers, (await ask(model, "third"))[0]]

    with pytest.raises(Crash):
        hw.run(program, store=tmp_path / "store", run_id="run")
    again = hw.run(program, store=tmp_path / "store", run_id="run")
    assert again == ["Hello there"] * 3
    sent = [one["body"]["prompt"] for one in misbehaving.log("fine-crash", "asked")]
    assert sent == ["first", "second", "third"]


def test_a_budget_refuses_before_anything_is_sent(endpoint, misbehaving):
    with pytest.raises(hw.BudgetExceeded):
        hw.run(ask, endpoint("fine-refused"), "Hi", 20, store=None)
    assert misbehaving.log("fine-refused", "asked") == []


def test_a_rate_limit_is_waited_out_for_as_long_as_the_server_asks(endpoint, misbehaving):
    text, spent = hw.run(ask, endpoint("busy-1"), "Hi", store=None)
    assert (text, spent) == ("Hello there", {"tokens": 10, "money": 10, "calls": 2})
    first, second = (one["at"] for one in misbehaving.log("busy-1", "asked"))
    assert second - first >= 0.8


@pytest.mark.parametrize(("kind", "wasted"), [("broken", 0), ("drops", 11), ("unended", 11), ("midway", 11)])
def test_faults_of_the_server_are_tried_again_and_what_was_begun_is_paid(endpoint, kind, wasted):
    """2 bytes of prompt and at most 8 tokens around it, and 1 that was written."""
    text, spent = hw.run(ask, endpoint(f"{kind}-1"), "Hi", store=None)
    assumed = {"assumed_tokens": wasted} if wasted else {}
    assert (text, spent) == ("Hello there", {"tokens": 10 + wasted, "money": 10 + wasted, "calls": 2, **assumed})


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("refuses", "400: scripted invalid_request_error$"),
        ("poor", "429: .*scripted insufficient_quota"),
        ("garbage", "does not speak the OpenAI protocol"),
        ("strange", "does not speak the OpenAI protocol: .*beyond the 1"),
        ("html", "it answered with text/html"),
        ("detail", r"403: \{'detail': 'no access'\}$"),
    ],
)
def test_what_asking_again_would_not_mend_is_not_asked_again(endpoint, misbehaving, kind, said):
    with pytest.raises(hw.ModelError, match=said) as raised:
        hw.run(ask, endpoint(f"{kind}-1"), "Hi", store=None)
    assert not isinstance(raised.value, hw.ModelUnavailable)
    assert len(misbehaving.log(f"{kind}-1", "asked")) == 1


def test_a_server_that_ignores_n_is_asked_once_and_told_of(endpoint, misbehaving):
    @hw.task
    async def program() -> dict[str, float]:
        with (
            hw.budget(tokens=10_000, calls=100) as spent,
            pytest.raises(hw.ModelError, match="3 samples were asked for and 1 written"),
        ):
            await models.sample(endpoint("fine-alone"), "Hi", n=3, max_tokens=20)
        return spent.spent

    assert hw.run(program, store=None) == {"tokens": 10, "money": 10, "calls": 1}
    assert len(misbehaving.log("fine-alone", "asked")) == 1


@pytest.mark.parametrize(
    "pieces",
    [
        (models.Piece("a", 0, "stop"), models.Piece("b", 1), models.Piece(usage=models.Usage(2, 2))),
        (models.Piece("a", 0, "stop"),),
        (models.Piece("a", 0, "stop"), models.Piece(usage=models.Usage(2, 0))),
        (models.Piece(usage=models.Usage(2, 2)),),
    ],
)
def test_samples_that_broke_off_or_that_nobody_counted_are_asked_for_again(pieces):
    made = ReplyCollector(2, prompt_bound=10)
    for piece in pieces:
        made.add(piece)
    with pytest.raises(hw.ModelUnavailable, match="the stream ended before"):
        made.reply("model")


def test_what_a_model_thought_before_it_was_stopped_is_paid(endpoint, misbehaving):
    @hw.task
    async def program() -> float:
        with hw.budget(tokens=10_000) as spent:
            async with aclosing(models.stream(endpoint("thinks-1"), [models.Message("user", "Hi")], max_tokens=20)) as pieces:
                while (await anext(pieces)).text != "One":
                    pass
        return spent.spent["tokens"]

    assert hw.run(program, store=None) == 42 + 2 + 1, "the prompt's bound, two thoughts and a word"
    assert len(misbehaving.until("thinks-1", "hung up")) == 1


def test_silence_ends_after_the_timeout_and_is_booked_as_if_it_was_worked_on(endpoint, misbehaving):
    model = endpoint("silent-1", timeout=0.1)

    @hw.task
    async def program() -> dict[str, float]:
        with hw.budget(tokens=59) as spent, pytest.raises(hw.BudgetExceeded):
            await models.sample(model, "Hi", max_tokens=20)  # 30 at most, so there is no second attempt
        return spent.spent

    assert hw.run(program, store=None)["tokens"] == 30
    assert len(misbehaving.log("silent-1", "asked")) == len(misbehaving.until("silent-1", "hung up")) == 1


def test_a_server_that_is_not_there_is_tried_again_and_costs_nothing():
    model = models.Endpoint("nobody", base_url="http://127.0.0.1:9/v1", price=PRICE)

    @hw.task
    async def program() -> dict[str, float]:
        with hw.budget(tokens=100) as spent, hw.deadline(seconds=0.8, raises=False):
            await models.sample(model, "Hi", max_tokens=20)
        return spent.spent

    assert hw.run(program, store=None) == {"tokens": 0, "money": 0}


def test_the_loser_of_a_race_hangs_up(endpoint, misbehaving):
    slow, fine = endpoint("slow-race"), endpoint("fine-race")

    @hw.task
    async def finish_late() -> str:
        await asyncio.to_thread(misbehaving.until, "slow-race", "asked")
        async with aclosing(models.stream(slow, "other")) as pieces:
            assert (await anext(pieces)).text == "One"
        return (await models.sample(fine, "Hi")).text

    @hw.task
    async def program() -> tuple[str, dict[str, float]]:
        loser = models.sample(slow, "Hi", max_tokens=20)
        winner = await hw.race(finish_late(), loser)
        return str(winner), loser.cost

    winner, cost = hw.run(program, store=None)
    assert winner == "Hello there"
    assert cost["tokens"] in (10, 11, 12)  # the prompt's bound, and what had come
    assert len(misbehaving.until("slow-race", "hung up")) >= 1


def test_leaving_a_stream_hangs_up(endpoint, misbehaving):
    async def first_piece() -> str:
        async with aclosing(models.stream(endpoint("slow-left"), "Hi")) as pieces:
            return (await anext(pieces)).text

    assert asyncio.run(first_piece()) == "One"
    assert misbehaving.until("slow-left", "hung up")


def test_one_endpoint_serves_many_runs_and_loops(endpoint):
    model = endpoint("fine-loops")
    for _ in range(3):
        assert hw.run(ask, model, "Hi", store=None)[0] == "Hello there"


def test_the_api_key_is_nowhere_in_the_store(endpoint, tmp_path):
    model = endpoint("refuses-secretly", api_key="sk-very-secret")
    with pytest.raises(hw.ModelError):
        hw.run(ask, model, "Hi", store=tmp_path / "store")
    written = b"".join(path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file())
    assert b"scripted invalid_request_error" in written
    assert b"sk-very-secret" not in written
    assert "sk-very-secret" not in repr(model)


def test_the_key_of_openai_goes_to_openai_alone(monkeypatch, endpoint, misbehaving):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
    hw.run(ask, endpoint("fine-keys"), "Hi", store=None)
    (asked,) = misbehaving.log("fine-keys", "asked")
    assert "sk-of-openai" not in asked["key"]
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(hw.UsageError, match="no API key"):
        models.Endpoint("gpt-4.1-mini")


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(hw.UsageError, match=r"pip install 'headway\[models\]'"):
        models.Endpoint("any", base_url="http://127.0.0.1:9")


def test_openai_s_own_server_is_asked_in_its_own_words():
    chat = make_request([models.Message("user", "Hi")], max_tokens=5, n=2, stop="x", seed=3, logprobs=True)
    ours, theirs = (request_body("m", chat, of_openai=openai) for openai in (False, True))
    assert (theirs["max_completion_tokens"], ours["max_tokens"], "top_p" in theirs, ours["top_p"]) == (5, 5, False, 1.0)
    assert {name: ours[name] for name in ("n", "stop", "seed", "logprobs")} == {"n": 2, "stop": ["x"], "seed": 3, "logprobs": True}
    assert request_body("m", make_request("Hi", logprobs=True), of_openai=True)["logprobs"] == 1


def test_a_date_says_when_to_come_back():
    assert retry_after({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, 40.0) == 60.0
    assert retry_after({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 40.0) == 0.0
    assert retry_after({"retry-after": "soon"}, 40.0) == 0.0
    for wrong_s in (-365 * 86_400.0, -3600.0, 3600.0):  # by how much our clock differs from the server's
        dates = {"date": "Thu, 01 Jan 1970 00:00:40 GMT", "retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}
        assert retry_after(dates, 40.0 + wrong_s) == 60.0
    assert retry_after({"date": "today", "retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, 40.0) == 60.0
    assert retry_after({"retry-after": "Mon, 01 Jan 99999 00:00:00 GMT"}, 40.0) == 0.0


# --- with headway serve on the other side ----------------------------------------------------------------------------


def test_our_own_server_and_our_own_client_understand_each_other(served):
    model = models.Endpoint("stand-in-batch", base_url=served("batch").url, price=models.FREE)

    @hw.task
    async def program() -> tuple[models.Reply, models.Reply]:
        text = models.sample(model, "hello world", n=2, logprobs=True)
        chat = models.sample(model, [models.Message("user", "hello world")], n=2, logprobs=True)
        return await text, await chat

    text, chat = hw.run(program, store=None)
    assert [one.text.split()[-1] for one in text.samples] == ["0", "1"]
    for reply in (text, chat):
        assert reply.prompt_tokens == 2
        assert [(one.tokens, one.finish, one.logprob) for one in reply.samples] == [(4, "stop", -1.0)] * 2


def test_pieces_come_one_by_one(served):
    model = models.Endpoint("stand-in", base_url=served("streaming").url)

    async def heard() -> list[str]:
        return [piece.text async for piece in models.stream(model, "a b c") if piece.text]

    assert asyncio.run(heard()) == [" c", " b", " a"]


def test_a_store_of_the_test_is_no_program(tmp_path: Path):
    """`models.open` says what it can open."""
    with pytest.raises(hw.UsageError, match="there is no model 'nothing'"):
        models.open("nothing")
    with pytest.raises(hw.UsageError, match="is no model"):
        models.open("standins:not_a_model")
    assert models.open("standins:batch").name == "stand-in-batch"
    assert models.open("openai:qwen3@http://127.0.0.1:8000/v1").name == "qwen3"
