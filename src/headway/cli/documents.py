"""The documents that `--json` prints. Their names and meanings must not change, because programs read them.

Times are seconds since 1970, durations seconds, keys hexadecimal. A field that is not known is null. Fields may be added.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from headway.cli.console import plain
from headway.journal.decisions import Chosen, Decision
from headway.journal.records import Amounts, Error, RunInfo
from headway.journal.shared.queues import JobInfo
from headway.observe.critical import CriticalPath
from headway.observe.recorded import RecordedRun
from headway.observe.status import is_live, name_driver, status_of, until_of
from headway.view import CallView, FailedAttempt


class RunDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A run, as in `headway ls` and at the head of `headway show`."""

    run_id: str
    task: str
    status: str  # new, running, cancelling, crashed, done, failed, cancelled or interrupted; queued, delayed, parked or stuck
    calls: int  # calls with an outcome
    failed: int
    spent: Amounts
    created: float
    ended: float | None
    duration_s: float | None  # from its creation to its end, or to now while it runs
    driven_by: str | None
    waits_for: list[str]  # names of the signals that it waits for
    drives: int  # how many processes have driven it, one after another
    forked_from: str | None
    queue: str | None  # whose workers drive it
    until: float | None  # of one that is delayed or parked
    waits_for_runs: list[str]  # ids of runs that it is parked behind


class LsDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`headway ls --json`"""

    store: str
    runs: list[RunDocument]
    is_more: bool  # whether there are older runs that are not shown


class BudgetDocument(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    inside: str | None  # key of the enclosing budget
    opened_by: str  # key of the call
    limits: Amounts
    spent: Amounts
    held: Amounts  # reserved by calls that left no outcome; counted as spent when the run is not driven


class AttemptDocument(msgspec.Struct, frozen=True):
    number: int
    error: str | None
    traceback: str
    started: float
    ended: float


class DecidedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy chose to start, or that it chose to wait (no step)"""

    at: float
    policy: str
    step: str | None
    choice: str
    count: int
    why: str


class WaitingDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A call that waits for a signal from outside: `headway signal RUN NAME VALUE`"""

    call: str
    who: str  # task(arguments)
    name: str
    since: float
    until: float | None


class CallDocument(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    parent: str | None  # null for the root
    task: str
    label: str
    state: str  # ok, failed, cancelled, retrying or open
    started: float | None
    ended: float | None
    attempts: int
    pool: str
    cost: Amounts
    critical_s: float | None  # its share of the critical path; null off the path
    inputs: list[str]  # keys of the calls whose handles were its arguments
    error: str | None
    value: str  # a short preview
    arguments: dict[str, Any]  # by name, or by place ("0", "1", …) where a place has no name
    result: Any  # the whole value; null where there is none
    traceback: str | None
    reason: str | None  # why it was cancelled, who gave its result by hand, or that a model was told its failure
    failures: list[AttemptDocument]  # attempts that were followed by another
    decided: list[DecidedDocument]  # what policies chose to start in it


class ShowDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`headway show --json`"""

    store: str
    run: RunDocument
    deadline: float | None
    wall_s: float  # of the newest drive: the length of the critical path
    budgets: list[BudgetDocument]
    waiting: list[WaitingDocument]
    calls: list[CallDocument]


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """`headway run --json` and `headway resume --json`, when the run ended well"""

    run_id: str
    store: str
    status: str
    from_journal: bool  # the run had ended before
    result: Any


class PlannedDocument(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    task: str
    label: str
    why: str


class PlanDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`headway resume --dry-run --json`"""

    run_id: str
    reuse: list[PlannedDocument]
    rerun: list[PlannedDocument]
    unfinished: list[PlannedDocument]
    unasked: list[PlannedDocument]


class ChangeDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`--json` of `fork` (with the new run's id), `set`, `cancel` and `signal`"""

    run_id: str
    done: str


def run_document(
    info: RunInfo,
    now: float,
    job: JobInfo | None,
    *,
    calls: int,
    failed: int,
    spent: Amounts,
    last: float,
    waits_for: Sequence[str] = (),
) -> RunDocument:
    """`last` is the latest time that anything is known of the run."""
    live = is_live(info, now)
    until = now if live else last or info.ended  # a finished run may be asked again and hands its result back again
    return RunDocument(
        run_id=info.spec.run_id,
        task=info.spec.task,
        status=status_of(info, now, job),
        calls=calls,
        failed=failed,
        spent=spent,
        created=info.spec.created,
        ended=(last or info.ended) if info.ended else None,
        duration_s=max(0.0, until - info.spec.created) if until else None,
        driven_by=name_driver(info) if live else None,
        waits_for=list(waits_for),
        drives=info.fence,
        forked_from=info.spec.forked_from or None,
        queue=job.job.queue if job is not None else None,
        until=until_of(job),
        waits_for_runs=list(job.awaits) if job is not None else [],
    )


def call_document(view: CallView, recorded: RecordedRun, path: CriticalPath) -> CallDocument:
    call = view.recorded
    return CallDocument(
        key=view.key,
        parent=view.parent,
        task=call.task,
        label=call.label,
        state=view.state,
        started=view.started,
        ended=view.ended,
        attempts=call.attempts,
        pool=call.pool,
        cost=call.cost,
        critical_s=path.shares.get(call.key),
        inputs=list(view.inputs),
        error=_describe_error(call.error),
        value=call.preview(),
        arguments=plain(view.arguments),
        result=plain(view.value) if view.ok else None,
        traceback=view.traceback or None,
        reason=view.reason or None,
        failures=[_attempt_document(each) for each in view.failures],
        decided=[each for decision in recorded.decisions.get(call.key, ()) for each in _decided_documents(decision)],
    )


def _attempt_document(failed: FailedAttempt) -> AttemptDocument:
    return AttemptDocument(failed.number, _describe_error(failed.recorded), failed.traceback, failed.started, failed.ended)


def _decided_documents(decision: Decision) -> list[DecidedDocument]:
    told = decision.told
    if not isinstance(told, Chosen):
        return []
    starts = told.starts or (None,)
    return [
        DecidedDocument(at=decision.at, policy=told.policy, step=None, choice="", count=0, why="it waits")
        if start is None
        else DecidedDocument(
            at=decision.at, policy=told.policy, step=start.step, choice=start.choice, count=start.count, why=start.why
        )
        for start in starts
    ]


def _describe_error(error: Error | None) -> str | None:
    return f"{error.type.rpartition(':')[2]}: {error.message}" if error else None


def waiting_documents(recorded: RecordedRun) -> list[WaitingDocument]:
    return [
        WaitingDocument(call=each.call.hex(), who=each.who, name=each.name, since=each.since, until=each.until)
        for each in recorded.waiting
    ]


def budget_documents(recorded: RecordedRun) -> list[BudgetDocument]:
    return [
        BudgetDocument(
            key=budget.key.hex(),
            inside=budget.outer.hex() or None,
            opened_by=budget.call.hex(),
            limits=budget.limits,
            spent=budget.spent,
            held=budget.held,
        )
        for budget in recorded.budgets
    ]
