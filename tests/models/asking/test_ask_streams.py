"""Streams of a model: heard as they are made, replayed in one piece, booked when they are left."""

from __future__ import annotations

import gc
from contextlib import aclosing

import pytest
from questions import QUESTION, Breaks, unavailable
from standins import StandInBatchModel, StandInModel

import headway as hw
from headway import models
from headway.models.streaming import _PieceQueue


def test_a_stream_is_heard_as_it_is_made_and_replayed_in_one_piece(go, clock):
    model = StandInModel(pause_s=1.0)

    @hw.task
    async def program() -> list[tuple[str, float]]:
        heard = []
        async for piece in models.stream(model, "a b c"):
            if piece.text:
                heard.append((piece.text, clock.elapsed))
        if len(model.asked) == 1:
            model.asked.append(model.asked[0])
            raise LookupError(f"{len(heard)} pieces, the first at {heard[0][1]:.0f} s")
        return heard

    with pytest.raises(LookupError, match="3 pieces, the first at 1 s"):
        go(program)
    (whole,) = go(program)
    assert whole[0] == " c b a"
    assert len(model.asked) == 2


def test_a_stream_that_is_over_leaves_nothing_behind(go):
    model = StandInModel()

    @hw.task
    async def program() -> int:
        for number in range(3):
            async for _ in models.stream(model, f"{QUESTION} {number}"):
                pass
        return 1

    assert go(program) == 1
    gc.collect()
    assert not [each for each in gc.get_objects() if type(each) is _PieceQueue]


def test_leaving_a_stream_stops_the_model(go):
    model = StandInModel(pause_s=1.0)

    @hw.task
    async def program() -> str:
        async with aclosing(models.stream(model, "a b c")) as pieces:
            async for piece in pieces:
                return piece.text
        return ""

    assert go(program) == " c"
    assert (model.stopped, model.now) == (1, 0)


def test_what_a_stream_cost_is_booked_when_its_loop_has_been_left(go):
    @hw.task
    async def program() -> tuple[float, float]:
        with hw.budget(tokens=100) as spent:
            async with aclosing(models.stream(StandInModel(pause_s=1.0), "a b c", max_tokens=50)) as pieces:
                await anext(pieces)
            return spent.spent["tokens"], hw.remaining("tokens")

    assert go(program) == (4, 96)


def test_a_stream_is_asked_for_again_until_it_has_begun_and_not_after(go):
    model = Breaks()
    model.failures = [unavailable(), unavailable()]

    @hw.task
    async def program() -> list[str]:
        heard = []
        with pytest.raises(hw.ModelUnavailable, match="broken off"):
            async for piece in models.stream(model, "a b"):
                heard.append(piece.text)
        return heard

    assert go(program) == [" b"]
    assert len(model.asked) == 3


def test_a_stream_that_is_refused_is_not_asked_for_again(go):
    model = StandInModel()
    model.failures = [hw.ModelError("400: no such thing"), hw.ModelError("400: no such thing")]

    @hw.task
    async def program() -> None:
        with pytest.raises(hw.ModelError, match="no such thing"):
            async for _ in models.stream(model, "a b"):
                pass

    go(program)
    assert len(model.asked) == 1


def test_a_stream_under_a_limit_of_one_does_not_wait_for_itself(go):
    @hw.task
    async def ask() -> str:
        return "".join([piece.text async for piece in models.stream(StandInModel(pause_s=0.1), "a b")])

    @hw.task
    async def program() -> list[str]:
        with hw.limit(1):
            return await hw.gather(ask(), ask())

    assert go(program) == [" b a", " b a"]


def test_a_stream_of_a_batch_model_has_a_piece_for_each_sample(go):
    @hw.task
    async def program() -> list[tuple[int, str, str | None]]:
        pieces = [piece async for piece in models.stream(StandInBatchModel(), "a", n=2)]
        return [(piece.index, piece.text, piece.finish) for piece in pieces if piece.text]

    assert go(program) == [(0, "A 1 0", "stop"), (1, "A 1 1", "stop")]
