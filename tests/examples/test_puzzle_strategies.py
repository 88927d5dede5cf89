"""The searches of the puzzle example, on small puzzles, with reasoning-gym as the judge; and the program that races them."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import headway as hw
import puzzles as puzzles_program
from strategies import SEARCHES, Nodes, OutOfNodes, countdown, rush_hour, sokoban, zebra
from strategies.nodes import CHUNK

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what its own imports deprecate is not ours
    import reasoning_gym

SMALL: dict[str, dict[str, int]] = {
    "countdown": {"min_numbers": 5, "max_numbers": 5},
    "cryptarithm": {"min_words": 2, "max_words": 3},
    "rush_hour": {"min_moves": 5, "max_moves": 20},
    "sokoban": {"min_w": 6, "max_w": 7, "min_h": 6, "max_h": 7, "min_boxes": 2, "max_boxes": 3},
    "sudoku": {"min_empty": 40, "max_empty": 45},
    "zebra_puzzles": {"num_people": 4, "num_characteristics": 4},
}
EVERY_SEARCH = [(family, name) for family, searches in SEARCHES.items() for name in searches]


def dealt(family: str, size: int = 5) -> Any:
    return reasoning_gym.create_dataset(family, seed=7, size=size, **SMALL[family])


def solve(family: str, name: str, question: str) -> str | None:
    return SEARCHES[family][name](question, Nodes(100_000))


# --- every search ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "name"), EVERY_SEARCH)
def test_a_search_finds_answers_that_the_judge_takes(family: str, name: str) -> None:
    dataset = dealt(family)
    for entry in dataset:
        assert dataset.score_answer(solve(family, name, entry["question"]), entry) == 1.0, entry["question"]


@pytest.mark.parametrize(("family", "name"), EVERY_SEARCH)
def test_a_search_gives_the_same_answer_for_the_same_nodes_each_time(family: str, name: str) -> None:
    question = dealt(family)[0]["question"]
    first, second = Nodes(), Nodes()
    assert SEARCHES[family][name](question, first) == SEARCHES[family][name](question, second)
    assert first.spent == second.spent > 0


@pytest.mark.parametrize(("family", "name"), EVERY_SEARCH)
def test_a_search_stops_at_its_limit_and_has_booked_every_node(family: str, name: str) -> None:
    question = dealt(family)[0]["question"]
    whole = Nodes()
    SEARCHES[family][name](question, whole)
    limit = whole.spent - 1  # one node too few
    booked: list[int] = []
    answer = None
    with Nodes(limit, booked.append) as nodes:
        answer = SEARCHES[family][name](question, nodes)
    assert answer is None
    assert nodes.spent == sum(booked) == limit


@pytest.mark.parametrize("family", ["sudoku", "zebra_puzzles"])
def test_two_searches_agree_where_a_puzzle_has_one_solution(family: str) -> None:
    for entry in dealt(family):
        one, other = (solve(family, name, entry["question"]) for name in SEARCHES[family])
        assert one == other


# --- countdown -------------------------------------------------------------------------------------------------------


def test_countdown_uses_each_number_once_and_gives_the_target() -> None:
    position, target = countdown.parse(dealt("countdown")[0]["question"])
    expression = countdown.depth_first_below(position, target, Nodes())
    assert expression is not None
    assert eval(expression) == target
    numbers = "".join(c if c.isdigit() else " " for c in expression).split()
    assert Counter(numbers) == Counter(text for _, text in position)


@pytest.mark.parametrize(
    "question",
    [
        "Using all the numbers 7, 50, 3, create an expression that equals 353.\nYou can only use each number once.",
        "Find a way to make 353 using all of these numbers: 7, 50, 3.\nEach number can only be used once.",
        "Calculate 353 using all of these numbers: 7, 50, 3.\nEach number may be used at most once.",
    ],
)
def test_countdown_reads_every_wording(question: str) -> None:
    position, target = countdown.parse(question)
    assert [number for number, _ in position] == [50, 7, 3]
    assert target == 353
    assert countdown.depth_first(question, Nodes()) == "((50 * 7) + 3)"


def test_a_countdown_without_a_solution_is_searched_to_the_end() -> None:
    assert countdown.depth_first("Calculate 1000 using all of these numbers: 2, 3, 4.", Nodes()) is None


def test_one_of_the_subtrees_of_a_countdown_has_a_solution() -> None:
    for entry in dealt("countdown"):
        _, target = countdown.parse(entry["question"])
        parts = countdown.subtrees(entry["question"], most=1_000)
        assert len(parts) == len(set(parts)) > 10
        assert any(countdown.depth_first_below(part, target, Nodes()) for part in parts)


def test_the_subtrees_of_a_countdown_that_leave_small_numbers_come_first() -> None:
    parts = countdown.subtrees("Calculate 999 using all of these numbers: 9, 50, 3.", most=3)
    assert parts == [((3, "3"), (41, "(50 - 9)")), ((50, "50"), (3, "(9 / 3)")), ((9, "9"), (47, "(50 - 3)"))]


# --- the others ------------------------------------------------------------------------------------------------------


def test_breadth_first_finds_the_shortest_way_out_of_a_traffic_jam() -> None:
    for entry in dealt("rush_hour"):
        shortest = rush_hour.breadth_first(entry["question"], Nodes())
        other = rush_hour.best_first(entry["question"], Nodes())
        assert shortest is not None
        assert other is not None
        assert len(shortest.split()) <= len(other.split())


def test_fewest_pushes_never_walks_less_than_fewest_steps() -> None:
    for entry in dealt("sokoban"):
        steps = sokoban.breadth_first(entry["question"], Nodes())
        pushes = sokoban.fewest_pushes(entry["question"], Nodes())
        assert steps is not None
        assert pushes is not None
        assert len(steps) <= len(pushes)


def test_a_box_in_a_corner_without_a_goal_is_lost() -> None:
    question = "Here is your puzzle:\n+ + + + +\n+ @ - X +\n+ - * - +\n+ + + + +\n"
    room, (player, boxes) = sokoban.parse(question)
    assert (player, boxes) == (12, 1 << 6)
    assert room.lost(11)
    assert not room.lost(7)
    assert sokoban.breadth_first(question, Nodes()) is None
    assert sokoban.fewest_pushes(question, Nodes()) is None


def test_zebra_clues_are_read_by_what_they_are_about() -> None:
    question = """They have different characteristics:
 - Each person has a unique name: alice, bob
 - Each mother is accompanied by their child: fred, alice
 - The people are of nationalities: swede, dane
 - Everyone has a favorite smoothie: spring, phantom spring

1. The person's child is named Alice is the Swedish person.
2. Alice is directly left of the person who likes Phantom Spring smoothies.
3. The Dane and the person who likes Spring smoothies are next to each other.
4. Bob is in the second house.
"""
    puzzle = zebra.parse(question)
    assert puzzle.fixed == {(0, "bob"): 1}
    assert puzzle.clues == (
        zebra.Clue((1, "alice"), (2, "swede"), frozenset({0})),
        zebra.Clue((0, "alice"), (3, "phantom spring"), frozenset({1})),
        zebra.Clue((2, "dane"), (3, "spring"), frozenset({-1, 1})),
    )


def test_a_clue_about_nothing_that_is_listed_is_refused() -> None:
    question = " - Names: alice, bob\n - Pets: cat, dog\n\n1. Alice is the zebra owner.\n"
    with pytest.raises(ValueError, match="cannot read the clue 'alice is the zebra owner'"):
        zebra.parse(question)


# --- nodes -----------------------------------------------------------------------------------------------------------


def test_nodes_are_booked_in_chunks_and_the_rest_at_the_end() -> None:
    booked: list[int] = []
    with Nodes(book=booked.append) as nodes:
        for _ in range(2 * CHUNK + 5):
            nodes.expand()
    assert booked == [CHUNK, CHUNK, 5]


def test_no_node_is_expanded_above_the_limit() -> None:
    nodes = Nodes(3)
    for _ in range(3):
        nodes.expand()
    with pytest.raises(OutOfNodes, match="all 3 nodes are spent"):
        nodes.expand()
    assert nodes.spent == 3


def test_a_search_that_is_interrupted_has_paid_for_what_it_did() -> None:
    booked: list[int] = []
    with pytest.raises(KeyboardInterrupt), Nodes(book=booked.append) as nodes:
        nodes.expand()
        raise KeyboardInterrupt
    assert booked == [1]


# --- the program -----------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_run_that_is_killed_goes_on_and_solves_the_same_puzzles(tmp_path: Path) -> None:
    program = Path(puzzles_program.__file__)

    def solved(store: str, *kills_s: float) -> set[tuple[str, int]]:
        command = [sys.executable, str(program), "--count", "24", "--store", str(tmp_path / store)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        for seconds in (*kills_s, None):
            with suppress(subprocess.TimeoutExpired):  # it ends by SIGKILL
                subprocess.run(command, timeout=seconds, env=environment, check=True, capture_output=True)
        outcomes = hw.run(puzzles_program.solve_all, 24, run_id="puzzles-24", store=tmp_path / store, progress=False)
        assert len(outcomes) == 24
        return {(outcome.family, outcome.number) for outcome in outcomes if outcome.score == 1.0}

    undisturbed = solved("undisturbed")
    assert len(undisturbed) > 20
    assert solved("killed", 2.5, 4.0, 4.5) == undisturbed
