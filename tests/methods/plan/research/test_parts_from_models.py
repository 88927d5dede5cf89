"""The parts that models play, asked over the wire: a server of ours speaks for a model that follows a script."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import headway as hw
from headway import models, tools
from headway.methods.plan.matrix import Matrix, TableFilled, a_mapreduce, agent_worker, ask_orchestrator, model_worker
from headway.methods.plan.matrix.model_parts import read_records
from headway.methods.plan.research import Gap, Report, check_trail, model_parts, research
from headway.methods.plan.research.model_parts import SaidGap, read_gaps

sys.path.append(str(Path(__file__).parents[3] / "models"))


@pytest.fixture(scope="module")
def model() -> Iterator[models.Endpoint]:
    from servers import start, stop

    server = start("-m", "headway", "serve", f"{Path(__file__).parent / 'speaker.py'}:speaker", "--port", "0", lines=2)
    yield models.Endpoint("speaker", base_url=server.url)
    stop(server)


@tools.tool
async def look_up(query: str) -> str:
    """Look something up."""
    return f"{query}: 316"


async def remember(question: str, draft: Matrix) -> list[str]:
    return ["together"] if "together" in question else []


def test_a_model_decides_fills_and_is_asked_again_over_the_wire(model):
    @hw.task
    async def program(question: str) -> TableFilled:
        return await a_mapreduce(question, ask_orchestrator(model), model_worker(model), hints=remember)

    alone = hw.run(program, "How large are they?", store=None)
    assert alone.table.rows == (("Italy", 301336), ("Malta", 316), ("Fiji", 18272))
    assert alone.tries == 3
    together = hw.run(program, "How large are they, together?", store=None)
    assert together.table.rows == alone.table.rows
    assert (together.tries, len(together.batches), together.hints) == (2, 1, ("together",))


def test_a_model_that_decides_nonsense_is_a_model_error(model):
    @hw.task
    async def program() -> Matrix:
        return await ask_orchestrator(model)("senseless", (), None)

    with pytest.raises(hw.ModelError, match=r"speaker decided what makes no sense: Matrix: rows have \[1, 2\] atoms"):
        hw.run(program, store=None)


def test_an_agent_with_tools_fills_rows_from_what_its_tools_gave(model):
    @tools.tool(name="look_up")
    async def look_up_area(query: str) -> dict[str, object]:
        """The area of a country."""
        name = next(each for each in ("Italy", "Malta", "Fiji") if each in query)
        return {"country": name, "area": len(name)}

    worker = agent_worker(model, [look_up_area])

    @hw.task
    async def program() -> TableFilled:
        return await a_mapreduce("How large?", ask_orchestrator(model), worker, retries=0)

    found = hw.run(program, store=None)
    assert found.table.rows == (("Italy", 5), ("Malta", 5), ("Fiji", 4))
    assert found.tries == 3


def test_a_model_researches_over_the_wire(model):
    @hw.task
    async def program() -> Report:
        return await research("Malta", model_parts(model, [look_up]))

    report = hw.run(program, store=None)
    assert (report.stopped, report.outline) == ("no gap", ("size", "people"))
    assert [finding.text for finding in report.findings] == ["area of Malta: 316"]
    assert report.text.startswith("Report. 1, open: nothing")
    assert check_trail(report.trail) == []


def test_what_a_model_says_of_what_gaps_build_on_is_brought_in_order():
    said = [SaidGap("a", "", ["x"], False, [1, 0]), SaidGap("b", "s", [], True, [0, 0, 5])]
    assert read_gaps(said) == [Gap("a", ("x",)), Gap("b", (), "s", True, (0,))]


def test_records_are_read_from_whatever_surrounds_them():
    assert read_records('```json\n[{"a": 1}, [{"b": 2}]]\n``` and {"more": {"c": 3}} [broken') == [
        {"a": 1},
        {"b": 2},
        {"more": {"c": 3}},
    ]
    assert read_records("nothing [1, 2]") == []
