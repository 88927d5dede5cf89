"""Predictions whose answer is known without a simulator."""

from __future__ import annotations

import math
import random
import statistics
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.errors import UsageError
from headway.sim.predict import Estimate, Stage, Workload, estimate_workload, predict
from headway.sim.predict.answer import chance
from headway.sim.predict.bounds import longest_path
from headway.sim.predict.trial import Conditions, play, play_drawn
from headway.sim.predict.workers import expected_attempts, expected_seconds
from headway.sim.predict.workload import Batch, Law, Program, Sample, Work, draw_all


def on(workers: int, **more: float) -> Conditions:
    return Conditions(workers=workers, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(("calls", "workers"), [(1, 1), (7, 1), (7, 3), (100, 8), (100, 100), (5, 64)])
def test_equal_calls_take_as_many_rounds_as_it_takes(calls: int, workers: int) -> None:
    trial = play(estimate_workload([Stage("search", calls, 2.5, cost={"tokens": 3})]), on(workers), 0)
    assert trial.makespan_s == pytest.approx(math.ceil(calls / workers) * 2.5)
    assert trial.busy_s == pytest.approx(calls * 2.5)
    assert trial.cost == {"tokens": 3 * calls}


def test_a_chain_takes_the_sum_whatever_the_workers() -> None:
    chain = [Stage("a", 1, 1.0), Stage("b", 1, 2.0, after=("a",)), Stage("c", 1, 4.0, after=("b",))]
    assert [play(estimate_workload(chain), on(workers), 0).makespan_s for workers in (1, 2, 50)] == pytest.approx([7.0, 7.0, 7.0])


def test_a_fork_and_join_takes_its_stages_one_after_the_other() -> None:
    stages = [Stage("split", 1, 1.0), Stage("work", 10, 3.0, after=("split",)), Stage("join", 1, 2.0, after=("work",))]
    found = [play(estimate_workload(stages), on(workers), 0).makespan_s for workers in (1, 4, 10)]
    assert found == pytest.approx([1 + 30 + 2, 1 + 9 + 2, 1 + 3 + 2])


def tree(depth: int, width: int, seconds: float) -> Workload:
    """Callers all the way down: each works a second, calls `width` others, and works a second at its end."""
    calls: list[Work] = []

    def add(level: int) -> int:
        number = len(calls)
        calls.append(Work(0, "process"))
        if level:
            below = tuple(add(level - 1) for _ in range(width))
            calls[number] = Work(
                1,
                "inline",
                program=Program((Batch((), 1.0, tuple((n, 0.0) for n in below)),), ((0 if level == 1 else 1, width),), 1.0),
            )
        return number

    add(depth)
    return Workload("tree", ("leaf", "node"), (Law("leaf", (Sample(seconds, {}),)), None), tuple(calls), "process")


@pytest.mark.parametrize(("workers", "leaves_s"), [(8, 5.0), (4, 10.0), (3, 15.0), (1, 40.0)])
def test_a_tree_takes_its_leaves_and_the_code_above_them(workers: int, leaves_s: float) -> None:
    assert play(tree(3, 2, 5.0), on(workers), 0).makespan_s == pytest.approx(3 + leaves_s + 3)


def test_a_slot_of_another_pool_bounds_what_runs_there() -> None:
    stages = [Stage("heavy", 4, 1.5), Stage("light", 64, 1.0, pool="thread")]
    assert play(estimate_workload(stages), on(4), 0).makespan_s == pytest.approx(2.0)
    assert play(estimate_workload(stages).with_pool("thread"), on(1), 0).makespan_s == pytest.approx(64.0)


def test_a_caller_in_a_thread_lends_its_slot_while_it_waits() -> None:
    below = Program((Batch((), 1.0, ((2, 0.0),)),), ((1, 1),), 1.0)
    calls = (
        Work(0, "inline", program=Program((Batch((), 0.0, ((1, 0.0), (3, 0.0))),), ((0, 1), (1, 1)))),
        Work(0, "thread", program=below),
        Work(1, "thread"),
        Work(1, "thread"),
    )
    workload = Workload("threads", ("caller", "leaf"), (None, Law("leaf", (Sample(5.0, {}),))), calls, "thread")
    # one slot: the caller's first second, both leaves (its own waits meanwhile), its last second beside or after one
    assert play(workload, on(1), 0).makespan_s == pytest.approx(12.0, abs=1.0)
    assert play(workload, on(2), 0).makespan_s == pytest.approx(7.0)


# --- failures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("work_s", "mtbf_s", "repair_s"), [(10.0, 20.0, 3.0), (10.0, 10.0, 0.0), (30.0, 12.0, 5.0)])
def test_one_worker_that_fails_takes_as_long_as_the_law_says(work_s: float, mtbf_s: float, repair_s: float) -> None:
    work = estimate_workload([Stage("train", 1, work_s, cost={"usd": 1.0})])
    trials = [play(work, on(1, mtbf_s=mtbf_s, repair_s=repair_s), seed) for seed in range(1500)]
    made = [trial.makespan_s for trial in trials]
    error = statistics.stdev(made) / math.sqrt(len(made))
    assert abs(statistics.mean(made) - expected_seconds(work_s, mtbf_s, repair_s)) < 4 * error
    assert all(trial.cost == {"usd": 1.0 + trial.lost} for trial in trials)
    attempts = [1.0 + trial.lost for trial in trials]
    error = statistics.stdev(attempts) / math.sqrt(len(attempts))
    assert abs(statistics.mean(attempts) - expected_attempts(work, mtbf_s)) < 4 * error


def test_workers_that_are_idle_fail_too_and_nobody_minds() -> None:
    work = estimate_workload([Stage("a", 1, 100.0)])
    assert play(work, on(50, mtbf_s=1e7, repair_s=5.0), 0).makespan_s == pytest.approx(100.0)
    late = play(estimate_workload([Stage("a", 1, 1.0)]), on(1, mtbf_s=1e9), 0)
    assert late.lost == 0


def test_a_worker_in_repair_takes_no_call() -> None:
    work = estimate_workload([Stage("a", 200, 1.0)])
    for seed in range(20):
        trial = play(work, on(2, mtbf_s=5.0, repair_s=50.0), seed)
        assert trial.lost > 0
        assert trial.makespan_s > 200 / 2 + 50.0
        assert trial.busy_s <= 2 * trial.makespan_s - 50.0


def test_an_idle_worker_that_fails_is_away_until_it_is_repaired() -> None:
    stages = [Stage("wait", 1, 700.0, pool="thread"), Stage("work", 1, 0.1, after=("wait",))]
    late = [
        play(estimate_workload(stages).with_pool("process"), on(1, mtbf_s=10.0, repair_s=990.0), seed).makespan_s > 900.0
        for seed in range(30)
    ]
    assert sum(late) >= 25  # it is up a hundredth of the time


def test_a_call_that_is_stopped_before_it_is_made_takes_no_time() -> None:
    root = Program(
        (Batch((), 0.0, ((1, 0.0),)), Batch(((1, 1),), 5.0, ((2, 0.0),))), ((1, 1),), stops={1: (2,)}, ignored=frozenset({2})
    )
    calls = (
        Work(0, "inline", program=root),
        Work(1, "process", fixed=Sample(2.0, {})),
        Work(1, "process", fixed=Sample(100.0, {})),
    )
    workload = Workload("stopped", ("root", "leaf"), (None, None), calls, "process")
    assert play(workload, on(1), 0).makespan_s == pytest.approx(7.0)
    assert longest_path(workload, [0.0, 2.0, 100.0]) == pytest.approx(7.0)


def test_workers_that_cannot_end_a_call_are_refused_in_a_sentence() -> None:
    with pytest.raises(UsageError, match="can't end on workers like these"):
        predict(estimate_workload([Stage("train", 10, 3600.0)]), workers=4, mtbf_s=60.0)


# --- bounds, on workloads of any shape ---------------------------------------------------------------------------------


@st.composite
def workloads(draw: st.DrawFn) -> Workload:
    """A root over callers and leaves, made in batches that wait for some of what was made before, with handles between them."""
    calls: list[Work] = []
    seconds = st.floats(0.0, 9.0).map(lambda value: round(value, 2))

    def ends(made: list[int]) -> tuple[tuple[int, int], ...]:
        """Some of what can have ended when these have been made."""
        counts = Counter(calls[n].task for n in made)
        return tuple((task, draw(st.integers(1, most))) for task, most in sorted(counts.items()) if draw(st.booleans()))

    def add(level: int) -> int:
        number, task = len(calls), draw(st.integers(0, 2))
        calls.append(Work(task, "process"))
        if level == 0 or (level < 2 and draw(st.booleans())):
            pool = draw(st.sampled_from(["process", "process", "inline"]))
            calls[number] = Work(task, pool, fixed=Sample(draw(seconds), {"usd": 1.0}))
            return number
        made: list[int] = []
        batches = []
        for _ in range(draw(st.integers(1, 3))):
            after, fresh = ends(made), []
            for _ in range(draw(st.integers(1, 3))):
                child = add(level - 1)
                if calls[child].program is None and made and draw(st.booleans()):
                    calls[child] = calls[child]._replace(inputs=(draw(st.sampled_from(made)),))
                fresh.append(child)
            gaps = sorted(draw(seconds) for _ in fresh)
            batches.append(Batch(after, draw(seconds), tuple((n, gap - gaps[0]) for n, gap in zip(fresh, gaps, strict=True))))
            made += fresh
        calls[number] = Work(task, "inline", program=Program(tuple(batches), ends(made), draw(seconds)))
        return number

    add(2)
    return Workload("any", ("a", "b", "c"), (None, None, None), tuple(calls), "process")


@settings(max_examples=150, deadline=None)
@given(workloads(), st.integers(1, 6))
def test_no_schedule_beats_the_bounds_and_a_busy_one_keeps_grahams(workload: Workload, workers: int) -> None:
    drawn = draw_all(workload, random.Random(0))
    path = longest_path(workload, [sample.seconds for sample in drawn])
    trial = play_drawn(workload, drawn, on(workers))
    assert trial.makespan_s >= path - 1e-9
    assert trial.makespan_s >= workload.work_s / workers - 1e-9
    assert trial.makespan_s <= path + workload.work_s / workers + 1e-9
    assert trial.busy_s == pytest.approx(workload.work_s)
    assert trial.cost.get("usd", 0.0) == sum(call.program is None for call in workload.calls)


@settings(max_examples=150, deadline=None)
@given(workloads())
def test_with_room_for_all_the_engine_takes_the_longest_path(workload: Workload) -> None:
    drawn = draw_all(workload, random.Random(0))
    path = longest_path(workload, [sample.seconds for sample in drawn])
    assert play_drawn(workload, drawn, on(len(workload.calls))).makespan_s == pytest.approx(path)


@settings(max_examples=30, deadline=None)
@given(workloads(), st.integers(1, 4), st.integers(0, 1000))
def test_the_same_seed_gives_the_same_trial(workload: Workload, workers: int, seed: int) -> None:
    conditions = on(workers, mtbf_s=100.0, repair_s=2.0)
    assert play(workload, conditions, seed) == play(workload, conditions, seed)


# --- many trials -------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_prediction_in_one_process_and_in_two() -> None:
    work = estimate_workload([Stage("search", 30, 2.0, 1.0, cost={"tokens": 5})])
    one = predict(work, workers=4, mtbf_s=100.0, trials=6, processes=1, within_s=20.0)
    assert one == predict(work, workers=4, mtbf_s=100.0, trials=6, processes=2, within_s=20.0)
    assert one.makespans_s != predict(work, workers=4, mtbf_s=100.0, trials=6, processes=1, seed=1).makespans_s


def test_where_nothing_is_left_to_chance_one_trial_says_it_all() -> None:
    answer = predict(estimate_workload([Stage("search", 10, 2.0)]), workers=4, within_s=6.0)
    assert (answer.trials, answer.certain, answer.makespan_s.p50) == (1, True, pytest.approx(6.0))
    assert answer.chance_in_time == chance(1, 1, certain=True)
    failing = predict(estimate_workload([Stage("search", 10, 2.0)]), workers=4, mtbf_s=5.0, trials=20)
    assert (failing.trials, failing.certain) == (20, False)
    assert len(set(failing.makespans_s)) > 1
    assert predict(estimate_workload([Stage("search", 10, 2.0)]), workers=4, within_s=5.9).chance_in_time == chance(
        0, 1, certain=True
    )


def test_chances_count_the_trials_that_held() -> None:
    answer = predict(
        estimate_workload([Stage("search", 20, 2.0, 1.0, cost={"usd": 1})]),
        workers=4,
        mtbf_s=30.0,
        trials=60,
        within_s=11.0,
        budget={"usd": 21, "tokens": 0},
        curve=(),
    )
    held = sum(made <= 11.0 for made in answer.makespans_s)
    assert 0 < held < 60
    assert answer.chance_in_time == chance(held, 60)
    assert 0 < answer.chance_in_budget["usd"].share < 1
    assert answer.chance_in_budget["tokens"].share == 1.0


def test_the_interval_is_wilsons() -> None:
    found = chance(8, 10)
    assert (found.low, found.high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert chance(0, 10).low == 0.0
    assert chance(10, 10).high == 1.0


def test_the_curve_says_from_where_more_workers_hardly_help() -> None:
    answer = predict(estimate_workload([Stage("a", 64, 1.0), Stage("b", 1, 30.0, after=("a",))]), workers=16)
    assert [point.workers for point in answer.curve] == [1, 2, 4, 8, 16, 32, 64]
    assert [point.makespan_s.p50 for point in answer.curve] == pytest.approx([94, 62, 46, 38, 34, 32, 31])
    assert answer.enough_workers == 16 or answer.enough_workers == 32
    assert answer.longest_path_s == pytest.approx(31.0)
    assert answer.lower_bound_s == pytest.approx(31.0)
    assert "hardly help" in answer.conclusion() or "do nearly as well" in answer.conclusion()


def test_few_measurements_make_a_wide_forecast() -> None:
    def forecast(samples: list[float]) -> float:
        law = Law("a", tuple(Sample(value, {}) for value in samples))
        calls = (
            Work(0, "inline", program=Program((Batch((), 0.0, tuple((n, 0.0) for n in range(1, 201))),))),
            *[Work(1, "process")] * 200,
        )
        made = predict(Workload("w", ("root", "a"), (None, law), calls, "process"), workers=1, trials=60, curve=()).makespan_s
        return made.p90 - made.p10

    assert forecast([1.0, 3.0]) > 2 * forecast([1.0, 3.0] * 50)


def test_an_estimate_takes_the_place_of_what_was_recorded() -> None:
    work = estimate_workload([Stage("search", 10, 2.0, cost={"tokens": 7})]).with_estimates({"search": Estimate(5.0)})
    answer = predict(work, workers=1, curve=())
    assert (answer.makespan_s.p50, answer.cost["tokens"].p50) == (pytest.approx(50.0), 70.0)
    with pytest.raises(UsageError, match=r"no calls of 'serch'.*search"):
        work.with_estimates({"serch": Estimate(5.0)})


def test_an_estimates_spread_is_its_standard_deviation() -> None:
    choice = random.Random(1)
    drawn = [Estimate(10.0, 3.0).draw(choice) for _ in range(20_000)]
    assert statistics.mean(drawn) == pytest.approx(10.0, rel=0.01)
    assert statistics.stdev(drawn) == pytest.approx(3.0, rel=0.03)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"workers": 0}, "workers = 0"),
        ({"workers": 1, "mtbf_s": -1.0}, "mtbf_s = -1.0"),
        ({"workers": 1, "mtbf_s": math.nan}, "mtbf_s = nan"),
        ({"workers": 1, "repair_s": -1.0}, "repair_s"),
        ({"workers": 1, "within_s": 0.0}, "within_s"),
        ({"workers": 1, "trials": 0}, "trials"),
        ({"workers": 1, "budget": {"tokens": math.inf}}, "budget of tokens"),
        ({"workers": 1, "curve": [0]}, "curve"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        predict(estimate_workload([Stage("a", 1, 1.0)]), **wrong)  # type: ignore[arg-type]


def test_stages_that_make_no_sense_are_refused() -> None:
    for stages in ([], [Stage("b", 1, 1.0, after=("a",))], [Stage("a", 1, 1.0), Stage("a", 1, 1.0)]):
        with pytest.raises(UsageError):
            estimate_workload(stages)
    with pytest.raises(UsageError, match="whole number"):
        Stage("a", 0, 1.0)
    with pytest.raises(UsageError, match="numbers"):
        estimate_workload([Stage("a", 1, -1.0)])


def test_a_law_of_as_many_samples_as_there_are_calls_is_read_once() -> None:
    """Forty thousand calls times forty thousand samples would take minutes."""
    law = Law("a", tuple(Sample(float(number % 7), {}) for number in range(40_000)))
    root = Work(0, "inline", program=Program((Batch((), 0.0, tuple((n, 0.0) for n in range(1, 40_001))),)))
    workload = Workload("w", ("root", "a"), (None, law), (root, *[Work(1, "process")] * 40_000), "process")
    assert workload.work_s == pytest.approx(sum(sample.seconds for sample in law.samples))
    assert expected_attempts(workload, 1e9) == pytest.approx(40_000)


@pytest.mark.long
def test_a_hundred_thousand_calls_on_a_thousand_workers_that_fail() -> None:
    work = estimate_workload([Stage("search", 100_000, 60.0, 20.0)])
    trial = play(work, on(1000, mtbf_s=6 * 3600.0), 0)
    assert trial.lost > 100
    assert trial.makespan_s == pytest.approx(100_000 * 60.0 / 1000, rel=0.05)
