"""What a user says about changed tasks for one run: `on_change={"search": "rerun"}`, `headway resume --rerun search`.

A name that matches no task of the program or of the journal is an error: otherwise a typo would silently change nothing. A task to
rerun runs again wherever it was called: the recorded results of its calls are dropped, and so are those of the calls around them,
which would otherwise answer for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from headway.engine.tasks.spec import TASKS
from headway.errors import UsageError
from headway.journal.records import COSTED, NO_PARENT, Kind
from headway.journal.recovery.recovered import decode_outcome
from headway.journal.store import Store
from headway.near import near_misses


def stale_results(store: Store, uid: int, decided: Mapping[str, str]) -> dict[bytes, str]:
    """The recorded calls that `decided` (task: "reuse" or "rerun") asks again, each with why.

    Raises UsageError for a name that is not a task. In a run without results yet, no name can be known to be wrong.
    """
    if not decided:
        return {}
    parents: dict[bytes, set[bytes]] = {}
    recorded: set[str] = set()
    changed: list[tuple[bytes, str]] = []
    names: dict[bytes, bytes] = {}
    equals: dict[bytes, list[bytes]] = {}
    for _, (kind, key, parent, body) in store.rows(uid):
        if kind & (COSTED - 1) == Kind.DECISION:
            continue
        parents.setdefault(key, set()).add(parent)
        if kind & (COSTED - 1) != Kind.OUTCOME:
            continue
        outcome = decode_outcome(body)
        recorded.add(outcome.task)
        if outcome.shared:
            names[key] = outcome.shared
            equals.setdefault(outcome.shared, []).append(key)
        spec = TASKS.get(outcome.task)
        if spec is not None and spec.version != outcome.version and decision(decided, outcome.task) == "rerun":
            changed.append((key, outcome.task))
    if recorded:
        _check_names(decided, recorded)
    stale: dict[bytes, str] = {}
    for key, task in changed:
        _mark(key, task, parents, stale, lambda call: equals.get(names.get(call, b""), ()))
    return stale


def decision(decided: Mapping[str, str], task: str) -> str | None:
    """What was said about a task, by its whole name or by the last part of it."""
    return decided.get(task) or decided.get(task.rpartition(".")[2])


def _mark(
    key: bytes,
    task: str,
    parents: Mapping[bytes, set[bytes]],
    stale: dict[bytes, str],
    equals: Callable[[bytes], Sequence[bytes]],
) -> None:
    """Mark a call and all that it is part of, and the calls that were answered with a result of these."""
    stale[key] = "source changed"
    above = [*parents.get(key, ()), *equals(key)]
    while above:
        call = above.pop()
        if call != NO_PARENT and call not in stale:
            stale[call] = f"source of {task} changed"
            above += [*parents.get(call, ()), *equals(call)]


def _check_names(decided: Mapping[str, str], recorded: set[str]) -> None:
    tasks = recorded | TASKS.keys()
    known = {*tasks, *(task.rpartition(".")[2] for task in tasks)}
    for name in decided:
        if name not in known:
            short = {task.rpartition(".")[2] for task in recorded}
            raise UsageError(
                f"on_change names task {name!r}, which neither the run nor the program has; {near_misses(name, short)}"
            )
