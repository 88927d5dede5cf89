"""The picture of a run: bars in lanes, on an axis of time."""

from __future__ import annotations

import itertools
import random
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from written import Journal

from headway.journal.records import Error, RunStatus, Status
from headway.observe.pictures.gantt import draw_gantt
from headway.observe.pictures.lanes import Axis, pack, running

SVG = "{http://www.w3.org/2000/svg}"
spans = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)).map(lambda pair: (pair[0], pair[0] + pair[1])), max_size=40)


def picture(journal: Journal, status: RunStatus = RunStatus.DONE) -> tuple[str, ET.Element]:
    svg = draw_gantt(journal.recorded(status))
    return svg, ET.fromstring(svg)


def texts(root: ET.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def titles(root: ET.Element) -> str:
    return "\n".join(element.text or "" for element in root.iter(f"{SVG}title"))


def many(number: int) -> Journal:
    journal, rng = Journal(), random.Random(1)
    for i in range(number):
        began = i / 100
        status = Status.ERROR if i % 500 == 7 else Status.OK
        pool = rng.choice(["thread", "process"])
        journal.outcome(f"root/{rng.choice(['search', 'embed'])}{i}", began, began + rng.random(), status=status, pool=pool)
    return journal.outcome("root", 0, number / 100 + 2)


@given(spans)
def test_no_two_calls_of_a_lane_overlap_and_no_lane_is_wasted(spans: list[tuple[int, int]]) -> None:
    lanes = pack(spans)
    by_lane: dict[int, list[tuple[int, int]]] = {}
    for span, lane in zip(spans, lanes, strict=True):
        by_lane.setdefault(lane, []).append(span)
    for members in by_lane.values():
        members.sort()
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(members))
    most = max((sum(b <= t < e for b, e in spans) for t in range(80)), default=0)
    assert len(by_lane) == most


@given(spans, st.integers(1, 30))
def test_the_area_is_the_time_that_ran(spans: list[tuple[int, int]], bins: int) -> None:
    levels = running(spans, left=0.0, width=80.0, bins=bins)
    assert sum(levels) * 80 / bins == pytest.approx(sum(ended - began for began, ended in spans))
    assert all(level >= -1e-9 for level in levels)


@given(spans)
def test_time_never_runs_backwards_on_the_axis(spans: list[tuple[int, int]]) -> None:
    axis = Axis(spans, left=100.0, right=900.0)
    pixels = [axis.x(float(t)) for t in range(80)]
    assert pixels == sorted(pixels)
    assert all(100.0 - 1e-6 <= pixel <= 900.0 + 1e-6 for pixel in pixels)
    ticks = [pixel for _, pixel in axis.ticks()]
    assert ticks == sorted(ticks)


def test_a_call_is_a_bar_with_a_tooltip() -> None:
    error = Error("builtins:TimeoutError", "too <slow> & \x00 sad")
    journal = (
        Journal()
        .attempt("root/a", 0, 0.5, message="flaky")
        .outcome("root/a", 0, 1, label="'<&>'", pool="thread", attempts=2, cost={"tokens": 5.0})
        .outcome("root/b", 1, 2, pool="process", status=Status.ERROR, error=error)
        .outcome("root/c", 1, 2, status=Status.CANCELLED)
        .outcome("root", 0, 2)
    )
    svg, root = picture(journal)
    assert "sky.a('<&>')\nok, 1.00 s, from 0.000 s\n2 attempts\ntokens 5" in titles(root)
    assert "TimeoutError: too <slow> & \ufffd sad" in titles(root)
    assert "flaky" in titles(root)
    assert {"critical path", "callers", "inline", "thread", "process", "failed", "cancelled"} <= set(texts(root))
    assert 'fill="url(#failed)"' in svg


def test_the_picture_needs_nothing_else() -> None:
    svg, _ = picture(many(50))
    assert "<script" not in svg
    assert "href" not in svg
    assert svg.count("http") == 1  # the name of SVG itself


@pytest.mark.parametrize("number", [0, 1, 2, 300, 6000, 20_000])
def test_the_file_stays_small_from_one_call_to_very_many(number: int) -> None:
    svg, root = picture(many(number))
    assert len(svg) < 2_000_000
    assert len(list(root.iter())) < 15_000
    assert float(root.attrib["height"]) < 1600


def test_failures_are_never_left_out_of_an_area() -> None:
    _, root = picture(many(12_000))
    assert "1 failed here" in titles(root)


def test_a_night_between_two_sessions_is_cut_out() -> None:
    journal = Journal().outcome("root/a", 0, 60).outcome("root/b", 40_000, 40_100).outcome("root", 40_000, 40_110)
    _, root = picture(journal)
    assert "nothing for 11 h 5 min" in texts(root)
    assert any(text == "0 s" for text in texts(root))


def test_a_run_that_has_not_ended_is_drawn_as_far_as_it_got() -> None:
    journal = Journal().outcome("root/a", 0, 3).start("root/b", 1, effect=True)
    svg, root = picture(journal, RunStatus.RUNNING)
    assert "not ended" in texts(root)
    assert 'fill="url(#open)"' in svg
