"""Loops over steps and epochs: when they save, how they are stopped, and where they go on."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
from subprocess import PIPE

import numpy as np
import pytest
from gang import Gang

import headway as hw
from headway.checkpoint import boundaries
from headway.checkpoint.boundaries import Boundaries, Due, noting_sigterm
from headway.checkpoint.process.ranks import Alone
from headway.errors import CheckpointMismatch, Interrupted, UsageError


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def saved(root):
    return sorted(each.step for each in hw.Checkpoints(root).manifests())


def test_a_save_is_due_by_number_by_time_and_at_the_end():
    clock, due = Clock(), []
    steps = Boundaries(Alone(), every=10, every_s=5.0, total=25, stopping=lambda: False, clock=clock)
    for done in range(1, 26):
        clock.now += 1
        if steps.after(done).save:
            due.append(done)
    assert due == [5, 10, 15, 20, 25]
    by_time = Boundaries(Alone(), every=None, every_s=7.0, total=20, stopping=lambda: False, clock=clock)
    due = []
    for done in range(1, 21):
        clock.now += 2
        if by_time.after(done).save:
            due.append(done)
    assert due == [4, 8, 12, 16, 20]


def test_who_is_told_to_stop_saves_first_and_a_training_that_is_done_is_not_stopped():
    told = []
    steps = Boundaries(Alone(), every=10, every_s=None, total=5, stopping=lambda: bool(told))
    assert steps.after(1) == Due()
    told.append(1)
    assert steps.after(2) == Due(save=True, stop=True)
    assert steps.after(5) == Due(save=True, stop=False)
    steps = Boundaries(Alone(), every=10, every_s=None, total=25, stopping=lambda: True)
    assert [steps.after(done) for done in (8, 9, 10)] == [Due(save=True, stop=True), Due(), Due(save=True)]  # told once


@pytest.mark.parametrize("told", [0, 2])
def test_all_ranks_stop_and_save_at_the_same_step_whoever_is_told_and_ask_seldom(told):
    clocks = [Clock() for _ in range(3)]
    asked = [0] * 3

    def train(member):
        clock, stop = clocks[member.rank], []
        exchange = member.exchange

        class Counting:
            rank, size = member.rank, member.size

            def exchange(self, data):
                asked[member.rank] += 1
                return exchange(data)

        due = []
        steps = Boundaries(Counting(), every=None, every_s=3.0, total=10_000, stopping=lambda: bool(stop), clock=clock)
        for done in range(1, 10_001):
            clock.now += 0.01 * (1 + member.rank)  # clocks that don't agree
            if done == 901 and member.rank == told:
                stop.append(1)
            now = steps.after(done)
            if now.save:
                due.append(done)
            if now.stop:
                return due
        return due

    first, *others = Gang(3).run(train)
    assert all(other == first for other in others)
    assert 901 <= first[-1] <= 1001
    assert len(first) in (3, 4)  # as late as a quarter of the time
    assert max(asked) < 25


def test_fast_steps_at_the_beginning_put_off_looking_only_for_a_while():
    told, clock = [], Clock()

    def train(member):
        steps = Boundaries(member, every=None, every_s=None, total=10_000, stopping=lambda: bool(told), clock=clock)
        for done in range(1, 10_000):
            clock.now += 1e-6 if done < 1000 else 1.0
            if done == 1000:
                told.append(1)
            if steps.after(done).stop:
                return done
        return None

    stopped = Gang(2).run(train)
    assert stopped[0] == stopped[1] <= 1100


def test_a_loop_saves_by_time(tmp_path):
    state = {"w": np.zeros(3)}
    with hw.Checkpoints(tmp_path, buffers=20) as ck:
        assert list(ck.steps(state, total=3, every_s=1000.0)) == [0, 1, 2]
        assert saved(tmp_path) == [3]
        assert list(ck.steps(state, total=6, every_s=1e-9)) == [3, 4, 5]
    assert saved(tmp_path) == [3, 4, 5, 6]
    for wrong in ({}, {"every_s": 0}, {"every_s": float("inf")}, {"every_s": -1}):
        with pytest.raises(UsageError, match=r"when to save|give a number of seconds"):
            next(hw.Checkpoints(tmp_path).steps(state, total=20, **wrong))


PROGRAM = """
import sys, time
import numpy as np
import headway as hw

state = {"w": np.zeros(3)}
with hw.Checkpoints(sys.argv[1]) as ck:
    for step in ck.steps(state, total=1000, every=500):
        state["w"] += 1
        if step == 7:
            print("under way", flush=True)
            sys.stdin.readline()
        print(step)
print("not reached")
"""


def end_under_way(program, root, *, before_going_on=lambda: None):
    """Start a program, send it SIGTERM in the middle of step 7; how it ended."""
    command = [sys.executable, "-W", "ignore", "-c", program, root]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True) as process:
        while process.stdout.readline() not in ("under way\n", ""):
            pass
        process.send_signal(signal.SIGTERM)
        before_going_on()
        out, err = process.communicate("go on\n", timeout=100)
    return process.returncode, out.splitlines(), err


def test_sigterm_saves_the_step_that_is_under_way_and_ends_the_process_by_the_signal(tmp_path):
    code, out, err = end_under_way(PROGRAM, tmp_path)
    (step,) = saved(tmp_path)
    assert (code, out[-1]) == (-signal.SIGTERM, str(step - 1))  # nothing that was printed is lost
    assert err == f"headway: told to end (SIGTERM); step {step} is saved: {tmp_path}\n"
    state = {"w": np.zeros(3)}
    assert hw.Checkpoints(tmp_path).load(into=state).step == step >= 8
    assert (state["w"] == step).all()


def test_a_save_that_fails_at_sigterm_is_told_before_the_process_ends(tmp_path):
    code, _, err = end_under_way(PROGRAM, tmp_path, before_going_on=lambda: shutil.rmtree(tmp_path / "steps", ignore_errors=True))
    assert (code, len(saved(tmp_path))) == (-signal.SIGTERM, 1)
    code, _, err = end_under_way(PROGRAM.replace("sys.stdin", "state.update(w=open); sys.stdin"), tmp_path / "other")
    assert code == -signal.SIGTERM
    assert "the step that was under way is not saved" in err
    assert "Error: " in err


IN_RUN = """
import sys, time
import numpy as np
import headway as hw

def hear(event):
    if isinstance(event, hw.events.CheckpointSaved):
        print("saved", flush=True)

@hw.task(pool={pool!r})
def train() -> int:
    state = {{"w": np.zeros(3)}}
    for step in hw.checkpoints(on_event=hear).steps(state, total=100_000, every=100_000):
        state["w"] += 1
        if step == 7:
            print("under way", flush=True)
        if step >= 7:
            time.sleep(0.01)
    return step

if __name__ == "__main__":
    hw.run(train, store=sys.argv[1])
"""


@pytest.mark.parametrize("pool", ["thread", "blocked loop", pytest.param("process", marks=pytest.mark.long)])
def test_a_loop_in_a_run_that_is_told_to_end_saves_and_is_not_taken_for_ended(tmp_path, pool):
    program = tmp_path / "program.py"
    text = IN_RUN.format(pool=pool)
    program.write_text(text.replace("pool='blocked loop')\n", ")\nasync "))
    command = [sys.executable, program, tmp_path / "store"]
    with subprocess.Popen(command, stdout=PIPE, stderr=PIPE, text=True) as process:
        assert process.stdout.readline() == "under way\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "saved\n"
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=100)
    assert process.returncode != 0
    assert "has blocked the event loop" in err if pool == "blocked loop" else "Interrupted: run" in err
    (call,) = (tmp_path / "store" / "checkpoints").glob("*/*")
    (step,) = saved(call)
    assert step >= 8


def test_a_programs_own_handler_stays(tmp_path):
    seen = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        with noting_sigterm("root") as told:
            signal.raise_signal(signal.SIGTERM)
        assert (seen, told.came) == ([signal.SIGTERM], False)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_second_signal_counts_if_it_is_no_echo_of_the_first():
    program = """
import signal
from headway.checkpoint import boundaries

boundaries.AGAIN_S = {again_s}
with boundaries.noting_sigterm("root"):
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    print("went on", flush=True)
"""
    for again_s, out in ((5.0, "went on\n"), (-1.0, "")):
        command = [sys.executable, "-c", program.format(again_s=again_s)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100)
        assert (done.returncode, done.stdout) == (-signal.SIGTERM, out)


def test_ranks_that_got_no_signal_end_with_an_exception_when_another_did(tmp_path, monkeypatch):
    def train(member):
        for step in hw.Checkpoints(tmp_path, ranks=member).steps({"w": np.zeros(3)}, total=1000, every=500):
            if step == 5 and member.rank == 1:
                ended.add(threading.get_ident())

    ended: set[int] = set()
    monkeypatch.setattr(boundaries, "LOOK_S", 0.0)
    monkeypatch.setattr(boundaries.Sigterm, "came", property(lambda told: threading.get_ident() in ended))
    errors = Gang(2).run(train)
    assert saved(tmp_path) == [6]
    assert [type(error) for error in errors] == [Interrupted, Interrupted]
    assert "another rank was told to end (SIGTERM); step 6 is saved" in str(errors[0])


def test_the_handler_is_gone_when_the_loop_is_left(tmp_path):
    state = {"w": np.zeros(3)}
    with hw.Checkpoints(tmp_path) as ck:
        for _ in ck.steps(state, total=3, every=1):
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
            break
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


FORKING = """
import os, signal, sys
import numpy as np
import headway as hw

def forked():
    ready, told = os.pipe()
    child = os.fork()
    if not child:
        os.write(told, b"x")
        signal.pause()
        os._exit(7)
    os.read(ready, 1)
    os.kill(child, signal.SIGTERM)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

with hw.Checkpoints(sys.argv[1]) as ck:
    for step in ck.steps({"w": np.zeros(3)}, total=1, every=1):
        print(forked())
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
"""


def test_a_fork_inside_of_the_loop_ends_by_sigterm(tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", FORKING, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert (done.stdout, done.returncode) == (f"{-signal.SIGTERM}\n", 0), done.stderr
    assert saved(tmp_path) == [1]


def test_close_takes_the_handler_back_from_a_loop_whose_generator_somebody_still_holds(tmp_path):
    ck = hw.Checkpoints(tmp_path)
    held = ck.steps({"w": np.zeros(3)}, total=30, every=10)
    next(held)
    assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ck.close()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    held.close()


LOOPS = """
import signal, sys
import numpy as np
import headway as hw

first, other = hw.Checkpoints(sys.argv[1] + "/first"), hw.Checkpoints(sys.argv[1] + "/other")

def inner(told_at):
    for step in other.steps({"v": np.zeros(3)}, total=40, every=40):
        if step == told_at:
            signal.raise_signal(signal.SIGTERM)

outer = first.steps({"w": np.zeros(3)}, total=3, every=1)
"""


@pytest.mark.parametrize(
    ("loops", "in_first", "in_other", "last"),
    [
        ("next(outer); signal.raise_signal(signal.SIGTERM); first.close()", [], [], "step that was under way is not saved"),
        ("next(outer); inner(3)", [], [4], "step that was under way is not saved"),  # the outer one was left, and is held
        ("for step in outer: step and inner(3)", [1], [4], "step that was under way is not saved"),
        ("for step in outer: inner(39)", [1], [40], "step 1 is saved"),
    ],
)
def test_sigterm_ends_a_program_with_several_loops(tmp_path, loops, in_first, in_other, last):
    for name in ("first", "other"):
        (tmp_path / name).mkdir()
    command = [sys.executable, "-W", "ignore", "-c", f"{LOOPS}\n{loops}\nprint('not reached')", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert (done.stdout, done.returncode) == ("", -signal.SIGTERM), done.stderr
    assert (saved(tmp_path / "first"), saved(tmp_path / "other")) == (in_first, in_other)
    assert last in done.stderr.splitlines()[-1]


def test_epochs_go_on_in_the_middle_of_one(tmp_path):
    state, seen = {"w": np.zeros(3)}, []
    with hw.Checkpoints(tmp_path, buffers=20) as ck:
        for epoch, batch in ck.epochs(state, epochs=3, batches=4, every=1):
            if (epoch, batch) == (1, 2):
                break
            seen.append((epoch, batch))
        ck.wait()
        assert list(ck.epochs(state, epochs=3, batches=4, every=5))[:2] == [(1, 2), (1, 3)]
    assert seen == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1)]
    assert saved(tmp_path)[-1] == 12
    with pytest.raises(CheckpointMismatch, match=r"an epoch had 4 batches when step 12 was saved, and has 5 now"):
        next(hw.Checkpoints(tmp_path).epochs(state, epochs=3, batches=5, every=1))
    with hw.Checkpoints(tmp_path / "other") as ck:
        ck.save(state, 0).durable()
        assert len(list(ck.epochs(state, epochs=1, batches=2, every=1))) == 2
        with pytest.raises(CheckpointMismatch, match="had 2 batches when step 2"):
            next(ck.epochs(state, epochs=2, batches=3, every=1))
    with pytest.raises(UsageError, match="1 or more batches"):
        next(hw.Checkpoints(tmp_path).epochs(state, epochs=3, batches=0, every=1))
