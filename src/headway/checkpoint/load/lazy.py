"""Opens a checkpoint as a mapping of arrays that are read when they are sliced. Needs numpy and nothing else.

    with open_checkpoint(backend, manifest, segments) as opened:
        opened["model.layers.3.w"][10:20]

A slice reads only the blocks that hold its elements and verifies each. The last few are kept, so going through an array row by row
reads each block once. What an index selects in one dimension is a range (an integer selects one of its elements and drops the
dimension), so a selection is cut to a block by arithmetic, steps and negative steps included. Lists and masks would need any number
of blocks: read a slice and index that.
"""

from __future__ import annotations

import math
import operator
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from headway.checkpoint.files.manifest import Json, Manifest, Segment
from headway.checkpoint.layout.boxes import Box
from headway.checkpoint.layout.dtypes import NBYTES, as_tensor, numpy_dtype, raw_dtype
from headway.checkpoint.layout.names import list_names
from headway.checkpoint.load.blocks import Block, Contents, StoredFragment
from headway.checkpoint.load.plan import Read
from headway.checkpoint.load.reading import check, open_source
from headway.errors import UsageError
from headway.storage.backend import Backend

if TYPE_CHECKING:
    from types import EllipsisType

    Array = np.ndarray[Any, np.dtype[Any]]
    Index = int | slice | EllipsisType | None

CACHE_BYTES = 32 << 20  # eight blocks


def open_checkpoint(
    backend: Backend,
    manifest: Manifest,
    segments: Sequence[Segment],
    *,
    cache_bytes: int = CACHE_BYTES,
    on_close: Callable[[], None] = lambda: None,
) -> OpenCheckpoint:
    """Open a checkpoint for reading. `on_close` gives back what protects it from being collected meanwhile."""
    return OpenCheckpoint(backend, Contents(manifest, segments), cache_bytes, on_close)


class OpenCheckpoint(Mapping[str, "LazyArray"]):
    """The arrays of a checkpoint by name; made by `Checkpoints.open`.

    Plain values are in `plain_values`. Several threads may use it.
    """

    def __init__(
        self,
        backend: Backend,
        contents: Contents,
        cache_bytes: int = CACHE_BYTES,
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        self.manifest = contents.manifest
        self.contents = contents
        self._blocks = _Blocks(backend, contents, cache_bytes)
        self._on_close = on_close
        self._closed = False

    @property
    def bytes_read(self) -> int:
        """How many bytes were read from files so far."""
        return self._blocks.bytes_read

    @property
    def plain_values(self) -> Mapping[str, Json]:
        """The plain values of the checkpoint, by name."""
        return self.manifest.values

    def __getitem__(self, name: str) -> LazyArray:
        if name not in self.manifest.objects:
            raise KeyError(f"{name}: {self.contents.label} does not have it among {list_names(self.manifest.objects, name)}")
        return LazyArray(name, self.contents, self._blocks)

    def __iter__(self) -> Iterator[str]:
        return iter(self.manifest.objects)

    def __len__(self) -> int:
        return len(self.manifest.objects)

    def __repr__(self) -> str:
        return f"<{self.contents.label}: {len(self)} arrays, {self.manifest.nbytes:,} bytes>"

    def __enter__(self) -> OpenCheckpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its files and let it be collected. Arrays that were read stay; further reads are an error."""
        if not self._closed:
            self._closed = True
            self._blocks.close()
            self._on_close()


class LazyArray:
    """An array of a checkpoint. It is read, and verified, when it is indexed or turned into a numpy array."""

    def __init__(self, name: str, contents: Contents, blocks: _Blocks) -> None:
        self.name = name
        self._object = contents.manifest.objects[name]
        self._holder = contents.holder(name)
        self._contents = contents
        self._blocks = blocks

    @property
    def shape(self) -> tuple[int, ...]:
        return self._object.shape

    @property
    def code(self) -> str:
        """The element type's name in the checkpoint, such as `BF16`."""
        return self._object.dtype

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = numpy_dtype(self._object.dtype)
        return dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * NBYTES[self._object.dtype]

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of an array without dimensions")
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<LazyArray {self.name}: {self._object.dtype} {list(self.shape)}>"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError(f"{self.name} is in a file: it can't become an array without a copy")
        values = self.box(Box((0,) * self.ndim, self.shape))
        return values if dtype is None else values.astype(dtype, copy=False)

    def __getitem__(self, index: Index | tuple[Index, ...]) -> Any:
        """Return what numpy would for the same index: an array of the caller's own, or a scalar if integers select one element."""
        chosen = _resolve_index(index, self.shape, self.name)
        values = self._read(chosen.picks).view(self.dtype)[(..., *chosen.rest)]
        return values if chosen.array else values[()]

    def tensor(self, index: Index | tuple[Index, ...] = ...) -> Any:
        """Return what is at an index, or all of it, as a torch tensor: of every element type that torch has, bfloat16 too, without
        another library.

        Example:
            >>> rows = opened["model.layers.3.w"].tensor((slice(10, 20), ...))  # doctest: +SKIP
        """
        chosen = _resolve_index(index, self.shape, self.name)
        return as_tensor(self._read(chosen.picks)[(..., *chosen.rest)], self._object.dtype)

    def box(self, box: Box) -> Array:
        """Read the elements of a box, as an array of its extent."""
        return self.raw(box).view(self.dtype)

    def raw(self, box: Box) -> Array:
        """Read the elements of a box as unsigned integers, whatever their type."""
        picks = [range(begin, begin + size) for begin, size in zip(box.offset, box.extent, strict=True)]
        return self._read(picks)

    def parts(self) -> list[StoredFragment]:
        """List the fragments that hold it."""
        return self._contents.parts(self._holder)

    def _read(self, picks: Sequence[range]) -> Array:
        """Read the elements at these positions of each dimension, as raw ones of their size. All blocks are verified first."""
        values = np.empty([len(pick) for pick in picks], raw_dtype(self._object.dtype))
        if values.size:
            rising = [pick if pick.step > 0 else pick[::-1] for pick in picks]
            turned: tuple[Any, ...] = tuple(slice(None, None, 1 if pick.step > 0 else -1) for pick in picks)
            into = values[(..., *turned)]  # a view even where there are no dimensions
            hull = Box(tuple(pick[0] for pick in rising), tuple(pick[-1] + 1 - pick[0] for pick in rising))
            for part, met in self._contents.meeting(self._holder, hull):
                for numbers in part.find_blocks(met):
                    for number in numbers:
                        self._take(part, number, rising, into)
        return values

    def _take(self, part: StoredFragment, number: int, picks: Sequence[range], into: Array) -> None:
        """Copy what is picked from one block, which is read only if anything is."""
        for box, at in part.boxes(number):
            cuts = [_cut(pick, begin, end) for pick, begin, end in zip(picks, box.offset, box.end, strict=True)]
            if all(cut.elements for cut in cuts):
                raw = np.frombuffer(self._blocks.get(part.block(number)), raw_dtype(self._object.dtype))
                source = raw[at : at + box.volume].reshape(box.extent)
                into[tuple(cut.target for cut in cuts)] = source[tuple(cut.source for cut in cuts)]


class _Cut(NamedTuple):
    """The elements of a range that lie in an interval: how many, where they are in the interval, where among the range's."""

    elements: int
    source: slice
    target: slice


def _cut(pick: range, begin: int, end: int) -> _Cut:
    """Return the part of a rising range that is in `begin <= i < end`."""
    first = max(0, -(-(begin - pick.start) // pick.step))
    stop = min(len(pick), -(-(end - pick.start) // pick.step))
    start = pick.start + first * pick.step - begin
    return _Cut(max(0, stop - first), slice(start, start + (stop - first - 1) * pick.step + 1, pick.step), slice(first, stop))


class _Chosen(NamedTuple):
    """An index: a range for each dimension, what drops and adds dimensions after that, and whether even one element is an array."""

    picks: list[range]
    rest: tuple[int | slice | None, ...]
    array: bool


def _resolve_index(index: Index | tuple[Index, ...], shape: Sequence[int], name: str) -> _Chosen:
    parts = list(index) if isinstance(index, tuple) else [index]
    dots = [at for at, part in enumerate(parts) if part is Ellipsis]
    if len(dots) > 1:
        raise IndexError(f"{name}: an index can have only one '...'")
    given = sum(part is not None and part is not Ellipsis for part in parts)
    if given > len(shape):
        raise IndexError(f"{name}: {given} indices for an array of {len(shape)} dimensions")
    at = dots[0] if dots else len(parts)
    parts[at : at + 1] = [slice(None)] * (len(shape) - given)
    picks: list[range] = []
    rest: list[int | slice | None] = []
    for part in parts:
        if part is None:
            rest.append(None)
        elif isinstance(part, slice):
            picks.append(range(shape[len(picks)])[part])
            rest.append(slice(None))
        else:
            picks.append(_position(part, shape[len(picks)], len(picks), name))
            rest.append(0)
    return _Chosen(picks, tuple(rest), bool(dots))


def _position(part: object, size: int, axis: int, name: str) -> range:
    try:
        if isinstance(part, bool | np.bool_):
            raise TypeError
        at = operator.index(part)  # type: ignore[arg-type]  # refuses what is no index
    except TypeError:
        raise UsageError(
            f"{name}: {type(part).__name__} as an index: slices, integers, ... and None can be read. Read a slice and index that"
        ) from None
    if not -size <= at < size:
        raise IndexError(f"{name}: index {at} is out of bounds for dimension {axis} of {size}")
    return range(at % size, at % size + 1)


class _Blocks:
    """Verified blocks, the last few of which are kept. One thread reads at a time."""

    def __init__(self, backend: Backend, contents: Contents, cache_bytes: int) -> None:
        self._source = open_source(backend, contents)
        self._contents = contents
        self._cache_bytes = cache_bytes
        self._kept: OrderedDict[Block, bytes | bytearray] = OrderedDict()
        self._kept_bytes = 0
        self._lock = threading.Lock()
        self._closed = False
        self.bytes_read = 0

    def get(self, block: Block) -> bytes | bytearray:
        with self._lock:
            data = self._kept.get(block)
            if data is not None:
                self._kept.move_to_end(block)
                return data
            if self._closed:
                raise UsageError(f"{self._contents.label} was closed: open it again to read from it")
            data = bytearray(block.nbytes)
            view = memoryview(data)
            self._source.fetch(Read(block.segment, block.start, block.nbytes, (block,)), [view])
            self.bytes_read += block.nbytes
            check(self._contents, [block], [view])
            self._keep(block, data)
            return data

    def _keep(self, block: Block, data: bytearray) -> None:
        self._kept[block] = data
        self._kept_bytes += len(data)
        while self._kept_bytes > self._cache_bytes and len(self._kept) > 1:
            _, old = self._kept.popitem(last=False)
            self._kept_bytes -= len(old)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._kept.clear()
            self._source.close()
