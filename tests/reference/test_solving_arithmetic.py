"""The parts that searches on arithmetic are made of, with the shipped model and its verifier, which errs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

import headway as hw
import headway.reference
from headway.bench.search.solver import Solver
from headway.methods.records import Candidate, State
from headway.reference.arithmetic.expression import answer
from headway.reference.arithmetic.questions import LONG, MEASURED, make_questions
from headway.reference.arithmetic.sampling import ArithmeticModel
from headway.reference.measure import auroc

T = TypeVar("T")
QUESTION = "70+23-41\n"


@pytest.fixture(scope="module")
def solver() -> Solver:
    return Solver(ArithmeticModel.shipped(), seed=5)


def within(program: Callable[[], Awaitable[T]]) -> T:
    """What a program gives in a run: parts make calls."""

    async def root() -> T:
        return await program()

    return hw.run(root, store=":memory:", progress=False)


def test_answers_look_right_and_are_often_wrong_and_the_verifier_tells_many_of_them(solver: Solver) -> None:
    """Neither an oracle nor noise: what methods that use it are compared by."""

    async def attempts() -> list[tuple[bool, bool, float]]:
        found = []
        for question in make_questions("test", 3, 40, MEASURED):
            made: list[Candidate[str]] = await hw.gather(*(solver.generate(question.prompt, index) for index in range(6)))
            values = await solver.value(question.prompt, [candidate.value for candidate in made])
            right = await hw.gather(*(solver.check(question.prompt, candidate, 0) for candidate in made))
            found += [(each.answer is not None, bool(of.ok), value) for each, of, value in zip(made, right, values, strict=True)]
        return found

    found = within(attempts)
    right = [is_right for _, is_right, _ in found]
    assert 0.2 < sum(right) / len(found) < 0.6
    answered = [(is_right, value) for has_answer, is_right, value in found if has_answer]
    assert len(answered) > sum(right) * 1.2, "an answer is no proof"
    assert 0.7 < auroc([value for _, value in answered], [is_right for is_right, _ in answered]) < 0.999


def test_steps_go_on_to_a_whole_answer(solver: Solver) -> None:
    async def walk() -> None:
        state = State("")
        while not state.done:
            before, state = state, await solver.step(QUESTION, state, 0)
            assert state.value.startswith(before.value)
            assert state.value.endswith("\n")
            assert state.tokens > before.tokens
        assert state.value.count("\n") <= 2
        assert state.answer == answer(QUESTION + state.value)

    within(walk)


def test_what_breaks_the_form_is_worth_nothing(solver: Solver) -> None:
    said = ["70+23=93\n", "70+23=93\n93-41=52\n", "70+23=93", "70 23=93\n", "nonsense\n"]
    values = within(lambda: solver.value(QUESTION, said))
    assert [value > 0 for value in values] == [True, True, False, False, False]


def test_long_questions_make_traces_of_more_than_a_hundred_tokens(solver: Solver) -> None:
    (question,) = make_questions("test", 3, 1, LONG)

    async def traces() -> list[Candidate[str]]:
        return await hw.gather(*(solver.generate(question.prompt, index) for index in range(6)))

    made = within(traces)
    assert sum(candidate.tokens >= 100 for candidate in made) > 3


def test_all_models_are_small() -> None:
    folder = Path(headway.reference.__file__).parent
    weights = {path.stem: path.stat().st_size for path in folder.rglob("trained/*.safetensors")}
    assert set(weights) == {"arithmetic", "countdown", "countdown-search", "planner", "planner-noisy"}
    assert min(weights.values()) > 100_000
    assert sum(size for name, size in weights.items() if name not in ("arithmetic", "countdown")) <= 8_000_000
