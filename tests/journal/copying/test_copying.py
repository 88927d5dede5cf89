"""A run goes to another store whole or not at all, and goes on there."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

import headway as hw
from headway.cli.app import app
from headway.errors import StoreError, UnknownRun, UsageError
from headway.journal.copying import runs as room
from headway.journal.owner import this_process
from headway.journal.records import Row, RunSpec, RunStatus
from headway.journal.shared.items import Item
from headway.journal.store import Store, every_run

CALLED: list[object] = []
DOWN = [True]


@hw.task
async def step(number: int) -> bytes:
    CALLED.append(number)
    if number == 3 and DOWN:
        raise OSError("down")
    return bytes([number]) * 50_000


@hw.task(effect=True)
async def pay(amount: int) -> str:
    CALLED.append(f"pay {amount}")
    return hw.call().idempotency_key


@hw.task(cache="forever")
async def shared(number: int) -> int:
    CALLED.append(f"shared {number}")
    return number


@hw.task
async def asks_what_is_shared() -> int:
    return await shared(5)


@hw.task
async def program() -> tuple[int, str, int, int, object]:
    first = await hw.gather(*(step(number) for number in range(3)))
    key = await pay(7)
    seen = hw.collection("seen", int)
    await seen.append(1)
    known = len(await seen.snapshot())
    told = await hw.wait_event("go")
    last = await step(3)
    return sum(map(len, (*first, last))), key, await shared(5), known, told


@pytest.fixture(autouse=True)
def _noted():
    CALLED.clear()
    DOWN[:] = [True]


def drive(task: Any, store: Store, *signals: object, run_id: str = "sky") -> Any:
    """Run a task to its end, which gets these signals when it is there."""

    def send() -> None:
        for value in signals:
            hw.signal(run_id, "go", value, store=store)

    sender: list[threading.Thread] = []

    def tell(event: object) -> None:
        if isinstance(event, hw.events.RunStarted):
            sender.append(threading.Thread(target=send))
            sender[0].start()

    try:
        return hw.run(task, store=store, run_id=run_id, progress=False, events=tell)
    finally:
        sender[0].join()


def fail(store: Store, run_id: str = "sky") -> None:
    """Begin the program in a store; it fails in its last step."""
    with pytest.raises(OSError, match="down"):
        drive(program, store, "gone", run_id=run_id)


def test_a_run_that_was_broken_off_goes_on_in_another_store_and_repeats_nothing(pair):
    source, target = pair
    fail(source)
    key = hw.view("sky", store=source).find("pay")[0].value
    hw.signal("sky", "later", "unheard", store=source)
    CALLED.clear()
    (copied,) = hw.copy_runs(source, target).runs
    assert (copied.outcome, copied.why, copied.signals, copied.blobs) == ("copied", "", 2, 3)
    assert CALLED == []
    before = list(source.rows(source.run("sky").uid))
    DOWN.clear()
    assert hw.resume("sky", store=target) == (200_000, key, 5, 1, "gone")
    assert CALLED == [3, "shared 5"]
    assert list(source.rows(source.run("sky").uid)) == before  # the source is as it was
    assert source.run("sky").status == RunStatus.FAILED


def test_a_finished_run_hands_out_its_result_and_shares_what_it_shares(pair):
    source, target = pair
    DOWN.clear()
    drive(program, source, "gone")
    CALLED.clear()
    assert hw.copy_runs(source, target, ["sky"]).runs[0].cached == 1
    assert hw.resume("sky", store=target)[0] == 200_000
    assert hw.run(asks_what_is_shared, store=target, run_id="another", progress=False) == 5
    assert CALLED == []


def test_a_signal_that_comes_later_is_not_taken_for_one_that_was_heard(pair):
    source, target = pair
    for _ in range(3):  # numbers of a folder go over all runs
        source.create_run(RunSpec(run_id="other", task="t"))
        source.send_signal("other", "go", b"", 1.0)

    @hw.task(name="listens")
    async def listens() -> list[object]:
        heard = [await hw.wait_event("go")]
        await step(3)
        return [*heard, await hw.wait_event("go")]

    with pytest.raises(OSError, match="down"):
        drive(listens, source, 1)
    DOWN.clear()
    hw.copy_runs(source, target, ["sky"])
    (heard,) = target.signals(target.run("sky").uid)
    hw.signal("sky", "go", 2, store=target)
    assert target.signals(target.run("sky").uid, after=heard.number) != []
    assert hw.resume("sky", store=target) == [1, 2]


# --- what is refused ---------------------------------------------------------------------------------------------------


def make_run(store: Store, run_id: str, rows: int = 3, **spec: object) -> None:
    store.create_run(RunSpec(run_id=run_id, task="t", **spec))
    lease = store.acquire(run_id, "somebody", 30.0, 0.0)
    store.commit(lease, 1, [Row(4, bytes(16), bytes(16), _now(number)) for number in range(rows)], 1.0)
    store.release(lease, RunStatus.INTERRUPTED, 2.0)


def _now(number: int) -> bytes:
    from headway.journal.decisions import Decision, Now, encode_decision

    return encode_decision(Decision(Now(float(number)), 1.0))


def names(store: Store) -> list[str]:
    return [info.spec.run_id for info in every_run(store)]


def test_a_run_that_somebody_drives_is_refused_and_the_others_are_copied(pair):
    source, target = pair
    for name in ("one", "two", "three"):
        make_run(source, name)
    source.acquire("two", this_process(), 30.0, time.time())
    report = hw.copy_runs(source, target)
    assert [(run.run_id, run.outcome) for run in report.runs] == [("one", "copied"), ("two", "refused"), ("three", "copied")]
    assert "run 'two' is driven by" in report.runs[1].why
    assert not report.whole
    assert names(target) == ["one", "three"]


def test_an_id_that_another_run_has_is_refused(pair):
    source, target = pair
    make_run(source, "sky")
    make_run(target, "sky", created=5.0)
    (run,) = hw.copy_runs(source, target).runs
    assert (run.outcome, "is taken in" in run.why, "by another run" in run.why) == ("refused", True, True)
    assert target.run("sky").spec.created == 5.0


def test_a_copy_that_has_gone_on_is_left_and_what_to_do_is_said(pair):
    source, target = pair
    make_run(source, "sky")
    hw.copy_runs(source, target)
    lease = target.acquire("sky", "somebody", 30.0, 5.0)
    target.commit(lease, 4, [Row(4, bytes(16), bytes(16), _now(9))], 6.0)
    target.release(lease, RunStatus.DONE, 7.0)
    (run,) = hw.copy_runs(source, target).runs
    assert (run.outcome, "in another state (done, 4 records" in run.why) == ("refused", True)
    assert target.run("sky").nrows == 4


def test_a_run_that_is_taken_up_while_it_is_copied_does_not_appear(pair, monkeypatch):
    source, target = pair
    make_run(source, "sky")
    check = room._Copy._check_unchanged

    def take_up(self, info, signals):
        source.acquire("sky", this_process(), 30.0, time.time())
        check(self, info, signals)

    monkeypatch.setattr(room._Copy, "_check_unchanged", take_up)
    (run,) = hw.copy_runs(source, target).runs
    assert run.outcome == "refused"
    assert names(target) == []


def test_a_signal_that_comes_while_a_run_is_copied_is_not_lost(pair, monkeypatch):
    source, target = pair
    make_run(source, "sky")
    check = room._Copy._check_unchanged

    def send(self, info, signals):
        if not source.signals(info.uid):
            source.send_signal("sky", "go", b"", 1.0)
        check(self, info, signals)

    monkeypatch.setattr(room._Copy, "_check_unchanged", send)
    (run,) = hw.copy_runs(source, target).runs
    assert (run.outcome, "has changed while it was copied" in run.why) == ("refused", True)
    (run,) = hw.copy_runs(source, target).runs
    assert (run.outcome, run.signals) == ("copied", 1)


def test_a_run_that_the_target_does_not_have_as_it_was_written_is_taken_out_again(pair, monkeypatch):
    source, target = pair
    make_run(source, "sky")
    put_run = type(target).put_run

    def put_less(self, info, parts, signals, heard):
        def changed():
            for part in parts():
                yield [row._replace(body=_now(77)) for row in part]

        return put_run(self, info, changed, signals, heard)

    monkeypatch.setattr(type(target), "put_run", put_less)
    (run,) = hw.copy_runs(source, target).runs
    assert (run.outcome, "are not those of" in run.why) == ("refused", True)
    assert names(target) == []


def test_a_damaged_run_is_refused_and_the_others_are_copied(make):
    source, target = make("sqlite"), make("postgres")
    for name in ("one", "two"):
        make_run(source, name)
    with source.writing() as connection:
        connection.execute("UPDATE record SET body=x'ff' WHERE run=1 AND seq=2")
    report = hw.copy_runs(source, target)
    assert [run.outcome for run in report.runs] == ["refused", "copied"]
    assert "record 2" in report.runs[0].why
    assert names(target) == ["two"]


def test_a_value_that_the_target_has_no_place_for_is_said_with_what_to_add(make):
    source, target = make("sqlite"), make("postgres", blobs=False)

    @hw.task
    async def large() -> bytes:
        return bytes(2 << 20)

    hw.run(large, store=source, run_id="large", progress=False)
    make_run(source, "small")
    report = hw.copy_runs(source, target)
    assert [run.outcome for run in report.runs] == ["refused", "copied"]
    assert "?blobs=" in report.runs[0].why


def test_a_collection_that_has_gone_its_own_way_refuses_the_runs_that_use_it_and_no_other(pair):
    source, target = pair
    fail(source)
    make_run(source, "other")
    target.append_items("seen", [Item(b"else" * 4, b"v")])
    report = hw.copy_runs(source, target)
    assert [(run.run_id, run.outcome) for run in report.runs] == [("sky", "refused"), ("other", "copied")]
    assert "collection 'seen' has another item 0" in report.runs[0].why
    assert [item.token for item in target.items("seen")] == [b"else" * 4]


def test_what_makes_no_sense_is_refused_before_anything_is_made(make, tmp_path):
    source = make("sqlite")
    make_run(source, "sky")
    with pytest.raises(UnknownRun):
        hw.copy_runs(source, tmp_path / "new", ["sky", "sea"])
    assert not (tmp_path / "new").exists()
    with pytest.raises(UsageError, match="to itself"):
        hw.copy_runs(source, source)
    with pytest.raises(UsageError, match="to itself"):
        hw.copy_runs(source.url, source.url)
    with pytest.raises(StoreError, match="there is no store"):
        hw.copy_runs(tmp_path / "nowhere", source)


def test_an_error_of_a_store_ends_the_copy_and_says_so(make, monkeypatch):
    from headway.errors import StoreFull

    source, target = make("sqlite"), make("sqlite")
    make_run(source, "sky")
    monkeypatch.setattr(type(target), "put_run", lambda *_: (_ for _ in ()).throw(StoreFull(28, "the disk is full")))
    with pytest.raises(StoreFull, match="the disk is full"):
        hw.copy_runs(source, target)


# --- checkpoints -------------------------------------------------------------------------------------------------------


@hw.task(pool="process")
def train(total: int) -> float:
    state = {"weights": np.zeros(300_000)}
    for number in hw.checkpoints().steps(state, total=total, every=2):
        state["weights"] += number
    return float(state["weights"].sum())


@pytest.mark.parametrize("kind", ["postgres", "sqlite"])
def test_checkpoints_go_along_and_are_verified(make, kind):
    source, target = make("sqlite"), make(kind)
    result = hw.run(train, 4, store=source, run_id="train", progress=False)
    (run,) = hw.copy_runs(source, target).runs
    assert (run.outcome, run.why, run.files > 2) == ("copied", "", True)
    (call,) = (path for path in Path(target.checkpoint_root("train")).iterdir() if path.is_dir())
    assert hw.Checkpoints(call).verify().whole
    assert hw.resume("train", store=target) == result
    newest = max((file for file in call.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)
    data = bytearray(newest.read_bytes())
    data[-1] ^= 1
    newest.write_bytes(data)
    (run,) = hw.copy_runs(source, target).runs
    assert (run.outcome, "remove it, and copy again" in run.why) == ("refused", True)


def test_checkpoints_that_the_target_has_no_place_for_are_said(make):
    source, target = make("sqlite"), make("postgres", blobs=False)
    hw.run(train, 4, store=source, run_id="train", progress=False)
    report = hw.copy_runs(source, target)
    assert (report.runs[0].outcome, "add ?blobs= to its URL" in report.runs[0].why, report.whole) == ("copied", True, False)


# --- killed, and the command -------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
import headway as hw
from headway.journal.copying import runs as room
at, seen = int(sys.argv[3]), 0
class Dies:
    def __call__(self, progress):
        global seen
        seen += 1
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)
print([run.outcome for run in hw.copy_runs(sys.argv[1], sys.argv[2], on_progress=Dies()).runs])
"""


@pytest.mark.parametrize("kind", ["postgres", "sqlite"])
def test_a_copy_that_is_killed_anywhere_leaves_nothing_half_written_and_goes_on(make, kind):
    source, target = make("sqlite"), make(kind)
    for number in range(3):
        make_run(source, f"run-{number}", rows=1500)
    whole = {name: [row for _, row in source.rows(source.run(name).uid)] for name in names(source)}
    command = [sys.executable, "-c", KILLED, source.url, target.url]
    died = 0
    for at in (2, 4, 9, 100):
        done = subprocess.run([*command, str(at)], capture_output=True, text=True, check=False)
        died += done.returncode == -signal.SIGKILL
        for name in names(target):
            assert [row for _, row in target.rows(target.run(name).uid)] == whole[name]
    assert (died, done.stdout) == (3, "['there already', 'copied', 'copied']\n"), done.stderr
    assert names(target) == names(source)


def test_the_command_prints_a_table_and_exits_with_3_where_something_was_refused(make):
    source, target = make("sqlite"), make("postgres")
    fail(source)
    make_run(source, "small", rows=1)
    source.acquire("small", this_process(), 30.0, time.time())
    answer = CliRunner().invoke(app, ["store", "copy", source.url, target.url])
    assert answer.exit_code == 3
    lines = [line.split() for line in answer.stdout.splitlines()]
    assert lines[0] == ["run", "records", "values", "signals", "files"]
    assert lines[1][:2] == ["sky", "copied"]
    assert lines[2][:2] == ["small", "refused"]
    assert ["collection", "seen", "copied", "1"] in lines
    assert "1 run of" in answer.stderr
    assert "1 refused" in answer.stderr
    answer = CliRunner().invoke(app, ["store", "copy", source.url, target.url, "sky", "--json"])
    document = msgspec.json.decode(answer.stdout)
    assert (answer.exit_code, document["whole"], [run["outcome"] for run in document["runs"]]) == (0, True, ["there already"])
    answer = CliRunner().invoke(app, ["store", "copy", source.url, target.url, "skye"])
    assert (answer.exit_code, "did you mean 'sky'" in answer.stderr) == (3, True)


def test_a_copy_that_was_sent_something_since_is_refused_and_left_as_it_is(pair):
    source, target = pair
    fail(source)
    hw.copy_runs(source, target)
    hw.signal("sky", "go", "there alone", store=target)
    (again,) = hw.copy_runs(source, target).runs
    assert (again.outcome, "its signals in" in again.why) == ("refused", True), again.why
    assert len(target.signals(target.run("sky").uid)) == 2
