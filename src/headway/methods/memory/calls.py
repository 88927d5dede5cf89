"""The calls behind a memory: each write, search and look at its records is one, with its result recorded.

They are named by the memory's name, so whoever asks the same of the same memory in a resumed run finds the same call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from headway.engine.call import current
from headway.engine.collecting import Collecting
from headway.engine.following import Follower
from headway.engine.stopping.outside import refuse_outside
from headway.errors import NotInRun
from headway.journal.codec.codec import declare
from headway.methods.memory.book import Book, Filter, Record
from headway.methods.memory.records import Edit, Hit, Recalled
from headway.task import task

F = TypeVar("F", bound=Follower)
T = TypeVar("T")
for _kept in (Recalled, Hit, Edit):
    declare(_kept)


def collection_of(memory: str) -> str:
    """The name of the collection that holds a memory's records."""
    return f"memory/{memory}"


def find_collecting(memory: str, what: str) -> Collecting:
    """What the run keeps collections with. Raises NotInRun, and UsageError where the run has no store."""
    asked = f"Memory({memory!r}).{what}()"
    frame = current.get()
    if frame is None:
        refuse_outside(f"{what} of a memory was called", "call it in the parent task")
        raise NotInRun(f"{asked} belongs to a run, and none goes on here: call it in a task")
    collecting: Collecting = frame.call.engine.collecting
    collecting.store(asked)
    return collecting


@dataclass(frozen=True, slots=True)
class Written:
    """A record that was written: its number, and why it changed nothing where it didn't."""

    number: int
    refused: str = ""


declare(Written)


@task(name="memory.write", effect=True, version="1", label="{memory}")
async def write(memory: str, record: Record) -> Written:
    """Write a record, once. Forgetting also erases what it is about; it is done again after a crash in between."""
    frame, collection = current.get(), collection_of(memory)
    assert frame is not None
    collecting: Collecting = frame.call.engine.collecting
    number = await collecting.append(frame.call, collection, record)
    if record.what == "put":
        return Written(number)
    refused, gone = await _ask_book(memory, None, lambda book, _: (book.refused.get(number, ""), book.to_erase.get(number, ())))
    await collecting.erase(collection, gone)
    return Written(number, refused)


@task(name="memory.search", version="1", label="{query}")
async def search(
    memory: str, as_of: int | None, query: str, vector: list[float] | None, k: int, wanted: tuple[Any, ...]
) -> Recalled:
    """Search a memory as it is now, or as of a version."""
    return await _ask_book(
        memory,
        as_of,
        lambda book, version: Recalled(memory, query, version, book.search(query, vector, k, Filter(*wanted))),
    )


@task(name="memory.get", version="1", label="{id}")
async def look_up(memory: str, as_of: int | None, namespace: str, id: str) -> Hit | None:
    """The case of an id."""
    return await _ask_book(memory, as_of, lambda book, _: book.get(namespace, id))


@task(name="memory.history", version="1", label="{id}")
async def read_history(memory: str, as_of: int | None, namespace: str, id: str) -> tuple[Edit, ...]:
    """What was written about a case."""
    return await _ask_book(memory, as_of, lambda book, _: book.history(namespace, id))


@task(name="memory.cases", version="1", label="{memory}")
async def list_cases(memory: str, as_of: int | None, wanted: tuple[Any, ...], last: int | None) -> tuple[Hit, ...]:
    """The cases of a memory."""
    return await _ask_book(memory, as_of, lambda book, _: book.cases(Filter(*wanted), last))


@task(name="memory.pin", version="1", label="{memory}")
async def count_records(memory: str) -> int:
    """How many records a memory has: its version."""
    return await find_collecting(memory, "pin").count(collection_of(memory))


async def _ask_book(memory: str, as_of: int | None, question: Callable[[Book, int], T]) -> T:
    return await ask_follower(memory, as_of, lambda: Book(as_of), question)


async def ask_follower(memory: str, key: object, make: Callable[[], F], question: Callable[[F, int], T]) -> T:
    """Let a follower of a memory's records read on and answer a question, as of the version it is told. The answer is not recorded
    here."""
    collecting = find_collecting(memory, "search")
    store = collecting.store(f"Memory({memory!r})")
    return await collecting.following.ask(store, collection_of(memory), key, make, question)
