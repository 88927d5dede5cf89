"""The search model: its data are searches that are right, its puzzles are held out, and it gains from helpers."""

from __future__ import annotations

import random
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import headway as hw
from headway import models
from headway.methods.plan import Speech, Thread, apr
from headway.reference.batch import IGNORED
from headway.reference.countdown.puzzle import Puzzle, is_held_out, is_solved, solvable
from headway.reference.countdown.searching import traces
from headway.reference.countdown.searching.batches import LENGTH, Mix, batch, make_held_out_puzzles
from headway.reference.countdown.searching.sampling import SearchModel
from headway.reference.countdown.searching.tokens import END, PAD, WORDS, decode, encode

STATES = st.lists(st.integers(1, 20), min_size=3, max_size=4).map(lambda numbers: tuple(sorted(numbers, reverse=True)))
SPEECH = Speech(nothing="none")


def solves(puzzle: Puzzle, said: str | None) -> bool:
    return said is not None and is_solved(puzzle.prompt + said.replace(", ", "\n") + "\n")


@given(STATES, st.integers(10, 99), st.integers(0, 5))
def test_a_search_finds_a_solution_exactly_where_there_is_one(numbers: tuple[int, ...], target: int, seed: int) -> None:
    trace = traces.search_alone(numbers, target, random.Random(seed))
    assert bool(trace.steps) == solvable(numbers, target)
    assert not trace.steps or solves(Puzzle(numbers, target), trace.message)


@given(STATES.filter(lambda numbers: len(numbers) == 4), st.integers(10, 99), st.integers(0, 5))
def test_helpers_find_a_solution_exactly_where_there_is_one(numbers: tuple[int, ...], target: int, seed: int) -> None:
    rounds, steps = traces.search_forked(numbers, target, random.Random(seed))
    assert bool(steps) == solvable(numbers, target)
    assert not steps or solves(Puzzle(numbers, target), ", ".join(steps))
    assert all(len(each.moves) <= traces.WIDTH for each in rounds)


@pytest.mark.parametrize("index", range(3))
def test_texts_of_the_data_are_what_their_tokens_say(index: int) -> None:
    made = batch(3, index, 16, Mix())
    for row in made.tokens.tolist():
        tokens = [token for token in row if token < END]
        assert encode(decode(tokens)) == tokens
        assert len(tokens) <= LENGTH


def test_a_batch_is_a_function_of_its_seed_and_index() -> None:
    one, two = batch(3, 1, 16, Mix()), batch(3, 1, 16, Mix())
    assert np.array_equal(one.tokens, two.tokens)
    assert np.array_equal(one.learn, two.learn)
    assert not np.array_equal(one.tokens[:, :20], batch(3, 2, 16, Mix()).tokens[:, :20])


def test_a_parent_learns_what_it_writes_and_not_what_it_hears() -> None:
    made = batch(5, 0, 16, Mix(alone=0.0, parents=1.0))
    opens, closes = (len(range(1000)) + WORDS.index(tag) for tag in ("<messages>", "</messages>"))
    heard = 0
    for tokens, learn in zip(made.tokens, made.learn, strict=True):
        inside = False
        for place, token in enumerate(tokens[1:]):
            inside = inside or token == opens
            prompt = place < tokens.tolist().index(1008)
            assert (learn[place] == IGNORED) == (inside or prompt or token == PAD)
            heard += inside
            inside = inside and token != closes
    assert heard > 100


def test_no_puzzle_that_is_held_out_is_trained_on() -> None:
    for index in range(3):
        for row in batch(7, index, 32, Mix()).tokens.tolist():
            prompt = decode(token for token in row if token < END).partition("\n")[0]
            numbers, target = prompt.replace("=>", "->").split(" -> ")
            of = tuple(sorted(map(int, numbers.rpartition("=")[2].split()), reverse=True))
            assert not is_held_out(Puzzle(of, int(target)))
    puzzles = make_held_out_puzzles(1, 20)
    assert all(is_held_out(puzzle) and solvable(puzzle.numbers, puzzle.target) for puzzle in puzzles)
    assert puzzles == make_held_out_puzzles(1, 20)


@pytest.mark.parametrize("text", ["<think>", "1000 2 -> 3\n", "a", "12&3"])
def test_what_has_no_token_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="the search model has no token for"):
        encode(text)


def test_symbolic_searches_solve_more_with_helpers_at_equal_tokens_in_sequence() -> None:
    alone, forked = 0, 0
    for place, puzzle in enumerate(make_held_out_puzzles(2, 60)):
        rounds, steps = traces.search_forked(puzzle.numbers, puzzle.target, random.Random(place))
        parts = traces.parent_text(rounds, steps, puzzle.target)
        longest = sum(max(len(encode(trace.text)) for trace in each.traces) for each in rounds)
        forked += sum(len(encode(text)) for text, written in parts if written) + longest <= 250
        alone += len(encode(traces.search_alone(puzzle.numbers, puzzle.target, random.Random(place)).text)) <= 250
    assert forked > alone + 6, (forked, alone)


# --- the model -------------------------------------------------------------------------------------------------------

PUZZLES = 16


@hw.task(name="searching.tests.both")
async def both() -> tuple[list[Thread], list[models.Reply]]:
    model = models.open("countdown-search")
    puzzles = make_held_out_puzzles(1000, PUZZLES)
    cold: models.Sampling = {"temperature": 0.0}
    forked = (apr(model, traces.prompt_parent(each), tokens=300, rounds=1, speech=SPEECH, sampling=cold) for each in puzzles)
    alone = (models.sample(model, traces.prompt_alone(each), max_tokens=250, temperature=0.0) for each in puzzles)
    return await hw.gather(*forked), await hw.gather(*alone)


@cache
def searches() -> tuple[list[Thread], list[models.Reply]]:
    return hw.run(both, store=None)


def test_the_model_solves_more_with_helpers_at_equal_tokens_in_sequence() -> None:
    threads, replies = searches()
    puzzles = make_held_out_puzzles(1000, PUZZLES)
    forked = sum(
        solves(puzzle, thread.message) and thread.spent.sequential <= 250 for puzzle, thread in zip(puzzles, threads, strict=True)
    )
    said = [reply.text.partition("<join>")[2].removesuffix("</join>") or None for reply in replies]
    alone = sum(solves(puzzle, each) for puzzle, each in zip(puzzles, said, strict=True))
    assert forked > alone, (forked, alone)


def test_the_models_helpers_are_told_a_step_and_end_with_a_message() -> None:
    helpers = [helper for thread in searches()[0] for helper in thread.helpers]
    assert len(helpers) > 5 * PUZZLES
    assert sum(helper.why == "joined" for helper in helpers) > 0.95 * len(helpers)
    assert all(helper.context.count(" -> ") == 1 and helper.context.endswith("\n") for helper in helpers)


def test_the_model_is_opened_by_its_name_and_by_its_file() -> None:
    assert models.open("countdown-search").name == models.open(str(SearchModel.file)).name
    assert SearchModel.file.stat().st_size < 2_000_000
