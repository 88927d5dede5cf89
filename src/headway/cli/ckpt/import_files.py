"""`ckpt import`: turn files of other programs into a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from headway.checkpoint.catalog.listing import newest
from headway.checkpoint.files.manifest import Manifest
from headway.checkpoint.files.roots import root_of
from headway.checkpoint.formats.safetensors_files import INDEX_SUFFIX, SUFFIX, import_safetensors
from headway.cli import console
from headway.errors import NoCheckpoint, UsageError
from headway.observe import words
from headway.storage.opening import open_backend

Source = Literal["safetensors", "dcp", "universal"]


class ImportDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`headway ckpt import --json`. `copied`: false if the bytes are still in the files they came from."""

    root: str
    source: Source
    step: int
    id: str
    arrays: int
    nbytes: int
    copied: bool


def import_files(
    root: str,
    files: Sequence[str],
    step: int | None,
    source: Source | None,
    *,
    prefix: str,
    copy: bool,
    force: bool,
    as_json: bool,
) -> None:
    path = _one(files)
    kind = source or _kind(path)
    root = root_of(root, strict=True)
    last = newest(open_backend(root)).manifest
    if last is not None and not force:
        raise UsageError(
            f"{root} has checkpoints, the newest of step {last.step}; what is imported would be the newest, and a training would "
            "go on from it. Import into a root of its own, or add --force"
        )
    manifest = _import(root, path, kind, step, prefix=prefix, copy=copy)
    copied = copy or open_backend(root).path("") is None
    document = ImportDocument(
        root=root,
        source=kind,
        step=manifest.step,
        id=manifest.id,
        arrays=len(manifest.objects),
        nbytes=manifest.nbytes,
        copied=copied,
    )
    if as_json:
        console.print_json(document)
        return
    taken = f"{words.count(document.arrays, 'array')}, {words.nbytes(document.nbytes)}, from {kind}"
    console.out().print(f"step {manifest.step} ({manifest.id}): {taken}", markup=False)
    for note in _notes(manifest):
        console.note(note, "yellow")
    if not copied:
        console.note("the bytes stay in the files that they came from: keep those where they are, or import with --copy")


def _notes(manifest: Manifest) -> list[str]:
    """The importer's remarks, for people."""
    notes = manifest.provenance.get("notes")
    return [str(note) for note in notes] if isinstance(notes, list) else []


def _import(root: str, path: Path, kind: Source, step: int | None, *, prefix: str, copy: bool) -> Manifest:
    backend = open_backend(root)
    if kind == "universal":
        from headway.checkpoint.formats.dcp.universal import import_universal

        if prefix:
            raise UsageError(
                "--prefix: the names of a universal checkpoint become those of a state {'model': …, 'opt': …} by themselves"
            )
        return import_universal(backend, path, step=step, copy=copy)
    if step is None:
        raise UsageError(f"{path} does not say of which step it is: add --step N (0 for a model to start from)")
    if kind == "dcp":
        from headway.checkpoint.formats.dcp.importer import import_dcp

        return import_dcp(backend, path, step=step, rename=(lambda name: prefix + name) if prefix else None, copy=copy)
    return import_safetensors(backend, path, step=step, prefix=prefix, copy=copy)


def _one(files: Sequence[str]) -> Path:
    """The path to import. Several files must be all the safetensors files of a folder, which is what a shell's `*` gives."""
    paths = [Path(file) for file in files]
    for path in paths:
        if not path.exists():
            raise NoCheckpoint(f"there is no file or folder {path}")
    if len(paths) == 1:
        return paths[0]
    folder = paths[0].parent
    if {path.resolve() for path in paths} - _indexes(folder) != {path.resolve() for path in folder.glob("*" + SUFFIX)}:
        raise UsageError(
            f"several files are imported together if they are all the {SUFFIX} files of one folder: give one file, an index "
            f"(…{INDEX_SUFFIX}) or a folder"
        )
    return folder


def _indexes(folder: Path) -> set[Path]:
    return {path.resolve() for path in folder.glob("*" + INDEX_SUFFIX)}


def _kind(path: Path) -> Source:
    """Recognise the format by the files. Raises UsageError for any other."""
    if path.name.endswith((SUFFIX, INDEX_SUFFIX)):
        return "safetensors"
    if path.is_dir():
        if (path / ".metadata").exists():
            return "dcp"
        if (path / "zero").is_dir() or (path / "latest_universal").exists():
            return "universal"
        if any(path.glob("*" + SUFFIX)):
            return "safetensors"
    raise UsageError(
        f"{path} is none of what can be imported: a {SUFFIX} file, an index or a folder of them, a folder of "
        "torch.distributed.checkpoint (.metadata), or a DeepSpeed universal checkpoint (zero/). Convert it to one of these first"
    )
