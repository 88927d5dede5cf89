"""The threads of one application in a store: which there are, what this process has read of each, and how it appends to them.

Any number of threads and processes may append to one collection. Who appends learns the number that its record got; where another
one was there first, it reads on before it goes on. Nothing is held open between calls.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import quote, unquote

from headway.integrations.langgraph.records import Cut, Record, append, read
from headway.integrations.langgraph.threads import ThreadRecords
from headway.journal.store import Store

KNOWN_THREADS = 256


class Shelf:
    """The threads in the store whose collections begin with a name."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._prefix = f"{name}/"
        self._lock = threading.Lock()  # of the dictionary; each thread has one of its own
        self._threads: dict[str, ThreadRecords] = {}

    def thread_ids(self) -> list[str]:
        """The threads that the store has."""
        names = [one.name for one in self._store.collections()]
        return [unquote(name.removeprefix(self._prefix)) for name in names if name.startswith(self._prefix)]

    @contextmanager
    def open(self, thread_id: str, *, reads: bool = True) -> Iterator[ThreadRecords]:
        """A thread, locked; with `reads` up to what is there now, else as far as this process knows it."""
        name = self._prefix + quote(thread_id, safe="")
        with self._lock:
            thread = self._threads.pop(name, None) or ThreadRecords(name)
            self._threads[name] = thread  # the last one used goes last
            while len(self._threads) > KNOWN_THREADS:
                del self._threads[next(iter(self._threads))]
        with thread.lock:
            if reads:
                self.read_on(thread)
            yield thread

    def read_on(self, thread: ThreadRecords) -> None:
        """Read what was appended since."""
        for record in read(self._store, thread.name, thread.size):
            thread.add(record)

    def append(self, thread: ThreadRecords, *records: Record) -> int:
        """Append records in one durable transaction, and know them and whatever others have appended before. Returns the number of
        the first."""
        first = append(self._store, thread.name, records)
        if first == thread.size:
            for record in records:
                thread.add(record)
        else:
            self.read_on(thread)
        return first

    def keep_only(self, thread_id: str, wanted: Callable[[ThreadRecords], set[int]] | None) -> None:
        """Cut a thread down to some of its checkpoints, or to none, in one transaction; then erase what was cut off."""
        with self.open(thread_id) as thread:
            numbers = set() if wanted is None else wanted(thread)
            if not (thread.number_of or thread.writes) or numbers == set(thread.number_of.values()) != set():
                return
            until = thread.size
            copies = [] if wanted is None else thread.copies(sorted(numbers), moves=True)
            self.append(thread, Cut(until), *copies)
            self._store.erase_items(thread.name, until)

    def copy(self, source: str, target: str) -> None:
        """Append copies of all that a thread has to another."""
        with self.open(source) as thread:
            copies = thread.copies(sorted(thread.number_of.values()), moves=False)
        if copies:
            with self.open(target, reads=False) as other:
                self.append(other, *copies)
