"""DRQA: questions share one quota; what is left over goes to those that are open."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from typing import Any

import pytest
from agents_at_work import BEGAN, drawn
from hypothesis import given
from hypothesis import strategies as st

import headway as hw
from headway.methods.allocate import agents
from headway.methods.allocate.agents import Answered, share_quota, worth_asking
from headway.methods.records import Candidate
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash

QUESTIONS = [100, 5, 10, 10, 5, 30]


@pytest.fixture(autouse=True)
def _nothing_began() -> None:
    BEGAN.clear()


@hw.task
async def ask(batch: list[int], tokens: int, index: int) -> list[Candidate[int] | None]:
    """An answer takes as many tokens as its number says; one that doesn't fit takes its share all the same."""
    BEGAN.append((tuple(batch), tokens, index))
    await asyncio.sleep(1 + drawn(*batch).random())
    left, answers = tokens, list[Candidate[int] | None]()
    for place, number in enumerate(batch):
        share = left // (len(batch) - place)
        answers.append(Candidate(number, number if number <= share else None, min(number, share)))
        left -= min(number, share)
    hw.charge(tokens=tokens - left)
    return answers


@hw.task
async def ask_all(quota: int, seconds: float = 1e6) -> Answered[int]:
    with hw.deadline(seconds=seconds):
        return await agents.drqa(QUESTIONS, ask, quota=quota, width=3)


def test_what_is_left_over_goes_to_those_that_are_open(go):
    found = go(ask_all, 260)
    assert sorted(found.answers) == [0, 1, 2, 3, 4, 5]
    assert found.rounds == 2
    assert BEGAN == [((100, 5, 10), 130, 0), ((10, 5, 30), 130, 1), ((100,), 157, 2)]


def test_it_spends_no_more_than_its_quota_and_does_not_ask_in_vain(go):
    @hw.task
    async def program() -> Any:
        with hw.budget(tokens=1000) as book:
            found = await agents.drqa(QUESTIONS, ask, quota=90, width=3)
        return found, book.spent["tokens"]

    found, spent = go(program)
    assert spent == 75
    assert sorted(found.answers) == [1, 2, 3, 4, 5]
    assert found.stopped == "done"
    assert len(BEGAN) == 2, "what is left would give it no more than it had"


@given(st.floats(0, 1e4), st.dictionaries(st.integers(0, 20), st.floats(0, 1000), max_size=8))
def test_who_is_asked_again_gets_more_than_it_had_and_nobody_else_would(left, had):
    again = worth_asking(left, had)
    assert all(left / len(again) > had[place] and left / len(again) >= 1 for place in again)
    if len(again) < len(had):
        more = min((place for place in had if place not in again), key=had.__getitem__)
        share = left // (len(again) + 1)
        assert any(share <= had[place] for place in [*again, more])


def test_part_of_a_token_is_no_reason_to_ask_again():
    assert worth_asking(10.5, {0: 10.0}) == []
    assert worth_asking(11.0, {0: 10.0}) == [0]


@given(st.floats(0, 1e6), st.lists(st.integers(1, 50), min_size=1, max_size=9))
def test_shares_are_whole_add_up_and_go_by_size(left, sizes):
    shares = share_quota(left, sizes)
    assert sum(shares) == math.floor(left)
    for share, size in zip(shares, sizes, strict=True):
        assert abs(share - math.floor(left) * size / sum(sizes)) <= 1


def test_an_answer_that_is_not_accepted_is_asked_again_and_a_batch_may_fail(go):
    @hw.task
    async def moody(batch: list[int], tokens: int, index: int) -> list[Candidate[int] | None]:
        hw.charge(tokens=1)
        if index == 0:
            raise hw.ModelError("busy")
        return [Candidate(index, index, 1) for _ in batch]

    @hw.task
    async def program() -> Any:
        return await agents.drqa([1, 2, 3], moody, quota=500, width=1, accept=lambda candidate: candidate.value != 1)

    found = go(program)
    assert {place: answer.value for place, answer in found.answers.items()} == {0: 3, 1: 4, 2: 2}
    assert [str(error) for error in found.errors] == ["busy"]


def test_it_ends_with_its_deadline_and_with_what_it_has(go):
    found = go(ask_all, 260, 2.5)
    assert found.stopped == "deadline"
    assert sorted(found.answers) == [1, 2, 3, 4, 5]


@hw.task
async def write_in_turn(batch: list[int], tokens: int, index: int) -> list[Candidate[int] | None]:
    """As `ask`, but it pays for each answer as it is written."""
    left, answers = tokens, list[Candidate[int] | None]()
    for place, number in enumerate(batch):
        used = min(number, left // (len(batch) - place))
        await asyncio.sleep(1 + drawn(number, tokens).random())
        hw.charge(tokens=used)
        answers.append(Candidate(number, number if used == number else None, used))
        left -= used
    return answers


@hw.task(cost={"tokens": 45})
async def write_reserved(batch: list[int], tokens: int, index: int) -> list[Candidate[int] | None]:
    """As `write_in_turn`, of 45 tokens at most, which it reserves."""
    return await write_in_turn.fn(batch, min(tokens, 45), index)


@hw.task
async def write_all(quota: int, reserved: bool) -> tuple[Answered[int], float]:
    with hw.budget(tokens=quota) as book:
        found = await agents.drqa(QUESTIONS, write_reserved if reserved else write_in_turn, quota=quota, width=3)
    return found, book.spent["tokens"]


def die_everywhere(program: Any, *asked: Any) -> Iterator[tuple[History, Any, Any]]:
    """Lives in which the program died after each of its records and was resumed, what that came to, and what it comes to alone."""
    whole = History(1, STEADY)
    undisturbed = whole.live(program, *asked)
    for after_row in range(1, len(whole.rows())):
        history = History(1, STEADY)
        assert history.live(program, *asked, crash=Crash(after_row, "after")).how == "died"
        yield history, history.live(program, *asked).value, undisturbed.value


def test_one_that_dies_anywhere_ends_the_same():
    for history, found, undisturbed in die_everywhere(ask_all, 600):
        assert found.answers == undisturbed.answers
        history.check()


@pytest.mark.parametrize(("quota", "rounds", "spent"), [(90, 1, 75), (157, 2, 157), (200, 2, 193)])
def test_one_that_dies_anywhere_under_a_tight_quota_ends_the_same(quota, rounds, spent):
    """What a lost call had charged without reserving it is not counted twice."""
    for history, found, undisturbed in die_everywhere(write_all, quota, False):
        assert found == undisturbed
        assert (found[0].rounds, found[1]) == (rounds, spent)
        history.check()


@pytest.mark.parametrize("quota", [157, 200])
def test_what_a_crash_costs_is_missing_to_its_own_batch_alone(quota):
    """What a lost call had reserved counts as spent. Where it can't be made again, the others go on within the quota."""
    short = 0
    for history, (found, spent), (undisturbed, _) in die_everywhere(write_all, quota, True):
        assert spent <= quota
        assert found.answers
        assert found.answers.items() <= undisturbed.answers.items()
        short += len(found.answers) < len(undisturbed.answers) or found.stopped == "budget"
        history.check()
    assert short, "the quota is too loose to tell"


def test_more_questions_are_answered_than_one_by_one_under_the_same_quota():
    from benchmarks.methods import allocate_steps as rows

    for seed in range(3):
        for measure in (rows.measure_drqa_shared, rows.measure_drqa_pooled, rows.measure_drqa_equal):
            ours, theirs = measure(seed)
            assert ours > theirs


# --- bad input -------------------------------------------------------------------------------------------------------


async def _few(batch: list[int], tokens: int, index: int) -> list[Any]:
    return [None]


def _ask(**changed: Any) -> Any:
    given = {"questions": [1, 2], "ask": _few, "quota": 10, **changed}
    return asyncio.run(agents.drqa(given.pop("questions"), given.pop("ask"), **given))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: _ask(), r"gave \[None\] for 2 questions: an answer or None for each"),
        (lambda: _ask(questions=[]), "a list of at least one"),
        (lambda: _ask(questions="why?"), "a list of at least one"),
        (lambda: _ask(ask=None), "ask=None"),
        (lambda: _ask(accept=3), "accept=3"),
        (lambda: _ask(quota=0), "quota=0"),
        (lambda: _ask(quota=math.nan), "quota=nan"),
        (lambda: _ask(width=0), "width=0"),
        (lambda: share_quota(math.nan, [1]), "left=nan"),
        (lambda: share_quota(10, []), "at least one batch"),
        (lambda: share_quota(10, [0]), "size_0=0"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(make, said):
    with pytest.raises(hw.UsageError, match=said):
        make()
