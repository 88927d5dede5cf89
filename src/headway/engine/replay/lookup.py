"""What the journal already knows of a call, and whether it still holds.

A finished call is found by its key alone. It is reused unless one of these says otherwise, and each says why:

- it ended cancelled, or with an error from before the last failure of the run or of a call above it that is tried again, unless
  somebody was told the error as an answer;
- its task's source changed and the task (or the user, for this run) says "rerun";
- the source of a task below it changed that says "rerun";
- it got results by handle, and they are not the results it was computed from.

Tasks that say "ask" stop the run before anything is decided for them.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping

from headway.engine.call import Call
from headway.engine.run_context import RunContext
from headway.engine.tasks.spec import TASKS, TaskSpec
from headway.engine.transitions import OK
from headway.errors import SourceChanged
from headway.journal.codec.codec import value_digest
from headway.journal.records import BY_HAND, TOLD, Outcome, Status
from headway.journal.recovery.recovered import Recorded, RecoveredState, decode_outcome

_OK = int(Status.OK)


class Replay:
    """Looks calls up in what earlier processes (and earlier attempts) recorded."""

    def __init__(self, run: RunContext, decisions: Mapping[str, str]) -> None:
        self._run = run
        self._known = known = run.known
        self._decided = decisions  # task: "reuse" or "rerun", the user's word for this run
        self.retry_failed = False  # the user asks again for all failures
        self.reused = 0
        self._ended: dict[bytes, int] = {}  # calls whose recorded end is of no use: its row
        has_own_time = getattr(type(run.loop), "time", None) is not asyncio.BaseEventLoop.time
        self._now = run.loop.time if has_own_time else time.monotonic  # asked for each call that is recalled
        self._answered_at = run.loop.time() if known else -math.inf

    def note_answer(self) -> None:
        """Note that the journal has answered: the program still asks what it asked in an earlier life."""
        if self._run.resumed:
            self._answered_at = self._now()

    def last_answer(self) -> float:
        """When the journal last answered, by the loop's clock."""
        return self._answered_at

    def goes_on(self, call: Call) -> bool:
        """Whether a call whose deadline has passed may run its code again: it first gets all answers that an earlier life recorded,
        and only then is refused anything."""
        deadline = call.scope.deadline
        return call.key in self._known.parents and not (call.spec.effect or deadline is None or deadline.expired)

    def has_begun(self, call: Call) -> bool:
        """Whether the code of the call ran in an earlier life, did something that is recorded, and did not come to its end."""
        known, key = self._known, call.key
        return max(known.parents.get(key, 0), known.acted.get(key, 0)) > self._ended.get(key, 0)

    def is_under_way(self, call: Call) -> bool:
        """Whether the attempt of the call that begins now had begun in an earlier life, which recorded something that its code did
        or spent, and no end. No bound that it had passed then may refuse it now."""
        known, key, x = self._known, call.key, call.x
        if x is not None and any(any(again.values()) for again in x.recharged.values()):
            return True
        last = max(known.parents.get(key, 0), known.acted.get(key, 0), known.charged.get(key, 0))
        return last > max(self._ended.get(key, 0), call.floor)

    def may_have_begun(self, call: Call) -> bool:
        """Whether the code of the call, or of one below it, may have done something in an earlier life that is recorded.

        A call that has not ended names no parent: it may be below any other that has not. An effect makes no calls, and what costs
        something is not run on a guess.
        """
        if self.has_begun(call):
            return True
        known, key, spec = self._known, call.key, call.spec
        plain = not (spec.effect or spec.cost)
        return plain and bool(known.unfinished) and key not in self._ended and key not in known.outcomes

    def find(self, call: Call) -> Recorded | None:
        """The recorded outcome of this call, if it can be used; forgotten here once handed out."""
        memo = call.memo
        if memo is not None and (remembered := memo.get(call.key)) is not None:
            return remembered  # type: ignore[no-any-return]  # a memo holds outcomes
        found = self._known.outcomes.pop(call.key, None)
        if found is None:
            return None
        seq, body = found
        outcome = decode_outcome(body)
        doubtful = outcome.status != _OK or outcome.guards or self._decided or call.spec.on_change != "reuse"
        if doubtful and self.why_not(call.spec, outcome, seq, call.floor):
            self._ended[call.key] = seq
            if outcome.epoch > call.epoch:
                call.epoch, call.prefix = outcome.epoch, b""
            return None
        recorded = Recorded(outcome)
        if memo is not None and outcome.status == _OK:
            memo[call.key] = recorded
        return recorded

    def would_answer(self, call: Call, found: tuple[int, bytes]) -> bool:
        """Whether `find` would hand this recorded outcome out; it stays where it is."""
        seq, body = found
        try:
            return not self.why_not(call.spec, decode_outcome(body), seq, call.floor)
        except SourceChanged:
            return True  # the call is refused for it where it is asked

    def why_not(self, spec: TaskSpec, outcome: Outcome, seq: int = 0, floor: int = -1) -> str:
        """Why a recorded outcome can't be used; empty where it can (its inputs are looked at later). Of a failure, `seq` says
        where it was recorded and `floor` up to which record failures are asked again."""
        if outcome.status != _OK:
            if outcome.status == Status.CANCELLED:
                return "was cancelled"
            if seq <= floor and (outcome.reason != TOLD or self.retry_failed):
                return "failed"
        if spec.on_change != "reuse" or self._decided:
            if outcome.version != spec.version and self._stale(spec):
                return "source changed"
        for task, version in outcome.guards:
            guard = TASKS.get(task)
            if guard is not None and guard.version != version and self._stale(guard):
                return f"source of {task} changed"
        return ""

    def policy(self, spec: TaskSpec) -> str:
        """What is to happen to results of a task whose source has changed: what the user decided for this run, or the task says."""
        return self._decided.get(spec.name) or self._decided.get(spec.name.rpartition(".")[2]) or spec.on_change

    def _stale(self, spec: TaskSpec) -> bool:
        policy = self.policy(spec)
        if policy == "ask":
            raise SourceChanged(
                f"run {self._run.run_id!r}: the source of task {spec.name} changed since its results were recorded, "
                f'and it says on_change="ask". Go on with hw.resume(…, on_change={{{spec.name!r}: "reuse"}}) or "rerun" '
                f"(headway resume {self._run.run_id} --reuse {spec.name} or --rerun {spec.name})"
            )
        return policy == "rerun"

    def same_inputs(self, call: Call, recorded: Recorded) -> bool:
        """Whether the inputs that came by handle are those the recorded result was computed from."""
        return recorded.outcome.inputs == BY_HAND or recorded.outcome.inputs == inputs_digest(call)


def answers(known: RecoveredState, root: bytes, spec: TaskSpec, decided: Mapping[str, str]) -> bool:
    """Whether the root's recorded result holds as it is, so that nothing of the run would run again."""
    found = known.outcomes.get(root)
    if found is None:
        return False
    outcome = decode_outcome(found[1])
    touched = spec.name in decided or spec.on_change != "reuse"
    same = not touched or outcome.version == spec.version
    guards = (TASKS[task].version == version for task, version in outcome.guards if task in TASKS)
    return outcome.status == Status.OK and same and all(guards)


def epoch_name(key: bytes) -> bytes:
    """Where the memo of a retried call keeps the epoch in which a call below it, that failed by itself, is asked again."""
    return b"E" + key


def inputs_digest(call: Call) -> bytes:
    """A digest of the results of all handles among a call's arguments, in order; empty without handles."""
    if not call.inputs:
        return b""
    parts = [value_digest(h.head, h.blobs) if h.state == OK else h.key for h in call.inputs]
    return value_digest(b"".join(parts), ())
