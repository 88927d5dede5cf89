"""What every backend promises, held against a folder, a store in memory and a real S3 server; then what each can suffer."""

from __future__ import annotations

import errno
import mmap
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from objectstores import BUCKET, BadWay, Fault, ask, environment, s3_server
from roots import commit, data_file

from headway.checkpoint.catalog.collect import collect
from headway.checkpoint.catalog.leases import open_leased
from headway.checkpoint.catalog.listing import flaw, manifests
from headway.checkpoint.catalog.retention import Keep
from headway.checkpoint.files.foreign import locate, stat_data
from headway.checkpoint.files.roots import PARTS
from headway.errors import CheckpointConflict, CheckpointDamaged, CheckpointError, NoCheckpoint, StoreFull, UsageError
from headway.storage import files
from headway.storage.backend import Backend
from headway.storage.direct import PIECE
from headway.storage.local import LocalBackend
from headway.storage.objects import ObjectBackend
from headway.storage.opening import open_backend
from headway.storage.upload import Upload

MIB = 1 << 20
DATA = "steps/000000000001-a/00000.safetensors"


@pytest.fixture(scope="module")
def s3() -> Iterator[int]:
    with s3_server() as port:
        yield port


@pytest.fixture(params=["local", "buffered", "memory", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """An empty root."""
    if request.param == "local":
        return open_backend(tmp_path / "root")
    if request.param == "buffered":
        return LocalBackend(tmp_path / "root", direct=False)
    if request.param == "memory":
        return open_backend(f"memory://{tmp_path}")
    request.getfixturevalue("s3")
    return open_backend(f"s3://{BUCKET}/{tmp_path.name}-{os.getpid()}")


@pytest.fixture
def way(s3: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[BadWay]:
    """A proxy to the S3 server; backends opened now go through it."""
    proxy = BadWay(s3)
    for name, value in environment(proxy.port).items():
        monkeypatch.setenv(name, value)
    yield proxy
    proxy.close()


@pytest.fixture
def shaky(way: BadWay, tmp_path: Path) -> ObjectBackend:
    """A backend behind the proxy, with time to get over what is bad about it."""
    return ObjectBackend(f"s3://{BUCKET}/{tmp_path.name}-shaky", deadline_s=20.0, request_s=5.0)


@pytest.fixture
def hasty(way: BadWay, tmp_path: Path) -> ObjectBackend:
    """One that gives up soon."""
    return ObjectBackend(f"s3://{BUCKET}/{tmp_path.name}-hasty", deadline_s=0.6, request_s=0.3)


def names(root: Backend, folder: str = "") -> list[str]:
    return [file for file, _ in root.files(folder)]


def pages(nbytes: int) -> memoryview:
    """Memory that starts at a page, with a pattern that shows where a byte belongs."""
    memory = memoryview(mmap.mmap(-1, max(nbytes, 1)))[:nbytes]
    pattern = bytes(range(251)) * (nbytes // 251 + 1)
    memory[:] = pattern[:nbytes]
    return memory


def store(root: Backend, file: str, data: memoryview, chunk: int = MIB) -> None:
    """Write a large file the way it is promised: from one piece of memory that is used again and again."""
    writer = root.create(file, len(data))
    memory = pages(chunk)
    for at in range(0, len(data), chunk):
        part = data[at : at + chunk]
        memory[: len(part)] = part
        writer.write(memory[: len(part)])
        memory[:] = bytes(chunk)
    writer.finish()


def load(root: Backend, file: str, start: int, nbytes: int) -> bytes:
    into = bytearray(nbytes)
    root.read(file, start, memoryview(into))
    return bytes(into)


# --- promises of all -------------------------------------------------------------------------------------------------


def test_what_was_put_is_there(root: Backend) -> None:
    before = time.time()
    root.put("pins/a", b"content")
    assert root.get("pins/a") == b"content"
    stat = root.stat("pins/a")
    assert stat is not None
    assert stat.nbytes == 7
    assert abs(stat.modified - before) < 60
    assert list(root.files("")) == [("pins/a", stat)]


def test_an_empty_file_is_a_file(root: Backend) -> None:
    root.put("pins/a", b"")
    assert root.get("pins/a") == b""
    assert names(root) == ["pins/a"]


def test_a_file_is_never_overwritten(root: Backend) -> None:
    root.put("pins/a", b"first")
    for data in (b"second", b"first"):
        with pytest.raises(CheckpointConflict, match="pins/a"):
            root.put("pins/a", data)
    with pytest.raises(CheckpointConflict, match="pins/a"):
        root.create("pins/a", 10)
    assert root.get("pins/a") == b"first"
    assert names(root) == ["pins/a"]


def test_a_missing_file_is_named(root: Backend) -> None:
    with pytest.raises(NoCheckpoint, match="steps/x/manifest"):
        root.get("steps/x/manifest.json")
    with pytest.raises(CheckpointDamaged, match="steps/x/data is missing"):
        load(root, "steps/x/data", 0, 1)
    assert root.stat("steps/x/data") is None
    assert names(root) == []
    root.delete(["steps/x/data"])


def test_reading_behind_the_end_says_how_long_the_file_is(root: Backend) -> None:
    root.put("steps/x/data", b"0123456789")
    assert load(root, "steps/x/data", 3, 4) == b"3456"
    assert load(root, "steps/x/data", 10, 0) == b""
    for start, nbytes in [(6, 5), (10, 1), (1000, 1)]:
        with pytest.raises(CheckpointDamaged, match="steps/x/data is cut short: it has 10 bytes"):
            load(root, "steps/x/data", start, nbytes)


def test_head_is_exchanged_only_if_it_is_what_was_expected(root: Backend) -> None:
    assert not root.swap("HEAD", b"one", b"zero")
    assert root.stat("HEAD") is None
    assert root.swap("HEAD", b"one", None)
    assert not root.swap("HEAD", b"two", None)
    assert not root.swap("HEAD", b"two", b"zero")
    assert root.get("HEAD") == b"one"
    assert root.swap("HEAD", b"two", b"one")
    assert root.get("HEAD") == b"two"
    assert names(root) == ["HEAD"]


def test_of_many_that_put_the_same_name_one_wins(root: Backend) -> None:
    start = threading.Barrier(8)

    def put(rank: int) -> int | None:
        start.wait()
        try:
            root.put("steps/x/manifest.json", b"rank %d" % rank)
        except CheckpointConflict:
            return None
        return rank

    with ThreadPoolExecutor(8) as threads:
        won = [rank for rank in threads.map(put, range(8)) if rank is not None]
    assert len(won) == 1
    assert root.get("steps/x/manifest.json") == b"rank %d" % won[0]
    assert names(root) == ["steps/x/manifest.json"]


@pytest.mark.parametrize("nbytes", [0, 1, 4096, MIB, 3 * MIB + 17, 9 * MIB + 4096])
def test_a_large_file_comes_back_as_it_was_given(root: Backend, nbytes: int) -> None:
    data = pages(nbytes)
    store(root, DATA, data)
    assert load(root, DATA, 0, nbytes) == bytes(data)
    assert load(root, DATA, nbytes // 3, nbytes // 2) == bytes(data[nbytes // 3 : nbytes // 3 + nbytes // 2])
    stat = root.stat(DATA)
    assert stat is not None
    assert stat.nbytes == nbytes
    assert names(root) == [DATA]


def test_a_large_file_is_not_seen_before_it_is_finished(root: Backend) -> None:
    data = pages(9 * MIB)
    writer = root.create(DATA, len(data))
    writer.write(data)
    assert root.stat(DATA) is None
    assert names(root) == []
    writer.finish()
    assert names(root) == [DATA]


def test_an_aborted_file_leaves_nothing(root: Backend) -> None:
    writer = root.create(DATA, 20 * MIB)
    writer.write(pages(17 * MIB))
    writer.abort()
    writer.abort()
    assert names(root) == []
    assert list(root.sweep(PARTS, dry_run=True)) == []
    if root.url.startswith("s3:"):
        prefix = root.url.removeprefix(f"s3://{BUCKET}/")
        assert (
            f"<Key>{prefix}".encode()
            not in ask(int(os.environ["AWS_ENDPOINT_URL"].rpartition(":")[2]), "GET", f"/{BUCKET}?uploads")[1]
        )


@pytest.mark.parametrize("declared", [9 * MIB + 4096, 9 * MIB - 4096])
def test_a_file_of_another_size_than_declared_does_not_appear(root: Backend, declared: int) -> None:
    writer = root.create(DATA, declared)
    with pytest.raises(CheckpointError, match=r"00000.safetensors: 9,437,184 bytes were given to a file declared with"):
        writer.write(pages(9 * MIB))
        writer.finish()
    writer.abort()
    assert names(root) == []


def test_deleting_takes_empty_folders_along(root: Backend) -> None:
    for file in ("steps/1-a/x", "steps/1-a/y", "steps/2-b/x"):
        root.put(file, b"x")
    root.delete(["steps/1-a/x", "steps/1-a/y", "steps/1-a/gone", "steps/9/gone"])
    assert names(root) == ["steps/2-b/x"]
    path = root.path("steps")
    assert path is None or [each.name for each in path.iterdir()] == ["2-b"]


def test_files_are_listed_by_name_and_only_those_below_the_folder(root: Backend) -> None:
    for file in ("steps/10/b", "steps/1/b", "steps/1/a", "steps/1-x/a", "HEAD", "pins/p"):
        root.put(file, b"x")
    assert names(root) == ["HEAD", "pins/p", "steps/1-x/a", "steps/1/a", "steps/1/b", "steps/10/b"]
    assert names(root, "steps/1") == ["steps/1/a", "steps/1/b"]
    assert names(root, "readers") == []


@pytest.mark.parametrize("file", ["", "/etc/x", "../x", "a/../../x", "a//b", ".hidden", "a/.b", "s3://b/x"])
def test_nothing_is_written_outside_of_the_root(root: Backend, file: str) -> None:
    for write in (
        lambda: root.put(file, b"x"),
        lambda: root.swap(file, b"x", None),
        lambda: root.create(file, 1),
        lambda: root.delete([file]),
    ):
        with pytest.raises(UsageError, match="no name of a file in a root"):
            write()


def test_a_file_of_another_program_is_found_by_its_full_name(root: Backend, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.safetensors"
    foreign.write_bytes(b"0123456789")
    other = open_backend("memory://elsewhere-for-reading")
    other.delete(["file"])
    other.put("file", b"0123456789")
    for file in (str(foreign), f"file://{foreign}", "memory://elsewhere-for-reading/file"):
        owner, name = locate(root, file)
        assert load(owner, name, 2, 3) == b"234"
        assert owner.get(name) == b"0123456789"
        stat = stat_data(root, file)
        assert stat is not None
        assert stat.nbytes == 10
    owner, name = locate(root, str(foreign))
    assert owner.path(name) == foreign
    assert locate(root, DATA) == (root, DATA)


PARTS_OF_NAMES = st.lists(st.sampled_from(["..", ".", "", "a", "steps", "b.json", "...", "~", " "]), min_size=1, max_size=5)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PARTS_OF_NAMES, st.sampled_from(["", "/", "file:///", "memory://other/", "//"]))
def test_no_name_leads_out_of_a_root(tmp_path: Path, parts: list[str], before: str) -> None:
    """Around the root lie files of somebody else, under the names that are tried: none is read, none is written."""
    name, around = before + "/".join(parts), tmp_path / "in"
    for folder in (tmp_path, around, around / "a"):
        folder.mkdir(exist_ok=True)
        for file in ("b.json", "..."):
            (folder / file).write_bytes(b"of somebody else")
    for root in (LocalBackend(around / "side"), open_backend(f"memory://{around}")):
        root.delete([file for file, _ in root.files("")])
        _try_to_leave(root, name, leaves=bool(before) or any(part in ("", ".", "..") for part in parts))
    found = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    mine = {each for each in found if each.startswith("in/side/")}
    assert found - mine == {"b.json", "...", "in/b.json", "in/...", "in/a/b.json", "in/a/..."}
    assert all((tmp_path / each).read_bytes() == b"of somebody else" for each in found - mine)


def _try_to_leave(root: Backend, name: str, *, leaves: bool) -> None:
    looks = (lambda: root.get(name), lambda: root.stat(name), lambda: load(root, name, 0, 4))
    writes = (lambda: root.put(name, b"x"), lambda: root.swap(name, b"x", None), lambda: root.create(name, 1))
    hides = any(part.startswith(".") for part in name.split("/"))
    if leaves:
        for look in looks:
            with pytest.raises(CheckpointDamaged, match="no name of a file"):
                look()
    if leaves or hides:
        for write in writes:
            with pytest.raises(UsageError, match="no name of a file"):
                write()
    else:
        root.put(name, b"x")
        assert root.get(name) == b"x"


@pytest.mark.parametrize("file", ["../x", "/etc/hostname", "a/../../x", "memory://x/y", "a//b", "./a", ""])
def test_a_name_to_read_that_leads_out_of_the_root_is_damage(root: Backend, file: str) -> None:
    """It was read from a file: a manifest or a segment, which says something impossible."""
    for look in (lambda: root.get(file), lambda: root.stat(file), lambda: load(root, file, 0, 1)):
        with pytest.raises(CheckpointDamaged, match="no name of a file in a root"):
            look()


def test_a_link_out_of_a_folder_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"of somebody else")
    root = LocalBackend(tmp_path / "root")
    root.put("pins/a", b"x")
    (root.root / "steps").symlink_to(outside)
    (root.root / "pins" / "file").symlink_to(outside / "file")
    for file in ("steps/file", "pins/file"):
        for look in (root.get, root.stat, root.path, lambda each: load(root, each, 0, 1)):
            with pytest.raises(CheckpointDamaged, match="through a link"):
                look(file)
    for write in (lambda: root.put("steps/new", b"x"), lambda: root.create("steps/new", 1), lambda: root.delete(["steps/file"])):
        with pytest.raises(UsageError, match="through a link"):
            write()
    root.delete(["pins/file"])  # the link, and not what it leads to
    assert [each.name for each in outside.iterdir()] == ["file"]
    linked = tmp_path / "linked"
    linked.symlink_to(root.root)
    assert LocalBackend(linked).get("pins/a") == b"x"  # a root may be a link itself


# --- a folder --------------------------------------------------------------------------------------------------------


def test_increments_by_swap_are_never_lost(tmp_path: Path) -> None:
    _race_increments(lambda: LocalBackend(tmp_path))


def test_increments_by_swap_are_never_lost_in_memory(tmp_path: Path) -> None:
    _race_increments(lambda: ObjectBackend(f"memory://{tmp_path}"))


def _race_increments(opened: Callable[[], Backend]) -> None:
    opened().put("HEAD", b"0")

    def increment(_: int) -> None:
        root = opened()
        for _ in range(25):
            while not root.swap("HEAD", b"%d" % (int(seen := root.get("HEAD")) + 1), seen):
                pass

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(increment, range(4)))
    assert opened().get("HEAD") == b"100"


def test_direct_writing_is_used_where_the_disk_can(tmp_path: Path) -> None:
    probe = os.open(tmp_path / "probe", os.O_WRONLY | os.O_CREAT)
    try:
        os.close(os.open(tmp_path / "probe", os.O_WRONLY | os.O_DIRECT))
    except OSError:
        pytest.skip("no direct writing on this file system")
    finally:
        os.close(probe)
    writer = LocalBackend(tmp_path).create(DATA, MIB + 5)
    assert writer.direct
    writer.write(pages(MIB + 5))
    assert writer.direct
    writer.abort()


def test_memory_that_starts_anywhere_is_written_as_well(tmp_path: Path) -> None:
    data = pages(3 * MIB + 5)
    writer = LocalBackend(tmp_path).create(DATA, len(data))
    odd = memoryview(bytearray(len(data) + 64))
    at = 1
    odd[at : at + len(data)] = data
    writer.write(odd[at : at + 2 * MIB])
    writer.write(odd[at + 2 * MIB : at + len(data)])
    writer.finish()
    assert load(LocalBackend(tmp_path), DATA, 0, len(data)) == bytes(data)


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("direct", [True, False])
def test_a_chunk_of_many_pieces_is_written_whole(tmp_path: Path, direct: bool, shift: int) -> None:
    data = mmap.mmap(-1, 42 * MIB)
    data[:] = os.urandom(42 * MIB)
    root = LocalBackend(tmp_path, direct=direct)
    for number, nbytes in enumerate((41 * MIB + 5, PIECE, PIECE + 4096, 2 * PIECE - 1)):
        with memoryview(data) as view, view[shift : shift + nbytes] as chunk:
            writer = root.create(f"steps/{number}", nbytes)
            writer.write(chunk)
            writer.finish()
            assert load(root, f"steps/{number}", 0, nbytes) == chunk


@pytest.mark.parametrize("failing", [0, 1, 2, 3])
def test_a_piece_that_fails_fails_the_write_when_no_other_is_in_flight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    real, flying, seen = os.pwrite, set[int](), threading.Barrier(2)

    def pwrite(fd: int, data: memoryview, at: int) -> int:
        flying.add(at)
        try:
            if at < 2 * PIECE:
                seen.wait(10)  # two are in flight at a time
            if at == failing * PIECE:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(fd, data, at)
        finally:
            flying.remove(at)

    monkeypatch.setattr(os, "pwrite", pwrite)
    writer = LocalBackend(tmp_path).create(DATA, 4 * PIECE)
    with pytest.raises(StoreFull):
        writer.write(memoryview(mmap.mmap(-1, 4 * PIECE)))
    assert not flying
    writer.abort()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


WRITER = """
import sys
from headway.storage.local import LocalBackend
root = LocalBackend(sys.argv[1])
writer = root.create("steps/x/data", 64 << 20)
writer.write(memoryview(bytearray(8 << 20)))
print("writing", flush=True)
sys.stdin.read()
"""


def test_a_killed_writer_leaves_no_visible_file_and_what_it_left_is_swept(tmp_path: Path) -> None:
    root = LocalBackend(tmp_path)
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"writing\n"
        assert list(root.sweep(PARTS, dry_run=False)) == []
        assert len(list((tmp_path / "steps/x").iterdir())) == 1
        child.send_signal(signal.SIGKILL)
    assert names(root) == []
    (left,) = list(root.sweep(PARTS, dry_run=True))
    assert left[0].startswith("steps/x/.data.")
    assert left[1].nbytes == 64 * MIB
    assert list(root.sweep(PARTS, dry_run=False)) == [left]
    assert list(root.sweep(PARTS, dry_run=False)) == []
    assert not (tmp_path / "steps").exists()


def test_a_lock_that_is_not_let_go_of_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LOCK_WAIT_S", 0.05)
    root = LocalBackend(tmp_path)
    with files.hold_lock(tmp_path / ".lock"), pytest.raises(CheckpointError, match=r"\.lock is held by another process"):
        root.swap("HEAD", b"x", None)
    assert root.swap("HEAD", b"x", None)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], check=False, capture_output=True)
    if mount.returncode:
        pytest.skip("needs the right to mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_file_that_cannot_fit_is_refused_before_it_is_written(small_disk: Path) -> None:
    root = LocalBackend(small_disk)
    with pytest.raises(StoreFull, match=r"00000.safetensors needs 9,437,184 bytes, the disk has 8,388,608 free"):
        root.create(DATA, 9 * MIB)
    assert not list(small_disk.rglob("*.partial"))


def test_two_files_that_fit_only_alone_are_told_apart_at_once(small_disk: Path) -> None:
    root = LocalBackend(small_disk)
    first = root.create(DATA, 5 * MIB)
    with pytest.raises(StoreFull, match=r"00000\.safetensors"):
        root.create(DATA, 5 * MIB)  # the first has not written a byte
    first.write(pages(5 * MIB))
    first.finish()
    assert names(root) == [DATA]


def test_a_full_disk_is_an_error_of_its_own_and_leaves_nothing_behind(small_disk: Path) -> None:
    root = LocalBackend(small_disk)
    root.put("HEAD", b"old")
    with (small_disk / "other").open("wb") as other:
        for size in (MIB, 4096, 1):
            while True:
                try:
                    os.write(other.fileno(), bytes(size))
                except OSError:
                    break
    with pytest.raises(StoreFull, match="HEAD"):
        root.swap("HEAD", b"new" * 5000, b"old")
    with pytest.raises(StoreFull, match=r"manifest\.json"):
        root.put("steps/x/manifest.json", bytes(5000))
    assert root.get("HEAD") == b"old"
    assert names(root) == ["HEAD", "other"]
    assert not list(small_disk.rglob("*.partial"))


def test_a_limit_on_the_size_of_files_is_like_a_full_disk(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    root = LocalBackend(tmp_path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, hard))
    try:
        with pytest.raises(StoreFull, match="ulimit -f"):
            root.create(DATA, 2 * MIB)
        with pytest.raises(StoreFull, match="ulimit -f"):
            root.put("steps/x/segment.json", bytes(2 * MIB))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.rglob("*.partial"))
    assert names(root) == []


def test_a_folder_that_is_a_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("not a folder")
    root = LocalBackend(tmp_path / "root")
    with pytest.raises(CheckpointError, match=r"root/HEAD cannot be written"):
        root.put("HEAD", b"x")
    with pytest.raises(NoCheckpoint):
        root.get("HEAD")
    assert root.stat("HEAD") is None


@pytest.mark.long
def test_more_than_two_gib_are_read_in_one_call(tmp_path: Path) -> None:
    size = (2 << 30) + 4096
    with (tmp_path / "data").open("wb") as data:
        data.truncate(size)
        data.seek(size - 4)
        data.write(b"tail")
    memory = memoryview(mmap.mmap(-1, size))
    LocalBackend(tmp_path).read("data", 0, memory)
    assert bytes(memory[-4:]) == b"tail"


# --- an object store -------------------------------------------------------------------------------------------------


def test_a_store_that_fails_now_and_then_is_asked_again(way: BadWay, shaky: ObjectBackend) -> None:
    way.faults = lambda method, path, number: "500" if number % 2 else ""
    shaky.put("HEAD", b"one")
    assert shaky.swap("HEAD", b"two", b"one")
    assert shaky.get("HEAD") == b"two"
    assert names(shaky) == ["HEAD"]
    shaky.delete(["HEAD"])
    assert shaky.stat("HEAD") is None


@pytest.mark.parametrize("fault", ["500", "reset", "hang"])
def test_a_store_that_always_fails_is_an_error_that_names_the_file(way: BadWay, hasty: ObjectBackend, fault: str) -> None:
    way.faults = lambda *_: fault  # type: ignore[return-value]
    operations = [
        lambda: hasty.get("HEAD"),
        lambda: hasty.put("HEAD", b"x"),
        lambda: load(hasty, "HEAD", 0, 4),
    ]
    for operation in operations:
        begin = time.monotonic()
        with pytest.raises(CheckpointError, match=f"s3://{BUCKET}/.*/HEAD.*tried for 0.6 s") as caught:
            operation()
        assert not isinstance(caught.value, NoCheckpoint | CheckpointDamaged)
        assert time.monotonic() - begin < 10


def test_an_upload_to_a_store_that_fails_ends_with_an_error(way: BadWay, hasty: ObjectBackend) -> None:
    way.faults = lambda method, path, number: "500" if "partNumber=2" in path else ""
    with pytest.raises(CheckpointError, match=r"could not write .*00000\.safetensors"):
        store(hasty, DATA, pages(40 * MIB))
    way.faults = lambda *_: ""
    assert hasty.stat(DATA) is None


def test_an_upload_to_a_store_that_hangs_ends_with_an_error(way: BadWay, hasty: ObjectBackend) -> None:
    way.faults = lambda method, path, number: "hang" if "partNumber" in path else ""
    begin = time.monotonic()
    with pytest.raises(CheckpointError, match=r"00000\.safetensors"):
        store(hasty, DATA, pages(80 * MIB), 8 * MIB)
    assert time.monotonic() - begin < 20


def test_a_put_whose_answer_got_lost_succeeded(way: BadWay, shaky: ObjectBackend) -> None:
    way.faults = lambda method, path, number: "lose" if number == 1 else ""
    shaky.put("steps/x/manifest.json", b"mine")
    assert [method for method, _ in way.requests].count("PUT") == 2
    with pytest.raises(CheckpointConflict):
        shaky.put("steps/x/manifest.json", b"mine")


def test_a_swap_whose_answer_got_lost_succeeded(way: BadWay, shaky: ObjectBackend) -> None:
    shaky.put("HEAD", b"one")
    lost = iter([True])
    way.faults = lambda method, path, number: "lose" if method == "PUT" and next(lost, False) else ""
    assert shaky.swap("HEAD", b"two", b"one")
    assert not shaky.swap("HEAD", b"two", b"one")


def test_a_put_that_got_no_answer_in_time_is_asked_again(way: BadWay, tmp_path: Path) -> None:
    root = ObjectBackend(f"s3://{BUCKET}/{tmp_path.name}", deadline_s=20.0, request_s=0.5)
    way.faults = lambda method, path, number: "hang" if number == 1 else ""
    root.put("HEAD", b"one")
    assert root.get("HEAD") == b"one"


def test_a_swap_that_was_overtaken_does_not_overwrite(way: BadWay, shaky: ObjectBackend, s3: int) -> None:
    shaky.put("HEAD", b"one")

    def overtake(method: str, path: str, number: int) -> Fault:
        if method == "PUT":
            way.faults = lambda *_: ""
            assert shaky.swap("HEAD", b"two", b"one")
        return ""

    way.faults = overtake
    assert not shaky.swap("HEAD", b"three", b"one")
    assert shaky.get("HEAD") == b"two"


def test_an_upload_whose_last_answer_got_lost_succeeded(way: BadWay, shaky: ObjectBackend) -> None:
    done: list[bool] = []

    def lose(method: str, path: str, number: int) -> Fault:
        if method != "POST" or "uploadId" not in path:
            return ""
        done.append(True)
        return "lose" if len(done) == 1 else "404"  # there is no such upload any more

    way.faults = lose
    writer = shaky.create(DATA, 9 * MIB)
    writer.write(pages(9 * MIB))
    writer.finish()
    assert len(done) > 1
    assert names(shaky) == [DATA]


class Stuck:
    """A store that takes one part and then nothing."""

    url = "s3://stuck"

    def __init__(self) -> None:
        self.over = threading.Event()

    def put(self, file: str, data: bytes) -> None:
        raise AssertionError

    def stat(self, file: str) -> None:
        return None

    def put_stream(self, file: str, parts: Iterator[bytearray], part_nbytes: int, concurrent: int) -> None:
        next(parts)
        self.over.wait()


def test_an_upload_without_progress_is_given_up() -> None:
    stuck = Stuck()
    writer = Upload(stuck, "data", 80 * MIB, stall_s=0.2)
    with pytest.raises(CheckpointError, match=r"s3://stuck/data: the store took no data for 0.2 s"):
        writer.write(pages(80 * MIB))
    stuck.over.set()
    writer.abort()


def test_an_answer_that_breaks_off_is_asked_for_again(way: BadWay, shaky: ObjectBackend) -> None:
    shaky.put("steps/x/data", bytes(pages(MIB)))
    cuts = iter([True, True])
    way.faults = lambda method, path, number: "cut" if next(cuts, False) else ""
    assert load(shaky, "steps/x/data", 0, MIB) == bytes(pages(MIB))


def test_a_bucket_that_is_not_there_is_an_error_at_once(s3: int) -> None:
    root = ObjectBackend("s3://no-such-bucket/x")
    begin = time.monotonic()
    with pytest.raises(CheckpointError, match="no-such-bucket"):
        root.put("HEAD", b"x")
    with pytest.raises(CheckpointError, match="no-such-bucket"):
        store(root, DATA, pages(9 * MIB))
    assert time.monotonic() - begin < 60


def test_what_is_no_store_is_said_at_once() -> None:
    with pytest.raises(UsageError, match="ftp://somewhere/x cannot be opened"):
        open_backend("ftp://somewhere/x")


UPLOADER = """
import resource, sys
from headway.storage.objects import ObjectBackend
from headway.storage.upload import Upload
root = ObjectBackend(sys.argv[1])
root.put("small", b"x")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
writer = root.create("data", 256 << 20)
chunk = memoryview(bytearray(8 << 20))
for _ in range(32):
    writer.write(chunk)
writer.finish()
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_a_root_in_an_object_store_is_collected_around_its_readers(s3: int, tmp_path: Path) -> None:
    root = open_backend(f"s3://{BUCKET}/{tmp_path.name}-collected")
    commit(root, "id10", 10)
    commit(root, "id20", 20, uses=[data_file("id10", 10)])
    commit(root, "id30", 30)
    with open_leased(root, 20) as (manifest, lease):
        assert [each.id for each in collect(root, Keep(last=1)).removed] == ["id10"]
        assert flaw(root, manifest) == ""
        lease.renew()
    collect(root, Keep(last=1), now=4e9)  # this store dates to the second
    assert [each.id for each in manifests(root).checkpoints] == ["id30"]
    assert {file.split("/")[1] for file in names(root, "steps")} == {"000000000030-id30"}


@pytest.mark.long
def test_a_large_upload_needs_little_memory(s3: int, tmp_path: Path) -> None:
    command = [sys.executable, "-c", UPLOADER, f"s3://{BUCKET}/{tmp_path.name}-large"]
    grown_mib = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert grown_mib < 128
