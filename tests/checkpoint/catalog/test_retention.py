"""Which checkpoints stay, and why."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.checkpoint.catalog.retention import Keep, Summary, choose_kept
from headway.errors import UsageError


def run(*steps: int) -> list[Summary]:
    return [Summary(f"id{step}", step, serial, float(serial)) for serial, step in enumerate(steps, 1)]


def lossy(**losses: float) -> list[Summary]:
    return [Summary(name, 10 * serial, serial, 0.0, {"loss": loss}) for serial, (name, loss) in enumerate(losses.items(), 1)]


def test_the_last_are_kept_newest_first_with_their_place() -> None:
    assert choose_kept(run(10, 20, 30), Keep(last=2)) == {"id30": ("the newest",), "id20": ("number 2 of the newest 2",)}


def test_newest_means_committed_last_not_the_highest_step() -> None:
    assert list(choose_kept(run(10, 20, 5), Keep(last=1))) == ["id5"]


def test_multiples_of_a_number_of_steps_are_kept() -> None:
    found = choose_kept(run(0, 100, 150, 200, 250), Keep(last=1, every=100))
    assert found == {
        "id250": ("the newest",),
        "id200": ("step 200 is a multiple of 100",),
        "id100": ("step 100 is a multiple of 100",),
        "id0": ("step 0 is a multiple of 100",),
    }


def test_of_a_step_that_was_saved_twice_the_later_one_is_the_multiple() -> None:
    summaries = [Summary("old", 100, 1, 0.0), Summary("new", 100, 2, 0.0), Summary("last", 101, 3, 0.0)]
    assert list(choose_kept(summaries, Keep(last=1, every=100))) == ["last", "new"]


def test_the_best_by_a_metric_are_kept() -> None:
    summaries = lossy(a=3.0, b=1.0, c=2.0, d=5.0)
    assert choose_kept(summaries, Keep(last=1, best=("loss", "min", 2))) == {
        "d": ("the newest",),
        "c": ("number 2 of the 2 with the min loss: 2",),
        "b": ("number 1 of the 2 with the min loss: 1",),
    }
    assert list(choose_kept(summaries, Keep(last=1, best=("loss", "max", 1)))) == ["d"]


def test_of_equal_ones_the_newer_is_better() -> None:
    assert list(choose_kept(lossy(a=1.0, b=1.0, c=9.0), Keep(last=1, best=("loss", "min", 1)))) == ["c", "b"]


def test_what_is_no_finite_number_or_has_no_metric_is_never_the_best() -> None:
    summaries = [*lossy(a=math.nan, b=-math.inf, c=7.0), Summary("d", 40, 4, 0.0), Summary("e", 50, 5, 0.0)]
    assert list(choose_kept(summaries, Keep(last=1, best=("loss", "min", 3)))) == ["e", "c"]


def test_pins_are_kept_and_every_reason_is_given() -> None:
    found = choose_kept(run(10, 20, 30), Keep(last=1, every=30, pins=frozenset({"id10", "id30", "unknown"})))
    assert found == {"id30": ("the newest", "step 30 is a multiple of 30", "pinned"), "id10": ("pinned",)}


@pytest.mark.parametrize(
    "wrong", [{"last": 0}, {"every": 0}, {"every": -5}, {"best": ("loss", "least", 1)}, {"best": ("loss", "min", 0)}]
)
def test_a_rule_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=rf"Keep\({next(iter(wrong))}="):
        Keep(**wrong)  # type: ignore[arg-type]


SUMMARIES = st.lists(
    st.builds(
        Summary,
        st.uuids().map(str),
        st.integers(0, 40),
        st.integers(0, 1000),
        st.just(0.0),
        st.dictionaries(st.just("loss"), st.sampled_from([0.0, 1.0, 2.0, math.nan, math.inf])),
    ),
    max_size=20,
    unique_by=(lambda each: each.id, lambda each: each.serial),
)


@given(SUMMARIES, st.integers(1, 5), st.none() | st.integers(1, 10), st.sampled_from(["min", "max"]), st.integers(1, 3))
def test_what_goes_is_wanted_by_no_rule(summaries: list[Summary], last: int, every: int | None, way: str, many: int) -> None:
    keep = Keep(last, every, ("loss", way, many), frozenset(each.id for each in summaries[:1]))  # type: ignore[arg-type]
    stays = choose_kept(summaries, keep)
    assert all(stays.values())
    for each in summaries:
        newer = [other for other in summaries if other.serial > each.serial]
        loss = each.metrics.get("loss", math.nan)
        others = [other.metrics["loss"] for other in summaries if math.isfinite(other.metrics.get("loss", math.nan))]
        ahead = sum(value < loss if way == "min" else value > loss for value in others)
        ahead += sum(other.metrics.get("loss") == loss for other in newer)
        wanted = (
            len(newer) < last
            or (every is not None and each.step % every == 0 and not any(other.step == each.step for other in newer))
            or (math.isfinite(loss) and ahead < many)
            or each.id in keep.pins
        )
        assert (each.id in stays) == wanted
