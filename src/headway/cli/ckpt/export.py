"""`ckpt export`: write a checkpoint as safetensors files."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from headway.checkpoint.catalog.listing import SHORTEST
from headway.checkpoint.catalog.listing import places as places_of
from headway.checkpoint.formats.safetensors_files import INDEX_SUFFIX, SUFFIX, export_safetensors, list_tied_names
from headway.cli import console
from headway.cli.ckpt.roots import open_existing, open_one, read_size
from headway.errors import UsageError
from headway.observe import words
from headway.storage.backend import Backend

_OTHER_FILES = {".pt", ".pth", ".bin", ".ckpt", ".json", ".npz", ".pkl", ".gguf", ".onnx"}


class ExportDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`headway ckpt export --json`: the files, the index of several last. `tied`: names that are only in a file's metadata, because
    what they name is written under another one."""

    step: int
    id: str
    files: list[str]
    nbytes: int
    tied: dict[str, str]


def export(root: str, places: Sequence[str], *, shard_size: str | None, select: str, strip: str, as_json: bool) -> None:
    """`places` are the last words of the command: a target, or a step and a target."""
    if len(places) > 2 or (len(places) == 1 and (places[0] == "latest" or places[0].isdecimal())):
        raise UsageError(f"where to? Write: headway ckpt export {root} [STEP] FILE.safetensors, or a folder instead of the file")
    step, target = (places[0] if len(places) == 2 else "latest"), Path(places[-1])
    shard_nbytes = read_size("--shard-size", shard_size) if shard_size is not None else None
    if shard_nbytes is not None and target.suffix == SUFFIX:
        raise UsageError(f"--shard-size makes several files: give a folder instead of {target}")
    backend = open_existing(root)
    _refuse_odd_target(target, backend, only=len(places) == 1)
    with open_one(backend, step) as checkpoint:
        files = export_safetensors(backend, checkpoint.contents, target, select=select, strip=strip, shard_nbytes=shard_nbytes)
        manifest, tied = checkpoint.manifest, list_tied_names(checkpoint.contents, select=select, strip=strip)
    nbytes = sum(file.stat().st_size for file in files)
    if as_json:
        names = [str(file) for file in files]
        console.print_json(ExportDocument(step=manifest.step, id=manifest.id, files=names, nbytes=nbytes, tied=tied))
        return
    for file in files:
        console.out().print(f"{file}  {words.nbytes(file.stat().st_size)}", markup=False)
    console.note(f"step {manifest.step} ({manifest.id}): every block was verified")
    for name, kept in tied.items():
        console.note(f"{name} is tied to {kept}, which is written once: the other name is in the file's metadata")


def _refuse_odd_target(target: Path, backend: Backend, *, only: bool) -> None:
    """Raise UsageError for a target that can only be a mistake."""
    folder = backend.path("")
    if folder is not None and folder.resolve() in (target.resolve(), *target.resolve().parents):
        raise UsageError(f"{target} lies in the checkpoints themselves: give another place")
    if only and any(place.id.startswith(str(target)) for place in places_of(backend) if len(str(target)) >= SHORTEST):
        raise UsageError(f"{target} is a checkpoint. Where to? Add FILE.safetensors, or a folder")
    if target.suffix == SUFFIX:
        return
    if target.suffix in _OTHER_FILES or difflib.get_close_matches(target.suffix, [SUFFIX], 1, 0.7):
        raise UsageError(f"{target}: name a file that ends in {SUFFIX}, or a folder that has no such ending")
    there = sorted([*target.glob("*" + SUFFIX), *target.glob("*" + INDEX_SUFFIX)])
    if there:
        raise UsageError(
            f"{target} has a model already ({there[0].name}), and nothing is overwritten or mixed: give another folder"
        )
