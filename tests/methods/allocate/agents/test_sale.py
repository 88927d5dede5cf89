"""SALE: the lowest cost less value wins, and cheap agents learn from what won before."""

from __future__ import annotations

import asyncio
import math
from statistics import fmean
from typing import Any

import pytest
from agents_at_work import BEGAN, drawn

import headway as hw
from headway.methods import allocate
from headway.methods.allocate import agents
from headway.methods.allocate.agents import Auction, Bid, Past, Sale, Strategy, Tried, Weights
from headway.methods.records import View
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash

PRICES = {"small": 0.05, "middle": 0.1, "large": 0.4}


@pytest.fixture(autouse=True)
def _nothing_began() -> None:
    BEGAN.clear()


@hw.task
async def plan(job: str, agent: str, lessons: list[Past[str]]) -> Strategy:
    BEGAN.append((agent, len(lessons)))
    await asyncio.sleep(1 + drawn(job, agent).random())
    return Strategy(lessons[0].won if lessons else f"{agent} guesses", 10)


@hw.task
async def grade(job: str, strategy: str, juror: str) -> float:
    await asyncio.sleep(drawn(job, strategy, juror).random())
    return {"small": 1.0, "middle": 2.0, "large": 4.0}[strategy.split()[0]]


@hw.task
async def two_auctions() -> list[Auction[str]]:
    first = await agents.auction("sort a list", PRICES, plan, grade)
    second = await agents.auction("sort a tree", PRICES, plan, grade, memory=first.lessons)
    return [first, second]


def test_cheaper_agents_bid_again_with_what_won_and_may_win_with_it(go):
    first, second = go(two_auctions)
    assert [bid.agent for bid in first.bids] == ["large", "middle", "small"]
    assert [(past.lost, past.won) for past in first.lessons] == [
        ("middle guesses", "large guesses"),
        ("small guesses", "large guesses"),
    ]
    assert second.winner.agent == "small"
    assert second.winner.refined
    assert sorted(BEGAN) == sorted([*[(agent, 0) for agent in PRICES] * 2, ("small", 2), ("middle", 2)]), "the winner doesn't"


def test_without_a_memory_nobody_bids_again(go):
    @hw.task
    async def program() -> Any:
        return await agents.auction("sort", PRICES, plan, grade)

    assert not any(bid.refined for bid in go(program).bids)
    assert len(BEGAN) == 3


def test_an_auction_that_dies_anywhere_ends_the_same():
    whole = History(1, STEADY)
    undisturbed = whole.live(two_auctions)
    rows = len(whole.rows())
    for after_row in range(1, rows, max(1, rows // 8)):
        history = History(1, STEADY)
        assert history.live(two_auctions, crash=Crash(after_row, "after")).how == "died"
        assert history.live(two_auctions).value == undisturbed.value
        history.check(undisturbed.outcome)


def test_an_auction_that_its_budget_does_not_pay_for_is_refused(go):
    @hw.task
    async def program() -> None:
        with hw.budget(calls=4):
            await agents.auction("sort", PRICES, plan, grade)

    with pytest.raises(hw.BudgetExceeded):
        go(program)
    assert len(BEGAN) <= 4


def test_regret_falls_as_the_memory_grows_below_that_of_the_best_fixed_agent():
    from benchmarks.methods import allocate_agents as rows

    late, early = [], []
    for seed in range(3):
        market = rows.Market(seed)
        lost = asyncio.run(rows.trade(market, rows.WEIGHTS, remember=True))
        late.append(fmean(lost[rows.TASKS // 2 :]))
        early.append(fmean(lost[: rows.TASKS // 8]))
        assert fmean(lost) < min(rows.regret_of_one(market, agent) for agent in rows.AGENTS)
    assert fmean(late) < 0.8 * fmean(early)


def test_weights_are_those_that_serve_the_worst_group_best():
    def bids(large: float) -> list[Bid]:
        return [Bid("s", 1.0, Strategy("", 1), {"j": 1.0}), Bid("l", 2.0, Strategy("", 1), {"j": large})]

    easy, hard = Tried(bids(1.5), {"s": 0.9, "l": 0.4}, "easy"), Tried(bids(3.0), {"s": 0.0, "l": 1.0}, "hard")
    options = [Weights(cost=cost) for cost in (0.0, 1.0, 5.0)]
    assert agents.fit_weights([easy] * 9 + [hard], options).cost == 1.0
    assert agents.fit_weights([easy], options[::2]).cost == 5.0
    groups = [Tried(bids(1.5), {"s": 0.9, "l": 0.4}, group) for group in ("one", "two")]
    worst = Tried(bids(3.0), {"s": 0.0, "l": 0.8}, "three")
    assert agents.fit_weights([*groups, worst], options[::2]).cost == 0.0, "a half lost twice is better than more lost once"


def test_the_policy_asks_the_next_best_after_a_failure_and_then_gives_up(go):
    @hw.task
    async def work(job: str, agent: str, index: int) -> bool:
        return (job, agent) == ("hard", "large")

    bids = [Bid(agent, 1.0, Strategy("", 1), {}) for agent in PRICES]

    @hw.task
    async def program() -> Any:
        offers = {"0": bids[1:], "1": bids[:2]}
        return await allocate.run_map(work, ["hard", "hopeless"], policy=Sale(offers), choices=list(PRICES))

    ran = go(program)
    assert (ran.results, ran.stopped) == ({0: True}, "gave up")
    assert [(each.step, each.choice) for each in ran.observations] == [
        ("0", "middle"),
        ("1", "small"),
        ("0", "large"),
        ("1", "middle"),
    ]
    assert ran.turns[0].actions[0].why == "offer 1 of 2"


# --- bad input -------------------------------------------------------------------------------------------------------


async def _plan(job: str, agent: str, lessons: Any) -> Any:
    return "a text" if job == "text" else Strategy("s", 1, math.nan if job == "nan" else 0.0)


async def _grade(job: str, strategy: str, juror: str) -> float:
    return 7.0


def _bid(job: str = "q", **changed: Any) -> Any:
    given = {"agents": {"a": 1.0}, "plan": _plan, "grade": _grade, **changed}
    return asyncio.run(agents.auction(job, given.pop("agents"), given.pop("plan"), given.pop("grade"), **given))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: _bid(agents={}), "at least one"),
        (lambda: _bid(agents={"a": math.nan}), "a=nan"),
        (lambda: _bid(plan=None), "plan=None"),
        (lambda: _bid(nearest=-1), "nearest=-1"),
        (lambda: _bid("text"), "it must return an agents.Strategy"),
        (lambda: _bid("nan"), "entropy=nan"),
        (lambda: _bid(), "juror 'a': grade=7.0"),
        (lambda: agents.fit_weights([], [Weights()]), "at least one task"),
        (lambda: agents.fit_weights([Tried([], {})], [Weights()]), "nobody bid"),
        (lambda: agents.fit_weights([Tried([Bid("a", 1, Strategy("", 1), {})], {})], [Weights()]), "'a' has no worth"),
        (lambda: agents.fit_weights([Tried([Bid("a", 1, Strategy("", 1), {})], {"a": math.nan})], [Weights()]), "worth=nan"),
        (lambda: Sale({"a": []}), "nobody bid for step 'a'"),
        (lambda: Sale({}, rounds=0), "rounds=0"),
        (lambda: Sale({})(View(("b",)), None), "nobody bid for step 'b'; there are bids for: none"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(make, said):
    with pytest.raises(hw.UsageError, match=said):
        make()
