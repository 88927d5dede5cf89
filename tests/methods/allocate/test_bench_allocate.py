"""`headway bench allocate`: what it compares, that it goes on after a kill, and what it shows."""

from __future__ import annotations

import math
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headway.bench.allocate import program, report, workload
from headway.bench.allocate.program import Cell, CellPlayed, Comparison
from headway.bench.allocate.workload import make_workload, read_shapes
from headway.cli.app import app
from headway.methods.allocate import Recorded

GRID = ["--graph", "srasearch", "--budget", "2.4", "--deadline", "4", "--seeds", "2", "--episodes", "1"]
CELL = Cell("", "g", 1, 1)
MODELS = {"countdown": 60, "arithmetic": 36}


def test_the_shapes_are_plans_and_say_where_they_are_from():
    shapes = read_shapes()
    assert set(shapes) == set(workload.GRAPHS)
    for name in shapes:
        assert len(make_workload(name, 1).graph) == len(shapes[name]) > 20


def test_the_table_has_every_way_on_every_puzzle_and_says_where_it_is_from():
    table = Recorded.load(workload.OUTCOMES)
    assert "the Countdown model countdown-" in table.provenance
    assert "the Arithmetic model arithmetic-" in table.provenance
    assert {len(rows) for rows in table.rows.values()} == {96}
    ways = ("sharp", "answer", "search")
    steps = [f"{model} {place}" for model, count in MODELS.items() for place in range(count)]
    assert set(table.rows) == {(step, way) for step in steps for way in ways}


@pytest.mark.parametrize("model", MODELS)
def test_a_workflow_has_questions_of_its_model_alone(model):
    table = Recorded.load(workload.OUTCOMES)
    of_model = [rows for (step, choice), rows in table.rows.items() if step.startswith(f"{model} ")]
    found = make_workload("srasearch", 1, "", model)
    assert all((*found.estimated.rows[key], *rows) in of_model for key, rows in found.true.rows.items())


def test_a_table_with_other_names_is_one_workload(tmp_path):
    rows = Recorded.load(workload.OUTCOMES).rows
    named = {(step.replace("countdown ", "p"), choice): of for (step, choice), of in rows.items() if "countdown" in step}
    Recorded(named, "a test").save(tmp_path / "t.json")
    assert workload.read_models(str(tmp_path / "t.json")) == ("",)
    theirs, ours = make_workload("srasearch", 1, str(tmp_path / "t.json")), make_workload("srasearch", 1, "", "countdown")
    assert theirs.true.rows == ours.true.rows


def test_policies_estimate_from_other_outcomes_than_they_are_played_on():
    found = make_workload("srasearch", 1)
    both = [(found.estimated.rows[key], found.true.rows[key]) for key in found.true.rows]
    assert {(len(seen), len(true)) for seen, true in both} == {(48, 48)}
    table = Recorded.load(workload.OUTCOMES)
    assert all((*seen, *true) in table.rows.values() for seen, true in both)


def test_policies_play_the_same_draws():
    found = make_workload("srasearch", 1)
    policy = found.base["4 × sharp"]
    assert found.play(policy, 2.4, 4, 3) == found.play(policy, 2.4, 4, 3)
    assert found.play(policy, 2.4, 4, 3) != found.play(policy, 2.4, 4, 4)


def test_the_command_compares_shows_and_goes_on_where_it_was(tmp_path, monkeypatch):
    asked = ["bench", "allocate", *GRID, "--store", str(tmp_path / "store"), "--out", str(tmp_path / "out"), "--run-id", "grid"]
    first = CliRunner().invoke(app, asked, env={"COLUMNS": "160"})
    assert first.exit_code == 0, first.output
    assert "srasearch" in first.output
    page = (tmp_path / "out" / "allocate-benchmark.md").read_text()
    for model in MODELS:
        assert page.count(f"| {model} | srasearch | 2.4 | 4 |") == 1
    ET.parse(tmp_path / "out" / "pictures" / report.GRID)
    monkeypatch.setattr(program, "play_cell", None)  # nothing is played again
    again = CliRunner().invoke(app, asked, env={"COLUMNS": "160"})
    assert again.exit_code == 0, again.output
    assert (tmp_path / "out" / "allocate-benchmark.md").read_text() == page


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--graph", "star"], "there is no graph 'star'"),
        (["--model", "oracle"], "no outcomes of model 'oracle'; it has of: countdown, arithmetic"),
        (["--outcomes", "nothing.json"], "is no table of outcomes"),
    ],
)
def test_what_it_cannot_compare_it_refuses(options, said, tmp_path: Path):
    answer = CliRunner().invoke(app, ["bench", "allocate", *options, "--store", str(tmp_path)])
    assert answer.exit_code == 2
    assert said in " ".join(answer.output.split())


def test_without_numpy_it_says_what_to_install_before_it_begins_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "numpy", None)  # as where it is not installed
    answer = CliRunner().invoke(app, ["bench", "allocate", *GRID, "--store", str(tmp_path / "store")])
    assert answer.exit_code == 2
    assert "headway bench allocate needs numpy: pip install 'headway[numpy]'" in answer.output
    assert not (tmp_path / "store").exists()


def played(ours: list[float], fixed: list[float], cell: Cell = CELL) -> CellPlayed:
    return CellPlayed(cell, "4 × sharp", {"mcpp": ours, "fixed": fixed})


def test_a_difference_is_paired_workload_by_workload():
    assert report.difference([played([0.5] * 9, [0.5] * 9)]) == (0.0, 0.0)
    found = report.difference([played([1.0] * 10, [0.0, 1.0] * 5)])
    assert found.mean == 0.5
    assert found.half == pytest.approx(2.262 * (0.25 / 9) ** 0.5, rel=1e-3), "Student's t, of nine degrees of freedom"


def test_a_workload_counts_once_whatever_the_number_of_its_cells():
    """Cells of one workload rise and fall together, so more of them make no interval narrower."""
    cells = [played([0.5, 1.0, 1.0], [0.5, 0.5, 0.0]) for _ in range(9)]
    assert report.difference(cells) == pytest.approx(report.difference(cells[:1]))


def test_of_one_workload_no_interval_is_known():
    assert report.difference([played([1.0], [0.0])]) == (1.0, math.inf)
    assert report.difference([played([1.0], [0.0])]).side == 0


def test_the_page_counts_the_cells_in_which_it_is_ahead_and_behind():
    always, never, tossed = [1.0, 1.0, 1.0, 0.9], [0.0] * 4, [1.0, 0.0, 1.0, 0.0]
    pairs = {1.0: (always, never), 2.0: (tossed, tossed[::-1]), 3.0: (never, always)}
    cells = [played(ours, fixed, Cell("m", "g", budget, 1.0)) for budget, (ours, fixed) in pairs.items()]
    page = report.page(Comparison(cells, 1, "a test"), "a machine")
    assert re.search(r"^\| m \| g \| 49% \| 49% \| \+0 ± \d+ \| 1 of 3 \| 1 \|$", page, re.MULTILINE)


def test_the_picture_shows_every_cell_of_every_policy():
    cells = [
        CellPlayed(Cell(model, graph, budget, deadline), "4 × sharp", {"mcpp": [1.0], "fixed": [0.0], "paper": [1.0]})
        for model in ("x", "y")
        for graph in ("a", "b")
        for budget in (1.0, 2.0)
        for deadline in (1.5, 3.0)
    ]
    drawn = report.draw_grid(Comparison(cells, 1, "a test"))
    assert drawn.count("<title>budget") == 3 * len(cells)
    assert all(f">{model} {graph}<" in drawn for model in ("x", "y") for graph in ("a", "b"))
    ET.fromstring(drawn)
