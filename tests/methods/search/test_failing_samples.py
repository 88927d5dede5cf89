"""One bad sample is not the end of the others: what every method does about parts that fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import headway as hw
from headway.methods import search
from headway.methods.search import Candidate, Found, State, StrategyTable, Verdict

REFUSED = hw.ModelError("400: content management policy")


class Parts:
    """Parts of a search that fail where `fails(what, number)` says so."""

    def __init__(self, fails: Callable[[str, int], Exception | None]) -> None:
        self.fails = fails

    def check(self, what: str, number: int) -> None:
        if (error := self.fails(what, number)) is not None:
            raise error

    async def generate(self, question: str, index: int) -> Candidate:
        self.check("generate", index)
        return Candidate(f"c{index}", f"c{index % 2}", 3)

    async def step(self, question: str, state: State, index: int) -> State:
        self.check("step", index)
        text = f"{state.value}{index}"
        done = state.depth == 1
        return replace(state, value=text, tokens=state.tokens + 1, done=done, answer=text[-1] if done else None)

    async def score(self, question: str, texts: list[str]) -> list[float]:
        for text in texts:
            self.check("score", int(text[-1]))
        return [0.5 + int(text[-1]) / 20 for text in texts]

    async def verify(self, question: str, candidate: Candidate, index: int) -> Verdict:
        self.check("verify", index)
        return Verdict(index >= 5)

    async def embed(self, question: str, texts: list[str]) -> list[list[float]]:
        return [[1.0, float(text[-1])] for text in texts]


POLICY = StrategyTable((), (1.0,), (("again",),))


async def _again(parts: Parts, question: str, given: Any) -> Found:
    return await search.best_of_n(question, parts.generate, parts.score, n=6, given=given)


Method = Callable[..., Any]
GENERATING: dict[str, Method] = {
    "best_of_n": lambda p, **more: search.best_of_n("q", p.generate, p.score, n=6, **more),
    "majority": lambda p, **more: search.majority("q", p.generate, n=6, sure=1, **more),
    "no_thinking": lambda p, **more: search.no_thinking("q", p.generate, n=6, **more),
    "no_thinking, verified": lambda p, **more: search.no_thinking("q", p.generate, p.verify, n=6, **more),
    "first_finish": lambda p, **more: search.first_finish("q", p.generate, n=6, **more),
    "compute_optimal": lambda p, **more: search.compute_optimal(
        "q", p.generate, p.score, POLICY, {"again": lambda q, given: _again(p, q, given)}, budget=1, **more
    ),
}
STEPPING: dict[str, Method] = {
    "beam_search": lambda p, **more: search.beam_search("q", p.step, p.score, n=6, width=2, **more),
    "dvts": lambda p, **more: search.dvts("q", p.step, p.score, n=6, width=2, **more),
    "rebase": lambda p, **more: search.rebase("q", p.step, p.score, n=6, **more),
    "dora": lambda p, **more: search.dora("q", p.step, p.score, p.embed, n=6, **more),
    "a_star": lambda p, **more: search.a_star("q", p.step, p.score, n=6, width=3, **more),
    "solve_detect_verify": lambda p, **more: search.solve_detect_verify("q", p.step, p.verify, p.verify, rounds=4, k=1, **more),
}
ALL = {**GENERATING, **STEPPING}
RACING = ("first_finish", "no_thinking, verified")


def fails(what: str, *numbers: int, error: Exception = REFUSED) -> Parts:
    return Parts(lambda part, number: error if part == what and number in numbers else None)


def fails_always(error: Exception = REFUSED) -> Parts:
    return Parts(lambda part, number: error if part in ("generate", "step") else None)


def run(method: str, parts: Parts, **more: Any) -> Found:
    found: Found = asyncio.run(ALL[method](parts, **more))
    return found


@pytest.mark.parametrize("method", ALL)
def test_a_sample_that_fails_takes_no_other_with_it(method):
    part = "generate" if method in GENERATING else "step"
    found = run(method, fails(part, 0))
    assert found.answer is not None
    assert found.stopped == "done"
    assert found.errors
    assert set(map(str, found.errors)) == {str(REFUSED)}


@pytest.mark.parametrize("method", ALL)
def test_where_all_fail_the_first_error_is_the_search_s(method):
    with pytest.raises(hw.ModelError, match="content management") as raised:
        run(method, fails_always(hw.ModelError("400: content management policy")))
    assert "nothing was found" in "".join(raised.value.__notes__)


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("error", [hw.UsageError("a bug"), ZeroDivisionError("a bug")], ids=["UsageError", "a bug"])
def test_a_bug_of_a_part_shows_at_once(method, error):
    part = "generate" if method in GENERATING else "step"
    parts = fails(part, 0, error=error)
    if method in RACING and not isinstance(error, hw.UsageError):
        assert run(method, parts).errors == (error,), "in a race whatever fails loses, and is told"
        parts = fails(part, *range(9), error=error)
    with pytest.raises(type(error), match="a bug"):
        run(method, parts)


@pytest.mark.parametrize("method", ALL)
def test_what_is_spared_is_up_to_the_caller(method):
    part = "generate" if method in GENERATING else "step"
    assert run(method, fails(part, 0, error=ValueError("no JSON")), errors=ValueError).errors
    if method not in RACING:
        with pytest.raises(hw.ModelError):
            run(method, fails(part, 0), errors=())


@pytest.mark.parametrize("method", ["best_of_n", "compute_optimal", "beam_search", "dvts", "rebase", "dora", "a_star"])
def test_a_text_that_can_not_be_scored_takes_no_other_with_it(method):
    found = run(method, fails("score", 1))
    assert found.answer is not None
    assert found.errors
    assert found.best is not None
    assert found.best.score is not None


SCORING = ("best_of_n", "compute_optimal", "beam_search", "dvts", "rebase", "dora", "a_star")


@pytest.mark.parametrize("method", SCORING)
def test_answers_that_nobody_could_score_are_kept(method):
    parts = Parts(lambda part, number: REFUSED if part == "score" else None)
    if method in STEPPING:
        parts.step = one_step  # type: ignore[method-assign]
    found = run(method, parts)
    assert found.answer is not None
    assert len(found.candidates) >= 3
    assert all(candidate.score is None for candidate in found.candidates)
    assert set(found.errors) == {REFUSED}


async def one_step(question: str, state: State, index: int) -> State:
    return replace(state, value=f"{state.value}{index}", tokens=1, done=True, answer=f"{index}")


def test_a_star_that_reached_an_unscored_answer_does_not_begin_again():
    parts = Parts(lambda part, number: REFUSED if part == "score" else None)
    found = asyncio.run(search.a_star("q", one_step, parts.score, n=9, width=3))
    assert [candidate.value for candidate in found.candidates] == ["0", "1", "2"]
    assert len(found.errors) == 4, "of the three at once, and of each alone"


def test_a_star_keeps_a_scored_answer_before_those_that_could_not_be_scored():
    found = asyncio.run(search.a_star("q", one_step, fails("score", 0, 1).score, n=1, width=3))
    assert [(candidate.value, candidate.score is None) for candidate in found.candidates] == [
        ("2", False),
        ("0", True),
        ("1", True),
    ]
    assert found.best == found.candidates[0]


@pytest.mark.parametrize("method", ["beam_search", "a_star"])
def test_where_no_answer_was_reached_the_first_error_is_raised(method):
    async def step(question: str, state: State, index: int) -> State:
        return replace(await one_step(question, state, index), done=False)

    parts = Parts(lambda part, number: hw.ModelError("scorer down") if part == "score" else None)
    parts.step = step  # type: ignore[method-assign]
    with pytest.raises(hw.ModelError, match="scorer down") as raised:
        run(method, parts)
    assert "nothing was found" in "".join(raised.value.__notes__)


def test_a_strategy_that_fails_takes_no_probe_with_it():
    async def refused(question: str, given: Any) -> Found:
        raise REFUSED

    parts = fails("score", 1)
    found = asyncio.run(search.compute_optimal("q", parts.generate, parts.score, POLICY, {"again": refused}, budget=1, probes=3))
    assert len(found.candidates) == 3
    assert found.answer == "c0"
    assert found.errors == (REFUSED, REFUSED)


def test_a_strategy_that_returns_nothing_is_named():
    async def nothing(question: str, given: Any) -> Any:
        return None

    parts = fails("score")
    with pytest.raises(hw.UsageError, match=r".*nothing returned None: it must return a search.Found"):
        asyncio.run(search.compute_optimal("q", parts.generate, parts.score, POLICY, {"again": nothing}, budget=1))


def test_a_detector_that_fails_takes_no_solution_with_it():
    async def detect(question: str, texts: list[str]) -> list[float]:
        raise REFUSED

    parts = fails("score")
    verify = parts.verify
    found = asyncio.run(
        search.solve_detect_verify(
            "q", parts.step, verify, verify, detect=detect, hesitation=lambda before, after: True, k=1, rounds=1
        )
    )
    assert found.answer == "0"
    assert found.errors == (REFUSED,)


class Numbered(Parts):
    """Parts that fail with an error of their own each time."""

    def __init__(self, *where: tuple[str, int]) -> None:
        super().__init__(lambda part, number: hw.ModelError(f"{part} {number}") if (part, number) in where else None)

    async def score(self, question: str, texts: list[str]) -> list[float]:
        for text in texts:
            if self.fails("score", int(text[-1])):
                raise hw.ModelError(f"score {','.join(texts)}")
        return [0.5 for _ in texts]


STEP_0_AND_ALL_SCORES = ("step 0", "score 1,2,3", "score 1", "score 2", "score 3")


@pytest.mark.parametrize("method", ["beam_search", "dvts", "rebase", "dora", "a_star"])
def test_every_error_of_a_search_by_steps_is_told_in_its_order(method):
    parts = Numbered(("step", 0), *(("score", number) for number in range(4)))

    async def step(question: str, state: State, index: int) -> State:
        await asyncio.sleep(0) if index else None
        parts.check("step", index)
        return await one_step(question, state, index)

    more: dict[str, Any] = {"width": 4} if method in ("beam_search", "dvts") else {}
    tree = {name: getattr(search, name) for name in ("beam_search", "dvts", "rebase")}
    if method == "a_star":
        work = search.a_star("q", step, parts.score, n=1, width=4)
    elif method == "dora":
        work = search.dora("q", step, parts.score, parts.embed, n=4)
    else:
        work = tree[method]("q", step, parts.score, n=4, **more)
    found = asyncio.run(work)
    assert tuple(map(str, found.errors)) == STEP_0_AND_ALL_SCORES
    assert len(found.candidates) == 3


def test_every_error_of_an_attempt_is_told_in_its_order():
    parts = Numbered(("step", 1), ("verify", 0), ("verify", 2), ("verify", 4))

    async def step(question: str, state: State, index: int) -> State:
        parts.check("step", index)
        return await one_step(question, state, index)

    async def detect(question: str, texts: list[str]) -> list[float]:
        raise hw.ModelError("detect")

    async def two_steps(question: str, state: State, index: int) -> State:
        grown = await step(question, state, index)
        return replace(grown, done=state.depth == 1)

    found = asyncio.run(
        search.solve_detect_verify(
            "q", two_steps, parts.verify, parts.verify, detect=detect, hesitation=lambda before, after: True, k=1, rounds=3
        )
    )
    assert list(map(str, found.errors)) == ["detect", "verify 0", "step 1", "detect", "verify 4"]


def test_the_errors_are_the_same_after_a_resume(go):
    @hw.task
    async def step(question: str, state: State, index: int) -> State:
        if index == 3:
            raise hw.ModelError("step 3")
        return await one_step(question, state, index)

    @hw.task
    async def score(question: str, texts: list[str]) -> list[float]:
        raise hw.ModelError(f"score {texts}")

    lives = iter("12")

    @hw.task
    async def program() -> list[str]:
        life = next(lives)
        found = await search.beam_search("q", step, score, n=4, width=2)
        told.append([str(error) for error in found.errors])
        if life == "1":
            await hw.wait_event("never", timeout=1)
        return told[-1]

    told: list[list[str]] = []
    with pytest.raises(TimeoutError):
        go(program)
    assert go(program) == told[0]
    assert told[0] == ["score ['0', '1', '2']", "score ['0']", "score ['1']", "score ['2']", "step 3"]


@pytest.mark.parametrize("method", ["no_thinking, verified", "solve_detect_verify"])
def test_a_candidate_that_can_not_be_checked_is_neither_right_nor_wrong(method):
    found = run(method, Parts(lambda part, number: REFUSED if part == "verify" else None))
    assert found.candidates
    assert all(candidate.score is None for candidate in found.candidates)
    assert found.errors


def test_a_timeout_of_one_sample_and_a_dead_worker_are_spared(go, clock):
    @hw.task(timeout=1)
    async def generate(question: str, index: int) -> Candidate:
        if index == 1:
            await hw.sleep(60)
        if index == 2:
            raise hw.WorkerDied("killed")
        return Candidate(f"c{index}", "a", 1)

    @hw.task
    async def score(question: str, texts: list[str]) -> list[float]:
        return [0.5] * len(texts)

    @hw.task
    async def program() -> Found:
        return await search.best_of_n("q", generate, score, n=4)

    found = go(program)
    assert [type(error) for error in found.errors] == [hw.CallTimeout, hw.WorkerDied]
    assert len(found.candidates) == 2
    again = go(program)
    assert (again.candidates, [str(error) for error in again.errors]) == (found.candidates, [str(error) for error in found.errors])


def test_the_same_is_spared_after_a_resume(go):
    asked: list[int] = []
    lives = iter("12")

    @hw.task
    async def generate(question: str, index: int) -> Candidate:
        asked.append(index)
        if index % 3 == 0:
            raise hw.ModelError(f"refused {index}")
        return Candidate(f"c{index}", "a", 1)

    @hw.task
    async def score(question: str, texts: list[str]) -> list[float]:
        return [0.5] * len(texts)

    @hw.task
    async def program() -> list[str]:
        life = next(lives)
        found = await search.best_of_n("q", generate, score, n=6)
        if life == "1":
            await hw.wait_event("never", timeout=1)
        return [str(error) for error in found.errors]

    with pytest.raises(TimeoutError):
        go(program)
    assert go(program) == ["refused 0", "refused 3"]
    assert sorted(asked) == [0, 0, 1, 2, 3, 3, 4, 5], "a run that failed asks again for what failed, and for nothing else"


@pytest.mark.parametrize("errors", ["ModelError", [hw.ModelError], (hw.ModelError("x"),), KeyboardInterrupt, 3])
def test_what_is_no_class_of_errors_is_refused(errors):
    with pytest.raises(hw.UsageError, match="an exception class or several"):
        run("best_of_n", fails("generate", 0), errors=errors)
