"""The property that each method's paper is about, on seeded synthetic solvers, against the baseline that it claims to beat.

Where nothing hangs on bounds or crashes, methods run outside of a run, on a loop whose clock jumps.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import random
import statistics
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest
from benchmarks.methods.solvers import RIGHT, Judge, Noisy, Reasoner, Thinker, Trap, Tree, Voter, accuracy, by_hash, drawn, revise
from hypothesis import given
from hypothesis import strategies as st

import headway as hw
from headway.methods import search
from headway.methods.search import Candidate, State, Verdict
from headway.methods.search.sample.majority import count_needed, leads
from headway.methods.search.select.selectors import borda, weighted_vote
from headway.methods.search.select.selectors import majority as most_frequent
from headway.testing import VirtualClock, VirtualLoop


def virtually(work: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(VirtualClock())) as runner:
        return runner.run(work)


# --- best-of-n ---------------------------------------------------------------------------------------------------------


def test_best_of_n_is_right_more_often_the_larger_n_is():
    trees = [Tree(right=0.7, noise=0.1) for _ in range(4)]
    shares = [
        asyncio.run(accuracy(lambda q, t=t, n=n: search.best_of_n(q, t.generate, t.score, n=n), 150))
        for t, n in zip(trees, (1, 4, 16, 40), strict=True)
    ]
    assert all(later > earlier + 0.05 for earlier, later in itertools.pairwise(shares[:3])), shares
    assert shares[3] >= shares[2]
    assert shares[0] == pytest.approx(0.7**6, abs=0.07)


def test_weighing_by_answers_beats_the_best_score_where_scores_are_noisy():
    tree = Tree(right=0.75, noise=0.3)
    plain = asyncio.run(accuracy(lambda q: search.best_of_n(q, tree.generate, tree.score, n=16), 200))
    weighted = asyncio.run(accuracy(lambda q: search.best_of_n(q, Noisy.of(tree).generate, tree.score, n=16), 200))
    voted = asyncio.run(
        accuracy(lambda q: search.best_of_n(q, Noisy.of(tree).generate, tree.score, n=16, select=weighted_vote), 200)
    )
    assert voted > plain + 0.05
    assert voted > weighted + 0.05


# --- majority ----------------------------------------------------------------------------------------------------------


def test_a_vote_that_stops_when_settled_takes_fewer_samples_at_equal_accuracy():
    whole, early = Voter(), Voter()
    full = asyncio.run(accuracy(lambda q: search.majority(q, whole.generate, n=40, sure=1), 300))
    stopped = asyncio.run(accuracy(lambda q: search.majority(q, early.generate, n=40, sure=0.95), 300))
    assert abs(full - stopped) <= 0.02
    assert early.samples * 2.5 < 300 * 40
    assert early.samples * 1.5 < whole.samples < 300 * 40, "even the plain vote leaves out what cannot change it"


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=40), st.floats(0.6, 1.0))
def test_rounds_sample_exactly_what_one_by_one_would_have(answers, sure):
    async def generate(question: str, index: int) -> Candidate:
        return Candidate("", answers[index], 1)

    found = asyncio.run(search.majority("", generate, n=len(answers), sure=sure))
    taken = 0
    while taken < len(answers):
        counts = sorted((answers[:taken].count(each) for each in "abc"), reverse=True)
        if leads(counts[0], counts[1]) >= sure or counts[0] - counts[1] > len(answers) - taken:
            break
        taken += 1
    assert len(found.candidates) == taken
    if sure == 1:
        most = max(answers.count(each) for each in "abc")
        assert answers.count(found.answer) == most


def test_the_rule_is_the_mass_of_a_beta_distribution_above_a_half():
    assert leads(0, 0) == 0.5
    assert leads(3, 0) == pytest.approx(1 - 0.5**4)
    draws = [random.Random(seed).betavariate(8, 4) for seed in range(20_000)]
    assert leads(7, 3) == pytest.approx(statistics.mean(draw > 0.5 for draw in draws), abs=0.01)
    assert count_needed((0, 0), 40, 0.95) == 4
    assert count_needed((0, 0), 3, 0.95) == 2
    assert count_needed((5, 0), 40, 0.95) == 0


# --- first finish ------------------------------------------------------------------------------------------------------


async def raced(n: int, questions: int, method: Any) -> tuple[float, float]:
    """Accuracy, and the mean time that a question takes."""
    reasoner = Reasoner()
    began = asyncio.get_running_loop().time()
    share = await accuracy(lambda question: method(question, reasoner.generate, n=n), questions)
    return share, (asyncio.get_running_loop().time() - began) / questions


def test_the_law_of_first_finish():
    """The more race, the more often the winner is right and the sooner it is there; a majority waits for the longest."""
    questions = 800
    law = {n: virtually(raced(n, questions, search.first_finish)) for n in (1, 2, 4, 8)}
    assert [round(share, 2) for share, _ in law.values()] == pytest.approx([0.60, 0.78, 0.88, 0.92], abs=0.04)
    assert law[1][1] == pytest.approx(10.4, abs=0.4)
    assert law[8][1] == pytest.approx(5.1, abs=0.3)
    assert all(later > earlier for (earlier, _), (later, _) in itertools.pairwise(law.values()))
    assert all(later < earlier for (_, earlier), (_, later) in itertools.pairwise(law.values()))

    async def vote(question: str, generate: Any, *, n: int) -> search.Found:
        return search.choose(dict(enumerate(await hw.gather(*(generate(question, i) for i in range(n))))), most_frequent, "done")

    share, seconds = virtually(raced(8, questions, vote))
    assert seconds == pytest.approx(17.3, abs=0.5)
    assert share == pytest.approx(0.703, abs=0.05)


@pytest.mark.parametrize("n", [2, 4, 8, 16])
def test_the_length_of_the_shortest_falls_as_the_law_of_the_least_says(n):
    """E[min of n] of N(8, 2.5) lies above 8 - 2.5 sqrt(2 ln n), ever closer in proportion."""

    async def generate(question: str, index: int) -> Candidate:
        await asyncio.sleep(seconds := max(0.0, drawn(question, index).gauss(8, 2.5)))
        return Candidate("", RIGHT, round(seconds))

    async def mean() -> float:
        began = asyncio.get_running_loop().time()
        await accuracy(lambda question: search.first_finish(question, generate, n=n), 400)
        return (asyncio.get_running_loop().time() - began) / 400

    exact = {2: 0.5642, 4: 1.0294, 8: 1.4236, 16: 1.7660}[n]  # of a standard normal
    seconds = virtually(mean())
    assert seconds == pytest.approx(8 - 2.5 * exact, abs=0.35)
    assert 8 - 2.5 * math.sqrt(2 * math.log(n)) < seconds < 8


# --- over steps --------------------------------------------------------------------------------------------------------


def shares(tree: Tree, n: int, questions: int, **methods: Any) -> dict[str, float]:
    found = {}
    for name, method in methods.items():
        own = replace(tree, steps=0)
        found[name] = asyncio.run(accuracy(lambda question, m=method, own=own: m(own, question), questions))
        assert own.steps == n * tree.depth * questions, "all have the same budget"
    return found


def test_searching_over_steps_beats_whole_answers_at_equal_budget_with_a_noisy_heuristic():
    found = shares(
        Tree(right=0.6, noise=0.15),
        16,
        80,
        best_of_n=lambda t, q: search.best_of_n(q, t.generate, t.score, n=16),
        beam=lambda t, q: search.beam_search(q, t.step, t.score, n=16),
        dvts=lambda t, q: search.dvts(q, t.step, t.score, n=16),
        rebase=lambda t, q: search.rebase(q, t.step, t.score, n=16),
        dora=lambda t, q: search.dora(q, t.step, t.score, t.embed, n=16),
    )
    baseline = found.pop("best_of_n")
    assert baseline < 0.65
    assert min(found.values()) > baseline + 0.25, found


def test_directions_beat_scores_where_most_go_wrong_the_same_way():
    """Many states in one wrong direction that looks right for long: a beam may keep no other, REBASE pays a direction for its
    size, separate subtrees hedge, DORA counts directions."""
    found = shares(
        Trap(depth=5, right=0.7, noise=0.05),
        16,
        150,
        beam=lambda t, q: search.beam_search(q, t.step, t.score, n=16),
        dvts=lambda t, q: search.dvts(q, t.step, t.score, n=16),
        rebase=lambda t, q: search.rebase(q, t.step, t.score, n=16),
        dora=lambda t, q: search.dora(q, t.step, t.score, t.embed, n=16),
    )
    assert found["dora"] > found["rebase"] + 0.1
    assert found["dora"] > found["dvts"] + 0.1
    assert found["dvts"] > found["beam"] + 0.05


@pytest.mark.parametrize("memory", [0.0, 1.0])
def test_a_star_needs_a_third_of_the_steps_of_best_of_n_for_equal_accuracy(memory):
    tree, whole = Tree(right=0.6, noise=0.15), Tree(right=0.6, noise=0.15)
    found = asyncio.run(accuracy(lambda q: search.a_star(q, tree.step, tree.score, n=24, width=4, memory=memory), 200))
    baseline = asyncio.run(accuracy(lambda q: search.best_of_n(q, whole.generate, whole.score, n=24), 200))
    assert found >= baseline
    assert tree.steps * 3 < whole.steps
    assert tree.scored * 3 < whole.steps


def test_a_star_with_a_perfect_heuristic_goes_straight_to_the_goal():
    tree = Tree(right=0.9, noise=0.0)
    found = asyncio.run(accuracy(lambda q: search.a_star(q, tree.step, tree.score, n=100, width=4), 50))
    assert found == 1.0
    assert tree.steps <= 50 * tree.depth * 4 * 1.1


def test_a_star_extends_states_again_where_nothing_is_left_to_extend():
    """A right step is rare; continuing each state twice is not enough, but continuing them anew finds one at last."""
    seen: set[tuple[str, int]] = set()

    async def step(question: str, state: State, index: int) -> State:
        assert (state.value, index) not in seen, "no continuation is asked for twice"
        seen.add((state.value, index))
        right = by_hash("rare", question + state.value, index) < 0.15
        text = f"{state.value}{'0' if right else 'x'}"
        done = not right or len(text) == 3
        return replace(state, value=text, done=done, answer=RIGHT if right and done else None)

    async def even(question: str, texts: list[str]) -> list[float]:
        return [0.5 for _ in texts]

    assert asyncio.run(search.a_star("q", step, even, n=200, width=2)).answer == RIGHT
    seen.clear()
    assert asyncio.run(search.a_star("q", step, even, n=3, width=2)).best is None
    assert len(seen) == 6


def test_extending_several_states_at_once_trades_steps_for_rounds():
    def took(parallel: int) -> tuple[int, float]:
        tree, rounds = Tree(right=0.5, noise=0.15), 0

        async def score(question: str, texts: list[str]) -> list[float]:
            nonlocal rounds
            rounds += 1
            return await tree.score(question, texts)

        asyncio.run(accuracy(lambda q: search.a_star(q, tree.step, score, n=40, parallel=parallel), 60))
        return tree.steps, rounds

    (steps, rounds), (more_steps, fewer_rounds) = took(1), took(4)
    assert more_steps > steps
    assert fewer_rounds < rounds


# --- verifying ---------------------------------------------------------------------------------------------------------


async def judged(k: int, agreement: float, questions: int = 400) -> tuple[float, float]:
    """F1 of "it is right", and the cost of a verdict."""
    judge, hits, said, true = Judge(), 0, 0, 0
    for number in range(questions):
        question = f"question {number}"
        right = by_hash("truth", question) < 0.5
        candidate = Candidate("", RIGHT if right else "wrong")
        verdict = await search.verify_flexibly(question, candidate, judge.fast, judge.slow, k=k, agreement=agreement)
        hits += right and verdict.ok is True
        said += verdict.ok is True
        true += right
    return 2 * hits / (said + true), judge.cost / questions


def test_a_flexible_verifier_buys_accuracy_with_cost_as_k_and_agreement_say():
    table = {(k, share): asyncio.run(judged(k, share)) for k in (1, 4, 8) for share in (0.51, 0.75, 1.0)}
    quick, thorough = table[1, 0.51], asyncio.run(judged(0, 1.0))
    assert thorough[1] == 12
    for k in (4, 8):  # the more must agree, the more often the thorough one is asked
        costs, f1 = [table[k, share][1] for share in (0.51, 0.75, 1.0)], [table[k, share][0] for share in (0.51, 0.75, 1.0)]
        assert costs == sorted(costs)
        assert f1[0] < f1[2]
    assert table[8, 0.75][0] > table[4, 0.51][0] > quick[0]
    assert table[4, 0.75][0] > quick[0] + 0.1, "it is better than a quick verdict"
    assert table[4, 0.75][1] < thorough[1] * 0.75, "and cheaper than a thorough one"
    assert table[8, 1.0][0] == pytest.approx(thorough[0], abs=0.03)


def test_detecting_a_whole_solution_saves_steps_and_feedback_makes_the_next_one_better():
    def solved(detects: bool, rounds: int) -> tuple[float, int]:
        thinker = Thinker()

        async def solve(question: str) -> search.Found:
            return await search.solve_detect_verify(
                question,
                thinker.step,
                thinker.check,
                thinker.check,
                detect=thinker.complete if detects else None,
                rounds=rounds,
                revise=revise,
            )

        return asyncio.run(accuracy(solve, 300)), thinker.steps

    (whole, all_steps), (once, steps), (thrice, more) = solved(False, 1), solved(True, 1), solved(True, 3)
    assert once == whole == pytest.approx(0.45, abs=0.06)
    assert steps * 2 < all_steps
    assert thrice > once + 0.3
    assert more < all_steps, "three attempts that stop in time cost less than one that doubts"


def test_verdicts_on_equal_answers_are_asked_apart():
    asked: list[tuple[str, int]] = []

    async def same(question: str, state: search.State, index: int) -> search.State:
        return search.State(f"{state.value}4", 1, done=True, answer="4")

    async def wrong(question: str, candidate: Candidate, index: int) -> Verdict:
        asked.append((candidate.value, index))
        return Verdict(None)

    found = asyncio.run(search.solve_detect_verify("2+2=", same, wrong, wrong, k=2, rounds=3, depth=1))
    assert len(found.candidates) == 3
    assert sorted(asked) == [("4", index) for index in range(9)]


# --- short attempts ----------------------------------------------------------------------------------------------------


@hw.task
async def think(question: str, index: int) -> Candidate:
    """Long, and right 85 % of the time."""
    draw = drawn("think", question, index)
    return await answered(draw, 0.85, draw.gauss(12, 4))


@hw.task
async def blurt(question: str, index: int) -> Candidate:
    """Short, and right 35 % of the time."""
    draw = drawn("blurt", question, index)
    return await answered(draw, 0.35, draw.gauss(3, 1))


async def answered(draw: random.Random, share: float, seconds: float) -> Candidate:
    await asyncio.sleep(max(0.5, seconds))
    right = draw.random() < share
    sure = draw.gauss(1.0 if right else 0.0, 1.0)  # the surer, the more often right
    return Candidate("", RIGHT if right else f"wrong {draw.randint(1, 6)}", 1, logprob=sure)


@hw.task
async def look(question: str, candidate: Candidate, index: int) -> Verdict:
    await asyncio.sleep(1)
    errs = by_hash("look", question, index) < 0.05
    return Verdict((candidate.answer == RIGHT) != errs)


QUESTIONS = 60


@hw.task
async def in_time(kind: str, seconds: float) -> tuple[float, float]:
    """Accuracy under a deadline for each question, and the seconds that one took."""
    right, began = 0, hw.now()
    for number in range(QUESTIONS):
        question = f"question {number}"
        with hw.deadline(seconds=seconds):
            if kind == "long":
                found = await search.no_thinking(question, think, n=1)
            elif kind == "short":
                found = await search.no_thinking(question, blurt, n=16, select=borda(1.0))
            else:
                found = await search.no_thinking(question, blurt, look, n=16)
        right += found.answer == RIGHT
    return right / QUESTIONS, (hw.now() - began) / QUESTIONS


def test_many_short_attempts_beat_a_long_one_under_a_deadline(go):
    long, _ = go(in_time, "long", 8.0, run_id="long")
    short, seconds = go(in_time, "short", 8.0, run_id="short")
    verified, sooner = go(in_time, "verified", 8.0, run_id="verified")
    assert long < 0.3
    assert short > long + 0.3
    assert verified > short
    assert sooner < seconds, "the first that is verified ends the search"


def test_a_long_attempt_is_right_where_it_has_the_time(go):
    share, seconds = go(in_time, "long", 60.0)
    assert share > 0.75
    assert seconds > 8.0
