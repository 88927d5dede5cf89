"""Durable collections that several runs build up together: an archive, a memory, a list of attempts.

    archive = hw.collection("archive", Candidate)

    @hw.task
    async def improve(seed: int) -> int:
        best = max(await archive.snapshot(), key=score)       # what was there when this call first asked
        return await archive.append(await mutate(best, seed)) # once, whatever happens

A collection lives in the store, beside the runs. Items are only ever added, so the first n items never change. That makes n the
version of a snapshot, and the journal records it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar, cast, overload

from headway.engine.call import current
from headway.engine.collecting import read_buffers
from headway.engine.handle import Handle
from headway.engine.stopping.outside import refuse_outside
from headway.errors import NotInRun, UsageError
from headway.journal.codec.codec import declare, decode
from headway.journal.open import DEFAULT_STORE, open_to_read
from headway.journal.shared.items import Item
from headway.journal.store import Buffer, Store
from headway.task import task

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
_UNREAD: Any = object()


class Snapshot(Sequence[T_co]):
    """The items of a collection as they were at one version; made by `Collection.snapshot`. It never changes.

    As an argument of a task it is named by the collection and the version, however many items it has.
    """

    def __init__(self, name: str, version: int, items: Sequence[Item], buffers: Sequence[Sequence[Buffer]]) -> None:
        kept = [(item, own) for item, own in zip(items, buffers, strict=True) if not item.is_lost]
        self._name, self._version = name, version
        self._items: list[Any] = kept
        self._values: list[Any] = [_UNREAD] * len(kept)

    @property
    def name(self) -> str:
        """The collection's name."""
        return self._name

    @property
    def version(self) -> int:
        """How many items had been appended. `len` is smaller only where a repair of the store has left items out."""
        return self._version

    def __len__(self) -> int:
        return len(self._values)

    @overload
    def __getitem__(self, index: int) -> T_co: ...
    @overload
    def __getitem__(self, index: slice) -> list[T_co]: ...
    def __getitem__(self, index: int | slice) -> T_co | list[T_co]:
        if isinstance(index, slice):
            return [self._at(place) for place in range(*index.indices(len(self)))]
        return self._at(range(len(self))[index])

    def __iter__(self) -> Iterator[T_co]:
        return (self._at(place) for place in range(len(self)))

    def _at(self, place: int) -> T_co:
        if self._values[place] is _UNREAD:
            item, buffers = self._items[place]
            head, rest = (item.value, buffers) if item.value else (bytes(buffers[0]), buffers[1:])
            self._values[place] = decode(head, rest)
        return cast("T_co", self._values[place])

    def __repr__(self) -> str:
        return f"<snapshot of {self._name!r} at version {self._version}: {len(self)} items>"

    def __headway_key__(self) -> object:
        return ("snapshot", self._name, self._version)

    def __reduce__(self) -> tuple[Any, ...]:
        return _load_snapshot, (self._name, self._version, list(self))


def _load_snapshot(name: str, version: int, values: list[Any]) -> Snapshot[Any]:
    """A snapshot in another process, with its items at hand."""
    made: Snapshot[Any] = Snapshot(name, version, (), ())
    made._values = values
    return made


class Collection(Generic[T]):
    """A durable collection, made by `collection`. It is only a name: making one reads and writes nothing."""

    def __init__(self, name: str, store: str | Path | Store | None = None) -> None:
        self._name = name
        self._store = store

    @property
    def name(self) -> str:
        """What it is known by in the store."""
        return self._name

    def append(self, item: T | Handle[T]) -> Handle[int]:
        """Append an item, in a run.

        It is a call, and an effect: it waits until all it depends on is durable. It happens once, though the run is killed and
        resumed, and though the calls above are tried again: an attempt that appends an equal item at the same place gets the item
        that is there. A fork keeps what it has copied of its source's appends, and makes those that it runs again under its own
        name. What was appended stays when the run fails or is deleted.

        Args:
            item: the item, or the handle of a call whose result it is.

        Returns:
            The handle of the call; its result is the item's number in the collection, from 0.

        Raises:
            NotInRun: no run goes on here.
            NoCanonicalForm: the item has none.
            UsageError: the run has no store.
        """
        self._check_in_run("append")
        return append(self._name, item)

    async def snapshot(self) -> Snapshot[T]:
        """All items that are there now, from every run of the store.

        The version is recorded: after a resume this call gets the very same items, whatever was appended since.

        Returns:
            The items.

        Raises:
            NotInRun: no run goes on here.
            UsageError: the run has no store.
            StoreDamaged: items of that version are lost.
        """
        engine = self._check_in_run("snapshot")
        version = await count(self._name)
        return Snapshot(self._name, version, *await engine.collecting.items(self._name, version))

    def read(self) -> Snapshot[T]:
        """All items that are there now, read from outside of a run.

        Returns:
            The items.

        Raises:
            UsageError: a run goes on here, where the answer would not be recorded.
            StoreError: there is no such store.
        """
        if current.get() is not None:
            raise UsageError(f"{self!r}.read() is for code outside of runs: in a run `await` its snapshot(), which is recorded")
        refuse_outside("a collection was read", "read it in the parent task and pass the snapshot on")
        opened = open_to_read(DEFAULT_STORE if self._store is None else self._store)
        try:
            items = opened.items(self._name)
            found: Snapshot[T] = Snapshot(self._name, len(items), items, read_buffers(opened, items))
            list(found)  # while the store is open
            return found
        finally:
            if opened is not self._store:
                opened.close()

    def _check_in_run(self, what: str) -> Any:
        """The engine of the run. Raises NotInRun, UsageError."""
        frame = current.get()
        if frame is None:
            refuse_outside(f"{what} of a collection was called", "call it in the parent task")
            raise NotInRun(f"{self!r}.{what}() belongs to a run, and none goes on here: read it with {self!r}.read()")
        if self._store is not None:
            raise UsageError(f"{self!r}.{what}(): a run's collections are in the run's own store; leave out store=")
        frame.call.engine.collecting.store(f"{self!r}.{what}()")
        return frame.call.engine

    def __repr__(self) -> str:
        return f"hw.collection({self._name!r})"

    def __headway_key__(self) -> object:
        return ("collection", self._name)


@task(name="hw.append", effect=True, version="1", label="{collection}")
async def append(collection: str, item: Any) -> int:
    """Append an item to a collection of the run's store."""
    frame = current.get()
    assert frame is not None
    number: int = await frame.call.engine.collecting.append(frame.call, collection, item)
    return number


@task(name="hw.snapshot", version="1", label="{collection}")
async def count(collection: str) -> int:
    """How many items a collection has: the version of a snapshot."""
    frame = current.get()
    assert frame is not None
    size: int = await frame.call.engine.collecting.count(collection)
    return size


@overload
def collection(name: str, of: type[T], /, *, store: str | Path | Store | None = None) -> Collection[T]: ...
@overload
def collection(name: str, of: None = None, /, *, store: str | Path | Store | None = None) -> Collection[Any]: ...
def collection(name: str, of: Any = None, /, *, store: str | Path | Store | None = None) -> Collection[Any]:
    """Name a durable collection of the run's store, shared by all its runs and processes.

    Args:
        name: what it is known by in the store.
        of: the type of its items, declared to the codec, so that a program which only reads them can.
        store: for `read` outside of runs; default ".headway".

    Returns:
        The collection. Naming one reads and writes nothing.

    Raises:
        UsageError: the name is empty or has unprintable characters.

    Example:
        >>> tried = hw.collection("tried", str)
        >>> @hw.task
        ... async def tries(word: str) -> list[str]:
        ...     await tried.append(word)
        ...     return list(await tried.snapshot())
        >>> store = hw.MemoryStore()
        >>> hw.run(tries, "one", store=store), hw.run(tries, "two", store=store)
        (['one'], ['one', 'two'])
        >>> hw.collection("tried", str, store=store).read()[-1]
        'two'
    """
    if not isinstance(name, str) or not name or not name.isprintable():
        raise UsageError(f"hw.collection({name!r:.100}): a name of printable characters")
    if of is not None:
        declare(of)
    return Collection(name, store)
