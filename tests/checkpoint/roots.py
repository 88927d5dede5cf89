"""Roots full of tiny checkpoints, made by the letter of the format, for tests of what looks after them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import xxhash

from headway.checkpoint.files.manifest import (
    HEAD,
    ROOT_NAME,
    Coverage,
    Head,
    Manifest,
    Segment,
    SegmentRef,
    folder_of,
    read_sealed_hash,
    seal,
)
from headway.checkpoint.files.stored import read_head
from headway.storage.backend import Backend, DataWriter, Stat


class Crash(BaseException):
    """Stands for the death of the process."""


class Dying:
    """A backend whose process dies after so many changes; `then` is called in the middle, before the change of that number."""

    def __init__(self, backend: Backend, after: int | None = None, then: dict[int, object] | None = None) -> None:
        self._backend = backend
        self._left = after
        self._then = then or {}
        self.changes = 0
        self.url = backend.url

    def _change(self) -> None:
        self.changes += 1
        called = self._then.get(self.changes)
        if callable(called):
            called()
        if self._left is not None:
            if not self._left:
                raise Crash
            self._left -= 1

    def get(self, file: str) -> bytes:
        return self._backend.get(file)

    def read(self, file: str, start: int, into: memoryview) -> None:
        self._backend.read(file, start, into)

    def stat(self, file: str) -> Stat | None:
        return self._backend.stat(file)

    def files(self, folder: str) -> Iterator[tuple[str, Stat]]:
        return self._backend.files(folder)

    def put(self, file: str, data: bytes) -> None:
        self._change()
        self._backend.put(file, data)

    def swap(self, file: str, data: bytes, expected: bytes | None) -> bool:
        self._change()
        return self._backend.swap(file, data, expected)

    def create(self, file: str, nbytes: int) -> DataWriter:
        self._change()
        return self._backend.create(file, nbytes)

    def delete(self, files: Iterable[str]) -> None:
        for file in files:
            self._change()
            self._backend.delete([file])

    def sweep(self, folders: Iterable[str], *, dry_run: bool) -> Iterator[tuple[str, Stat]]:
        return self._backend.sweep(folders, dry_run=dry_run)

    def path(self, file: str) -> Path | None:
        return self._backend.path(file)


def data_file(id: str, step: int, writer: int = 0) -> str:
    return f"{folder_of(step, id)}/{writer:05d}.safetensors"


def write_data(root: Backend, id: str, step: int, writers: int = 1) -> list[str]:
    files = [data_file(id, step, writer) for writer in range(writers)]
    for file in files:
        root.put(file, b"data of " + file.encode())
    return files


def write_segments(root: Backend, id: str, step: int, files: Iterable[str]) -> tuple[SegmentRef, ...]:
    """Segments for these data files, wherever they are."""
    refs: list[SegmentRef] = []
    for writer, file in enumerate(files):
        stat = root.stat(file)
        assert stat is not None
        sealed = seal(Segment(file, stat.nbytes, 0, xxhash.xxh3_128_hexdigest(b""), (), f"{writer:05d}"))
        name = f"{folder_of(step, id)}/{writer:05d}.json"
        root.put(name, sealed)
        refs.append(SegmentRef(name, read_sealed_hash(sealed), stat.nbytes))
    return tuple(refs)


def write_manifest(
    root: Backend,
    id: str,
    step: int,
    serial: int,
    refs: tuple[SegmentRef, ...],
    *,
    metrics: dict[str, float] | None = None,
) -> Manifest:
    manifest = Manifest(id, step, serial, float(serial), {}, {}, refs, Coverage(0, 0, 0), metrics=metrics or {})
    root.put(f"{manifest.folder}/{ROOT_NAME}", seal(manifest))
    return manifest


def point_head(root: Backend, manifest: Manifest) -> None:
    old = read_head(root)
    assert root.swap(HEAD, seal(Head(manifest.id, manifest.step, manifest.serial)), seal(old) if old else None)


def commit(
    root: Backend,
    id: str,
    step: int,
    serial: int | None = None,
    *,
    writers: int = 1,
    uses: Iterable[str] = (),
    metrics: dict[str, float] | None = None,
    head: bool = True,
) -> Manifest:
    """A whole checkpoint. `uses`: data files of others that it refers to besides its own."""
    files = [*write_data(root, id, step, writers), *uses]
    refs = write_segments(root, id, step, files)
    manifest = write_manifest(root, id, step, step if serial is None else serial, refs, metrics=metrics)
    if head:
        point_head(root, manifest)
    return manifest
