"""What waits for a person is shown wherever somebody looks: in lists, views, JSON and progress."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

from rich.console import Console

import headway as hw
from headway.cli.looking import list_runs, show_run
from headway.observe import display
from headway.observe.tally import Tally
from headway.observe.tree import Options


@hw.task
async def approval(what: str) -> str:
    return f"{what}: {await hw.wait_event('approve', timeout_s=3600)}"


@hw.task
async def report() -> list[str]:
    return list(await hw.gather(approval("cake"), approval("tea")))


async def _while_it_waits(store: Any, look: Any, tally: Tally) -> list[str]:
    """Run it, look while two calls wait and while one does, and answer both."""
    going = asyncio.create_task(hw.arun(report, store=store, run_id="r", events=tally))
    for waiting in (2, 1):
        while len(tally.waiting) != waiting or len(hw.view("r", store=store).waiting) != waiting:  # noqa: ASYNC110
            await asyncio.sleep(0)  # the other process that looks knows of no event
        look(waiting)
        hw.signal("r", "approve", f"answer {3 - waiting}", store=store)
    return await going


def _text(renderable: Any) -> str:
    out = io.StringIO()
    Console(file=out, width=200).print(renderable)
    return out.getvalue()


def test_what_waits_is_shown_until_it_is_answered(tmp_path, capsys):
    store, tally = tmp_path / "store", Tally()

    def look(waiting: int) -> None:
        view = hw.view("r", store=store)
        assert [wait.name for wait in view.waiting] == ["approve"] * waiting
        assert "approval('tea')" in {wait.who.rpartition(".")[2] for wait in view.waiting}
        times = " (2 times)" if waiting == 2 else ""
        list_runs(str(store), everything=False, as_json=False)
        assert f"running, waits for 'approve'{times}" in capsys.readouterr().out
        list_runs(str(store), everything=False, as_json=True)
        assert json.loads(capsys.readouterr().out)["runs"][0]["waits_for"] == ["approve"] * waiting
        show_run("r", str(store), Options(), gantt=None, as_json=False)
        assert capsys.readouterr().out.count("headway signal r approve VALUE") == waiting
        show_run("r", str(store), Options(), gantt=None, as_json=True)
        waits = json.loads(capsys.readouterr().out)["waiting"]
        assert [wait["name"] for wait in waits] == ["approve"] * waiting
        assert all(wait["until"] - wait["since"] > 3500 for wait in waits)
        assert f"waits for 'approve'{times}" in _text(display.view(tally, 0.0, 0.0))
        assert f"waits for 'approve'{times}" in _text(display.line(tally, 0.0, 0.0))

    ended = asyncio.run(_while_it_waits(store, look, tally))
    assert sorted(ended) == ["cake: answer 1", "tea: answer 2"]
    assert hw.view("r", store=store).waiting == []
    assert not tally.waiting
    list_runs(str(store), everything=False, as_json=False)
    assert "waits for" not in capsys.readouterr().out


def test_a_wait_that_is_over_because_its_call_is_waits_for_nobody(go, tmp_path):
    @hw.task
    async def program() -> str:
        winner = await hw.race(approval("late"), hw.sleep(5))
        return str(winner)

    go(program)
    assert hw.view("run", store=tmp_path / "store").waiting == []
