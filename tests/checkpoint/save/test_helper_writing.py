"""How the helper writes one save, in this process: it follows what is copied, and shows nothing before the trainer says so."""

from __future__ import annotations

import errno
import mmap
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import xxhash
from hand_saved import PATIENCE_S, Trainer, files_of
from roots import Dying

from headway.checkpoint.files.manifest import Phase, Segment, block_hashes, block_nbytes, unseal
from headway.checkpoint.helper import saving
from headway.checkpoint.helper.messages import Written
from headway.checkpoint.helper.saving import Save, write
from headway.errors import SaveFailed, StoreFull
from headway.storage.backend import Backend, DataWriter
from headway.storage.local import LocalBackend

ARRAYS = {"w": np.random.default_rng(0).standard_normal(3 << 20)}  # 24 MiB: several blocks, several chunks
HASHING, WRITING = "hashing", "writing"


class Following(Save):
    """A save that says who waits for bytes of it, or goes on without."""

    def __init__(self, root: Path) -> None:
        plan, self.image = Trainer(root).plan("one", 1, ARRAYS)
        super().__init__(plan, memoryview(mmap.mmap(-1, plan.nbytes)))
        self.heard: dict[str, queue.Queue[str]] = {HASHING: queue.Queue(), WRITING: queue.Queue()}

    def await_bytes(self, nbytes: int) -> int:
        hashes = threading.current_thread().name.startswith("headway-hash")
        if nbytes > self.plan.header_nbytes:
            self.heard[HASHING if hashes else WRITING].put("waits")
        return super().await_bytes(nbytes)

    def copy_header(self) -> None:
        self.view[: self.plan.header_nbytes] = self.image.header
        self.advance(self.plan.header_nbytes)

    def copy_rest(self) -> None:
        self.view[self.plan.header_nbytes :] = ARRAYS["w"].view("u1").data
        self.advance(self.plan.nbytes)


class Watched(Dying):
    """A backend whose large files call `wrote` after each chunk."""

    def __init__(self, backend: Backend, wrote: Callable[[], None], **options: dict[int, object]) -> None:
        super().__init__(backend, **options)
        self._wrote = wrote

    def create(self, file: str, nbytes: int) -> DataWriter:
        return Sink(super().create(file, nbytes), self._wrote)


class Sink:
    def __init__(self, inner: DataWriter, wrote: Callable[[], None]) -> None:
        self._inner, self._wrote = inner, wrote
        self.finish, self.abort = inner.finish, inner.abort

    def write(self, chunk: memoryview) -> None:
        self._inner.write(chunk)
        self._wrote()


@pytest.fixture
def save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Following]:
    made = Following(tmp_path)
    really = saving._hash

    def hashed(save: Save) -> object:
        result = really(save)
        made.heard[HASHING].put("done")
        return result

    monkeypatch.setattr(saving, "_hash", hashed)
    yield made
    made.stop("the test is over")  # whatever waits for it still


def begin(save: Following, then: dict[int, object] | None = None) -> Future[Written]:
    """Write it in another thread; `heard` says when its chunks are there."""
    backend = Watched(LocalBackend(Path(save.plan.root)), lambda: save.heard[WRITING].put("done"), then=then or {})
    executor = ThreadPoolExecutor(1, "writes")
    written = executor.submit(write, save, backend)
    executor.shutdown(wait=False)
    return written


def wait_for(save: Following, who: str, what: str) -> None:
    while save.heard[who].get(timeout=PATIENCE_S) != what:
        pass


def test_bytes_are_neither_hashed_nor_written_before_they_are_copied(save: Following, tmp_path: Path) -> None:
    written = begin(save)
    save.copy_header()
    for who in (HASHING, WRITING):
        assert save.heard[who].get(timeout=PATIENCE_S) == "waits"
    save.copy_rest()
    save.stage((Phase("copy", 0.0, 1.0),))
    written.result(PATIENCE_S)
    (data,), (segment_file,) = tmp_path.glob("steps/*/*.safetensors"), tmp_path.glob("steps/*/*.json")
    assert data.read_bytes() == bytes(save.view)
    segment = unseal(segment_file.read_bytes(), Segment, "")
    assert segment.header_hash == xxhash.xxh3_128_hexdigest(save.image.header)
    assert [phase.name for phase in segment.phases] == ["copy", "hash", "write"]
    (fragment,) = segment.fragments
    assert fragment.hashes == block_hashes(ARRAYS["w"].view("u1").data, block_nbytes(fragment.extent, 8))


def test_no_file_is_seen_of_a_save_that_is_written_whole_but_not_said_to_belong_together(save: Following, tmp_path: Path) -> None:
    written = begin(save)
    save.copy_header()
    save.copy_rest()
    wait_for(save, HASHING, "done")
    for _ in range(-(-save.plan.nbytes // saving.CHUNK_BYTES)):
        wait_for(save, WRITING, "done")
    save.stop("the weights were changed meanwhile")
    with pytest.raises(SaveFailed, match="the weights were changed meanwhile"):
        written.result(PATIENCE_S)
    assert files_of(tmp_path) == []


def test_a_disk_that_is_full_ends_a_save_that_is_still_being_copied(save: Following, tmp_path: Path) -> None:
    def full() -> None:
        raise StoreFull("the disk is full")

    written = ThreadPoolExecutor(1, "writes").submit(write, save, Watched(LocalBackend(tmp_path), full))
    save.copy_header()
    save.advance(save.plan.nbytes - 1)  # never all
    with pytest.raises(StoreFull):
        written.result(PATIENCE_S)
    assert files_of(tmp_path) == []


def test_a_segment_that_can_not_be_put_down_takes_its_data_along(save: Following, tmp_path: Path) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "no space left")

    written = begin(save, then={2: full})  # after the data file
    save.copy_header()
    save.copy_rest()
    save.stage(())
    with pytest.raises(OSError, match="no space left"):
        written.result(PATIENCE_S)
    assert files_of(tmp_path) == []


def test_what_is_copied_stays_copied_and_what_ended_a_save_first_is_why(save: Following) -> None:
    save.advance(100)
    save.advance(50)  # a late word
    assert save.await_bytes(10) == 100
    save.stop("rank 1 died")
    save.stop("the trainer ended")
    with pytest.raises(SaveFailed, match="rank 1 died"):
        save.await_bytes(10)
    with pytest.raises(SaveFailed, match="rank 1 died"):
        save.pause(PATIENCE_S)
