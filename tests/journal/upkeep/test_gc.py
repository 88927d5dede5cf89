"""Garbage is what no record names and nobody may be about to name; everything else stays."""

import os
from pathlib import Path

import msgspec
import pytest

from headway.errors import RunOwned, StoreDamaged, UnknownRun
from headway.journal.owner import this_process
from headway.journal.records import Kind, Lease, Outcome, Row, RunSpec, RunStatus
from headway.journal.shared.claims import Wish
from headway.journal.sqlite.store import SqliteStore
from headway.journal.upkeep.doctor import examine
from headway.journal.upkeep.gc import gc
from headway.storage.blobs import hash_blob

LATER = 4e9  # long after the files of a test were written


@pytest.fixture
def store(tmp_path: Path):
    with SqliteStore(tmp_path / "store") as opened:
        yield opened


def put(store: SqliteStore, data: bytes) -> bytes:
    store.put_blob(hash_blob(data), data)
    return hash_blob(data)


def outcome(key: int, *blobs: bytes) -> Row:
    body = Outcome(task="t", label="", status=0, started=1.0, ended=2.0, blobs=blobs)
    return Row(Kind.OUTCOME, key.to_bytes(16, "big"), bytes(16), msgspec.msgpack.encode(body))


def drive(store: SqliteStore, run_id: str, *rows: Row, blobs: tuple[bytes, ...] = ()) -> Lease:
    store.create_run(RunSpec(run_id=run_id, task="t", blobs=blobs))
    lease = store.acquire(run_id, "somebody", 1e12, 0.0)
    store.commit(lease, 1, rows, 1.0)
    return lease


def left(store: SqliteStore) -> set[bytes]:
    return {bytes.fromhex(file.parent.name + file.name) for file in store.blobs.root.glob("??/*")}


def test_only_blobs_that_no_record_names_are_removed(store):
    argument, result, shared, cached, kept, spare = (put(store, name) for name in (b"a", b"r", b"s", b"c", b"k", b"spare"))
    lease = drive(store, "sky", outcome(1, result, shared), blobs=(argument,))
    drive(store, "sea", outcome(2, shared))
    store.commit(lease, 2, [], 2.0, cache=[(b"k" * 16, outcome(3, cached))])
    done = gc(store, now=LATER, keep=[kept])
    assert left(store) == {argument, result, shared, cached, kept}
    assert (done.blobs, done.blob_bytes) == (1, len(b"spare"))
    assert spare not in left(store)


def test_a_young_blob_stays_because_a_run_may_be_about_to_name_it(store):
    young = put(store, b"young")
    written = store.blobs.path(young).stat().st_mtime
    done = gc(store, now=written + 3599)
    assert (left(store), done.blobs, done.kept_young) == ({young}, 0, 1)
    assert gc(store, now=written + 3601).blobs == 1
    assert left(store) == set()


def test_a_blob_that_is_written_again_is_young_again(store):
    digest = put(store, b"again")
    os.utime(store.blobs.path(digest), (1.0, 1.0))
    put(store, b"again")
    now = store.blobs.path(digest).stat().st_mtime
    assert now > 1e9
    assert gc(store, now=now + 1).blobs == 0


def test_a_blob_that_is_written_again_during_a_collection_stays(store):
    digest = put(store, b"again")
    os.utime(store.blobs.path(digest), (1.0, 1.0))

    def keep_while_a_driver_writes():
        put(store, b"again")
        yield b"another"

    now = store.blobs.path(put(store, b"clock")).stat().st_mtime + 1
    assert gc(store, now=now, keep=keep_while_a_driver_writes()).blobs == 0
    assert digest in left(store)


def test_a_dry_run_counts_and_removes_nothing(store):
    result = put(store, b"result")
    store.release(drive(store, "sky", outcome(1, result)), RunStatus.DONE, 2.0)
    temporary = store.blobs.path(result).parent / ".tmp-1-abc"
    temporary.write_bytes(b"half")
    done = gc(store, now=LATER, dry_run=True, delete_runs=["sky"])
    assert (done.runs, done.rows, done.blobs, done.temporary_files) == (1, 1, 1, 1)
    assert store.run("sky").nrows == 1
    assert temporary.exists()
    assert bytes(store.get_blob(result)) == b"result"


def test_leftovers_of_a_crash_are_removed_when_they_are_old(store):
    folder = store.blobs.path(put(store, b"x")).parent
    old, young = folder / ".tmp-1-old", folder / ".tmp-1-young"
    for file in (old, young):
        file.write_bytes(b"half")
    os.utime(old, (1.0, 1.0))
    assert gc(store, now=young.stat().st_mtime + 1).temporary_files == 1
    assert (old.exists(), young.exists()) == (False, True)


def test_a_deleted_run_takes_its_own_blobs_and_leaves_those_of_others(store):
    own, shared = put(store, b"own"), put(store, b"shared")
    store.release(drive(store, "sky", outcome(1, own, shared)), RunStatus.DONE, 2.0)
    drive(store, "sea", outcome(2, shared))
    done = gc(store, now=LATER, delete_runs=["sky"], vacuum=True)
    assert (done.runs, done.rows, done.blobs) == (1, 1, 1)
    assert left(store) == {shared}
    with pytest.raises(UnknownRun):
        store.run("sky")


def test_a_live_run_is_not_deleted_and_nothing_else_is_either(store):
    spare = put(store, b"spare")
    drive(store, "sky")
    store.create_run(RunSpec(run_id="sea", task="t"))
    with pytest.raises(RunOwned):
        gc(store, now=LATER, delete_runs=["sea", "sky"])
    assert left(store) == {spare}
    assert len(store.runs()) == 2


@pytest.mark.parametrize("back_s", [3600.0, 365 * 86_400.0])
def test_files_from_before_the_clock_was_set_back_are_kept_for_the_grace_period_only(store, back_s):
    blob = store.blobs.path(put(store, b"spare"))
    temporary = blob.parent / ".tmp-1-abc"
    temporary.write_bytes(b"half")
    now = blob.stat().st_mtime - back_s
    assert gc(store, now=now, dry_run=True).kept_young == 1
    assert gc(store, now=now).kept_young == 1
    done = gc(store, now=now + 3600)
    assert (done.kept_young, done.temporary_files) == (1, 0)
    done = gc(store, now=now + 3601)
    assert (done.blobs, done.temporary_files, temporary.exists(), blob.exists()) == (1, 1, False, False)


def test_a_run_whose_driver_died_elsewhere_is_deleted_though_the_clock_was_set_back(store):
    store.create_run(RunSpec(run_id="sky", task="t"))
    store.acquire("sky", "another machine", 30.0, 1.7e9)
    with pytest.raises(RunOwned):
        gc(store, now=1.6e9, delete_runs=["sky"])
    assert gc(store, now=1.6e9 + 30, delete_runs=["sky"]).runs == 1


def test_a_store_with_a_damaged_record_keeps_every_blob(store):
    spare = put(store, b"spare")
    drive(store, "sky", outcome(1))
    with store.writing() as connection:
        connection.execute("UPDATE record SET crc=crc+1")
    with pytest.raises(StoreDamaged):
        gc(store, now=LATER)
    assert left(store) == {spare}


def test_an_outcome_that_cannot_be_understood_keeps_every_blob(store):
    spare = put(store, b"spare")
    drive(store, "sky", outcome(1)._replace(body=b"\xc1"))
    with pytest.raises(StoreDamaged, match="cannot be read"):
        gc(store, now=LATER)
    assert left(store) == {spare}


def test_claims_of_killed_drivers_are_told_of_and_removed(store):
    alive, gone = this_process(), this_process().replace("(started ", "(started 1")
    for run_id, owner, name in (("killed", gone, b"k" * 16), ("alive", alive, b"a" * 16)):
        store.create_run(RunSpec(run_id=run_id, task="t"))
        store.claim(store.acquire(run_id, owner, 30.0, 0.0), [Wish(name)], 1.0)
    told = [finding.what for finding in examine(store.folder).findings]
    assert "1 shared result was being computed by a driver that is gone" in told
    gc(store, now=2.0, dry_run=True)
    assert len(store.claims()) == 2
    gc(store, now=2.0)
    assert list(store.claims()) == [b"a" * 16]
    assert not any("shared result" in finding.what for finding in examine(store.folder).findings)
