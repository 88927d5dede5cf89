"""What a resume would do, without doing it: a reading of the journal against the tasks that are loaded now.

The plan follows the tree from the root. A finished call that still holds is reused, and what is below it is not asked for. A call
that doesn't hold or never ended runs again and, as far as the journal can tell, asks for the same children as before. What only
running the program could tell (a call whose arguments will differ) is not in the plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from headway.engine.replay.on_change import stale_results
from headway.engine.replay.retry_failed import around_failures
from headway.engine.tasks.spec import TASKS
from headway.journal.records import COSTED, NO_PARENT, TOLD, Kind, Outcome, RunInfo, Status
from headway.journal.recovery.recovered import RecoveredState, decode_outcome, load
from headway.journal.store import Store


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """One call of a plan, and why it is in this part of it.

    Attributes:
        key: its key, hexadecimal.
        task: its task.
        label: what tells it from others of its task.
        why: why it is here, for people.
    """

    key: str
    task: str
    label: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class ResumePlan:
    """What a resume would do. Each call is listed once; what is below a reused call is left out.

    Attributes:
        reuse: answered from the journal.
        rerun: recorded, but runs again.
        unfinished: began and left no outcome.
        unasked: recorded, and nothing in the plan asks for it.
    """

    reuse: tuple[PlannedCall, ...]
    rerun: tuple[PlannedCall, ...]
    unfinished: tuple[PlannedCall, ...]
    unasked: tuple[PlannedCall, ...]


class _Reader:
    def __init__(
        self,
        known: RecoveredState,
        parents: Mapping[bytes, bytes],
        floor: int,
        decided: Mapping[str, str],
        stale: Mapping[bytes, str],
        retry_failed: bool,
    ) -> None:
        self.retry_failed = retry_failed
        self.known = known
        self.stale = stale
        self.floor = floor
        self.decided = decided
        self.children: dict[bytes, list[bytes]] = {}
        for key, parent in parents.items():
            self.children.setdefault(parent, []).append(key)
        self.reuse: list[PlannedCall] = []
        self.rerun: list[PlannedCall] = []
        self.unfinished: list[PlannedCall] = []
        self.reached: set[bytes] = set()
        self.again: set[bytes] = set()

    def visit(self, root: bytes) -> None:
        stack = [root]
        while stack:
            key = stack.pop()
            if key in self.reached:
                continue
            self.reached.add(key)
            outcome = self._outcome(key)
            why = "" if outcome is None else self.stale.get(key) or self._why_not(outcome, self.known.outcomes[key][0])
            if outcome is not None and not why:
                fed = any(edge in self.again for edge in outcome.edges)
                note = "if the inputs that run again come out equal" if fed else ""
                self.reuse.append(PlannedCall(key.hex(), outcome.task, outcome.label, note))
                self._cover(key)
                continue
            self.again.add(key)
            if outcome is not None:
                self.rerun.append(PlannedCall(key.hex(), outcome.task, outcome.label, why))
            else:
                self.unfinished.append(self._began(key))
            stack.extend(reversed(self.children.get(key, ())))

    def _cover(self, key: bytes) -> None:
        """What is below a reused call is not asked for, and not missed."""
        stack = [key]
        while stack:
            for child in self.children.get(stack.pop(), ()):
                if child not in self.reached:
                    self.reached.add(child)
                    stack.append(child)

    def _outcome(self, key: bytes) -> Outcome | None:
        found = self.known.outcomes.get(key)
        return decode_outcome(found[1]) if found is not None else None

    def _began(self, key: bytes) -> PlannedCall:
        if key in self.known.attempts:
            attempt = self.known.attempts[key][1]
            return PlannedCall(key.hex(), attempt.task, attempt.label, f"attempt {attempt.attempt} failed")
        if key in self.known.starts:
            start = self.known.starts[key]
            return PlannedCall(key.hex(), start.task, start.label, "began, left no outcome")
        return PlannedCall(key.hex(), "", "", "known only by what it called")

    def _why_not(self, outcome: Outcome, seq: int) -> str:
        if outcome.status == Status.CANCELLED:
            return "was cancelled"
        if outcome.status == Status.ERROR and seq <= self.floor and (outcome.reason != TOLD or self.retry_failed):
            return "failed"
        for task, version in ((outcome.task, outcome.version), *outcome.guards):
            spec = TASKS.get(task)
            if spec is None or spec.version == version:
                continue
            short = task.rpartition(".")[2]
            policy = self.decided.get(task) or self.decided.get(short) or spec.on_change
            if policy != "reuse":
                what = "source changed" if task == outcome.task else f"source of {task} changed"
                return what if policy == "rerun" else f"{what}, and the task says to ask"
        return ""


def plan_resume(store: Store, info: RunInfo, decided: Mapping[str, str], *, retry_failed: bool = False) -> ResumePlan:
    """Read what resuming the run would reuse and run again."""
    known = load(store, info.uid)
    parents = {row.key: row.parent for _, row in store.rows(info.uid) if row.kind & (COSTED - 1) != Kind.DECISION}
    for parent in list(parents.values()):
        if parent not in (NO_PARENT, info.spec.root):
            parents.setdefault(parent, info.spec.root)  # it never ended, and only its children name it
    stale, floor = stale_results(store, info.uid, decided), info.error_floor
    if retry_failed:
        stale, floor = {**around_failures(store, info.uid), **stale}, known.last_seq
    reader = _Reader(known, parents, floor, decided, stale, retry_failed)
    reader.visit(info.spec.root)
    unasked = []
    for key, (_, body) in known.outcomes.items():
        if key not in reader.reached:
            outcome = decode_outcome(body)
            gone = "" if outcome.task in TASKS else "its task is not in the program any more"
            unasked.append(PlannedCall(key.hex(), outcome.task, outcome.label, gone))
    return ResumePlan(tuple(reader.reuse), tuple(reader.rerun), tuple(reader.unfinished), tuple(unasked))
