"""The sealed files of a checkpoint, read. They are small; nothing of them is used unless their hashes verify."""

from __future__ import annotations

from headway.checkpoint.backend.base import Backend
from headway.checkpoint.manifest import ROOT_NAME, Manifest, Segment, SegmentRef, sealed_hash, unseal
from headway.errors import CheckpointDamaged, NoCheckpoint


def read_manifest(backend: Backend, folder: str) -> Manifest:
    """The manifest of a checkpoint's folder. Raises NoCheckpoint where there is none, CheckpointDamaged where it is not whole."""
    file = f"{folder}/{ROOT_NAME}"
    manifest = unseal(backend.get(file), Manifest, file)
    if manifest.folder != folder:
        raise CheckpointDamaged(f"{file}: is the manifest of {manifest.folder}: it was moved or copied here, and is not used")
    return manifest


def read_segment(backend: Backend, ref: SegmentRef) -> Segment:
    """A segment of a checkpoint. Raises CheckpointDamaged unless it is the one that was committed."""
    try:
        data = backend.get(ref.file)
    except NoCheckpoint:
        raise CheckpointDamaged(f"{ref.file} is missing: what is in its data file is not known. Load another checkpoint") from None
    segment = unseal(data, Segment, ref.file)
    if sealed_hash(data) != ref.hash:
        raise CheckpointDamaged(f"{ref.file}: whole, but not the one that was committed (another hash). Load another checkpoint")
    return segment


def read_segments(backend: Backend, manifest: Manifest) -> tuple[Segment, ...]:
    """All segments of a checkpoint, in the manifest's order. Raises CheckpointDamaged, naming the file, where one is not right."""
    return tuple(read_segment(backend, ref) for ref in manifest.segments)
