"""Hogwild!: what workers see, how much they repeat, and that a killed board goes on with the same views."""

from __future__ import annotations

from statistics import fmean
from typing import Any

import pytest
from board import rate, work
from teammates import Talker, check_nothing_ran_again, turns

import headway as hw
from headway.errors import ModelError, UsageError
from headway.methods.plan import teams
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash


def test_the_more_often_they_look_up_the_less_they_repeat_and_far_less_than_who_see_nothing():
    seeds = range(2)
    often, rarely = (fmean(rate(seed, poll) for seed in seeds) for poll in (24, 160))
    finished = fmean(rate(seed, 24, "finished") for seed in seeds)
    alone = fmean(rate(seed, 160, "nothing") for seed in seeds)
    assert often < rarely < alone
    assert often < finished, "steps that are not finished say what is taken"


def test_who_looks_up_sees_the_history_the_others_and_its_own(go):
    seen: list[teams.Sight] = []

    async def write(question: str, sight: teams.Sight) -> teams.Wrote:
        seen.append(sight)
        await hw.sleep(1.0 + 0.5 * sight.worker)
        return teams.Wrote("x" * sight.poll, sight.poll, "ended" if sight.turn % 2 else "open")

    @hw.task(name="teams.tests.sights")
    async def program() -> teams.Board:
        return await teams.hogwild("Go.", [write, write], poll=3, turns=6, check_after=6)

    board = go(program)
    third = seen[2]  # worker 0 looks up after a second: worker 1 has told nothing yet
    assert (third.worker, third.own, third.others, third.history) == (0, "xxx", (), ())
    fourth = seen[3]
    assert (fourth.worker, fourth.own, fourth.others) == (1, "xxx", (teams.Step(0, "xxx"),))
    assert seen[4].history == (teams.Step(0, "xxxxxx"),)
    assert board.stopped == "turns"
    assert board.tokens == (9, 9)
    assert board.text == "xxxxxx\n\nxxxxxx" or len(board.history) == 2


def test_who_has_written_long_is_asked_and_what_repeats_work_is_dropped(go):
    async def write(question: str, sight: teams.Sight) -> teams.Wrote:
        await hw.sleep(1)
        if sight.check:
            return teams.Wrote("", 0, "drops")
        return teams.Wrote("ab", 2, "done" if sight.turn == 6 else "open")

    @hw.task(name="teams.tests.asked")
    async def program() -> teams.Board:
        return await teams.hogwild("Go.", [write], check_after=5)

    board = go(program)
    assert board.dropped == (teams.Step(0, "ababab"),)
    assert board.answer == teams.Step(0, "ababab")
    assert board.stopped == "done"


def test_a_worker_that_fails_leaves_and_the_others_go_on(go):
    async def fail(question: str, sight: teams.Sight) -> teams.Wrote:
        raise ModelError("I am lost")

    async def write(question: str, sight: teams.Sight) -> teams.Wrote:
        return teams.Wrote("a", 1, "done" if sight.turn else "ended")

    @hw.task(name="teams.tests.lost")
    async def program(alone: bool) -> teams.Board:
        return await teams.hogwild("Go.", [fail] if alone else [fail, write])

    board = go(program, False)
    assert board.answer is not None
    assert [str(error) for error in board.errors] == ["I am lost"]
    with pytest.raises(ModelError, match="I am lost"):
        hw.testing.run(program, True, store=None)


@pytest.mark.parametrize(("bounds", "stopped"), [({"tokens": 50}, "budget"), ({"seconds": 4.5}, "deadline")])
def test_a_bound_ends_it_with_what_is_on_the_board(go, bounds, stopped):
    @hw.task(name="teams.tests.costly", cost={"tokens": 8})
    async def write(question: str, sight: teams.Sight) -> teams.Wrote:
        await hw.sleep(1)
        hw.charge(tokens=8)
        return teams.Wrote("a", 8, "ended")

    @hw.task(name="teams.tests.bounded_board")
    async def program() -> teams.Board:
        scope = hw.budget(tokens=bounds["tokens"]) if "tokens" in bounds else hw.deadline(seconds=bounds["seconds"])
        with scope:
            return await teams.hogwild("Go.", [write, write])

    board = go(program)
    assert board.stopped == stopped
    assert 4 <= len(board.history) <= 8


def test_it_is_killed_at_any_record_and_goes_on_with_the_same_views():
    @hw.task(name="teams.tests.board_killed")
    async def program() -> teams.Board:
        return await work(1, 96, "all")

    whole = History(1, STEADY)
    undisturbed = whole.live(program)
    total = len(whole.rows())
    for after in range(3, total, total // 3):
        history = History(1, STEADY)
        assert history.live(program, crash=Crash(after, "after")).how == "died"
        assert history.live(program).how == "returned"
        history.check()
        check_nothing_ran_again(history)
    assert undisturbed.how == "returned"


def test_a_model_writes_on_where_it_was_says_whether_it_repeats_and_ends_over_the_wire(desk):
    @hw.task(name="teams.tests.board_of_models")
    async def program() -> teams.Board:
        return await teams.hogwild("6 * 7 by hogs?", [teams.ModelWriter(desk)] * 2, poll=4)

    board = hw.run(program, store=None, progress=False)
    assert board.answer is not None
    assert "\\boxed{42}" in board.answer.text
    assert len(board.history) >= 2


def test_settings_that_make_no_sense_are_refused_before_anything_is_written():
    writer = teams.ModelWriter(Talker(turns("Yes.")))

    def run(writers: Any, question: Any = "Go.", **options: Any) -> Any:
        @hw.task(name="teams.tests.no_board")
        async def program() -> Any:
            return await teams.hogwild(question, writers, **options)

        return hw.run(program, store=None, progress=False)

    for writers, options, says in [
        ([], {}, "at least one worker"),
        (None, {}, "at least one worker"),
        ([3], {}, "writers=3"),
        ([writer], {"poll": 0}, "poll=0"),
        ([writer], {"check_after": 0}, "check_after=0"),
        ([writer], {"turns": 0}, "turns=0"),
        ([writer], {"question": ""}, "question="),
    ]:
        with pytest.raises(UsageError, match=says):
            run(writers, **options)
    with pytest.raises(UsageError, match="temperature=nan"):
        teams.ModelWriter(Talker(turns("Yes.")), temperature=float("nan"))
