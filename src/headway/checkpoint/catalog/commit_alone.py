"""Commits written segments as the newest checkpoint of a root, from this process: for imports and for programs that write
themselves."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headway.checkpoint.catalog.head import find_basis, move_head, see_head
from headway.checkpoint.files.coverage import Draft, commit_manifest
from headway.checkpoint.files.manifest import ROOT_NAME, Head, Manifest, Segment, SegmentRef, seal
from headway.storage.backend import Backend


def commit(backend: Backend, draft: Draft, segments: Sequence[tuple[SegmentRef, Segment]]) -> Manifest:
    """Commit the segments as the newest checkpoint of this root. Gives it a serial number, and a parent if it has none.

    Raises:
        SaveFailed: the segments don't hold every object exactly once.
        CheckpointConflict: somebody else committed at the same moment. The checkpoint is there, but is not the newest.
    """
    seen = see_head(backend)
    basis = find_basis(backend, seen)
    if basis is not None:
        draft = msgspec.structs.replace(draft, parent=draft.parent or basis.id)
    manifest = commit_manifest(segments, msgspec.structs.replace(draft, serial=basis.serial + 1 if basis is not None else 1))
    backend.put(f"{manifest.folder}/{ROOT_NAME}", seal(manifest))
    move_head(backend, seen, basis, Head(manifest.id, manifest.step, manifest.serial))
    return manifest
