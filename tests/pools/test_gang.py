"""Gangs: they start together, find each other, end together, and are begun again when a process dies."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from poolbench import Bench, within

import headway as hw
from headway import events
from headway.pools import gang
from headway.pools.base import A_SLOT, Answer, CallFacts, Demand, Job


@hw.task(pool="gang", processes=2)
def meet(number: int) -> list[int]:
    """What every member knows of the others, and its own rank."""
    import torch
    import torch.distributed as dist

    seat = hw.call().seat
    assert seat is not None
    assert (seat.rank, seat.size) == (dist.get_rank(), dist.get_world_size())
    place = [os.environ[name] for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")]
    assert place == [str(seat.rank), str(seat.rank), str(seat.size), str(seat.size)]
    assert torch.get_num_threads() == max(1, len(os.sched_getaffinity(0)) // seat.size)  # together no more than there are
    mine = torch.tensor([number + seat.rank])
    found = [torch.zeros(1, dtype=torch.int64) for _ in range(seat.size)]
    dist.all_gather(found, mine)
    hw.charge(rows=1)
    hw.progress(seat.rank, 10, loss=0.5)
    print(f"rank {seat.rank} was here")
    return [int(each) for each in found] + [seat.rank]


@hw.task(pool="gang", processes=2)
def leaves_by_itself() -> int:
    import torch.distributed as dist

    dist.barrier()
    dist.destroy_process_group()
    return 7


@hw.task(pool="gang", processes=2)
def one_raises() -> None:
    import torch.distributed as dist

    if dist.get_rank() == 1:
        raise ValueError("the data is wrong")
    dist.barrier()  # would wait for ever


@hw.task(pool="gang", processes=2)
def one_dies(folder: str, times: int) -> int:
    """Rank 1 is killed in its first attempts."""
    import torch.distributed as dist

    attempt = hw.call().attempt
    Path(folder, f"{attempt}-{dist.get_rank()}-{os.getpid()}").touch()
    dist.barrier()
    if dist.get_rank() == 1 and attempt <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    dist.barrier()
    return attempt


@hw.task(pool="gang", processes=2)
def wait_for_ever(folder: str) -> None:
    import torch.distributed as dist

    Path(folder, str(os.getpid())).touch()
    if dist.get_rank() == 0:
        dist.barrier()
    time.sleep(1000)


@hw.task(pool="gang", processes=2)
def only_rank_0_has_a_result() -> int | None:
    import torch.distributed as dist

    return 7 if dist.get_rank() == 0 else object()  # type: ignore[return-value]


class StandInWorker:
    """A worker process to which happens what the test says."""

    def __init__(self, number: int, on_answer: Any, on_end: Any, emit: Any, *, pool: str, on_ready: Any) -> None:
        if len(HIRED) == ROOM[0]:
            raise OSError(errno.EMFILE, "Too many open files")
        self.ready, self.job = False, None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.begin, self._on_end = on_ready, on_end
        HIRED.append(self)

    def assign(self, job: Job) -> None:
        self.job = job

    def dismiss(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
            self._on_end(self, None)


HIRED: list[StandInWorker] = []
ROOM = [9]


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gang, "RemoteWorker", StandInWorker)
    HIRED.clear()
    ROOM[0] = 9


def a_gang_of_two(on_done: Callable[[Answer], None]) -> Job:
    facts = CallFacts(key="00", task="train", attempt=1, run_id="run", idempotency_key="00")
    return Job(items_only, ([],), {}, facts, on_done, lambda amounts, item: None, need=Demand.of({"processes": 2}))


@hw.task(pool="gang", processes=2)
def who_did_which_step() -> list[int]:
    """The attempt in which each of four steps was done; rank 1 is killed once, when the first two are saved."""
    import torch
    import torch.distributed as dist

    attempt, checkpoints = hw.call().attempt, hw.checkpoints()
    done_in = torch.zeros(4, dtype=torch.int64)
    for step in checkpoints.steps({"done_in": done_in}, total=4, every=1):
        checkpoints.wait()
        dist.barrier()
        if step == 2 and attempt == 1 and dist.get_rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        dist.barrier()
        done_in[step] = attempt
    return done_in.tolist()


@hw.task(pool="gang", processes=1)
def alone() -> int:
    return os.getpid()


def items_only(items: list[int]) -> list[int]:
    return items


def alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def test_members_find_each_other_and_rank_0_answers(tmp_path: Path) -> None:
    heard: list[Any] = []

    @hw.task
    async def program() -> tuple[list[int], float]:
        with hw.budget(rows=100) as book:
            found = await meet(7)
        return found, book.spent["rows"]

    assert hw.run(program, store=None, events=heard.append) == ([7, 8, 0], 2.0)
    assert [(event.done, event.total, event.numbers) for event in heard if isinstance(event, events.CallProgress)] == [
        (0, 10, {"loss": 0.5})
    ]
    assert {event.pool for event in heard if isinstance(event, events.WorkerStarted)} == {"gang"}


def test_an_error_of_one_member_ends_the_others_that_wait_for_it() -> None:
    with pytest.raises(ValueError, match="the data is wrong") as raised:
        hw.run(one_raises, store=None, deadline_s=60)
    assert "on rank 1 of a gang of 2" in raised.value.__notes__


def test_what_other_ranks_return_is_nobody_s_result() -> None:
    assert hw.run(only_rank_0_has_a_result, store=None, deadline_s=60) == 7


def test_a_function_may_end_the_process_group_itself_as_programs_for_torchrun_do() -> None:
    assert hw.run(leaves_by_itself, store=None) == 7


def test_a_gang_that_lost_a_process_is_begun_again_whole(tmp_path: Path) -> None:
    again = one_dies.options(retry=hw.Retry(attempts=2, delay_s=0.01, on=(hw.WorkerDied,)))
    assert hw.run(again, str(tmp_path), 1, store=None) == 2
    ranks = sorted(path.name.rsplit("-", 1)[0] for path in tmp_path.iterdir())
    assert ranks == ["1-0", "1-1", "2-0", "2-1"]
    assert not [path.name for path in tmp_path.iterdir() if alive(int(path.name.rsplit("-", 1)[1]))]


def test_a_gang_that_is_begun_again_goes_on_from_its_own_checkpoint(tmp_path: Path) -> None:
    again = who_did_which_step.options(retry=hw.Retry(attempts=2, delay_s=0.01))
    assert hw.run(again, store=tmp_path) == [1, 1, 2, 2]


def test_a_gang_begins_when_another_has_left_its_slot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Any] = []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    @hw.task
    async def program() -> list[int]:
        return await hw.gather(alone(), alone.options(key="other")())

    pids = hw.run(program, store=None, pools={"gang": 1}, events=heard.append, deadline_s=60)
    found = [(type(event), event.pid) for event in heard if isinstance(event, events.WorkerStarted | events.WorkerEnded)]
    assert found == [(what, pid) for pid in pids for what in (events.WorkerStarted, events.WorkerEnded)]
    assert not list(tmp_path.iterdir())  # where they met is gone


def test_a_gang_that_is_cancelled_while_it_starts_ends_as_well() -> None:
    async def scenario() -> bool:
        bench = Bench(gang.GangPool(1))
        job, future, _ = bench.job("pid")
        job.need = Demand.of({"processes": 2})
        bench.pool.submit(job)
        bench.pool.cancel(job)
        answer = await within(future)
        await bench.pool.close()
        return answer.cancelled and bench.freed == 1

    assert asyncio.run(scenario())


def test_a_gang_that_always_loses_a_process_says_which_died(tmp_path: Path) -> None:
    once = one_dies.options(retry=hw.Retry(attempts=1))
    with pytest.raises(hw.WorkerDied, match=r"ran test_gang.one_dies was killed by SIGKILL"):
        hw.run(once, str(tmp_path), 9, store=None, deadline_s=60)


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize("room", [0, 1])
def test_where_not_all_processes_can_be_made_the_others_end_and_nothing_stays(
    room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ROOM[0] = room
    answers: list[Answer] = []

    async def program() -> None:
        pool = gang.GangPool(1)
        pool.submit(a_gang_of_two(answers.append))
        assert not answers
        await asyncio.sleep(0)
        assert pool.free(A_SLOT) == 1

    asyncio.run(program())
    (answer,) = answers
    assert "Too many open files" in str(answer.error)
    assert all(worker.ended.done() for worker in HIRED)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("stand_ins")
def test_a_process_that_ends_while_others_still_start_ends_the_gang() -> None:
    answers: list[Answer] = []

    async def program() -> None:
        pool = gang.GangPool(1)
        pool.submit(a_gang_of_two(answers.append))
        first, second = HIRED
        first.ready = True
        first.begin()
        first.dismiss()  # as if it had been killed
        assert second.ended.done()
        await asyncio.sleep(0)
        assert pool.free(A_SLOT) == 1

    asyncio.run(program())
    (answer,) = answers
    assert isinstance(answer.error, hw.WorkerDied)
    assert "of train ended before all were there" in str(answer.error)


def test_a_cancelled_gang_leaves_no_process(tmp_path: Path) -> None:
    @hw.task
    async def program() -> bool:
        call = wait_for_ever(str(tmp_path))
        while len(list(tmp_path.iterdir())) < 2:
            await hw.sleep(0.01)
        call.cancel()
        return (await hw.settle(call))[0].cancelled

    assert hw.run(program, store=None)
    assert not [path.name for path in tmp_path.iterdir() if alive(int(path.name))]


def test_a_finished_gang_is_found_again_whatever_its_size_is_now(tmp_path: Path) -> None:
    @hw.task
    async def program(size: int) -> list[int]:
        return await meet.options(processes=size)(1)

    assert hw.run(program.options(key="program"), 2, store=tmp_path, run_id="run") == [1, 2, 0]
    assert hw.run(program.options(key="program"), 3, store=tmp_path, run_id="run") == [1, 2, 0]


def test_arguments_that_cannot_travel_are_named() -> None:
    with pytest.raises(hw.UsageError, match="cannot be sent to a worker process"):
        hw.run(meet.options(key="lock"), threading.Lock(), store=None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pool": "gang", "processes": 0}, "processes=0: a whole number, at least 1"),
        ({"pool": "process", "processes": 2}, r"processes= is for pool=\"gang\": add that"),
        ({"pool": "gang", "batch": 2}, "a task of pool='gang' can't be a batch task"),
    ],
)
def test_options_that_make_no_gang_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(hw.UsageError, match=message):
        hw.task(**options)(items_only)
