"""Whether a program asks again for what it asked before.

A replay runs the bodies of a recorded run once more. The results of its leaves (calls that made no calls) are in the journal, those
of the others are not, so every body runs and every leaf answers. A body that then asks for a call that is not recorded has made its
arguments from something that changes: after a crash that call, and all that is built on it, would be done again.

What changes is found by comparing replays in which one thing differs: nothing (then it is new in each execution: an
object's address, a uuid, the real time), the clock, the seed of `random`, the order of sets (in another process, with another hash
seed).
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import copy
import json
import os
import pickle
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from headway import events
from headway.errors import UsageError
from headway.journal.decisions import DeadlineOpened, is_told
from headway.journal.records import COSTED, NO_PARENT, Kind, Row, RunInfo
from headway.journal.recovery.recovered import decode_outcome
from headway.pools.base import FunctionRef
from headway.pools.current import importing_main, loading_program
from headway.pools.program import find, function_ref
from headway.sim.config import STEADY
from headway.sim.history import History, Incarnation
from headway.sim.store import SimStore

SHIFT_S = 86_461.5  # more than a day, an hour's and a minute's rounding
CHILD_S = 30.0


class Recording(NamedTuple):
    """A run that happened in a simulation, as a replay needs it."""

    seed: object
    info: RunInfo
    rows: list[Row]
    blobs: Mapping[bytes, bytes]
    start: float  # the wall clock when it began

    @classmethod
    def of(cls, history: History) -> Recording:
        info = history.store.run(history.run_id)
        return cls(history.seed, info, list(history.rows()), history.store.blobs, history.universe.start)

    @property
    def has_deadlines(self) -> bool:
        """Whether it opened deadlines, which pass while a replay's clock is elsewhere."""
        return any(is_told(row.body, DeadlineOpened) for row in self.rows if row.kind & ~COSTED == Kind.DECISION)

    def leaves(self) -> list[Row]:
        """Its rows without the ends of calls that made calls, and of the root."""
        parents = {row.parent for row in self.rows}
        return [
            row for row in self.rows if row.kind & ~COSTED != Kind.OUTCOME or (row.key not in parents and row.parent != NO_PARENT)
        ]


class ChangedCall(NamedTuple):
    """A call that a replay asked for and the record does not have; `before` is one of the same task that it did not ask for."""

    task: str
    label: str
    before: str


class ReplayResult(NamedTuple):
    """What a replay asked for: all keys of calls by task, and the calls that are not recorded."""

    asked: dict[str, list[str]]
    changed: list[ChangedCall]

    def differs(self, other: ReplayResult, task: str) -> bool:
        """Whether the two asked for other calls of a task."""
        return self.asked.get(task) != other.asked.get(task)


def replay(
    program: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    record: Recording,
    *,
    shift_s: float = 0.0,
    seed: int = 0,
    is_abandoned: Callable[[], bool] | None = None,
) -> ReplayResult:
    """Run the bodies again with a clock that is `shift_s` later, and `random` seeded with `seed`. Raises Abandoned."""
    store = SimStore.holding(record.info, record.leaves(), record.blobs)
    history = History(record.seed, STEADY, run_id=record.info.spec.run_id, store=store)
    history.universe.start = record.start + shift_s
    history.universe.is_abandoned = is_abandoned
    args, kwargs = copy.deepcopy((args, kwargs))
    with ordinary(history, seed):
        life = history.live(program, *args, kwargs=kwargs)
    asked: dict[str, list[str]] = {}
    for event in life.event_log:
        if isinstance(event, events.CallSpawned):
            asked.setdefault(event.task, []).append(event.key)
    return ReplayResult({task: sorted(keys) for task, keys in asked.items()}, _find_changes(life, record))


def _find_changes(life: Incarnation, record: Recording) -> list[ChangedCall]:
    known = {row.key.hex() for row in record.rows}
    asked = {event.key for event in life.event_log if isinstance(event, events.CallSpawned)}
    left: dict[tuple[str, str], list[str]] = {}
    for row in record.rows:
        if row.kind & ~COSTED == Kind.OUTCOME and row.key.hex() not in asked:
            outcome = decode_outcome(row.body)
            left.setdefault((row.parent.hex(), outcome.task), []).append(outcome.label)
    changed = []
    for event in life.event_log:
        if isinstance(event, events.CallSpawned) and event.key not in known and event.parent in known:
            labels = left.get((event.parent, event.task), [])
            changed.append(ChangedCall(event.task, event.label, labels.pop(0) if labels else ""))
    return changed


@contextlib.contextmanager
def ordinary(history: History, seed: int) -> Iterator[None]:
    """Let `time.time` tell the simulated time, `time.sleep` in a thread wait for it, and `random` draw from a fixed seed."""
    state = random.getstate()
    real, real_ns = time.time, time.time_ns
    universe = history.universe

    def wall() -> float:
        process = universe.running
        return universe.start + universe.now + (process.skew_s if process is not None else 0.0)

    real_sleep = time.sleep

    def sleep(seconds: float, /) -> None:
        """In a thread's task: wait for the simulated time. Threads that are not the simulator's really sleep."""
        process = universe.running
        if process is None or process.world.sim_thread is None or not process.world.sim_thread.is_here:
            real_sleep(seconds)
            return
        over: concurrent.futures.Future[None] = concurrent.futures.Future()
        process.call_later(seconds, over.set_result, None)
        process.world.wait(over)

    random.seed(seed)
    time.time, time.time_ns, time.sleep = wall, lambda: int(wall() * 1e9), sleep  # type: ignore[assignment]
    try:
        yield
    finally:
        time.time, time.time_ns, time.sleep = real, real_ns, real_sleep
        random.setstate(state)


# --- in another process ----------------------------------------------------------------------------------------------


def replay_elsewhere(
    fn: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    record: Recording,
    hash_seed: int,
    *,
    most_s: float = CHILD_S,
) -> ReplayResult:
    """`replay` in a process whose sets have another order. Raises UsageError where that process can't have the program, or takes
    longer than `most_s`."""
    import subprocess  # only here: what is imported with Headway should be little
    import tempfile

    if importing_main():
        raise UsageError('the check was reached while the program was being imported: put it under `if __name__ == "__main__":`')
    ref = function_ref(fn)
    with tempfile.TemporaryDirectory(prefix="headway-check-") as folder:
        file = Path(folder) / "replay"
        try:
            file.write_bytes(pickle.dumps((ref, tuple(args), dict(kwargs), record._replace(blobs=dict(record.blobs)))))
        except Exception as error:
            raise UsageError(f"the program's arguments can't be pickled ({error})") from error
        answer = file.with_suffix(".json")
        environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-m", "headway.sim.check.replay", str(file), str(answer)]
        child = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            limit_s = min(most_s, CHILD_S)
            said = child.communicate(timeout=limit_s)[1]
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
            raise UsageError(f"the program had not ended in another process after {limit_s:.3g} s") from None
        if not answer.exists():
            last = said.strip().splitlines()[-1:] or [f"it ended with {child.returncode}"]
            raise UsageError(f"the program can't be replayed in another process: {last[0]}")
        asked, changed = json.loads(answer.read_text())
    return ReplayResult(asked, [ChangedCall(*each) for each in changed])


def _main(path: str, answer: str) -> None:
    ref, args, kwargs, record = pickle.loads(Path(path).read_bytes())
    assert isinstance(ref, FunctionRef)
    with loading_program():
        program = find(ref)
    found = replay(program, args, kwargs, record)
    new = Path(answer).with_suffix(".new")
    new.write_text(json.dumps(found))
    new.rename(answer)


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2])
