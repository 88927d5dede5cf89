"""How values, errors and handles cross between a worker and its run.

What the run says is pickled, as the arguments of the job were: a worker trusts its driver. What the code says is encoded by the
codec and decoded as data, so nothing that it sends is run. Handles cross as numbers, and so do the values of coroutines, which stay
where they are.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from headway.engine.handle import Handle
from headway.engine.outcomes.retry import Retry
from headway.errors import NotEncodable, UsageError
from headway.journal.codec import codec
from headway.journal.records import Error
from headway.journal.store import Buffer
from headway.pools.base import FunctionRef
from headway.pools.current import worker_call
from headway.pools.program import function_ref

_CONTAINERS = (list, tuple, set, frozenset)
_encode_error = msgspec.msgpack.Encoder().encode
_decode_error = msgspec.msgpack.Decoder(Error).decode


@dataclass(frozen=True, slots=True)
class HandleMark:
    """A handle among arguments, as it travels to the run."""

    number: int


@dataclass(frozen=True, slots=True)
class CoroutineValue:
    """What a coroutine in the worker returned, as the run holds it."""

    coroutine: int


class Numbers(Protocol):
    """Numbers what the code of a job is told of."""

    def introduce(self, handle: Handle[Any], /) -> tuple[int, str, str, str]:
        """A handle's number, key, task and label."""

    def number_error(self, error: BaseException, /) -> int:
        """An error's number."""


# --- from the run to the code --------------------------------------------------------------------------------------------------


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, numbers: Numbers, buffers: list[pickle.PickleBuffer]) -> None:
        super().__init__(file, protocol=5, buffer_callback=buffers.append)
        self._numbers = numbers

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if kind is Handle:
            return _load_handle, self._numbers.introduce(obj)
        if kind is CoroutineValue:
            return _load_coroutine_value, (obj.coroutine,)
        if issubclass(kind, BaseException):
            return _load_error, (_encode_error(codec.encode_error(obj)), self._numbers.number_error(obj))
        return NotImplemented


def dump(value: Any, numbers: Numbers) -> tuple[bytes, list[memoryview]]:
    """A value for the code, with its large buffers aside. Raises UsageError for what can't be pickled."""
    buffers: list[pickle.PickleBuffer] = []
    file = io.BytesIO()
    try:
        _Pickler(file, numbers, buffers).dump(value)
        return file.getvalue(), [buffer.raw() for buffer in buffers]
    except (MemoryError, OSError):
        raise
    except Exception as error:
        raise UsageError(f"a {type(value).__name__} can't be sent to a worker process: {error}. Return plain data") from error


def load(data: bytes, buffers: Sequence[Buffer]) -> Any:
    """The value that the run sent."""
    return pickle.loads(data, buffers=buffers)


def _load_handle(number: int, key: str, task: str, label: str) -> Any:
    return _client().meet(number, key, task, label)


def _load_coroutine_value(coroutine: int) -> Any:
    return _client().value_of(coroutine)


def _load_error(data: bytes, origin: int) -> BaseException:
    error: BaseException = _client().error(_decode_error(data), origin)
    return error


def _client() -> Any:
    call = worker_call()
    assert call is not None
    return call.asker


# --- from the code to the run --------------------------------------------------------------------------------------------------


def encode_arguments(
    task: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], mark: Callable[[Any], Any], *, pickled: bool
) -> codec.Encoded:
    """The arguments of a call, with marks in the place of handles. Raises UsageError, naming what has no encoding."""
    given = tuple([replace(value, mark) for value in args]), {name: replace(value, mark) for name, value in kwargs.items()}
    try:
        return codec.encode(given, where=f"the arguments of {task}", pickle=pickled)
    except NotEncodable:
        named = [*((f"argument {place}", value) for place, value in enumerate(given[0], 1)), *given[1].items()]
        for name, value in named:
            try:
                codec.encode(value, where=f"{name} of {task}", pickle=pickled)
            except NotEncodable as error:
                what = str(error).partition(":")[0]
                raise UsageError(
                    f"{what}, so a worker can't send it to the run: pass plain data, and make the object in {task}"
                ) from None
        raise


def decode_arguments(
    head: bytes, buffers: Sequence[Buffer], unmark: Callable[[Any], Any], *, pickled: bool
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments again, with handles in the place of marks."""
    args, kwargs = codec.decode(head, buffers, pickle=pickled)
    return tuple([replace(value, unmark) for value in args]), {name: replace(value, unmark) for name, value in kwargs.items()}


def replace(value: Any, by: Callable[[Any], Any]) -> Any:
    """Replace what stands where a handle may stand: the value itself, or anywhere in lists, tuples, sets and dictionaries of it."""
    kind = type(value)
    if kind in _CONTAINERS:
        items = [replace(item, by) for item in value]
        return kind(items) if any(new is not old for new, old in zip(items, value, strict=True)) else value
    if kind is dict:
        pairs = {name: replace(item, by) for name, item in value.items()}
        return pairs if any(pairs[name] is not item for name, item in value.items()) else value
    return by(value)


def encode_changes(changes: Mapping[str, Any]) -> bytes:
    """The options of one call. Raises UsageError for one that can't be sent."""
    if not changes:
        return b""
    sent = dict(changes)
    if isinstance(retry := sent.get("retry"), Retry):
        kinds = retry.on if isinstance(retry.on, tuple) else (retry.on,)
        on = [_name(function_ref(each)) for each in kinds]
        numbers = {name: getattr(retry, name) for name in Retry.__dataclass_fields__ if name != "on"}
        sent["retry"] = (numbers, on, isinstance(retry.on, tuple))
    try:
        head, buffers = codec.encode(sent, where="options", copy=True)
    except NotEncodable as error:
        raise UsageError(f"{error}, so a worker can't send it to the run: set it where the task is defined") from None
    return _encode_error((head, [bytes(part) for part in buffers]))


def decode_changes(data: bytes, find: Callable[[FunctionRef], Any]) -> dict[str, Any]:
    """The options again. `find` finds the classes and functions that a retry names."""
    if not data:
        return {}
    head, buffers = msgspec.msgpack.decode(data, type=tuple[bytes, list[bytes]])
    changes: dict[str, Any] = codec.decode(head, buffers)
    if isinstance(sent := changes.get("retry"), tuple):
        numbers, refs, several = sent
        found = [find(FunctionRef(*ref)) for ref in refs]
        changes["retry"] = Retry(**numbers, on=tuple(found) if several else found[0])
    return changes


def _name(ref: FunctionRef) -> tuple[str, str, str]:
    return ref.module, ref.qualname, ref.path
