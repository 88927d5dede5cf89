"""What every backend promises, held against a folder, a store in memory and a real S3 server."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from backend_files import DATA, MIB, load, names, pages, store
from objectstores import BUCKET, ask

from headway.checkpoint.files.foreign import locate, stat_data
from headway.checkpoint.files.roots import PARTS
from headway.errors import CheckpointConflict, CheckpointDamaged, CheckpointError, NoCheckpoint, UsageError
from headway.storage.backend import Backend
from headway.storage.local import LocalBackend
from headway.storage.objects import ObjectBackend
from headway.storage.opening import open_backend


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
