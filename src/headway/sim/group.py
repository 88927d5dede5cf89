"""torch.distributed for members that are threads: a process group whose collectives let the others go on until all have come.

What a collective computes is torch's own code for tests in threads (`multi_threaded_pg`); only the meeting is ours, since no thread
may block a thread. Each member has a world of its own, as a process has. A member that ends while others wait for it in a
collective fails them, as a closed connection does.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

if TYPE_CHECKING:
    from headway.sim.loop import SimLoop

BACKEND = "headwaysim"
distributed_c10d: Any = importlib.import_module("torch.distributed.distributed_c10d")  # parts of torch that are not typed
threaded: Any = importlib.import_module("torch.testing._internal.distributed.multi_threaded_pg")
_c10d: Any = importlib.import_module("torch._C._distributed_c10d")
_ProcessGroup: Any = dist.ProcessGroup
_ThreadLocalWorld: Any = threaded.ThreadLocalWorld


class Meeting:
    """The place where the members of one job find each other."""

    def __init__(self, process: SimLoop, size: int) -> None:
        self._process = process
        self.size = size
        self._worlds = [threaded.WorldData(None, {}, {}, {}, {}, 0, {}, {}, {}, []) for _ in range(size)]
        self._store = _c10d.HashStore()
        self._open: dict[str, list[_Collective]] = {}  # by group: those for which not all have come
        self._left: set[int] = set()

    @contextlib.contextmanager
    def speaks(self, rank: int) -> Iterator[None]:
        """While a member runs: torch.distributed is its own."""
        before, before_here = distributed_c10d._world, _here.meeting
        distributed_c10d._world, _here.meeting = _World(self._worlds[rank]), self
        _c10d._set_thread_isolation_mode(True)  # each member's thread registers its groups under its own names
        try:
            yield
        finally:
            _c10d._set_thread_isolation_mode(False)
            distributed_c10d._world, _here.meeting = before, before_here

    def join(self, rank: int) -> None:
        """A member begins: it is in the group of all."""
        _c10d._unregister_all_process_groups()  # what a member has left that was killed in this thread
        dist.init_process_group(BACKEND, store=self._store, rank=rank, world_size=self.size)

    def leave(self, rank: int) -> None:
        """A member's code has ended well. Members that wait for it in a collective wait in vain."""
        if dist.is_initialized():
            dist.destroy_process_group()
        self._left.add(rank)
        for waiting in [each for collectives in self._open.values() for each in collectives]:
            waiting.fail_for(rank)

    def meet(self, group: SimGroup, what: Any, data: Any) -> Any:
        """Take part in the next collective of a group; returns when all have come and it is computed."""
        name, rank = group.pg_name, group.rank()
        ranks = group.global_ranks()
        collectives = self._open.setdefault(name, [])
        mine = next((each for each in collectives if rank not in each.data), None)
        if mine is None:
            mine = _Collective(ranks, what)
            collectives.append(mine)
        if (gone := next((each for each in ranks if each in self._left), None)) is not None and ranks.index(gone) not in mine.data:
            mine.fail_for(gone)
        mine.take_part(rank, what, data)
        if mine.done.done():
            if mine in collectives:
                collectives.remove(mine)
        self._process.world.wait(mine.done)
        return _make_finished_work(data)


class _Collective:
    """One use of a collective: what each member has brought, by its rank in the group."""

    def __init__(self, ranks: list[int], what: Any) -> None:
        self.data: dict[int, Any] = {}
        self.done: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._ranks, self._what = ranks, what

    def take_part(self, rank: int, what: Any, data: Any) -> None:
        self.data[rank] = data
        if self.done.done():
            return
        if type(what) is not type(self._what):
            said = f"rank {self._ranks[rank]} came to {_name(what)}, others to {_name(self._what)}"
            self.done.set_exception(RuntimeError(f"members of a process group met in different collectives: {said}"))
        elif len(self.data) == len(self._ranks):
            try:
                self._what.work([self.data[each] for each in range(len(self._ranks))])
            except Exception as error:  # tensors of unequal shapes, an operation that is not there
                self.done.set_exception(error)
            else:
                self.done.set_result(None)

    def fail_for(self, rank: int) -> None:
        """A member has left that has not come here, if it belongs here."""
        if rank in self._ranks and self._ranks.index(rank) not in self.data and not self.done.done():
            why = f"rank {rank} has ended, and others wait for it in {_name(self._what)}"
            self.done.set_exception(RuntimeError(f"Connection closed by peer: {why}"))


class SimGroup(_ProcessGroup):  # type: ignore[misc]  # torch does not type it
    """A group of members. Its methods are those that torch.distributed calls."""

    def __init__(self, rank: int, size: int) -> None:
        super().__init__(rank, size)
        self._rank, self._size = rank, size
        self._home, self._world = _here.meeting, distributed_c10d._world
        assert self._home is not None, "only members of a simulated job have such a group"

    def rank(self) -> int:
        return self._rank

    def size(self) -> int:
        return self._size

    @property
    def pg_name(self) -> str:
        return str(self._world.pg_names[self])

    @property
    def group_name(self) -> str:
        return self.pg_name

    def global_ranks(self) -> list[int]:
        """The ranks of its members among all, in the order of the group."""
        found = self._world.pg_group_ranks[self]
        return sorted(found, key=lambda rank: found[rank])

    def getBackendName(self) -> str:  # noqa: N802 - torch calls it so
        return BACKEND

    def _meet(self, what: Any, data: Any) -> Any:
        assert self._home is not None
        return self._home.meet(self, what, data)

    def allreduce(self, tensors: Any, opts: Any = None) -> Any:
        return self._meet(threaded.AllReduce((opts or dist.AllreduceOptions()).reduceOp), tensors)

    allreduce_coalesced = allreduce

    def barrier(self, opts: Any = None) -> Any:
        return self._meet(threaded.AllReduce(dist.AllreduceOptions().reduceOp), [torch.ones(1)])

    def allgather(self, outputs: Any, inputs: Any, opts: Any = None) -> Any:
        return self._meet(threaded.AllGather(), (outputs, inputs))

    def all_gather_single(self, output: Any, part: Any, opts: Any = None) -> Any:
        return self.allgather([list(torch.chunk(output, self._size))], [part])

    _allgather_base = all_gather_single

    def broadcast(self, tensors: Any, opts: Any) -> Any:
        return self._meet(threaded.Broadcast(opts.rootRank), tensors)

    def scatter(self, outputs: Any, inputs: Any, opts: Any) -> Any:
        return self._meet(threaded.Scatter(opts.rootRank), (outputs, inputs))

    def gather(self, outputs: Any, inputs: Any, opts: Any) -> Any:
        return self._meet(threaded.Gather(opts.rootRank), (outputs, inputs))

    def reduce_scatter(self, outputs: Any, inputs: Any, opts: Any) -> Any:
        return self._meet(threaded.ReduceScatter(opts.reduceOp), (outputs, inputs))

    def reduce_scatter_single(self, output: Any, part: Any, opts: Any) -> Any:
        return self.reduce_scatter([output], [list(torch.chunk(part, self._size))], opts)

    _reduce_scatter_base = reduce_scatter_single

    def alltoall(self, outputs: Any, inputs: Any, opts: Any = None) -> Any:
        return self._meet(threaded.AllToAll(), (outputs, inputs))


class _World(_ThreadLocalWorld):  # type: ignore[misc]  # torch does not type it
    """What torch.distributed knows in one member."""

    def __init__(self, data: Any) -> None:
        self._data = data

    def _get_world(self) -> Any:
        return self._data


class _Here:
    """The meeting of the member that runs now."""

    meeting: Meeting | None = None


_here = _Here()


def _name(what: Any) -> str:
    return type(what).__name__


def _make_finished_work(data: Any) -> Any:
    future: Any = torch.futures.Future()
    future.set_result(data)
    return threaded._create_work_from_future(future)


def _create(store: Any, rank: int, size: int, timeout: Any) -> SimGroup:
    return SimGroup(rank, size)


dist.Backend.register_backend(BACKEND, _create, devices=["cpu", "cuda"])
