"""Imports a folder of torch.distributed.checkpoint as a checkpoint, without running its pickle and, as a rule, without a copy.

`.metadata` is a pickle: it is read as data (`inert_pickle`), and only the names of the classes that DCP itself writes are known. It
says which chunk of which tensor is at which bytes of which `.distcp` file; there, each chunk is an archive of `torch.save`, whose
bytes are uncompressed and can be referred to (`torch_zip`). Values other than tensors are archives too, and become values of the
manifest. Unlike DCP, which trusts the planner that saved, the import proves coverage.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple

import msgspec

from headway.checkpoint.files.manifest import Json, Manifest, Object
from headway.checkpoint.files.write import FragmentData
from headway.checkpoint.formats.dcp.names import headway_names
from headway.checkpoint.formats.dcp.paths import LAYOUT, odd_paths
from headway.checkpoint.formats.in_place import ForeignFragment, Found, take_over
from headway.checkpoint.formats.pickles.inert_pickle import Made, Name, read_pickle
from headway.checkpoint.formats.pickles.torch_places import array_part, gather, locate_or_copy, to_json
from headway.checkpoint.formats.pickles.torch_zip import DTYPES, StoredTensor, check_record, read_torch_zip
from headway.checkpoint.layout.boxes import Box, whole
from headway.checkpoint.layout.dtypes import code_of, numpy_dtype
from headway.checkpoint.state.values.tree import encode
from headway.errors import CheckpointDamaged, NoCheckpoint, UsageError
from headway.storage.backend import Backend

_METADATA = "torch.distributed.checkpoint.metadata."
_ARRAY, _VALUE = _METADATA + "TensorStorageMetadata", _METADATA + "BytesStorageMetadata"
_PLACE = "torch.distributed.checkpoint.filesystem._StorageInfo"
_KNOWN = frozenset(
    {_METADATA + name for name in ("Metadata", "TensorProperties", "ChunkStorageMetadata", "MetadataIndex", "StorageMeta")}
    | {_METADATA + "_MEM_FORMAT_ENCODING", _ARRAY, _VALUE, _PLACE, *DTYPES}
    | {"torch.Size", "torch.serialization._get_layout", "collections.OrderedDict"}
    | {f"pathlib{module}.{name}" for module in ("", "._local") for name in ("PosixPath", "WindowsPath")}
)


class ByteRange(NamedTuple):
    """Where one archive is."""

    file: Path
    start: int
    nbytes: int


class Description(NamedTuple):
    """What `.metadata` says: tensors with their boxes, and where each box and each value is."""

    arrays: dict[str, tuple[Object, list[Box]]]
    boxes: dict[tuple[str, tuple[int, ...]], ByteRange]
    values: dict[str, ByteRange]
    paths: dict[str, tuple[str | int, ...]]


def import_dcp(
    backend: Backend,
    folder: Path,
    *,
    step: int = 0,
    rename: Callable[[str], str] | None = None,
    copy: bool = False,
    check: bool = True,
) -> Manifest:
    """Take over a DCP folder as a checkpoint. Optimizers are renamed so that they load into an optimizer (`names`); what could not
    be renamed is listed in the provenance, under `notes`.

    Args:
        folder: with `.metadata` and the `.distcp` files.
        step: under which step it is kept.
        rename: from DCP's names (`model.layers.0.weight`) to those that are wanted.
        copy: copy the bytes instead of referring to the files (always done for an object store).
        check: compare all bytes with the CRC-32 of their archives first.

    Raises:
        NoCheckpoint: there is no DCP checkpoint, or a file of it is missing.
        CheckpointDamaged: a file is not whole, or not what was written.
        UsageError: it holds something that would need its pickle to be run; the message names it.
        SaveFailed: the chunks of a tensor overlap or don't cover it.
    """
    description = read_description(folder)
    places: list[ForeignFragment] = []
    parts: list[FragmentData] = []
    values: dict[str, Json] = {}
    objects: dict[str, Object] = {}
    with _Files(check) as files:
        trees = {name: files.read(item, name) for name, item in description.values.items()}
        names = headway_names(
            description.arrays, trees, description.paths, lambda name: files.number_of(description, name), rename or _as_it_is
        )
        for name, (known, boxes) in description.arrays.items():
            if name not in names.dropped:
                its = names.new[name]
                objects[its] = _slot(known) if name in names.slots else known
                for box in boxes:
                    item = _item(description, name, box)
                    _add(locate_or_copy(its, objects[its], box, files.tensor(item, name, known, box), item.file), places, parts)
        for name, tree in trees.items():
            if name not in names.dropped:
                item = description.values[name]
                values[names.new[name]], inside, arrays = to_json(tree, names.new[name])
                for its, tensor in inside.items():
                    files.check(item, tensor, its)
                    known = Object(tensor.dtype, tensor.shape)
                    _add(locate_or_copy(its, known, whole(tensor.shape), tensor, item.file), places, parts)
                parts += [array_part(its, array) for its, array in arrays.items()]
        for name, group in names.groups.items():
            plain = {key: files.number_in(each, description, name) for key, each in group.items()}
            values[name] = encode(plain, name, lambda its, leaf: None)
    paths = {names.new[name]: path for name, path in description.paths.items() if name not in names.dropped | names.slots}
    provenance: dict[str, Json] = {"imported": "dcp", "from": str(folder.resolve())}
    if names.notes:
        provenance["notes"] = list(names.notes)
    return take_over(backend, Found(places, parts, values, provenance, objects, {LAYOUT: odd_paths(paths)}), step, copy)


def _as_it_is(name: str) -> str:
    return name


def _slot(known: Object) -> Object:
    """Make an array a slot of an optimizer."""
    return msgspec.structs.replace(known, kind="moment" if known.shape else "scalar")


def read_description(folder: Path) -> Description:
    """Read the folder's `.metadata`. Raises NoCheckpoint, CheckpointDamaged and UsageError as `import_dcp`."""
    file = folder / ".metadata"
    if not file.is_file():
        ranks = "; it was saved with use_collectives=False, which is not read" if list(folder.glob("__*.metadata")) else ""
        raise NoCheckpoint(f"{folder}: has no file .metadata, so it is not a (complete) DCP checkpoint{ranks}")
    metadata = read_pickle(file.read_bytes(), _KNOWN, str(file))
    try:
        return _describe(metadata, folder)
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        if isinstance(error, UsageError | CheckpointDamaged):
            raise
        raise CheckpointDamaged(f"{file}: is not what DCP writes ({error!r})") from None


def _describe(metadata: Made, folder: Path) -> Description:
    arrays, values = {}, set()
    for name, kind in metadata.field("state_dict_metadata").items():
        if kind.what == _VALUE:
            values.add(str(name))
        elif kind.what == _ARRAY:
            known = Object(_dtype(kind.field("properties")), _size(kind.field("size")))
            chunks = [Box(_size(chunk.field("offsets")), _size(chunk.field("sizes"))) for chunk in kind.field("chunks")]
            arrays[str(name)] = (known, chunks)
        else:
            raise ValueError(f"{name} is a {kind.what}")
    boxes, items = {}, {}
    for index, place in metadata.field("storage_data").items():
        name, item = index.field("fqn"), _read_place(place, folder)
        if name in values:
            items[name] = item
        else:
            boxes[name, _size(index.field("offset"))] = item
    for name in values - set(items):
        raise ValueError(f"it does not say where {name} is")
    paths = metadata.field("planner_data") or {}
    return Description(arrays, boxes, items, {str(name): tuple(path) for name, path in paths.items()})


def _dtype(properties: Made) -> str:
    dtype = properties.state[0] if isinstance(properties.state, tuple) else properties.field("dtype")
    if not isinstance(dtype, Name):
        raise TypeError("a tensor without a type")
    return code_of(DTYPES[str(dtype)])


def _size(size: Any) -> tuple[int, ...]:
    if not isinstance(size, Made) or size.what != "torch.Size":
        raise TypeError("a size that is not a torch.Size")
    return tuple(int(extent) for extent in (size.args[0] if size.args else ()))


def _read_place(place: Made, folder: Path) -> ByteRange:
    if place.what != _PLACE:
        raise ValueError(f"a place that is a {place.what}")
    if place.field("transform_descriptors"):
        raise UsageError(
            f"{folder}: was written through {place.field('transform_descriptors')}, which is not read: save it without"
        )
    relative = PurePosixPath(place.field("relative_path"))
    if relative.is_absolute() or ".." in relative.parts:
        raise UsageError(f"{folder}: refers to {relative}, outside of the folder: not read")
    return ByteRange(folder / relative, int(place.field("offset")), int(place.field("length")))


def _item(description: Description, name: str, box: Box) -> ByteRange:
    item = description.boxes.get((name, box.offset))
    if item is None:
        raise CheckpointDamaged(f".metadata does not say where {name}{box} is: the checkpoint is not whole")
    return item


def _add(found: ForeignFragment | FragmentData, places: list[ForeignFragment], parts: list[FragmentData]) -> None:
    if isinstance(found, ForeignFragment):
        places.append(found)
    else:
        parts.append(found)


class _Files:
    """The `.distcp` files, opened once each."""

    def __init__(self, check: bool) -> None:
        self._check = check
        self._open: dict[Path, BinaryIO] = {}

    def __enter__(self) -> _Files:
        return self

    def __exit__(self, *error: object) -> None:
        for file in self._open.values():
            file.close()

    def file(self, path: Path) -> BinaryIO:
        if path not in self._open:
            try:
                self._open[path] = path.open("rb")
            except FileNotFoundError:
                raise NoCheckpoint(f"{path}: is missing, and .metadata says that tensors are in it") from None
        return self._open[path]

    def read(self, item: ByteRange, name: str) -> Any:
        return read_torch_zip(self.file(item.file), item.start, item.nbytes, f"{name} in {item.file}")

    def tensor(self, item: ByteRange, name: str, known: Object, box: Box) -> StoredTensor:
        """Find a chunk's tensor. Raises CheckpointDamaged unless it is what `.metadata` says."""
        tensor = self.read(item, name)
        if not isinstance(tensor, StoredTensor) or (tensor.dtype, tensor.shape) != (known.dtype, box.extent):
            what = f"{tensor.dtype} {list(tensor.shape)}" if isinstance(tensor, StoredTensor) else f"a {type(tensor).__name__}"
            raise CheckpointDamaged(f"{item.file}: {name}{box} of type {known.dtype} should be there, and {what} is")
        self.check(item, tensor, name)
        return tensor

    def number_of(self, description: Description, name: str) -> Any:
        """Read the number in an array of one element."""
        known, boxes = description.arrays[name]
        tensor = self.tensor(_item(description, name, boxes[0]), name, known, boxes[0])
        return self._number(tensor, description.boxes[name, boxes[0].offset].file, name)

    def number_in(self, value: Any, description: Description, name: str) -> Any:
        """Convert a hyperparameter to a plain value: torch may keep it as a tensor of one element."""
        if not isinstance(value, StoredTensor):
            return value
        for item in description.values.values():
            if item.start <= value.start < item.start + item.nbytes:
                return self._number(value, item.file, name)
        raise CheckpointDamaged(f"{name}: a hyperparameter lies in no file of the checkpoint")

    def _number(self, tensor: StoredTensor, file: Path, name: str) -> Any:
        if math.prod(tensor.shape) != 1:
            raise UsageError(f"{name}: a hyperparameter with {math.prod(tensor.shape)} elements is not kept")
        raw = gather(tensor, self.file(file), f"{name} in {file}")
        return raw.view(numpy_dtype(tensor.dtype)).reshape(()).item()

    def check(self, item: ByteRange, tensor: StoredTensor, name: str) -> None:
        if self._check:
            check_record(self.file(item.file), tensor.record, f"{name} in {item.file}")
