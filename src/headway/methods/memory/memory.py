"""A durable memory that all runs of a store share: cases put in by calls, and found again by words or by meaning.

    memory = Memory("team")
    await memory.put(Case("The invoice API wants dates as YYYYMMDD", outcome="failure"))
    found = await memory.search("dates of invoices", k=3)

It is a collection of records. Writing is an effect that happens once, and a search is a call: its result, the scores and the
version that it saw are recorded. So a resumed run remembers what it remembered, whatever others have written since. The index
reads each record once in the life of a run; a search costs what was written since the last one, and the cases that share a word
with it.

Nothing here may search without recording it, and nothing may give back what was forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.memory.book import Record
from headway.methods.memory.calls import (
    Written,
    collection_of,
    count_records,
    find_collecting,
    list_cases,
    look_up,
    read_history,
    search,
    write,
)
from headway.methods.memory.records import (
    Case,
    CaseChanged,
    Edit,
    End,
    Hit,
    Kind,
    Recalled,
    UnknownCase,
    check_changes,
    check_name,
    check_wanted,
)
from headway.methods.memory.vectors import pack
from headway.models.numbers.embedding import EmbeddingModel
from headway.tools.finding.vectors import Embedder, as_function

_SAME: Any = object()


@dataclass(frozen=True, eq=False)
class Memory:
    """A memory of the run's store, by name. Making one reads and writes nothing.

    Attributes:
        name: what it is known by in the store; its collection is `memory/NAME`.
        embedder: compares texts by vectors instead of by words: a model that embeds, or an async function of texts, best a task.
        as_of: for a pinned memory, how many records it shows of others; `pin` makes one.

    Raises:
        UsageError: the name is empty or has unprintable characters.

    Example:
        >>> from headway.methods.memory import Case, Memory
        >>> memory = Memory("team")
        >>> @hw.task
        ... async def program() -> list[str]:
        ...     await memory.put(Case("The invoice API wants dates as YYYYMMDD", outcome="failure"))
        ...     await memory.put(Case("Ada lives in Turin", kind="profile", id="home"))
        ...     return [hit.case.text for hit in await memory.search("which dates do invoices want?", k=1)]
        >>> hw.run(program, store=hw.MemoryStore())
        ['The invoice API wants dates as YYYYMMDD']

    Source:
        MOBIMEM's three kinds of memory: IPADS-SAI/MobiAgent, `agent_rr`, for experience retrieved top-k; profile memory after its
        description. It departs in that words (BM25) are the default, and that a search is recorded with the version it saw.
    """

    name: str
    embedder: Embedder | EmbeddingModel | None = None
    as_of: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name or not self.name.isprintable():
            raise UsageError(f"Memory({self.name!r:.100}): a name of printable characters")
        if self.as_of is not None:
            settings.whole_number(repr(self), as_of=self.as_of)

    @property
    def collection(self) -> str:
        """The name of its collection."""
        return collection_of(self.name)

    # --- writing -----------------------------------------------------------------------------------------------------

    async def put(self, case: Case) -> str:
        """Remember a case. With an id it replaces the case that has it, which stays as its history.

        It is a call and an effect, and happens once, though the run is killed or the call above it tried again.

        Args:
            case: what to remember.

        Returns:
            The id of the case.

        Raises:
            UsageError: it is no case, or the run has no store.
            NotInRun: no run goes on here.
        """
        settings.instance(f"{self!r}.put", Case, case=case)
        find_collecting(self.name, "put")
        vector = await self._embed(case.text)
        written = await self._write(Record("put", case.namespace, case.id, case, vector=vector))
        return case.id or f"#{written.number}"

    async def update(
        self,
        id: str,
        *,
        namespace: str = "",
        text: str = _SAME,
        value: object = _SAME,
        outcome: End = _SAME,
        untrusted: bool = _SAME,
        expects: int | None = None,
    ) -> int:
        """Change a case. What it was stays as its history.

        Updates of one case by several runs take effect in the order of the memory: each changes what it names, and leaves the rest
        as the one before has it.

        Args:
            id: of which case.
            namespace: whose.
            text: what it says now.
            value: what comes with it now.
            outcome: how it ended.
            untrusted: whether strangers may have written some of it.
            expects: the number of the hit that the change was made from: then nothing is changed where somebody else was first.

        Returns:
            The number of the record.

        Raises:
            UnknownCase: there is no such case, or it was forgotten meanwhile.
            CaseChanged: it was written after what is expected.
            UsageError: nothing is to be changed, or to what makes no sense.
        """
        where = f"{self!r}.update({id!r:.40})"
        given = {"text": text, "value": value, "outcome": outcome, "untrusted": untrusted}
        changes = {name: new for name, new in given.items() if new is not _SAME}
        check_changes(where, changes)
        if expects is not None:
            settings.whole_number(where, expects=expects)
            if self.as_of is not None:
                raise UsageError(f"{where}: expects= is for a memory that is not pinned")
        await self._find(id, namespace, "update")
        vector = await self._embed(text) if "text" in changes else b""
        written = await self._write(Record("update", namespace, id, None, changes, expects, vector))
        if written.refused == "changed":
            raise CaseChanged(f"{where}: somebody else has written it since record {expects}: look at it again")
        if written.refused:
            raise UnknownCase(f"{where}: it was forgotten meanwhile")
        return written.number

    async def forget(self, id: str, *, namespace: str = "") -> None:
        """Forget a case and its history: no search finds it again, and its records are erased from the store.

        That it was there and who has forgotten it stays. So does what journals of runs say: the arguments of the call that put it
        in, and the results of searches that had found it, until those runs are deleted (`headway gc --delete`).

        Args:
            id: of which case.
            namespace: whose.

        Raises:
            UnknownCase: there is no such case.
        """
        await self._find(id, namespace, "forget")
        await self._write(Record("forget", namespace, id))

    # --- reading -----------------------------------------------------------------------------------------------------

    async def search(
        self,
        query: str,
        k: int = 5,
        *,
        namespace: str | None = None,
        kind: Kind | None = None,
        outcome: End | None = None,
        trusted: bool = False,
    ) -> Recalled:
        """Find the cases that fit best.

        By words (BM25) or, with an embedder, by the cosine of vectors. Scores are those of an index of the wanted cases alone: what
        is in other namespaces has no part in them.

        Args:
            query: what is searched for, in words.
            k: how many at most.
            namespace: whose cases; None for all.
            kind: of which kind; None for all.
            outcome: that ended so; None for all.
            trusted: only those that no strangers may have written.

        Returns:
            Those with a score above zero, the best first, the newer first of equal ones. It is recorded, with the version it saw.

        Raises:
            UsageError: an empty query, `k` below 1, a kind or an outcome that there is not, cases without vectors, no store.
            NotInRun: no run goes on here.
        """
        where = f"{self!r}.search"
        if not isinstance(query, str) or not query.strip():
            raise UsageError(f"{where}: query={query!r:.80}: what is searched for, in words")
        settings.at_least_one(where, k=k)
        wanted = check_wanted(where, namespace, kind, outcome, trusted)
        find_collecting(self.name, "search")
        vector = None if self.embedder is None else list((await as_function(self.embedder)([query]))[0])
        return await search(self.name, self.as_of, query, vector, k, wanted)

    async def get(self, id: str, *, namespace: str = "") -> Hit | None:
        """The case of an id; None where there is none.

        Args:
            id: of which case.
            namespace: whose.

        Returns:
            The case as it is now, which is recorded.
        """
        check_name(f"{self!r}.get", id=id, namespace=namespace)
        find_collecting(self.name, "get")
        return await look_up(self.name, self.as_of, namespace, id)

    async def history(self, id: str, *, namespace: str = "") -> tuple[Edit, ...]:
        """What was written about a case, the oldest first; of one that was forgotten, only that.

        Args:
            id: of which case.
            namespace: whose.

        Returns:
            Its edits, which are recorded; none where there was never such a case.
        """
        check_name(f"{self!r}.history", id=id, namespace=namespace)
        find_collecting(self.name, "history")
        return await read_history(self.name, self.as_of, namespace, id)

    async def cases(
        self,
        *,
        namespace: str | None = None,
        kind: Kind | None = None,
        outcome: End | None = None,
        trusted: bool = False,
        last: int | None = None,
    ) -> tuple[Hit, ...]:
        """All cases, in the order in which they were last written: a profile, say, for a prompt.

        Args:
            namespace: whose; None for all.
            kind: of which kind; None for all.
            outcome: that ended so; None for all.
            trusted: only those that no strangers may have written.
            last: only so many, the newest.

        Returns:
            The cases, which are recorded.

        Raises:
            UsageError: a kind or an outcome that there is not, `last` below 1.
        """
        where = f"{self!r}.cases"
        wanted = check_wanted(where, namespace, kind, outcome, trusted)
        if last is not None:
            settings.at_least_one(where, last=last)
        find_collecting(self.name, "cases")
        return await list_cases(self.name, self.as_of, wanted, last)

    async def pin(self) -> Memory:
        """This memory as it is now: it shows no more what others write, only what this run does.

        The version is recorded. So a run that is resumed goes on with it, and a fork sees the memory as of the time at which it
        begins: what was there when its source pinned it, and what the source had written until then. What anybody forgets is gone
        from a pinned memory, too.

        Returns:
            The pinned memory.
        """
        find_collecting(self.name, "pin")
        return replace(self, as_of=await count_records(self.name))

    def __repr__(self) -> str:
        return f"Memory({self.name!r})"

    def __headway_key__(self) -> object:
        return ("memory", self.name, self.as_of)

    # --- below -------------------------------------------------------------------------------------------------------

    async def _embed(self, text: str) -> bytes:
        return b"" if self.embedder is None else pack((await as_function(self.embedder)([text]))[0])

    async def _find(self, id: str, namespace: str, what: str) -> Hit:
        found = await self.get(id, namespace=namespace)
        if found is None:
            of = f" of {namespace!r}" if namespace else ""
            raise UnknownCase(f"{self!r}.{what}({id!r:.40}): there is no such case{of}")
        return found

    async def _write(self, record: Record) -> Written:
        written = await write(self.name, record)
        find_collecting(self.name, "write").following.note_own(self.collection, written.number)
        return written
