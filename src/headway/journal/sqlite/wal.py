"""Whether the write-ahead log holds commits that SQLite will not read.

SQLite reads its log up to the first frame whose checksum is wrong and takes that for the end: right after a crash,
where the tail is torn, but a flipped bit in the middle makes later commits vanish without a word. The log's frames
say themselves whether commits stand behind the end. This file must never change the log.

How far SQLite reads is in its index of the log. Where a connection is open, that index is asked instead of computing every checksum
again, which would take longer than taking up the run that crashed.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import NamedTuple

from headway.journal.sqlite.locks import descriptor_of

_HEADER = 32
_FRAME = 24
_MAGIC = 0x377F0682
_INDEX = struct.Struct("=IIIBBHI28x")  # version, unused, changes, is there, byte order, page size, frames in use; then another copy
_INDEX_VERSION = 3007000


class WalState(NamedTuple):
    """What a log holds: commits that count, and commits behind the first broken frame."""

    commits: int
    lost_commits: int


def frames_in_use(index: Path) -> int | None:
    """How many frames of the log a connection that is open here reads, from SQLite's index of the log; None where that is no index.

    Source: https://www.sqlite.org/walformat.html#the_wal_index_file_format
    """
    try:
        descriptor = descriptor_of(index)
        head = os.pread(descriptor, 2 * _INDEX.size, 0) if descriptor is not None else b""
    except OSError:
        return None
    if len(head) < 2 * _INDEX.size or head[: _INDEX.size] != head[_INDEX.size :]:
        return None  # somebody writes it at this moment
    version, _, _, is_there, _, _, frames = _INDEX.unpack_from(head)
    return frames if version == _INDEX_VERSION and is_there else None


def inspect_wal(path: Path, in_use: int | None = None) -> WalState:
    """Walk the frames of a write-ahead log. A missing or empty log holds nothing. `in_use`: how many of its frames SQLite reads, as
    `frames_in_use` says; without it every checksum is compared."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return WalState(0, 0)
    if len(data) <= _HEADER:
        return WalState(0, 0)
    magic, _, page, _, salt1, salt2, sum1, sum2 = struct.unpack(">8I", data[:_HEADER])
    order = ">" if magic & 1 else "<"
    running = _checksum(data[:24], order, (0, 0))
    if magic & ~1 != _MAGIC or running != (sum1, sum2) or page < 512 or page & (page - 1):
        return WalState(0, 1)  # a header without its checksum hides everything behind it
    commits = lost = 0
    whole = True
    for start in range(_HEADER, len(data) - _FRAME + 1, page + _FRAME):
        _, size, frame1, frame2, check1, check2 = struct.unpack(">6I", data[start : start + _FRAME])
        body = data[start + _FRAME : start + _FRAME + page]
        if in_use is not None:
            whole = start < _HEADER + in_use * (page + _FRAME)
        elif whole and len(body) == page:
            running = _checksum(body, order, _checksum(data[start : start + 8], order, running))
            whole = (frame1, frame2, check1, check2) == (salt1, salt2, *running)
        else:
            whole = False
        of_this_round = frame1 == salt1 or frame2 == salt2  # frames of earlier rounds differ in both
        if whole:
            commits += size > 0
        elif of_this_round:
            lost += size > 0
    return WalState(commits, lost)


def _checksum(data: bytes, order: str, start: tuple[int, int]) -> tuple[int, int]:
    s1, s2 = start
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        s1 = (s1 + even + s2) & 0xFFFFFFFF
        s2 = (s2 + odd + s1) & 0xFFFFFFFF
    return s1, s2
