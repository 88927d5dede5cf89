"""What a checkpoint says about itself: its objects, where their bytes are, and what those must hash to.

A checkpoint is a folder `steps/<step>-<id>/`. Every writer writes one data file there, and then a sealed `Segment` that says which
box of which object is where in it, with the hash of every block. When all segments are there, the coordinator proves that they
cover all objects exactly and writes the sealed `Manifest`. Only then does the checkpoint exist. `HEAD`, in the root, names the
newest. Nothing is overwritten except `HEAD`.

Sealed means: one line of JSON, then one line with the XXH3-128 of the first, in hexadecimal. If the hash does not match, a reader
treats the manifest as missing. The format is documented in `docs/checkpoint-format.md`; change both together.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec
import xxhash

from headway.checkpoint.layout.boxes import Box
from headway.checkpoint.layout.dtypes import NBYTES
from headway.errors import CheckpointDamaged

FORMAT = 1
BLOCK_BYTES = 4 << 20  # a hash covers at most this much
HEAD = "HEAD"
STEPS = "steps"
ROOT_NAME = "manifest.json"

Kind = Literal["param", "buffer", "moment", "scalar", "rng", "cursor", "array"]
if TYPE_CHECKING:
    Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
else:
    Json = Any  # the codec knows no recursive types
T = TypeVar("T")


class Object(msgspec.Struct, frozen=True, omit_defaults=True):
    """A named array of the state. `alias_of` names the object that holds the bytes of a tied one."""

    dtype: str
    shape: tuple[int, ...]
    kind: Kind = "array"
    alias_of: str = ""

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * NBYTES[self.dtype]


class Fragment(msgspec.Struct, frozen=True, array_like=True):
    """One box of one object, row-major, at byte `start` of its segment's file. `hashes`: 32 hexadecimal digits for each block."""

    name: str
    offset: tuple[int, ...]
    extent: tuple[int, ...]
    start: int
    hashes: str = ""

    @property
    def box(self) -> Box:
        return Box(self.offset, self.extent)


class PlannedFragment(msgspec.Struct, frozen=True, array_like=True):
    """A fragment on its way: a box of `object`, row-major, at byte `start` of a file or of a buffer. `with_hashes` makes it a
    `Fragment`."""

    name: str
    object: Object
    offset: tuple[int, ...]
    extent: tuple[int, ...]
    start: int

    @property
    def box(self) -> Box:
        return Box(self.offset, self.extent)

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return NBYTES[self.object.dtype]

    @property
    def nbytes(self) -> int:
        return math.prod(self.extent) * NBYTES[self.object.dtype]

    @property
    def block_nbytes(self) -> int:
        """How many bytes one hash covers."""
        return block_nbytes(self.extent, NBYTES[self.object.dtype])

    def with_hashes(self, hashes: str) -> Fragment:
        """Make the stored fragment, with the hashes of its blocks."""
        return Fragment(self.name, self.offset, self.extent, self.start, hashes)


class Phase(msgspec.Struct, frozen=True, array_like=True):
    """What a writer did when, for those who look for what is slow: wall clock, seconds, bytes."""

    name: str
    begin: float
    seconds: float
    nbytes: int = 0


class SegmentRef(msgspec.Struct, frozen=True):
    """Where a sealed segment is (relative to the root), and the hash of its JSON line."""

    file: str
    hash: str
    data_nbytes: int


class Segment(msgspec.Struct, frozen=True):
    """One data file: `file` is relative to the checkpoint root, or an absolute path or URL of a file that was there before.
    Bytes `0..header_nbytes` are a safetensors header, whose hash is `header_hash`. `also`: further segments of this writer, for
    the coordinator, which waits only for the one that has the writer's name."""

    file: str
    nbytes: int
    header_nbytes: int
    header_hash: str
    fragments: tuple[Fragment, ...]
    writer: str = ""
    phases: tuple[Phase, ...] = ()
    also: tuple[SegmentRef, ...] = ()


class Coverage(msgspec.Struct, frozen=True):
    """What was proved at commit: this many objects are held by this many disjoint boxes without a hole."""

    objects: int
    fragments: int
    nbytes: int


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True):
    """A checkpoint. `serial` counts the checkpoints of a root in the order in which they were committed; `parent` is the id of
    the one that the state came from. `values` holds what is no array, by name; `layout` is only a hint for readers."""

    id: str
    step: int
    serial: int
    created: float
    objects: dict[str, Object]
    values: dict[str, Json]
    segments: tuple[SegmentRef, ...]
    coverage: Coverage
    parent: str = ""
    format: int = FORMAT
    metrics: dict[str, float] = {}
    layout: dict[str, Json] = {}
    provenance: dict[str, Json] = {}

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ValueError(f"its format is {self.format}, and this version knows {FORMAT}: use a newer one")

    @property
    def folder(self) -> str:
        return folder_of(self.step, self.id)

    @property
    def label(self) -> str:
        """What messages call the checkpoint."""
        return f"checkpoint {self.id} of step {self.step}"

    @property
    def nbytes(self) -> int:
        """Bytes of all objects, tied ones once."""
        return sum(each.nbytes for each in self.objects.values() if not each.alias_of)


class Measured(msgspec.Struct, frozen=True):
    """Metrics of a checkpoint that were measured after it was saved. Of one name, what was written last counts."""

    id: str
    metrics: dict[str, float]
    written: float


class Head(msgspec.Struct, frozen=True):
    """Which checkpoint is the newest."""

    id: str
    step: int
    serial: int

    @property
    def folder(self) -> str:
        return folder_of(self.step, self.id)


def folder_of(step: int, id: str) -> str:
    """Name the folder of a checkpoint, relative to the root.

    Example:
        >>> folder_of(120, "6a1f")
        'steps/000000000120-6a1f'
    """
    return f"{STEPS}/{step:012d}-{id}"


# --- sealed files ----------------------------------------------------------------------------------------------------


_DECODERS: dict[type[Any], Any] = {kind: msgspec.json.Decoder(kind) for kind in (Head, Segment, Manifest, Measured)}
"""Made here and not at the first use: two threads that make a type's first decoder at once crash msgspec."""


def seal(record: msgspec.Struct) -> bytes:
    """Seal a record: the bytes of its file."""
    line = msgspec.json.encode(record)
    return line + b"\n" + xxhash.xxh3_128_hexdigest(line).encode() + b"\n"


def read_sealed_hash(data: bytes) -> str:
    """Return the hash that a sealed file carries."""
    return data[-33:-1].decode("ascii", "replace")


def unseal(data: bytes, kind: type[T], where: str) -> T:
    """Read the record in a sealed file. Raises CheckpointDamaged, naming `where`, if its hash or its kind is another."""
    line, newline, rest = data.partition(b"\n")
    if not newline or len(rest) != 33 or xxhash.xxh3_128_hexdigest(line).encode() + b"\n" != rest:
        raise CheckpointDamaged(f"{where}: its hash does not match its content ({len(data)} bytes): it is not used")
    try:
        record: T = _DECODERS[kind].decode(line)
    except msgspec.DecodeError as error:
        raise CheckpointDamaged(f"{where}: whole, but not what this version of Headway reads ({error})") from None
    return record


# --- blocks ----------------------------------------------------------------------------------------------------------


def block_nbytes(extent: tuple[int, ...], itemsize: int) -> int:
    """Say how many bytes of a fragment one hash covers: as many whole rows as fit in 4 MiB, so that no row needs two blocks, or
    4 MiB if one row is longer.

    Example:
        >>> block_nbytes((1000, 3000), 4)  # rows of 12,000 bytes
        4188000
    """
    row = math.prod(extent[1:]) * itemsize if extent else itemsize
    return BLOCK_BYTES // row * row if 0 < row <= BLOCK_BYTES else BLOCK_BYTES


def block_hashes(data: memoryview, block: int) -> str:
    """Hash a fragment's blocks, in order."""
    return "".join(xxhash.xxh3_128_hexdigest(data[at : at + block]) for at in range(0, len(data), block))
