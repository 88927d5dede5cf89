"""Reads the sealed files of a checkpoint. They are small, and nothing in them is used unless their hashes verify."""

from __future__ import annotations

from headway.checkpoint.files.manifest import HEAD, ROOT_NAME, Head, Manifest, Segment, SegmentRef, read_sealed_hash, unseal
from headway.errors import CheckpointDamaged, NoCheckpoint
from headway.storage.backend import Backend


def read_head(backend: Backend) -> Head | None:
    """Read HEAD; None if there is none. Raises CheckpointDamaged."""
    try:
        return unseal(backend.get(HEAD), Head, f"{backend.url}/{HEAD}")
    except NoCheckpoint:
        return None


def read_manifest(backend: Backend, folder: str) -> Manifest:
    """Read the manifest of a checkpoint's folder. Raises NoCheckpoint if there is none, CheckpointDamaged if it is not whole."""
    file = f"{folder}/{ROOT_NAME}"
    manifest = unseal(backend.get(file), Manifest, f"{backend.url}/{file}")
    if manifest.folder != folder:
        raise CheckpointDamaged(f"{backend.url}/{file} is the manifest of {manifest.folder}: the folder was copied or renamed")
    return manifest


def read_segment(backend: Backend, ref: SegmentRef) -> Segment:
    """Read a segment of a checkpoint. Raises CheckpointDamaged unless it is the one that was committed."""
    where = f"{backend.url}/{ref.file}"
    try:
        data = backend.get(ref.file)
    except NoCheckpoint:
        raise CheckpointDamaged(f"{where} is missing: what is in its data file is not known. Load another checkpoint") from None
    segment = unseal(data, Segment, where)
    if read_sealed_hash(data) != ref.hash:
        raise CheckpointDamaged(f"{where}: whole, but not the one that was committed (another hash). Load another checkpoint")
    return segment


def read_segments(backend: Backend, manifest: Manifest) -> tuple[Segment, ...]:
    """Read all segments of a checkpoint, in the manifest's order. Raises CheckpointDamaged, naming the file that is not right."""
    return tuple(read_segment(backend, ref) for ref in manifest.segments)
