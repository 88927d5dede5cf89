"""Ends a save: the coordinator commits the checkpoint, and the other writers wait for that.

This module polls for files, up to a deadline, and writes first the manifest and then HEAD. What makes a checkpoint is decided in
`files/coverage.py`, and which one is the newest in `catalog/head.py`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from headway.checkpoint.catalog.head import move_head, see_head
from headway.checkpoint.catalog.leases import Lease
from headway.checkpoint.files.coverage import Draft, commit_manifest
from headway.checkpoint.files.manifest import ROOT_NAME, Head, Manifest, Phase, Segment, SegmentRef, read_sealed_hash, seal, unseal
from headway.checkpoint.files.stored import read_segment
from headway.checkpoint.helper.messages import CommitPlan, Durable
from headway.checkpoint.helper.saving import Save
from headway.checkpoint.process.failpoints import reach
from headway.errors import NoCheckpoint, SaveFailed
from headway.storage.backend import Backend

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.005, 0.5


class Lineage:
    """What a save follows, if the save that it was to follow has failed meanwhile.

    A failure may come after HEAD was moved (an answer that was lost on its way); so what HEAD names has not failed."""

    def __init__(self) -> None:
        self._failed: dict[str, CommitPlan] = {}

    def drop(self, id: str, plan: CommitPlan) -> None:
        self._failed[id] = plan

    def basis(self, plan: CommitPlan, head: Head | None) -> Head | None:
        """Return what HEAD must be."""
        while plan.basis is not None and plan.basis != head and plan.basis.id in self._failed:
            plan = self._failed[plan.basis.id]
        return plan.basis

    def parent(self, plan: CommitPlan, head: Head | None) -> str:
        """Return the id of the checkpoint that the state came from."""
        while plan.parent in self._failed and (head is None or plan.parent != head.id):
            plan = self._failed[plan.parent]
        return plan.parent


def conclude(save: Save, backend: Backend, lease: Lease, lineage: Lineage) -> Durable:
    """Commit (coordinator), or wait for the commit. Raises CheckpointConflict or SaveFailed."""
    began = time.time()
    if save.plan.commit is None:
        _await_manifest(save, backend)
        serial, parent = 0, ""
    else:
        serial, parent = _commit(save, save.plan.commit, backend, lease, lineage)
    commit = Phase("commit", began, time.time() - began)
    return Durable(save.plan.id, serial, parent, commit, time.process_time() - save.cpu_began)


def _commit(save: Save, plan: CommitPlan, backend: Backend, lease: Lease, lineage: Lineage) -> tuple[int, str]:
    segments = _await_segments(save, plan.writers, backend)
    seen = see_head(backend)
    basis, parent = lineage.basis(plan, seen.head), lineage.parent(plan, seen.head)
    serial = basis.serial + 1 if basis is not None else 1
    draft = Draft(
        id=save.plan.id,
        step=save.plan.step,
        serial=serial,
        created=plan.created,
        objects=plan.objects,
        values=plan.values,
        parent=parent,
        metrics=plan.metrics,
        layout=plan.layout,
        provenance=plan.provenance,
    )
    file, sealed = f"{save.folder}/{ROOT_NAME}", seal(commit_manifest(segments, draft))
    unseal(sealed, Manifest, file)  # a number that JSON can't hold must not make a checkpoint that nobody can read
    reach("helper:before-manifest")
    lease.check()  # files without a lease may have been collected
    backend.put(file, sealed)
    reach("helper:before-head")
    move_head(backend, seen, basis, Head(save.plan.id, save.plan.step, serial))
    reach("helper:after-head")
    return serial, parent


# --- waiting for files -----------------------------------------------------------------------------------------------


def _await_segments(save: Save, writers: tuple[str, ...], backend: Backend) -> list[tuple[SegmentRef, Segment]]:
    """Wait for the sealed segments of all writers. Raises SaveFailed, naming those that are not there in time."""
    found: dict[str, list[tuple[SegmentRef, Segment]]] = {}
    for _ in _polls(save):
        for writer in writers:
            if writer in found:
                continue
            file = f"{save.folder}/{writer}.json"
            try:
                data = backend.get(file)
            except NoCheckpoint:
                continue
            segment = unseal(data, Segment, file)
            more = [(ref, read_segment(backend, ref)) for ref in segment.also]
            found[writer] = [(SegmentRef(file, read_sealed_hash(data), segment.nbytes), segment), *more]
        if len(found) == len(writers):
            return [each for writer in writers for each in found[writer]]
    missing = ", ".join(writer for writer in writers if writer not in found)
    raise SaveFailed(
        f"step {save.plan.step} was not committed: {save.plan.deadline_s:g} s after the coordinator's data was written, "
        f"{len(writers) - len(found)} of {len(writers)} writers had not finished theirs: {missing}. See what those ranks report"
    )


def _await_manifest(save: Save, backend: Backend) -> None:
    for _ in _polls(save):
        if backend.stat(f"{save.folder}/{ROOT_NAME}") is not None:
            return
    raise SaveFailed(
        f"step {save.plan.step}: writer {save.plan.writer} is done, but there was no manifest within {save.plan.deadline_s:g} s. "
        "See what the coordinator (the first rank) reports"
    )


def _polls(save: Save) -> Iterator[None]:
    """Yield times to look, further and further apart, until the save's deadline; the last is after it."""
    deadline, pause_s = time.monotonic() + save.plan.deadline_s, _FIRST_PAUSE_S
    while time.monotonic() < deadline:
        yield
        save.pause(min(pause_s, max(deadline - time.monotonic(), 0.0)))
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
    yield
