"""Reads a whole checkpoint and reports everything that is wrong with it.

A load stops at the first thing that it can't trust. This goes on, so that somebody can decide whether to restore one file from
elsewhere, give up one tensor or take an earlier checkpoint. Manifest and segments are checked against their seals, every file
against its size, its header and all blocks against their hashes, and the boxes of every object against its shape.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Literal, NamedTuple

import msgspec
import xxhash

from headway.checkpoint.catalog.metrics import METRICS, with_metrics
from headway.checkpoint.files.foreign import locate, stat_data
from headway.checkpoint.files.manifest import ROOT_NAME, Manifest, Segment, seal
from headway.checkpoint.files.stored import read_manifest, read_segment
from headway.checkpoint.layout.boxes import whole
from headway.checkpoint.load.blocks import Block, Contents
from headway.checkpoint.load.plan import READ_BYTES, Read, coalesce
from headway.checkpoint.load.reading import each, find_damaged_blocks, open_source, split
from headway.errors import CheckpointDamaged, CheckpointError
from headway.storage.backend import Backend

THREADS = 4
Kind = Literal["manifest", "segment", "missing", "truncated", "longer", "header", "block", "unreadable", "coverage", "metrics"]
Progress = Callable[[int, int], None]  # bytes done, bytes in all


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong, in a sentence and as data. `block`: its number in the fragment, -1 where no block is meant;
    `begin` and `end`: bytes of the file."""

    kind: Kind
    file: str
    text: str
    tensors: tuple[str, ...] = ()
    block: int = -1
    begin: int = 0
    end: int = 0

    def __str__(self) -> str:
        return self.text


class Report(msgspec.Struct, frozen=True):
    """What was found. `nbytes` were read."""

    label: str
    problems: tuple[Problem, ...]
    files: int
    blocks: int
    nbytes: int
    seconds: float

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def tensors(self) -> tuple[str, ...]:
        """Those that can't be loaded."""
        return tuple(sorted({name for problem in self.problems for name in problem.tensors}))

    def __str__(self) -> str:
        checked = f"{self.files} files, {self.blocks} blocks, {self.nbytes:,} bytes in {self.seconds:.1f} s"
        if self.whole:
            return f"{self.label}: whole ({checked})"
        return "\n  ".join([f"{self.label}: {len(self.problems)} problems ({checked})", *map(str, self.problems)])


class _Region(NamedTuple):
    """What is read at once: blocks, or the header of a segment (no blocks)."""

    segment: int
    read: Read | None


def verify(backend: Backend, checkpoint: Manifest | str, progress: Progress | None = None, threads: int | None = None) -> Report:
    """Check a checkpoint, given by its manifest or its folder.

    Args:
        progress: called with the bytes done and the bytes in all, now and then, from one thread at a time.
        threads: how many threads read; None: as many as the machine has cores, up to four.

    Returns: the report. Damage is never raised. NoCheckpoint is, if there is no manifest and none was given.
    """
    began = time.perf_counter()
    manifest, problems = _manifest(backend, checkpoint)
    if manifest is None:
        return Report(str(checkpoint), tuple(problems), 1, 0, 0, time.perf_counter() - began)
    segments: list[Segment] = []
    for ref in manifest.segments:
        try:
            segments.append(read_segment(backend, ref))
        except CheckpointError as error:
            problems.append(Problem("segment", ref.file, str(error)))
    contents = Contents(manifest, segments)
    problems += _coverage(contents)
    check = _Check(backend, contents, progress)
    problems += check.run(threads or min(THREADS, os.cpu_count() or 1))
    with_metrics(backend, [manifest], lambda why: problems.append(Problem("metrics", METRICS, why)))
    files = 1 + len(manifest.segments) + len(segments)
    return Report(contents.label, tuple(problems), files, check.blocks, check.done, time.perf_counter() - began)


def _manifest(backend: Backend, checkpoint: Manifest | str) -> tuple[Manifest | None, list[Problem]]:
    given = checkpoint if isinstance(checkpoint, Manifest) else None
    folder = checkpoint if isinstance(checkpoint, str) else checkpoint.folder
    file = f"{folder}/{ROOT_NAME}"
    try:
        found = read_manifest(backend, folder)
    except CheckpointError as error:
        if given is None and not isinstance(error, CheckpointDamaged):
            raise
        return given, [Problem("manifest", file, str(error))]
    if given is not None and seal(found) != seal(given):
        return given, [Problem("manifest", file, f"{file}: whole, but not the manifest that was given: it was replaced")]
    return found, []


def _coverage(contents: Contents) -> Iterator[Problem]:
    """Find objects that the readable segments don't hold exactly once."""
    for name, known in contents.manifest.objects.items():
        try:
            if contents.holder(name) == name:
                contents.meeting(name, whole(known.shape))
        except CheckpointError as error:
            yield Problem("coverage", "", str(error), (name,))
    for name in contents.strangers():
        files = sorted({each.file for each in contents.segments if any(part.name == name for part in each.fragments)})
        text = f"{contents.label}: {', '.join(files)} hold bytes of {name}, which the manifest says has none of its own"
        yield Problem("coverage", files[0], text, (name,))


class _Check:
    """Compares all data files with what their segments say."""

    def __init__(self, backend: Backend, contents: Contents, progress: Progress | None) -> None:
        self._backend = backend
        self._contents = contents
        self._progress = progress or (lambda done, total: None)
        self._lock = threading.Lock()
        self._problems: list[tuple[tuple[int, int], Problem]] = []
        self._total = 0
        self.done = 0
        self.blocks = 0

    def run(self, threads: int) -> list[Problem]:
        """Find all problems, in the order of the files."""
        regions = self._regions()
        headers = sum(self._contents.segments[region.segment].header_nbytes for region in regions if region.read is None)
        self._total = headers + sum(region.read.nbytes for region in regions if region.read is not None)
        self._buffers = [memoryview(bytearray(READ_BYTES)) for _ in range(threads)]
        self._source = open_source(self._backend, self._contents)
        try:
            each(regions, self._region, threads)
        finally:
            self._source.close()
        return [problem for _, problem in sorted(self._problems, key=lambda found: found[0])]

    def _regions(self) -> list[_Region]:
        """List what can be read at all, in the order of the files. What can't be read is a problem already."""
        blocks: dict[int, list[Block]] = {}
        for name, known in self._contents.manifest.objects.items():
            with suppress(CheckpointDamaged):  # reported by the coverage check
                for part in () if known.alias_of else self._contents.parts(name):
                    blocks.setdefault(part.segment, []).extend(map(part.block, range(part.count)))
        regions: list[_Region] = []
        for number, segment in enumerate(self._contents.segments):
            size = self._size(number, segment, blocks.get(number, []))
            if segment.header_nbytes <= size:
                regions.append(_Region(number, None))
            there = sorted(block for block in blocks.get(number, []) if block.end <= size)
            self.blocks += len(there)
            regions += [_Region(number, read) for read in coalesce(there)]
        return regions

    def _size(self, number: int, segment: Segment, blocks: Sequence[Block]) -> int:
        """Return the size of a file, and note a problem if it should have another."""
        try:
            stat = stat_data(self._backend, segment.file)
        except CheckpointError as error:
            self._note(number, -1, "unreadable", f"{segment.file} can't be read: {error}", self._names(blocks), 0, segment.nbytes)
            return -1
        size = -1 if stat is None else stat.nbytes
        if size < 0:
            self._note(number, -1, "missing", f"{segment.file} is missing", self._names(blocks), 0, segment.nbytes)
        elif size < segment.nbytes:
            lost = self._names(block for block in blocks if block.end > size)
            text = f"{segment.file} is cut off: it has {size:,} of {segment.nbytes:,} bytes"
            self._note(number, -1, "truncated", text, lost, size, segment.nbytes)
        elif size > segment.nbytes:
            text = f"{segment.file} is longer than it was: {size:,} instead of {segment.nbytes:,} bytes (its tensors are checked)"
            self._note(number, -1, "longer", text, (), segment.nbytes, size)
        return size

    def _names(self, blocks: Iterator[Block] | Sequence[Block]) -> tuple[str, ...]:
        return tuple(sorted({self._contents.fragment_of(block).name for block in blocks}))

    def _note(
        self, number: int, at: int, kind: Kind, text: str, tensors: tuple[str, ...], begin: int, end: int, block: int = -1
    ) -> None:
        lost = f": lost are {', '.join(tensors)}" if tensors and block < 0 else ""
        problem = Problem(kind, self._contents.segments[number].file, text + lost, tensors, block, begin, end)
        with self._lock:
            self._problems.append(((number, at), problem))

    def _region(self, region: _Region) -> None:
        nbytes = self._header(region.segment) if region.read is None else self._blocks(region.read)
        with self._lock:
            self.done += nbytes
            self._progress(self.done, self._total)

    def _header(self, number: int) -> int:
        segment = self._contents.segments[number]
        digest = xxhash.xxh3_128()
        buffer = memoryview(bytearray(min(READ_BYTES, segment.header_nbytes)))
        where = f"{segment.file}: its header (bytes 0 to {segment.header_nbytes})"
        try:
            for at in range(0, segment.header_nbytes, READ_BYTES):
                part = buffer[: segment.header_nbytes - at]
                owner, name = locate(self._backend, segment.file)
                owner.read(name, at, part)
                digest.update(part)
        except CheckpointError as error:
            self._note(number, 0, "unreadable", f"{where} can't be read: {error}", (), 0, segment.header_nbytes)
        else:
            if digest.hexdigest() != segment.header_hash:
                text = f"{where} is not what was written; its tensors are checked by themselves"
                self._note(number, 0, "header", text, (), 0, segment.header_nbytes)
        return segment.header_nbytes

    def _blocks(self, read: Read) -> int:
        buffer = self._buffers.pop()
        try:
            view = buffer[: read.nbytes]
            try:
                self._source.fetch(read, [view])
            except CheckpointDamaged as error:
                names = self._names(read.blocks)
                self._note(read.segment, read.start, "unreadable", str(error), names, read.start, read.start + read.nbytes)
                return read.nbytes
            for block in find_damaged_blocks(self._contents, read.blocks, split(view, read.blocks)):
                text = f"{self._contents.describe(block)}: not the bytes that were written (their hash differs)"
                names = self._names([block])
                self._note(read.segment, block.start, "block", text, names, block.start, block.end, block.number)
        finally:
            self._buffers.append(buffer)
        return read.nbytes
