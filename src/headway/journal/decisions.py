"""Decisions: answers of the runtime to a program that a replay must repeat.

One struct per kind, told apart by a tag, with named fields; a row's body is a `Decision`: the struct, and when it was recorded.
Both are encoded and decoded here and nowhere else. The tag stands at a fixed place in the body, so that who takes a run up sees the
kind of a row without decoding it (`is_told`).

A decision is found again by its name: which call asked (in which epoch), what kind of question, about what, and which of several
equal ones. Names hash to keys as those of calls do. Changing a tag, a field's place or a name makes recorded decisions unreadable
or unfindable: raise the schema's version with it.
"""

from __future__ import annotations

import functools
import hashlib
from typing import Literal

import msgspec

from headway.journal.codec.wire import pack
from headway.journal.records import Amounts, Error, Place, Signal


class _Told(msgspec.Struct, frozen=True, array_like=True):
    """What the program got."""

    @property
    def kind(self) -> str:
        """The tag, for people."""
        return str(self.__struct_config__.tag)


class Winner(_Told, frozen=True, array_like=True, tag="race"):
    """Which contestant won a race, by its place among the arguments."""

    place: int


class Arrival(_Told, frozen=True, array_like=True, tag="order"):
    """Which of the handles that were given came next, by its place among the arguments."""

    place: int


class NextCall(_Told, frozen=True, array_like=True, tag="next"):
    """Which call's result came next, by its key, where calls are made while results are taken."""

    call: bytes


class Afforded(_Told, frozen=True, array_like=True, tag="afforded"):
    """Which parts of a join the budget refused, by their places among the arguments."""

    refused: tuple[int, ...]


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """What a block had kept under a key when it ended, how often, and its value with its large parts; empty where that is too much
    for a row or has no encoding."""

    key: int | str
    times: int
    value: bytes
    buffers: tuple[bytes, ...] = ()


class BlockEnded(_Told, frozen=True, array_like=True, tag="anytime"):
    """Why a block ended, and what it had kept by then, in the order in which its keys came."""

    stopped: Literal["done", "budget", "deadline"]
    kept: tuple[Kept, ...]


class Now(_Told, frozen=True, array_like=True, tag="now"):
    """What time it was, in seconds since 1970."""

    time: float


class Sleep(_Told, frozen=True, array_like=True, tag="sleep"):
    """When a rest ends, in seconds since 1970."""

    until: float


class BudgetOpened(_Told, frozen=True, array_like=True, tag="budget"):
    """A budget: the one around it (empty without) and its amounts. Its key names the account."""

    outer: bytes
    limits: Amounts


class DeadlineOpened(_Told, frozen=True, array_like=True, tag="deadline"):
    """When a block must have ended, in seconds since 1970."""

    until: float


class DeadlineLeft(_Told, frozen=True, array_like=True, tag="deadline-left"):
    """How the code left the block of a deadline: by itself, by an error, or because the deadline broke in on it."""

    how: Literal["done", "failed", "interrupted"]
    row: int  # the last row that it can have been told of by then


class Remaining(_Told, frozen=True, array_like=True, tag="remaining"):
    """What was left of budgets: what was reserved for the call that asked, and what others had taken, by account."""

    mine: Amounts
    taken: dict[bytes, Amounts]


class TimeLeft(_Told, frozen=True, array_like=True, tag="time_left"):
    """When somebody asked how much time is left, in seconds since 1970."""

    asked: float


class EventLimit(_Told, frozen=True, array_like=True, tag="event-until"):
    """Until when a wait for a signal lasts, in seconds since 1970."""

    until: float


class Event(_Told, frozen=True, array_like=True, tag="event"):
    """What a wait for a signal received; None if nothing was sent in time."""

    signal: Signal | None


class StartedEnded(_Told, frozen=True, array_like=True, tag="started-ended"):
    """A run that a call had started ended without success under this fence, or is cancelled by its starter (-1)."""

    fence: int


class EventsGivenBack(_Told, frozen=True, array_like=True, tag="event-back"):
    """Nobody used the signals that these waits received."""

    waits: tuple[bytes, ...]


class Waits(_Told, frozen=True, array_like=True, tag="waits"):
    """A note for other processes: a call waits for a signal, for ever where `until` is None. `wait` is the key of its `Event`."""

    wait: bytes
    name: str
    until: float | None
    who: str


class WaitsOver(_Told, frozen=True, array_like=True, tag="waits-over"):
    """The program has stopped waiting, and goes on without the signal."""

    wait: bytes


class Item(_Told, frozen=True, array_like=True, tag="item"):
    """One item that a stream handed out. `value` is the codec's head, empty where it is the first of `blobs`, as in an outcome."""

    number: int  # from 0 on
    value: bytes
    blobs: tuple[bytes, ...] = ()


class StreamEnd(_Told, frozen=True, array_like=True, tag="stream"):
    """How many items a stream has handed out. Who asks for its call again gets another generation of items."""

    count: int


class Stopped(_Told, frozen=True, array_like=True, tag="stopped"):
    """A call was stopped, and its code undoes what it did: in each later life it is stopped at the same place."""

    reason: str
    error: Error | None  # that it ends with instead of being cancelled
    told: int  # the last row that its code can have been told of when it heard of the stop
    untold: tuple[bytes, ...]  # the calls that it waited for then
    heard: float  # when that was, in seconds since 1970
    after: int  # the shielded block at whose end it heard of it, counted from 1; 0: it was in none


class Moved(_Told, frozen=True, array_like=True, tag="moved"):
    """A branch was given the recorded call of another."""

    place: Place


class Start(msgspec.Struct, frozen=True, array_like=True):
    """What a policy chose to start: a step, how it is done, how many samples of it, and why."""

    step: str
    choice: str
    count: int
    why: str


class Chosen(_Told, frozen=True, array_like=True, tag="policy"):
    """What a policy, by its name, chose to start; nothing where it waits or gives up."""

    policy: str
    starts: tuple[Start, ...]


Told = (
    Winner
    | Arrival
    | NextCall
    | Afforded
    | BlockEnded
    | Now
    | Sleep
    | BudgetOpened
    | DeadlineOpened
    | DeadlineLeft
    | Remaining
    | TimeLeft
    | EventLimit
    | Event
    | EventsGivenBack
    | StartedEnded
    | Waits
    | WaitsOver
    | Item
    | StreamEnd
    | Stopped
    | Moved
    | Chosen
)


class Decision(msgspec.Struct, frozen=True, array_like=True):
    """The body of a decision's row."""

    told: Told
    at: float  # when it was recorded, in seconds since 1970


encode_decision = msgspec.msgpack.Encoder().encode
decode_decision = msgspec.msgpack.Decoder(Decision).decode


@functools.cache
def _beginning(kind: type[_Told]) -> bytes:
    """How the bodies of a kind begin: an array of two, in it an array of the tag and the fields."""
    tag = str(kind.__struct_config__.tag).encode()
    return bytes((0x92, 0x91 + len(kind.__struct_fields__), 0xA0 + len(tag))) + tag


def is_told(body: bytes, *kinds: type[_Told]) -> bool:
    """Whether a row's body, of whatever kind of row, is a decision of one of these kinds. Nothing is decoded."""
    return body.startswith(tuple(_beginning(kind) for kind in kinds))


# --- names -----------------------------------------------------------------------------------------------------------


def decision_key(parent_key: bytes, epoch: int, what: str, detail: bytes, ordinal: int = 0) -> bytes:
    """The name of something that a program was told once: what it is, about what (`detail`), which of equals."""
    return _hash(b"D" + parent_key + pack(epoch) + pack(ordinal) + pack(what) + detail)


def name_asked_again(key: bytes) -> bytes:
    """Name the decision that replaces the one under `key` when that no longer holds."""
    return _hash(b"A" + key)


def name_waited_for(key: bytes) -> bytes:
    """Name the note that a program waits for the decision under `key`."""
    return _hash(b"W" + key)


def name_left(key: bytes) -> bytes:
    """Name the end of the block whose deadline is the decision under `key`."""
    return _hash(b"L" + key)


def name_given_back(key: bytes) -> bytes:
    """Name the decision that takes back the one under `key`."""
    return _hash(b"R" + key)


def _hash(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
