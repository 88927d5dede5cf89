"""A job as bytes, for pools whose code runs in another process, container or machine, and its answer as bytes.

    data = pack(job)                     # in the driver
    reply = run_packed(data)             # anywhere that has Headway and the program's modules, one at a time in a process
    job.on_done(unpack(job, reply))      # in the driver again

The arguments are pickled and the result is encoded for the journal, so the driver must trust whoever it sends to with its
arguments, and whoever runs a parcel must trust its sender; replies hold data only, and nothing in one is run. In the other process
the code may ask `hw.call()`, `hw.remaining()` and `hw.time_left()`; what it charges, logs and tells comes with the reply.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import pickle
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import msgspec

from headway.errors import UsageError
from headway.events import AnyEvent
from headway.journal.codec import codec
from headway.journal.records import Amounts, Error
from headway.pools import logs
from headway.pools.arguments import pickle_arguments
from headway.pools.base import Answer, CallFacts, FunctionRef, Job
from headway.pools.carrying import context_with, encode_carried
from headway.pools.current import Asker, Line, set_worker_call, worker_call
from headway.pools.program import function_ref, resolve

T = TypeVar("T")


class _Parcel(msgspec.Struct, frozen=True, array_like=True):
    ref: FunctionRef
    facts: CallFacts
    pickled: bool
    items: int | None
    around: FunctionRef | None
    carried: bytes
    levels: dict[str, int]
    arguments: bytes
    buffers: list[bytes]


class _Reply(msgspec.Struct, frozen=True, array_like=True):
    head: bytes
    buffers: list[bytes]
    error: Error | None
    charges: list[tuple[Amounts, int | None]]
    told: list[AnyEvent]
    logged: list[logs.Entry]


_encode = msgspec.msgpack.Encoder().encode
_decode_parcel = msgspec.msgpack.Decoder(_Parcel).decode
_decode_reply = msgspec.msgpack.Decoder(_Reply).decode
_forwarding: list[logs.Forwarding] = []


def pack(job: Job) -> bytes:
    """Turn a job into bytes.

    Args:
        job: the job.

    Returns:
        The bytes, for `run_packed`.

    Raises:
        UsageError: the function can't be found by name, or an argument can't be pickled.
        NotEncodable: a context variable that is carried along has a value without an encoding.
    """
    head, buffers = pickle_arguments(job)
    return _encode(
        _Parcel(
            ref=job.ref or function_ref(job.fn),
            facts=job.facts,
            pickled=job.pickled,
            items=job.items,
            around=job.around,
            carried=encode_carried(job.context, job.facts.task),
            levels=logs.levels_here(),
            arguments=head,
            buffers=[bytes(part) for part in buffers],
        )
    )


def run_packed(data: bytes) -> bytes:
    """Run a packed job in this process. Never raises what the job's code raises.

    Args:
        data: what `pack` returned.

    Returns:
        The reply as bytes, for `unpack`.

    Raises:
        RuntimeError: this process runs a job already.
    """
    if worker_call() is not None:
        raise RuntimeError("this process runs a packed job already: run one at a time in a process")
    parcel = _decode_parcel(data)
    call = ParcelCall(parcel.facts, parcel.items)
    if not _forwarding:
        _forwarding.append(logs.Forwarding())
    (forwarding,) = _forwarding
    head, buffers, failed = b"", [], None
    set_worker_call(call)
    try:
        function, around = resolve(parcel.ref), resolve(parcel.around) if parcel.around is not None else None
        forwarding.note_handlers()
        args, kwargs = pickle.loads(parcel.arguments, buffers=[bytearray(part) for part in parcel.buffers])
        context = context_with(parcel.carried)

        def body() -> Any:
            return context.run(_run, function, args, kwargs)

        with forwarding.telling(parcel.levels, call.log):
            value = body() if around is None else around(parcel.facts, body)
        encoded = codec.encode(value, where=f"the result of {parcel.facts.task}", pickle=parcel.pickled)
        head, buffers = encoded.head, [bytes(part) for part in encoded.buffers]
    except BaseException as error:
        failed = codec.encode_error(error)
    finally:
        set_worker_call(None)
        call.log.end()
    return _encode(_Reply(head, buffers, failed, call.charges, call.told, call.logged))


def unpack(job: Job, reply: bytes, emit: Callable[[Any], None] | None = None) -> Answer:
    """Read a reply. Books what the code charged, and passes on what it logged.

    Args:
        job: the job that was packed.
        reply: what `run_packed` returned.
        emit: takes events, as in `Pool.start`.

    Returns:
        How the job ended.

    Raises:
        ValueError: the bytes are no reply.
    """
    said = _decode_reply(reply)
    for amounts, item in said.charges:
        job.on_charge(amounts, item)
    for entry in said.logged:
        logs.tell(entry, job.facts.key, job.facts.task)
    if emit is not None:
        for event in said.told:
            emit(event)
    if said.error is not None:
        return Answer(error=codec.decode_error(said.error, remote=True))
    try:
        value = codec.decode(said.head, said.buffers, pickle=job.pickled)
    except Exception as error:
        return Answer(error=error)
    return Answer(value=value, encoded=codec.Encoded(said.head, tuple(said.buffers)))


class ParcelCall:
    """A call whose code runs without a connection: what it reports is kept until it ends."""

    line: Line | None = None

    def __init__(self, facts: CallFacts, items: int | None) -> None:
        self.facts, self.items = facts, items
        self.charges: list[tuple[Amounts, int | None]] = []
        self.told: list[AnyEvent] = []
        self.logged: list[logs.Entry] = []
        self.log = logs.Counted(facts.task, self.logged.append)
        self._ends = math.inf if facts.deadline is None else time.monotonic() + facts.deadline - time.time()
        self._lock = threading.Lock()
        self._asked: Counter[str] = Counter()
        self.asker: Asker | None = None

    def run_async(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run(coroutine)

    @property
    def left_s(self) -> float:
        return self._ends - time.monotonic()

    def count(self, what: str) -> int:
        with self._lock:
            self._asked[what] += 1
            return self._asked[what] - 1

    def charge(self, amounts: Amounts, item: int | None) -> None:
        with self._lock:
            self.charges.append((amounts, item))

    def tell(self, event: AnyEvent) -> None:
        with self._lock:
            self.told.append(event)

    def open_meeting(self, address: str) -> None:
        raise UsageError("a gang across machines can't run where code has no connection to its pool")

    def remaining(self) -> Amounts:
        left = dict(self.facts.allowance)
        with self._lock:
            for amounts, _ in self.charges:
                for unit in left.keys() & amounts.keys():
                    left[unit] = max(0.0, left[unit] - amounts[unit])
        return left


def _run(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    value = function(*args, **kwargs)
    return asyncio.run(value) if inspect.iscoroutine(value) else value
