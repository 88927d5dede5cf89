"""A store is read by whoever may read it: from a read-only disk, in another user's folder, beside a writer, after a crash."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from reader import do, protect, python

import headway as hw
from headway.errors import StoreError
from headway.journal.decisions import Decision, NextCall
from headway.journal.open import open_existing, open_to_read
from headway.journal.records import Kind, Row, RunSpec, RunStatus
from headway.journal.recovery.recovered import encode_body
from headway.journal.sqlite import schema
from headway.journal.sqlite.store import SqliteStore
from headway.journal.upkeep.doctor import examine
from headway.journal.upkeep.repair import repair


def row(text: str) -> Row:
    return Row(Kind.DECISION, text.encode().ljust(16), b"\0" * 16, encode_body(Decision(NextCall(text.encode()), 1.0)))


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A store with one record, whose permissions come back."""
    made = tmp_path / "store"
    with SqliteStore(made) as store:
        store.create_run(RunSpec(run_id="sky", task="t"))
        lease = store.acquire("sky", "somebody", 30.0, 0.0)
        store.commit(lease, 1, [row("first")], 1.0)
        store.release(lease, RunStatus.DONE, 2.0)
    yield made
    subprocess.run(["chmod", "-R", "u+rwX", str(tmp_path)], check=True)


def crashed(folder: Path, *, index: bool) -> None:
    """Leave the store as a crash does: what was committed last is in the write-ahead log alone."""
    copy = folder.with_name("crashed")
    with SqliteStore(folder) as store:
        lease = store.acquire("sky", "somebody", 30.0, 3.0)
        store.commit(lease, 2, [row("second")], 4.0)
        shutil.copytree(folder, copy)
    shutil.rmtree(folder)
    copy.rename(folder)
    if not index:
        (folder / "journal.db-shm").unlink()


def test_every_command_that_looks_reads_a_store_that_it_may_not_write(folder):
    protect(folder)
    before = names(folder)
    ls, show, doctor, rows = do(
        f"cli ls --store {folder}", f"cli show sky --store {folder}", f"cli doctor --store {folder}", f"rows {folder}"
    )
    assert (ls["code"], show["code"], doctor["code"]) == (0, 0, 0), (ls, show, doctor)
    assert "sky" in ls["out"]
    assert "whole" in doctor["out"]
    assert "can be read but not written" in doctor["out"]
    assert rows == {"rows": ["first"]}
    assert names(folder) == before


@pytest.mark.parametrize("index", [True, False])
def test_what_a_crash_left_in_the_log_is_read_without_writing(folder, index):
    crashed(folder, index=index)
    protect(folder)
    before = names(folder)
    rows, doctor = do(f"rows {folder}", f"cli doctor --store {folder}")
    assert rows == {"rows": ["first", "second"]}
    assert "whole" in doctor["out"], doctor
    assert names(folder) == before


def test_a_reader_without_permission_reads_along_with_a_live_writer(folder):
    with SqliteStore(folder) as store:
        lease = store.acquire("sky", "somebody", 30.0, 3.0)
        store.commit(lease, 2, [row("second")], 4.0)
        protect(folder)
        rows, doctor = do(f"rows {folder}", f"cli doctor --store {folder}")
        assert rows == {"rows": ["first", "second"]}
        assert "whole" in doctor["out"], doctor
        store.commit(lease, 3, [row("third")], 5.0)  # and the writer goes on


@pytest.mark.parametrize("what", ["journal.db", "", "journal.db-wal"])
def test_what_may_not_be_read_is_never_called_damaged(folder, what):
    crashed(folder, index=False)
    (folder / what).chmod(0)
    doctor, ls = do(f"cli doctor --store {folder}", f"cli ls --store {folder}")
    assert doctor["code"] == ls["code"] == 3
    said = doctor["out"] + doctor["err"]
    assert "damaged" not in said.replace("nothing says that it is damaged", "")
    assert "--repair" not in said
    assert "ermission" in said or "cannot be opened" in said, said
    assert "cannot be" in ls["err"]
    assert "Traceback" not in ls["err"]


def test_a_blob_that_may_not_be_read_is_not_called_damaged(tmp_path):
    folder = tmp_path / "store"

    @hw.task
    async def large() -> bytes:
        return b"x" * 100_000

    hw.run(large, store=folder, run_id="sky", progress=False)
    blobs = list(folder.rglob("blobs/??"))
    for path in blobs:
        path.chmod(0)
    (doctor,) = do(f"cli doctor --store {folder}")
    for path in blobs:
        path.chmod(0o755)
    assert doctor["code"] == 3
    assert "not read" in doctor["out"]
    assert "store: damaged" not in doctor["out"]
    assert "--repair" not in doctor["err"]


def test_what_would_write_says_why_it_can_not(folder):
    protect(folder)
    run, send, repairing = do(f"run {folder}", f"send {folder}", f"cli doctor --repair --store {folder}")
    assert run["raised"].startswith("StoreError: "), run
    assert "cannot be written" in run["raised"]
    assert "hw.view" in run["raised"]
    assert "cannot be written" in send["raised"]
    assert "may not write" in repairing["err"] or "read-only" in repairing["err"]
    assert repairing["code"] == 3


def test_a_store_that_was_opened_for_reading_writes_nothing(folder):
    with SqliteStore(folder, readonly=True) as store:
        assert [run.spec.run_id for run in store.runs()] == ["sky"]
        with pytest.raises(StoreError, match="opened for reading"):
            store.create_run(RunSpec(run_id="new", task="t"))
    assert names(folder) == ["journal.db"]


def test_damage_that_somebody_else_is_writing_is_not_called_damage(folder):
    protect(folder)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    reader = subprocess.Popen(
        python(str(Path(__file__).with_name("reader.py")), f"between {folder}"),
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert reader.stdout is not None
    assert "opened" in reader.stdout.readline()
    subprocess.run(["chmod", "-R", "u+w", str(folder)], check=True)
    connection = sqlite3.connect(folder / "journal.db")
    connection.execute("UPDATE record SET body=x'00'")
    connection.commit()
    connection.close()
    said, _ = reader.communicate("go\n", timeout=30)
    assert "was written while it was read" in said


def test_checkpoints_are_listed_verified_and_loaded_from_a_root_that_may_not_be_written(tmp_path):
    root = tmp_path / "checkpoints"
    with hw.Checkpoints(root) as checkpoints:
        checkpoints.save({"x": np.arange(3.0)}, step=7)
    protect(root)
    before = names(root)
    *commands, loaded, opened = do(
        f"cli ckpt ls {root}", f"cli ckpt show {root}", f"cli ckpt verify {root}", f"load {root}", f"open {root}"
    )
    subprocess.run(["chmod", "-R", "u+w", str(root)], check=True)
    assert [command["code"] for command in commands] == [0, 0, 0], commands
    assert loaded == opened == {"x": [0.0, 1.0, 2.0]}
    assert names(root) == before


# --- locks --------------------------------------------------------------------------------------------------------------


HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA locking_mode=EXCLUSIVE") if sys.argv[2] == "reading" else None
connection.execute("BEGIN EXCLUSIVE")
connection.execute("UPDATE run SET cancel=0")
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def holding(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Another program that locks the database, for writing only or for reading too."""
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_S", 0.2)
    held: list[subprocess.Popen[str]] = []

    def hold(what: str) -> int:
        command = [sys.executable, "-c", HOLDER, str(folder / "journal.db"), what]
        program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        held.append(program)
        assert program.stdout is not None
        assert program.stdout.readline() == "held\n"
        return program.pid

    yield hold
    for program in held:
        program.communicate("")


def test_a_lock_of_another_program_is_told_after_a_while_and_ends_with_who_holds_it(folder, holding, capsys):
    pid = holding("writing")
    with open_existing(folder) as store:
        with pytest.raises(StoreError, match=rf"stayed locked by pid {pid} \(python.* for 0.2 s: end the program that holds it"):
            store.create_run(RunSpec(run_id="new", task="t"))
        assert [run.spec.run_id for run in store.runs()] == ["sky"]
    assert f"is locked by pid {pid}" in capsys.readouterr().err


def test_a_reader_that_is_locked_out_is_told_who_holds_it(folder, holding, capsys):
    pid = holding("reading")
    with pytest.raises(StoreError, match=f"stayed locked by pid {pid}"):
        open_to_read(folder)
    assert f"is locked by pid {pid}" in capsys.readouterr().err


def test_a_lock_is_no_damage(folder, holding, capsys):
    pid = holding("reading")
    report = examine(folder)
    assert report.verdict == "not read"
    assert f"stayed locked by pid {pid}" in str(report.findings)


def test_a_store_that_is_free_again_is_waited_for(folder, holding, monkeypatch, capsys):
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_S", 30.0)
    with open_existing(folder) as store, open_existing(folder) as other:
        with other.writing():
            thread = threading.Thread(target=store.create_run, args=(RunSpec(run_id="new", task="t"),))
            thread.start()
        thread.join(30)
        assert len(store.runs()) == 2
    assert capsys.readouterr().err == ""


def test_a_missing_store_is_neither_made_nor_repaired(tmp_path):
    for look in (open_to_read, open_existing, lambda folder: repair(folder, now=0.0)):
        with pytest.raises(StoreError, match="there is no store"):
            look(tmp_path / "nowhere")
        with pytest.raises(StoreError, match="there is no store"):
            look(tmp_path)
    assert names(tmp_path) == []
