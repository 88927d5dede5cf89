"""Saving when the helper process or its trainer dies: nothing half-written is a checkpoint, and the next save works."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hand_saved
import pytest
from hand_saved import PATIENCE_S, Trainer, arrays_of, assert_holds, files_of

from headway.checkpoint.files.manifest import Head
from headway.checkpoint.helper import process as helper_process
from headway.checkpoint.helper.messages import Durable, Failed
from headway.checkpoint.process.failpoints import HELPER, TRAINER, VARIABLE
from headway.errors import SaveFailed


def wait_gone(pid: int) -> None:
    """Wait until a process that is not our child has ended."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended, _, _ = select.select([fd], [], [], PATIENCE_S)
    os.close(fd)
    assert ended, "the helper process does not end"


@pytest.fixture(scope="module")
def saved_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with one checkpoint, "zero"."""
    root = tmp_path_factory.mktemp("before") / "root"
    trainer = Trainer(root)
    trainer.save("zero", 0, arrays_of(0))
    trainer.client.close(PATIENCE_S)
    return root


@pytest.mark.parametrize("point", HELPER)
def test_a_helper_that_dies_is_reported_and_replaced(
    tmp_path: Path, saved_before: Path, started: Any, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    root = shutil.copytree(saved_before, tmp_path / "root")
    trainer: Trainer = started(root)
    trainer.basis = Head("zero", 0, 1)
    monkeypatch.setenv(VARIABLE, point)
    end = trainer.save("one", 1, arrays_of(1))
    monkeypatch.delenv(VARIABLE)
    assert isinstance(end, Failed)
    assert isinstance(end.error(), SaveFailed)
    assert "was killed by SIGKILL" in end.message
    if point == "helper:after-head":
        assert_holds(root, "one", arrays_of(1))
        trainer.basis = Head("one", 1, 2)
    else:
        assert_holds(root, "zero", arrays_of(0))
    second = trainer.save("two", 2, arrays_of(2))
    assert isinstance(second, Durable), second
    assert_holds(root, "two", arrays_of(2))


def test_the_first_checkpoint_counts_though_its_helper_died_before_it_wrote_head(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "helper:before-head")
    assert isinstance(trainer.save("one", 1, arrays_of(1)), Failed)
    monkeypatch.delenv(VARIABLE)
    assert_holds(trainer.root, "one", arrays_of(1))
    assert isinstance(trainer.save("two", 2, arrays_of(2)), Durable)  # by a trainer that has not looked
    assert_holds(trainer.root, "two", arrays_of(2))


def test_a_helper_that_dies_between_saves_is_replaced_unnoticed(trainer: Trainer) -> None:
    trainer.save("one", 1, arrays_of(1))
    pid = trainer.client.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while trainer.client.pid is not None:
        threading.Event().wait(0.005)
    assert isinstance(trainer.save("two", 2, arrays_of(2)), Durable)
    assert_holds(trainer.root, "two", arrays_of(2))


def test_a_save_that_copies_when_the_helper_dies_goes_on_copying_in_peace(trainer: Trainer) -> None:
    begun = trainer.begin("one", 1, arrays_of(1))
    assert begun is not None
    assert trainer.client.pid is not None
    os.kill(trainer.client.pid, signal.SIGKILL)
    assert isinstance(trainer.end_of("one"), Failed)
    begun[1].start()
    assert begun[1].wait() >= 0
    assert begun[1].error is None
    assert isinstance(trainer.save("two", 2, arrays_of(2)), Durable)


def test_every_save_in_flight_hears_of_the_end_of_its_helper(trainer: Trainer) -> None:
    begun = [trainer.begin(checkpoint, 1, arrays_of(1)) for checkpoint in ("one", "two")]
    assert None not in begun
    assert trainer.client.pid is not None
    os.kill(trainer.client.pid, signal.SIGKILL)
    ends = [trainer.end_of(checkpoint) for checkpoint in ("one", "two")]
    assert all(isinstance(end, Failed) and "was killed by SIGKILL" in end.message for end in ends)


def test_a_save_that_begins_as_its_helper_ends_is_lost_and_not_waited_for(trainer: Trainer) -> None:
    trainer.client.prepare(1)
    helper = trainer.client._helper
    assert helper is not None
    os.kill(helper.pid, signal.SIGKILL)
    while helper.usable:
        threading.Event().wait(0.005)
    with pytest.raises(SaveFailed, match="was killed by SIGKILL"):
        helper.begin(trainer.plan("one", 1, arrays_of(1))[0], helper._buffers[0])
    assert helper.in_flight() == []


def test_a_buffer_is_not_given_away_while_its_save_is_still_to_be_written(trainer: Trainer) -> None:
    begun = [trainer.begin(checkpoint, 1, arrays_of(1)) for checkpoint in ("one", "two")]  # both buffers are there
    for each in begun:
        assert each is not None
        each[0].abandon("enough")
    helper, process = trainer.client.pid, trainer.client._helper
    assert helper is not None
    assert process is not None
    assert process.wait_idle(PATIENCE_S)
    os.kill(helper, signal.SIGSTOP)
    try:
        for n, checkpoint in ((3, "three"), (4, "four")):
            save = trainer.begin(checkpoint, n, arrays_of(n), basis=None if n == 3 else Head("three", 3, 1))
            assert save is not None
            save[1].start()
            save[1].wait()
        assert trainer.begin("five", 5, arrays_of(5)) is None
    finally:
        os.kill(helper, signal.SIGCONT)
    assert all(isinstance(trainer.end_of(checkpoint), Durable) for checkpoint in ("three", "four"))
    assert_holds(trainer.root, "four", arrays_of(4))


def test_a_helper_that_was_given_up_gets_nothing_more_even_before_it_has_ended(trainer: Trainer) -> None:
    trainer.client.prepare(1)
    helper = trainer.client._helper
    assert helper is not None
    with helper._changed:  # its end can't be noted
        helper.give_up("gave no answer and")
        assert not helper.ended
        assert trainer.client.pid is None
    assert isinstance(trainer.save("one", 1, arrays_of(1)), Durable)
    assert trainer.client.pid != helper.pid


@contextlib.contextmanager
def orphan(root: Path, *options: str, code: int = 0, die_at: str = "") -> Iterator[Callable[[], str]]:
    """A helper whose trainer ended while it saved "one". Gives what waits for the helper's end and returns what it said."""
    command = [sys.executable, hand_saved.__file__, str(root), "one", "1", *options]
    env = {**os.environ, VARIABLE: die_at}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        helper = int(process.stdout.readline())
        with Path(f"/proc/{helper}/fd/2").open(errors="replace") as stderr:  # a file without a name

            def wait() -> str:
                wait_gone(helper)
                stderr.seek(0)
                return stderr.read()

            process.stdin.write("go on\n")
            process.stdin.flush()
            assert process.wait(PATIENCE_S) == code
            yield wait


@pytest.mark.parametrize("point", TRAINER)
def test_a_save_outlives_its_trainer_if_it_was_staged(tmp_path: Path, started: Callable[..., Trainer], point: str) -> None:
    with orphan(tmp_path, code=-signal.SIGKILL, die_at=point) as end:
        said = end()
    trainer = started(tmp_path)
    if point == "trainer:staged":
        assert not said
        assert_holds(tmp_path, "one", arrays_of(1))
        trainer.basis = Head("one", 1, 1)
    else:
        assert "the trainer ended before all of its state was copied" in said
        assert files_of(tmp_path) == []
    assert isinstance(trainer.save("two", 2, arrays_of(2)), Durable)
    assert_holds(tmp_path, "two", arrays_of(2))


def test_a_trainer_that_exits_without_a_word_has_its_staged_save_committed(tmp_path: Path) -> None:
    with orphan(tmp_path) as end:
        assert end() == ""
    assert_holds(tmp_path, "one", arrays_of(1))


def test_a_trainer_that_exits_while_it_copies_leaves_nothing(tmp_path: Path) -> None:
    with orphan(tmp_path, "unstaged") as end:
        assert "the trainer ended before all of its state was copied" in end()
    assert files_of(tmp_path) == []


def test_a_fork_of_the_trainer_does_not_keep_its_helper_alive(tmp_path: Path) -> None:
    with orphan(tmp_path, "fork") as end:  # the fork lives until its input is closed
        assert end() == ""
    assert_holds(tmp_path, "one", arrays_of(1))


def test_an_order_that_the_helper_does_not_understand_ends_it_and_the_save_with_it(trainer: Trainer) -> None:
    trainer.save("one", 1, arrays_of(1))
    assert trainer.client._helper is not None
    trainer.client._helper._wire.send(Head("not an order", 0, 1))
    wait_gone(trainer.client._helper.pid)
    assert isinstance(trainer.save("two", 2, arrays_of(2)), Durable)


def test_a_helper_that_is_stopped_is_given_up_and_replaced(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer.client.prepare(1)
    stopped = trainer.client.pid
    assert stopped is not None
    os.kill(stopped, signal.SIGSTOP)
    monkeypatch.setattr(helper_process, "_ANSWER_TIMEOUT_S", 0.1)
    with pytest.raises(SaveFailed, match=r"gave no answer for 0.1 s, as if it was stopped"):
        trainer.begin("one", 1, arrays_of(1))
    monkeypatch.undo()
    assert isinstance(trainer.save("two", 2, arrays_of(2)), Durable)
