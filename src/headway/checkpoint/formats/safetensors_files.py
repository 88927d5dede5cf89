"""Safetensors files of others, in both directions, without moving tensor bytes through Python.

Import makes a checkpoint that refers to the files where they are: only their hashes are computed. A model in several files comes
with an index that says which tensor is in which file; a file that is missing, or a tensor that is not where the index says, is an
error, and so is a set of numbered files with a gap.

Export copies fragments that are contiguous in the target in the kernel (`copy_file_range`) and then reads them back from the target
against their hashes; what was split by columns is verified block by block while it is put in its place. A file gets its name when
all of it has been verified and is durable, the index of several files when all of them are there.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from headway.checkpoint.files.manifest import Manifest, Object, PlannedFragment
from headway.checkpoint.formats.export import Wanted, write_file
from headway.checkpoint.formats.in_place import ForeignFragment, Found, take_over
from headway.checkpoint.formats.safetensors_header import Header, read_header
from headway.checkpoint.layout.boxes import whole
from headway.checkpoint.layout.names import list_names
from headway.checkpoint.load.blocks import Contents
from headway.errors import CheckpointDamaged, NoCheckpoint, UsageError
from headway.storage.backend import Backend

SUFFIX = ".safetensors"
INDEX_SUFFIX = ".safetensors.index.json"
_NUMBERED = re.compile(r"(.*)-(\d+)-of-(\d+)\.safetensors")


class _Index(msgspec.Struct):
    """`model.safetensors.index.json`, as transformers writes it."""

    weight_map: dict[str, str]


# --- import ----------------------------------------------------------------------------------------------------------


def import_safetensors(backend: Backend, source: Path, *, step: int = 0, prefix: str = "", copy: bool = False) -> Manifest:
    """Take over a safetensors file, or a folder with one or with several and their index, as a checkpoint.

    Args:
        source: the file, the index, or the folder.
        step: under which step it is kept.
        prefix: put before each name, such as `"model."`.
        copy: copy the bytes instead of referring to the files (always done for an object store).

    Raises:
        NoCheckpoint: there is no such file, or the index names a file that is missing.
        CheckpointDamaged: a file is not whole, or the index says something else than the files.
    """
    headers, chosen = _find(source)
    places = [
        ForeignFragment(
            file, PlannedFragment(prefix + name, Object(tensor.dtype, tensor.shape, "param"), *whole(tensor.shape), tensor.start)
        )
        for file, header in headers.items()
        for name, tensor in header.tensors.items()
        if chosen is None or chosen.get(name) == file
    ]
    provenance = {"imported": "safetensors", "from": str(source.resolve()), "prefix": prefix}
    sizes = {file: header.nbytes for file, header in headers.items()}
    return take_over(backend, Found(places, (), {}, dict(provenance), headers=sizes), step, copy)


def _find(source: Path) -> tuple[dict[Path, Header], dict[str, Path] | None]:
    """Read the headers of the files, and in which file each tensor must be, if an index says so."""
    if not source.exists():
        raise NoCheckpoint(f"{source}: there is no such file or folder")
    if source.is_dir():
        indexes = sorted(source.glob("*" + INDEX_SUFFIX))
        files = sorted(source.glob("*" + SUFFIX))
        if len(indexes) > 1 or (not indexes and not _is_numbered_set(source, files) and len(files) != 1):
            seen = ", ".join(each.name for each in (*indexes, *files)) or "none"
            raise UsageError(
                f"{source}: one safetensors file or one index is needed, there are: {seen}. Name the one that is meant"
            )
        if not indexes:
            return {file: read_header(file) for file in files}, None
        source = indexes[0]
    if source.name.endswith(".json"):
        return _read_index(source)
    return {source: read_header(source)}, None


def _is_numbered_set(folder: Path, files: Sequence[Path]) -> bool:
    """Tell whether these are all files of one numbered set. Raises NoCheckpoint where one is missing."""
    matches = [_NUMBERED.fullmatch(file.name) for file in files]
    sets = {(match[1], match[3]) for match in matches if match}
    if not files or None in matches or len(sets) != 1:
        return False
    ((stem, count),) = sets
    there = {int(match[2]) for match in matches if match}
    missing = sorted(set(range(1, int(count) + 1)) - there)
    if missing:
        raise NoCheckpoint(f"{folder}: {stem}-{missing[0]:05d}-of-{count}{SUFFIX} is missing: a part of the model is not there")
    return True


def _read_index(index: Path) -> tuple[dict[Path, Header], dict[str, Path]]:
    try:
        listed = msgspec.json.decode(index.read_bytes(), type=_Index).weight_map
    except msgspec.DecodeError as error:
        raise CheckpointDamaged(f"{index}: not an index of safetensors files ({error})") from None
    chosen = {name: index.parent / file for name, file in listed.items()}
    for file in sorted(set(chosen.values())):
        if not file.is_file():
            names = sorted(name for name, its in chosen.items() if its == file)
            raise NoCheckpoint(f"{file}: is missing, and {index.name} says that it has {len(names)} tensors ({names[0]}, …)")
    headers = {file: read_header(file) for file in sorted(set(chosen.values()))}
    for name, file in chosen.items():
        if name not in headers[file].tensors:
            raise CheckpointDamaged(f"{file}: has no tensor {name}, and {index.name} says that it is there")
    return headers, chosen


# --- export ----------------------------------------------------------------------------------------------------------


class _Chosen(NamedTuple):
    """What is exported, by the name in the files, and which other names are tied to those."""

    tensors: dict[str, Wanted]
    tied: dict[str, str]


def export_safetensors(
    backend: Backend, contents: Contents, target: Path, *, select: str = "*", strip: str = "", shard_nbytes: int | None = None
) -> list[Path]:
    """Write arrays of a checkpoint as safetensors files that any other program opens.

    Args:
        target: a new file `….safetensors`, or a folder, which gets `model.safetensors`, or numbered files and their index.
        select: which objects, as a pattern such as `"model.*"`.
        strip: removed from the beginning of each name, such as `"model."`.
        shard_nbytes: at most so many bytes of tensors in each file of a folder (one tensor is never divided).

    Returns:
        The files, the index last. Tied arrays are written once, and the other names are in the file's metadata, as
        `safetensors.torch.save_model` does. What is no array is not exported.

    Raises:
        CheckpointDamaged: a block is not what was written. No file is left under its name.
        UsageError: nothing matches, two names become one, or a file is there already.
    """
    chosen = _choose(contents, select, strip)
    metadata = {"format": "pt", "headway": contents.manifest.id, "step": str(contents.manifest.step)}
    if target.suffix == SUFFIX:
        if shard_nbytes is not None:
            raise UsageError(f"{target}: several files need a folder to be in: give one, or leave shard_nbytes away")
        files = {target: chosen.tensors}
    else:
        shards = _shards(chosen.tensors, shard_nbytes)
        names = [f"model-{n:05d}-of-{len(shards):05d}{SUFFIX}" for n in range(1, len(shards) + 1)]
        files = {target / name: shard for name, shard in zip(names, shards, strict=True)}
        if len(shards) == 1:
            files = {target / f"model{SUFFIX}": shards[0]}
    index = target / f"model{INDEX_SUFFIX}" if len(files) > 1 else None
    for file in (*files, *((index,) if index else ())):
        if file.exists():
            raise UsageError(f"{file}: is there already, and nothing is overwritten: give another place, or remove it")
    for file, tensors in files.items():
        tied = {other: kept for other, kept in chosen.tied.items() if kept in tensors}
        write_file(backend, contents, file, tensors, metadata | tied)
    if index is not None:
        _write_index(index, files)
    return [*files, *((index,) if index else ())]


def list_tied_names(contents: Contents, *, select: str = "*", strip: str = "") -> dict[str, str]:
    """List the names that an export leaves out because they are tied to a name that it writes."""
    return _choose(contents, select, strip).tied


def _choose(contents: Contents, select: str, strip: str) -> _Chosen:
    tensors: dict[str, Wanted] = {}
    tied: dict[str, str] = {}
    by_holder: dict[str, str] = {}
    matching = fnmatch.filter(contents.manifest.objects, select)
    if not matching:
        values = " (values are not exported)" if fnmatch.filter(contents.manifest.values, select) else ""
        raise UsageError(
            f"{contents.label}: no array matches {select!r}, of {list_names(contents.manifest.objects, select)}{values}"
        )
    if strip and not any(name.startswith(strip) for name in matching):
        raise UsageError(f"{contents.label}: to strip {strip!r} is asked, and it begins none of {list_names(matching, strip)}")
    for name in sorted(matching, key=lambda each: bool(contents.manifest.objects[each].alias_of)):
        known = contents.manifest.objects[name]
        key, holder = name.removeprefix(strip), contents.holder(name)
        if not key or key in tensors or key in tied:
            raise UsageError(f"{contents.label}: without {strip!r} two arrays would be called {key!r}, one of them {name}")
        if holder in by_holder:
            tied[key] = by_holder[holder]
        else:
            by_holder[holder] = key
            tensors[key] = Wanted(holder, known)
    return _Chosen({key: tensors[key] for key in sorted(tensors)}, tied)


def _shards(tensors: Mapping[str, Wanted], most: int | None) -> list[dict[str, Wanted]]:
    shards: list[dict[str, Wanted]] = [{}]
    used = 0
    for key, wanted in tensors.items():
        if most is not None and shards[-1] and used + wanted.object.nbytes > most:
            shards.append({})
            used = 0
        shards[-1][key] = wanted
        used += wanted.object.nbytes
    return shards


def _write_index(index: Path, files: Mapping[Path, Mapping[str, Wanted]]) -> None:
    total = sum(wanted.object.nbytes for tensors in files.values() for wanted in tensors.values())
    where = {key: file.name for file, tensors in files.items() for key in tensors}
    text = msgspec.json.encode({"metadata": {"total_size": total}, "weight_map": dict(sorted(where.items()))})
    partial = index.with_name(f".{index.name}.partial")
    partial.write_bytes(msgspec.json.format(text, indent=2))
    partial.replace(index)
