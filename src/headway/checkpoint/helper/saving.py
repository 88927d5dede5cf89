"""One save in the helper: hash and write its data file while the trainer still copies, then seal its segment.

Two threads follow the watermark independently: one hashes block after block, one hands chunks to the backend. Both release the
interpreter lock, so a save runs at the speed of the slowest of copying, hashing and writing. The file becomes visible only when the
trainer has said that all bytes are in place and belong together. A save that ends before that, in any way, leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import msgspec
import xxhash

from headway.checkpoint.files.manifest import Fragment, Phase, PlannedFragment, Segment, SegmentRef, block_hashes, folder_of, seal
from headway.checkpoint.files.write import FragmentData, put_segment, write_segment
from headway.checkpoint.helper.messages import WriterPlan, Written
from headway.checkpoint.helper.sharing import Basis, SharedFragment, keep_lively, make_segments
from headway.checkpoint.process.failpoints import reach
from headway.errors import HeadwayError, SaveFailed
from headway.storage.backend import Backend, DataWriter

STILL = "still"  # ends the name of a writer's second file
CHUNK_BYTES = 32 << 20
_LEAST_CHUNK_BYTES = 8 << 20
_ALIGNED_BYTES = 1 << 20  # what a backend wants of every chunk but the last


class Save:
    """A save in flight: what the trainer has reported so far, and the segments that were written for it."""

    def __init__(self, plan: WriterPlan, view: memoryview) -> None:
        self.plan = plan
        self.view = view
        self.phases: tuple[Phase, ...] = ()
        self.cpu_began = time.process_time()
        self.staged = False
        self.segments: list[Segment] = []
        self._copied = 0
        self._stopped = ""
        self._changed = threading.Condition()

    @property
    def folder(self) -> str:
        return folder_of(self.plan.step, self.plan.id)

    @property
    def data_file(self) -> str:
        return f"{self.folder}/{self.plan.writer}.safetensors"

    @property
    def segment_file(self) -> str:
        return f"{self.folder}/{self.plan.writer}.json"

    @property
    def files(self) -> list[str]:
        """The files that may exist, the segment that the others wait for first."""
        more = [f"{self.folder}/{self.plan.writer}-{STILL}.safetensors"]
        return [self.segment_file, *(f"{self.folder}/{each.writer}.json" for each in self.segments), self.data_file, *more]

    def advance(self, copied: int) -> None:
        with self._changed:
            self._copied = max(self._copied, copied)
            self._changed.notify_all()

    def stage(self, phases: tuple[Phase, ...]) -> None:
        with self._changed:
            self.staged, self.phases, self._copied = True, phases, self.plan.nbytes
            self._changed.notify_all()

    def stop(self, reason: str) -> None:
        """End whatever waits or works for this save with SaveFailed."""
        with self._changed:
            self._stopped = self._stopped or reason
            self._changed.notify_all()

    def await_bytes(self, nbytes: int) -> int:
        """Wait until this many bytes are copied. Return how many are."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._copied >= nbytes)
            self._raise_if_stopped()
            return self._copied

    def await_staged(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self.staged)
            self._raise_if_stopped()

    def pause(self, seconds: float) -> None:
        """Wait, unless the save is stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped, seconds)
            self._raise_if_stopped()

    def _raise_if_stopped(self) -> None:
        if self._stopped:
            raise SaveFailed(self._stopped)


def write(save: Save, backend: Backend, basis: Basis | None = None) -> Written:
    """Write the data file and the sealed segments of a save, all durable when this returns. Leaves nothing behind on an error.

    What is announced as unchanged is not written if `basis` has it; otherwise it gets a file of its own."""
    plan, basis = save.plan, basis or Basis({}, backend)
    began, wait_s, write_s = time.time(), 0.0, 0.0
    sink = backend.create(save.data_file, plan.of_file_nbytes)
    with ThreadPoolExecutor(1, "headway-hash") as executor:
        hashing = executor.submit(_hash, save)
        try:
            wait_s, write_s = _feed(save, sink)
            fragments, still, header_hash, hash_phase, hash_s = hashing.result()
            save.await_staged()
            reach("helper:before-finish")
            finish = time.perf_counter()
            sink.finish()
            write_s += time.perf_counter() - finish
        except BaseException as error:
            save.stop(str(error))
            with contextlib.suppress(OSError, HeadwayError):  # what went wrong first is what matters
                sink.abort()
            raise
    reach("helper:before-segment")
    try:
        stilled = _put_still(save, backend, basis, still)
        shared = sum(each.nbytes for each in stilled.shared)
        phases = (hash_phase, Phase("write", began, time.time() - began, plan.nbytes - shared))
        told = (*save.phases, *phases)
        size = plan.of_file_nbytes
        segment = Segment(save.data_file, size, plan.header_nbytes, header_hash, fragments, plan.writer, told, stilled.refs)
        backend.put(save.segment_file, seal(segment))
        save.segments.append(segment)
    except BaseException:
        with contextlib.suppress(OSError, HeadwayError):
            backend.delete(save.files)
        raise
    reach("helper:after-segment")
    written = [each.name for each in fragments if each.hashes and basis.find(each.name, each.offset, each.extent, each.hashes)]
    unchanged = tuple(dict.fromkeys([*stilled.unchanged, *written]))
    return Written(plan.id, plan.nbytes, hash_s, write_s, wait_s, phases, shared, unchanged)


class _Stilled(NamedTuple):
    """What became of the boxes announced as unchanged: where they are, which are shared, and the names of the unchanged ones."""

    refs: tuple[SegmentRef, ...]
    shared: list[PlannedFragment]
    unchanged: list[str]


def _put_still(save: Save, backend: Backend, basis: Basis, still: list[tuple[PlannedFragment, str]]) -> _Stilled:
    """Record where each box that was announced as unchanged is: in an earlier file, or in a new one."""
    found: list[tuple[PlannedFragment, SharedFragment]] = []
    for each, hashes in still:
        place = basis.find(each.name, each.offset, each.extent, hashes)
        if place is not None:
            found.append((each, place))
    shared = keep_lively(found)
    there = {each.start for each, _ in shared}
    parts = [
        FragmentData(each.name, each.object, each.box, save.view[each.start : each.start + each.nbytes])
        for each, _ in still
        if each.start not in there
    ]
    writer, refs = save.plan.writer, []
    segments = [msgspec.structs.replace(each, writer=f"{writer}-{at:05d}") for at, each in enumerate(make_segments(shared))]
    if parts:
        segments.append(write_segment(backend, save.folder, f"{writer}-{STILL}", parts, save.plan.id))
    for segment in segments:
        save.segments.append(segment)
        refs.append(put_segment(backend, save.folder, segment))
    return _Stilled(tuple(refs), [each for each, _ in shared], [each.name for each, _ in found])


def _feed(save: Save, sink: DataWriter) -> tuple[float, float]:
    """Hand the file over, chunk by chunk as it is copied. Return the seconds waited and the seconds spent writing."""
    at, total = 0, save.plan.of_file_nbytes
    wait_s = write_s = 0.0
    while at < total:
        start = time.perf_counter()
        copied = save.await_bytes(min(at + _LEAST_CHUNK_BYTES, total))
        end = min(copied, at + CHUNK_BYTES, total)
        if end < total:
            end -= end % _ALIGNED_BYTES
        written = time.perf_counter()
        sink.write(save.view[at:end])
        wait_s += written - start
        write_s += time.perf_counter() - written
        if at < total // 2 <= end:
            reach("helper:data-half")
        at = end
    return wait_s, write_s


def _hash(save: Save) -> tuple[tuple[Fragment, ...], list[tuple[PlannedFragment, str]], str, Phase, float]:
    """Hash the save as it is copied. Return the fragments with the hashes of their blocks, the unchanged ones with theirs, the
    header's hash, when this was done, and the seconds spent at it."""
    began, hash_s = time.time(), 0.0
    save.await_bytes(save.plan.header_nbytes)
    header_hash = xxhash.xxh3_128_hexdigest(save.view[: save.plan.header_nbytes])

    def hashed(fragment: PlannedFragment) -> Fragment:
        nonlocal hash_s
        block, end = fragment.block_nbytes, fragment.start + fragment.nbytes
        hashes = []
        for at in range(fragment.start, end, block):
            save.await_bytes(min(at + block, end))
            start = time.perf_counter()
            hashes.append(block_hashes(save.view[at : min(at + block, end)], block))
            hash_s += time.perf_counter() - start
        return fragment.with_hashes("".join(hashes))

    fragments = tuple(map(hashed, save.plan.fragments))
    still = [(each, hashed(each).hashes) for each in save.plan.still]
    return fragments, still, header_hash, Phase("hash", began, time.time() - began, save.plan.nbytes), hash_s
