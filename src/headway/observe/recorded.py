"""A run as its journal recorded it, as plain data for people to look at; `reading` makes it from the rows.

A value stays bytes until somebody looks at it (`preview`), so 100,000 calls are read in about a second. Nothing here may need the
program's own types: values are decoded leniently.
"""

from __future__ import annotations

import enum

import msgspec

from headway.journal.codec.codec import decode
from headway.journal.decisions import Decision
from headway.journal.records import Amounts, Attempt, Error, RunInfo
from headway.observe import words


class State(enum.StrEnum):
    OK = "ok"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RETRYING = "retrying"  # an attempt failed and the next one had not ended
    OPEN = "open"  # it had not ended

    @property
    def said(self) -> str:
        """The state in a sentence."""
        return "not ended" if self is State.OPEN else self.value


ENDS = (State.OK, State.FAILED, State.CANCELLED)
"""The states in which a call has ended, by its recorded status."""


class Call(msgspec.Struct, frozen=True, gc=False):
    """One call, as its last row has it. Times are wall clock, 0 where they are not known."""

    key: bytes
    parent: bytes
    seq: int  # of its last row; of its first recorded child where it has no row
    state: State
    task: str = ""  # empty where nothing names it
    label: str = ""
    started: float = 0.0
    ended: float = 0.0
    attempts: int = 0
    cost: Amounts = {}  # its own, over all attempts and budgets; its children's costs are theirs
    error: Error | None = None
    value: bytes = b""
    blobs: tuple[bytes, ...] = ()
    edges: tuple[bytes, ...] = ()
    pool: str = ""
    reason: str = ""
    effect: bool = False
    retry_at: float = 0.0
    asked: bytes = b""  # see Outcome
    asked_blob: bytes = b""
    params: tuple[str, ...] = ()
    items: int | None = None  # how many a stream has handed out; None of a call that is none

    @property
    def name(self) -> str:
        """`task(arguments)`, or the key where nothing names the call."""
        return f"{self.task}({self.label})" if self.task else f"call {self.key.hex()[:8]}"

    @property
    def is_over(self) -> bool:
        return self.state in ENDS

    def preview(self, width: int = 60) -> str:
        """The value in a few words; large parts of it that are stored apart are not read. Of a stream, how many items it has
        handed out so far."""
        if self.items is not None:
            return words.count(self.items, "item")
        if self.state is not State.OK:
            return ""
        if not self.value:
            return f"<{words.count(len(self.blobs), 'blob')}>"
        try:
            return words.clip(repr(decode(self.value, (), lenient=True)), width)
        except Exception as error:  # a user's type may have a __repr__ that fails
            return words.clip(f"<cannot be shown: {error}>", width)


class Waiting(msgspec.Struct, frozen=True):
    """A call that waits for somebody outside to send a signal."""

    call: bytes
    who: str  # `task(arguments)`
    name: str
    since: float
    until: float | None  # None where it waits for ever


class Budget(msgspec.Struct, frozen=True):
    """A budget scope. `held` is reserved by calls that started and left no outcome: when nobody drives the run any more, it is
    counted as spent (assumed)."""

    key: bytes
    outer: bytes  # key of the enclosing budget, or empty
    call: bytes  # the call that opened it
    depth: int
    limits: Amounts
    spent: Amounts  # what is known to be spent, here and below
    held: Amounts


class RecordedRun(msgspec.Struct, frozen=True):
    """A run, its calls by key in the order of their last rows, and who called whom."""

    info: RunInfo
    root: bytes
    calls: dict[bytes, Call]
    children: dict[bytes, list[bytes]]  # sorted by start
    failures: dict[bytes, list[Attempt]]  # attempts that failed and were tried again
    decisions: dict[bytes, list[Decision]]  # by the call that was told
    budgets: list[Budget]  # outermost first
    deadline: float | None  # the first that was set, as it was last moved
    names: dict[str, str]  # of tasks, as short as they are clear
    waiting: list[Waiting]  # waits for signals from outside, the longest first
    began: float  # the earliest and the latest time in any row
    until: float

    def calls_under(self, key: bytes) -> list[Call]:
        return [self.calls[child] for child in self.children.get(key, ())]

    def parent_of(self, key: bytes) -> bytes:
        """Key of the call that a call is shown under; the root's own key for the root."""
        parent = self.calls[key].parent
        return parent if parent in self.calls and key != self.root else self.root

    def count(self) -> dict[State, int]:
        """How many calls are in each state."""
        found = dict.fromkeys(State, 0)
        for call in self.calls.values():
            found[call.state] += 1
        return found

    def spent(self) -> Amounts:
        """Everything the calls cost, inside budgets or not."""
        total: Amounts = {}
        for call in self.calls.values():
            for unit, amount in call.cost.items():
                total[unit] = total.get(unit, 0.0) + amount
        return total

    def span(self, call: Call) -> tuple[float, float]:
        """When a call began and ended; one that is open is taken to last until the last thing that is known."""
        ended = call.ended if call.is_over else self.until
        return (call.started or ended), ended
