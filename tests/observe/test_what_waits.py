"""What waits for a person is shown wherever somebody looks: in lists, views, JSON and progress."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

import headway as hw
from headway.cli.commands.runs import signal_run
from headway.cli.commands.show import list_runs, show_run, tally_rows
from headway.journal.open import open_to_read
from headway.observe import display
from headway.observe.tally import Tally
from headway.observe.tree import Options


@hw.task
async def approval(what: str) -> str:
    return f"{what}: {await hw.wait_event('approve', timeout=3600)}"


@hw.task
async def report() -> list[str]:
    return list(await hw.gather(approval("cake"), approval("tea")))


async def _waiting(store: Any) -> list[str]:
    """What the run waits for, as another process reads it; nothing before it has begun."""
    with contextlib.suppress(hw.StoreError, hw.UnknownRun):
        return [wait.name for wait in (await asyncio.to_thread(hw.view, "r", store=store)).waiting]
    return []


async def _until(store: Any, true: Callable[[list[str]], bool]) -> None:
    """Look at the store again and again, as another process has to, until what the run waits for is so."""
    while not true(await _waiting(store)):  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0)


async def _signal(name: str, value: object, store: Any) -> None:
    await asyncio.to_thread(hw.signal, "r", name, value, store=store)


async def _while_it_waits(store: Any, look: Any, tally: Tally) -> list[str]:
    """Run it, look while two calls wait and while one does, and answer both."""
    going = asyncio.create_task(hw.arun(report, store=store, run_id="r", events=tally))
    for waiting in (2, 1):
        await _until(store, lambda names, waiting=waiting: len(names) == len(tally.waiting) == waiting)
        await asyncio.to_thread(look, waiting)
        await _signal("approve", f"answer {3 - waiting}", store)
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
        list_runs(str(store), statuses=(), limit=None, as_json=False)
        assert f"running, waits for 'approve'{times}" in capsys.readouterr().out
        list_runs(str(store), statuses=(), limit=None, as_json=True)
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
    list_runs(str(store), statuses=(), limit=None, as_json=False)
    assert "waits for" not in capsys.readouterr().out


def test_a_wait_that_is_over_because_its_call_is_waits_for_nobody(go, tmp_path):
    @hw.task
    async def program() -> str:
        winner = await hw.race(approval("late"), hw.sleep(5))
        return str(winner)

    go(program)
    assert hw.view("run", store=tmp_path / "store").waiting == []


@hw.task
async def goes_on() -> str:
    """Waits twice for the first of two signals, and stops waiting for the other."""
    said = []
    for _ in range(2):
        said.append(await hw.race(hw.wait_event("approve"), hw.wait_event("reject")))
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(hw.wait_event("late"), 0.01)
    return f"{said} {await hw.wait_event('last')}"


def test_a_wait_that_the_program_has_given_up_is_shown_no_more(tmp_path):
    store, shown = tmp_path / "store", []

    def read() -> list[str]:
        opened = open_to_read(store)
        found = tally_rows(opened.rows(opened.run("r").uid)).waits_for
        opened.close()
        return found

    async def look(*names: str) -> None:
        await _until(store, lambda found: found == list(names))
        shown.append(await asyncio.to_thread(read))

    async def outside() -> str:
        going = asyncio.create_task(hw.arun(goes_on, store=store, run_id="r", progress=False))
        await asyncio.sleep(0.01)
        await look("approve", "reject")
        await _signal("approve", 1, store)
        await look("approve", "reject")  # those of the second race
        await _signal("reject", 2, store)
        await look("last")
        await _signal("last", 3, store)
        return await going

    assert asyncio.run(asyncio.wait_for(outside(), 60)) == "[1, 2] 3"
    assert [set(names) for names in shown] == [{"approve", "reject"}] * 2 + [{"last"}]


def test_a_wait_that_was_given_up_and_begins_again_is_shown_again(tmp_path):
    """In the next attempt, and in the next life."""
    store, life = tmp_path / "store", [1]

    @hw.task(name="again_waits", retry=hw.Retry(attempts=2, delay_s=0))
    async def waits() -> str:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(hw.wait_event("go"), 0.01 if life[0] < 3 else 60)
        if life[0] < 3:
            life[0] += 1
            raise OSError("down")
        return "went on"

    async def outside() -> str:
        with pytest.raises(OSError, match="down"):
            await hw.arun(waits, store=store, run_id="r", progress=False)
        assert hw.view("r", store=store).waiting == []  # the run has ended
        going = asyncio.create_task(hw.arun(waits, store=store, run_id="r", progress=False))
        await _until(store, lambda names: names == ["go"])
        await _signal("go", 1, store)
        return await going

    assert asyncio.run(asyncio.wait_for(outside(), 60)) == "went on"


def test_a_signal_that_nobody_waits_for_is_told_of(tmp_path, capsys):
    store = tmp_path / "store"

    async def outside() -> None:
        going = asyncio.create_task(hw.arun(approval, "tea", store=store, run_id="r", progress=False))
        await _until(store, bool)
        await asyncio.to_thread(signal_run, "r", "aprove", "1", str(store), as_json=False)
        assert "nobody in run 'r' waits for 'aprove' now: it waits for 'approve'" in capsys.readouterr().err
        await asyncio.to_thread(signal_run, "r", "approve", "1", str(store), as_json=False)
        assert "nobody" not in capsys.readouterr().err
        await going

    asyncio.run(asyncio.wait_for(outside(), 60))
