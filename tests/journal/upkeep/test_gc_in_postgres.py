"""In a database, too, garbage is what no record names and nobody may be about to name; everything else stays."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import msgspec
import pytest

import headway as hw
from headway.errors import RunOwned, StoreDamaged, UnknownRun
from headway.journal.owner import this_process
from headway.journal.postgres import runs as postgres_runs
from headway.journal.postgres import store as postgres_store
from headway.journal.postgres.store import PostgresStore
from headway.journal.records import Kind, Lease, Outcome, Row, RunSpec, RunStatus
from headway.journal.shared.claims import Wish
from headway.journal.shared.items import Item
from headway.journal.upkeep import gc as gc_room
from headway.journal.upkeep.doctor import examine
from headway.journal.upkeep.gc import Collected, gc
from headway.storage.blobs import hash_blob

LATER = time.time() + 7200
LARGE = b"large" * (1 << 18)


def put(store: PostgresStore, data: bytes) -> bytes:
    store.put_blob(hash_blob(data), data)
    return hash_blob(data)


def outcome(key: int, *blobs: bytes) -> Row:
    body = Outcome(task="t", label="", status=0, started=1.0, ended=2.0, blobs=blobs)
    return Row(Kind.OUTCOME, key.to_bytes(16, "big"), bytes(16), msgspec.msgpack.encode(body))


def drive(store: PostgresStore, run_id: str, *rows: Row, blobs: tuple[bytes, ...] = ()) -> Lease:
    store.create_run(RunSpec(run_id=run_id, task="t", blobs=blobs))
    lease = store.acquire(run_id, "somebody", 1e12, 0.0)
    store.commit(lease, 1, rows, 1.0)
    return lease


def ask(store: PostgresStore, query: str, *values: object) -> list[tuple]:
    return store.reading(lambda connection: connection.execute(query, values).fetchall())


def left(store: PostgresStore) -> set[bytes]:
    return {digest for (digest,) in ask(store, "SELECT digest FROM blob")}


def objects(tmp_path: Path) -> set[bytes]:
    return {bytes.fromhex(file.parent.name + file.name) for file in (tmp_path / "large" / "blobs").glob("??/*")}


def test_only_blobs_that_no_record_names_are_removed(database):
    names = (b"a", b"r", b"s", b"c", b"k", b"i", b"spare")
    argument, result, shared, cached, kept, item, spare = (put(database, name) for name in names)
    lease = drive(database, "sky", outcome(1, result, shared), blobs=(argument,))
    drive(database, "sea", outcome(2, shared))
    database.commit(lease, 2, [], 2.0, cache=[(b"k" * 16, outcome(3, cached))])
    database.append_items("seen", [Item(b"t" * 16, blobs=(item,))])
    done = gc(database, now=LATER, keep=[kept])
    assert left(database) == {argument, result, shared, cached, kept, item}
    assert (done.blobs, done.blob_bytes, done.kept_young) == (1, len(b"spare"), 0)
    assert spare not in left(database)


def test_large_blobs_go_from_their_place_too(database, tmp_path):
    named, spare = put(database, LARGE), put(database, LARGE + b"!")
    drive(database, "sky", outcome(1, named))
    assert objects(tmp_path) == {named, spare}
    done = gc(database, now=LATER)
    assert (done.blobs, done.blob_bytes) == (1, len(LARGE) + 1)
    assert objects(tmp_path) == left(database) == {named}
    assert put(database, LARGE + b"!") in objects(tmp_path)  # and is written again where somebody needs it


def test_an_object_that_a_dead_writer_left_without_a_row_is_removed(database, tmp_path):
    named, lost = put(database, LARGE), put(database, LARGE + b"!")
    drive(database, "sky", outcome(1, named))
    with database.writing() as connection:
        connection.execute("DELETE FROM blob WHERE digest=?", (lost,))
    assert gc(database, now=time.time()).temporary_files == 0  # it may be on its way
    assert gc(database, now=LATER, dry_run=True).temporary_files == 1
    assert objects(tmp_path) == {named, lost}
    assert gc(database, now=LATER).temporary_files == 1
    assert objects(tmp_path) == left(database) == {named}


def test_a_young_blob_stays_and_one_that_was_put_again_is_young(database):
    young = put(database, b"young")
    assert gc(database, now=time.time() + 60).kept_young == 1
    with database.writing() as connection:
        connection.execute("UPDATE blob SET at=at-7200")
    put(database, b"young")
    done = gc(database, now=time.time() + 60)
    assert (done.blobs, done.kept_young, left(database)) == (0, 1, {young})


def test_a_blob_that_is_put_again_after_it_was_listed_stays(database, monkeypatch):
    spare = put(database, b"spare")
    with database.writing() as connection:
        connection.execute("UPDATE blob SET at=at-7200")
    find = gc_room._find_named_blobs

    def find_while_somebody_writes(heap, without):
        put(database, b"spare")
        return find(heap, without)

    monkeypatch.setattr(gc_room, "_find_named_blobs", find_while_somebody_writes)
    assert gc(database, now=time.time() + 60).blobs == 0
    assert left(database) == {spare}


def test_a_blob_that_is_written_while_it_is_being_removed_is_there_afterwards(database, url, tmp_path, monkeypatch):
    """A collector holds the row; a writer that comes now waits for it, finds the blob gone and writes it anew."""
    digest = put(database, LARGE)
    began, done = threading.Event(), threading.Event()
    remove = postgres_store.LargeBlobs.remove

    def put_again() -> None:
        with PostgresStore(url) as other:
            began.set()
            put(other, LARGE)
        done.set()

    def remove_while_somebody_writes(self, digests):
        threading.Thread(target=put_again, daemon=True).start()
        began.wait()
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type='Lock' AND query LIKE '%blob%'"
        while not ask(database, query)[0][0] and not done.is_set():
            pass
        remove(self, digests)

    monkeypatch.setattr(postgres_store.LargeBlobs, "remove", remove_while_somebody_writes)
    assert gc(database, now=LATER).blobs == 1
    assert done.wait(30)
    assert len(database.get_blob(digest)) == len(LARGE)


def test_a_run_goes_with_its_records_signals_and_checkpoints_and_a_live_one_does_not(database, tmp_path):
    lease = drive(database, "sky", outcome(1, put(database, b"result")), outcome(2))
    drive(database, "sea", outcome(3))
    database.send_signal("sky", "go", b"", 1.0)
    saved = Path(database.checkpoint_root("sky")) / "call" / "HEAD"
    saved.parent.mkdir(parents=True)
    saved.write_text("head")
    with pytest.raises(RunOwned):
        gc(database, now=10.0, delete_runs=["sky"])
    with pytest.raises(UnknownRun):
        gc(database, now=LATER, delete_runs=["sky", "sky-blue"])
    database.release(lease, RunStatus.DONE, 20.0)
    expected = Collected(dry_run=True, runs=1, rows=2, blobs=1, blob_bytes=6, temporary_files=0, kept_young=0)
    assert gc(database, now=LATER, delete_runs=["sky"], dry_run=True) == expected
    assert saved.exists()
    assert gc(database, now=LATER, delete_runs=["sky"], vacuum=True) == msgspec.structs.replace(expected, dry_run=False)
    assert [run.spec.run_id for run in database.runs()] == ["sea"]
    assert ask(database, "SELECT run FROM record UNION ALL SELECT run FROM signal") == [(2,)]
    assert not saved.exists()


def test_what_an_interrupted_deletion_left_is_said_and_removed_in_batches(database, url, monkeypatch):
    monkeypatch.setattr(postgres_runs, "DELETED_ROWS", 3)
    lease = drive(database, "sky", *[outcome(number) for number in range(10)])
    drive(database, "sea", outcome(1))
    database.release(lease, RunStatus.DONE, 2.0)
    monkeypatch.setattr(PostgresStore, "delete_rows", lambda self, uid: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        gc(database, now=LATER, delete_runs=["sky"])
    monkeypatch.undo()
    monkeypatch.setattr(postgres_runs, "DELETED_ROWS", 3)
    assert any("a deleted run has records left" in finding.what for finding in examine(url).findings)
    assert gc(database, now=LATER, dry_run=True).rows == 10
    assert gc(database, now=LATER).rows == 10
    assert gc(database, now=LATER).rows == 0
    assert ask(database, "SELECT run FROM record") == [(2,)]


def test_no_blob_is_removed_where_a_record_cannot_be_read(database):
    spare = put(database, b"spare")
    drive(database, "sky", outcome(1))
    with database.writing() as connection:
        connection.execute("UPDATE record SET body=?", (b"\xff",))
    with pytest.raises(StoreDamaged):
        gc(database, now=LATER)
    assert left(database) == {spare}


def test_claims_of_drivers_that_are_gone_are_forgotten(database):
    database.create_run(RunSpec(run_id="sky", task="t"))
    lease = database.acquire("sky", this_process().replace("pid ", "pid 99999"), 30.0, time.time())
    database.claim(lease, [Wish(b"n" * 16)], time.time())
    assert len(database.claims()) == 1
    gc(database, now=LATER)
    assert database.claims() == {}


def test_what_programs_left_is_collected_and_they_go_on(url):
    @hw.task
    async def large(size: int) -> bytes:
        return bytes(size)

    @hw.task
    async def program() -> int:
        return sum(map(len, await hw.gather(large(100_000), large(2 << 20))))

    for name in ("one", "two"):
        assert hw.run(program, store=url, run_id=name, progress=False) == 100_000 + (2 << 20)
    with PostgresStore(url) as store:
        assert gc(store, now=LATER, delete_runs=["one"]).blobs == 0
        assert hw.resume("two", store=store) == 100_000 + (2 << 20)
        assert len(hw.view("two", store=store).find("large")[1].value) > 0
        assert gc(store, now=LATER, delete_runs=["two"]).blobs == 2
        assert left(store) == set()
