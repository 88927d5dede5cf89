"""What earlier runs have shown: read from a store, kept in a file, believed."""

from __future__ import annotations

from random import Random

import pytest
from spenders import spend

import headway as hw
from headway.methods import allocate
from headway.methods.allocate import Recorded, Row, believe, read_outcomes
from headway.methods.estimate import Outcomes
from headway.methods.records import Action, Observation


def seen(rate: float, count: int, seed: int) -> list[Observation]:
    draw = Random(seed)
    return [Observation("s", "c", draw.random() < rate, {"tokens": 10 * draw.random()}, draw.random()) for _ in range(count)]


def test_outcomes_of_earlier_runs_are_read_from_the_store(go, tmp_path):
    for run_id in ("first", "second"):
        go(spend, "seq", 1e6, 1e6, run_id=run_id)
    ran = go(spend, "seq", 1e6, 1e6, run_id="second")
    store = tmp_path / "store"
    both, one = read_outcomes(store), read_outcomes(store, run_ids=["second"])
    assert sorted(one, key=repr) == sorted(ran.observations, key=repr)
    assert len(both) == 2 * len(one)
    assert read_outcomes(store, task="another") == []
    table = Recorded.of(both)
    assert {step for step, _ in table.rows} == {"a", "b", "c", "d"}
    belief = believe(Outcomes(), both).predict(Action("a", "small"))
    assert belief.observations == len(table.of_step("a", "small"))


def test_calls_of_another_task_are_read_as_the_caller_says(go, tmp_path):
    @hw.task(cost={"tokens": 3})
    async def ask(name: str) -> bool:
        return name == "b"

    @hw.task
    async def program() -> list[bool]:
        return await hw.gather(ask("a"), ask("b"))

    go(program)
    found = read_outcomes(
        tmp_path / "store",
        of="ask",
        read=lambda call: [Observation(call.arguments["name"], "", call.value, {"tokens": call.cost["tokens"]})],
    )
    assert {(each.step, each.ok, each.cost["tokens"]) for each in found} == {("a", False, 3.0), ("b", True, 3.0)}
    with pytest.raises(hw.UsageError, match="say with read="):
        read_outcomes(tmp_path / "store", of="ask")


def test_a_table_comes_back_from_its_file_as_it_was(tmp_path):
    table = Recorded.of(
        [Observation("s", "c", ok, {"tokens": 12.5, "money": 0.25}, 1.25) for ok in (True, False)] + [Observation("t", "", True)],
        "made by a test",
    )
    table.save(tmp_path / "t.json")
    again = Recorded.load(tmp_path / "t.json")
    assert again.provenance == "made by a test"
    assert again.of_step("s", "c") == table.of_step("s", "c")
    assert again.of_step("t", "") == (Row(True, {"money": 0.0, "tokens": 0.0}, 0.0),)


def test_a_file_that_is_no_table_is_refused(tmp_path):
    (tmp_path / "t.json").write_text("[1]")
    for name in ("t.json", "none.json"):
        with pytest.raises(hw.UsageError, match=r"json is no table of outcomes"):
            Recorded.load(tmp_path / name)


def test_an_estimator_without_data_says_so():
    with pytest.raises(hw.UsageError, match="there are no outcomes to estimate from"):
        Recorded.of([])
    with pytest.raises(hw.UsageError, match="there are no outcomes to estimate from"):
        Recorded.of([Observation("s", "c")])
    with pytest.raises(hw.UsageError, match="no outcome of choice 'd' to estimate from; there are of: 'c'"):
        Recorded.of(seen(0.5, 3, 1)).predict(Action("s", "d"))


def test_a_step_that_was_not_seen_is_believed_to_do_as_others_with_the_same_choice():
    table = Recorded.of(seen(0.5, 20, 1))
    assert table.predict(Action("new", "c")) == table.predict(Action("s", "c"))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_it_predicts_is_what_more_of_the_same_brings(seed):
    belief = Recorded.of(seen(0.3, 400, seed)).predict(Action("s", "c", 4))
    assert belief.success.mean == pytest.approx(1 - 0.7**4, abs=0.08)
    assert belief.cost["tokens"].mean == pytest.approx(20, rel=0.1)
    assert belief.seconds.mean == pytest.approx(0.8, abs=0.03), "the largest of four uniform draws"


def test_its_bounds_hold_the_rate_of_success_about_as_often_as_they_say():
    beliefs = [Recorded.of(seen(0.3, 40, seed)).predict(Action("s", "c", 4)).success for seed in range(60)]
    held = sum(belief.low < 1 - 0.7**4 < belief.high for belief in beliefs)
    assert 0.7 * 60 <= held <= 0.92 * 60


def test_observing_gives_another_table_and_leaves_the_first():
    table = Recorded.of(seen(0.5, 5, 1))
    more = table.observe(Observation("s", "d", True))
    assert len(more.of_step("s", "d")) == 1
    assert ("s", "d") not in table.rows
    assert table.observe(Observation("s", "c")) is table
    estimator: allocate.Recorded = believe(table, seen(0.5, 5, 2))
    assert len(estimator.of_step("s", "c")) == 10
