"""What is found in a journal: a run recorded with one number of workers says how long it takes with another."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import msgspec
import pytest
from recorded import T0, Journal, key_of, record

import headway as hw
from headway.errors import UsageError
from headway.journal.memory import MemoryStore
from headway.journal.records import RunSpec
from headway.sim.predict import read_workload
from headway.sim.predict.bounds import longest_path
from headway.sim.predict.infer import infer
from headway.sim.predict.trial import Conditions, play_drawn
from headway.sim.predict.workload import Sample, mean_times


@hw.task(pool="process")
def work(number: int, seconds: float) -> int:
    return number


@hw.task(pool="process")
def add(first: int, second: int, seconds: float) -> int:
    return first + second


@hw.task
async def wait(seconds: float) -> None:
    await hw.sleep(seconds)


@hw.task
async def stages() -> None:
    """Gather after gather, with the program's own time in between."""
    for stage in range(3):
        await hw.gather(*(work(i, 1.0 + (i * 7 + stage) % 5 + i * 0.013) for i in range(12)))
        await hw.sleep(2.0)


@hw.task
async def chains() -> None:
    """Calls of calls, each working by itself."""
    begun = []
    for i in range(6):
        begun.append(chain(i))
        await hw.sleep(0.01)
    await hw.gather(*begun)


@hw.task
async def chain(number: int) -> None:
    for step in range(3):
        await work(step, 1.0 + (number + step) % 3 + number * 0.013)


@hw.task
async def graph() -> None:
    """Handles as arguments: a tree of sums."""
    level: list[Any] = [work(i, 1.0 + i % 3) for i in range(8)]
    while len(level) > 1:
        level = [add(hw.ref(level[i]), hw.ref(level[i + 1]), 2.0) for i in range(0, len(level), 2)]
    await level[0]


@hw.task
async def forgotten() -> None:
    """Calls that nobody awaits: they end before their parent does."""
    for i in range(5):
        work(i, 3.0)
    await wait(1.0)


@hw.task
async def racing() -> None:
    await hw.race(wait(100.0), wait(4.0))
    await wait(1.0)
    await work(1, 2.0)


@hw.task
async def even() -> None:
    """Stages of equal calls."""
    for _ in range(3):
        await hw.gather(*(work(i, 2.0) for i in range(12)))
        await hw.sleep(2.0)


@hw.task
async def even_chains() -> None:
    await hw.gather(*(even_chain(i) for i in range(6)))


@hw.task
async def even_chain(number: int) -> None:
    for step in range(3):
        await work(step, 2.0)
        await wait(1.0)


@hw.task
async def even_graph() -> None:
    level: list[Any] = [work(i, 2.0) for i in range(8)]
    while len(level) > 1:
        level = [add(hw.ref(level[i]), hw.ref(level[i + 1]), 3.0) for i in range(0, len(level), 2)]
    await level[0]


@hw.task
async def even_window() -> None:
    """Four at a time, the next as soon as one has ended."""
    running = {work(i, 2.0) for i in range(4)}
    for i in range(4, 14):
        async with contextlib.aclosing(hw.as_completed(*running)) as ends:
            running.discard(await anext(ends))
        running.add(work(i, 2.0))
    await hw.gather(*running)


@pytest.mark.parametrize("program", [even, even_chains, even_graph, even_window, forgotten])
@pytest.mark.parametrize(("recorded_on", "asked"), [(1, 3), (1, 50), (50, 1), (2, 5)])
def test_a_run_recorded_on_some_workers_is_predicted_for_others(program: Any, recorded_on: int, asked: int) -> None:
    workload, _, drawn = record(program, workers=recorded_on)
    predicted = play_drawn(workload, drawn, Conditions(workers=asked)).makespan_s
    assert predicted == pytest.approx(record(program, workers=asked).took, abs=0.01)


@pytest.mark.parametrize("program", [stages, chains, graph])
@pytest.mark.parametrize("workers", [1, 3, 40])
def test_a_run_played_again_as_it_was_takes_as_long(program: Any, workers: int) -> None:
    workload, took, drawn = record(program, workers=workers)
    assert play_drawn(workload, drawn, Conditions(workers=workers)).makespan_s == pytest.approx(took, abs=0.01)


def test_waiting_for_room_is_no_part_of_the_program() -> None:
    workload, took, _ = record(even, workers=1)
    assert took == pytest.approx(3 * 12 * 2 + 3 * 2, abs=0.01)
    root = workload.calls[0].program
    assert root is not None
    assert [len(batch.makes) for batch in root.batches] == [12, 12, 12]
    task = workload.calls[1].task
    assert [batch.after for batch in root.batches] == [(), ((task, 12),), ((task, 24),)]
    assert root.last == ((task, 36),)
    assert [batch.lag_s for batch in root.batches] == pytest.approx([0.0, 2.0, 2.0], abs=0.01)
    assert root.tail_s == pytest.approx(2.0, abs=0.01)


def test_chains_side_by_side_in_one_parent_stay_chains() -> None:
    @hw.task
    async def parent() -> None:
        async def two(number: int) -> None:
            await work(number, 1.0 + number)
            await add(number, number, 0.5)

        await asyncio.gather(*(two(i) for i in range(4)))

    workload, _, _ = record(parent, workers=50)
    program = workload.calls[0].program
    assert program is not None
    ends = [sum(number for _, number in batch.after) for batch in program.batches]
    assert (ends, [len(batch.makes) for batch in program.batches]) == ([0, 1, 3, 5, 7], [4, 1, 1, 1, 1])


def test_the_loser_of_a_race_is_stopped_when_the_winner_ends() -> None:
    workload, took, drawn = record(racing, workers=1)
    assert took == pytest.approx(7.0, abs=0.01)
    assert play_drawn(workload, drawn, Conditions(workers=1)).makespan_s == pytest.approx(7.0, abs=0.01)
    (loser,) = (number for number, call in enumerate(workload.calls) if call.fixed is not None)
    drawn[loser] = Sample(50.0, {})
    assert play_drawn(workload, drawn, Conditions(workers=1)).makespan_s == pytest.approx(7.0, abs=0.01)


def test_calls_on_the_loop_occupy_workers_where_nothing_ran_in_a_pool() -> None:
    @hw.task
    async def asks() -> None:
        await hw.gather(*(wait(2.0 + i * 1e-9) for i in range(10)))

    workload, took, drawn = record(asks, workers=1)
    assert took == pytest.approx(2.0, abs=0.01)
    assert workload.pool == "inline"
    assert "occupies a worker" in workload.notes[-1]
    assert play_drawn(workload, drawn, Conditions(workers=5)).makespan_s == pytest.approx(4.0, abs=0.01)


def test_a_pool_that_did_next_to_nothing_is_not_what_one_asks_workers_for() -> None:
    @hw.task
    async def mostly_asks() -> None:
        await hw.gather(*(wait(20.0 + i * 1e-9) for i in range(10)), work(1, 0.1))

    workload, _, _ = record(mostly_asks, workers=1)
    assert workload.pool == "inline"
    assert workload.with_pool("process").pool == "process"
    with pytest.raises(UsageError, match="no calls in pool 'thread'"):
        workload.with_pool("thread")


def test_costs_go_with_the_times_they_were_recorded_with() -> None:
    @hw.task
    async def pays(number: int) -> None:
        hw.charge(tokens=10.0 * number)
        await hw.sleep(float(number))

    @hw.task
    async def both() -> None:
        hw.charge(usd=1.0)
        await hw.gather(pays(1), pays(2))

    workload, _, _ = record(both, workers=1)
    law = next(law for law in workload.laws if law is not None)
    assert [(round(sample.seconds, 2), sample.cost) for sample in law.samples] == [(1.0, {"tokens": 10.0}), (2.0, {"tokens": 20.0})]
    assert workload.calls[0].program is not None
    assert workload.calls[0].program.cost == {"usd": 1.0}


def test_a_call_that_was_tried_again_is_as_many_calls_one_after_the_other() -> None:
    @hw.task(retry=hw.Retry(attempts=3, delay_s=0.0))
    async def flaky(number: int) -> None:
        await hw.sleep(1.0)
        if number == 1 and hw.call().attempt < 3:
            raise TimeoutError("flaky")

    @hw.task
    async def tries() -> None:
        await hw.gather(flaky(0), flaky(1))

    workload, _, _ = record(tries, workers=1)
    assert sorted(call.attempts for call in workload.calls[1:]) == [1, 3]
    assert [round(sample.seconds, 2) for law in workload.laws if law is not None for sample in law.samples] == [1.0]


def test_a_run_that_was_cut_off_is_what_is_there(tmp_path: Any) -> None:
    @hw.task
    async def cut() -> None:
        await hw.gather(*(wait(1.0 + i) for i in range(3)))
        raise RuntimeError("cut off")

    clock = hw.testing.VirtualClock()
    with pytest.raises(RuntimeError, match="cut off"):
        hw.testing.run(cut, clock=clock, store=tmp_path / "store", run_id="cut")
    workload = read_workload("cut", str(tmp_path / "store"))
    assert len(workload.calls) == 4
    assert workload.work_s == pytest.approx(6.0, abs=0.01)


def test_a_run_without_a_finished_call_is_refused_in_a_sentence() -> None:
    store = MemoryStore()
    store.create_run(RunSpec(run_id="new", task="sky.answer", root=b"r" * 16, salt=b"s" * 16, created=1.0))
    with pytest.raises(UsageError, match="'new' has no finished calls"):
        read_workload("new", store)
    with pytest.raises(hw.UnknownRun):
        read_workload("other", store)


def test_a_journal_without_making_times_says_so() -> None:
    rows = Journal().outcome("root/a1", 0, 2).outcome("root/a2", 2, 4).outcome("root", 0, 4)
    workload = infer(rows.recorded(), {})
    assert any("without the times" in note for note in workload.notes)
    assert workload.work_s == pytest.approx(4.0)


def test_calls_that_another_run_had_computed_take_no_time() -> None:
    recorded = Journal().outcome("root/a1", 1, 20).outcome("root/b1", 30, 32).outcome("root", 30, 32).recorded()
    spec = msgspec.structs.replace(recorded.info.spec, created=T0 + 25)
    recorded = msgspec.structs.replace(recorded, info=msgspec.structs.replace(recorded.info, spec=spec))
    assert len(infer(recorded, {}).calls) == 2


def test_a_run_taken_up_the_next_day_is_predicted_without_the_night() -> None:
    rows = Journal().outcome("root/a1", 0, 2).outcome("root/b1", 86_400, 86_403).outcome("root", 86_399, 86_404)
    made = {key_of("root"): T0 + 86_399, key_of("root/a1"): T0, key_of("root/b1"): T0 + 86_400}
    workload = infer(rows.recorded(), made)
    assert longest_path(workload, mean_times(workload)) == pytest.approx(2 + 1 + 3 + 1)
