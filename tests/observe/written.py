"""Journals written by hand: calls by path names such as "root/a/b", so that a test reads like the graph it is about."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import msgspec

from headway.journal.codec.codec import encode
from headway.journal.decisions import BudgetOpened, DeadlineOpened, Decision
from headway.journal.records import (
    COSTED,
    NO_PARENT,
    Amounts,
    Attempt,
    Charge,
    Error,
    Kind,
    Outcome,
    Row,
    RunInfo,
    RunSpec,
    RunStatus,
    Start,
    Status,
)
from headway.observe.reading import build_run
from headway.observe.recorded import RecordedRun

T0 = 1_700_000_000.0


def key_of(path: str) -> bytes:
    return hashlib.blake2b(path.encode(), digest_size=16).digest() if path else NO_PARENT


def parent_of(path: str) -> bytes:
    return key_of(path.rpartition("/")[0])


@dataclass
class Journal:
    """Rows of a run whose root is "root". Times are seconds after the start of the run."""

    rows: list[Row] = field(default_factory=list)

    def outcome(
        self,
        path: str,
        started: float,
        ended: float,
        *,
        task: str = "",
        label: str = "",
        status: Status = Status.OK,
        value: object = None,
        error: Error | None = None,
        attempts: int = 1,
        edges: tuple[str, ...] = (),
        cost: Amounts | None = None,
        budget: str = "",
        pool: str = "inline",
        reason: str = "",
    ) -> Journal:
        body = Outcome(
            task=task or f"sky.{path.rpartition('/')[2].rstrip('0123456789')}",
            label=label or repr(path),
            status=status,
            started=T0 + started if started >= 0 else 0.0,
            ended=T0 + ended,
            attempts=attempts,
            value=encode(value).head if status is Status.OK else b"",
            error=error,
            scope=key_of(budget) if budget else b"",
            cost=cost or {},
            edges=tuple(key_of(edge) for edge in edges),
            pool=pool,
            reason=reason,
        )
        return self._add(Kind.OUTCOME, path, body, costed=bool(cost or budget))

    def start(self, path: str, at: float, *, reserved: Amounts | None = None, budget: str = "", effect: bool = False) -> Journal:
        scope = key_of(budget) if budget else b""
        body = Start("sky.work", repr(path), 1, 0, T0 + at, scope, {}, reserved or {}, effect)
        return self._add(Kind.START, path, body, costed=True)

    def attempt(self, path: str, started: float, ended: float, *, retry_at: float = 0.0, message: str = "no") -> Journal:
        error = Error("builtins:ValueError", message)
        body = Attempt("sky.work", repr(path), 1, 0, T0 + started, T0 + ended, error, T0 + retry_at)
        return self._add(Kind.ATTEMPT, path, body)

    def charge(self, path: str, cost: Amounts, *, budget: str = "") -> Journal:
        body = Charge("sky.work", key_of(budget) if budget else b"", cost)
        return self._add(Kind.CHARGE, path, body, costed=True)

    def budget(self, path: str, limits: Amounts, *, outer: str = "", at: float = 0.0) -> Journal:
        opened = BudgetOpened(key_of(outer) if outer else b"", limits)
        return self._add(Kind.DECISION, path, Decision(opened, T0 + at), costed=True)

    def deadline(self, path: str, at: float) -> Journal:
        return self._add(Kind.DECISION, path, Decision(DeadlineOpened(T0 + at), T0))

    def _add(self, kind: Kind, path: str, body: msgspec.Struct, *, costed: bool = False) -> Journal:
        self.rows.append(Row(kind | COSTED if costed else kind, key_of(path), parent_of(path), msgspec.msgpack.encode(body)))
        return self

    def recorded(self, status: RunStatus = RunStatus.DONE) -> RecordedRun:
        return build_run(run_info(status, len(self.rows)), enumerate(self.rows, 1))


def run_info(status: RunStatus = RunStatus.DONE, nrows: int = 0) -> RunInfo:
    spec = RunSpec(run_id="sky", task="sky.root", root=key_of("root"), salt=NO_PARENT, created=T0)
    return RunInfo(
        uid=1,
        spec=spec,
        status=status,
        fence=1,
        owner="",
        owned_since=0.0,
        lease_until=0.0,
        cancel_requested=False,
        error_floor=0,
        ended=0.0,
        nrows=nrows,
    )
