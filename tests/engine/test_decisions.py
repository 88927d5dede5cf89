"""Records of decisions: every kind comes back as it was, and is told from the others by the first bytes of its row."""

import typing

import pytest

from headway.journal.decisions import (
    Afforded,
    Arrival,
    BlockEnded,
    BudgetOpened,
    Chosen,
    DeadlineLeft,
    DeadlineOpened,
    Decision,
    Event,
    EventLimit,
    EventsGivenBack,
    Item,
    Kept,
    Moved,
    NextCall,
    Now,
    Remaining,
    Sleep,
    Start,
    StartedEnded,
    Stopped,
    StreamEnd,
    TimeLeft,
    Told,
    Waits,
    WaitsOver,
    Winner,
    decision_key,
    decode_decision,
    encode_decision,
    is_told,
    name_asked_again,
    name_given_back,
    name_left,
    name_waited_for,
)
from headway.journal.records import Charge, Error, Outcome, Place, Signal

KEY, OTHER = b"k" * 16, b"o" * 16
TOLD = [
    Winner(3),
    Arrival(70_000),
    NextCall(KEY),
    Now(1.5),
    Sleep(float("inf")),
    BudgetOpened(b"", {"tokens": 5.0}),
    DeadlineOpened(9.0),
    DeadlineLeft("failed", 70_000),
    Remaining({"tokens": 1.0}, {KEY: {"tokens": 2.0}, OTHER: {}}),
    TimeLeft(-1.0),
    EventLimit(2.0),
    Event(None),
    Event(Signal(7, "approve", b"\xc3", 3.0)),
    EventsGivenBack((KEY, OTHER)),
    Waits(KEY, "approve", None, "ask('sky')"),
    WaitsOver(KEY),
    Afforded((0, 2)),
    BlockEnded("budget", (Kept("best", 2, b"\xc3"), Kept(1, 1, b""))),
    Moved(Place(KEY, 1, b"branch", 2, 3, (4, 5))),
    Chosen("retry", (Start("sort", "small", 4, "cheapest"),)),
    Item(3, b"\xc0"),
    Item(70_000, b"", (KEY, KEY)),
    StreamEnd(70_000),
    StartedEnded(2),
    StartedEnded(-1),
    Stopped("lost", None, 7, (KEY,), 1.5, 0),
    Stopped("timed out", Error("ValueError", "late"), 7, (), 1.5, 2),
]
KINDS = typing.get_args(Told)


def test_every_kind_of_decision_is_tried_here():
    assert {type(told) for told in TOLD} == set(KINDS)


@pytest.mark.parametrize("told", TOLD, ids=lambda told: told.kind)
def test_a_decision_comes_back_as_it_was(told):
    assert decode_decision(encode_decision(Decision(told, 12.5))) == Decision(told, 12.5)


@pytest.mark.parametrize("told", TOLD, ids=lambda told: told.kind)
def test_the_kind_of_a_decision_is_seen_without_decoding_it(told):
    body = encode_decision(Decision(told, 12.5))
    assert [kind for kind in KINDS if is_told(body, kind)] == [type(told)]
    assert is_told(body, *KINDS)


def test_no_other_row_looks_like_a_decision():
    for body in (Outcome("race", "", 0, 1.0, 2.0), Charge("race", KEY, {})):
        assert not is_told(encode_decision(body), *KINDS)


def test_the_names_of_decisions_differ_in_all_that_they_are_made_of():
    names = {
        decision_key(KEY, 0, "race", b"x"),
        decision_key(OTHER, 0, "race", b"x"),
        decision_key(KEY, 1, "race", b"x"),
        decision_key(KEY, 0, "order", b"x"),
        decision_key(KEY, 0, "race", b"y"),
        decision_key(KEY, 0, "race", b"x", 1),
        name_asked_again(KEY),
        name_waited_for(KEY),
        name_given_back(KEY),
        name_left(KEY),
    }
    assert len(names) == 10
