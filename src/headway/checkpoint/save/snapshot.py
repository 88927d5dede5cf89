"""Copies what a save holds into the image of its file, while the training goes on.

Parameters and moments change in an optimizer step and nowhere else, so between two steps they may be copied at leisure
(DataStates-LLM, 2406.10707). What is not `guarded` like this is copied before `start` returns. The rest is copied by a background
thread in the order of the file, in slices, without the interpreter lock; whoever is about to change the state calls `wait`, which
helps copying until all is there. `StepGuard` (`guard.py`) lets torch's optimizers call it.

If a tensor changed all the same, its version shows it. Its snapshot is torn, neither the state before nor the state after, and is
reported as SaveFailed. Not every change moves a version (writes through `.data`, numpy or another process do not). So some elements
of each guarded tensor are looked at when the snapshot starts, and must be the same in the copy: all of a small tensor, and of a
large one enough to notice that it was scaled, zeroed or exchanged (`sample.py`). With `debug` all are, by hash. Nothing here ever
raises into the training: `on_end` receives the outcome.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import xxhash

from headway.checkpoint.files.manifest import Phase
from headway.checkpoint.layout.boxes import Box
from headway.checkpoint.layout.dtypes import NBYTES, raw_dtype
from headway.checkpoint.layout.pieces import Piece
from headway.checkpoint.process.failpoints import reach
from headway.checkpoint.save.sample import Spread, sample, sample_of_copy, spread
from headway.checkpoint.state.inventory import Holding
from headway.errors import SaveFailed

SLICE_BYTES = 16 << 20
LOOKED_AT = 64  # elements of each guarded tensor: each may cost a cache miss, in the time that the training waits
_TELL_BYTES = 4 << 20
_ADVICE = (
    "before you change the state outside of an optimizer's step (as the forward of an Embedding with `max_norm` does), call "
    "`guard()` of the Checkpoints, or `staged()` of the save"
)


class Copy(NamedTuple):
    """A piece of a holding that goes to byte `start` of the image, row-major."""

    holding: Holding
    piece: Piece
    start: int

    @property
    def nbytes(self) -> int:
        return self.piece.box.volume * NBYTES[self.holding.object.dtype]

    def slices(self, most: int = SLICE_BYTES) -> list[Copy]:
        """Cut it along its first dimensions, in the order of its bytes. Each part is contiguous in the file and has at most `most`
        bytes (or one element)."""
        found: list[Copy] = []
        start = self.start
        for box in _cut(self.piece.box, 0, max(1, most // NBYTES[self.holding.object.dtype])):
            found.append(Copy(self.holding, self.piece.narrow(box), start))
            start += found[-1].nbytes
        return found


def _cut(box: Box, axis: int, most: int) -> list[Box]:
    """Cut a box that has one element in all dimensions before `axis` into parts of at most `most` elements."""
    if box.volume <= most:
        return [box]
    row, parts = box.volume // box.extent[axis], []
    rows = max(1, most // row)
    for at in range(0, box.extent[axis], rows):
        offset = (*box.offset[:axis], box.offset[axis] + at, *box.offset[axis + 1 :])
        extent = (*box.extent[:axis], min(rows, box.extent[axis] - at), *box.extent[axis + 1 :])
        parts += _cut(Box(offset, extent), axis + 1, most)
    return parts


class Snapshot:
    """A copy in progress. `items` are in the order of the file, whose first bytes are `header`; `into` is the whole image.

    Args:
        on_watermark: called, from any thread, with how many first bytes of the image are final, as long as not all are.
        on_end: called once, from any thread, with None when all is copied, or with why the snapshot is of no use. Nothing reads
            the state or writes to the image after that.
        bytes_per_s: how fast the background thread copies at most; whoever waits copies as fast as it can.
        debug: compare the hashes of all bytes, too.
        phase: a number that differs for each snapshot. It decides which elements are looked at.
    """

    def __init__(
        self,
        items: Sequence[Copy],
        into: memoryview,
        on_watermark: Callable[[int], None],
        on_end: Callable[[SaveFailed | None], None],
        *,
        header: bytes = b"",
        bytes_per_s: float | None = None,
        debug: bool = False,
        phase: int = 0,
    ) -> None:
        self.error: SaveFailed | None = None
        self.copied_s = 0.0  # seconds that threads spent copying
        self._items = list(items)
        self._into, self._header = into, header
        self._on_watermark, self._on_end = on_watermark, on_end
        self._bytes_per_s = bytes_per_s
        self._debug, self._phase = debug, phase
        sliced = [(number, part) for number, item in enumerate(self._items) for part in item.slices()]
        self._parts = [part for _, part in sliced]
        self._item_of = [number for number, _ in sliced]
        self._copied = [False] * len(self._parts)
        self._left = Counter(self._item_of)
        self._next = self._first_open = 0  # the first slice that nobody has taken; the first that is not yet in the image
        self._busy = self._told = 0
        self._versions: list[int] = []
        self._samples: dict[int, bytes] = {}
        self._hashes: dict[int, str] = {}
        self._phases: list[Phase] = []
        self._late_began = self._wait_began = 0.0
        self._changed = threading.Condition()
        self._hurry = threading.Event()
        self._ending = self._ended = False

    def start(self) -> None:
        """Copy what is not guarded, then go on in the background."""
        began, self._busy = time.time(), 1
        self._into[: len(self._header)] = self._header
        self._versions = [item.holding.memory.version() for item in self._items]
        self._look()
        nbytes = 0
        for at, part in enumerate(self._parts):
            if not self._is_guarded(at):
                self._take_note(at, self._try_to_copy(part))
                nbytes += part.nbytes
                if at == len(self._parts) // 2:
                    reach("trainer:half-copied")
        self._busy, self._late_began = 0, time.time()
        self._phases.append(Phase("copy", began, self._late_began - began, nbytes))
        self._settle()
        if not self._ended:
            threading.Thread(target=self._copy_in_background, name="headway-snapshot").start()

    @property
    def ended(self) -> bool:
        """Whether nothing reads the state any more."""
        return self._ended

    def wait(self, timeout_s: float | None = None) -> float:
        """Wait until the state may be changed, because all is copied or the snapshot has failed, or for so many seconds (see
        `ended`). Return how long that took, in seconds."""
        if self._ended:
            return 0.0
        self._wait_began = self._wait_began or time.time()
        begin = time.perf_counter()
        self._hurry.set()
        until = None if timeout_s is None else begin + timeout_s
        while (until is None or time.perf_counter() < until) and self._copy_one() is not None:
            pass
        with self._changed:
            self._changed.wait_for(lambda: self._ended, None if until is None else max(0.0, until - time.perf_counter()))
        return time.perf_counter() - begin

    def abandon(self, reason: str) -> None:
        """Copy no more; ends as soon as the slices that are being copied are done."""
        with self._changed:
            self.error = self.error or SaveFailed(reason)
        self._hurry.set()
        self._settle()

    def phases(self) -> tuple[Phase, ...]:
        """List what was done so far: the copy inside of `start`, the one in the background, and the wait for it."""
        return tuple(self._phases)

    # --- copying -----------------------------------------------------------------------------------------------------

    def _copy_in_background(self) -> None:
        begin, copied = time.perf_counter(), 0
        while (part := self._copy_one()) is not None:
            copied += part.nbytes
            if self._bytes_per_s and not self._hurry.is_set():
                self._hurry.wait(max(0.0, begin + copied / self._bytes_per_s - time.perf_counter()))

    def _copy_one(self) -> Copy | None:
        """Copy the next slice and return it; None if there is none left."""
        with self._changed:
            while self._next < len(self._parts) and not self._is_guarded(self._next):
                self._next += 1
            if self._next == len(self._parts) or self.error is not None:
                return None
            at, self._next = self._next, self._next + 1
            self._busy += 1
        error = self._try_to_copy(self._parts[at])
        if at == len(self._parts) // 2:
            reach("trainer:half-copied")
        with self._changed:
            self._busy -= 1
            self._take_note(at, error)
        self._settle()
        return self._parts[at]

    def _is_guarded(self, at: int) -> bool:
        return self._parts[at].holding.guarded

    def _try_to_copy(self, part: Copy) -> SaveFailed | None:
        """Copy a slice to its place. Return what went wrong, if anything did."""
        begin, holding = time.perf_counter(), part.holding
        try:
            if part.nbytes:
                flat = np.frombuffer(self._into, raw_dtype(holding.object.dtype), part.piece.box.volume, part.start)
                holding.memory.read(part.piece, flat.reshape(part.piece.box.extent))
        except Exception as error:
            return _unreadable(holding.name, part.piece, error)
        finally:
            self.copied_s += time.perf_counter() - begin
        return None

    # --- what becomes of it ------------------------------------------------------------------------------------------

    def _take_note(self, at: int, error: SaveFailed | None) -> None:
        """Note that a slice was copied, or failed. After a tensor's last slice, check whether the tensor has changed meanwhile."""
        number = self._item_of[at]
        self._copied[at] = True
        self._left[number] -= 1
        if error is None and not self._left[number]:
            error = self._torn(number, hashes=True)
        self.error = self.error or error

    def _settle(self) -> None:
        """Report how far the image is final, and end if nothing more is to come."""
        with self._changed:
            while self._first_open < len(self._parts) and self._copied[self._first_open]:
                self._first_open += 1
            complete = self._first_open == len(self._parts)
            mark = self._told if complete else self._parts[self._first_open].start
            tell = self.error is None and mark >= self._told + _TELL_BYTES
            self._told = mark if tell else self._told
            end = not self._ending and not self._busy and (complete or self.error is not None)
            self._ending = self._ending or end
        if tell:
            self._on_watermark(mark)
        if end:
            self._end()

    def _end(self) -> None:
        # A change that was still being made when its tensor had been copied has moved the version by now.
        torn = (self._torn(number, hashes=False) for number, item in enumerate(self._items) if item.holding.guarded)
        self.error = self.error or next(filter(None, torn), None)
        now, nbytes = time.time(), sum(part.nbytes for at, part in enumerate(self._parts) if self._is_guarded(at))
        self._phases.append(Phase("copy", self._late_began, now - self._late_began, nbytes))
        if self._wait_began:
            self._phases.append(Phase("guard wait", self._wait_began, now - self._wait_began))
        try:
            self._on_end(self.error)
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _torn(self, number: int, *, hashes: bool) -> SaveFailed | None:
        """Return an error if a tensor is not what it was at the start."""
        item = self._items[number]
        if item.holding.memory.version() != self._versions[number]:
            return SaveFailed(f"{item.holding.name} was changed while it was being copied: {_ADVICE}")
        if hashes and number in self._samples:
            code = item.holding.object.dtype
            copy = self._into[item.start : item.start + item.nbytes]
            same = sample_of_copy(copy, code, self._spread(number)) == self._samples[number]
            if not same or (self._hashes and xxhash.xxh3_128_hexdigest(copy) != self._hashes[number]):
                return SaveFailed(f"{item.holding.name} was changed while it was being copied, unseen by its version: {_ADVICE}")
        return None

    def _look(self) -> None:
        """Take samples of the guarded tensors as they are now."""
        for number, item in enumerate(self._items):
            if item.holding.guarded and self.error is None:
                try:
                    self._samples[number] = self._sample(number)
                    if self._debug:
                        self._hashes[number] = self._hash(number)
                except Exception as error:
                    self.error = _unreadable(item.holding.name, item.piece, error)

    def _spread(self, number: int) -> Spread | None:
        return spread(self._items[number].piece, LOOKED_AT, self._phase)

    def _sample(self, number: int) -> bytes:
        """Read some elements of a tensor as they are now."""
        item = self._items[number]
        return sample(item.holding.memory, item.piece, item.holding.object.dtype, self._spread(number))

    def _hash(self, number: int) -> str:
        """Hash a tensor's bytes as they are now."""
        item, digest = self._items[number], xxhash.xxh3_128()
        for part in item.slices():
            if part.nbytes:
                scratch: np.ndarray[Any, np.dtype[Any]] = np.empty(part.piece.box.extent, raw_dtype(item.holding.object.dtype))
                item.holding.memory.read(part.piece, scratch)
                digest.update(scratch.tobytes())
        return digest.hexdigest()


def _unreadable(name: str, piece: Piece, error: Exception) -> SaveFailed:
    failed = SaveFailed(f"{name}{piece.box} could not be copied: {type(error).__name__}: {error}")
    failed.__cause__ = error
    return failed
