"""Teachers: they find where a student learns, are records, and choose the same tasks again after a crash."""

from __future__ import annotations

import math
from collections import Counter
from random import Random
from typing import Any

import pytest
from benchmarks.methods.allocate_curriculum import BOX, RANDOM, TEACHERS, learn
from hypothesis import given
from hypothesis import strategies as st

import headway as hw
from headway.errors import UsageError
from headway.methods import allocate
from headway.methods.allocate.curriculum.mixture import fit, fit_best
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash

pytest.importorskip("numpy")
every_teacher = pytest.mark.parametrize("teacher", [*TEACHERS.values(), RANDOM], ids=[*TEACHERS, "random"])
SMALL = {
    "ALP-GMM": allocate.AlpGmm(BOX, window=12, most=3),
    "Covar-GMM": allocate.CovarGmm(BOX, window=12, most=3),
    "RIAC": allocate.Riac(BOX, full=20),
    "ADR": TEACHERS["ADR"],
}


@pytest.mark.parametrize("name", TEACHERS)
def test_a_teacher_makes_a_student_half_as_competent_again_as_random_tasks(name):
    def mean(teacher: Any) -> float:
        return sum(learn(teacher, seed, episodes=1500, need=10) for seed in range(3)) / 3

    assert mean(TEACHERS[name]) >= 1.5 * mean(RANDOM)


@every_teacher
def test_a_teacher_is_a_record_and_its_tasks_are_in_the_box(teacher):
    rng, now, before = Random(3), teacher, repr(teacher)
    again = teacher
    for episode in range(520):
        task = now.sample(rng)
        assert all(low <= x <= high for low, x, high in zip(BOX.low, task, BOX.high, strict=True))
        reward = math.sin(episode) * task[0]
        now, again = now.update(task, reward), again.update(task, reward)
    assert repr(teacher) == before
    assert now == again
    assert now.sample(Random(5)) == again.sample(Random(5))


# --- what each does ----------------------------------------------------------------------------------------------------


def test_the_mixture_with_the_least_aic_has_as_many_parts_as_the_data():
    draw = Random(1)
    centres = [(0.1, 0.1, 0.0), (0.9, 0.2, 0.5), (0.5, 0.9, 1.0)]
    points = [tuple(draw.gauss(x, 0.03) for x in centres[place % 3]) for place in range(240)]
    parts = fit_best(points, range(2, 7))
    assert len(parts) == 3
    means = sorted(part.mean for part in parts)
    assert [x for mean in means for x in mean] == pytest.approx([x for centre in sorted(centres) for x in centre], abs=0.03)
    assert [part.share for part in parts] == pytest.approx([1 / 3] * 3, abs=0.02)
    assert all(part.covariance[0][0] == pytest.approx(0.03**2, rel=0.5) for part in parts)


def test_a_fit_survives_points_that_are_all_alike():
    parts, _ = fit([(0.5, 0.5, 0.0)] * 20, 3)
    assert all(math.isfinite(x) for part in parts for x in part.mean)


def test_a_gaussian_draws_as_it_says():
    part = fit([(x, x + y, y) for x in (0.0, 0.5, 1.0) for y in (0.0, 0.2)], 1)[0][0]
    rng = Random(2)
    drawn = [part.sample(rng, 2) for _ in range(4000)]
    means = [sum(each[side] for each in drawn) / 4000 for side in (0, 1)]
    both = sum((each[0] - means[0]) * (each[1] - means[1]) for each in drawn) / 4000
    assert means == pytest.approx(part.mean[:2], abs=0.03)
    assert both == pytest.approx(part.covariance[0][1], abs=0.02)


def test_progress_is_the_difference_to_the_nearest_task_before():
    teacher = allocate.AlpGmm(BOX)
    for place in range(5):
        teacher = teacher.update((place / 10, 0.0), place / 10)
    teacher = teacher.update((0.41, 0.0), 1.0).update((0.0, 0.1), 0.0)
    assert [each[-1] for each in teacher.recent] == pytest.approx([0, 0, 0, 0, 0, 0.6, 0])


def test_the_sides_of_a_box_move_with_what_the_student_can_do_there():
    teacher = allocate.Adr(allocate.Box((0.0,), (1.0,)), start=(0.5,), step=0.1, queue=2)
    for reward in (1.0, 0.9):
        teacher = teacher.update((0.5,), reward)
    assert teacher.sides[0] == pytest.approx((0.4, 0.6))
    for _ in range(2):
        teacher = teacher.update((0.6,), 0.1)
    assert teacher.sides[0] == pytest.approx((0.4, 0.5))
    for _ in range(2):
        teacher = teacher.update((0.4,), 0.5)
    assert teacher.sides[0] == pytest.approx((0.4, 0.5))


def test_a_region_is_split_where_the_progress_differs():
    teacher = allocate.Riac(allocate.Box((0.0,), (1.0,)), full=100)
    rng = Random(7)
    for episode in range(101):
        x = rng.random()
        teacher = teacher.update((x,), episode / 100 if x < 0.5 else 0.0)
    whole, left, right = teacher.regions
    assert (whole.leaf, left.leaf, right.leaf) == (False, True, True)
    assert left.high[0] == pytest.approx(0.5, abs=0.2)
    assert left.progress > 0.3 > right.progress
    assert len(left.seen) + len(right.seen) == len(whole.seen) == 101


def test_solved_tasks_leave_and_come_back_when_they_fail():
    teacher = allocate.Unsolved(("a", "b"), solved_at=0.5, window=2).update("a", 1.0)
    assert teacher.left == ("a", "b")
    teacher = teacher.update("a", 0.0)
    assert teacher.left == ("b",)
    assert {teacher.sample(Random(seed)) for seed in range(20)} == {"b"}
    assert teacher.update("a", 0.0).left == ("a", "b")
    solved = teacher.update("b", 1.0).update("b", 1.0)
    assert solved.left == ()
    assert {solved.sample(Random(seed)) for seed in range(20)} == {"a", "b"}


# --- in a run ----------------------------------------------------------------------------------------------------------

MADE: Counter[int] = Counter()


@hw.task(cost={"tokens": 10})
async def attempt(task: tuple[float, ...], episode: int) -> float:
    MADE[episode] += 1
    hw.charge(tokens=10)
    await hw.sleep(1 + hw.random().random())
    return max(0.0, episode / 40 - abs(task[0] - 0.3))


@hw.task
async def lesson(name: str, episodes: int, parallel: int, tokens: float) -> tuple[str, list[Any], str]:
    with hw.budget(tokens=tokens):
        taught = await allocate.teach(SMALL[name], attempt, episodes=episodes, parallel=parallel)
    return repr(taught.teacher.sample(Random(1))), list(taught.episodes), taught.stopped


@pytest.mark.parametrize("name", SMALL)
def test_a_killed_run_goes_on_with_the_same_curriculum(name):
    program = (lesson, name, 40, 1, 1e6)
    whole = History(1, STEADY)
    undisturbed = whole.live(*program)
    MADE.clear()
    history = History(1, STEADY)
    for share in (0.3, 0.8):
        assert history.live(*program, crash=Crash(int(len(whole.rows()) * share), "after")).how == "died"
    assert history.live(*program).value == undisturbed.value
    history.check(undisturbed.outcome)
    assert sum(MADE.values()) <= 40 + 2  # one was on its way at each crash


def test_episodes_run_side_by_side_and_every_one_teaches(go):
    _, episodes, stopped = go(lesson, "ALP-GMM", 40, 8, 1e6)
    assert (len(episodes), stopped) == (40, "done")


def test_teaching_ends_with_its_budget_and_keeps_what_has_ended(go):
    _, episodes, stopped = go(lesson, "RIAC", 40, 4, 255)
    assert (len(episodes), stopped) == (25, "budget")


@given(st.lists(st.floats(-1, 2), min_size=2, max_size=2))
def test_a_place_outside_of_the_box_is_moved_to_its_edge(unit):
    assert all(0 <= x <= 1 + 1e-12 for x in BOX.unit(BOX.task(unit)))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: allocate.Box((), ()), "0 lower and 0 upper bounds"),
        (lambda: allocate.Box((0.0,), (1.0, 2.0)), "1 lower and 2 upper bounds"),
        (lambda: allocate.Box((1.0,), (1.0,)), "a side from 1.0 to 1.0"),
        (lambda: allocate.Box((math.nan,), (1.0,)), "a side from nan to 1.0"),
        (lambda: allocate.AlpGmm(BOX, window=5), "window=5 episodes can't tell most=10 Gaussians apart"),
        (lambda: allocate.AlpGmm(BOX, most=1), "most=1: a whole number, at least 2"),
        (lambda: allocate.AlpGmm(BOX, any_task=20), "any_task=20: a number from 0 to 1"),
        (lambda: allocate.AlpGmm(BOX, memory=0), "memory=0: a whole number, at least 1"),
        (lambda: allocate.AlpGmm(BOX).update((0.5,), 1.0), "a task of 1 numbers in a box of 2"),
        (lambda: allocate.CovarGmm(BOX).update((0.5, math.nan), 1.0), "nan.*each must be a finite number"),
        *(
            (lambda teacher=teacher: teacher.update((0.5, 0.0), math.nan), "reward=nan: a finite number")
            for teacher in TEACHERS.values()
        ),
        (lambda: RANDOM.update((0.5, 0.0), "good"), "reward='good': a finite number"),
        (lambda: allocate.Riac(BOX, full=3), "full=3: a whole number, at least 20"),
        (lambda: allocate.Riac(BOX).update((2.0, 0.0), 1.0), r"task=\(2.0, 0.0\) is outside of the box"),
        (lambda: allocate.Adr(BOX, start=(2.0, 0.0)), r"start=\(2.0, 0.0\) is outside of the box"),
        (lambda: allocate.Adr(BOX, start=(0.5, 0.0), low_at=0.9), "high_at=0.8: a number, at least 0.9"),
        (lambda: allocate.Adr(BOX, start=(0.5, 0.0), step=0), "step=0: a number above 0"),
        (lambda: allocate.Unsolved(()), "there are no tasks to choose from"),
        (lambda: allocate.Unsolved(("a",), window=0), "window=0: a whole number, at least 1"),
        (lambda: allocate.Unsolved(("a",)).update("b", 1.0), "task='b' is none of the 1 tasks"),
    ],
)
def test_what_can_not_be_taught_is_refused(call, said):
    with pytest.raises(UsageError, match=said):
        call()


@pytest.mark.parametrize(
    ("given_settings", "said"),
    [
        ({"teacher": 3}, "teacher=3: what has sample"),
        ({"attempt": None}, "attempt=None: a function"),
        ({"episodes": -1}, "episodes=-1: a whole number, at least 0"),
        ({"parallel": 0}, "parallel=0: a whole number, at least 1"),
    ],
)
def test_a_lesson_that_makes_no_sense_is_refused_before_anything_is_spent(go, given_settings, said):
    MADE.clear()

    @hw.task
    async def program() -> None:
        options: dict[str, Any] = {"teacher": RANDOM, "attempt": attempt, "episodes": 3} | given_settings
        await allocate.teach(options.pop("teacher"), options.pop("attempt"), **options)

    with pytest.raises(UsageError, match=said):
        go(program)
    assert not MADE
