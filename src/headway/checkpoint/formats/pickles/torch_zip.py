"""Reads what `torch.save` wrote, without torch and without running its pickle.

Such a file is a zip archive: `data.pkl` describes the value, `data/<key>` holds the bytes of each storage, uncompressed, so a
tensor is a place in the file (`StoredTensor`) that can be referred to without a copy. What else may be in the value: None,
numbers, strings, bytes, tuples, lists, sets, dicts. Anything else is refused by its name (`inert_pickle`). The archive may be a
part of a larger file, as in the files of torch.distributed.checkpoint.

The bytes of a storage carry the zip's CRC-32, which torch writes and does not look at when it loads. It is compared here, because
what is taken over gets hashes that vouch for it from then on.
"""

from __future__ import annotations

import io
import math
import sys
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeAlias

from headway.checkpoint.formats.pickles import numpy_values
from headway.checkpoint.formats.pickles.inert_pickle import Made, Name, Reference, read_pickle
from headway.checkpoint.layout.boxes import strides_of
from headway.checkpoint.layout.dtypes import NBYTES, code_of
from headway.errors import CheckpointDamaged, UsageError

if TYPE_CHECKING:
    import numpy as np

_LOCAL_HEADER = 30  # bytes of a zip's local file header before the name
_CHUNK = 4 << 20
_DEPTH = 64  # of nested lists and dicts

_STORAGES = {
    "Double": "float64",
    "Float": "float32",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
    "ComplexDouble": "complex128",
    "ComplexFloat": "complex64",
}
_WITHOUT_STORAGES = (
    *("uint16", "uint32", "uint64", "complex32"),
    *("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu", "float4_e2m1fn_x2"),
)
DTYPES = {
    f"torch.{name}": name
    for name in (*_STORAGES.values(), *_WITHOUT_STORAGES)
}  # fmt: skip
_UNTYPED = ("torch.storage.UntypedStorage", "torch.UntypedStorage")
_TENSOR_V2, _TENSOR_V3 = "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor_v3"
_PARAMETER = "torch._utils._rebuild_parameter"
_WITH_ATTRIBUTES = "torch._tensor._rebuild_from_type_v2"
_ORDERED, _COUNTER, _SIZE = "collections.OrderedDict", "collections.Counter", "torch.Size"
_SET, _COMPLEX = ("__builtin__.set", "builtins.set"), ("__builtin__.complex", "builtins.complex")
_KNOWN = frozenset(
    {f"torch.{name}Storage" for name in _STORAGES}
    | {*_UNTYPED, *DTYPES, _TENSOR_V2, _TENSOR_V3, _PARAMETER, _WITH_ATTRIBUTES, _ORDERED, _COUNTER, _SIZE, *_SET, *_COMPLEX}
    | numpy_values.NAMES
    | {"torch.Tensor", "torch.nn.parameter.Parameter"}
)


class Record(NamedTuple):
    """The bytes of one storage: where they are in the file, and what the archive says is their CRC-32."""

    start: int
    nbytes: int
    crc: int


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor in a file: its first element is at byte `start`, neighbours are `strides` elements apart."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    strides: tuple[int, ...]
    record: Record

    @property
    def contiguous(self) -> bool:
        """Whether its elements follow each other in row-major order."""
        here = zip(self.shape, self.strides, strides_of(self.shape), strict=True)
        return not math.prod(self.shape) or all(size == 1 or mine == plain for size, mine, plain in here)


Number: TypeAlias = "bool | int | float | complex | np.generic"
Leaf: TypeAlias = "Number | str | bytes | frozenset[Any] | Counter[Any] | np.ndarray[Any, Any] | StoredTensor | None"
Tree: TypeAlias = "Leaf | tuple[Tree, ...] | list[Tree] | dict[str | int, Tree]"


def read_torch_zip(file: BinaryIO, start: int, nbytes: int, where: str, also: frozenset[str] = frozenset()) -> Tree:
    """Read the value in the archive that is `nbytes` long at byte `start` of a file.

    Args:
        where: what it is, for errors.
        also: names of classes whose objects are left out (they become None).

    Raises:
        CheckpointDamaged: it is no whole archive.
        UsageError: the value holds something that is not read.
    """
    try:
        with zipfile.ZipFile(io.BufferedReader(_Window(file, start, nbytes))) as archive:
            entries = {info.filename.partition("/")[2]: info for info in archive.infolist()}
            _refuse_packed(entries, where)
            if "data.pkl" not in entries:
                raise UsageError(f"{where}: a zip archive without data.pkl: not written by torch.save (or by torch.jit)")
            order = archive.read(entries["byteorder"]).decode() if "byteorder" in entries else "little"
            if order != sys.byteorder:
                raise UsageError(f"{where}: its numbers are {order}-endian, this machine's are {sys.byteorder}-endian")
            pickle = archive.read(entries["data.pkl"])
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, ValueError, OverflowError) as error:
        raise CheckpointDamaged(f"{where}: not a whole torch.save file ({error})") from None
    records = {
        name.removeprefix("data/"): _record(file, start, info, where)
        for name, info in entries.items()
        if name.startswith("data/") and name != "data/"
    }
    return _Reading(records, where, also).tree(read_pickle(pickle, _KNOWN | also, where), 0)


def check_record(file: BinaryIO, record: Record, where: str) -> None:
    """Compare the bytes of a storage with the archive's CRC-32. Raises CheckpointDamaged."""
    crc, left = 0, record.nbytes
    file.seek(record.start)
    while left:
        data = file.read(min(_CHUNK, left))
        if not data:
            raise CheckpointDamaged(f"{where}: ends {left} bytes too early")
        crc, left = zlib.crc32(data, crc), left - len(data)
    if crc != record.crc:
        raise CheckpointDamaged(
            f"{where}: bytes {record.start} to {record.start + record.nbytes} are not what was written (CRC-32 {crc:08x}, the file "
            f"says {record.crc:08x}). If it was written with torch.serialization.set_crc32_options(False), import with check=False"
        )


def _refuse_packed(entries: dict[str, zipfile.ZipInfo], where: str) -> None:
    for info in entries.values():
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise UsageError(f"{where}: {info.filename} is compressed or encrypted, which torch.save does not do: not read")


def _record(file: BinaryIO, start: int, info: zipfile.ZipInfo, where: str) -> Record:
    file.seek(start + info.header_offset)
    local = file.read(_LOCAL_HEADER)
    if len(local) != _LOCAL_HEADER or local[:4] != b"PK\x03\x04":
        raise CheckpointDamaged(f"{where}: {info.filename} is not where the archive says")
    skip = int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
    return Record(start + info.header_offset + _LOCAL_HEADER + skip, info.file_size, info.CRC)


class _Reading:
    """From the pickle's terms to ours."""

    def __init__(self, records: dict[str, Record], where: str, also: frozenset[str]) -> None:
        self.records = records
        self.where = where
        self.also = also

    def tree(self, value: object, depth: int) -> Tree:
        if depth > _DEPTH:
            raise UsageError(f"{self.where}: lists and dicts are nested more than {_DEPTH} deep")
        if value is None or isinstance(value, bool | int | float | str | bytes):
            return value
        if isinstance(value, list):
            return [self.tree(item, depth + 1) for item in value]
        if isinstance(value, Name):
            raise UsageError(f"{self.where}: holds {value} itself, which is not a tensor, number, string, list or dict")
        if isinstance(value, tuple):
            return tuple(self.tree(item, depth + 1) for item in value)
        if isinstance(value, dict):
            return self.items(value, depth)
        if isinstance(value, Made):
            return self._convert(value, depth)
        raise UsageError(f"{self.where}: holds a storage outside of a tensor")

    def items(self, items: dict[object, object], depth: int) -> Tree:
        bad = next((key for key in items if isinstance(key, bool) or not isinstance(key, str | int)), None)
        if bad is not None:
            raise UsageError(f"{self.where}: a dict has the key {bad!r}; only strings and whole numbers are read")
        return {key: self.tree(value, depth + 1) for key, value in items.items() if isinstance(key, str | int)}

    def _convert(self, value: Made, depth: int) -> Tree:
        if value.what in self.also:
            return None
        if value.what in (_TENSOR_V2, _TENSOR_V3):
            return self.tensor(value)
        if value.what == _PARAMETER:
            return self.tree(value.args[0], depth + 1)
        if value.what == _WITH_ATTRIBUTES:  # its Python attributes are left out
            function, _, args = value.args[:3]
            return self.tree(Made(str(function), args), depth + 1)
        if value.what == _ORDERED and not any(value.args):
            return self.items(value.entries or {}, depth)
        if value.what == _SIZE:
            return self.tree(value.args[0], depth + 1)
        if value.what == _COUNTER and len(value.args) == 1 and isinstance(value.args[0], dict):
            return Counter(value.args[0])
        if numpy_values.is_numpy(value):
            return numpy_values.numpy_of(value, self.where)
        if value.what == "_codecs.encode":
            return numpy_values.bytes_of(value)
        if value.what in _SET and len(value.args) == 1 and isinstance(value.args[0], list):
            return frozenset(item for item in value.args[0] if isinstance(item, int | float | str))
        if value.what in _COMPLEX:
            return complex(*value.args)
        raise UsageError(f"{self.where}: holds a {value.what}, which is not a tensor, number, string, list or dict")

    def tensor(self, value: Made) -> StoredTensor:
        try:
            reference, offset, shape, strides = value.args[:4]
            kind, storage, key, _, _ = reference.key
            flags = value.args[7 if value.what == _TENSOR_V3 else 6 :]
            name = DTYPES[str(value.args[6])] if value.what == _TENSOR_V3 else _storage_dtype(str(storage))
            record = self.records[key]
            if kind != "storage" or not isinstance(reference, Reference) or len(shape) != len(strides):
                raise ValueError("not a tensor")
            shape, strides = tuple(map(int, shape)), tuple(map(int, strides))
            offset = int(offset)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            raise CheckpointDamaged(f"{self.where}: a tensor that can't be made out ({error!r})") from None
        if any(flags):
            raise UsageError(
                f"{self.where}: holds a lazily conjugated or negated tensor: save it after .resolve_conj().resolve_neg()"
            )
        dtype = code_of(name)
        size = NBYTES[dtype]
        last = offset + sum((extent - 1) * stride for extent, stride in zip(shape, strides, strict=True))
        if min(offset, *shape, *strides, 0) < 0 or (math.prod(shape) and (last + 1) * size > record.nbytes):
            raise CheckpointDamaged(
                f"{self.where}: a tensor of shape {list(shape)} that its storage of {record.nbytes} bytes can't hold"
            )
        return StoredTensor(dtype, shape, record.start + offset * size, strides, record)


def _storage_dtype(storage: str) -> str:
    if storage in _UNTYPED:
        return "uint8"
    return _STORAGES[storage.removeprefix("torch.").removesuffix("Storage")]


class _Window(io.RawIOBase):
    """A part of a file as a file."""

    def __init__(self, file: BinaryIO, start: int, nbytes: int) -> None:
        self._file = file
        self._start = start
        self._nbytes = nbytes
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._nbytes}[whence]
        if at < 0:
            raise OSError("before the beginning")
        self._at = at
        return at

    def readinto(self, into: bytearray | memoryview) -> int:  # type: ignore[override]  # any buffer
        self._file.seek(self._start + self._at)
        data = self._file.read(max(0, min(len(into), self._nbytes - self._at)))
        into[: len(data)] = data
        self._at += len(data)
        return len(data)


def read_torch_file(path: Path, also: frozenset[str] = frozenset()) -> Tree:
    """Read the value in a file that torch.save wrote. Raises as `read_torch_zip`."""
    with path.open("rb") as file:
        return read_torch_zip(file, 0, path.stat().st_size, str(path), also)
