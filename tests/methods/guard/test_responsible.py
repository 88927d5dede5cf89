"""A call is judged before it is made and after."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import headway as hw
from headway import models, tools
from headway.methods.guard import Incomplete, Infeasible, Ruling, responsible

ran: list[str] = []


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    ran.clear()


@hw.task(name="guard.tests.fetch")
async def fetch(place: str) -> str:
    """Fetch a place's page."""
    ran.append(place)
    return f"page {len(ran)} of {place}"


@tools.tool(effect=True)
async def send(to: str) -> str:
    """Send a letter."""
    ran.append(to)
    return "half of it"


def result_of(go: Callable[..., Any], tool: tools.Tool, arguments: str) -> tuple[str, bool]:
    @hw.task(name="program")
    async def program() -> tuple[str, bool]:
        (result,) = await tools.run_calls([tool], [models.ToolCall("a", tool.name, arguments)])
        return str(result.content), result.is_error

    content, is_error = go(program)
    return content, is_error


def test_an_infeasible_call_is_not_run_and_the_model_hears_why(go: Callable[..., Any]) -> None:
    tool = responsible(send, feasible=lambda text: Ruling(0.1, "nobody lives there"))
    assert result_of(go, tool, '{"to": "Atlantis"}') == ("send failed: Infeasible: send was not run: nobody lives there", True)
    assert ran == []


def test_an_incomplete_call_without_an_effect_is_run_again_so_often_and_then_told(go: Callable[..., Any]) -> None:
    tool = responsible(tools.tool(fetch, name="fetch"), complete=lambda text: "page 3" in text, attempts=3)
    assert result_of(go, tool, '{"place": "Rome"}') == ("page 3 of Rome", False)
    assert ran == ["Rome"] * 3


def test_an_incomplete_effect_is_told_and_never_run_again(go: Callable[..., Any]) -> None:
    content, is_error = result_of(go, responsible(send, complete=lambda text: False), '{"to": "ada"}')
    assert "send did not do all that was asked, in 1 attempt. It returned: half of it" in content
    assert is_error
    assert ran == ["ada"]
    with pytest.raises(hw.UsageError, match="could do it 2 times"):
        responsible(send, complete=lambda text: False, attempts=2)


def test_verdicts_are_recorded_so_a_resumed_run_does_nothing_anew(go: Callable[..., Any]) -> None:
    asked: list[str] = []

    async def judge(text: str) -> float:
        asked.append(text)
        return 1.0

    guarded = responsible(fetch, feasible=judge, complete=judge)

    @hw.task(name="program")
    async def program() -> str:
        return await guarded("Rome")

    assert go(program) == go(program) == "page 1 of Rome"
    assert asked == ['guard.tests.fetch {"place":"Rome"}', 'guard.tests.fetch {"place":"Rome"}\nIt returned: page 1 of Rome']


def test_a_guarded_task_raises_what_was_judged(go: Callable[..., Any]) -> None:
    @hw.task(name="program")
    async def program() -> list[str]:
        said = []
        for guarded in (responsible(fetch, feasible=lambda _: False), responsible(fetch, complete=lambda _: False, attempts=2)):
            try:
                await guarded(place="Rome")
            except (Infeasible, Incomplete) as error:
                said.append(type(error).__name__)
        return said

    assert go(program) == ["Infeasible", "Incomplete"]
    assert ran == ["Rome", "Rome"]


def test_settings_without_sense_are_refused() -> None:
    judge = bool
    for options in ({}, {"feasible": "yes"}, {"complete": judge, "attempts": 0}, {"complete": judge, "threshold": 40}):
        with pytest.raises(hw.UsageError):
            responsible(fetch, **options)  # type: ignore[call-overload]  # that is the point
