"""A plan or a map under a policy: what is started and when, what a policy sees, how it ends, and what is refused."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from spenders import ASKED, BEGAN, PLAN, alone, attempt, spend, steady, watching
from typer.testing import CliRunner

import headway as hw
from headway.cli.app import app
from headway.journal.records import COSTED, Kind, Row, Status
from headway.journal.recovery.recovered import decode_outcome
from headway.methods import allocate
from headway.methods.graph import Graph, Node, after
from headway.methods.records import Action, Verdict
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash


@pytest.fixture(autouse=True)
def _nothing_was_seen() -> None:
    ASKED.clear()
    BEGAN.clear()


def test_a_plan_runs_in_its_order_until_every_step_has_a_result(go):
    ran = go(spend, "watching", 1e6, 1e6)
    assert ran.stopped == "done"
    assert set(ran.results) == {"a", "b", "c", "d"}
    works = [work for work, _, _ in BEGAN]
    assert works.index("yy") > max(place for place, work in enumerate(works) if work == "x")
    assert works.index("w") > max(place for place, work in enumerate(works) if work in ("yy", "z"))


def test_a_step_is_given_the_results_that_it_needs(go):
    @hw.task
    async def join(work: str, choice: str, index: int, given: dict[str, str]) -> str:
        return "".join([*given.values(), work])

    @hw.task
    async def program() -> Any:
        return await allocate.run_plan(PLAN, join, policy=allocate.Seq())

    assert go(program).results == {"a": "x", "b": "xyy", "c": "xz", "d": "xyyxzw"}


def test_a_policy_sees_what_is_recorded_and_nothing_else(go):
    ran = go(spend, "watching", 1e6, 1e6)
    first, *_, last = ASKED
    assert first.ready == ("a",)
    assert first.choices == {"a": ("small", "large")}
    assert (first.left["tokens"], first.left_s) == (1e6, pytest.approx(1e6, rel=0.02))
    assert last.ended == ran.observations[: len(last.ended)]
    spent = sum(each.cost["tokens"] for each in ran.observations)
    assert len(ran.observations) == len(BEGAN)
    assert 0 < spent < 30 * len(BEGAN)
    beside = next(view for view in ASKED if view.running)
    assert beside.running[0].reserved == {"tokens": 30}
    assert 0 < beside.running[0].seconds < 2.3
    assert beside.left["tokens"] == pytest.approx(1e6 - 30 - sum(each.cost["tokens"] for each in beside.ended))


def test_the_first_success_of_a_batch_stops_the_others(go):
    seen: list[int] = []

    @hw.task(cost={"tokens": 10})
    async def guess(item: str, choice: str, index: int) -> bool:
        await asyncio.sleep(1 + index)
        hw.charge(tokens=10)
        seen.append(index)
        return index == 1

    @hw.task
    async def program(cancel: bool) -> Any:
        with hw.budget(tokens=1000) as book:
            ran = await allocate.run_map(guess, ["q"], policy=allocate.Seq("", 5), cancel=cancel)
        return [each.ok for each in ran.observations], book.spent["tokens"]

    assert go(program, True) == ([False, True], 50), "those that were stopped are booked as they had reserved"
    assert seen == [0, 1]
    assert go(program, False, run_id="paper") == ([False, True, False, False, False], 50)


def test_what_is_good_is_what_accept_says(go):
    @hw.task
    async def verdict(item: str, choice: str, index: int) -> Verdict:
        return Verdict(None if index == 0 else index == 2)

    @hw.task
    async def program() -> Any:
        ran = await allocate.run_map(verdict, ["q"], policy=allocate.Seq())
        other = await allocate.run_map(verdict, ["q"], policy=allocate.Seq(), accept=lambda found: found.ok is False)
        return len(ran.observations), len(other.observations)

    assert go(program) == (3, 2)


def test_a_failure_that_may_happen_is_a_sample_that_did_not_succeed_and_another_fails_the_run(go):
    @hw.task
    async def fails(item: str, choice: str, index: int) -> str:
        if index < 2:
            raise hw.ModelError("busy") if item == "model" else ValueError("a bug")
        return "well"

    @hw.task
    async def program(item: str) -> Any:
        return (await allocate.run_map(fails, [item], policy=allocate.Seq("", 2))).results

    assert go(program, "model") == {0: "well"}
    with pytest.raises(ValueError, match="a bug"):
        go(program, "bug", run_id="bug")


@pytest.mark.parametrize(("bounds", "stopped"), [((70, 1e6), "budget"), ((1e6, 3.0), "deadline"), ((20, 1e6), "budget")], ids=str)
def test_a_bound_ends_it_with_what_is_done(go, bounds, stopped):
    ran = go(spend, "steady", *bounds)
    assert ran.stopped == stopped
    assert len(ran.results) < 4


def test_a_policy_that_starts_nothing_while_nothing_runs_gives_up(go):
    @hw.task
    async def program() -> Any:
        return await allocate.run_plan(PLAN, attempt, policy=lambda view, rng: [], choices=("small", "large"))

    ran = go(program)
    assert (ran.stopped, ran.results, len(ran.turns)) == ("gave up", {}, 1)


def test_a_batch_that_is_refused_while_others_run_is_asked_for_again_when_they_have_settled(go):
    @hw.task(cost={"tokens": 30})
    async def cheap(item: str, choice: str, index: int) -> int:
        await asyncio.sleep(1)
        hw.charge(tokens=10)
        return index

    @hw.task
    async def program() -> Any:
        with hw.budget(tokens=65):
            return await allocate.run_map(cheap, ["p", "q", "r"], policy=allocate.Seq())

    ran = go(program)
    assert ran.results == {0: 0, 1: 0, 2: 1}, "the third did not fit beside the reservations of the others"


def test_it_works_outside_of_a_run():
    ran = asyncio.run(allocate.run_map(_plain, [3, 1], policy=allocate.Seq("", 2)))
    assert (ran.results, ran.stopped) == ({0: 3, 1: 1}, "done")


async def _plain(item: int, choice: str, index: int) -> int | None:
    return item if index >= item else None


# --- bad input -------------------------------------------------------------------------------------------------------


def _asks(*actions: Any) -> Any:
    def mine(view: Any, rng: Any) -> Any:
        return actions[0] if len(actions) == 1 and not isinstance(actions[0], Action) else list(actions)

    return mine


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (_asks(Action("b", "small")), "policy 'mine': step 'b' is not ready; ready are: a"),
        (_asks(Action("a", "huge")), "policy 'mine': step 'a' has no choice 'huge'"),
        (_asks(Action("a", "small"), Action("a", "small")), "policy 'mine': step 'a' is started twice"),
        (_asks(None), "policy 'mine': it answered None: give a list of actions"),
        (_asks(Action("a", "small", 5000)), "policy 'mine': 5000 samples of step 'a' at once: at most 4096"),
    ],
)
def test_what_a_policy_may_not_answer_is_refused_before_anything_is_spent(go, policy, said):
    @hw.task
    async def program() -> None:
        await allocate.run_plan(PLAN, attempt, policy=policy, choices=("small", "large"))

    with pytest.raises(hw.UsageError, match=said):
        go(program)
    assert not BEGAN


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"policy": "greedy"}, "policy='greedy'"),
        ({"policy": allocate.Seq}, "policy=Seq: a policy, not its class"),
        ({"graph": [1]}, "graph="),
        ({"graph": Graph((Node("a", 1), Node("b", 2, after("a", on="failure"))))}, "'b' needs 'a' on 'failure'"),
        ({"choices": "small"}, "choices='small' of step 'a': a list of names"),
        ({"choices": ()}, "at least one name"),
        ({"choices": ("s", "s")}, "none twice"),
        ({"choices": {"e": ("s",)}}, "names 'e', which is no step"),
        ({"errors": "all"}, "errors='all'"),
        ({"attempt": 3}, "attempt=3"),
    ],
)
def test_senseless_arguments_are_refused_in_a_sentence(change, said):
    given: dict[str, Any] = {"graph": PLAN, "attempt": attempt, "policy": watching, **change}
    with pytest.raises(hw.UsageError, match=said):
        asyncio.run(allocate.run_plan(given.pop("graph"), given.pop("attempt"), **given))


def test_items_that_are_no_list_are_refused():
    with pytest.raises(hw.UsageError, match="items="):
        asyncio.run(allocate.run_map(alone, iter("ab"), policy=watching))  # type: ignore[arg-type]


# --- durable ---------------------------------------------------------------------------------------------------------


def find_succeeded(rows: list[Row]) -> set[str]:
    """The keys of the calls that are recorded to have succeeded."""
    outcomes = [(row.key.hex(), decode_outcome(row.body)) for row in rows if row.kind & ~COSTED == Kind.OUTCOME]
    return {key for key, outcome in outcomes if outcome.status == Status.OK}


@pytest.mark.parametrize("policy", ["watching", "fickle", "seq"])
def test_a_run_that_dies_anywhere_decides_the_same_and_ends_the_same(policy):
    whole = History(1, STEADY)
    end = whole.live(spend, policy, 400.0, 1e6)
    assert end.how == "returned", end.error
    rows = len(whole.rows())
    for after_row in range(1, rows, max(1, rows // 12)):
        history = History(1, STEADY)
        assert history.live(spend, policy, 400.0, 1e6, crash=Crash(after_row, "after")).how == "died"
        last = history.live(spend, policy, 400.0, 1e6)
        history.check()
        begun = {event.key for event in last.event_log if isinstance(event, hw.events.CallStarted)}
        assert not begun & find_succeeded(last.before), "what is recorded ran again"
        assert last.value.stopped in ("done", "budget")
        if last.value.stopped == end.value.stopped == "done":
            assert last.value.results.keys() == end.value.results.keys()


def test_what_was_decided_before_a_crash_is_not_decided_again():
    whole = History(1, STEADY)
    whole.live(spend, "watching", 1e6, 1e6)
    asked = len(ASKED)
    ASKED.clear()
    history = History(1, STEADY)
    assert history.live(spend, "watching", 1e6, 1e6, crash=Crash(len(whole.rows()) - 6, "after")).how == "died"
    before = len(ASKED)
    last = history.live(spend, "watching", 1e6, 1e6)
    assert len(ASKED) <= asked + 1, "what is recorded is told again, without asking"
    assert before > 3
    assert [turn.actions for turn in last.value.turns][: before - 1] == [turn.actions for turn in whole.lives[0].value.turns][
        : before - 1
    ]


def test_a_raised_budget_goes_on_with_what_was_done(go):
    fails = [True]

    @hw.task
    async def program() -> Any:
        ran = await allocate.run_plan(PLAN, attempt, policy=steady, choices=("small", "large"))
        if fails.pop():
            fails.append(False)
            raise RuntimeError(ran.stopped)
        return ran

    with pytest.raises(RuntimeError, match="budget"):
        go(program, budget={"tokens": 70})
    before, asked = list(BEGAN), len(ASKED)
    BEGAN.clear()
    ASKED.clear()
    ran = go(program, budget={"tokens": 1e6})
    assert ran.stopped == "done"
    assert before
    assert not set(before[:-1]) & set(BEGAN), "what was bought is not bought again"
    assert len(ran.turns) >= asked
    assert len(ASKED) <= len(ran.turns) - asked + 1, "and what was decided is not decided again"


def test_a_run_under_a_policy_loses_and_repeats_nothing_under_any_schedule(headway_check):
    """Replays, other orders of completion, kills at drawn records: `headway_check` fails with what would lose or repeat work."""
    headway_check(spend, "fickle", 1e6, 1e6, schedules=2)


# --- seen ------------------------------------------------------------------------------------------------------------


def test_headway_show_says_what_a_policy_decided_and_why(go, tmp_path):
    go(spend, "watching", 1e6, 1e6)
    store = str(tmp_path / "store")
    shown = CliRunner().invoke(app, ["show", "run", "--store", store, "--all"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0, shown.output
    assert "a: 1 × small: drawn, 0 seen" in shown.output or "a: 1 × large: drawn, 0 seen" in shown.output
    assert "∞" not in shown.output, "what only counts is no budget"
    shown = CliRunner().invoke(app, ["show", "run", "--store", store, "--json"])
    calls = json.loads(shown.output)["calls"]
    decided = [each for call in calls for each in call["decided"]]
    assert {each["policy"] for each in decided} == {"watching"}
    assert decided[0]["step"] == "a"
    assert decided[0]["why"] == "drawn, 0 seen"
    assert len([each for each in decided if each["step"]]) == len(BEGAN)
