"""What a folder on a disk can suffer: direct writing, killed writers, full disks, limits."""

from __future__ import annotations

import errno
import mmap
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from backend_files import DATA, MIB, load, names, pages

from headway.checkpoint.files.roots import PARTS
from headway.errors import CheckpointError, NoCheckpoint, StoreFull
from headway.storage import files
from headway.storage.direct import PIECE
from headway.storage.local import LocalBackend


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
