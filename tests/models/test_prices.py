"""Prices are data, and a split total adds up."""

from __future__ import annotations

import doctest
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standins import StandInBatchModel, StandInModel

import headway as hw
import headway.models.collect
import headway.models.openai.failures
import headway.models.prices
from headway import models
from headway.models.collect import ReplyCollector, split
from headway.models.prices import OPENAI, list_price, price_of
from headway.models.streaming import pieces_of


@pytest.mark.parametrize("module", [headway.models.collect, headway.models.prices, headway.models.openai.failures])
def test_the_examples_hold(module):
    ran = doctest.testmod(module)
    assert ran.attempted > 0
    assert ran.failed == 0


def test_list_prices_are_those_of_the_provider_that_is_asked():
    """Figures of models whose prices do not change any more."""
    assert list_price("gpt-4o-mini", OPENAI) == models.Price(0.15, 0.60, cached=0.075)
    assert list_price("gpt-4o-2024-05-13", OPENAI) == models.Price(5, 15)
    assert list_price("gpt-4o", OPENAI) == list_price("gpt-4o") == models.Price(2.5, 10, cached=1.25)
    assert list_price("claude-3-5-haiku-20241022", "https://api.anthropic.com/v1") == models.Price(0.8, 4, 0.08, 1.0)
    assert list_price("o3", OPENAI).read == 2, "not what it was in the beginning"
    for name, server in (("gpt-4o", "http://localhost:8000/v1"), ("gpt-99", OPENAI), ("claude-3-5-haiku-20241022", OPENAI)):
        assert list_price(name, server) is None
    assert list_price("sonar", "https://api.perplexity.ai") is None, "it also costs by the request, which nobody here counts"


def test_long_prompts_cost_more_where_the_provider_says_so():
    price = list_price("gemini-2.5-pro")
    assert price.beyond is not None
    most, long = price.beyond
    assert (most, price.read, price.written, long.read, long.written) == (200_000, 1.25, 10, 2.5, 15)
    short, longer = models.Usage(most, 100), models.Usage(most + 1, 100)
    assert price.of(short) == pytest.approx((most * 1.25 + 1000) / 1e6)
    assert price.of(longer) == pytest.approx(((most + 1) * 2.5 + 1500) / 1e6)


PARTS = st.tuples(*[st.integers(0, 1000)] * 6)
USAGES = PARTS.map(
    lambda parts: models.Usage(sum(parts[:4]), sum(parts[4:]), cached=parts[1], stored=parts[2], audio=parts[3], reasoning=parts[4])
)
COSTS = st.none() | st.floats(0, 100)


@given(USAGES, st.floats(0, 100), st.floats(0, 100), *[COSTS] * 4, st.integers(1, 2000), st.floats(0, 100))
def test_no_usage_costs_more_than_at_most(usage, read, written, cached, stored, reasoning, audio, most, other):
    price = models.Price(read, written, cached, stored, (most, models.Price(other, other)), reasoning, audio)
    assert price.of(usage) <= price.at_most(usage) + 1e-12


SERVERS = {
    "openai": OPENAI,
    "anthropic": "https://api.anthropic.com/v1",
    "google": "https://generativelanguage.googleapis.com/v1beta/openai",
    "openrouter": "https://openrouter.ai/api/v1",
    "deepseek": "https://api.deepseek.com/v1",
    "mistral": "https://api.mistral.ai/v1",
    "perplexity": "https://api.perplexity.ai",
    "x-ai": "https://api.x.ai/v1",
}


@pytest.mark.parametrize("provider", SERVERS)
def test_all_models_of_a_provider_cost_what_genai_prices_itself_computes(provider):
    """With tokens from the cache and into it, thoughts and sound; also where the prompt is long."""
    from genai_prices import Usage, calc_price
    from genai_prices.data_snapshot import get_snapshot

    found = next(one for one in get_snapshot().providers if one.id == provider)
    compared = 0
    for model in found.models:
        price = list_price(model.id, SERVERS[provider])
        if price is None:
            continue
        for read in (1000, 300_000):
            usage = models.Usage(read, 500, cached=200, stored=0, reasoning=300, audio=100 * (price.audio is not None))
            counted = {"input_tokens": read, "output_tokens": 500, "cache_read_tokens": 200, "output_reasoning_tokens": 300}
            counted |= {"input_audio_tokens": usage.audio, "cache_audio_read_tokens": 0} if usage.audio else {}
            theirs = calc_price(Usage(**counted), model.id, provider_id=provider).total_price
            assert price.of(usage) == pytest.approx(float(theirs), rel=1e-9), (model.id, read)
        compared += 1
    assert compared > 2


@pytest.mark.parametrize("beyond", [(0, models.FREE), (5,), (5, 3.0), 7, (-1, models.FREE)])
def test_a_price_of_long_prompts_that_is_none_is_refused(beyond):
    with pytest.raises(hw.UsageError, match=r"Price\(beyond="):
        models.Price(1, 2, beyond=beyond)


def test_without_the_list_there_are_no_list_prices(monkeypatch):
    for name in ("genai_prices", "genai_prices.data_snapshot"):
        monkeypatch.setitem(sys.modules, name, None)
    assert list_price("gpt-4o") is None


def test_an_endpoint_has_the_price_of_its_server():
    def priced(url: str) -> models.Price | None:
        return price_of(models.Endpoint("gpt-4o", base_url=url, api_key="sk-none"))

    assert priced(OPENAI) == models.Price(2.5, 10, cached=1.25)
    assert priced("http://localhost:8000/v1") is None


def test_a_model_s_own_price_comes_before_the_list_and_this_process_is_free():
    assert price_of(StandInModel("gpt-4o", price=models.Price(1, 2))) == models.Price(1, 2)
    assert price_of(StandInModel("gpt-4o", price=None)) == list_price("gpt-4o")
    assert price_of(StandInModel("nobody-knows", price=None)) is None
    assert price_of(StandInBatchModel("gpt-4o")) == models.FREE


@given(st.integers(0, 10_000), st.lists(st.integers(0, 500), min_size=1, max_size=20))
def test_a_total_is_shared_without_a_rest_and_in_order(total, counted):
    parts = split(total, counted)
    assert sum(parts) == total
    assert all(part >= 0 for part in parts)
    if any(counted):
        assert all(abs(part - total * count / sum(counted)) < 1 for part, count in zip(parts, counted, strict=True))


@given(st.lists(st.tuples(st.integers(0, 2), st.text(max_size=3), st.integers(0, 3)), max_size=30), st.integers(0, 200) | st.none())
def test_whatever_the_pieces_the_reply_holds_all_of_them(pieces, total):
    made = ReplyCollector(3, prompt_bound=50)
    for index, text, tokens in pieces:
        made.add(models.Piece(text, index, None, tokens))
    assert made.usage == models.Usage(50, sum(tokens for _, _, tokens in pieces))
    for index in range(3):
        made.add(models.Piece(index=index, finish="stop"))
    if total is not None:
        made.add(models.Piece(usage=models.Usage(7, total)))
    reply = made.reply("m")
    assert [one.text for one in reply.samples] == ["".join(text for at, text, _ in pieces if at == index) for index in range(3)]
    assert reply.tokens == made.usage.tokens
    assert made.usage.read == (50 if total is None else 7)


@given(st.lists(st.tuples(st.text(max_size=3), st.sampled_from(["stop", "length"]), st.integers(0, 9)), min_size=1, max_size=4))
def test_a_reply_that_is_handed_out_in_pieces_is_the_same_reply(samples):
    made = tuple(models.Sample(text, n, finish, -0.5 * n if n else None, (-0.5,) * n) for text, finish, n in samples)
    reply = models.Reply(made, 7, "m")
    collected = ReplyCollector(len(made), prompt_bound=50)
    for piece in pieces_of(reply):
        collected.add(piece)
    assert collected.reply("m") == reply


def test_what_the_backend_counted_last_counts():
    made = ReplyCollector(1, prompt_bound=50)
    assert made.usage == models.Usage(50, 0)
    made.add(models.Piece("a", tokens=1, usage=models.Usage(7, 0)))  # it knows what it read, and not yet what it writes
    made.add(models.Piece("b", tokens=1))
    assert made.usage == models.Usage(7, 2)
    for written in (5, 9):
        made.add(models.Piece("c", tokens=1, usage=models.Usage(7, written)))
    assert made.usage == models.Usage(7, 9)


def test_a_stream_that_ends_before_all_of_its_samples_is_no_reply():
    made = ReplyCollector(3, prompt_bound=50)
    made.add(models.Piece("a", 1, "stop", 1))
    with pytest.raises(hw.ModelUnavailable, match="m: the stream ended before 2 of 3 samples did"):
        made.reply("m")


def test_importing_models_needs_no_extra():
    extras = "{'openai', 'genai_prices', 'torch', 'xllamacpp', 'starlette', 'numpy'}"
    code = f"import sys; from headway import models; print({extras} & {{*sys.modules}})"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "set()\n"
