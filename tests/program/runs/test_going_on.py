"""A service starts and goes on with all that its last process left behind."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

import headway as hw

SRC = str(Path(__file__).parents[3] / "src")
STOP = {"on": True}


@hw.task
async def leaf(x: int) -> int:
    return x


@hw.task
async def flow(x: int) -> int:
    value = await leaf(x)
    if STOP["on"]:
        await asyncio.Event().wait()
    return value + 1


@hw.task
async def other(x: int) -> int:
    if STOP["on"]:
        await asyncio.Event().wait()
    raise RuntimeError(f"other {x}")


@pytest.fixture
def stopped(tmp_path):
    """A store with runs that stopped on the way, one that is done and one that failed."""
    store = hw.MemoryStore()

    async def stop(task, x):
        going = asyncio.create_task(hw.arun(task, x, store=store, run_id=f"{task.fn.__name__}-{x}"))
        while not any(run.run_id == f"{task.fn.__name__}-{x}" and run.records for run in hw.runs(store=store)):
            await asyncio.sleep(0)
            if task is other:
                break
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)

    STOP["on"] = True
    for task, x in ((flow, 1), (flow, 2), (other, 3)):
        asyncio.run(stop(task, x))
    STOP["on"] = False
    hw.run(leaf, 9, store=store, run_id="done")
    with pytest.raises(RuntimeError):
        hw.run(other, 8, store=store, run_id="failed")
    return store


def test_everything_that_stopped_on_the_way_goes_on(stopped):
    ended = hw.resume_all(store=stopped)
    assert {run_id: end.value if end.ok else str(end.error) for run_id, end in ended.items()} == {
        "flow-1": 2,
        "flow-2": 3,
        "other-3": "other 3",
    }
    assert hw.resume_all(store=stopped) == {}, "what ended is not asked again"


def test_only_runs_of_a_task_or_a_status_go_on(stopped):
    assert list(hw.resume_all(store=stopped, task="other")) == ["other-3"]
    assert list(hw.resume_all(store=stopped, status="failed")) == ["other-3", "failed"]


def test_one_at_a_time_is_enough(stopped):
    assert len(hw.resume_all(store=stopped, at_once=1)) == 3


def test_a_store_that_is_not_there_has_nothing_to_go_on_with(tmp_path):
    assert hw.resume_all(store=tmp_path / "store") == {}
    assert not (tmp_path / "store").exists()


def test_a_store_of_a_like_name_may_have_been_meant(tmp_path):
    hw.run(leaf, 1, store=tmp_path / "service", run_id="one", progress=False)
    with pytest.warns(RuntimeWarning, match=r"no store .*servise' yet, so nothing goes on; did you mean .*service'"):
        assert hw.resume_all(store=tmp_path / "servise") == {}


def test_a_task_that_is_loaded_and_has_no_runs_yet_is_no_mistake(stopped):
    assert hw.resume_all(store=stopped, task="leaf", status="crashed") == {}
    assert hw.resume_all(store=hw.MemoryStore(), task="flow") == {}


NONSENSE = [
    ({"status": "crashd"}, "did you mean 'crashed'"),
    ({"at_once": 0}, "at_once=0: a whole number"),
    ({"task": "floww"}, "task='floww' is not loaded and has no runs in this store; did you mean 'flow'"),
    ({"max_activ": 3}, "has no option max_activ: did you mean 'max_active'"),
    ({"on_change": {"flow": "rrun"}}, r"on_change\['flow'\] = 'rrun'"),
    ({"kwargs": {"x": 5}}, r"hw\.resume_all\(kwargs={'x': 5}\): a run goes on under its own name"),
]


@pytest.mark.parametrize(("options", "said"), NONSENSE[2:])
def test_nonsense_is_refused_also_where_nothing_is_left_to_go_on_with(options, said):
    with pytest.raises(hw.UsageError, match=said):
        hw.resume_all(store=hw.MemoryStore(), **options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kwargs": {"x": 5}}, r"hw\.resume\(kwargs={'x': 5}\): a run goes on .*with the arguments that it was started with"),
        ({"run_id": "other"}, r"hw\.resume\(run_id='other'\): a run goes on under its own name"),
        ({"dry_run": True, "on_chnage": {"flow": "rerun"}}, "has no option on_chnage: did you mean 'on_change'"),
        ({"dry_run": True, "on_change": {"flow": "rrun"}}, r"on_change\['flow'\] = 'rrun'"),
    ],
)
def test_an_option_that_a_resume_can_not_obey_is_refused(stopped, options, said):
    with pytest.raises(hw.UsageError, match=said):
        hw.resume("flow-1", store=stopped, **options)


@pytest.mark.parametrize(("options", "said"), NONSENSE)
def test_nonsense_is_refused(stopped, options, said):
    with pytest.raises(hw.UsageError, match=said):
        hw.resume_all(store=stopped, **options)


def test_a_run_goes_on_inside_of_a_loop(stopped):
    async def service() -> int:
        return await hw.aresume("flow-1", store=stopped)

    assert asyncio.run(service()) == 2


def test_a_run_whose_task_is_not_loaded_stops_no_other(tmp_path):
    """Two processes are killed; a third one knows the task of one of them."""
    program = """
import asyncio, os, sys
import headway as hw

@hw.task
async def {name}(x: int) -> int:
    if os.environ.get("STOP"):
        os._exit(9)
    return x

if __name__ == "__main__":
    if os.environ.get("STOP"):
        hw.run({name}, 7, run_id="{name}", progress=False)
    print({{run: end.value if end.ok else type(end.error).__name__ for run, end in hw.resume_all().items()}})
"""
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(program.format(name=name))
        env = {**os.environ, "PYTHONPATH": SRC, "STOP": "1"}
        subprocess.run([sys.executable, f"{name}.py"], cwd=tmp_path, env=env, check=False)
    done = subprocess.run(
        [sys.executable, "one.py"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": SRC}, capture_output=True, text=True
    )
    assert done.stdout.strip() == "{'one': 7, 'two': 'UsageError'}", done.stderr
