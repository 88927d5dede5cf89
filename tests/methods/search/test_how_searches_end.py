"""Every method ends with the best so far when its bounds do, books what it cost, and leaves nothing running."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
import solvers
from solvers import METHODS, RACES, RIGHT, find

import headway as hw
from headway.joins.bound import bound_of
from headway.journal.records import COSTED, Kind
from headway.journal.recovery.recovered import decode_outcome
from headway.methods import search
from headway.methods.search import Candidate, Found, State, Verdict, best_of_n, first_finish, majority, no_thinking

every_method = pytest.mark.parametrize("method", METHODS)
QUESTION = "q6|"


@pytest.fixture(autouse=True)
def _clear() -> None:
    solvers.RAN.clear()
    solvers.BEGAN.clear()


@hw.task
async def within(method: str, bounds: dict[str, float]) -> tuple[Found, dict[str, float]]:
    with hw.budget(**bounds) as budget:
        found = await METHODS[method](QUESTION)
    return found, budget.spent


PLENTY = {"tokens": 10_000.0, "calls": 10_000.0}


@hw.task
async def until(method: str, seconds: float) -> tuple[Found, float, float]:
    with hw.budget(tokens=10_000) as budget, hw.deadline(seconds=seconds):
        found = await METHODS[method](QUESTION)
        return found, hw.time_left(), budget.spent["tokens"]


def statuses(store: Any) -> list[int]:
    """How each call of the run ended, from its rows."""
    with hw.SqliteStore(store) as opened:
        rows = [row for _, row in opened.rows(opened.run("run").uid)]
    return [decode_outcome(row.body).status for row in rows if row.kind & ~COSTED == Kind.OUTCOME]


@every_method
def test_an_undisturbed_search_is_done_and_right(go, method):
    found, spent = go(within, method, PLENTY)
    assert found.stopped == "done"
    assert found.answer == RIGHT
    assert found.best in found.candidates
    assert spent["tokens"] > 0


@every_method
def test_outside_of_a_run_it_finds_the_same_with_plain_coroutines(go, method, monkeypatch):
    inside, _ = go(within, method, PLENTY)
    monkeypatch.setattr(solvers, "STEP_S", 0.0)  # real time
    outside = asyncio.run(_plainly(method))
    assert outside.stopped == "done"
    if method not in RACES:  # who is first hangs on time
        assert outside == inside


async def _plainly(method: str) -> Found:
    return await METHODS[method](QUESTION)


@every_method
@pytest.mark.parametrize("unit", ["tokens", "calls"])
def test_every_budget_ends_a_search_with_the_best_so_far(go, method, unit):
    """From a budget of almost nothing to one that is enough: what is there is returned, and never more is spent."""
    full, needed = go(within, method, PLENTY, run_id="whole")
    ends = []
    for share in (0.02, 0.3, 0.6, 0.8, 0.95, 1):
        amount = max(1, int(needed[unit] * share))
        found, spent = go(within, method, {unit: amount}, run_id=f"{share}")
        assert spent[unit] <= amount
        assert (found.best is None) == (not found.candidates)
        assert found.stopped in ("done", "budget")
        if found.stopped == "done" and method not in RACES:  # fewer race when some are refused
            assert found == full
        ends.append((found.stopped, len(found.candidates)))
    assert [stopped for stopped, _ in ends] == sorted([stopped for stopped, _ in ends])
    assert ends[-1][0] == "done"
    if unit == "tokens":
        assert ends[0] == ("budget", 0)
    if method not in RACES:  # their first answer is their last
        assert any(stopped == "budget" and count for stopped, count in ends), ends


@every_method
def test_every_deadline_ends_a_search_in_time_with_the_best_so_far(go, clock, method):
    began = clock.now
    go(within, method, PLENTY, run_id="whole")
    took = clock.now - began
    counts = []
    for share in (0.01, 0.3, 0.6, 0.8, 0.95, 1.2):
        found, left, spent = go(until, method, took * share, run_id=f"{share}")
        assert left > 0, "it ended after its deadline"
        assert (found.best is None) == (not found.candidates)
        assert spent <= len(solvers.BEGAN)
        counts.append((found.stopped, len(found.candidates)))
    assert counts[0] == ("deadline", 0)
    assert counts[-1][0] == "done"
    if method not in RACES:  # their first answer is their last
        assert any(stopped == "deadline" and count for stopped, count in counts), counts


@every_method
def test_what_a_deadline_stops_is_booked_and_nothing_runs_on(go, tmp_path, method):
    found, _, spent = go(until, method, 2.6)
    assert found.stopped == "deadline"
    begun = len(solvers.BEGAN)
    assert len(solvers.RAN) <= spent <= begun  # each books a token in its middle
    assert len(statuses(tmp_path / "store")) == len(set(_calls(tmp_path / "store"))), "every call has an outcome"
    assert spent == pytest.approx(sum(_costs(tmp_path / "store")))


def _calls(store: Any) -> list[bytes]:
    with hw.SqliteStore(store) as opened:
        rows = [row for _, row in opened.rows(opened.run("run").uid)]
    return [row.key for row in rows if row.kind & ~COSTED in (Kind.START, Kind.ATTEMPT, Kind.OUTCOME)]


def _costs(store: Any) -> list[float]:
    with hw.SqliteStore(store) as opened:
        rows = [row for _, row in opened.rows(opened.run("run").uid)]
    ends = [decode_outcome(row.body) for row in rows if row.kind & ~COSTED == Kind.OUTCOME]
    return [end.cost.get("tokens", 0.0) for end in ends]


@every_method
def test_a_search_that_is_cancelled_is_cancelled_whole(go, tmp_path, method):
    @hw.task
    async def program() -> str:
        searching = find(method, QUESTION)
        await asyncio.sleep(1.2)
        searching.cancel()
        (end,) = await hw.settle(searching)
        return "cancelled" if end.cancelled else "ended"

    assert go(program) == "cancelled"
    ran = len(solvers.RAN)
    assert ran < len(solvers.BEGAN)


@every_method
def test_an_error_of_a_part_is_an_error_of_the_search(go, method, monkeypatch):
    async def broken(*args: object) -> None:
        raise ZeroDivisionError("the model is broken")

    monkeypatch.setattr(solvers, "work", broken)
    with pytest.raises((ZeroDivisionError, ExceptionGroup)) as caught:
        go(within, method, PLENTY)
    assert "ZeroDivisionError" in repr(caught.value)


@every_method
def test_sequential_tokens_are_those_of_the_longest_way(go, method):
    """An answer has 3 tokens, a step one."""
    found, _ = go(within, method, PLENTY)
    if method == "a_star":
        assert 3 <= found.sequential_tokens <= 6, "12 expansions, two at a time"
    elif method in ("majority", "compute_optimal"):
        assert found.sequential_tokens in (6, 9, 12), "two rounds or more: of votes, or probes and then votes"
    elif method == "grounded_search":
        assert 3 < found.sequential_tokens <= 8 * 3, "one round after another"
    elif method == "stop_when_stalled":
        assert found.sequential_tokens == 5, "three steps, and an answer after the first two"
    elif method == "backtrack":
        assert 3 < found.sequential_tokens < 3 * len(found.candidates) + 6, "what was shared is written once"
    elif method in ("para_thinker", "follow_outlines and a summary"):
        assert found.sequential_tokens == 4, "a path, then the summary"
    else:
        assert found.sequential_tokens == 3 * (len(found.candidates) if method in ("solve_detect_verify", "restarts") else 1)


@pytest.mark.parametrize("method", ["best_of_n", "beam_search", "a_star", "compute_optimal"])
def test_a_scorer_that_gives_too_few_scores_is_told_of(go, method, monkeypatch):
    async def short(question: str, texts: list[str]) -> list[float]:
        return [0.5 for _ in texts[1:]]

    monkeypatch.setattr(solvers, "score", short)
    with pytest.raises((hw.UsageError, ExceptionGroup)) as caught:
        go(within, method, PLENTY)
    assert "scores for" in repr(caught.value)


@pytest.mark.parametrize("method", ["best_of_n", "beam_search", "dvts", "rebase", "dora", "a_star", "compute_optimal"])
@pytest.mark.parametrize(
    ("value", "said"),
    [(math.nan, "gave nan for"), (math.inf, "gave inf for"), (None, "a list of numbers"), ("right", "a list of numbers")],
)
def test_a_score_that_could_not_be_compared_never_wins_or_loses_but_is_told_of(go, method, monkeypatch, value, said):
    async def broken(question: str, texts: list[str]) -> list[float]:
        return [value for _ in texts]

    monkeypatch.setattr(solvers, "score", broken)
    with pytest.raises(hw.UsageError, match=said):
        go(within, method, PLENTY)


@pytest.mark.parametrize("method", ["best_of_n", "beam_search", "dvts", "rebase", "dora", "a_star", "compute_optimal"])
@pytest.mark.parametrize("moved", [-5.0, 40.0])
def test_scores_of_another_scale_find_as_good_an_answer(go, method, moved, monkeypatch):
    async def score(question: str, texts: list[str]) -> list[float]:
        return [solvers.TREE.value(question + text) + moved for text in texts]

    monkeypatch.setattr(solvers, "score", score)
    found, _ = go(within, method, PLENTY)
    scored = [candidate.score for candidate in found.candidates if candidate.score is not None]
    assert found.best is not None
    assert found.best.score is not None
    assert min(scored) <= found.best.score <= max(scored)
    assert found.best.score == pytest.approx(solvers.TREE.value(QUESTION + found.best.value) + moved)
    if method in ("best_of_n", "a_star"):
        plain = solvers.TREE.value
        assert found.best == max(found.candidates, key=lambda candidate: plain(QUESTION + candidate.value))


def test_a_scorer_that_gives_no_list_is_told_so(go, monkeypatch):
    async def one(question: str, texts: list[str]) -> float:
        return 0.5

    monkeypatch.setattr(solvers, "score", one)
    with pytest.raises(hw.UsageError, match=r"gave 0\.5: give a list of numbers, one for each solution"):
        go(within, "best_of_n", PLENTY)


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        (lambda size: [[1.0, 0.0]] * (size - 1), "gave 5 vectors for 6 solutions"),
        (lambda size: [[1.0] * (place + 1) for place in range(size)], r"gave \[1.0, 1.0\] for '.': give 1 numbers"),
        (lambda size: [[math.nan, 1.0]] * size, r"gave \[nan, 1.0\] for"),
        (lambda size: None, "gave None: give a list of vectors"),
        (lambda size: [0.5] * size, "give a list of vectors"),
    ],
)
def test_an_embedder_that_gives_no_directions_is_told_so(go, monkeypatch, vectors, said):
    async def broken(question: str, texts: list[str]) -> Any:
        return vectors(len(texts))

    monkeypatch.setattr(solvers, "embed", broken)
    with pytest.raises(hw.UsageError, match=said):
        go(within, "dora", PLENTY)


def test_a_detector_s_word_is_a_score(go, monkeypatch):
    async def broken(question: str, texts: list[str]) -> list[float]:
        return [math.nan]

    @hw.task
    async def program() -> Found:
        return await search.solve_detect_verify(
            QUESTION, solvers.step, solvers.glance, solvers.proof, detect=broken, hesitation=lambda before, after: True
        )

    with pytest.raises(hw.UsageError, match="gave nan for"):
        go(program)


@every_method
def test_a_part_that_returns_nothing_is_named(go, method, monkeypatch):
    async def nothing(*args: object) -> None:
        return None

    for part in ("generate", "step", "plain_generate", "plain_step", "mostly", "label", "read", "follow", "write"):
        monkeypatch.setattr(solvers, part, nothing)
    with pytest.raises((hw.UsageError, ExceptionGroup)) as caught:
        go(within, method, PLENTY)
    assert "nothing returned None: it must return a search." in repr(caught.value)


@pytest.mark.parametrize(
    ("method", "part"), [("solve_detect_verify", "glance"), ("solve_detect_verify", "proof"), ("no_thinking verified", "proof")]
)
def test_a_verifier_that_returns_no_verdict_is_named(go, monkeypatch, method, part):
    async def simply(question: str, candidate: Candidate, index: int) -> bool:
        return True

    async def unsure(question: str, candidate: Candidate, index: int) -> Verdict:
        return Verdict(None)

    monkeypatch.setattr(solvers, "glance", unsure)
    monkeypatch.setattr(solvers, part, simply)
    with pytest.raises((hw.UsageError, ExceptionGroup)) as caught:
        go(within, method, PLENTY)
    assert "returned True: it must return a search.Verdict" in repr(caught.value)


@pytest.mark.parametrize("verified", [False, True])
def test_a_race_of_nobody_finds_nothing(go, verified):
    @hw.task
    async def program() -> Found:
        if verified:
            return await no_thinking(QUESTION, solvers.generate, solvers.proof, n=0)
        return await first_finish(QUESTION, solvers.generate, n=0)

    assert go(program) == Found(None, ())


@pytest.mark.parametrize(
    ("method", "settings"),
    [(search.beam_search, "width"), (search.dvts, "width"), (search.a_star, "width"), (search.a_star, "parallel")],
)
def test_a_width_of_nothing_is_refused(go, method, settings):
    @hw.task
    async def program() -> Found:
        return await method(QUESTION, solvers.step, solvers.score, **{settings: 0})

    with pytest.raises(hw.UsageError, match=rf"{method.__name__}: {settings}=0: a whole number, at least 1"):
        go(program)


# --- the parts they share --------------------------------------------------------------------------------------------


def test_what_was_paid_for_is_kept_when_the_budget_refuses_the_rest(go):
    @hw.task(cost={"tokens": 10})
    async def sample(question: str, index: int) -> Candidate:
        await asyncio.sleep(1)
        return Candidate(f"{index}", f"{index}", 10, score=index / 10)

    @hw.task
    async def judge(question: str, texts: list[str]) -> list[float]:
        return [float(text) for text in texts]

    free = judge.options(cost={"tokens": 0})

    @hw.task
    async def program() -> tuple[Found, dict[str, float]]:
        with hw.budget(tokens=35) as budget:
            return await best_of_n("q|", sample, free, n=8), budget.spent

    found, spent = go(program)
    assert found.stopped == "budget"
    assert [candidate.answer for candidate in found.candidates] == ["0", "1", "2"]
    assert found.answer == "2"
    assert spent == {"tokens": 30.0}


def test_what_could_not_be_scored_any_more_loses_against_what_was(go):
    @hw.task
    async def sample(question: str, index: int) -> Candidate:
        await asyncio.sleep(index)
        return Candidate(f"{index}", f"{index}", 1)

    @hw.task
    async def judge(question: str, texts: list[str]) -> list[float]:
        await asyncio.sleep(5)
        return [0.1 for _ in texts]

    @hw.task
    async def program() -> Found:
        with hw.deadline(seconds=7):
            return await best_of_n("q|", sample, judge, n=8)

    found = go(program)
    assert [candidate.score for candidate in found.candidates] == [0.1, 0.1, None, None, None, None, None]
    assert found.answer == "0"


def test_a_race_cancels_those_who_lost_and_books_them_before_it_returns(go):
    async def stubborn(seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
        finally:
            await asyncio.sleep(0.5)  # it takes a moment to stop
            hw.charge(tokens=1)

    @hw.task
    async def sample(question: str, index: int) -> Candidate:
        hw.charge(tokens=10)
        await (stubborn(100) if index else asyncio.sleep(3))
        return Candidate("", f"{index}", 10)

    @hw.task
    async def check(question: str, candidate: Candidate, index: int) -> search.Verdict:
        return search.Verdict(True)

    @hw.task
    async def program() -> tuple[Any, ...]:
        with hw.budget(tokens=1000) as raced:
            first = await first_finish("q", sample, n=4)
        with hw.budget(tokens=1000) as verified:
            second = await no_thinking("q", sample, check, n=4)
        return first.answer, raced.spent["tokens"], second.answer, verified.spent["tokens"]

    assert go(program) == ("0", 43.0, "0", 43.0)


def test_the_winner_of_first_finish_stays_the_winner(go):
    @hw.task
    async def sample(question: str, index: int) -> Candidate:
        await asyncio.sleep(10 - index)
        return Candidate("", f"{index}" if index < 3 else None, 1)

    @hw.task
    async def program() -> str | None:
        found = await first_finish("q", sample, n=5)
        if stop:
            raise RuntimeError("stop")
        return found.answer

    stop = True
    with pytest.raises(RuntimeError):
        go(program)
    stop = False
    assert go(program) == "2", "3 and 4 were faster, but had no answer"


def test_nobody_wins_where_no_sample_has_an_answer(go):
    @hw.task
    async def sample(question: str, index: int) -> Candidate:
        return Candidate("", None, 1)

    @hw.task
    async def program() -> Found:
        return await first_finish("q", sample, n=3)

    assert go(program) == Found(None, ())


def test_a_failed_sample_keeps_no_other_from_winning_and_is_told_where_nobody_wins(go):
    @hw.task
    async def sample(question: str, index: int) -> Candidate:
        if index == 0:
            raise ConnectionError("down")
        return Candidate("", question or None, 1)

    @hw.task
    async def program(question: str) -> Found:
        return await first_finish(question, sample, n=2)

    assert go(program, "yes", run_id="1").answer == "yes"
    with pytest.raises(ConnectionError, match="down"):
        go(program, "", run_id="2")


def test_a_search_may_be_given_what_is_there_already(go):
    @hw.task
    async def program() -> tuple[Found, int]:
        given = (Candidate("a", "a", 1, score=0.2), Candidate("b", "b", 1, score=0.3))
        found = await majority(QUESTION, solvers.generate, n=2, given=given)
        return found, len(solvers.RAN)

    found, ran = go(program)
    assert ran == 0
    assert len(found.candidates) == 2


def test_work_ends_together_or_with_its_first_real_error(go):
    ended: list[float] = []

    @hw.task
    async def rest(seconds: float) -> float:
        await asyncio.sleep(seconds)
        ended.append(seconds)
        return seconds

    async def soon(seconds: float) -> float:
        return await rest(seconds)

    async def raising(error: Exception) -> float:
        await asyncio.sleep(2)
        raise error

    @hw.task
    async def program(*errors: str) -> list[float]:
        kinds = {"budget": hw.BudgetExceeded("used up"), "deadline": hw.DeadlineExceeded("late"), "real": KeyError("broken")}
        return await hw.gather_affordable(soon(1), *(raising(kinds[error]) for error in errors), soon(3))

    async def plainly(*work: Any) -> list[float]:
        return await hw.gather_affordable(*work)

    assert go(program, "budget", run_id="1") == [1, 3]
    assert ended == [1, 3]
    with pytest.raises(hw.DeadlineExceeded):
        go(program, "budget", "deadline", run_id="2")
    assert ended == [1, 3, 1, 3]
    with pytest.raises(KeyError):
        go(program, "budget", "real", run_id="3")
    assert ended == [1, 3, 1, 3, 1]
    assert asyncio.run(plainly(soon(0), soon(0))) == [0, 0]
    with pytest.raises(hw.BudgetExceeded):
        asyncio.run(plainly(raising(hw.BudgetExceeded("used up"))))
    assert asyncio.run(plainly()) == []


@hw.task(cost={"tokens": 10})
async def cautious(question: str, index: int) -> Candidate:
    """Reserves 10 tokens and needs 4."""
    await asyncio.sleep(1)
    hw.charge(tokens=4)
    return Candidate("", f"{index}", 4, score=0.5)


@hw.task(cost={"tokens": 0})
async def free(question: str, texts: list[str]) -> list[float]:
    return [0.5 for _ in texts]


@pytest.mark.parametrize("name", ["best_of_n", "majority", "no_thinking"])
def test_what_was_reserved_and_not_needed_buys_more_samples(go, clock, name):
    @hw.task
    async def program() -> tuple[Found, float]:
        with hw.budget(tokens=44) as budget:
            if name == "best_of_n":
                return await best_of_n("q", cautious, free, n=30), budget.spent["tokens"]
            if name == "majority":
                return await majority("q", cautious, n=30, sure=1), budget.spent["tokens"]
            return await no_thinking("q", cautious, n=30), budget.spent["tokens"]

    began = clock.now
    found, spent = go(program)
    assert (found.stopped, len(found.candidates), spent) == ("budget", 9, 36.0)  # four at a time fit, then two, then one
    assert clock.now - began < 8.1
    assert found.sequential_tokens == 4 * round(clock.now - began)


def test_a_search_over_steps_goes_on_narrower_where_the_budget_is_short(go):
    @hw.task(cost={"tokens": 1})
    async def one(question: str, state: State, index: int) -> State:
        hw.charge(tokens=1)
        return State(f"{state.value}{index}", state.tokens + 1, done=state.depth == 4, answer=f"{index}")

    @hw.task
    async def program(tokens: float) -> tuple[list[int], float]:
        counts: list[int] = []

        async def counted(question: str, texts: list[str]) -> list[float]:
            counts.append(len(texts))
            return await free(question, texts)

        with hw.budget(tokens=tokens) as budget:
            found = await search.rebase("q", one, counted, n=8)
        assert found.stopped == ("budget" if tokens < 40 else "done")
        assert len(found.candidates) == (counts[-1] if len(counts) == 5 else 0)
        return counts, budget.spent["tokens"]

    assert go(program, 40, run_id="40") == ([8, 8, 8, 8, 8], 40.0)
    assert go(program, 34, run_id="34") == ([8, 8, 8, 8, 2], 34.0)
    assert go(program, 19, run_id="19") == ([8, 8, 3], 19.0)


def test_bounds_are_known_wherever_they_come_from():
    refused, late = hw.BudgetExceeded("no"), hw.DeadlineExceeded("late")
    blocked = hw.InputFailed("its argument failed")
    blocked.__cause__ = late
    assert [bound_of(error) for error in (refused, late, blocked, KeyError())] == ["budget", "deadline", "deadline", None]
    assert bound_of(ExceptionGroup("", [late, refused])) == "budget"
    assert bound_of(ExceptionGroup("", [late, ExceptionGroup("", [late])])) == "deadline"
    assert bound_of(ExceptionGroup("", [late, KeyError()])) is None


def test_a_time_limit_of_its_own_is_kept_to(go):
    @hw.task
    async def program() -> tuple[str, bool]:
        began = hw.now()
        with hw.anytime(within_s=5) as block:
            await asyncio.sleep(100)
        return block.stopped, math.isclose(hw.now() - began, 5, abs_tol=0.01)

    assert go(program) == ("deadline", True)


def test_a_question_is_not_part_of_a_candidates_text(go):
    @hw.task
    async def program() -> Found:
        return await METHODS["beam_search"](QUESTION)

    texts = [candidate.value for candidate in go(program).candidates]
    assert texts
    assert all(text.isdigit() for text in texts)


def test_states_know_their_depth_and_branch_whatever_a_stepper_does():
    seen: list[State] = []

    async def step(question: str, state: State, index: int) -> State:
        seen.append(state)
        return State(f"{state.value}{index}", done=state.depth == 2)  # forgets depth and branch

    async def likes_two(question: str, texts: list[str]) -> list[float]:
        return [float(text == "2") for text in texts]

    asyncio.run(search.beam_search("q", step, likes_two, n=4, width=4))
    assert [(state.depth, state.branch) for state in seen] == [(0, 0)] * 4 + [(1, 2)] * 4 + [(2, 2)] * 4
