"""What can't be enqueued is refused before anything is written, and says what to do instead."""

from __future__ import annotations

import datetime
import functools
import subprocess
import sys
from typing import Any

import pytest
from typer.testing import CliRunner

import headway as hw
from headway.cli.app import app
from headway.cli.service.queueing import parse_time


@hw.task
async def greet(name: str, loud: bool = False) -> str:
    if name == "again":
        hw.enqueue(greet, "nobody", store="unused")
    return f"hello {name}"


bare = hw.task(lambda name: name, name="bare")


async def plain(name: str) -> str:
    return name


@pytest.mark.parametrize(
    ("task", "args", "options", "said"),
    [
        (plain, ("x",), {}, "is not a task. Decorate the function with @hw.task"),
        (bare, ("x",), {}, "a lambda can't be found again by a worker"),
        (greet, (), {}, "greet: missing a required argument"),
        (greet, (object(),), {}, "object"),
        (greet, ("x",), {"run_id": "a\nb"}, "a name of printable characters"),
        (greet, ("x",), {"queu": "mail"}, "has no option queu"),
        (greet, ("x",), {"queue": ""}, "name the queue with printable characters"),
        (greet, ("x",), {"queue": 7}, "expected a text"),
        (greet, ("x",), {"priority": 1.5}, "a whole number, the higher the sooner"),
        (greet, ("x",), {"priority": 1 << 31}, "a whole number of at most 31 bits"),
        (greet, ("x",), {"weight": 0}, "a weight is a number above 0"),
        (greet, ("x",), {"weight": "heavy"}, "a number above 0"),
        (greet, ("x",), {"at": datetime.datetime.fromisoformat("2027-01-31")}, "a datetime without a time zone"),
        (greet, ("x",), {"at": "tomorrow"}, "seconds since 1970, or a datetime with a time zone"),
        (greet, ("x",), {"at": float("inf")}, "is no time"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_written(task: Any, args: Any, options: Any, said: str) -> None:
    store = hw.MemoryStore()
    with pytest.raises(hw.UsageError, match=said):
        hw.enqueue(task, *args, store=store, **options)
    assert store.runs() == []


def test_a_local_function_is_refused() -> None:
    @hw.task
    async def local() -> None: ...

    with pytest.raises(hw.UsageError, match="define it at the top level of a module"):
        hw.enqueue(local, store=hw.MemoryStore())


def test_a_store_that_nobody_else_sees_is_refused() -> None:
    with pytest.raises(hw.UsageError, match="no worker could see it"):
        hw.enqueue(greet, "x", store=":memory:")


def test_a_run_that_enqueues_another_must_name_it() -> None:
    with pytest.raises(hw.UsageError, match="would enqueue another"):
        hw.run(greet, "again", store=None)


def test_a_partial_and_keyword_arguments_are_part_of_what_is_asked() -> None:
    store = hw.MemoryStore()
    at = datetime.datetime(2027, 1, 31, 9, tzinfo=datetime.UTC)
    hw.enqueue(functools.partial(greet, "ada"), kwargs={"loud": True}, run_id="one", at=at, key="k", priority=3, store=store)
    hw.enqueue(greet, "ada", kwargs={"loud": True}, run_id="one", store=store)  # the same again
    with pytest.raises(hw.RunMismatch, match=r"was started as .*greet with other arguments"):
        hw.enqueue(greet, "ada", run_id="one", store=store)
    (job,) = store.jobs(0.0)
    assert (job.run_id, job.at, job.job.key, job.job.priority) == ("one", at.timestamp(), "k", 3)


def test_a_full_queue_says_so() -> None:
    store = hw.MemoryStore()
    hw.set_queue("small", depth=1, store=store)
    hw.enqueue(greet, "x", queue="small", store=store)
    with pytest.raises(hw.QueueFull, match="queue 'small' is full: 1 jobs wait in it"):
        hw.enqueue(greet, "y", queue="small", store=store)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"limits": 3}, "did you mean 'limit'"),
        ({"limit": -1}, "the least that makes sense"),
        ({"limit": 1.5}, "expected a number"),
        ({"deaths": None}, "expected a number"),
        ({"backoff_s": -1.0}, "give seconds, 0 or more"),
        ({"backoff_s": float("nan")}, "give seconds, 0 or more"),
    ],
)
def test_settings_of_a_queue_that_make_no_sense_are_refused(settings: Any, said: str) -> None:
    with pytest.raises(hw.UsageError, match=said):
        hw.set_queue("mail", store=hw.MemoryStore(), **settings)


def test_a_queue_that_is_not_there_can_not_be_paused() -> None:
    store = hw.MemoryStore()
    hw.set_queue("mail", store=store)
    with pytest.raises(hw.UsageError, match="did you mean 'mail'"):
        hw.pause_queue("mial", store=store)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "needs a name and a line of cron"),
        ({"cron": "0 8 * *"}, "0 8"),
        ({"cron": "@daily", "zone": "Mars/Base"}, "Mars"),
        ({"cron": "@daily", "overlap": "skipp"}, "did you mean 'skip'"),
        ({"cron": "@daily", "catch_up_s": "1h"}, "a number of seconds"),
        ({"cron": "@daily", "catch_up_s": -1.0}, "give seconds, 0 or more"),
        ({"cron": "@daily", "every": 3}, "has no option every"),
        ({"cron": "0 0 30 feb *"}, "is never due: no year has such a day"),
        ({"cron": "@daily", "kwargs": {"loud": b"." * 20_000}}, "an argument holds an array or bytes of more than 16 KiB"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(options: Any, said: str) -> None:
    store = hw.MemoryStore()
    with pytest.raises(hw.UsageError, match=said):
        hw.add_schedule("nightly", greet, "x", store=store, **options)
    assert store.schedules() == []


@pytest.mark.parametrize("name", ["a@b", "", "a\nb"])
def test_a_schedule_has_a_name_of_which_runs_can_be_named(name: str) -> None:
    with pytest.raises(hw.UsageError, match="use printable characters without @"):
        hw.add_schedule(name, greet, "x", cron="@daily", store=hw.MemoryStore())


def test_a_task_that_was_typed_into_an_interpreter_is_refused() -> None:
    typed = "import headway as hw\n@hw.task\nasync def typed() -> None: ...\nhw.enqueue(typed, store=hw.MemoryStore())\n"
    done = subprocess.run([sys.executable, "-"], input=typed, capture_output=True, text=True, check=False)
    assert "UsageError: hw.enqueue: typed is defined interactively, and a worker must import it from a file" in done.stderr


def test_a_worker_whose_store_nobody_else_sees_is_refused(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "has_a_task.py").write_text("import headway as hw\n@hw.task(name='only here')\nasync def one() -> None: ...\n")
    done = CliRunner().invoke(app, ["worker", "has_a_task.py", "--store", ":memory:"])
    assert (done.exit_code, "nobody else could put anything into it" in done.output) == (2, True), done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["enqueue", "shop.py:sell"], "there is no program file 'shop.py'"),
        (["worker", "nowhere.py"], "there is no program file 'nowhere.py'"),
        (["worker", "json"], "json has no task"),
        (["worker", "no_such_module"], "there is no module 'no_such_module' (for a file, write no_such_module.py)"),
        (["worker", "program.py:task"], "name the file alone: program.py"),
        (["worker", "json", "--store", ":memory:"], "has no task"),
        (["queue", "set", "mail"], "say what to set, such as --limit 20"),
        (["queue", "set", "mail", "--limit", "many"], "--limit many: a whole number, or none"),
        (["queue", "pause", "mail", "--store", "none"], "none"),
        (["schedule", "add", "nightly", "json:dumps"], "say when it is due"),
    ],
)
def test_commands_refuse_bad_input_in_a_sentence(words: list[str], said: str, tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, words)
    assert done.exit_code in (2, 3), done.output
    assert said in done.output
    assert "Traceback" not in done.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["tomorrow", "2027-01-31T09:00", "+soon", "+-5s"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(hw.UsageError, match="--at"):
        parse_time(text)


def test_a_result_that_is_not_there_yet_times_out_and_a_run_that_is_unknown_says_so() -> None:
    store = hw.MemoryStore()
    hw.enqueue(greet, "x", run_id="one", store=store)
    with pytest.raises(TimeoutError, match="run 'one' has not ended within 0 s; it goes on"):
        hw.result_of("one", timeout=0, store=store)
    with pytest.raises(hw.UnknownRun):
        hw.result_of("two", store=store)
    with pytest.raises(hw.UsageError, match="expected a number of seconds"):
        hw.result_of("one", timeout="soon", store=store)
