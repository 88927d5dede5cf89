"""MCPP and its base policies: what they start, what they cost on average, and that MCPP gains where fixed policies don't."""

from __future__ import annotations

import asyncio
import sys
from random import Random
from statistics import fmean
from typing import Any

import pytest

import headway as hw
from headway.methods import allocate
from headway.methods.allocate import Mcpp, OneShot, Priced, Recorded, Row, Seq, simulate, until_done
from headway.methods.allocate.simulate import Draws
from headway.methods.graph import Graph, Node, after
from headway.methods.records import Action, Observation, Running, View

CHOICES = ("cheap", "sure")
PLAN = Graph((Node("a", 0), Node("b", 1, after("a")), Node("c", 2, after("a")), Node("d", 3, after("b", "c"))))


def make_rows(rate: float, cost: float, seconds: float, seed: object, count: int = 40) -> tuple[Row, ...]:
    draw = Random(repr(seed))
    return tuple(
        Row(draw.random() < rate, {"tokens": cost * (0.5 + draw.random())}, seconds * (0.5 + draw.random())) for _ in range(count)
    )


def make_table(seed: object) -> Recorded:
    """Steps of unequal difficulty: what is cheap is hopeless at some, what is sure is dear."""
    rates = {"a": (0.8, 0.9), "b": (0.05, 0.7), "c": (0.6, 0.9), "d": (0.15, 0.8)}
    rows = {}
    for step, (cheap, sure) in rates.items():
        rows[step, "cheap"] = make_rows(cheap, 10, 1.0, (seed, step, "cheap"))
        rows[step, "sure"] = make_rows(sure, 80, 1.5, (seed, step, "sure"))
    return Recorded(rows)


# --- base policies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cancel", [True, False])
@pytest.mark.parametrize("count", [1, 3, 16])
def test_the_mean_until_done_is_that_of_many_executions(count, cancel):
    rows = make_rows(0.3, 10, 1.0, "until")
    plan = Graph((Node("a", 0),))
    table = Recorded({("a", ""): rows})
    played = [
        simulate(plan, table, Seq("", count), left=1e9, left_s=1e9, unit="tokens", choices=("",), seed=seed, cancel=cancel)
        for seed in range(1500)
    ]
    cost, seconds = until_done(rows, count, "tokens", cancel=cancel)
    assert fmean(each.spent for each in played) == pytest.approx(cost, rel=0.06)
    assert fmean(each.seconds for each in played) == pytest.approx(seconds, rel=0.06)


def test_a_higher_price_of_a_second_buys_less_time_for_more_cost():
    table = make_table(0)
    steps = tuple(node.id for node in PLAN)
    means = []
    for price in (0.1, 10.0, 1000.0):
        policy = Priced(table, steps, CHOICES, price, "tokens")
        both = [until_done(table.of_step(step, policy.of(step)[0]), policy.of(step)[1], "tokens") for step in steps]
        means.append((sum(cost for cost, _ in both), sum(seconds for _, seconds in both)))
    costs, times = zip(*means, strict=True)
    assert list(costs) == sorted(costs)
    assert list(times) == sorted(times, reverse=True)
    assert costs[0] < costs[-1]


def test_one_shot_hands_out_the_budget_once_and_never_tries_again():
    table = make_table(0)
    for by in ("even", "time", "hard", "critical"):
        policy = OneShot(PLAN, table, "cheap", "tokens", 400, by)
        started = policy(View(("a",)), Random(1))
        assert started == [Action("a", "cheap", policy.counts["a"])]
        assert policy(View(("a",), ended=(Observation("a", "cheap", False),)), Random(1)) == []
    even, hard = OneShot(PLAN, table, "cheap", "tokens", 400), OneShot(PLAN, table, "cheap", "tokens", 400, "hard")
    assert max(even.counts.values()) - min(even.counts.values()) <= 2
    assert hard.counts["b"] > hard.counts["a"]


# --- MCPP ------------------------------------------------------------------------------------------------------------


def play(policy: Any, seed: int, table: Recorded, left: float, left_s: float, cancel: bool = True) -> bool:
    return simulate(PLAN, table, policy, left=left, left_s=left_s, unit="tokens", choices=CHOICES, seed=seed, cancel=cancel).done


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_is_done_more_often_than_every_fixed_policy_on_outcomes_that_it_did_not_see(seed):
    """The budget of this cell was chosen on seed 0."""
    seen, true = make_table((seed, "seen")), make_table((seed, "true"))
    policy = Mcpp(PLAN, seen, CHOICES, "tokens", (1, 4, 16), rollouts=128)
    episodes = range(60)
    ours = fmean(play(policy, episode, true, 400, 8.0) for episode in episodes)
    shots = [OneShot(PLAN, seen, choice, "tokens", 400, by) for choice in CHOICES for by in ("even", "hard")]
    fixed = {each.name: fmean(play(each, episode, true, 400, 8.0) for episode in episodes) for each in (*policy.bases, *shots)}
    assert ours >= max(fixed.values()) - 0.05, fixed
    simple = [share for name, share in fixed.items() if not name.startswith("a second")]
    assert ours > max(simple) + 0.05, fixed


def test_it_is_done_more_often_than_the_paper_s_own_way():
    """In the same cell; the paper's way starts whole batches, draws anew for each action, and takes the largest estimate."""
    ours, theirs = [], []
    for seed in (1, 2, 3):
        seen, true = make_table((seed, "seen")), make_table((seed, "true"))
        better = Mcpp(PLAN, seen, CHOICES, "tokens", (1, 4, 16), rollouts=128)
        paper = Mcpp(PLAN, seen, CHOICES, "tokens", (1, 4, 16), rollouts=64, cancel=False, variant="paper")
        ours += [play(better, episode, true, 400, 8.0) for episode in range(25)]
        theirs += [play(paper, episode, true, 400, 8.0, cancel=False) for episode in range(25)]
    assert fmean(ours) > fmean(theirs) + 0.03


def test_within_the_error_it_starts_what_the_best_base_policy_would():
    bold, wary = (Mcpp(PLAN, make_table(0), CHOICES, "tokens", (1, 4, 16), sure=sure) for sure in (0.0, 1e9))
    seen = (Observation("a", "cheap", True),)
    views = [View(("b", "c"), ended=seen, left={"tokens": left}, left_s=left_s) for left in (250.0, 400.0) for left_s in (3.0, 8.0)]

    def starts_as_a_base(policy: Mcpp, view: View) -> bool:
        started = {(each.step, each.choice, each.count) for each in policy(view, Random(1))}
        return any({(step, *base.of(step)) for step in view.ready} == started for base in policy.bases)

    assert all(starts_as_a_base(wary, view) for view in views)
    assert not all(starts_as_a_base(bold, view) for view in views)


def test_actions_are_compared_on_the_same_draws():
    policy = Mcpp(PLAN, make_table(0), CHOICES, "tokens", (1, 4))
    view = View(("b", "c"), ended=(Observation("a", "cheap", True),), left={"tokens": 200.0}, left_s=4.0)
    rollouts, others = (policy._simulate(policy._rest, view, Random(seed)) for seed in (1, 2))
    action = [("b", ("sure", 1)), ("c", ("cheap", 4))]
    first = rollouts.score(action, 0).done
    rollouts.score([("b", ("cheap", 1)), ("c", ("cheap", 1))], 0)
    assert (rollouts.score(action, 0).done == first).all()
    assert 0 < first.mean() < 1
    assert (others.score(action, 0).done != first).any()


def test_it_says_what_it_expects_and_what_the_best_base_policy_would_do():
    policy = Mcpp(PLAN, make_table(0), CHOICES, "tokens", (1, 4))
    (action,) = policy(View(("a",), left={"tokens": 400.0}, left_s=8.0), Random(1))
    assert "% done in time" in action.why or "% by" in action.why


def test_it_decides_the_same_for_the_same_view_and_draws():
    view = View(("a",), left={"tokens": 400.0}, left_s=8.0)
    chosen = [Mcpp(PLAN, make_table(0), CHOICES, "tokens")(view, Random(7)) for _ in range(2)]
    assert chosen[0] == chosen[1]


def test_what_has_run_for_long_is_expected_to_end_later_than_what_has_just_begun():
    """It knows for how long something has run, and not when it ends: outcomes that are shorter are out of the question."""
    import numpy as np

    from headway.methods.allocate.rollouts import Pools, Rest, Rollouts

    rows = tuple(Row(True, {"tokens": 1.0}, seconds) for seconds in (1.0, 1.0, 1.0, 10.0)) * 100
    plan = Graph((Node("a", 0),))
    rest = Rest(plan, Pools(Recorded({("a", ""): rows}), "tokens", cancel=True), [Seq().of])

    def left_of(elapsed: float) -> float:
        view = View((), running=(Running(Action("a"), elapsed, {"tokens": 1.0}),), left={"tokens": 9.0}, left_s=99.0)
        rollouts = Rollouts(rest, view, "tokens", count=400, generator=np.random.default_rng(1))
        assert rollouts.cost.mean() == pytest.approx(0.0, abs=0.05), "what it costs is reserved already"
        return float(rollouts.seconds.mean())

    assert left_of(0.0) == pytest.approx(3.25, rel=0.2)
    assert left_of(2.0) == pytest.approx(8.0, rel=0.05)
    assert left_of(11.0) == pytest.approx(11.0, rel=0.05), "longer than anything known: as long again"


def test_it_starts_no_more_than_can_be_reserved():
    policy = Mcpp(PLAN, make_table(0), CHOICES, "tokens", (1, 4, 16), rollouts=32)
    view = View(("b", "c"), ended=(Observation("a", "cheap", True),), left={"tokens": 100.0}, left_s=3.0)
    actions = policy(view, Random(1))
    assert sum(each.count * policy.reserve[each.choice] for each in actions) <= 100.0
    assert policy(View(("b",), left={"tokens": 1.0}, left_s=3.0), Random(1)) == []


def test_the_variant_of_the_paper_runs_too_and_looks_at_base_actions_first():
    policy = Mcpp(PLAN, make_table(0), CHOICES, "tokens", (1, 4), rollouts=16, cancel=False, most=6, variant="paper")
    assert {type(each) for each in policy.bases} == {Seq}
    view = View(("b", "c"), ended=(Observation("a", "cheap", True),), left={"tokens": 400.0}, left_s=8.0)
    found = policy._candidates(view, Random(1))
    assert found[:4] == [dict.fromkeys(("b", "c"), (choice, count)) for choice in CHOICES for count in (1, 4)]
    assert len(found) == 6
    assert {each.step for each in policy(view, Random(1))} <= {"b", "c"}


def test_a_run_under_it_does_what_the_simulation_says(go):
    """The very same policy object, in a run on a virtual clock and in `simulate`, with the same outcomes."""
    table = make_table(3)
    draws = Draws(table, 5)

    @hw.task(cost={"tokens": 130})
    async def attempt(place: int, choice: str, index: int, given: dict[str, bool]) -> bool:
        row = draws.draw("abcd"[place], choice, index)
        await asyncio.sleep(row.seconds)
        hw.charge(tokens=row.cost["tokens"])
        return row.ok

    policy = Seq("sure", 1)

    @hw.task
    async def program() -> Any:
        with hw.budget(tokens=1000) as book, hw.deadline(seconds=1000):
            began = hw.now()
            ran = await allocate.run_plan(PLAN, attempt, policy=policy, choices=CHOICES)
        return ran, book.spent["tokens"], hw.now() - began

    ran, spent, seconds = go(program)
    played = simulate(
        PLAN, table, policy, left=1000, left_s=1000, unit="tokens", choices=CHOICES, seed=5, reserve={"cheap": 130, "sure": 130}
    )
    assert (ran.stopped == "done") == played.done
    assert spent == pytest.approx(played.spent)
    assert seconds == pytest.approx(played.seconds, abs=0.1)


def test_without_numpy_it_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "headway.methods.allocate.rollouts", raising=False)
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(hw.UsageError, match=r"allocate.Mcpp needs numpy: pip install 'headway\[numpy\]'"):
        Mcpp(PLAN, make_table(0), CHOICES, "tokens")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"choices": ()}, "at least one name"),
        ({"choices": "cheap"}, "a list of at least one name"),
        ({"choices": ("huge",)}, "no outcome of choice 'huge'"),
        ({"unit": "euros"}, "unit='euros': the table has no such cost; it has: 'tokens'"),
        ({"counts": ()}, "counts="),
        ({"counts": (0,)}, "counts=0"),
        ({"rollouts": 0}, "rollouts=0"),
        ({"sure": float("nan")}, "sure=nan"),
        ({"variant": "best"}, "variant='best'"),
        ({"graph": None}, "give it a methods.graph.Graph"),
        ({"table": {}}, "and an allocate.Recorded"),
    ],
)
def test_senseless_settings_are_refused_in_a_sentence(change, said):
    settings: dict[str, Any] = {"graph": PLAN, "table": make_table(0), "choices": CHOICES, "unit": "tokens", **change}
    with pytest.raises(hw.UsageError, match=said):
        Mcpp(**settings)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Seq("a", 0), "count=0"),
        (lambda: Priced(make_table(0), ("a",), CHOICES, -1.0, "tokens"), "price=-1.0"),
        (lambda: OneShot(PLAN, make_table(0), "cheap", "tokens", 9, "luck"), "by='luck'"),  # type: ignore[arg-type]
        (lambda: OneShot(PLAN, make_table(0), "cheap", "tokens", float("inf")), "budget=inf"),
    ],
)
def test_senseless_base_policies_are_refused(make, said):
    with pytest.raises(hw.UsageError, match=said):
        make()
