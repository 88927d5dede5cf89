"""The comparison of methods, with the shipped model: every method inside of its budget, found again, and shown."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import headway as hw
from headway import events
from headway.bench.search import report
from headway.bench.search.methods import METHODS, OPTIMAL, answers, paths, width
from headway.bench.search.program import Attempt, Comparison, compare, means, wilson
from headway.bench.search.savings import savings
from headway.bench.search.workloads import ARITHMETIC, COUNTDOWN, Workload

ALL = (*METHODS, OPTIMAL)
BUDGETS = {"countdown": (22, 132), "arithmetic": (100, 400)}
QUESTIONS = 4


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module", params=["countdown", "arithmetic"])
def compared(store: Path, request: pytest.FixtureRequest) -> Comparison:
    name = request.param
    found: Comparison = hw.run(compare, name, "", ALL, BUDGETS[name], QUESTIONS, store=store, run_id=name)
    return found


def test_every_method_tries_every_question_and_stays_in_its_budget(compared: Comparison) -> None:
    budgets = BUDGETS[compared.workload]
    tried = {(each.method, each.budget, each.question) for each in compared.attempts}
    assert tried == {(method, budget, question) for method in ALL for budget in budgets for question in range(QUESTIONS)}
    assert len(compared.attempts) == len(tried)
    most = {method: max(budgets) if method == OPTIMAL else 0 for method in ALL}  # for one question
    assert all(0 < each.tokens <= max(most[each.method], each.budget) for each in compared.attempts)
    assert all(0 <= each.sequential <= each.tokens for each in compared.attempts)
    assert any(each.solved for each in compared.attempts)


def test_a_comparison_is_found_again_and_a_larger_one_adds_to_it(compared: Comparison, store: Path) -> None:
    started: list[str] = []

    def hear(event: events.Event) -> None:
        if isinstance(event, events.CallStarted):
            started.append(event.task)

    name = compared.workload
    again = hw.run(compare, name, "", ALL, BUDGETS[name], QUESTIONS, store=store, run_id=name, events=hear)
    assert again == compared
    assert started == []


def test_intervals_hold_the_share_and_shrink_with_numbers() -> None:
    for n in (10, 100, 1000):
        low, high = wilson(n // 2, n)
        assert 0 < low < 0.5 < high < 1
    assert wilson(500, 1000)[1] - wilson(500, 1000)[0] < wilson(5, 10)[1] - wilson(5, 10)[0]
    assert wilson(0, 10)[0] == pytest.approx(0, abs=1e-9)


def test_means_are_over_questions_of_a_method_and_budget() -> None:
    attempts = [
        Attempt("m", 10, 0, True, 8, 4, "done"),
        Attempt("m", 10, 1, False, 4, 2, "done"),
        Attempt("m", 20, 0, True, 9, 5, "done"),
    ]
    first, second = means(attempts)
    assert (first.tokens, first.sequential, first.solved) == (6.0, 3.0, 0.5)
    assert (second.budget, second.solved) == (20, 1.0)


def test_sizes_are_what_a_budget_pays_for() -> None:
    puzzle, question = COUNTDOWN.sizes("25 8 7 3 -> 82\n"), ARITHMETIC.sizes("12-(34+5)*3\n")
    assert [answers(puzzle, tokens) for tokens in (1, 22, 43, 44)] == [1, 1, 1, 2]
    assert (question.prompt, question.steps, question.written) == (10, 3, 13)
    for sizes in (puzzle, question):
        assert paths(sizes, 22) == 1
        assert paths(sizes, 1000) * sizes.path <= 1000 < (paths(sizes, 1000) + 1) * sizes.path
    assert [width(n) for n in (1, 4, 16, 17)] == [1, 2, 4, 4]


@pytest.mark.parametrize("workload", [COUNTDOWN, ARITHMETIC], ids=lambda each: each.name)
def test_what_is_chosen_on_is_never_measured_on(workload: Workload) -> None:
    chosen, tested = (set(workload.questions(use, 60)) for use in ("choose", "test"))
    assert len(tested) == 60
    assert not chosen & tested


def attempts_of(method: str, budget: int, tokens: float, solved: list[bool]) -> list[Attempt]:
    return [Attempt(method, budget, number, right, tokens, 1, "done") for number, right in enumerate(solved)]


def test_a_saving_is_against_the_strongest_other_method() -> None:
    half, most = [True, False] * 20, [True, True, True, False] * 10
    weak = attempts_of("weak", 100, 100, [False] * 40) + attempts_of("weak", 400, 400, half)
    strong = attempts_of("strong", 100, 100, half) + attempts_of("strong", 300, 300, most)
    ours = attempts_of("ours", 100, 100, most)
    (found,) = savings([*weak, *strong, *ours], "ours")
    assert (found.for_as_much, found.for_as_many) == ("strong", "strong")
    assert found.gain is not None
    assert found.gain.value == pytest.approx(0.25)
    assert found.gain.low <= 0.25 <= found.gain.high
    assert found.cheaper is not None
    assert found.cheaper.value == pytest.approx(3.0)
    (worse,) = savings([*strong, *attempts_of("ours", 200, 200, half)], "ours")
    assert worse.gain is not None
    assert worse.gain.high < 0 or worse.gain.value < 0
    assert worse.cheaper is not None
    assert worse.cheaper.value < 1


def test_a_saving_says_so_where_no_other_method_gets_there() -> None:
    (found,) = savings([*attempts_of("other", 90, 90, [False, True]), *attempts_of("ours", 50, 50, [True, True])], "ours")
    assert (found.for_as_much, found.gain) == ("", None)
    assert (found.for_as_many, found.cheaper) == ("", None)


def test_the_page_and_its_pictures_show_every_method(compared: Comparison, tmp_path: Path) -> None:
    written = report.write([compared], tmp_path, "a machine")
    text = (tmp_path / report.PAGE).read_text()
    assert len(written) == 3
    for path in written:
        if path.suffix == ".svg":
            words = "".join(ElementTree.fromstring(path.read_text()).itertext())
            assert all(method in words for method in ALL)
            assert f"pictures/{path.name}" in text
    assert all(f"| {method} |" in text for method in ALL)
    assert "What it chooses" in text
