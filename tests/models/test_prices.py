"""Prices are data, and what is shared adds up."""

from __future__ import annotations

import doctest
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standins import StandInBatchModel, StandInModel

import headway.models.collect
import headway.models.prices
import headway.models.protocol
from headway import models
from headway.models.collect import Collected, shared
from headway.models.prices import list_price, price_of


@pytest.mark.parametrize("module", [headway.models.collect, headway.models.prices, headway.models.protocol])
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


def test_importing_models_needs_no_extra():
    code = "import sys; from headway import models; print({'openai', 'torch', 'xllamacpp', 'starlette', 'numpy'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "set()\n"
