"""The comparison of schedulers and the sweep of job shops: durable, found again, judged by the checker, and shown."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from pathlib import Path

import pytest
from typer.testing import CliRunner

import headway as hw
from headway import events
from headway.cli.app import app
from headway.journal.records import COSTED, Kind, Row
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash

pytest.importorskip("ortools")

from benchmarks.methods import schedule_shops

from headway.bench.schedule import report
from headway.bench.schedule.program import BEST, KINDS, LEVELS, RULED, SOLVER, TIGHT, Comparison, Kept, Value, compare
from headway.bench.schedule.shops import Shop, sweep
from headway.methods.schedule.instances import classic

SHOPS = ("ft06", "la01")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def compared(store: Path) -> Comparison:
    found: Comparison = hw.run(compare, 1, 0.5, SHOPS, store=store, run_id="bench", progress=False)
    return found


def test_every_way_is_tried_on_every_problem(compared: Comparison) -> None:
    ways = {*(rule.name for rule in RULED), BEST, SOLVER}
    assert {each.way for each in compared.ramps} == ways == {each.way for each in compared.machines}
    assert len(compared.ramps) == len(ways) * LEVELS * len(KINDS)
    assert len(compared.machines) == len(ways) * len(TIGHT)
    assert {each.problem for each in compared.shops} == set(SHOPS)


def test_the_best_of_the_rules_and_the_solver_keep_every_step_and_no_rule_beats_them(compared: Comparison) -> None:
    assert all(each.kept for each in compared.ramps if each.way in (BEST, SOLVER))
    assert not all(each.kept for each in compared.ramps)
    for part in (compared.machines, compared.shops):
        by_problem = {name: {each.way: each for each in part if each.problem == name} for name in {each.problem for each in part}}
        for found in by_problem.values():
            rules = [each.value for way, each in found.items() if way not in (BEST, SOLVER)]
            assert found[SOLVER].least <= found[SOLVER].value <= found[BEST].value <= min(rules)
    assert all(each.gap == 0 for each in compared.shops if each.way == SOLVER)


def test_a_comparison_is_found_again_without_solving_anything(compared: Comparison, store: Path) -> None:
    started: list[str] = []

    def hear(event: events.Event) -> None:
        if isinstance(event, events.CallStarted):
            started.append(event.task)

    again = hw.run(compare, 1, 0.5, SHOPS, store=store, run_id="bench", events=hear, progress=False)
    assert again == compared
    assert started == []


def test_a_sweep_that_is_killed_solves_only_the_shops_that_are_left() -> None:
    names, history = ["ft06", "la01", "la11"], History(1, STEADY)
    for rows in (1, 3):
        assert history.live(sweep, names, 5.0, crash=Crash(rows, "after")).how == "died"
    found = history.live(sweep, names, 5.0).value
    assert [shop.name for shop in found] == names
    assert all(shop.is_best and shop.bound == shop.best and shop.found <= shop.rules for shop in found)
    ended = _ended(history.rows())
    assert len(ended) == len(set(ended)) == len(names) + 1
    assert any(_ended(life.before) for life in history.lives)
    for life in history.lives:
        begun = {event.key for event in life.event_log if isinstance(event, events.CallStarted)}
        assert not begun & set(_ended(life.before))


def _ended(rows: Iterable[Row]) -> list[str]:
    """The keys of the calls whose outcomes are recorded."""
    return [row.key.hex() for row in rows if row.kind & ~COSTED == Kind.OUTCOME]


def test_what_is_kept_of_the_sweep_is_possible() -> None:
    kept = schedule_shops.load()
    assert len({shop.name for shop in kept}) == len(kept) > 0
    for shop in kept:
        best, bound, _ = classic.texts()[shop.name]
        assert shop.best == best
        assert shop.bound <= best, "a bound above a schedule that is known"
        assert bound <= shop.found <= shop.rules, "a schedule shorter than is possible, or longer than that it began with"


def test_gaps_and_shares_are_those_of_the_definition() -> None:
    assert Value("way", "p", 12, 10).gap == pytest.approx(0.2)
    assert (Value("way", "p", 0, 0).gap, Value("way", "p", 3, 0).gap) == (0.0, 1.0)
    shop = Shop("ft06", 50, 60, 55, 49, 1.0)
    assert (shop.is_best, shop.gap) == (False, pytest.approx(0.1))
    ramps = [Kept("way", 0, "window", 1, True), Kept("way", 1, "window", 1, False)]
    cells = report.rows(Comparison(2, 1.0, ramps, [Value("way", "p", 12, 10), Value("way", "q", 10, 10)], []))
    assert cells["way"] == ["", "", "50%", "", "10.0% (50%)", ""]


def test_the_page_and_its_pictures_show_every_way(compared: Comparison, tmp_path: Path) -> None:
    written = report.write(compared, tmp_path, "a machine")
    text = (tmp_path / "schedule-benchmark.md").read_text()
    for path in written:
        if path.suffix == ".svg":
            words = "".join(ElementTree.fromstring(path.read_text()).itertext())
            assert BEST in words
            assert f"pictures/{path.name}" in text
    assert all(f"| {way} |" in text for way in report.ways(compared))
    assert len(report.table(compared).rows) == len(report.ways(compared))


def test_the_same_command_is_the_same_run_and_another_one_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, compared: Comparison
) -> None:
    names: list[str] = []

    def run(*args: object, run_id: str, **options: object) -> Comparison:
        names.append(run_id)
        return compared

    monkeypatch.setattr(hw, "run", run)
    commands: list[list[str]] = [[], ["--seeds", "2"], ["--cpu", "1"], ["--shop", "ft10"]]
    for more in (*commands, *commands):
        result = CliRunner().invoke(app, ["bench", "schedule", "--out", str(tmp_path), *more])
        assert result.exit_code == 0, result.output
    assert len(set(names)) == len(commands)
    assert names[: len(commands)] == names[len(commands) :]


def test_an_unknown_job_shop_is_named_with_those_that_exist() -> None:
    result = CliRunner().invoke(app, ["bench", "schedule", "--shop", "ft7"])
    assert result.exit_code == 2
    assert "there is no classic job shop 'ft7'" in result.output
