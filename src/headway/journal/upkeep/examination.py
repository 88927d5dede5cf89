"""What a doctor looks at in every store that is a database: runs, records, signals, what runs share, and the blobs they name.

How tables are read and where blobs are is each store's own (`doctor` for a folder, `postgres_doctor` for a database). What is
found is said about a run: which record, which call, and whether a resume needs what is lost. Whatever the bytes are, a doctor must
never fail itself and never call a store whole unless all its records can be read as they were written.
"""

from __future__ import annotations

import functools
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from headway.errors import StoreDamaged, StoreError, StoreVersion
from headway.journal.owner import is_alive
from headway.journal.records import Row, RunInfo
from headway.journal.shared.items import check_item
from headway.journal.shared.queues import JobState, show_state
from headway.journal.sql import checked_rows
from headway.journal.upkeep.findings import Book, Finding, Report, call_text, describe_damage
from headway.journal.upkeep.named import blobs_of
from headway.journal.upkeep.queues_kept import STORED_JOB, check_stored_job
from headway.journal.upkeep.salvage import Found

LOST_ITEM = "a snapshot that has it can't be read; after a repair it is left out"
HEARD_S = 60.0  # a worker says every few seconds that it is there
_SHOWN = {state: state.value for state in JobState} | {JobState.TAKEN: "running"}
Users = dict[bytes, list[Finding]]


class Examination(ABC):
    """One walk through a store; findings gather as it goes."""

    def __init__(self, store: str) -> None:
        self.store = store
        self.findings: list[Finding] = []
        self.users: Users = {}  # digest -> what to say for each record that names it, should it be bad
        self.nruns = self.nrecords = self.nblobs = self.nbytes = 0

    @abstractmethod
    def report(self) -> Report:
        """Look at everything."""

    @abstractmethod
    def read(self, columns: str, table: str, order: str, what: str, means: str) -> Iterator[tuple[object, ...]]:
        """The rows of a small table in this order. Where it ends in what can't be read, that is said in these words."""

    @abstractmethod
    def read_records(self, info: RunInfo) -> Iterable[Found]:
        """Every place of a run from 1 to its last row, whole or not."""

    @abstractmethod
    def check_blob(self, digest: bytes) -> None:
        """Raises StoreError where a blob is not there or is not what was written."""

    def make_report(self) -> Report:
        """What was found so far."""
        return Report(
            store=self.store,
            findings=tuple(self.findings),
            runs=self.nruns,
            records=self.nrecords,
            blobs=self.nblobs,
            blob_bytes=self.nbytes,
        )

    def say(self, severity: str, what: str, *, means: str = "", run: str = "", path: str = "") -> None:
        """Note a finding."""
        self.findings.append(Finding(severity=severity, what=what, means=means, run=run, path=path))

    def step(self, name: str, check: Callable[[], None]) -> bool:
        """Run one part of the examination; what it raises is a finding too."""
        try:
            check()
        except StoreError as error:
            self.say("unread" if self.is_kept_out(error) else "error", str(error), path=self.place)
        except PermissionError as error:
            self.say("unread", f"{name} of {self.store} cannot be read ({error.strerror})", means=self.whom_to_ask, path=self.place)
        except Exception as error:  # damaged bytes can raise anything; the doctor goes on with the next part
            self.say("error", f"{name} of {self.store} cannot be read ({error})", means=self.way_out, path=self.place)
        else:
            return True
        return False

    place = ""
    """The file in which damage is, where it is one."""

    @property
    def whom_to_ask(self) -> str:
        """What to do where a permission is missing."""
        return ""

    way_out = "restore the store from a copy, or save what can be read with `headway doctor --repair`"
    """What to do about damage that nothing can be said of."""

    def is_kept_out(self, error: StoreError) -> bool:
        """Whether an error is about who may read, and says nothing about what is there."""
        if isinstance(error, StoreDamaged):
            return False
        return isinstance(error, StoreVersion) or isinstance(error.__cause__, PermissionError)

    # what there is

    def check_tables(self) -> None:
        """Look at all that runs have written."""
        self.step("the runs", self._check_runs)
        self.step("the cache", self._check_cache)
        self.step("the signals", self._check_signals)
        self.step("the collections", self._check_items)
        self.step("the claims", self._check_claims)
        self.step("the queues", self._check_queues)

    def _check_runs(self) -> None:
        what, means = "the list of runs ends in a damaged page", "later runs may be lost"
        for one in self.read(checked_rows.RUN_COLUMNS, "run", "uid", what, means):
            self.step(f"run {one[1]!r}", functools.partial(self._check_run, one))

    def _check_run(self, stored: tuple[object, ...]) -> None:
        info = checked_rows.decode_run(stored, self.store)
        name = info.spec.run_id
        self.nruns += 1
        self._check_owner(info)
        for digest in info.spec.blobs:
            means = "the run cannot be started again from its arguments; what is recorded can still be read"
            self._use(digest, Finding(severity="error", what=f"run {name}: its arguments", means=means, run=name))
        book, broken = Book(info), []
        for found in self.read_records(info):
            self.nrecords += 1
            if found.row is None or found.seq > info.nrows or book.add(found.seq, found.row) is not None:
                broken.append(found)
            else:
                self._use_blobs(book, found.seq, found.row)
        self.findings += [describe_damage(book, found) for found in broken]

    def _check_owner(self, info: RunInfo) -> None:
        if info.owner and is_alive(info.owner) is False:
            name = info.spec.run_id
            self.say(
                "info",
                f"run {name}: its driver ({info.owner}) is gone",
                means=f"`headway resume {name}` goes on at once",
                run=name,
            )

    def _check_cache(self) -> None:
        what, means = "the cache has a damaged page", "calls shared between runs run again"
        for key, kind, call, parent, body, crc in self.read("key, kind, call, parent, body, crc", "cache", "key", what, means):
            row = Row(kind, call, parent, body)  # type: ignore[arg-type]  # the sum held
            text = key.hex() if isinstance(key, bytes) else repr(key)
            means = "the call runs again when it is asked for"
            if not checked_rows.whole_cache(key, row, crc):
                self.say("error", f"the cached result {text} is damaged", means=means)
                continue
            for digest in blobs_of(row):
                self._use(digest, Finding(severity="error", what=f"the cached result {text}", means=means))

    def _check_signals(self) -> None:
        what, means = "the list of signals has a damaged page", "send later ones again"
        for uid, number, *rest in self.read("run, number, name, value, at, crc", "signal", "run, number", what, means):
            if not checked_rows.whole_signal(uid, *rest):
                self.say("error", f"signal {number} ({rest[0]!r}) is damaged", means="send it again after a repair")

    def _check_items(self) -> None:
        what, means = "the collections have a damaged page", "items behind it are lost"
        last, expected = "", 0
        columns = "collection, number, token, body, crc"
        for name, number, *rest in self.read(columns, "item", "collection, number", what, means):
            expected = expected if name == last else 0
            last = str(name)
            if isinstance(number, int) and number > expected:
                missing = f"item {expected}" if number == expected + 1 else f"items {expected} to {number - 1}"
                self.say("error", f"collection {name!r}: {missing} missing", means=LOST_ITEM)
            expected = number + 1 if isinstance(number, int) else expected
            item = check_item(name, number, *rest)
            what = f"collection {name!r}: item {number}"
            if item is None:
                self.say("error", f"{what} is damaged", means=LOST_ITEM)
                continue
            for digest in item.blobs:
                self._use(digest, Finding(severity="error", what=what, means=LOST_ITEM))

    def _check_claims(self) -> None:
        table = "claim LEFT JOIN run ON uid=claim.run AND run.fence=claim.fence"
        what = "the claims on shared results have a damaged page"
        means = "shared results that runs compute now may be computed twice"
        found = self.read("claim.name, owner", table, "name", what, means)
        if void := sum(not owner or is_alive(str(owner)) is False for _, owner in found):
            computed = f"{void} shared results were being computed by drivers that are gone"
            if void == 1:
                computed = "1 shared result was being computed by a driver that is gone"
            self.say("info", computed, means="that holds nobody up: the next run that asks computes them")

    # what waits

    def now(self) -> float:
        """The time by which jobs are counted."""
        return time.time()

    def _check_queues(self) -> None:
        """Say what waits in each queue, and whether anybody is there to take it."""
        now, counts = self.now(), dict[str, Counter[str]]()
        what, means = "the jobs of queues have a damaged page", "jobs behind it are lost: `headway resume` goes on with their runs"
        for one in self.read(STORED_JOB, "job", "run", what, means):
            if check_stored_job(one, now) is None:
                self.say("error", f"the job of run {one[1]!r} is damaged", means="no worker takes the run; a repair drops the job")
                continue
            queue, state, at = str(one[3]), str(one[9]), float(str(one[10]))
            counts.setdefault(queue, Counter())[_SHOWN[show_state(state, at, now)]] += 1
        workers = [str(owner) for owner, seen in self._read_workers() if float(str(seen)) > now - HEARD_S]
        for queue, found in sorted(counts.items()):
            self._say_queue(queue, found, sum(is_alive(owner) is not False for owner in workers))

    def _read_workers(self) -> Iterator[tuple[object, ...]]:
        what, means = "the list of workers has a damaged page", "workers say again who they are"
        return self.read("owner, seen", "worker", "owner", what, means)

    def _say_queue(self, queue: str, found: Counter[str], workers: int) -> None:
        said = ", ".join(f"{number:,} {state}" for state, number in sorted(found.items()))
        means = []
        if not workers and found["waiting"] + found["running"]:
            means.append("no worker was heard of in the last minute: start one with `headway worker`")
        if found["stuck"]:
            means.append(f"see why with `headway queue jobs {queue} --state stuck`, try one again with `headway queue retry RUN`")
        there = "1 worker" if workers == 1 else f"{workers:,} workers"
        self.say("info", f"queue {queue!r}: {said} ({there} in all queues)", means="; ".join(means))

    def say_rejected(self, run: object, count: object) -> None:
        """Say that a late driver brought so many records to a run."""
        means = "they were not needed: the driver that took the run over went on without them"
        self.say("info", f"run {run}: {count} records of a late driver were rejected", means=means, run=str(run))

    # blobs

    def _use(self, digest: bytes, finding: Finding) -> None:
        self.users.setdefault(digest, []).append(finding)

    def _use_blobs(self, book: Book, seq: int, row: Row) -> None:
        name = book.run_id
        for digest in blobs_of(row):
            what = f"run {name}: record {seq} ({call_text(row)})"
            self._use(digest, Finding("error", what, book.need(row), run=name, seq=seq, call=row.key.hex()))

    def check_used_blobs(self) -> None:
        """Read every blob that something names."""
        for digest, users in self.users.items():
            try:
                self.check_blob(digest)
            except StoreError as error:
                self._blame(digest, users, error)

    def _blame(self, digest: bytes, users: list[Finding], error: StoreError) -> None:
        why, path = str(error).partition(":")[0], self.path_of(digest)
        for user in users:
            if self.is_kept_out(error):
                what, means, severity = f"{user.what}: {error}", self.whom_to_ask, "unread"
            else:
                what, means, severity = f"{user.what}: {why}", user.means, user.severity
            self.findings.append(Finding(severity, what, means, user.run, user.seq, user.call, path))

    def path_of(self, digest: bytes) -> str:
        """The file of a blob; empty where it is in none."""
        return ""
