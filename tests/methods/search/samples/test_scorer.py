"""`headway bench scorer`: what it says of scorers of planted quality, of ties, and of files that it can't read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.methods.search_scorer import PLANTED, countdown_answers, rate_all, share_right
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import headway as hw
from headway.bench.scorer.countdown import Answers, best_right, make_items, rate_on_countdown
from headway.bench.scorer.items import load_scorer, read_items
from headway.bench.scorer.program import rate_on_items
from headway.bench.scorer.rating import TIES, Item, Scored, credit, find_auroc, rank_correlation, rate, rate_ties
from headway.cli.app import app

SCORES = st.integers(-3, 3).map(float)


def length(prompt: str, answers: list[str]) -> list[float]:
    """A scorer: the longer the better."""
    return [float(len(answer)) for answer in answers]


async def shortness(prompt: str, answers: list[str]) -> list[float]:
    return [-score for score in length(prompt, answers)]


def broken(prompt: str, answers: list[str]) -> list[float]:
    return [1.0]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_score_predicts_what_best_of_n_makes_of_a_scorer_on_other_puzzles(seed):
    said, made = rate_all(seed, countdown_answers(500, 60), countdown_answers(501, 60))
    assert rank_correlation(said, made) >= 0.9
    assert made[-1] > made[0] + 0.3


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planted_scorers_rank_as_they_were_planted(seed):
    said, _ = rate_all(seed, countdown_answers(500, 60), countdown_answers(501, 60))
    assert rank_correlation(said, PLANTED) >= 0.9
    assert said[0] == pytest.approx(0.25, abs=0.15), "one of four by chance"
    assert said[-1] > 0.95


def test_a_scorer_that_knows_finds_every_right_answer_that_there_is():
    answers = countdown_answers(500, 60)
    assert share_right(0.999999, 0, answers) == pytest.approx(sum(any(each.right) for each in answers) / len(answers), abs=0.02)


@given(st.lists(SCORES, min_size=1, max_size=1), st.lists(SCORES, min_size=3, max_size=3))
def test_an_item_counts_what_drawing_among_the_best_would(chosen, rejected):
    top = max(chosen + rejected)
    among = [score == top for score in chosen + rejected]
    assert credit(chosen, rejected) == pytest.approx((chosen[0] == top) / sum(among))


@given(st.lists(st.tuples(SCORES, st.lists(SCORES, min_size=1, max_size=4)), min_size=1, max_size=5))
def test_a_constant_scorer_is_worth_chance_and_a_turned_one_the_rest(items):
    scored = [Scored(Item("", "", (), ()), (right,), tuple(wrong)) for right, wrong in items]
    turned = [Scored(each.item, (-each.chosen[0],), tuple(-score for score in each.rejected)) for each in scored]
    assert find_auroc(scored) + find_auroc(turned) == pytest.approx(1)
    same = [Scored(each.item, (1.0,), (1.0,) * 3) for each in scored]
    assert rate(same)[0].score == 0.25
    assert rate(same)[0].auroc == 0.5


def tie(name: str, chosen: tuple[float, ...], rejected: tuple[float, ...]) -> Scored:
    return Scored(Item(name, "", ("",) * len(chosen), ("",) * len(rejected), TIES), chosen, rejected)


def test_ties_are_rated_by_gaps_and_by_the_spread_of_right_answers():
    perfect = [tie("ref:1", (9.0,), (1.0, 2.0)), tie("tied:1", (8.0, 8.5, 9.0), (1.0,))]
    assert rate_ties(perfect) == pytest.approx(1.0 + 0.01, abs=1e-4)
    spread = [tie("ref:1", (9.0,), (1.0,)), tie("tied:1", (3.0, 9.0), (2.0,))]
    assert rate_ties(spread) == pytest.approx(0.6 + 0.01 * -0.6823, abs=1e-3), "right above wrong, but by less than they differ"
    wrong = [tie("ref:1", (1.0,), (9.0,)), tie("tied:1", (1.0, 2.0), (9.0,))]
    assert rate_ties(wrong) == pytest.approx(-0.01, abs=1e-4)
    with pytest.raises(hw.UsageError, match=r"ref:N or tied:N"):
        rate_ties([tie("first", (1.0,), (0.0,))])
    with pytest.raises(hw.UsageError, match="no pair"):
        rate_ties([tie("ref:1", (1.0,), (0.0,)), tie("tied:2", (1.0,), (0.0,))])


def test_ranks_that_are_shared_correlate_as_spearman_has_it():
    assert rank_correlation([1, 2, 2, 3], [1, 2, 2, 3]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert rank_correlation([1, 2, 3, 4, 5], [2, 1, 4, 3, 5]) == pytest.approx(0.8)
    assert rank_correlation([1, 1], [1, 2]) != rank_correlation([1, 1], [1, 2]), "NaN where all are equal"


def test_items_are_made_of_puzzles_with_a_right_and_three_different_wrong_answers():
    made = make_items([
        Answers("a", ("r", "w", "w", "w"), (True, False, False, False)),
        Answers("b", ("1", "r", "2", "3", "4"), (False, True, False, False, False)),
        Answers("c", ("1", "2", "3"), (False, False, False)),
    ])  # fmt: skip
    assert [(item.prompt, item.chosen, item.rejected) for item in made] == [("b", ("r",), ("1", "2", "3"))]
    with pytest.raises(hw.UsageError, match="no puzzle has"):
        make_items([])
    assert best_right(Answers("b", ("1", "r", "2"), (False, True, False)), [0.5, 0.5, 0.1]) == 0.5


LINES = [
    {"id": "1", "prompt": "p", "chosen": ["longest"], "rejected": ["a", "b", "c"], "subset": "words"},
    {"prompt": "p", "chosen": "a", "rejected": ["longer", "b", "c"], "subset": "words"},
    {"id": "ref:1", "prompt": "p", "chosen": ["long"], "rejected": ["a"], "subset": "Ties"},
    {"id": "tied:1", "prompt": "p", "chosen": ["long", "gone"], "rejected": ["b"], "subset": "Ties"},
]


def file_of(folder: Path, *lines: object) -> Path:
    path = folder / "items.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return path


def test_a_file_is_rated_by_subset_and_found_again(go, tmp_path):
    items = read_items(file_of(tmp_path, *LINES, ""))
    report = go(rate_on_items, f"{__name__}:length", items)
    assert [(each.subset, each.items) for each in report.ratings] == [("words", 2), (TIES, 2)]
    assert report.ratings[0].score == 0.5
    assert report.score == pytest.approx((0.5 + 1.01) / 2, abs=0.001)
    assert go(rate_on_items, f"{__name__}:length", items) == report
    turned = go(rate_on_items, f"{__name__}:shortness", items, run_id="turned")
    assert turned.ratings[0].score == pytest.approx(1 / 6)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((), "there are none"),
        (("{",), "line 1: "),
        ((LINES[0], [1]), "line 2: an item is an object"),
        (({"prompt": "p", "chosen": [], "rejected": ["a"]},), "at least one each"),
        (({"prompt": 3, "chosen": ["a"], "rejected": ["a"]},), "prompt must be a text"),
        (({"prompt": "p", "chosen": ["a", "b"], "rejected": ["a"]},), "2 chosen answers"),
        (({"prompt": "p", "chosen": ["a"], "rejected": [float("nan")]},), "a list of texts"),
    ],
)
def test_what_is_no_item_is_named_with_its_line(tmp_path, lines, said):
    with pytest.raises(hw.UsageError, match=said):
        read_items(file_of(tmp_path, *lines))


@pytest.mark.parametrize("name", ["mine", "nowhere.at_all:score", f"{__name__}:nothing", f"{__name__}:LINES", ":", "headway:"])
def test_a_scorer_that_there_is_not_is_named(name):
    with pytest.raises(hw.UsageError, match="scorer '"):
        load_scorer(name)


def test_a_scorer_that_gives_too_few_scores_is_named(go, tmp_path):
    with pytest.raises((hw.UsageError, ExceptionGroup)) as caught:
        go(rate_on_items, f"{__name__}:broken", read_items(file_of(tmp_path, LINES[0])))
    assert f"the scorer {__name__}:broken gave 1 scores for 4 solutions" in repr(caught.value)


def test_the_value_head_chooses_better_than_chance_on_countdown(tmp_path):
    report = hw.run(rate_on_countdown, "countdown", 12, 8, store=str(tmp_path / "store"), progress=False)
    assert report.best_of is not None
    assert report.best_of.one < report.best_of.best <= report.best_of.some
    assert report.score > 0.8


def test_the_command_shows_the_subsets_and_refuses_what_is_not_there(tmp_path):
    store = ["--store", str(tmp_path / "store")]
    result = CliRunner().invoke(app, ["bench", "scorer", f"{__name__}:length", "--items", str(file_of(tmp_path, *LINES)), *store])
    assert result.exit_code == 0, result.output
    assert "words" in result.output
    assert "50.0%" in result.output
    assert CliRunner().invoke(app, ["bench", "scorer", "luck", *store]).exit_code == 2
    missing = CliRunner().invoke(app, ["bench", "scorer", "--items", str(tmp_path / "none.jsonl"), *store])
    assert missing.exit_code == 2
    assert "none.jsonl" in missing.output


def test_a_scorer_of_ones_own_on_a_file_needs_no_extra_and_countdown_says_which(tmp_path):
    (tmp_path / "mine.py").write_text("def score(prompt, answers):\n    return [float(len(answer)) for answer in answers]\n")
    without = "import sys; sys.modules['torch'] = None; from headway.cli.app import app; app()"  # as where it is not installed

    def headway(*asked: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", without, "bench", "scorer", *asked]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    answer = headway("mine:score", "--items", str(file_of(tmp_path, *LINES)))
    assert answer.returncode == 0, answer.stderr
    assert "words" in answer.stdout
    answer = headway("mine:score")
    assert answer.returncode == 2
    assert "headway bench scorer on Countdown needs torch: pip install 'headway[torch,solve]'" in answer.stderr
