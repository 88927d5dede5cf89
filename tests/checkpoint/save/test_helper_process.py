"""Saving through the helper process: what becomes of a save, whoever dies and whatever fails on the way."""

from __future__ import annotations

import errno
import os
import resource
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hand_saved import PATIENCE_S, Trainer, arrays_of, assert_holds, files_of, newest_of, read_back

import headway
from headway.checkpoint.catalog.leases import SAVING, find_live
from headway.checkpoint.catalog.listing import manifests, newest
from headway.checkpoint.files.manifest import HEAD, Head, Segment, seal
from headway.checkpoint.files.stored import read_segment
from headway.checkpoint.helper.commit_all_ranks import Lineage
from headway.checkpoint.helper.messages import Durable, Failed
from headway.checkpoint.helper.shared_buffer import SharedBuffer
from headway.checkpoint.layout.boxes import Box
from headway.errors import CheckpointConflict, SaveFailed, StoreFull
from headway.storage.opening import open_backend

# --- a save that works -----------------------------------------------------------------------------------------------


def test_a_save_becomes_the_newest_checkpoint(trainer: Trainer) -> None:
    end = trainer.save("one", 10, arrays_of(1))
    assert isinstance(end, Durable), end
    assert end.serial == 1
    assert_holds(trainer.root, "one", arrays_of(1))
    assert newest_of(trainer.root).step == 10
    folder = "steps/000000000010-one"
    assert files_of(trainer.root) == ["HEAD", f"{folder}/00000.json", f"{folder}/00000.safetensors", f"{folder}/manifest.json"]


def test_its_data_file_is_one_of_safetensors(trainer: Trainer) -> None:
    trainer.save("one", 10, arrays_of(1))
    read = safetensors.numpy.load_file(trainer.root / "steps/000000000010-one/00000.safetensors")
    assert all(np.array_equal(read[name], array) for name, array in arrays_of(1).items())


def test_saves_follow_each_other(trainer: Trainer) -> None:
    for n in (1, 2, 3):
        end = trainer.save(f"id{n}", n, arrays_of(n))
        assert isinstance(end, Durable), end
        assert (end.serial, end.parent) == (n, f"id{n - 1}" if n > 1 else "")
        assert_holds(trainer.root, f"id{n}", arrays_of(n))


def test_the_segment_says_what_was_done_when(trainer: Trainer) -> None:
    trainer.save("one", 10, arrays_of(1))
    segment = read_segment(open_backend(trainer.root), newest_of(trainer.root).segments[0])
    assert {phase.name for phase in segment.phases} >= {"copy", "hash", "write"}


def test_a_lone_save_after_the_other_uses_one_buffer(trainer: Trainer) -> None:
    pids = set()
    for n in (1, 2, 3):
        trainer.save(f"id{n}", n, arrays_of(n))
        pids.add(trainer.client.pid)
    helper = trainer.client._helper
    assert helper is not None
    assert len(pids) == len(helper._buffers) == 1


def test_a_state_that_has_grown_fits_into_the_buffer_that_grows(trainer: Trainer) -> None:
    trainer.save("small", 1, {"a": np.arange(10)})
    large = {"a": np.random.default_rng(0).standard_normal(1 << 19)}
    trainer.save("large", 2, large)
    assert_holds(trainer.root, "large", large)
    trainer.save("small-again", 3, {"a": np.arange(10)})
    assert_holds(trainer.root, "small-again", {"a": np.arange(10)})
    assert trainer.client._helper is not None
    assert len(trainer.client._helper._buffers) == 1


def test_memory_can_be_prepared_before_the_first_save(trainer: Trainer) -> None:
    trainer.client.prepare(8 << 20)
    trainer.save("one", 1, arrays_of(1))
    assert_holds(trainer.root, "one", arrays_of(1))


def test_a_state_without_tensors_can_be_saved(trainer: Trainer) -> None:
    assert isinstance(trainer.save("one", 1, {}), Durable)
    assert newest_of(trainer.root).coverage.objects == 0


# --- several on the way ----------------------------------------------------------------------------------------------


def test_two_saves_can_be_on_the_way_and_a_third_is_refused(trainer: Trainer) -> None:
    first, second = (
        trainer.begin("one", 1, arrays_of(1)),
        trainer.begin("two", 2, arrays_of(2), basis=Head("one", 1, 1), parent="one"),
    )
    assert trainer.begin("three", 3, arrays_of(3)) is None
    assert first is not None
    assert second is not None
    assert trainer.client.in_flight() == ["one", "two"]
    second[1].start()
    second[1].wait()
    first[1].start()
    first[1].wait()
    ends = [trainer.end_of(each) for each in ("one", "two")]
    assert [(end.id, end.serial, end.parent) for end in ends if isinstance(end, Durable)] == [("one", 1, ""), ("two", 2, "one")]
    assert_holds(trainer.root, "two", arrays_of(2))


def test_a_buffer_is_not_given_away_while_an_earlier_save_of_it_is_only_being_committed(started: Any, tmp_path: Path) -> None:
    trainer: Trainer = started(tmp_path)
    waiting = trainer.begin("one", 1, arrays_of(1), writers=("00000", "00001"))  # the other writer will come late
    assert waiting is not None
    waiting[1].start()
    waiting[1].wait()
    assert trainer.heard.get(timeout=PATIENCE_S).id == "one"  # Written: its buffer is free
    second = trainer.begin("two", 2, arrays_of(2))
    third = trainer.begin("three", 3, arrays_of(3))
    assert second is not None
    assert third is not None
    assert second[0].image.obj is not third[0].image.obj
    other: Trainer = started(tmp_path)
    assert trainer.begin("four", 4, arrays_of(4)) is None
    other_end = other.save("one", 1, arrays_of(1), boxes={}, writer="00001", writers=("00000", "00001"))
    assert isinstance(other_end, Durable)
    assert isinstance(trainer.end_of("one"), Durable)
    assert trainer.begin("four", 4, arrays_of(4)) is None  # the end of "one" has freed nothing again
    second[0].abandon("enough")
    third[0].abandon("enough")


def test_a_save_whose_basis_fails_follows_what_that_one_followed(trainer: Trainer) -> None:
    trainer.save("zero", 0, arrays_of(0))
    first = trainer.begin("one", 1, arrays_of(1))
    second = trainer.begin("two", 2, arrays_of(2), basis=Head("one", 1, 2), parent="one")
    assert first is not None
    assert second is not None
    first[0].abandon("model.w was changed while it was being copied")
    second[1].start()
    second[1].wait()
    failed, durable = trainer.end_of("one"), trainer.end_of("two")
    assert isinstance(failed, Failed)
    assert "model.w was changed" in str(failed.error())
    assert isinstance(durable, Durable), durable
    assert (durable.serial, durable.parent) == (2, "zero")


def test_an_abandoned_save_leaves_nothing_behind(trainer: Trainer) -> None:
    begun = trainer.begin("one", 1, arrays_of(1))
    assert begun is not None
    begun[0].progress(begun[0].image.nbytes)
    begun[0].abandon("no longer wanted")
    end = trainer.end_of("one")
    assert isinstance(end, Failed)
    assert "no longer wanted" in end.message
    assert files_of(trainer.root) == []


def test_a_save_in_flight_is_marked_for_the_collector(trainer: Trainer) -> None:
    begun = trainer.begin("one", 1, arrays_of(1))
    assert begun is not None
    begun[0].progress(begun[0].image.nbytes)
    while not list(trainer.root.glob("steps/*/.*")):
        threading.Event().wait(0.005)  # until the helper has begun its file
    assert [lease.id for lease in find_live(open_backend(trainer.root), SAVING, 0.0)] == ["one"]
    begun[1].start()
    begun[1].wait()
    trainer.end_of("one")
    assert not find_live(open_backend(trainer.root), SAVING, 0.0)


# --- several writers -------------------------------------------------------------------------------------------------

HALVES = {"00000": {"w": Box((0, 0), (2, 3))}, "00001": {"w": Box((2, 0), (2, 3))}}


def test_a_checkpoint_of_two_writers_exists_when_both_are_done(tmp_path: Path, started: Callable[..., Trainer]) -> None:
    arrays = {"w": np.arange(12, dtype=np.float32).reshape(4, 3)}
    trainers = {writer: started(tmp_path) for writer in HALVES}
    begun = {}
    for writer, each in trainers.items():
        begun[writer] = each.begin("one", 1, arrays, boxes=HALVES[writer], writer=writer, writers=tuple(HALVES))
    for each in begun.values():
        assert each is not None
        assert newest(open_backend(tmp_path)).manifest is None
        each[1].start()
        each[1].wait()
    assert all(isinstance(each.end_of("one"), Durable) for each in trainers.values())
    assert_holds(tmp_path, "one", arrays)


def test_a_writer_that_does_not_come_is_named(tmp_path: Path, started: Callable[..., Trainer]) -> None:
    arrays = {"w": np.arange(12, dtype=np.float32).reshape(4, 3)}
    trainer = started(tmp_path, deadline_s=0.05)
    end = trainer.save("one", 1, arrays, boxes=HALVES["00000"], writers=("00000", "00001", "00002"))
    assert isinstance(end, Failed)
    assert "2 of 3 writers had not finished theirs: 00001, 00002" in end.message
    assert files_of(tmp_path) == []


def test_a_coordinator_that_does_not_commit_is_noticed_by_the_others(tmp_path: Path, started: Callable[..., Trainer]) -> None:
    trainer = started(tmp_path, deadline_s=0.05)
    arrays = {"w": np.arange(12, dtype=np.float32).reshape(4, 3)}
    end = trainer.save("one", 1, arrays, boxes=HALVES["00001"], writer="00001", writers=tuple(HALVES))
    assert isinstance(end, Failed)
    assert "there was no manifest within 0.05 s" in end.message


def test_waiting_for_other_writers_can_be_given_up(trainer: Trainer) -> None:
    begun = trainer.begin("one", 1, arrays_of(1), writers=("00000", "00001"))
    assert begun is not None
    begun[1].start()
    begun[1].wait()
    assert trainer.heard.get(timeout=PATIENCE_S).id == "one"  # written
    assert [lease.id for lease in find_live(open_backend(trainer.root), SAVING, 0.0)] == ["one"]
    begun[0].abandon("rank 1 reports a full disk")
    end = trainer.end_of("one")
    assert isinstance(end, Failed)
    assert "rank 1 reports a full disk" in end.message
    assert files_of(trainer.root) == []


def test_a_hole_is_no_checkpoint(trainer: Trainer) -> None:
    arrays = {"w": np.arange(12, dtype=np.float32).reshape(4, 3)}
    end = trainer.save("one", 1, arrays, boxes=HALVES["00000"])
    assert isinstance(end, Failed)
    assert "w: nobody wrote [2:4, 0:3]" in end.message
    assert files_of(trainer.root) == []


def test_a_segment_that_does_not_verify_is_no_part_of_a_checkpoint(trainer: Trainer) -> None:
    begun = trainer.begin("one", 1, arrays_of(1), writers=("00000", "00001"))
    assert begun is not None
    sealed = seal(Segment("x.safetensors", 0, 0, "", (), "00001"))
    open_backend(trainer.root).put("steps/000000000001-one/00001.json", sealed.replace(b"00001", b"00002"))
    begun[1].start()
    begun[1].wait()
    end = trainer.end_of("one")
    assert isinstance(end, Failed)
    assert "steps/000000000001-one/00001.json" in end.message
    assert newest(open_backend(trainer.root)).manifest is None


# --- others in the same root -----------------------------------------------------------------------------------------


def test_another_trainer_in_the_root_is_a_conflict_and_the_checkpoint_stays(
    tmp_path: Path, started: Callable[..., Trainer]
) -> None:
    ours, theirs = started(tmp_path), started(tmp_path)
    ours.save("ours1", 1, arrays_of(1))
    theirs.basis = ours.basis
    theirs.save("theirs", 2, arrays_of(2))
    end = ours.save("ours2", 3, arrays_of(3))
    assert isinstance(end, Failed)
    assert isinstance(end.error(), CheckpointConflict)
    assert "is step 2 (theirs), where step 3 expected step 1 (ours1)" in end.message
    assert_holds(tmp_path, "theirs", arrays_of(2))
    kept = {manifest.id: manifest for manifest in manifests(open_backend(tmp_path)).checkpoints}
    assert kept.keys() == {"ours1", "theirs", "ours2"}
    assert read_back(tmp_path, kept["ours2"])["a.w"].tobytes() == arrays_of(3)["a.w"].tobytes()


def test_a_save_that_was_reported_as_failed_but_moved_head_is_followed(trainer: Trainer, tmp_path: Path) -> None:
    lineage, first = Lineage(), trainer.plan("one", 1, {}, basis=Head("zero", 0, 1), parent="zero")[0].commit
    second = trainer.plan("two", 2, {}, basis=Head("one", 1, 2), parent="one")[0].commit
    assert first is not None
    assert second is not None
    lineage.drop("one", first)
    assert (lineage.basis(second, Head("zero", 0, 1)), lineage.parent(second, Head("zero", 0, 1))) == (Head("zero", 0, 1), "zero")
    assert (lineage.basis(second, Head("one", 1, 2)), lineage.parent(second, Head("one", 1, 2))) == (Head("one", 1, 2), "one")


def test_a_damaged_head_is_replaced_by_the_next_save(trainer: Trainer) -> None:
    trainer.save("one", 1, arrays_of(1))
    (trainer.root / HEAD).write_bytes(b"\0" * 40)
    assert isinstance(trainer.save("two", 2, arrays_of(2)), Durable)
    assert_holds(trainer.root, "two", arrays_of(2))


def test_behind_a_damaged_head_a_stranger_is_still_found(tmp_path: Path, started: Callable[..., Trainer]) -> None:
    ours, theirs = started(tmp_path), started(tmp_path)
    ours.save("ours1", 1, arrays_of(1))
    theirs.basis = ours.basis
    for n in (2, 3):
        theirs.save(f"theirs{n}", n, arrays_of(n))
    (tmp_path / HEAD).write_bytes(b"\0" * 40)
    end = ours.save("ours2", 4, arrays_of(4))
    assert isinstance(end, Failed)
    assert isinstance(end.error(), CheckpointConflict)
    assert newest_of(tmp_path).id == "theirs3"


def test_a_number_that_json_lacks_does_not_make_an_unreadable_checkpoint(trainer: Trainer) -> None:
    end = trainer.save("one", 1, arrays_of(1), metrics={"loss": float("nan")})
    assert isinstance(end, Failed)
    assert newest(open_backend(trainer.root)).manifest is None


# --- what fails ------------------------------------------------------------------------------------------------------


def test_a_full_disk_fails_the_save_and_the_next_one_works(trainer: Trainer) -> None:
    trainer.save("one", 1, arrays_of(1))
    pid = trainer.client.pid
    assert pid is not None
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
    end = trainer.save("two", 2, arrays_of(2))
    assert isinstance(end, Failed)
    assert isinstance(end.error(), StoreFull)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert_holds(trainer.root, "one", arrays_of(1))
    assert not [file for file in files_of(trainer.root) if "two" in file]
    assert isinstance(trainer.save("three", 3, arrays_of(3)), Durable)
    assert trainer.client.pid == pid


def test_a_root_that_cannot_be_written_is_named(tmp_path: Path, started: Callable[..., Trainer]) -> None:
    (tmp_path / "file").write_text("no folder")
    end = started(tmp_path / "file" / "root").save("one", 1, arrays_of(1))
    assert isinstance(end, Failed)
    assert str(tmp_path / "file") in end.message


def test_a_buffer_is_not_given_away_while_a_failed_save_is_still_being_copied_to_it(trainer: Trainer, tmp_path: Path) -> None:
    trainer.save("one", 1, arrays_of(1))
    failing = trainer.begin("one", 1, arrays_of(1))  # it is there already
    assert failing is not None
    assert isinstance(trainer.end_of("one"), Failed)
    second = trainer.begin("two", 2, arrays_of(2))
    assert second is not None
    for begun in (failing, second):
        begun[1].start()
        begun[1].wait()
    assert isinstance(trainer.end_of("two"), Durable)
    assert second[0].image.obj is not failing[0].image.obj
    third = trainer.begin("three", 3, arrays_of(3))
    assert third is not None
    third[0].abandon("enough")


def test_a_save_that_was_there_before_is_not_overwritten(trainer: Trainer) -> None:
    trainer.save("one", 1, arrays_of(1))
    end = trainer.save("one", 1, arrays_of(2))
    assert isinstance(end, Failed)
    assert_holds(trainer.root, "one", arrays_of(1))


def test_a_copy_that_has_no_room_in_memory_is_refused_with_numbers(trainer: Trainer) -> None:
    with pytest.raises(SaveFailed, match="needs 1,125,899,906,842,624 more bytes of memory"):
        trainer.client.prepare(1 << 50)
    assert isinstance(trainer.save("one", 1, arrays_of(1)), Durable)


def test_a_limit_of_the_process_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int, size: int) -> None:
        raise OSError(errno.EFBIG, "File too large")

    buffer = SharedBuffer.fresh(0)
    monkeypatch.setattr(os, "ftruncate", refuse)
    with pytest.raises(SaveFailed, match=r"a copy of 1,000 bytes of state found no memory \(.*File too large\).*ulimit"):
        buffer.grow(1000)
    buffer.close()


def test_memory_that_was_refused_costs_no_buffer(trainer: Trainer) -> None:
    trainer.save("one", 1, arrays_of(1))
    with pytest.raises(SaveFailed, match="more bytes of memory"):
        trainer.client.prepare(1 << 50)
    begun = [trainer.begin(id, 2, arrays_of(2)) for id in ("two", "three")]
    assert None not in begun
    for each in begun:
        assert each is not None
        each[0].abandon("enough")


def test_a_helper_that_cannot_start_says_why(trainer: Trainer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(SaveFailed, match=r"no helper process could be started: .*nowhere"):
        trainer.client.prepare(100)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(SaveFailed, match=r"helper process [0-9]+, which writes checkpoints, ended with status 1"):
        trainer.client.prepare(100)
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no module named numpy >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(SaveFailed, match=r"which writes checkpoints, ended with status 3: no module named numpy"):
        trainer.client.prepare(100)
    monkeypatch.undo()
    assert isinstance(trainer.save("one", 1, arrays_of(1)), Durable)


def test_the_helper_is_in_a_session_of_its_own_and_runs_the_package_that_runs_here(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the terminal is for the trainer, whose helper writes on."""
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    trainer.client.prepare(100)
    assert trainer.client.pid is not None
    assert os.getsid(trainer.client.pid) == trainer.client.pid
    said = Path(f"/proc/{trainer.client.pid}/environ").read_bytes().split(b"\0")
    (path,) = (each.removeprefix(b"PYTHONPATH=").decode() for each in said if each.startswith(b"PYTHONPATH="))
    assert path.split(os.pathsep) == [str(Path(headway.__file__).parent.parent), "/nowhere"]


def test_a_listener_that_raises_does_not_end_the_saving(trainer: Trainer, caplog: pytest.LogCaptureFixture) -> None:
    def listen(event: object) -> None:
        trainer.heard.put(event)  # type: ignore[arg-type]
        raise ValueError("listener")

    trainer.client._on_event = listen
    trainer.save("one", 1, arrays_of(1))
    assert isinstance(trainer.save("two", 2, arrays_of(2)), Durable)
    assert "ValueError: listener" in caplog.text


# --- its end -----------------------------------------------------------------------------------------------------------


def test_closing_waits_for_what_is_on_the_way(tmp_path: Path) -> None:
    trainer = Trainer(tmp_path)
    begun = trainer.begin("one", 1, arrays_of(1))
    assert begun is not None
    begun[1].start()
    assert trainer.client.close() == []
    assert_holds(tmp_path, "one", arrays_of(1))
    assert trainer.client.close() == []
    assert isinstance(trainer.save("two", 2, arrays_of(2), basis=Head("one", 1, 1)), Durable)  # it can be used again
    trainer.client.close()


def test_closing_says_what_it_did_not_wait_for(tmp_path: Path) -> None:
    trainer = Trainer(tmp_path)
    begun = trainer.begin("one", 1, arrays_of(1))
    assert begun is not None
    assert trainer.client.close(0) == ["one"]
    helper = begun[0].helper.pid
    begun[0].abandon("enough")
    begun[0].helper._process.wait(PATIENCE_S)
    assert helper
    assert files_of(tmp_path) == []


def test_head_is_what_the_format_says(trainer: Trainer) -> None:
    trainer.save("one", 1, arrays_of(1))
    assert (trainer.root / HEAD).read_bytes() == seal(Head("one", 1, 1))
