"""Appends to durable collections and reads them for a run, off the event loop.

An append is an effect on the store. Its token is derived from the calling call, without its retries or those of the calls above it.
So the same call never appends twice, in any life or attempt of the run. Another run has other tokens, and so has a fork.

Appends that arrive during a write are written together in the next one. Nothing here may touch the store on the loop.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headway.engine.call import Call
from headway.engine.following import Following
from headway.engine.identity.inputs import replace_handles
from headway.engine.identity.keys import call_prefix, hash_key, sibling_key
from headway.errors import UsageError
from headway.journal.codec.codec import digest, encode, value_digest
from headway.journal.records import INLINE_BYTES
from headway.journal.shared.items import Item
from headway.journal.store import Buffer, Store

if TYPE_CHECKING:
    from headway.engine.run_context import RunContext

MOST_ORDINALS = 1 << 12
MOST_DEPTH = 2  # of inputs of inputs; those below count by their keys


@dataclass(eq=False, slots=True)
class _Append:
    """One append that waits to be written."""

    name: str
    item: Item
    number: int | None = None
    left: bool = False  # its call was stopped: nobody writes the item for it any more


class Collecting:
    """The collections of one run's store."""

    def __init__(self, run: RunContext) -> None:
        self._run = run
        self._turn = asyncio.Lock()
        self._waiting: list[_Append] = []
        self._read: dict[str, list[Item]] = {}  # by collection: its first items, as far as they were requested
        self.following = Following(run)

    def store(self, what: str) -> Store:
        """The run's store. Raises UsageError where it has none."""
        if self._run.store is None:
            raise UsageError(f"{what}: this run has store=None, and a collection is kept in a store. Run with store=PATH")
        return self._run.store

    async def append(self, call: Call, name: str, value: object) -> int:
        """Append the value that a call was asked to append, unless it has done so before; the item's number."""
        run = self._run
        store = self.store("append")
        head, buffers = encode(value, where=f"the item for collection {name!r}")
        blobs: dict[bytes, Buffer] = {digest(buffer): buffer for buffer in buffers}
        names = tuple(digest(buffer) for buffer in buffers)
        if len(head) > INLINE_BYTES:
            names, head, blobs = (digest(head), *names), b"", {digest(head): head, **blobs}
        if blobs:
            await run.world.aside(_put, store, blobs)
        token = hashlib.blake2b(lasting_name(call), key=run.nonce, digest_size=16).digest()
        asked = _Append(name, Item(token, head, names, run.run_id, call.key, run.wall()))
        self._waiting.append(asked)
        try:
            async with self._turn:
                if asked.number is None:
                    await self._write(store, asked)
        finally:
            asked.left = True
            if asked in self._waiting:
                self._waiting.remove(asked)
        assert asked.number is not None
        return asked.number

    async def _write(self, store: Store, mine: _Append) -> None:
        """Write what waits. Where it fails or is left, the others write their own: an item that is there keeps its number.

        An append that was stopped meanwhile is not written again: its call has ended.
        """
        taken, self._waiting = self._waiting, []
        try:
            await self._run.world.aside(_append, store, taken)
        finally:
            self._waiting[:0] = [one for one in taken if one.number is None and one is not mine and not one.left]

    async def erase(self, name: str, numbers: Iterable[int]) -> None:
        """Erase what these items hold. Their places stay."""
        store = self.store("erase")
        for number in numbers:
            await self._run.world.aside(lambda number=number: store.erase_items(name, number + 1, after=number))

    async def count(self, name: str) -> int:
        return await self._run.world.aside(self.store("snapshot").count_items, name)

    async def items(self, name: str, until: int) -> tuple[list[Item], list[list[Buffer]]]:
        """The first items of a collection, and the buffers of each."""
        store, known = self.store("snapshot"), self._read.setdefault(name, [])
        aside = self._run.world.aside
        if (have := len(known)) < until:
            more = await aside(lambda: store.items(name, after=have, until=until))
            known += more[len(known) - have :]  # others may have read on meanwhile
        items = known[:until]
        if not any(item.blobs for item in items):
            return items, [[] for _ in items]
        return items, await aside(read_buffers, store, items)


def _put(store: Store, blobs: dict[bytes, Buffer]) -> None:
    for name, data in blobs.items():
        store.put_blob(name, data)


def _append(store: Store, asked: list[_Append]) -> None:
    for name in dict.fromkeys(one.name for one in asked):
        part = [one for one in asked if one.name == name]
        for one, number in zip(part, store.append_items(name, [one.item for one in part]), strict=True):
            one.number = number


def read_buffers(store: Store, items: list[Item]) -> list[list[Buffer]]:
    """Read the buffers that the values of items need besides their heads."""
    return [[store.get_blob(name) for name in item.blobs] for item in items]


class _Named:
    """Stands for a handle, in the arguments of a call, under another name."""

    __headway_handle__ = True
    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key


def lasting_name(call: Call, depth: int = 0) -> bytes:
    """The name that a call has in every attempt of the calls above it: its key, as if each of them were in its first.

    A handle among the arguments counts as its lasting name and its result: one that comes out otherwise in another attempt makes
    another call. All inputs have ended, for the call has started.
    """
    if call.share is not None:
        shared: bytes = call.engine.shared.effect_name(call)
        return shared
    line = [call]
    while (above := line[-1].parent) is not None:
        line.append(above)
    name = line[-1].key
    for parent, child in zip(line[:0:-1], line[-2::-1], strict=True):
        if name == parent.key and not parent.epoch and not child.inputs:
            name = child.key
            continue
        ordinal = _ordinal(hash_key(call_prefix(parent.key, parent.epoch) + child.spec.name_part + child.asked), child)
        asked = child.spec.name_part + _lasting_question(child, depth)
        name = child.key if ordinal is None else sibling_key(hash_key(call_prefix(name, 0) + asked), ordinal)
    return name


def _lasting_question(call: Call, depth: int) -> bytes:
    """What a call asks, whichever attempts of the calls above made its inputs."""
    if not call.inputs or call.spec.key is not None:
        return call.asked

    def named(source: Call) -> _Named:
        name = lasting_name(source, depth + 1) if depth < MOST_DEPTH else source.key
        return _Named(hash_key(name + value_digest(source.head, source.blobs)))

    args = tuple(replace_handles(value, named) for value in call.args)
    return call.spec.canonical(args, {name: replace_handles(value, named) for name, value in call.kwargs.items()})


def _ordinal(base: bytes, call: Call) -> int | None:
    """Which of its equal siblings a call is; None where that can't be found, and its own key has to do."""
    if call.place is not None:
        return call.place.ordinal
    return next((number for number in range(MOST_ORDINALS) if sibling_key(base, number) == call.key), None)
