"""What only a store on disk has to keep: versions, damage, full disks, other processes, and nothing left behind."""

import errno
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from headway.errors import LeaseLost, StoreDamaged, StoreError, StoreFull, StoreVersion
from headway.journal.memory import MemoryStore
from headway.journal.open import open_store
from headway.journal.owner import is_alive, this_process
from headway.journal.records import Lease, Row, RunSpec
from headway.journal.sqlite import schema
from headway.journal.sqlite.store import SqliteStore


def row(number: int, body: bytes = b"body") -> Row:
    return Row(3, number.to_bytes(16, "big"), b"\0" * 16, body)


def start(store: SqliteStore) -> Lease:
    store.create_run(RunSpec(run_id="sky", task="t"))
    return store.acquire("sky", "somebody", 30.0, 0.0)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def change(folder: Path, *statements: str) -> None:
    connection = sqlite3.connect(folder / "journal.db")
    try:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    finally:
        connection.close()


@contextmanager
def largest_file(nbytes: int) -> Iterator[None]:
    """The system refuses to let files grow beyond a size, as a quota does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


def test_what_was_committed_is_there_after_opening_again(folder):
    with SqliteStore(folder) as store:
        lease = start(store)
        store.commit(lease, 1, [row(1), row(2)], 1.0)
    with SqliteStore(folder) as store:
        assert list(store.rows(lease.uid)) == [(1, row(1)), (2, row(2))]
        assert store.run("sky").owner == "somebody"


def test_a_store_is_opened_from_whatever_names_it(folder):
    opened = open_store(str(folder))
    assert isinstance(opened, SqliteStore)
    assert open_store(opened) is opened
    assert isinstance(open_store(":memory:"), MemoryStore)
    opened.close()


def test_a_closed_store_says_so(folder):
    store = SqliteStore(folder)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.runs()


@pytest.mark.parametrize("version", [0, schema.VERSION + 1, 7])
def test_a_store_of_another_schema_is_refused_without_a_byte_changing(folder, version):
    with SqliteStore(folder) as store:
        start(store)
    change(folder, "PRAGMA journal_mode=DELETE", f"PRAGMA user_version={version}")
    before = snapshot(folder)
    with pytest.raises(StoreVersion, match=rf"written by schema {version}, this Headway reads schema {schema.VERSION}"):
        SqliteStore(folder)
    assert snapshot(folder) == before


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "cut short"),
        (b"SQLite format 3\0" + bytes(20), "cut short"),
        (bytes(8192), "not a database"),
        (b"hello world " * 100, "not a database"),
    ],
)
def test_a_file_that_is_no_database_is_damage_and_is_left_alone(folder, data, words):
    folder.mkdir()
    (folder / "journal.db").write_bytes(data)
    with pytest.raises(StoreDamaged, match=words):
        SqliteStore(folder)
    assert snapshot(folder) == {"journal.db": data}


def test_a_database_of_another_program_is_left_alone(folder):
    folder.mkdir()
    change(folder, "CREATE TABLE other (x)")
    before = snapshot(folder)
    with pytest.raises(StoreDamaged, match="not one that Headway wrote"):
        SqliteStore(folder)
    assert snapshot(folder) == before


def test_a_schema_that_is_no_text_any_more_is_damage(folder):
    """Python's module can't decode what SQLite says of it, which quotes the schema."""
    with SqliteStore(folder) as store:
        start(store)
    whole = (folder / "journal.db").read_bytes()
    refused = 0
    for place in range(whole.index(b"CREATE TABLE"), 4096, 5):
        broken = bytearray(whole)
        broken[place] ^= 0x80
        (folder / "journal.db").write_bytes(broken)
        try:
            SqliteStore(folder).close()
        except StoreDamaged as error:
            refused += "headway doctor" in str(error)
        except StoreError:
            refused += 1
    assert refused > 100


def test_a_database_cut_to_its_first_page_is_damage(folder):
    with SqliteStore(folder) as store:
        start(store)
    path = folder / "journal.db"
    path.write_bytes(path.read_bytes()[:4096])
    with pytest.raises(StoreDamaged, match="headway doctor"):
        SqliteStore(folder)


def test_a_file_where_a_folder_is_expected_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreError, match="is a file, a store is a folder"):
            SqliteStore(path)


def test_a_folder_that_cannot_be_made_is_named():
    with pytest.raises(StoreError, match="cannot be made"):
        SqliteStore("/proc/nowhere/store")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(folder):
    folder.mkdir(mode=0o500)
    with pytest.raises(StoreError, match="check permissions"):
        SqliteStore(folder)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE record SET body=x'00' WHERE seq=2", "record 2 \\(call 0{31}2\\) does not have the bytes"),
        ("UPDATE record SET kind='x' WHERE seq=2", "record 2 "),
        ("DELETE FROM record WHERE seq=2", "record 2 is missing"),
        ("DELETE FROM record WHERE seq>1", "records 2 to 3 are missing"),
        ("UPDATE record SET seq=9 WHERE seq=2", "record 2 is missing"),
    ],
)
def test_a_damaged_row_is_never_returned(folder, statement, words):
    with SqliteStore(folder) as store:
        lease = start(store)
        store.commit(lease, 1, [row(1), row(2), row(3)], 1.0)
    change(folder, statement)
    with SqliteStore(folder) as store:
        got = []
        with pytest.raises(StoreDamaged, match=rf"run 'sky' is damaged: {words}"):
            got.extend(store.rows(lease.uid))
        whole = [row(1), row(2), row(3)]
        assert all(found in whole and found != row(2) for _, found in store.rows(lease.uid, skip_damaged=True))
        with pytest.raises(StoreDamaged):
            store.fork_run(RunSpec(run_id="fork", task="t"), lease.uid, lambda seq, row: True)
        assert len(store.runs()) == 1


def test_a_damaged_spec_signal_and_cache_entry_are_never_returned(folder):
    with SqliteStore(folder) as store:
        lease = start(store)
        store.commit(lease, 1, [row(1)], 1.0, cache=[(b"k" * 16, row(1))])
        store.send_signal("sky", "go", b"value", 1.0)
    change(folder, "UPDATE cache SET body=x'00'", "UPDATE signal SET at=at+1")
    with SqliteStore(folder) as store:
        with pytest.raises(StoreDamaged, match="cached result"):
            store.cached(b"k" * 16)
        with pytest.raises(StoreDamaged, match=r"signal 1 \('go'\)"):
            store.signals(lease.uid)
    change(folder, "UPDATE run SET spec=x'00'")
    with SqliteStore(folder) as store, pytest.raises(StoreDamaged, match="run 'sky'"):
        store.run("sky")


def test_rows_of_a_late_writer_are_kept_aside(folder):
    with SqliteStore(folder) as store:
        lease = start(store)
        store.acquire("sky", "another", 30.0, 1.0, take_over=True)
        with pytest.raises(LeaseLost):
            store.commit(lease, 1, [row(1), row(2)], 5.0)
        found = store.reading(lambda connection: connection.execute("SELECT fence, seq, body, at FROM rejected").fetchall())
        assert found == [(1, 1, b"body", 5.0), (1, 2, b"body", 5.0)]


def test_a_full_database_is_told_and_the_store_works_again_with_space(folder):
    with SqliteStore(folder) as store:
        lease = start(store)
        store.commit(lease, 1, [row(1)], 1.0)
        store._writer.execute("PRAGMA max_page_count=20")
        with pytest.raises(StoreFull, match="free some space") as caught:
            store.commit(lease, 2, [row(2, b"x" * 1_000_000)], 2.0)
        assert caught.value.errno == errno.ENOSPC
        assert list(store.rows(lease.uid)) == [(1, row(1))]
        store._writer.execute("PRAGMA max_page_count=100000")
        store.commit(lease, 2, [row(2)], 3.0)
        assert [found for _, found in store.rows(lease.uid)] == [row(1), row(2)]


def test_a_quota_on_the_log_is_told_and_nothing_half_written_stays(folder):
    with SqliteStore(folder) as store:
        lease = start(store)
        store.commit(lease, 1, [row(1)], 1.0)
        with largest_file(200_000), pytest.raises(StoreFull, match="what was committed is safe"):
            store.commit(lease, 2, [row(number, bytes(5000)) for number in range(200)], 2.0)
        assert list(store.rows(lease.uid)) == [(1, row(1))]
        store.commit(lease, 2, [row(2)], 3.0)
    with SqliteStore(folder) as store:
        assert [found for _, found in store.rows(lease.uid)] == [row(1), row(2)]


def test_a_failed_creation_leaves_no_database(folder):
    folder.mkdir()
    with largest_file(8192), pytest.raises(StoreError):
        SqliteStore(folder)
    assert snapshot(folder) == {}
    SqliteStore(folder).close()


def test_a_lock_that_is_held_too_long_is_explained(folder, monkeypatch):
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_S", 0.01)
    with (
        SqliteStore(folder) as store,
        SqliteStore(folder) as other,
        other.writing(),
        pytest.raises(StoreError, match="stayed locked by this process"),
    ):
        store.create_run(RunSpec(run_id="sky", task="t"))


def test_two_connections_notice_each_other(folder):
    with SqliteStore(folder) as store, SqliteStore(folder) as other:
        start(store)
        uid = other.run("sky").uid
        before = other.data_version(uid)
        assert other.data_version(uid) == before
        store.request_cancel("sky", 1.0)
        assert other.data_version(uid) != before
        assert other.run("sky").cancel_requested


CREATE = "import sys; from headway.journal.sqlite.store import SqliteStore; SqliteStore(sys.argv[1]).close()"


def test_many_processes_may_create_one_store(folder):
    makers = [subprocess.Popen([sys.executable, "-c", CREATE, str(folder)]) for _ in range(6)]
    assert [maker.wait() for maker in makers] == [0] * 6
    assert "journal.db" in snapshot(folder)
    assert not [name for name in snapshot(folder) if ".new-" in name]


COMMIT = """
import sys
from headway.journal.sqlite.store import SqliteStore
from headway.journal.owner import this_process
from headway.journal.records import Row, RunSpec
store = SqliteStore(sys.argv[1])
store.create_run(RunSpec(run_id="sky", task="t"))
lease = store.acquire("sky", this_process(), 1e9, 0.0)
seq = 1
while True:
    store.commit(lease, seq, [Row(3, (seq + n).to_bytes(16, "big"), bytes(16), b"x" * 50) for n in range(10)], 1.0)
    seq += 10
    print(seq - 1, flush=True)
"""


def test_a_killed_writer_leaves_a_prefix_with_all_it_reported_and_its_run_is_free(folder):
    writer = subprocess.Popen([sys.executable, "-c", COMMIT, str(folder)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    reported = [int(writer.stdout.readline()) for _ in range(30)][-1]
    writer.send_signal(signal.SIGKILL)
    reported = max([reported, *(int(line) for line in writer.stdout if line.endswith("\n"))])
    writer.stdout.close()
    writer.wait()
    with SqliteStore(folder) as store:
        lease = store.acquire("sky", this_process(), 30.0, 1.0)
        seqs = [seq for seq, found in store.rows(lease.uid) if int.from_bytes(found.key, "big") == seq]
        assert seqs == list(range(1, len(seqs) + 1))
        assert len(seqs) >= reported
        assert len(seqs) % 10 == 0


def test_a_process_knows_itself_and_not_what_it_cannot_see():
    assert is_alive(this_process()) is True
    assert is_alive(this_process().replace("(started ", "(started 1")) is False
    assert is_alive(this_process().replace(" on ", " on elsewhere-")) is None
    assert is_alive("somebody") is None


def test_a_zombie_is_not_alive():
    code = "from headway.journal.owner import this_process; print(this_process(), flush=True)"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    owner = child.stdout.read().strip()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert is_alive(owner) is False
    child.wait()
    child.stdout.close()


def test_a_long_read_does_not_hold_up_a_commit(folder):
    with SqliteStore(folder) as store:
        lease = start(store)
        store.commit(lease, 1, [row(number) for number in range(5000)], 1.0)
        reader = store.rows(lease.uid)
        next(reader)
        done = threading.Thread(target=store.commit, args=(lease, 5001, [row(9)], 2.0))
        done.start()
        done.join(10)
        assert not done.is_alive()
        assert sum(1 for _ in reader) >= 4999
