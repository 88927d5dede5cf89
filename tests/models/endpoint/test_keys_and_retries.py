"""Keys are told to the server and to nobody else; and how often, and after how long, a model is asked again."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
from pathlib import Path
from typing import Any

import pytest
from questions import unavailable
from servers import start, stop
from standins import StandInBatchModel, StandInModel

import headway as hw
from headway import models
from headway.models.openai.failures import hide_secrets, retry_after
from headway.models.retrying import PATIENT, retry_of

SECRETS = ("hunter-2-and-more", "basic-user", "basic-word", "query-key")


def written_in(store: Path) -> bytes:
    return b"".join(path.read_bytes() for path in store.rglob("*") if path.is_file())


# --- keys ------------------------------------------------------------------------------------------------------------


def test_a_server_that_repeats_what_it_was_told_tells_nobody_a_key(misbehaving, tmp_path, capsys):
    address = misbehaving.url.removeprefix("http://")
    plain = models.Endpoint("echoes-1", base_url=f"http://{address}?api-version=2&key=query-key", api_key="hunter-2-and-more")
    basic = models.Endpoint("echoes-2", base_url=f"http://basic-user:basic-word@{address}", retry=hw.Retry(attempts=1))
    seen: list[str] = []
    told: list[hw.events.Event] = []

    @hw.task
    async def program(number: int) -> None:
        await models.sample((plain, basic)[number], "Hi", max_tokens=5)

    for number, model in enumerate((plain, basic)):
        with pytest.raises(hw.ModelError, match=r"401: x{280}") as raised:
            hw.run(program, number, store=tmp_path / "store", run_id=str(number), events=told.append)
        assert "***" in str(raised.value) or len(str(raised.value)) >= 300
        seen += [str(raised.value), repr(raised.value), repr(model), *map(repr, told)]
    for secret in SECRETS:
        assert secret[:8] not in " ".join(seen), secret
        assert secret.encode()[:8] not in written_in(tmp_path / "store")
    assert b"401: xxx" in written_in(tmp_path / "store")


def test_a_query_in_the_address_is_sent_with_each_request(misbehaving):
    model = models.Endpoint("where-query", base_url=f"{misbehaving.url}/?api-version=2&key=query-key", api_key="hunter-2-and-more")
    said = asyncio.run(_text(model))
    assert said.startswith("/v1/completions?")
    assert set(said.partition("?")[2].split("&")) == {"api-version=2", "key=query-key"}
    (asked,) = misbehaving.log("where-query", "asked")
    assert asked["key"].endswith("Bearer hunter-2-and-more")


async def _text(model: models.Endpoint) -> str:
    return (await models.sample(model, "Hi", max_tokens=5)).text


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Incorrect API key provided: sk-proj-abcdefgh12345678.", "Incorrect API key provided: ***"),
        ("header Authorization: Bearer abcdefgh12345678 refused", "header Authorization: Bearer *** refused"),
        ("upstream said no to hf_abcdefgh12345678", "upstream said no to ***"),
        ("a task-force-of-many-people and a risk-assessment-form", "a task-force-of-many-people and a risk-assessment-form"),
        ("x" * 299 + "hunter-2-and-more", "x" * 299 + "*"),
    ],
)
def test_what_looks_like_a_key_is_hidden_also_where_it_is_another_s(said, shown):
    assert hide_secrets(said, SECRETS) == shown


@pytest.mark.parametrize("key", ["secret\n", " secret", "sec\tret", "geheim\u00fc", "a\x00b", 5])
def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(monkeypatch, key):
    with pytest.raises(hw.UsageError, match="api_key has a space at its end, a line break") as raised:
        models.Endpoint("m", base_url="http://host/v1", api_key=key)
    assert str(key).strip() not in str(raised.value)
    if isinstance(key, str) and "\x00" not in key:
        monkeypatch.setenv("OPENAI_API_KEY", key)
        with pytest.raises(hw.UsageError, match="OPENAI_API_KEY has a space at its end"):
            models.Endpoint("m")


def test_a_server_of_ours_repeats_no_key_of_the_one_behind_it(misbehaving, monkeypatch):
    import json
    import urllib.error
    import urllib.request

    monkeypatch.setenv("OPENAI_API_KEY", "hunter-2-and-more")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{misbehaving.url}?key=query-key")
    server = start("-m", "headway", "serve", "openai:echoes-served", "--port", "0", lines=2, stderr=subprocess.STDOUT)
    try:
        body = json.dumps({"prompt": "Hi"}).encode()
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(urllib.request.Request(f"{server.url}/completions", body))
        with raised.value as answer:
            told = answer.read().decode()
        assert "401: xxx" in told
    finally:
        server.process.terminate()
        assert server.process.stdout is not None
        told += "".join(server.first_lines) + server.process.stdout.read()
        stop(server)
    for secret in SECRETS:
        assert secret[:8] not in told


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"timeout": 0}, "timeout=0.*: seconds, above zero"),
        ({"timeout": float("nan")}, "timeout=nan.*: seconds, above zero"),
        ({"timeout": "5"}, "timeout='5'.*: seconds, above zero"),
        ({"price": 3}, "has price=3: write models.Price"),
        ({"retry": 3}, r"has retry=3: write headway.Retry\(attempts=3\)"),
        ({"count": 3}, "count=3.*: a function of a prompt"),
    ],
)
def test_an_argument_of_an_endpoint_that_makes_no_sense_is_refused_at_once(options, said):
    with pytest.raises(hw.UsageError, match=said):
        models.Endpoint("m", base_url="http://host/v1", **options)


@pytest.mark.parametrize("name", ["", None, 5])
def test_a_model_has_a_name(name):
    with pytest.raises(hw.UsageError, match="a model has a name, as text"):
        models.Endpoint(name, base_url="http://host/v1")


# --- being asked again -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [StandInModel("one"), StandInBatchModel("many")], ids=["one", "many"])
@pytest.mark.parametrize("attempts", [1, 3])
def test_a_model_says_how_often_it_is_asked(go, model, attempts):
    class Busy(type(model)):  # type: ignore[misc]
        retry = hw.Retry(attempts=attempts)
        asked_so_often = 0

        async def stream(self, request):
            Busy.asked_so_often += 1
            raise unavailable()
            yield

        def sample_batch(self, requests, stopping):
            Busy.asked_so_often += 1
            raise unavailable()

    if isinstance(model, StandInBatchModel):
        del Busy.stream
    else:
        del Busy.sample_batch

    @hw.task
    async def program() -> None:
        await models.sample(models.limit_model(Busy(), 4), "q")

    with pytest.raises(hw.ModelUnavailable):
        go(program)
    assert Busy.asked_so_often == attempts


def test_a_policy_of_a_model_s_own_never_repeats_what_was_refused_unless_it_says_so(go):
    asked: list[str] = []

    class Refusing(StandInModel):
        async def stream(self, request):
            asked.append(self.name)
            raise hw.ModelError("400: no")
            yield

    careful, stubborn = Refusing("careful"), Refusing("stubborn")
    careful.retry, stubborn.retry = hw.Retry(attempts=3), hw.Retry(attempts=3, on=hw.ModelError)

    @hw.task
    async def program() -> None:
        await hw.settle(*(models.sample(model, "q") for model in (careful, stubborn)))

    go(program)
    assert sorted(asked) == ["careful", *["stubborn"] * 3]


def test_a_stream_is_asked_for_again_as_its_model_says_until_it_has_begun(go):
    model = StandInModel()
    model.retry = hw.Retry(attempts=2)
    model.failures = [unavailable("first"), unavailable("second"), unavailable("third")]

    @hw.task
    async def program() -> None:
        async for _ in models.stream(model, "a b"):
            pass

    with pytest.raises(hw.ModelUnavailable, match="second"):
        go(program)
    assert len(model.asked) == 2


def test_what_is_no_policy_is_refused_at_the_call(go):
    model = StandInModel()
    model.retry = 3
    with pytest.raises(hw.UsageError, match="stand-in has retry=3"):
        retry_of(model)
    assert retry_of(StandInModel()) is PATIENT


def test_an_endpoint_keeps_its_policy_in_another_process():
    model = models.Endpoint("m", base_url="http://host/v1", retry=hw.Retry(attempts=2, max_retry_after_s=5))
    again = pickle.loads(pickle.dumps(model))
    assert (again.retry, again.name) == (model.retry, "m")


@pytest.mark.parametrize(("rest", "said"), [("86400", "86,400 s"), ("Fri, 01 Jan 2100 00:00:00 GMT", " s")])
def test_a_server_that_asks_for_a_day_is_not_waited_for(misbehaving, rest, said):
    name = f"rests-{len(rest)}-{rest}"

    @hw.task
    async def program() -> None:
        await models.sample(models.Endpoint(name, base_url=misbehaving.url, price=models.FREE), "Hi", max_tokens=5)

    with pytest.raises(hw.ModelUnavailable, match=rf"429: .*it asks to be left alone for .*{said}") as raised:
        hw.run(program, store=None)
    assert raised.value.retry_after_s > 80_000
    assert len(misbehaving.log(name, "asked")) == 1


@pytest.mark.parametrize(("most", "asked", "waited"), [(600, 3, 2 * 500), (100, 1, 0)])
def test_how_long_a_rest_may_be_is_up_to_the_policy(go, clock, most, asked, waited):
    model = StandInModel()
    model.retry = hw.Retry(attempts=3, delay_s=0, on=hw.ModelUnavailable, max_retry_after_s=most)
    model.failures = [unavailable(after_s=500) for _ in range(5)]

    @hw.task
    async def program() -> None:
        await models.sample(model, "q")

    with pytest.raises(hw.ModelUnavailable):
        go(program)
    assert (len(model.asked), round(clock.elapsed)) == (asked, waited)


@pytest.mark.parametrize(
    ("value", "rest"),
    [
        ("2.5", 2.5),
        (" 7 ", 7.0),
        ("-5", 0.0),
        ("0", 0.0),
        ("nan", 0.0),
        ("inf", 0.0),
        ("1e999", 0.0),
        ("soon", 0.0),
        ("", 0.0),
        ("Thu, 01 Jan 1970 00:01:40 -0100", 3700.0 - 40.0),
        ("Thu, 01 Jan 1970 00:01:40", 60.0),
        ("7 seconds", 0.0),
    ],
)
def test_how_long_a_server_asks_to_be_left_alone_in_the_words_of_many(value, rest):
    assert retry_after({"retry-after": value}, 40.0) == rest


@pytest.mark.parametrize("wrong", [-1, float("nan"), "600", None])
def test_a_longest_rest_that_is_none_is_refused(wrong: Any):
    with pytest.raises(hw.UsageError):
        hw.Retry(max_retry_after_s=wrong)
