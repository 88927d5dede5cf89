"""Names that a user gives and nobody has: each is an error or a warning with the names that look like it."""

from __future__ import annotations

from typing import Any

import pytest

import headway as hw

EDITION = {"text": "1", "stop": True}


def program_of(edition: str, stop: bool) -> Any:
    @hw.task(name="app.leaf", version=edition)
    async def leaf() -> str:
        return edition

    @hw.task(name="app.middle")
    async def middle() -> str:
        return await leaf()

    @hw.task(name="app.main")
    async def main() -> str:
        told = await middle()
        if stop:
            raise RuntimeError("stop")
        return told

    return main


@pytest.mark.parametrize("name", ["leaff", "app.leav", "x"])
def test_a_task_to_rerun_that_is_not_there_is_named(go, name):
    assert go(program_of("1", stop=False)) == "1"
    with pytest.raises(hw.UsageError, match=rf"on_change names task '{name}', which neither .* (did you mean 'leaf'|there are)"):
        go(program_of("2", stop=False), on_change={name: "rerun"})


def test_a_dry_run_names_it_too(go, tmp_path):
    go(program_of("1", stop=False))
    with pytest.raises(hw.UsageError, match="did you mean 'leaf'"):
        hw.resume("run", store=tmp_path / "store", dry_run=True, on_change={"leaff": "rerun"})


@pytest.mark.parametrize("name", ["leaf", "app.leaf"])
@pytest.mark.parametrize("stop", [False, True], ids=["finished", "stopped"])
def test_a_task_to_rerun_runs_again_below_finished_calls(go, tmp_path, name, stop):
    if stop:
        with pytest.raises(RuntimeError):
            go(program_of("1", stop=True))
    else:
        assert go(program_of("1", stop=False)) == "1"
    again = program_of("2", stop=False)
    plan = hw.resume("run", store=tmp_path / "store", dry_run=True, on_change={name: "rerun"})
    assert {(call.task, call.why) for call in plan.rerun} >= {
        ("app.middle", "source of app.leaf changed"),
        ("app.leaf", "source changed"),
    }
    assert go(again) == "1", "without a word the recorded result stands"
    assert go(again, on_change={name: "rerun"}) == "2"
    assert go(again) == "2", "and what ran again is recorded"


def test_a_task_whose_source_is_the_same_is_not_run_again(go):
    program = program_of("1", stop=False)
    assert go(program) == "1"
    told: list[Any] = []
    assert go(program, on_change={"leaf": "rerun"}, events=told.append) == "1"
    assert not any(type(event).__name__ == "CallStarted" for event in told)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"deadline": 3}, "did you mean 'deadline_s'"),
        ({"stor": "x"}, "did you mean 'store'"),
        ({"pools": {"proces": 2}}, "did you mean 'process'"),
    ],
)
def test_an_option_of_a_run_that_is_not_there_is_named(options, said):
    with pytest.raises(hw.UsageError, match=said):
        hw.run(program_of("1", stop=False), **{"store": None, **options})


def test_an_option_of_a_task_that_is_not_there_is_named():
    with pytest.raises(hw.UsageError, match="no option retries; did you mean 'retry'"):
        hw.task(retries=3)


@hw.task
async def spends(unit: str) -> None:
    hw.charge(**{unit: 5})


@pytest.mark.parametrize("where", ["block", "run"])
def test_a_budget_in_a_unit_that_nobody_charges_and_a_like_one_that_is_charged_warns(go, where):
    @hw.task
    async def program() -> None:
        if where == "run":
            await spends("tokens")
            return
        with hw.budget(token=10):
            await spends("tokens")

    with pytest.warns(RuntimeWarning, match=r"budget of 'token': nothing was charged in it, but 'tokens' was"):
        go(program, **({"budget": {"token": 10}} if where == "run" else {}))


def test_a_budget_that_was_not_needed_is_no_mistake(go):
    @hw.task
    async def program() -> dict[str, float]:
        with hw.budget(tokens=10, money=3) as budget:
            await spends("seconds_of_gpu")
        return budget.spent

    assert go(program)["tokens"] == 0


def test_a_cancel_of_a_run_that_is_done_warns(go, tmp_path):
    go(program_of("1", stop=False))
    with pytest.warns(RuntimeWarning, match="run 'run' is done: nothing in it is left to stop"):
        hw.cancel("run", store=tmp_path / "store")


def test_a_signal_to_a_run_that_is_done_warns(go, tmp_path):
    go(program_of("1", stop=False))
    with pytest.warns(RuntimeWarning, match="run 'run' is done: nobody in it waits for 'approve'"):
        hw.signal("run", "approve", store=tmp_path / "store")
