"""The helper's main loop. It takes orders; one thread writes and one commits, save after save, in the order in which they began.

A save may be written while an earlier one still waits for its commit. Commits happen in order, so HEAD never goes back. The loop
itself does nothing that takes long.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import ExitStack

from headway.checkpoint.catalog.leases import Lease, lease_for_saving
from headway.checkpoint.files.manifest import ROOT_NAME
from headway.checkpoint.helper.commit_all_ranks import Lineage, conclude
from headway.checkpoint.helper.messages import (
    Abandon,
    Begin,
    CannotPrepare,
    Failed,
    Order,
    Prepare,
    Prepared,
    Progress,
    Report,
    Staged,
)
from headway.checkpoint.helper.saving import Save, write
from headway.checkpoint.helper.shared_buffer import SharedBuffer
from headway.checkpoint.helper.sharing import Shelf
from headway.checkpoint.process.failpoints import reach
from headway.errors import HeadwayError
from headway.ipc.framing import Wire
from headway.storage.backend import Backend
from headway.storage.opening import open_backend

Job = tuple[Save, Backend, Lease, ExitStack]


class Service:
    """One trainer's helper, until the trainer is gone and its staged saves are done."""

    def __init__(self, wire: Wire[Order]) -> None:
        self._wire = wire
        self._buffers: dict[int, SharedBuffer] = {}
        self._saves: dict[str, Save] = {}
        self._backends: dict[str, Backend] = {}
        self._lineage = Lineage()
        self._shelf = Shelf()
        self._to_write: queue.SimpleQueue[Save | None] = queue.SimpleQueue()
        self._to_commit: queue.SimpleQueue[Job | None] = queue.SimpleQueue()

    def run(self) -> None:
        workers = [
            threading.Thread(target=_or_end, args=(work,), name=work.__name__) for work in (self._write_all, self._commit_all)
        ]
        for worker in workers:
            worker.start()
        _or_end(self._obey_all)
        for save in list(self._saves.values()):
            if not save.staged:
                save.stop("the trainer ended before all of its state was copied")
        self._to_write.put(None)
        for worker in workers:
            worker.join()

    def _obey_all(self) -> None:
        while (received := self._wire.receive()) is not None:
            self._obey(received[0])

    def _obey(self, order: Order) -> None:
        match order:
            case Prepare(number, nbytes):
                self._prepare(number, nbytes)
            case Begin(plan, number):
                save = self._saves[plan.id] = Save(plan, self._buffers[number].view(plan.nbytes))
                self._to_write.put(save)
            case Progress(id, copied):
                self._with(id, lambda save: save.advance(copied))
            case Staged(id, phases):
                self._with(id, lambda save: save.stage(phases))
            case Abandon(id, reason):
                self._with(id, lambda save: save.stop(reason))

    def _with(self, id: str, do: Callable[[Save], None]) -> None:
        # A save that has already failed (a full disk, say) is gone.
        if (save := self._saves.get(id)) is not None:
            do(save)

    def _prepare(self, number: int, nbytes: int) -> None:
        known = self._buffers.get(number)
        buffer = known if known is not None else SharedBuffer.fresh(number)
        try:
            buffer.grow(nbytes)
        except (HeadwayError, OSError) as error:
            if known is None:
                buffer.close()
            self._tell(CannotPrepare(number, str(error)))
            return
        self._buffers[number] = buffer
        self._tell(Prepared(number, buffer.nbytes), buffer.fd if known is None else None)
        buffer.populate()

    # --- the two workers ---------------------------------------------------------------------------------------------

    def _write_all(self) -> None:
        while (save := self._to_write.get()) is not None:
            reach("helper:begun")
            held = ExitStack()
            try:
                backend = self._backend(save.plan.root)
                lease = held.enter_context(lease_for_saving(backend, save.plan.id, save.plan.writer))
                written = write(save, backend, self._shelf.take(backend, held) if save.plan.share else None)
            except Exception as error:
                held.close()
                self._fail(save, error, f"writing step {save.plan.step} to {save.plan.root}")
                continue
            save.view.release()
            self._tell(written)
            self._to_commit.put((save, backend, lease, held))
        self._to_commit.put(None)

    def _commit_all(self) -> None:
        while (job := self._to_commit.get()) is not None:
            save, backend, lease, held = job
            try:
                durable = conclude(save, backend, lease, self._lineage)
            except Exception as error:
                self._remove(save, backend)
                held.close()
                self._fail(save, error, f"committing step {save.plan.step} to {save.plan.root}")
                continue
            self._shelf.keep(backend.url, save.plan.id, save.plan.step, save.segments)
            held.close()
            del self._saves[save.plan.id]
            self._tell(durable)

    def _remove(self, save: Save, backend: Backend) -> None:
        """Remove this writer's files of a save that failed, unless it is a checkpoint all the same."""
        with contextlib.suppress(OSError, HeadwayError):  # the collector finds what can't be removed now
            if backend.stat(f"{save.folder}/{ROOT_NAME}") is None:
                backend.delete(save.files)

    def _fail(self, save: Save, error: Exception, what: str) -> None:
        save.view.release()
        if save.plan.commit is not None:
            self._lineage.drop(save.plan.id, save.plan.commit)
        del self._saves[save.plan.id]
        self._tell(Failed.of(save.plan.id, error, what))

    def _backend(self, root: str) -> Backend:
        if root not in self._backends:
            self._backends[root] = open_backend(root)
        return self._backends[root]

    def _tell(self, report: Report, fd: int | None = None) -> None:
        try:
            self._wire.send(report, fd)
        except OSError:  # the trainer is gone: what went wrong is left for whoever reads this process's stderr
            if isinstance(report, Failed):
                sys.stderr.write(f"{report.message}\n")
                sys.stderr.flush()


def _or_end(work: Callable[[], None]) -> None:
    """Do the work of a thread. If it raises, end the process with a message: the trainer notices that a process has ended, but
    would wait forever for a dead thread."""
    try:
        work()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
