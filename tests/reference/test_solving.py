"""The parts that searches on Countdown are made of, with the shipped model."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

import headway as hw
from headway.bench.search.solver import Solver
from headway.methods import search
from headway.methods.search import Candidate, State
from headway.reference.countdown.batches import make_held_out_puzzles
from headway.reference.countdown.sampling import CountdownModel

T = TypeVar("T")
QUESTION = "9 3 2 -> 24\n"


@pytest.fixture(scope="module")
def solver() -> Solver:
    return Solver(CountdownModel.shipped(), seed=5)


def within(program: Callable[[], Awaitable[T]]) -> T:
    """What a program gives in a run: parts make calls."""

    async def root() -> T:
        return await program()

    return hw.run(root, store=":memory:", progress=False)


def values(solver: Solver, *texts: str, question: str = QUESTION) -> list[float]:
    return within(lambda: solver.value(question, list(texts)))


def test_a_solution_is_worth_much_and_what_cannot_reach_the_target_little(solver: Solver) -> None:
    solution, miss = values(solver, "9+3=12\n12*2=24\n", "9+3=12\n12+2=14\n")
    assert solution > 0.9
    assert miss < 0.1


@pytest.mark.parametrize(
    "steps",
    ["9+3=12\n12*2=24\n24", "9+3=12\n12*2=24", "9+3=12\n12 24 24", "9+3=13\n", "9+4=13\n", "3-9=6\n", "nonsense\n"],
    ids=["a rest", "no line end", "breaks off", "wrong sum", "no such number", "below zero", "no step"],
)
def test_what_breaks_the_rules_or_breaks_off_is_worth_nothing(solver: Solver, steps: str) -> None:
    assert values(solver, steps) == [0.0]


def test_what_the_value_head_takes_is_an_answer_that_the_judge_takes(solver: Solver) -> None:
    """On many samples, most of which are wrong: a solution that breaks off must not pass for one."""

    async def attempts() -> list[tuple[bool, bool, bool]]:
        found = []
        for puzzle in make_held_out_puzzles(3, 12):
            made: list[Candidate[str]] = await hw.gather(*(solver.generate(puzzle.prompt, index) for index in range(24)))
            for candidate in made:
                taken, right = await hw.gather(solver.weigh(puzzle.prompt, candidate, 0), solver.check(puzzle.prompt, candidate, 0))
                found.append((taken.ok, candidate.answer is not None, right.ok))
        return found

    found = within(attempts)
    assert all(answered for taken, answered, _ in found if taken)
    assert sum(right for _, _, right in found) > 40
    assert sum(taken != right for taken, _, right in found) <= 2, "the value head is learned, but not that badly"


def test_steps_go_on_to_a_whole_answer(solver: Solver) -> None:
    async def walk() -> bool:
        state = State("")
        while not state.done:
            before, state = state, await solver.step(QUESTION, state, 0)
            assert state.value.startswith(before.value)
            assert state.value.endswith("\n")
            assert state.tokens > before.tokens
        (embedded,) = await solver.embed(QUESTION, [state.value])
        assert len(embedded) == 128
        return state.value.count("\n") <= 3

    assert within(walk)


def test_seeds_and_places_draw_differently_and_the_same_again(solver: Solver) -> None:
    def drawn(seed: int) -> list[str]:
        other = Solver(solver.model, seed=seed)

        async def twelve() -> list[str]:
            return [made.value for made in await hw.gather(*(other.generate(QUESTION, index) for index in range(12)))]

        return within(twelve)

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert len(set(drawn(1))) > 1


def test_the_parts_work_outside_of_a_run_too(solver: Solver) -> None:
    found = asyncio.run(search.best_of_n(QUESTION, solver.generate, solver.value, n=12))
    assert found.best is not None
    verdict = asyncio.run(solver.check(QUESTION, found.best, 0))
    assert verdict.ok
    assert found.best.score is not None
    assert found.best.score > 0.5


def test_a_text_that_the_model_cannot_read_fails_alone(solver: Solver) -> None:
    good = f"{QUESTION}9+3=12\n"
    bad = "no puzzle\n", "9 9 9 9 9 9 9 9 -> 24\n" + "".join(f"{9 * n}+9={9 * n + 9}\n" for n in range(1, 8))

    async def program() -> list[list[bool]]:
        looks = solver.value, solver.embed
        return [[end.ok for end in await hw.settle(*(look("", [text]) for text in (good, *bad, good)))] for look in looks]

    assert within(program) == [[True, False, False, True]] * 2


def test_values_and_verdicts_may_be_asked_when_the_tokens_are_used_up(solver: Solver) -> None:
    async def program() -> tuple[float, bool, dict[str, float]]:
        with hw.budget(tokens=30) as book:
            candidate = await solver.generate(QUESTION, 0)
            with pytest.raises(hw.BudgetExceeded):
                await solver.generate(QUESTION, 1)
            (value,) = await solver.value(QUESTION, [candidate.value])
            verdict = await solver.check(QUESTION, candidate, 0)
        return value, verdict.ok, dict(book.spent)

    value, ok, spent = within(program)
    assert (value > 0.5) == ok
    assert 6 < spent["tokens"] <= 22
