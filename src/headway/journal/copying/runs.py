"""Copies runs from one store to another, one after another.

A run appears in the target in one transaction, when its blobs, checkpoints, shared results and collections are there. So nothing
that is half written can be seen, and a copy that was killed goes on when it is asked for again: what is there is verified and left.
A run that somebody drives is refused, and so is one that is taken up while it is copied. Afterwards every row is read back and
compared, and every blob is read back and hashed. The source is not changed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

import msgspec

from headway.errors import HeadwayError, RunError, RunMismatch, RunOwned, StoreDamaged, StoreError, UnknownRun, UsageError
from headway.journal.copying.checkpoints import copy_checkpoints
from headway.journal.copying.collections import copy_collection
from headway.journal.copying.contents import Contents, read_contents, read_parts
from headway.journal.copying.queues import QueueCopy
from headway.journal.copying.report import CopiedCollection, CopiedRun, CopyProgress, CopyReport, OnProgress
from headway.journal.open import open_store, open_to_read
from headway.journal.records import Row, RunInfo, Signal
from headway.journal.store import Store, every_run
from headway.journal.upkeep.named import blobs_of
from headway.storage.blobs import hash_blob

CACHE_PAGE = 500


def copy_runs(
    source: str | Path | Store,
    target: str | Path | Store,
    runs: Iterable[str] | None = None,
    *,
    on_progress: OnProgress | None = None,
) -> CopyReport:
    """Copy runs to another store, with their records, large values, signals, shared results, collections and checkpoints.

    Folders and databases are copied to each other in either direction. The source stays as it is. What is in the target already is
    compared, so a copy that was killed goes on when it is asked for again.

    Runs that wait in a queue go with their place in it, once the queue is paused in the source: workers of the target go on with
    them. Queues keep their settings, and schedules go along where all runs do.

    Args:
        source: the store to read.
        target: the store to write; made if it is not there.
        runs: ids of runs. By default all of them, and all that they share.
        on_progress: called again and again with a `CopyProgress`.

    Returns:
        What became of each run. Refused are a run that somebody drives or may take from its queue, one whose id another run has in
        the target, and one that is damaged; the others are copied.

    Raises:
        UnknownRun: the source has no such run; nothing is copied.
        UsageError: source and target are the same store.
        StoreError: a store can't be read or written any more. What was copied before is whole; ask again.

    Example:
        >>> @hw.task
        ... async def double(x: int) -> int:
        ...     return 2 * x
        >>> source, target = hw.MemoryStore(), hw.MemoryStore()
        >>> hw.run(double, 21, store=source, run_id="answer")
        42
        >>> [(run.run_id, run.outcome) for run in hw.copy_runs(source, target).runs]
        [('answer', 'copied')]
        >>> hw.resume("answer", store=target)
        42
    """
    opened = open_to_read(source)
    try:
        chosen = None if runs is None else [opened.run(name) for name in dict.fromkeys(runs)]
        made = open_store(target)
        try:
            return _Copy(opened, made, on_progress).work(chosen)
        finally:
            if made is not target:
                made.close()
    finally:
        if opened is not source:
            opened.close()


class _Copy:
    def __init__(self, source: Store, target: Store, on_progress: OnProgress | None) -> None:
        if source is target or (source.url == target.url and Path(source.url).is_dir()):
            raise UsageError(f"{source.url} can't be copied to itself: name another store")
        self.source, self.target = source, target
        self._on_progress = on_progress
        self._done = self._rows = 0
        self._run_id = ""
        self._put: set[bytes] = set()  # blobs that were written and read back
        self._collections: dict[str, CopiedCollection] = {}
        self._queues = QueueCopy(source, target)

    def work(self, chosen: list[RunInfo] | None) -> CopyReport:
        infos: Iterable[RunInfo] = every_run(self.source) if chosen is None else chosen
        sizes = {one.name: one.size for one in self.source.collections()}
        copied = []
        for info in infos:
            self._run_id, self._rows = info.spec.run_id, 0
            copied.append(self._copy_or_refuse(info, sizes))
            self._done += 1
        cached = 0
        if chosen is None:
            for name in sizes:
                self._copy_collection(name)
            cached = self._copy_cache()
        self._queues.put_settings(all_of_them=chosen is None)
        copied = self._queues.put_jobs(copied)
        return CopyReport(
            source=self.source.url,
            target=self.target.url,
            runs=tuple(copied),
            collections=tuple(self._collections[name] for name in sizes if name in self._collections),
            cached=cached,
            schedules=self._queues.put_schedules() if chosen is None else (),
        )

    def _count(self, rows: int) -> None:
        self._rows += rows
        if self._on_progress is not None:
            self._on_progress(CopyProgress(self._run_id, self._done, self._rows))

    # one run

    def _copy_or_refuse(self, info: RunInfo, sizes: Iterable[str]) -> CopiedRun:
        name = info.spec.run_id
        try:
            return self._copy(self.source.free_run(name, time.time()), sizes)
        except HeadwayError as error:
            if _is_fatal(error):
                raise
            return CopiedRun(run_id=name, outcome="refused", why=str(error), rows=info.nrows)

    def _copy(self, info: RunInfo, sizes: Iterable[str]) -> CopiedRun:
        name, signals = info.spec.run_id, self.source.signals(info.uid)
        self._queues.check_run(info)
        there = self._find(name)
        if there is not None and not is_same(info, there):
            raise RunMismatch(_taken(info, there, self.target.url))
        contents = read_contents(self.source, info, signals, self._count)
        for collection in sizes:
            if contents.uses(collection) and (found := self._copy_collection(collection)).outcome == "refused":
                raise StoreError(f"its {found.why}")
        nbytes = sum(self._copy_blob(digest) for digest in contents.blobs)
        cached = self._copy_shared(contents)
        files, without = copy_checkpoints(self.source, self.target, name)
        made = there or self._put_run(info, contents, signals)
        self._verify(info, made, signals, is_new=there is None)
        return CopiedRun(
            run_id=name,
            outcome="there already" if there is not None else "copied",
            why=without,
            rows=contents.rows,
            blobs=len(contents.blobs),
            blob_bytes=nbytes,
            signals=len(signals),
            cached=cached,
            files=files,
        )

    def _find(self, run_id: str) -> RunInfo | None:
        try:
            return self.target.run(run_id)
        except UnknownRun:
            return None

    def _put_run(self, info: RunInfo, contents: Contents, signals: Sequence[Signal]) -> RunInfo:
        def parts() -> Iterator[list[Row]]:
            for part in read_parts(self.source, info):
                self._count(len(part))
                yield part
            self._check_unchanged(info, signals)

        try:
            return self.target.put_run(info, parts, signals, contents.heard)
        except RunMismatch:  # a first try of ours whose answer was lost, or another copy of it
            there = self.target.run(info.spec.run_id)
            if not is_same(info, there):
                raise RunMismatch(_taken(info, there, self.target.url)) from None
            return there

    def _check_unchanged(self, info: RunInfo, signals: Sequence[Signal]) -> None:
        """Raises RunOwned where somebody has taken the run up, or sent it something, since it was looked at."""
        now = self.source.free_run(info.spec.run_id, time.time())
        if not is_same(info, now) or now.uid != info.uid or self.source.signals(info.uid) != list(signals):
            raise RunOwned(f"run {info.spec.run_id!r} has changed while it was copied: copy it again when nobody drives it")

    def _verify(self, info: RunInfo, made: RunInfo, signals: Sequence[Signal], *, is_new: bool) -> None:
        """Read everything back. Raises StoreDamaged where it is not what the source has. What is new is then taken out again."""
        try:
            for mine, theirs in zip_longest(read_parts(self.source, info), read_parts(self.target, made), fillvalue=()):
                if mine != theirs:
                    raise StoreDamaged(f"its records in {self.target.url} are not those of {self.source.url}")
                self._count(len(mine))
            if self.target.signals(made.uid) != list(signals):
                raise StoreDamaged(f"its signals in {self.target.url} are not those of {self.source.url}")
        except StoreDamaged:
            if is_new:
                self.target.delete_run(info.spec.run_id, time.time())
            raise

    # what goes with it

    def _copy_blob(self, digest: bytes) -> int:
        """Copy a blob, and read it back; its size in bytes."""
        data = self.source.get_blob(digest)
        with data:
            if digest not in self._put:
                self.target.put_blob(digest, data)
                with self.target.get_blob(digest) as back:
                    if hash_blob(back) != digest:
                        raise StoreDamaged(f"blob {digest.hex()} in {self.target.url} is not what was written")
                self._put.add(digest)
            return data.nbytes

    def _copy_shared(self, contents: Contents) -> int:
        entries = [(name, row) for name in contents.shared if (row := self.source.cached(name)) is not None]
        return self._put_cache(entries)

    def _put_cache(self, entries: Sequence[tuple[bytes, Row]]) -> int:
        for _, row in entries:
            for digest in blobs_of(row):
                self._copy_blob(digest)
        return self.target.put_cache(entries) if entries else 0

    def _copy_cache(self) -> int:
        count, after = 0, b""
        while page := self.source.cache_entries(after=after, most=CACHE_PAGE):
            count += self._put_cache(page)
            after = page[-1][0]
        return count

    def _copy_collection(self, name: str) -> CopiedCollection:
        if name not in self._collections:
            self._collections[name] = copy_collection(self.source, self.target, name, self._copy_blob)
        return self._collections[name]


def is_same(one: RunInfo, other: RunInfo) -> bool:
    """Whether two stores have the same run in the same state, whoever owned it."""
    return _state(one) == _state(other)


def _state(info: RunInfo) -> RunInfo:
    return msgspec.structs.replace(info, uid=0, owner="", lease_until=0.0)


def _taken(info: RunInfo, there: RunInfo, where: str) -> str:
    name = info.spec.run_id
    if info.spec != there.spec:
        return f"the run id {name!r} is taken in {where} by another run: copy it to another store"
    return (
        f"{where} has run {name!r} in another state ({there.status}, {there.nrows:,} records; here {info.status}, {info.nrows:,}): "
        f"remove the one that is out of date with `headway gc --delete {name}`, and copy again"
    )


def _is_fatal(error: HeadwayError) -> bool:
    """Whether an error is about a store and not about one run."""
    if isinstance(error, StoreDamaged | RunError):
        return False
    return type(error) is not StoreError
