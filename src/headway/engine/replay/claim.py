"""Claims a run: makes it or finds it in its store, takes its lease, and reads what its journal already says.

All of it reads the store, so it is one plain function that runs off the loop. If it fails, it gives back a lease it took.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from headway.engine.identity.keys import call_key
from headway.engine.replay.lookup import answers
from headway.engine.replay.on_change import stale_results
from headway.engine.replay.retry_failed import around_failures
from headway.engine.tasks.spec import TaskSpec
from headway.engine.world import World
from headway.errors import RunMismatch
from headway.journal.owner import LEASE_S
from headway.journal.records import Lease, RunInfo, RunSpec, RunStatus
from headway.journal.recovery.recovered import RecoveredState, load
from headway.journal.store import Store


class Claim(NamedTuple):
    """A run that was taken up. `lease` is None where its recorded result answers, so that nothing will run."""

    info: RunInfo
    known: RecoveredState
    lease: Lease | None

    def give_up(self, store: Store, now: float) -> None:
        """Let go of a run that nothing was done for."""
        if self.lease is not None:
            store.release(self.lease, RunStatus.INTERRUPTED, now)


def claim_run(
    store: Store,
    wanted: RunSpec,
    spec: TaskSpec,
    asked: bytes,
    decided: Mapping[str, str],
    world: World,
    *,
    take_over: bool = False,
    retry_failed: bool = False,
) -> Claim:
    """Make the run, or go on with the one of this id. May block. `wanted` lacks its salt and its root; `asked` are the root's
    arguments in canonical form.

    Raises:
        RunMismatch: the id was used for another task or for other arguments.
        RunOwned: another process drives the run.
        UsageError: `decided` names no task.
        StoreError: the store can't be read or written.
    """
    owner, now, salt = world.owner(), world.wall(), world.token()
    wanted = msgspec.structs.replace(wanted, salt=salt, root=call_key(salt, 0, spec.identity, asked))
    info, lease = store.begin_run(wanted, owner, LEASE_S, now)
    if lease is not None:
        return Claim(info, RecoveredState(), lease)
    _check_same(store, info, spec, asked)
    stale = stale_results(store, info.uid, decided)
    if retry_failed:
        stale |= around_failures(store, info.uid)
    if info.status == RunStatus.DONE:
        known = load(store, info.uid)
        known.forget(stale)
        if answers(known, info.spec.root, spec, decided):
            return Claim(info, known, None)
    lease = store.acquire(info.spec.run_id, owner, LEASE_S, now, take_over=take_over)
    try:
        known = load(store, lease.uid)
        known.forget(stale)
        known.given.signals.update((sent.number, sent) for sent in store.signals(lease.uid))
    except BaseException:
        store.release(lease, RunStatus.INTERRUPTED, world.wall())
        raise
    return Claim(info, known, lease)


def _check_same(store: Store, info: RunInfo, spec: TaskSpec, asked: bytes) -> None:
    """Raises RunMismatch where the run of this id asks something else."""
    if info.spec.root != call_key(info.spec.salt, 0, spec.identity, asked):
        other = info.spec.task if info.spec.task != spec.name else f"{spec.name} with other arguments"
        raise RunMismatch(
            f"run {info.spec.run_id!r} in {store.url} was started as {other}: use another run_id, or go on with it "
            f"by `headway resume {info.spec.run_id}`"
        )
