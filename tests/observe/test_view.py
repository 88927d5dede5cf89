"""What was run is read back whole: every call's arguments, value, error and traceback, from Python and as JSON."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest

import headway as hw
from headway.journal.upkeep.gc import gc

SRC = str(Path(__file__).parents[2] / "src")


@dataclasses.dataclass
class Item:
    id: int
    text: str


@hw.task(label="{item.id}")
async def score(item: Item, k: int = 3) -> list[float]:
    if item.id == 2:
        raise ValueError("item 2 is broken")
    return [float(item.id)] * k


@hw.task
async def total(parts: list[float], /, *rest: int, scale: float = 1.0, **more: str) -> float:
    return scale * sum(parts) + len(rest) + len(more)


@hw.task(retry=hw.Retry(attempts=2, delay_s=1))
async def flaky(word: str, client: Annotated[object, hw.unkeyed] = None) -> str:
    if hw.call().attempt == 1:
        raise ConnectionError(f"no {word} yet")
    return word


@hw.task(key=lambda rows: "rows")
async def named(rows: np.ndarray) -> int:
    return len(rows)


@hw.task
async def long_text(text: str) -> str:
    return text.upper()


@hw.task
async def program(n: int) -> float:
    scores = await hw.settle(*(score(Item(i, "x")) for i in range(n)))
    one = score(Item(9, "y"), k=2)
    await flaky("answer", object())
    await named(np.zeros(3))
    await long_text("a" * 100_000)
    assert len(scores) == n
    return await total(hw.ref(one), 7, scale=2.0, why="so")


@pytest.fixture
def viewed(go, tmp_path) -> hw.RunView:
    go(program, 4)
    return hw.view("run", store=tmp_path / "store")


def test_a_view_has_every_call_with_its_arguments_and_value(viewed):
    assert repr(viewed) == "<run 'run', done, 10 calls>"
    assert viewed.root.arguments == {"n": 4}
    assert viewed.value == viewed.root.value == 38.0
    scores = viewed.find("score")
    assert [str(call.arguments["item"]) for call in scores][:2] == ["Item(id=0, text='x')", "Item(id=1, text='x')"]
    assert scores[0].arguments["k"] == 3
    assert scores[-1].value == [9.0, 9.0]
    assert [call.label for call in scores] == ["0", "1", "2", "3", "9"]
    assert {call.key for call in viewed.children(viewed.root)} == {call.key for call in viewed if call.parent is not None}


def test_a_failed_call_has_its_error_and_traceback(viewed):
    (failed,) = (call for call in viewed.find("score") if not call.ok)
    assert isinstance(failed.error, ValueError)
    assert str(failed.error) == "item 2 is broken"
    assert 'raise ValueError("item 2 is broken")' in failed.traceback
    with pytest.raises(ValueError, match="item 2 is broken"):
        _ = failed.value


def test_a_call_that_was_tried_again_has_its_failed_attempts(viewed):
    (call,) = viewed.find("flaky")
    assert call.ok
    assert call.arguments == {"word": "answer"}, "what is unkeyed is not kept"
    (failure,) = call.failures
    assert (failure.number, str(failure.error)) == (1, "no answer yet")
    assert "ConnectionError" in failure.traceback


def test_arguments_by_place_by_name_by_handle_and_by_key(viewed):
    (call,) = viewed.find("total")
    assert {name: value for name, value in call.arguments.items() if name != "parts"} == {"1": 7, "scale": 2.0, "why": "so"}
    assert "result of call" in repr(call.arguments["parts"])
    assert call.inputs == (viewed.find("score")[-1].key,)
    assert viewed.find("named")[0].arguments == {"key=": "rows"}


def test_large_arguments_and_values_are_there_whole(viewed):
    (call,) = viewed.find("long_text")
    assert call.arguments == {"text": "a" * 100_000}
    assert call.value == "A" * 100_000


def test_large_arguments_outlive_a_gc_and_a_doctor(viewed, tmp_path):
    with hw.SqliteStore(tmp_path / "store") as store:
        assert gc(store, now=4e9).blobs == 0
    done = subprocess.run(
        [sys.executable, "-m", "headway", "doctor", "--store", str(tmp_path / "store")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert hw.view("run", store=tmp_path / "store").find("long_text")[0].arguments == {"text": "a" * 100_000}


def test_a_call_that_is_not_there_is_named_with_what_is(viewed):
    with pytest.raises(hw.UsageError, match="no call 'scor'; did you mean 'score'"):
        viewed.find("scor")


def test_a_call_that_has_not_ended_has_arguments_and_no_value(go, tmp_path):
    @hw.task(retry=hw.Retry(attempts=5, delay_s=1))
    async def fails(x: int) -> int:
        raise ConnectionError("down")

    @hw.task
    async def stopped() -> None:
        with hw.deadline(seconds=1.5, raises=False):
            await fails(7)

    go(stopped)
    view = hw.view("run", store=tmp_path / "store")
    (call,) = view.find("fails")
    assert call.arguments == {"x": 7}
    assert call.state == "failed"


def test_a_value_of_a_type_that_is_not_loaded_shows_its_fields(tmp_path):
    (tmp_path / "other.py").write_text(
        "import dataclasses, headway as hw\n"
        "@dataclasses.dataclass\nclass Found:\n    page: str\n"
        "@hw.task\nasync def look() -> Found:\n    return Found('p. 7')\n"
        "if __name__ == '__main__':\n    hw.run(look, run_id='r', progress=False)\n"
    )
    subprocess.run([sys.executable, "other.py"], cwd=tmp_path, check=True, env={"PYTHONPATH": SRC, "PATH": ""})
    assert repr(hw.view("r", store=tmp_path / ".headway").value) == "Found(page='p. 7')"


def test_runs_are_listed_and_chosen_by_status_and_task(go, tmp_path):
    @hw.task
    async def broken() -> None:
        raise RuntimeError("no")

    assert hw.runs(store=tmp_path / "store") == []
    go(program, 1, run_id="good")
    with pytest.raises(RuntimeError):
        go(broken, run_id="bad")
    store = tmp_path / "store"
    assert [(run.run_id, run.status) for run in hw.runs(store=store)] == [("good", "done"), ("bad", "failed")]
    assert [run.run_id for run in hw.runs(store=store, status="failed")] == ["bad"]
    assert [run.run_id for run in hw.runs(store=store, task="program")] == ["good"]
    assert hw.runs(store=store, task="nosuch") == []
    assert [run.run_id for run in hw.runs(store=store, most=1, newest_first=True)] == ["bad"]
    assert [run.run_id for run in hw.runs(store=store, most=1, after="good", status=["failed", "crashed"])] == ["bad"]
    with pytest.raises(hw.UsageError, match="did you mean 'crashed'"):
        hw.runs(store=store, status="crash")
    with pytest.raises(hw.UsageError, match="most=0: a whole number of runs"):
        hw.runs(store=store, most=0)
    with pytest.raises(hw.UnknownRun):
        hw.runs(store=store, after="nosuch")
    with pytest.raises(hw.UnknownRun, match="did you mean 'good'"):
        hw.view("goood", store=store)


def test_show_prints_the_same_as_json(viewed, tmp_path):
    command = [sys.executable, "-m", "headway", "show", "run", "--json", "--store", str(tmp_path / "store")]
    shown = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    calls: dict[str, dict[str, Any]] = {call["task"].rpartition(".")[2]: call for call in shown["calls"]}
    assert calls["program"]["arguments"] == {"n": 4}
    assert calls["program"]["result"] == 38.0
    assert calls["long_text"]["result"] == "A" * 100_000
    assert calls["flaky"]["failures"][0]["error"] == "ConnectionError: no answer yet"
    failed = next(call for call in shown["calls"] if call["state"] == "failed")
    assert failed["arguments"] == {"item": {"id": 2, "text": "x"}, "k": 3}
    assert "ValueError: item 2 is broken" in failed["traceback"]
