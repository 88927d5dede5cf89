"""CogWriter: units get their length, both loops end, a killed text goes on, and a model is asked over the wire."""

from __future__ import annotations

from typing import Any

import pytest
from teammates import Talker, check_nothing_ran_again, turns
from writing import NoisyAuthor

import headway as hw
from headway.errors import ModelError, UsageError
from headway.methods.plan import teams
from headway.methods.plan.teams import Unit
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash


@hw.task(name="teams.tests.compose")
async def compose(seed: int, asks: float, seconds: float, noise: float) -> teams.Composed:
    with hw.budget(asks=asks), hw.deadline(seconds=seconds):
        return await teams.cogwriter("A book", NoisyAuthor(seed, noise=noise))


def right(composed: teams.Composed) -> float:
    return sum(abs(each.length - each.unit.length) <= 0.1 * each.unit.length for each in composed.written) / len(composed.plan)


def test_units_get_their_length_where_one_pass_misses_it(go):
    edited = go(compose, 1, 1e6, 1e6, 0.15)
    once = hw.testing.run(one_pass, 1, store=None)
    assert right(edited) > 0.9 > 0.4 > right(once)
    assert all(each.length == len(each.text.split()) for each in edited.written)
    assert edited.text == "\n\n".join(each.text for each in edited.written)


@hw.task(name="teams.tests.one_pass")
async def one_pass(seed: int) -> teams.Composed:
    return await teams.cogwriter("A book", NoisyAuthor(seed), rounds=0)


def test_an_editor_that_never_comes_near_ends_after_its_rounds_and_the_nearest_text_stays(go):
    composed = go(compose, 2, 1e6, 1e6, 2.0)
    assert composed.stopped == "done"
    assert max(each.edits for each in composed.written) == 6
    stubborn = [each for each in composed.written if each.why == "rounds"]
    assert stubborn
    assert all(each.edits == 6 for each in stubborn)


@pytest.mark.parametrize("asks", [3, 14, 40])
def test_a_budget_ends_it_and_is_never_passed(go, asks):
    spent: dict[str, float] = {}

    @hw.task(name="teams.tests.bounded")
    async def program() -> teams.Composed:
        with hw.budget(asks=asks) as book:
            composed = await teams.cogwriter("A book", NoisyAuthor(3, noise=3.0))
        spent.update(book.spent)
        return composed

    composed = go(program)
    assert spent["asks"] <= asks
    assert composed.stopped == "budget"
    assert len(composed.written) + len(composed.missing) == 12
    assert len(composed.written) >= min(asks, 12) - 4, "what is written is kept"


def test_a_deadline_ends_it_with_what_there_is(go):
    composed = go(compose, 4, 1e6, 2.5, 2.0)
    assert composed.stopped == "deadline"
    assert composed.written


def test_what_can_not_be_read_is_written_again_and_at_last_missing(go):
    @hw.task(name="teams.tests.unreadable")
    async def program(unreadable: float) -> teams.Composed:
        return await teams.cogwriter("A book", NoisyAuthor(5, unreadable=unreadable), tries=3)

    often = go(program, 0.5)
    assert {each.tries for each in often.written} >= {1, 2}
    never = hw.testing.run(program, 1.0, store=None)
    assert (never.written, len(never.missing), never.stopped) == ((), 12, "done")


def test_an_author_that_fails_at_one_unit_does_not_lose_the_others(go):
    class Failing(NoisyAuthor):
        async def write(self, request: str, plan: list[Unit], unit: Unit, index: int) -> str:
            if unit.name == "unit 3":
                raise ModelError("no such chapter")
            return await super().write(request, plan, unit, index)

    @hw.task(name="teams.tests.failing")
    async def program() -> teams.Composed:
        return await teams.cogwriter("A book", Failing(6))

    composed = go(program)
    assert [unit.name for unit in composed.missing] == ["unit 3"]
    assert len(composed.errors) == 4


def test_it_is_killed_at_any_record_and_writes_nothing_twice():
    whole = History(1, STEADY)
    undisturbed = whole.live(compose, 7, 1e6, 100.0, 0.3)
    total = len(whole.rows())
    for after in range(2, total, total // 4):
        history = History(1, STEADY)
        assert history.live(compose, 7, 1e6, 100.0, 0.3, crash=Crash(after, "after")).how == "died"
        assert history.live(compose, 7, 1e6, 100.0, 0.3).value == undisturbed.value
        history.check(undisturbed.outcome)
        check_nothing_ran_again(history)


def test_a_model_plans_revises_writes_and_edits_over_the_wire(desk):
    @hw.task(name="teams.tests.by_model")
    async def program() -> teams.Composed:
        return await teams.cogwriter("A guide to Ghana", teams.ModelAuthor(desk))

    composed = hw.run(program, store=None, progress=False)
    assert [unit.name for unit in composed.plan] == ["Coast", "North"], "the revised plan is followed"
    assert [(each.text, each.edits) for each in composed.written] == [("so it is here really really", 2), ("so it is here", 2)]


def test_settings_and_plans_that_make_no_sense_are_refused():
    author = NoisyAuthor(1)

    class Planner(NoisyAuthor):
        def __init__(self, units: Any) -> None:
            super().__init__(1)
            self.units = units

        async def plan(self, request: str) -> Any:
            return self.units

    def run(author: Any, request: Any = "A book", **options: Any) -> Any:
        @hw.task(name="teams.tests.senseless")
        async def program() -> Any:
            return await teams.cogwriter(request, author, **options)

        return hw.run(program, store=None, progress=False)

    for options, says in [
        ({"tries": 0}, "tries=0"),
        ({"rounds": -1}, "rounds=-1"),
        ({"within": float("nan")}, "within=nan"),
        ({"measure": 3}, "measure=3"),
        ({"read": None}, "read=None"),
        ({"request": ""}, "request="),
    ]:
        with pytest.raises(UsageError, match=says):
            run(author, **options)
    with pytest.raises(UsageError, match="it has no plan"):
        run(object())
    for units, says in [([], "at least one"), ("abc", "a list of"), ([Unit("a", "b", 0)], "length=0")]:
        with pytest.raises(UsageError, match=says):
            run(Planner(units))
    with pytest.raises(UsageError, match="tokens_a_word=0"):
        teams.ModelAuthor(Talker(turns("Yes.")), tokens_a_word=0)
