"""The catalogue of methods: every row names what there is, and the pages are what the command prints."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest
from benchmarks.agents import AGENTS
from benchmarks.methods import METHODS, ROOMS, figures, page
from benchmarks.methods.catalogue import Catalogue
from benchmarks.methods.measuring import measure_here
from benchmarks.methods.parts import PARTS, REFUSED, SHOWN, Line
from benchmarks.methods.row import Pair, Row, compare
from benchmarks.plans import PLANS
from benchmarks.plans.asked import NAMED, OVERVIEW, WITHSTOOD
from benchmarks.scale_out import SCALE, capacity
from benchmarks.scale_out import asked as of_scale

ROOT = Path(__file__).parents[1]
CATALOGUES = (METHODS, AGENTS, PLANS, SCALE)
ROWS, HELD = METHODS.all_rows()
AGENT_ROWS, AGENT_HELD = AGENTS.all_rows()
PLAN_ROWS, PLAN_HELD = PLANS.all_rows()
SCALE_ROWS, SCALE_HELD = SCALE.all_rows()
TESTS = {row.test for row in (*ROWS, *AGENT_ROWS, *PLAN_ROWS, *SCALE_ROWS)}
TESTS |= {test for held in (*HELD, *AGENT_HELD, *PLAN_HELD, *SCALE_HELD) for test in held.tests}
LOOKED_FOR = (
    *("ETS", "DeepPrune", "OPE", "ParaThinker", "GroundedPRM", "When to solve, when to verify", "Scaling without verification"),
    *("To backtrack or not", "MRT", "MBR", "X-MBR", "CHOPS", "Hedged sampling", "BatchPrompt", "DRAG and IterDRAG", "CGRS"),
    *("Inference scaling for RAG, the predictor", "RewardBench 2", "Test halves of equal difficulty"),
    *("Beta outcomes", "Recorded outcomes", "TTSPM", "Kinetics", "LLM-based algorithms", "MCPP", "BATS", "SALE", "AgentTTS"),
    *("Agent-REINFORCE", "SCALE", "DRQA", "Knapsack", "KISS shares", "Bayesian optimisation", "Multi-fidelity optimisation"),
    *("ALP-GMM", "Covar-GMM", "RIAC", "ADR", "Solved tasks leave (ScaleZero)", "Spending under a policy"),
    *("R-ConstraintBench's ramp", "List schedules", "EDD", "MDD", "EDDC", "MDDC", "Critical path", "Longest processing time"),
    *("CP-SAT", "Two-stage learned assignment", "Balanced partition", "Water filling", "Pipeline stages"),
    *("`hw.run(order=)`", "`headway predict --order`"),
    *("A workload that tells methods apart", "A learned verifier of honest quality"),
)


@pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda each: each.package)
def test_every_row_has_a_name_of_its_own(catalogue: Catalogue) -> None:
    rows, _ = catalogue.all_rows()
    assert [name for name, times in Counter(row.name for row in rows).items() if times > 1] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_names_what_implements_it_and_its_paper(row: Row) -> None:
    assert page.paper_of(row.function)


@pytest.mark.parametrize("test", sorted(TESTS))
def test_a_row_names_a_test_that_there_is(test: str) -> None:
    file, _, names = test.partition("::")
    found: list[ast.stmt] = ast.parse((ROOT / file).read_text()).body
    for name in names.split("::"):
        named = {each.name: each for each in found if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
        assert name in named, f"{file} has no {name}"
        found = named[name].body


def test_the_pages_are_what_the_command_prints() -> None:
    assert page.CATALOGUE.read_text() == page.catalogue(), "run: python -m benchmarks.methods --write-docs"
    assert page.COMPUTE.read_text() == page.compute(), "run: python -m benchmarks.methods --write-docs"


def test_a_method_that_people_look_for_has_a_row() -> None:
    methods = {row.method for row in ROWS}
    assert [name for name in LOOKED_FOR if name not in methods] == []


@pytest.mark.parametrize("line", [*SHOWN, *REFUSED], ids=lambda line: line.says)
def test_what_must_be_shown_and_refused_has_rows(line: Line) -> None:
    names = [each.name for each in (*ROWS, *HELD)]
    assert [named for named in line.rows if not any(name.startswith(named) for name in names)] == []
    assert line.of(HELD) if line in REFUSED else line.of(ROWS) or line.of(HELD)


def test_every_part_has_rows_or_promises() -> None:
    assert tuple(PARTS) == ROOMS
    assert {each.item for each in (*ROWS, *HELD)} == set(ROOMS)


def test_the_page_of_agents_is_what_the_command_prints() -> None:
    assert page.AGENTS_PAGE.read_text() == page.agents(), "run: python -m benchmarks.agents --write-docs"


def test_the_page_of_plans_is_what_the_command_prints() -> None:
    assert page.PLANS_PAGE.read_text() == page.plans(), "run: python -m benchmarks.plans --write-docs"


@pytest.mark.parametrize("line", NAMED, ids=lambda line: line.says)
def test_a_method_of_plans_or_memory_that_was_asked_for_has_a_row(line: Line) -> None:
    assert line.of(PLAN_ROWS)


@pytest.mark.parametrize("line", OVERVIEW.shown, ids=lambda line: line.says)
def test_what_plans_and_memory_must_show_has_rows_or_promises(line: Line) -> None:
    assert line.of(PLAN_ROWS) or line.of(PLAN_HELD)


@pytest.mark.parametrize("line", WITHSTOOD, ids=lambda line: line.says)
def test_bad_input_of_plans_has_tests(line: Line) -> None:
    assert line.of(PLAN_HELD)


def test_every_part_of_plans_and_memory_has_rows() -> None:
    assert list(OVERVIEW.parts) == [room for room, _ in PLANS.rooms]
    assert {row.item for row in PLAN_ROWS} == set(OVERVIEW.parts)


@pytest.mark.parametrize("row", [row for row in PLAN_ROWS if row.item in ("plan", "memory")], ids=lambda row: row.name)
def test_a_row_of_plans_or_memory_names_what_implements_it_and_its_paper(row: Row) -> None:
    assert page.paper_of(row.function)


def test_the_page_of_many_machines_is_what_the_command_prints() -> None:
    assert page.SCALE_PAGE.read_text() == page.scale(), "run: python -m benchmarks.scale_out --write-docs"
    assert capacity.PAGE.read_text() == capacity.page(), "run: python -m benchmarks.scale_out --write-docs"


@pytest.mark.parametrize("line", [*of_scale.NAMED, *of_scale.SHOWN], ids=lambda line: line.says)
def test_what_many_machines_must_have_and_show_has_rows_or_promises(line: Line) -> None:
    assert line.of(SCALE_ROWS) or line.of(SCALE_HELD)


@pytest.mark.parametrize("line", of_scale.WITHSTOOD, ids=lambda line: line.says)
def test_bad_input_of_many_machines_has_tests(line: Line) -> None:
    assert line.of(SCALE_HELD)


def test_every_part_of_many_machines_has_rows_or_promises() -> None:
    assert list(of_scale.OVERVIEW.parts) == [room for room, _ in SCALE.rooms]
    assert {each.item for each in (*SCALE_ROWS, *SCALE_HELD)} == set(of_scale.OVERVIEW.parts)


def test_a_row_is_measured_by_its_name_in_its_catalogue() -> None:
    row = next(row for row in ROWS if row.exact)
    assert measure_here(METHODS.package, row.name, 0) == row.measure(0)
    with pytest.raises(KeyError):
        measure_here(AGENTS.package, row.name, 0)


@pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda each: each.package)
def test_a_row_that_is_missed_says_why(catalogue: Catalogue) -> None:
    rows, results = catalogue.all_rows()[0], figures.load(catalogue.results)
    assert [row.name for row in rows if figures.is_reached(row, results) is False and not row.reason] == []


@pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda each: each.package)
def test_every_row_was_measured_on_its_seeds(catalogue: Catalogue) -> None:
    """But for those that take minutes: where they have no figure, the page says so."""
    rows, results = catalogue.all_rows()[0], figures.load(catalogue.results)
    pairs = {row.name: results[row.name].pairs if row.name in results else {} for row in rows}
    assert [row.name for row in rows if not row.slow and set(row.numbers) - set(pairs[row.name])] == []


def test_a_ratio_is_averaged_by_its_logarithm_and_a_difference_as_it_is() -> None:
    pairs = [Pair(2.0, 1.0), Pair(1.0, 2.0), Pair(1.0, 1.0)]
    assert compare(_row(), pairs).mean == pytest.approx(1.0)
    assert compare(_row(compare="difference"), pairs).mean == pytest.approx(0.0)
    assert compare(_row(), pairs).low < 1.0 < compare(_row(), pairs).high


def test_a_row_with_chance_needs_three_seeds() -> None:
    with pytest.raises(ValueError, match="at least 3"):
        _row(seeds=2)
    assert list(_row(seeds=1, exact=True).numbers) == [0]


def test_departures_are_read_from_the_docstring() -> None:
    said = page.departures_of("headway.methods.search.rebase")
    assert said == ["It departs in rounding by largest remainder, so that no continuation is lost or made up."]
    assert page.paper_of("headway.methods.search.rebase").startswith("REBASE: Wu et al., arXiv 2408.00724")


def _row(**changed: object) -> Row:
    given: dict[str, object] = dict.fromkeys(("method", "claim", "shows", "baseline", "unit", "test"), "said")
    given |= {"function": "headway.methods.search.rebase", "item": "search"}
    given |= {"measure": lambda seed: Pair(1.0, 1.0), "reached": lambda low, high: True}
    return Row(**given | changed)  # type: ignore[arg-type] - a dictionary of fields
