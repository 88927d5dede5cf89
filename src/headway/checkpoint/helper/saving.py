"""One save in the helper: its data file is hashed and written while it is still being copied, then its segment is sealed.

Two threads follow the watermark independently: one hashes block after block, one hands chunks to the backend. Both release the
interpreter lock, so a save runs at the speed of the slowest of copying, hashing and writing. The file becomes visible only when
the trainer has said that all bytes are in place and belong together; until then an end of any kind leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import xxhash

from headway.checkpoint.backend.base import Backend, DataWriter
from headway.checkpoint.helper.messages import WriterPlan, Written
from headway.checkpoint.helper.points import reach
from headway.checkpoint.manifest import Fragment, Phase, Segment, block_hashes, block_nbytes, folder_of, seal
from headway.errors import HeadwayError, SaveFailed

CHUNK_BYTES = 32 << 20
_LEAST_CHUNK_BYTES = 8 << 20
_ALIGNED_BYTES = 1 << 20  # what a backend wants of every chunk but the last


class Save:
    """A save in flight: what the trainer said of it so far."""

    def __init__(self, plan: WriterPlan, view: memoryview) -> None:
        self.plan = plan
        self.view = view
        self.phases: tuple[Phase, ...] = ()
        self.cpu_began = time.process_time()
        self.staged = False
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

    def advance(self, copied: int) -> None:
        with self._changed:
            self._copied = max(self._copied, copied)
            self._changed.notify_all()

    def stage(self, phases: tuple[Phase, ...]) -> None:
        with self._changed:
            self.staged, self.phases, self._copied = True, phases, self.plan.nbytes
            self._changed.notify_all()

    def stop(self, reason: str) -> None:
        """Let whatever waits or works for this save end with SaveFailed."""
        with self._changed:
            self._stopped = self._stopped or reason
            self._changed.notify_all()

    def await_bytes(self, nbytes: int) -> int:
        """Wait until so many are copied; how many are."""
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


def write(save: Save, backend: Backend) -> Written:
    """Write the data file and the sealed segment of a save, both durable when this returns. Leaves nothing behind on an error."""
    plan = save.plan
    began, wait_s, write_s = time.time(), 0.0, 0.0
    sink = backend.create(save.data_file, plan.nbytes)
    with ThreadPoolExecutor(1, "headway-hash") as executor:
        hashing = executor.submit(_hash, save)
        try:
            wait_s, write_s = _feed(save, sink)
            fragments, header_hash, hash_phase, hash_s = hashing.result()
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
    phases = (hash_phase, Phase("write", began, time.time() - began, plan.nbytes))
    segment = Segment(save.data_file, plan.nbytes, plan.header_nbytes, header_hash, fragments, plan.writer, (*save.phases, *phases))
    reach("helper:before-segment")
    try:
        backend.put(save.segment_file, seal(segment))
    except BaseException:
        with contextlib.suppress(OSError, HeadwayError):
            backend.delete([save.data_file])
        raise
    reach("helper:after-segment")
    return Written(plan.id, plan.nbytes, hash_s, write_s, wait_s, phases)


def _feed(save: Save, sink: DataWriter) -> tuple[float, float]:
    """Hand the file over, chunk by chunk as it is copied. Seconds waited, seconds spent writing."""
    at, total = 0, save.plan.nbytes
    wait_s = write_s = 0.0
    while at < total:
        start = time.perf_counter()
        copied = save.await_bytes(min(at + _LEAST_CHUNK_BYTES, total))
        end = min(copied, at + CHUNK_BYTES)
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


def _hash(save: Save) -> tuple[tuple[Fragment, ...], str, Phase, float]:
    """The fragments with the hashes of their blocks, the header's hash, when it was done, and the seconds spent at it."""
    began, hash_s = time.time(), 0.0
    save.await_bytes(save.plan.header_nbytes)
    header_hash = xxhash.xxh3_128_hexdigest(save.view[: save.plan.header_nbytes])
    fragments = []
    for planned in save.plan.fragments:
        block, end = block_nbytes(planned.extent, planned.itemsize), planned.start + planned.nbytes
        hashes = []
        for at in range(planned.start, end, block):
            save.await_bytes(min(at + block, end))
            start = time.perf_counter()
            hashes.append(block_hashes(save.view[at : min(at + block, end)], block))
            hash_s += time.perf_counter() - start
        fragments.append(Fragment(planned.name, planned.offset, planned.extent, planned.start, "".join(hashes)))
    return tuple(fragments), header_hash, Phase("hash", began, time.time() - began, save.plan.nbytes), hash_s
