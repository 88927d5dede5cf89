"""`headway bench allocate`: what it compares, that it goes on after a kill, and what it shows."""

from __future__ import annotations

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

GRID = ["--graph", "srasearch", "--budget", "2.4", "--deadline", "4", "--seeds", "1", "--episodes", "1"]


def test_the_shapes_are_plans_and_say_where_they_are_from():
    shapes = read_shapes()
    assert set(shapes) == set(workload.GRAPHS)
    for name in shapes:
        assert len(make_workload(name, 1).graph) == len(shapes[name]) > 20


def test_the_table_has_every_way_on_every_puzzle_and_says_where_it_is_from():
    table = Recorded.load(workload.OUTCOMES)
    assert "Countdown" in table.provenance
    assert {len(rows) for rows in table.rows.values()} == {96}
    assert {choice for _, choice in table.rows} == {"sharp", "answer", "search"}
    assert len(table.rows) == 3 * 60


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
    assert page.count("| srasearch | 2.4 |") == 1
    ET.parse(tmp_path / "out" / "pictures" / report.GRID)
    monkeypatch.setattr(program, "play_cell", None)  # nothing is played again
    again = CliRunner().invoke(app, asked, env={"COLUMNS": "160"})
    assert again.exit_code == 0, again.output
    assert (tmp_path / "out" / "allocate-benchmark.md").read_text() == page


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--graph", "star"], "there is no graph 'star'"), (["--outcomes", "nothing.json"], "is no table of outcomes")],
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


def test_a_difference_is_paired_episode_by_episode():
    cell = Cell("g", 1, 1)
    assert report.difference(CellPlayed(cell, "f", {"mcpp": [True] * 9, "fixed": [True] * 9})) == (0.0, 0.0)
    mean, half = report.difference(CellPlayed(cell, "f", {"mcpp": [True] * 10, "fixed": [False, True] * 5}))
    assert mean == 0.5
    assert half == pytest.approx(1.96 * (0.25 / 9) ** 0.5)


def test_the_picture_shows_every_cell_of_every_policy():
    cells = [
        CellPlayed(Cell(graph, budget, deadline), "4 × sharp", {"mcpp": [True], "fixed": [False], "paper": [True]})
        for graph in ("a", "b")
        for budget in (1.0, 2.0)
        for deadline in (1.5, 3.0)
    ]
    drawn = report.draw_grid(Comparison(cells, 1, (1,), "a test"))
    assert drawn.count("<title>budget") == 3 * len(cells)
    ET.fromstring(drawn)
