"""Types of a program, and values that go through the codec and back."""

import dataclasses
import enum
import functools
import math
import threading
import typing

import msgspec
import pydantic

from headway.journal.codec.codec import declare, decode, encode


def there_and_back(value, **options):
    head, buffers = encode(value, **options)
    return decode(head, [memoryview(part) for part in buffers], pickle=options.get("pickle", False))


def same(a, b):
    """Equal, of the same types all the way down, and with NaN equal to itself."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (a == b and math.copysign(1, a) == math.copysign(1, b)) or (math.isnan(a) and math.isnan(b))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(map(type, a)) == list(map(type, b)) and len(a) == len(b) and all(map(same, a.values(), b.values()))
    if isinstance(a, Box):
        return same(a.inside, b.inside)
    return a == b


class Colour(enum.Enum):
    RED = "red"
    BLUE = ("b", 2)


class Level(enum.IntEnum):
    LOW = 1


class Word(enum.StrEnum):
    A = "a"


class Perm(enum.Flag):
    R = 1
    W = 2


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    name: str
    at: Point
    tags: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Derived:
    x: int
    scale: dataclasses.InitVar[int] = 2
    total: int = dataclasses.field(init=False)
    kind: typing.ClassVar[str] = "derived"

    def __post_init__(self, scale):
        self.total = self.x * scale
        self.note = f"x{scale}"  # no field, but part of what makes the object work

    @functools.cached_property
    def lock(self):
        return threading.Lock()


class Pair(typing.NamedTuple):
    a: int
    b: str = "b"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    a: int
    b: list[Point] = []


class Model(pydantic.BaseModel):
    a: int
    b: str = "b"
    _seen: int = pydantic.PrivateAttr(default=0)


class Open(pydantic.BaseModel, extra="allow"):
    a: int


T = typing.TypeVar("T")


@dataclasses.dataclass
class Box(typing.Generic[T]):
    inside: T


class Everything(typing.NamedTuple):
    parts: (
        dict[str, Colour | Level | Word | Perm]
        | typing.Annotated[list["Slotted"], "text"]
        | tuple[Derived, Pair, typing.Optional[Record], Model, Open, Box[int]]  # noqa: UP045 - the older way
    )


declare(Everything)
