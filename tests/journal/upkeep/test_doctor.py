"""The doctor never fails, never calls a damaged store whole, and what it repairs can be resumed."""

import hashlib
import shutil
import sqlite3
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway.errors import RunOwned, StoreDamaged, StoreError, StoreVersion
from headway.journal.decisions import Decision, Winner
from headway.journal.owner import this_process
from headway.journal.records import COSTED, NO_PARENT, Charge, Kind, Outcome, Row, RunSpec, RunStatus, Start
from headway.journal.sqlite.store import SqliteStore
from headway.journal.upkeep.doctor import examine
from headway.journal.upkeep.findings import Finding, Report
from headway.journal.upkeep.repair import repair

encode = msgspec.msgpack.encode
ROOT = b"r" * 16
BLOB = b"a large result " * 100
DIGEST = hashlib.blake2b(BLOB, digest_size=16).digest()


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def outcome(number: int, *, status: int = 0, parent: bytes = ROOT, **more: object) -> Row:
    known = {"task": "demo.search", "label": f"q='page {number}'", "status": status, "started": 1.0, "ended": 2.0}
    kind = Kind.OUTCOME | (COSTED if "cost" in more else 0)
    return Row(kind, key(number), parent, encode(Outcome(**{**known, "value": b"v" * 60, **more})))


def root_outcome() -> Row:
    return outcome(0, parent=NO_PARENT, task="demo.answer", label="sky")._replace(key=ROOT)


def build(folder: Path, *, rows: list[Row], runs: int = 1) -> None:
    with SqliteStore(folder) as store:
        store.put_blob(DIGEST, BLOB)
        for number in range(runs):
            name = "sky" if number == 0 else f"run-{number}"
            store.create_run(RunSpec(run_id=name, task="demo.answer", root=ROOT, created=1.0))
            lease = store.acquire(name, "somebody", 30.0, 0.0)
            store.commit(lease, 1, rows, 1.0, cache=[(key(77), outcome(77))] if rows else [])
            store.send_signal(name, "go", b"value", 2.0)
            store.release(lease, RunStatus.INTERRUPTED, 3.0)


def contents(folder: Path) -> object:
    """Everything that can be read of a store, or None where reading says that it is damaged."""
    try:
        with SqliteStore(folder) as store:
            runs = store.runs()
            return [
                (run.spec, list(store.rows(run.uid)), [(s.name, s.value, s.at) for s in store.signals(run.uid)]) for run in runs
            ], store.cached(key(77))
    except StoreError:
        return None


def damage(folder: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(folder / "journal.db")
    try:
        connection.execute(statement, values)
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.close()


def problems(report: Report) -> list[Finding]:
    return [finding for finding in report.findings if finding.severity != "info"]


def errors(report: Report) -> list[str]:
    return [str(finding) for finding in report.findings if finding.severity == "error"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


def test_a_whole_store_is_called_whole(folder):
    build(folder, rows=[outcome(1), outcome(2, blobs=(DIGEST,))])
    report = examine(folder)
    assert (report.findings, report.whole) == ((), True)
    assert (report.runs, report.records, report.blobs, report.blob_bytes) == (1, 2, 1, len(BLOB))


def test_examining_changes_no_byte_of_the_database(folder):
    build(folder, rows=[outcome(1)])
    before = (folder / "journal.db").read_bytes()
    examine(folder)
    assert (folder / "journal.db").read_bytes() == before


def test_a_missing_store_is_a_finding(tmp_path):
    assert "there is no store" in errors(examine(tmp_path / "nowhere"))[0]


def test_a_damaged_record_is_named_with_its_call_and_what_follows(folder):
    build(folder, rows=[outcome(1), outcome(2), outcome(3)])
    damage(folder, "UPDATE record SET crc=crc+1 WHERE seq=2")
    (found,) = problems(examine(folder))
    assert (found.severity, found.run, found.seq, found.call) == ("error", "sky", 2, key(2).hex())
    assert str(found) == (
        "run sky: record 2 (demo.search(q='page 2')) is damaged: its result is lost: a resume runs that call again"
    )


def test_a_damaged_record_under_a_finished_call_is_not_needed(folder):
    inner = outcome(9, parent=key(1))
    build(folder, rows=[inner, outcome(1)])
    damage(folder, "UPDATE record SET crc=crc+1 WHERE seq=1")
    (found,) = problems(examine(folder))
    assert "under demo.search(q='page 1'), which is finished: a resume does not need it" in found.means


def test_missing_records_are_named(folder):
    build(folder, rows=[outcome(number) for number in range(1, 7)])
    damage(folder, "DELETE FROM record WHERE seq IN (2, 6)")
    assert [finding.seq for finding in problems(examine(folder))] == [2, 6]
    build(folder.with_name("done"), rows=[outcome(1), root_outcome()])
    damage(folder.with_name("done"), "DELETE FROM record WHERE seq=1")
    assert "is finished: a resume does not need it" in errors(examine(folder.with_name("done")))[0]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (Row(13, key(1), ROOT, b"\x90"), "a kind that this Headway does not know"),
        (Row(Kind.OUTCOME, b"short", ROOT, outcome(1).body), "a key of a wrong length"),
        (Row(Kind.OUTCOME, key(1), ROOT, b"\xc1"), "a body that cannot be read"),
    ],
)
def test_a_record_that_cannot_be_understood_is_an_error(folder, row, words):
    build(folder, rows=[outcome(2), row])
    assert words in errors(examine(folder))[0]


def test_a_bad_blob_is_named_with_every_record_that_needs_it(folder):
    build(folder, rows=[outcome(1, blobs=(DIGEST,)), outcome(2, blobs=(DIGEST,))])
    path = next(folder.glob("blobs/??/*"))
    path.write_bytes(BLOB[:-1] + b"?")
    found = problems(examine(folder))
    assert [(finding.seq, finding.path) for finding in found] == [(1, str(path)), (2, str(path))]
    assert all(f"blob {DIGEST.hex()} is damaged" in finding.what for finding in found)
    path.unlink()
    assert all(f"blob {DIGEST.hex()} is missing" in finding.what for finding in problems(examine(folder)))


def test_orphans_dead_drivers_and_rejected_records_are_information(folder):
    build(folder, rows=[outcome(1)])
    with SqliteStore(folder) as store:
        lease = store.acquire("sky", this_process().replace("(started ", "(started 1"), 1e9, 0.0)
        taken = lease.__class__(**{**msgspec.structs.asdict(lease), "fence": lease.fence - 1})
        with pytest.raises(StoreError):
            store.commit(taken, 2, [outcome(5)], 1.0)
    report = examine(folder)
    assert report.whole
    text = "\n".join(map(str, report.findings))
    assert "1 blobs are named by no record" in text
    assert "headway resume sky" in text
    assert "1 records of a late driver were rejected" in text


def test_a_store_of_another_schema_is_not_looked_into(folder):
    build(folder, rows=[outcome(1)])
    damage(folder, "PRAGMA user_version=7")
    report = examine(folder)
    assert "was written by schema 7" in report.findings[0].what
    assert (report.whole, report.verdict) == (False, "not read")
    with pytest.raises(StoreVersion):
        repair(folder, now=0.0)


def small_store(folder: Path) -> tuple[bytes, object]:
    rows = [outcome(number, value=b"%d" % number * 40) for number in range(1, 30)]
    rows.append(Row(Kind.DECISION, key(99), ROOT, encode(Decision(Winner(1), 1.0))))
    build(folder, rows=rows, runs=3)
    return (folder / "journal.db").read_bytes(), contents(folder)


def check_damaged(folder: Path, original: object) -> None:
    report = examine(folder)
    if report.whole:
        assert contents(folder) == original


def clear(folder: Path) -> None:
    for name in ("journal.db-wal", "journal.db-shm"):
        (folder / name).unlink(missing_ok=True)


@pytest.mark.parametrize("part", range(8))
def test_no_flipped_bit_makes_the_doctor_fail_or_lie(folder, part):
    data, original = small_store(folder)
    places = range(part * 31, len(data), 251)
    for place in places:
        clear(folder)
        flipped = bytearray(data)
        flipped[place] ^= 1 << (place % 8)
        (folder / "journal.db").write_bytes(flipped)
        check_damaged(folder, original)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spots=st.lists(st.tuples(st.integers(0, 1 << 30), st.integers(1, 255)), min_size=1, max_size=30))
def test_many_flipped_bytes_make_the_doctor_neither_fail_nor_lie(tmp_path, spots):
    folder = tmp_path / "store"
    shutil.rmtree(folder, ignore_errors=True)
    data, original = small_store(folder)
    flipped = bytearray(data)
    for place, mask in spots:
        flipped[100 + place % (len(data) - 100)] ^= mask
    (folder / "journal.db").write_bytes(flipped)
    check_damaged(folder, original)


def test_no_truncation_makes_the_doctor_fail_or_lie(folder):
    data, original = small_store(folder)
    for length in [*range(0, 200, 7), *range(200, len(data), 509), *range(0, len(data), 4096)]:
        clear(folder)
        (folder / "journal.db").write_bytes(data[:length])
        assert not examine(folder).whole
        assert contents(folder) != original or length == len(data)


def test_a_flipped_bit_in_the_log_is_noticed(folder):
    build(folder, rows=[outcome(1)])
    with SqliteStore(folder) as store:
        lease = store.acquire("sky", "me", 30.0, 9.0)
        store.commit(lease, 2, [outcome(2)], 9.0)
        store.commit(lease, 3, [outcome(3)], 9.0)
        crashed = folder.with_name("crashed")
        shutil.copytree(folder, crashed)
    (crashed / "journal.db-shm").unlink()
    wal = (crashed / "journal.db-wal").read_bytes()
    assert examine(crashed).whole
    original = contents(shutil.copytree(crashed, folder.with_name("read")))
    for place in range(3, len(wal), 173):
        copy = folder.with_name("copy")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(crashed, copy)
        (copy / "journal.db-shm").unlink(missing_ok=True)
        (copy / "journal.db-wal").write_bytes(wal[:place] + bytes([wal[place] ^ 4]) + wal[place + 1 :])
        check_damaged(copy, original)


def test_a_repaired_run_has_its_whole_records_and_goes_on(folder):
    rows = [outcome(number) for number in range(1, 6)]
    build(folder, rows=rows)
    damage(folder, "UPDATE record SET body=x'00' WHERE seq=3")
    with SqliteStore(folder) as store, pytest.raises(StoreDamaged, match="'sky' is damaged: record 3"):
        list(store.rows(1))
    before = (folder / "journal.db").read_bytes()
    done = repair(folder, now=100.0)
    assert Path(done.backup).read_bytes() == before
    assert (done.runs, done.records, [finding.seq for finding in done.dropped]) == (1, 4, [3])
    assert examine(folder).whole
    with SqliteStore(folder) as store:
        kept = rows[:2] + rows[3:]
        assert list(store.rows(1)) == list(enumerate(kept, 1))
        lease = store.acquire("sky", "me", 30.0, 100.0)
        assert lease.fence == 2
        store.commit(lease, 5, [outcome(9)], 101.0)
        assert store.cached(key(77)) == outcome(77)
        assert [signal.name for signal in store.signals(1)] == ["go"]


def test_repair_drops_outcomes_without_their_blob_and_keeps_what_they_cost(folder):
    older = outcome(1, status=1)
    lost = outcome(1, blobs=(DIGEST,), cost={"tokens": 5.0}, scope=b"s" * 16)
    start = Row(Kind.START | COSTED, key(2), ROOT, encode(Start("t", "", 1, 0, 1.0)))
    build(folder, rows=[older, lost, start, outcome(3)])
    next(folder.glob("blobs/??/*")).unlink()
    done = repair(folder, now=100.0)
    charge = Row(Kind.CHARGE | COSTED, key(1), ROOT, encode(Charge("demo.search", b"s" * 16, {"tokens": 5.0})))
    with SqliteStore(folder) as store:
        assert [row for _, row in store.rows(1)] == [charge, start, outcome(3)]
    assert "names a blob that is damaged or missing" in done.dropped[0].what
    assert examine(folder).whole


def test_repair_moves_the_error_floor_with_the_records(folder):
    build(folder, rows=[outcome(number) for number in range(1, 6)])
    damage(folder, "UPDATE run SET error_floor=4")
    damage(folder, "DELETE FROM record WHERE seq=2")
    repair(folder, now=100.0)
    with SqliteStore(folder) as store:
        assert (store.run("sky").error_floor, store.run("sky").nrows) == (3, 4)


def test_repair_refuses_while_a_run_is_driven_and_leaves_nothing_behind(folder):
    build(folder, rows=[outcome(1)])
    with SqliteStore(folder) as store:
        store.acquire("sky", this_process(), 30.0, 100.0)
        with pytest.raises(RunOwned):
            repair(folder, now=101.0)
        assert [*folder.glob("*backup*"), *folder.glob("*new*")] == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spots=st.lists(st.tuples(st.integers(0, 1 << 30), st.integers(1, 255)), min_size=1, max_size=6))
def test_whatever_is_flipped_a_repaired_store_holds_only_rows_that_were_written(tmp_path, spots):
    folder = tmp_path / "store"
    shutil.rmtree(folder, ignore_errors=True)
    data, original = small_store(folder)
    flipped = bytearray(data)
    for place, mask in spots:
        flipped[4096 + place % (len(data) - 4096)] ^= mask
    (folder / "journal.db").write_bytes(flipped)
    try:
        repair(folder, now=1e6)
    except StoreError:
        return
    assert problems(examine(folder)) == []
    written = {row for _, rows, _ in original[0] for _, row in rows}  # type: ignore[index]
    with SqliteStore(folder) as store:
        for run in store.runs():
            assert {row for _, row in store.rows(run.uid)} <= written


def test_a_damaged_page_costs_only_the_rows_on_it(folder):
    rows = [outcome(number, value=bytes([number % 251]) * 120) for number in range(1, 1001)]
    build(folder, rows=rows)
    data = bytearray((folder / "journal.db").read_bytes())
    page = data.index(rows[500].body) // 4096
    data[page * 4096 : page * 4096 + 4096] = bytes(4096)
    (folder / "journal.db").write_bytes(data)
    assert not examine(folder).whole
    done = repair(folder, now=100.0)
    assert 1000 - 4096 // 150 < done.records < 1000
    assert examine(folder).whole
