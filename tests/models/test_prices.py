"""Prices are data, and what is shared adds up."""

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
import headway.models.openai.protocol
import headway.models.prices
from headway import models
from headway.models.collect import Collected, shared
from headway.models.prices import list_price, price_of
from headway.models.streaming import pieces_of


@pytest.mark.parametrize("module", [headway.models.collect, headway.models.prices, headway.models.openai.protocol])
def test_the_examples_hold(module):
    ran = doctest.testmod(module)
    assert ran.attempted > 0
    assert ran.failed == 0


def test_every_listed_price_is_found_by_a_name_and_the_first_that_fits_counts():
    for pattern, price in models.PRICES.items():
        assert list_price(pattern.replace("*", "25-01-01")) == price
    assert list_price("gpt-4o-mini") != list_price("gpt-4o") != list_price("gpt-4o-2024-05-13")
    assert list_price("gpt-4o-audio-preview") is None
    assert list_price("mine-7b", {"mine*": models.FREE}) == models.FREE


def test_a_model_s_own_price_comes_before_the_list_and_this_process_is_free():
    assert price_of(StandInModel("gpt-4o", price=models.Price(1, 2))) == models.Price(1, 2)
    assert price_of(StandInModel("gpt-4o", price=None)) == models.PRICES["gpt-4o"]
    assert price_of(StandInModel("nobody-knows", price=None)) is None
    assert price_of(StandInBatchModel("gpt-4o")) == models.FREE


@given(st.integers(0, 10_000), st.lists(st.integers(0, 500), min_size=1, max_size=20))
def test_a_total_is_shared_without_a_rest_and_in_order(total, counted):
    parts = shared(total, counted)
    assert sum(parts) == total
    assert all(part >= 0 for part in parts)
    if any(counted):
        assert all(abs(part - total * count / sum(counted)) < 1 for part, count in zip(parts, counted, strict=True))


@given(st.lists(st.tuples(st.integers(0, 2), st.text(max_size=3), st.integers(0, 3)), max_size=30), st.integers(0, 200) | st.none())
def test_whatever_the_pieces_the_reply_holds_all_of_them(pieces, total):
    made = Collected(3, prompt_bound=50)
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
    collected = Collected(len(made), prompt_bound=50)
    for piece in pieces_of(reply):
        collected.add(piece)
    assert collected.reply("m") == reply


def test_what_the_backend_counted_last_counts():
    made = Collected(1, prompt_bound=50)
    assert made.usage == models.Usage(50, 0)
    made.add(models.Piece("a", tokens=1, usage=models.Usage(7, 0)))  # it knows what it read, and not yet what it writes
    made.add(models.Piece("b", tokens=1))
    assert made.usage == models.Usage(7, 2)
    for written in (5, 9):
        made.add(models.Piece("c", tokens=1, usage=models.Usage(7, written)))
    assert made.usage == models.Usage(7, 9)


def test_a_stream_that_ends_before_all_of_its_samples_is_no_reply():
    made = Collected(3, prompt_bound=50)
    made.add(models.Piece("a", 1, "stop", 1))
    with pytest.raises(hw.ModelUnavailable, match="m: the stream ended before 2 of 3 samples did"):
        made.reply("m")


def test_importing_models_needs_no_extra():
    code = "import sys; from headway import models; print({'openai', 'torch', 'xllamacpp', 'starlette', 'numpy'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "set()\n"
