"""The process pool on agents: the rules of the one on this machine, with workers at posts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from headway.pools.agents.far_worker import FarWorker
from headway.pools.agents.staff import Staff
from headway.pools.base import Demand
from headway.pools.process import ProcessPool
from headway.pools.workers.worker_process import RemoteWorker


class FarProcessPool(ProcessPool):
    """Worker processes on agents, each running one job at a time."""

    def __init__(self, staff: Staff) -> None:
        super().__init__(len(staff.posts))
        self._staff = staff

    def free(self, need: Demand, /) -> int:
        return self._staff.free()

    def start(self, on_free: Callable[[], None], emit: Callable[[Any], None] | None, /) -> None:
        super().start(on_free, emit)
        self._staff.open(on_free)

    def use_blobs(self, place: str) -> None:
        """Have agents put large results where the run keeps them."""
        self._staff.use_blobs(place)

    def lend(self, slots: int, /) -> None:
        """Let others use the slots of jobs that only wait for other jobs, wherever they are."""
        self._staff.lend(slots)
        super().lend(slots)

    async def close(self) -> None:
        """End all workers, and the agents with them unless another pool uses them."""
        await super().close()
        await self._staff.close()

    def _waiting_worker(self) -> RemoteWorker:
        waiting = {worker.post: worker for worker in self._idle if isinstance(worker, FarWorker) and worker.alive}
        post = self._staff.pick(waiting)
        if (worker := waiting.get(post)) is not None:
            self._idle.remove(worker)
            return worker
        made = FarWorker(post, self._staff.next_number(), self._on_answer, self._on_end, self._emit)
        self._workers.add(made)
        return made

    def _is_one_too_many(self, worker: RemoteWorker) -> bool:
        return isinstance(worker, FarWorker) and worker.post.has_too_many()
