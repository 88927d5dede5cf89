"""What must be true of every run, whatever happened to it. Each promise has a name, and a function that looks for a breach.

They look at what a run leaves (the rows of its journal, its store) and at what its engines said (their events), never at how the
engine works, so that a change of the engine can't change what is asked of it.
"""

from __future__ import annotations

import math
import sysconfig
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headway import events
from headway.engine.tasks.spec import TASKS
from headway.journal.decisions import BudgetOpened, Remaining, Told, decode_decision, is_told
from headway.journal.log import Log
from headway.journal.records import COSTED, NO_PARENT, Kind, Row, Status
from headway.journal.recovery.recovered import decode_attempt, decode_outcome
from headway.sim.history import Violation
from headway.sim.promises.connections import (
    GOES_BACK,
    check_acknowledged_is_kept,
    check_done_is_recorded,
    check_lies_seen_through,
    check_taken_once,
)
from headway.sim.promises.signals import check_no_signal_lost, check_told_once
from headway.sim.promises.spending import CLOSE, check_counted_once, check_never_overdrawn

if TYPE_CHECKING:
    from headway.sim.history import History, Incarnation

_PACKAGE = str(Path(__file__).resolve().parents[2])
_LIBRARIES = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "purelib"))


def violations(history: History, expected: str | None) -> list[Violation]:
    """Every breach of every promise; none if the run never began."""
    if not history.begun:
        return []
    left_out = GOES_BACK if history.store.timeline else frozenset()
    found = [Violation(name, what) for name, look in PROMISES.items() if name not in left_out for what in look(history)]
    if expected is not None and history.lives[-1].ended and history.lives[-1].outcome != expected:
        found.append(Violation("equal result", f"ended with {history.lives[-1].outcome}, undisturbed with {expected}"))
    return found


# --- the journal -----------------------------------------------------------------------------------------------------


def _kind(row: Row) -> int:
    return row.kind & ~COSTED


def _check_nothing_lost_or_changed(history: History) -> Iterator[str]:
    rows = history.rows()
    for life in history.lives:
        for seen in (life.before, life.after):
            if rows[: len(seen)] != seen:
                yield f"rows that {life.process.name} found or left are no longer there as they were"


_OF_BUDGETS = (BudgetOpened, Remaining)


def _check_recorded_once(history: History) -> Iterator[str]:
    """Where an edit put a budget inside of another one, or gave it other amounts, that is recorded: it is not what was before."""
    if history.edited:
        return
    ends: Counter[bytes] = Counter()
    told: Counter[bytes] = Counter()
    newest: dict[bytes, Told] = {}
    for row in history.rows():
        if _kind(row) == Kind.OUTCOME:
            outcome = decode_outcome(row.body)
            if outcome.status == Status.OK:
                ends[row.key] += 1
        elif _kind(row) == Kind.DECISION:
            if history.budgets_moved and is_told(row.body, *_OF_BUDGETS):
                before, newest[row.key] = newest.get(row.key), decode_decision(row.body).told
                if before not in (None, newest[row.key]):
                    continue
            told[row.key] += 1
    yield from (f"the result of call {key.hex()[:8]} is recorded {times} times" for key, times in ends.items() if times > 1)
    yield from (f"decision {key.hex()[:8]} is recorded {times} times" for key, times in told.items() if times > 1)


def _check_computed_once(history: History) -> Iterator[str]:
    """Of equal calls that share their results, one that succeeds is enough: the others are answered."""
    if history.edited:
        return
    ran: Counter[tuple[bytes, str]] = Counter()
    for row in history.rows():
        if _kind(row) == Kind.OUTCOME:
            outcome = decode_outcome(row.body)
            if outcome.shared and outcome.started and outcome.status == Status.OK:
                ran[outcome.shared, outcome.task] += 1
    yield from (f"{task} {name.hex()[:8]} was computed {times} times" for (name, task), times in ran.items() if times > 1)


def _check_no_work_twice(history: History) -> Iterator[str]:
    """What is recorded never runs again."""
    if history.edited:
        return
    for life in history.lives:
        done = {row.key.hex() for row in life.before if _kind(row) == Kind.OUTCOME and decode_outcome(row.body).status == Status.OK}
        for event in life.event_log:
            if isinstance(event, events.CallStarted) and event.key in done:
                yield f"{life.process.name} ran {event.task} {event.key[:8]} again, whose result was recorded"


def _check_reported_is_recorded(history: History) -> Iterator[str]:
    for life in history.lives:
        if life.how == "returned" and not any(
            _kind(row) == Kind.OUTCOME and row.parent == NO_PARENT and decode_outcome(row.body).status == Status.OK
            for row in life.after
        ):
            yield f"{life.process.name} returned the result of the run, which is not recorded"


def _check_all_appended_is_there(history: History) -> Iterator[str]:
    """A driver that came to its end, and was not overtaken, has in the store all that its engine appended."""
    newest = history.store.run(history.run_id).fence if history.rows() else 0
    for life in history.lives:
        journal = life.engine.journal if life.engine is not None else None
        if life.how != "returned" or not isinstance(journal, Log) or journal.failure is not None or journal.lease.fence != newest:
            continue
        if len(life.after) != journal.last_seq:
            yield f"{life.process.name} appended {journal.last_seq} rows, of which the store has {len(life.after)}"


def _check_used_is_recorded(history: History) -> Iterator[str]:
    """What a run was answered with is in its own journal."""
    for life in history.lives:
        if life.how != "returned":
            continue
        recorded = {row.key.hex() for row in life.after if _kind(row) == Kind.OUTCOME}
        for event in life.event_log:
            if isinstance(event, events.CallReused) and event.key not in recorded:
                yield f"{life.process.name} was answered with {event.task} {event.key[:8]}, which its run has not recorded"


def _check_one_at_a_time(history: History) -> Iterator[str]:
    """Within one life a call runs once: not beside itself, and not after it has succeeded."""
    for life in history.lives:
        running: set[str] = set()
        done: set[str] = set()
        for event in life.event_log:
            if isinstance(event, events.CallStarted):
                if event.key in running or event.key in done:
                    how = "beside itself" if event.key in running else "again after it had succeeded"
                    yield f"{life.process.name} ran {event.task} {event.key[:8]} {how}"
                running.add(event.key)
            elif isinstance(event, (events.CallEnded, events.CallRetrying)):
                running.discard(event.key)
                if isinstance(event, events.CallEnded) and event.status == "ok":
                    done.add(event.key)


def _check_attempts_counted(history: History) -> Iterator[str]:
    """A crash does not give a call new attempts; a failure or a cancellation of the run does, and a new attempt of a call above."""
    if history.edited or not history.lives or history.store.run(history.run_id).error_floor:
        return
    for life in history.lives:
        failed: dict[str, int] = {}
        for row in life.before:
            if _kind(row) == Kind.ATTEMPT and (attempt := decode_attempt(row.body)).retry_at:
                failed[row.key.hex()] = attempt.attempt
        above: dict[str, str] = {}
        again = set(failed)
        for event in life.event_log:
            if isinstance(event, events.CallSpawned):
                above[event.key] = event.parent
            elif isinstance(event, events.CallRetrying):
                again.add(event.key)
            elif isinstance(event, events.CallStarted) and event.attempt > _most_attempts(event.task):
                yield f"{life.process.name} ran attempt {event.attempt} of {event.task} {event.key[:8]}"
            elif isinstance(event, events.CallStarted) and event.attempt <= failed.get(event.key, 0):
                if not any(key in again for key in _ancestors(event.key, above)):
                    yield f"{life.process.name} ran attempt {event.attempt} of {event.task} {event.key[:8]} again, which had failed"


def _most_attempts(task: str) -> float:
    spec = TASKS.get(task)
    return math.inf if spec is None else spec.retry.attempts if spec.retry is not None else 1


def _ancestors(key: str, above: dict[str, str]) -> Iterator[str]:
    while key in above:
        key = above[key]
        yield key


def _check_no_survivor_without_its_ancestors(history: History) -> Iterator[str]:
    is_fork = bool(history.lives and history.store.run(history.run_id).spec.forked_from) if history.rows() else False
    forked = len(history.lives[0].before) if is_fork else 0  # such rows wait to be compared with what the fork finds out
    place: dict[bytes, int] = {}
    parents: dict[bytes, set[tuple[int, bytes]]] = {}
    for life in history.lives:
        ends = (row for row in _find_rows_of(life, history) if _kind(row) == Kind.OUTCOME)
        recorded = {row.key for row in ends if decode_outcome(row.body).status == Status.OK}
        for child, parent in _find_used(life):
            if parent in recorded:  # an end that was lost may have been another one
                parents.setdefault(parent, set()).add((len(life.before), child))
    for seq, row in enumerate(history.rows(), 1):
        if (ended := place.get(row.parent)) is not None and not history.edited and _kind(row) != Kind.CHARGE:
            if decode_outcome(history.rows()[ended - 1].body).status == Status.OK:
                yield f"row {seq} is about a child of call {row.parent.hex()[:8]}, which had ended in row {ended}"
        if _kind(row) != Kind.OUTCOME:
            continue
        place[row.key] = seq
        outcome = decode_outcome(row.body)
        if outcome.status != Status.OK:
            continue
        used = [child for before, child in parents.get(row.key, ()) if seq > before]  # an earlier row is of an earlier life
        for needed in (*outcome.edges, *used):
            if needed not in place and seq > forked:
                yield f"row {seq}, the result of {outcome.task}, was computed from call {needed.hex()[:8]}, which is not recorded"


def _find_rows_of(life: Incarnation, history: History) -> Iterator[Row]:
    """The rows that this driver committed, and no other at the same time."""
    fence = life.engine.journal.lease.fence if life.engine is not None and isinstance(life.engine.journal, Log) else None
    for commit in history.store.commits:
        if (commit.uid, commit.fence) == (history.uid, fence):
            yield from history.rows()[commit.first_seq - 1 : commit.first_seq - 1 + commit.rows]


def _find_used(life: Incarnation) -> Iterator[tuple[bytes, bytes]]:
    """(child, parent) where the child had succeeded before its parent ended, so that the parent may have used it."""
    children: dict[str, list[str]] = {}
    for event in life.event_log:
        if isinstance(event, events.CallEnded):
            if event.status == "ok":
                children.setdefault(event.parent, []).append(event.key)
                yield from ((bytes.fromhex(child), bytes.fromhex(event.key)) for child in children.pop(event.key, ()))
        elif isinstance(event, events.CallRetrying):
            children.pop(event.key, None)


def _check_blobs_before_their_rows(history: History) -> Iterator[str]:
    for _, seq, name in history.store.without_blob:
        yield f"row {seq} was committed before its blob {name.hex()[:8]} was durable"


def _check_fenced(history: History) -> Iterator[str]:
    newest = 0
    commits = [commit for commit in history.store.commits if commit.uid == history.uid]
    rows = commits[0].first_seq - 1 if commits else 0  # a fork begins with rows that nobody committed
    for commit in commits:
        if commit.fence != commit.newest_fence or commit.fence < newest:
            yield f"a commit under fence {commit.fence} was accepted when {max(newest, commit.newest_fence)} was the newest"
        if commit.first_seq != rows + 1:
            yield f"rows from {commit.first_seq} on were accepted after row {rows}"
        newest, rows = max(newest, commit.fence), commit.first_seq + commit.rows - 1


# --- effects ---------------------------------------------------------------------------------------------------------


def _check_effects_wait(history: History) -> Iterator[str]:
    for life in history.lives:
        yield from life.hasty


def _check_effects_start_under_their_own_lease(history: History) -> Iterator[str]:
    """A driver whose lease was taken over starts no effect: the start that it wrote down is not taken, and another's is not its."""
    for life in history.lives:
        yield from life.strange


# --- the engine ------------------------------------------------------------------------------------------------------


def _check_nothing_left_running(history: History) -> Iterator[str]:
    for life in history.lives:
        if not life.ended:
            continue
        alive: dict[str, str] = {}
        for event in life.event_log:
            if isinstance(event, events.CallSpawned):
                alive[event.key] = event.task
            elif isinstance(event, (events.CallEnded, events.CallReused)):
                alive.pop(event.key, None)
        yield from (f"{life.process.name} ended and left {task} {key[:8]} behind" for key, task in alive.items())
        yield from (f"{life.process.name} ended and left {what} behind" for what in life.unfinished)
        if life.engine is not None:
            yield from _counters(life)


def _check_children_end_first(history: History) -> Iterator[str]:
    """When a call ends, or gives up an attempt, every call that it made has ended."""
    for life in history.lives:
        alive: dict[str, dict[str, str]] = {}
        for event in life.event_log:
            if isinstance(event, events.CallSpawned):
                alive.setdefault(event.parent, {})[event.key] = event.task
            elif isinstance(event, (events.CallEnded, events.CallReused)):
                alive.get(event.parent, {}).pop(event.key, None)
            if isinstance(event, (events.CallEnded, events.CallRetrying)):
                for key, task in alive.pop(event.key, {}).items():
                    yield f"{event.task} {event.key[:8]} ended before {task} {key[:8]}, which it had made"


def _counters(life: Incarnation) -> Iterator[str]:
    assert life.engine is not None
    ready = life.engine.ready
    if ready.active or ready.in_pools:
        yield f"{life.process.name} ended and counts {ready.active} calls on the loop and {ready.in_pools} in pools"
    for key, account in life.engine.accounting.accounts.items():
        for unit, amount in account.reserved.items():
            if abs(amount) > CLOSE:
                yield f"{life.process.name} ended with {amount:g} {unit} still reserved in budget {key.hex()[:8]}"


def _check_limits_given_back(history: History) -> Iterator[str]:
    for life in history.lives:
        if life.ended and life.slots and not (life.remote is not None and life.remote.was_away):
            yield f"{life.process.name} ended and still holds {len(life.slots)} places in shared limits, of {life.slots[0]}"


def _check_no_deadlock(history: History) -> Iterator[str]:
    for life in history.lives:
        if life.how == "stuck" and not life.process.faults:
            yield f"{life.process.name}: {life.stuck}"


def _check_nothing_swallowed(history: History) -> Iterator[str]:
    for life in history.lives:
        yield from (f"{life.process.name}: {what}, and nobody was told" for what in life.lost)
        for fault in life.process.faults:
            if not _is_ours(fault.get("exception")):
                yield f"{life.process.name}: {_describe_fault(fault)}"


def _check_nothing_broke(history: History) -> Iterator[str]:
    """A fault in a step of the runtime, or of the simulator, and not of the program: what waits for that step waits in vain."""
    for life in history.lives:
        for fault in life.process.faults:
            if _is_ours(fault.get("exception")):
                yield f"{life.process.name}: {_describe_fault(fault)}"


def _describe_fault(fault: dict[str, Any]) -> str:
    error = fault.get("exception")
    return f"{fault.get('message')}: {type(error).__name__}: {error}"


def _is_ours(error: BaseException | None) -> bool:
    """Whether the innermost code that raised an error, libraries aside, is Headway's."""
    frames = traceback.extract_tb(error.__traceback__) if error is not None else []
    for frame in reversed(frames):
        if frame.filename.startswith(_PACKAGE):
            return True
        if not frame.filename.startswith(_LIBRARIES):
            return False
    return bool(frames)


PROMISES: dict[str, Callable[[History], Iterator[str]]] = {
    "nothing lost or changed": _check_nothing_lost_or_changed,
    "recorded once": _check_recorded_once,
    "computed once": _check_computed_once,
    "no work twice": _check_no_work_twice,
    "reported means recorded": _check_reported_is_recorded,
    "all that was appended is there": _check_all_appended_is_there,
    "used means recorded": _check_used_is_recorded,
    "one at a time": _check_one_at_a_time,
    "told once": check_told_once,
    "no signal is lost": check_no_signal_lost,
    "attempts counted": _check_attempts_counted,
    "no survivor without its ancestors": _check_no_survivor_without_its_ancestors,
    "blobs before their rows": _check_blobs_before_their_rows,
    "effects wait for the disk": _check_effects_wait,
    "effects start under their own lease": _check_effects_start_under_their_own_lease,
    "never overdrawn": check_never_overdrawn,
    "counted once": check_counted_once,
    "nothing left running": _check_nothing_left_running,
    "children end first": _check_children_end_first,
    "limits given back": _check_limits_given_back,
    "no deadlock": _check_no_deadlock,
    "nothing broke": _check_nothing_broke,
    "nothing swallowed": _check_nothing_swallowed,
    "late writers rejected": _check_fenced,
    "acknowledged means kept": check_acknowledged_is_kept,
    "no row twice": check_taken_once,
    "lies are seen through": check_lies_seen_through,
    "done means recorded": check_done_is_recorded,
}
