"""The comparison of methods, with the shipped model: every method inside of its budget, found again, and shown."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import headway as hw
from headway import events
from headway.bench.search import report
from headway.bench.search.methods import METHODS, OPTIMAL, PATH, answers, paths, width
from headway.bench.search.program import Attempt, Comparison, compare, means, tokens_for, wilson

ALL = (*METHODS, OPTIMAL)
BUDGETS = (22, 132)
PUZZLES = 4


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def compared(store: Path) -> Comparison:
    found: Comparison = hw.run(compare, "", ALL, BUDGETS, PUZZLES, store=store, run_id="bench")
    return found


def test_every_method_tries_every_puzzle_and_stays_in_its_budget(compared: Comparison) -> None:
    tried = {(each.method, each.budget, each.puzzle) for each in compared.attempts}
    assert tried == {(method, budget, puzzle) for method in ALL for budget in BUDGETS for puzzle in range(PUZZLES)}
    assert len(compared.attempts) == len(tried)
    most = {method: max(BUDGETS) if method == OPTIMAL else 0 for method in ALL}  # for one puzzle
    assert all(0 < each.tokens <= max(most[each.method], each.budget) for each in compared.attempts)
    assert all(0 <= each.sequential <= each.tokens for each in compared.attempts)
    assert any(each.solved for each in compared.attempts)


def test_a_comparison_is_found_again_and_a_larger_one_adds_to_it(compared: Comparison, store: Path) -> None:
    started: list[str] = []

    def hear(event: events.Event) -> None:
        if isinstance(event, events.CallStarted):
            started.append(event.task)

    again = hw.run(compare, "", ALL, BUDGETS, PUZZLES, store=store, run_id="bench", events=hear)
    assert again == compared
    assert started == []


def test_intervals_hold_the_share_and_shrink_with_numbers() -> None:
    for n in (10, 100, 1000):
        low, high = wilson(n // 2, n)
        assert 0 < low < 0.5 < high < 1
    assert wilson(500, 1000)[1] - wilson(500, 1000)[0] < wilson(5, 10)[1] - wilson(5, 10)[0]
    assert wilson(0, 10)[0] == pytest.approx(0, abs=1e-9)


def test_means_are_over_puzzles_of_a_method_and_budget() -> None:
    attempts = [
        Attempt("m", 10, 0, True, 8, 4, "done"),
        Attempt("m", 10, 1, False, 4, 2, "done"),
        Attempt("m", 20, 0, True, 9, 5, "done"),
    ]
    first, second = means(attempts)
    assert (first.tokens, first.sequential, first.solved) == (6.0, 3.0, 0.5)
    assert (second.budget, second.solved) == (20, 1.0)
    assert tokens_for([first, second], 0.75) == pytest.approx(7.5)
    assert tokens_for([first], 0.75) is None


def test_sizes_are_what_a_budget_pays_for() -> None:
    assert [answers(tokens) for tokens in (1, 22, 43, 44)] == [1, 1, 1, 2]
    assert paths(22) == 1
    assert paths(1000) * PATH <= 1000 < (paths(1000) + 1) * PATH
    assert [width(n) for n in (1, 4, 16, 17)] == [1, 2, 4, 4]


def test_the_page_and_its_pictures_show_every_method(compared: Comparison, tmp_path: Path) -> None:
    written = report.write(compared, tmp_path, "a machine")
    text = (tmp_path / "search-benchmark.md").read_text()
    for path in written:
        if path.suffix == ".svg":
            words = "".join(ElementTree.fromstring(path.read_text()).itertext())
            assert all(method in words for method in ALL)
            assert f"pictures/{path.name}" in text
    assert all(f"| {method} |" in text for method in ALL)
    assert "What it chooses" in text
