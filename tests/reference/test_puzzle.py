"""Countdown's rules, held against everything at once: random play, brute force and reasoning-gym's scorer."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.reference.countdown import tokens
from headway.reference.countdown.batches import Mix, are_held_out, batch, make_held_out_puzzles
from headway.reference.countdown.batches import solvable as solvable_rows
from headway.reference.countdown.puzzle import (
    Puzzle,
    Step,
    answer,
    apply_steps,
    expression,
    is_held_out,
    is_solved,
    moves,
    parse,
    result,
    solvable,
    steps_of,
)


@st.composite
def played(draw: st.DrawFn) -> tuple[Puzzle, list[Step]]:
    """A puzzle and a solution, by random play."""
    numbers = tuple(sorted(draw(st.lists(st.integers(1, 30), min_size=2, max_size=5)), reverse=True))
    start, steps = numbers, []
    while len(numbers) > 1:
        step, numbers = draw(st.sampled_from(list(moves(numbers))))
        steps.append(step)
    return Puzzle(start, numbers[0]), steps


def text_of(puzzle: Puzzle, steps: list[Step]) -> str:
    return puzzle.prompt + "".join(map(str, steps))


@given(played())
def test_what_was_played_is_a_solution_and_each_state_on_the_way_can_be_solved(game: tuple[Puzzle, list[Step]]) -> None:
    puzzle, steps = game
    assert is_solved(text_of(puzzle, steps))
    for done in range(len(steps)):
        assert not is_solved(text_of(puzzle, steps[:done]))
        numbers = apply_steps(puzzle, steps[:done])
        assert numbers is not None
        assert len(numbers) > 4 or solvable(numbers, puzzle.target)


@given(played(), st.data())
def test_a_changed_number_is_no_solution(game: tuple[Puzzle, list[Step]], data: st.DataObject) -> None:
    puzzle, steps = game
    at = data.draw(st.integers(0, len(steps) - 1))
    step = steps[at]
    steps[at] = Step(step.a, step.operator, step.b, step.result + data.draw(st.sampled_from([-1, 1])))
    assert not is_solved(text_of(puzzle, steps))
    assert expression(text_of(puzzle, steps)) is None


@given(played(), st.sampled_from(["", "24", "3+", "1+1=2\n"]))
def test_a_solution_ends_with_its_last_step(game: tuple[Puzzle, list[Step]], rest: str) -> None:
    puzzle, steps = game
    text = text_of(puzzle, steps)
    text = text + rest if rest else text.removesuffix("\n")
    assert not is_solved(text)
    assert expression(text) is answer(text) is None


@given(played())
def test_reasoning_gym_agrees_with_the_expression(game: tuple[Puzzle, list[Step]]) -> None:
    import reasoning_gym

    puzzle, steps = game
    scorer = reasoning_gym.create_dataset("countdown", size=1, seed=1)
    entry = {"metadata": {"numbers": list(puzzle.numbers), "target": puzzle.target}}
    assert scorer.score_answer(expression(text_of(puzzle, steps)), entry) == 1.0
    entry["metadata"]["target"] = puzzle.target + 1
    assert scorer.score_answer(expression(text_of(puzzle, steps)), entry) < 1.0


def test_reasoning_gyms_questions_are_read() -> None:
    import reasoning_gym

    for entry in reasoning_gym.create_dataset("countdown", size=30, seed=3):
        puzzle = parse(entry["question"])
        assert sorted(puzzle.numbers) == sorted(entry["metadata"]["numbers"])
        assert puzzle.target == entry["metadata"]["target"]


def test_a_question_without_a_puzzle_is_a_clear_error() -> None:
    with pytest.raises(ValueError, match="no Countdown puzzle in 'why is the sky blue"):
        parse("why is the sky blue?")


def test_lines_that_are_no_steps_are_told_from_lines_that_are_not_ended() -> None:
    assert steps_of("3 2 -> 6\n3*2=") == []
    assert steps_of("3 2 -> 6\nthree\n") is None
    assert not is_solved("3 2 -> 6\nthree\n")


@given(st.integers(1, 999), st.sampled_from("+-*/"), st.integers(1, 999))
def test_results_are_whole_positive_and_small(a: int, operator: str, b: int) -> None:
    made = result(a, operator, b)
    assert made is None or (0 < made <= 999 and a >= b and made == eval(f"{a}{operator}{b}"))


@given(played())
def test_texts_survive_their_tokens(game: tuple[Puzzle, list[Step]]) -> None:
    text = text_of(*game)
    assert tokens.decode(tokens.encode(text)) == text


@pytest.mark.parametrize("text", ["3 2 = six", "1000 2 -> 3\n", "3 2 → 6", "3² -> 9"])
def test_what_has_no_token_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="has no token for"):
        tokens.encode(text)


# --- columns of puzzles ----------------------------------------------------------------------------------------------


def test_a_batch_holds_solutions_and_labels_that_brute_force_confirms() -> None:
    made = batch(7, 3, 96, Mix(astray=0.5))
    astray = 0
    for row in range(96):
        text = tokens.decode(made.tokens[row].tolist())
        puzzle, steps = parse(text), steps_of(text)
        assert steps is not None
        assert len(steps) == len(puzzle.numbers) - 1
        assert not is_held_out(puzzle)
        labels = made.well[row][made.states[row]].tolist()
        found = [apply_steps(puzzle, steps[: done + 1]) for done in range(len(steps))]
        assert labels == [numbers is not None and solvable(numbers, puzzle.target) for numbers in found]
        learned = made.learn[row][made.learn[row] >= 0].tolist()
        if learned:
            assert is_solved(text)
            assert tokens.decode(learned[:-1]) == "".join(map(str, steps))
            assert learned[-1] == tokens.END
        else:
            astray += 1
        prompt = len(puzzle.numbers) + 2
        assert made.states[row].nonzero()[0].tolist() == [prompt + 4 * done + 3 for done in range(len(steps))]
    assert astray == 48


def test_a_batch_depends_on_seed_and_index_alone() -> None:
    first, again = batch(7, 3, 32, Mix()), batch(7, 3, 32, Mix())
    assert (first.tokens == again.tokens).all()
    assert not (first.tokens == batch(7, 4, 32, Mix()).tokens).all()
    assert not (first.tokens == batch(8, 3, 32, Mix()).tokens).all()


@pytest.mark.parametrize("four", [0.0, 0.8, 1.0])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_mix_may_have_puzzles_of_one_size_alone(count: int, four: float) -> None:
    mix = Mix(four=four)
    assert len(batch(7, 3, count, mix).tokens) == count
    sizes = sorted(len(puzzle.numbers) for puzzle in make_held_out_puzzles(0, count, mix))
    assert sizes == [3] * (count - round(count * four)) + [4] * round(count * four)


def test_columns_are_held_out_as_single_puzzles_are() -> None:
    rng = random.Random(1)
    puzzles = [Puzzle(tuple(sorted((rng.randint(1, 25) for _ in range(4)), reverse=True)), rng.randint(10, 99)) for _ in range(500)]
    rows = np.array([(*puzzle.numbers, puzzle.target) for puzzle in puzzles])
    held = [is_held_out(puzzle) for puzzle in puzzles]
    assert are_held_out(rows).tolist() == held
    assert 10 < sum(held) < 60


def test_columns_are_solved_as_single_puzzles_are() -> None:
    rng = random.Random(2)
    puzzles = [(tuple(sorted((rng.randint(1, 12) for _ in range(3)), reverse=True)), rng.randint(1, 40)) for _ in range(300)]
    rows = np.array([numbers for numbers, _ in puzzles])
    found = solvable_rows(rows, np.array([target for _, target in puzzles])).tolist()
    assert found == [solvable(numbers, target) for numbers, target in puzzles]
    assert any(found)
    assert not all(found)
