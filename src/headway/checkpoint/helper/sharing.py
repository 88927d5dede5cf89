"""Finds boxes that are on disk already, in earlier checkpoints. A save refers to them instead of writing them again.

A box is shared if all of its blocks have the same hashes as an earlier box of the same name and place. Nothing else proves that it
is unchanged. Only committed checkpoints are shared from, and each is leased until the save that refers to it is committed too. From
then on the save's own segments name the files that it needs, and a collector leaves them (`collect`). So a box is found without
following a chain, however old the checkpoint is that first wrote it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from headway.checkpoint.catalog.leases import lease_for_reading
from headway.checkpoint.catalog.listing import newest
from headway.checkpoint.files.foreign import is_foreign
from headway.checkpoint.files.manifest import Fragment, PlannedFragment, Segment, folder_of
from headway.checkpoint.files.stored import read_manifest, read_segments
from headway.errors import CheckpointError
from headway.storage.backend import Backend

FILES = 64  # files that one save refers to at most; boxes in others are written again

Key = tuple[str, tuple[int, ...], tuple[int, ...]]


class SharedFragment(NamedTuple):
    """A fragment that is on the disk already, and the segment of the file that it is in."""

    fragment: Fragment
    segment: Segment


class Basis:
    """The boxes of one checkpoint, which stays as long as this is in use."""

    def __init__(self, places: dict[Key, SharedFragment], backend: Backend) -> None:
        self._places = places
        self._backend = backend
        self._whole: dict[str, bool] = {}

    def find(self, name: str, offset: tuple[int, ...], extent: tuple[int, ...], hashes: str) -> SharedFragment | None:
        """Find a box with these hashes; None if there is none, or its file is not whole any more."""
        place = self._places.get((name, offset, extent))
        if place is None or place.fragment.hashes != hashes:
            return None
        file = place.segment.file
        if file not in self._whole:
            if len(self._whole) == FILES:
                return None
            found = self._backend.stat(file)
            self._whole[file] = found is not None and found.nbytes == place.segment.nbytes
        return place if self._whole[file] else None


class Shelf:
    """For each root, the newest checkpoint that this helper knows to exist, and where its boxes are."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, int, dict[Key, SharedFragment]]] = {}  # by root: id, step, boxes

    def take(self, backend: Backend, held: ExitStack) -> Basis:
        """Return what may be referred to, which may be nothing. `held` protects it until the referring checkpoint exists."""
        with self._lock:
            known = self._known.get(backend.url)
        try:
            if known is None:
                last = newest(backend).manifest
                known = (last.id, last.step, {}) if last is not None else None
            if known is None:
                return Basis({}, backend)
            held.enter_context(lease_for_reading(backend, known[0]))
            manifest = read_manifest(backend, folder_of(known[1], known[0]))  # after the lease: it is not collected now
            places = known[2] or find_fragments(read_segments(backend, manifest))
        except (CheckpointError, OSError):  # never refer to what can't be read
            self.forget(backend.url)
            return Basis({}, backend)
        with self._lock:
            self._known[backend.url] = known[0], known[1], places
        return Basis(places, backend)

    def keep(self, root: str, id: str, step: int, segments: Sequence[Segment]) -> None:
        """Remember a new checkpoint, by the segments of this helper's part."""
        with self._lock:
            self._known[root] = id, step, find_fragments(segments)

    def forget(self, root: str) -> None:
        with self._lock:
            self._known.pop(root, None)


def find_fragments(segments: Iterable[Segment]) -> dict[Key, SharedFragment]:
    """Index the boxes of segments by name and place. Files of other programs are left out: nobody promises that they stay."""
    return {
        (each.name, each.offset, each.extent): SharedFragment(each, segment)
        for segment in segments
        if segment.header_nbytes and not is_foreign(segment.file)
        for each in segment.fragments
    }


def keep_lively(found: Sequence[tuple[PlannedFragment, SharedFragment]]) -> list[tuple[PlannedFragment, SharedFragment]]:
    """Keep the boxes in files of which at least half is still in use. So what a checkpoint shares costs at most twice its size: a
    few small tensors don't keep a large file alive."""
    live: dict[str, int] = {}
    for still, place in found:
        live[place.segment.file] = live.get(place.segment.file, 0) + still.nbytes
    return [
        (still, place)
        for still, place in found
        if 2 * live[place.segment.file] >= place.segment.nbytes - place.segment.header_nbytes
    ]


def make_segments(found: Sequence[tuple[PlannedFragment, SharedFragment]]) -> list[Segment]:
    """Make segments that say where these boxes are: one for each file, without a writer's name yet."""
    by_file: dict[str, list[SharedFragment]] = {}
    for _, place in found:
        by_file.setdefault(place.segment.file, []).append(place)
    return [
        Segment(
            file,
            places[0].segment.nbytes,
            places[0].segment.header_nbytes,
            places[0].segment.header_hash,
            tuple(sorted((place.fragment for place in places), key=lambda each: each.start)),
        )
        for file, places in sorted(by_file.items())
    ]
