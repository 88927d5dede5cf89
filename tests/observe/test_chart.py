"""Line charts: every point that is given is shown, where it belongs, and nothing else."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ElementTree

from hypothesis import given
from hypothesis import strategies as st

from headway.observe.chart import Point, Series, chart

SVG = "{http://www.w3.org/2000/svg}"
numbers = st.floats(0.001, 1e6)


def dots(picture: str) -> list[tuple[float, float]]:
    root = ElementTree.fromstring(picture)
    return [
        (float(each.attrib["cx"]), float(each.attrib["cy"]))
        for each in root.iter(f"{SVG}circle")
        if each.find(f"{SVG}title") is not None
    ]


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=20), st.booleans())
def test_each_point_is_a_dot_inside_of_the_frame_and_in_order(points: list[tuple[float, float]], log_x: bool) -> None:
    picture = chart("t", [Series("one", [Point(x, y) for x, y in points])], x="x", y="y", log_x=log_x)
    found = dots(picture)
    assert len(found) == len(points)
    assert all(60 <= x <= 860 and 40 <= y <= 420 for x, y in found)
    by_x = sorted(range(len(points)), key=lambda at: points[at][0])
    assert all(found[a][0] <= found[b][0] + 0.01 for a, b in itertools.pairwise(by_x))
    by_y = sorted(range(len(points)), key=lambda at: points[at][1])
    assert all(found[a][1] >= found[b][1] - 0.01 for a, b in itertools.pairwise(by_y))


def test_names_are_escaped_and_a_series_without_points_is_left_out() -> None:
    picture = chart("a < b", [Series("<b>", [Point(1, 2)]), Series("nothing", [])], x="x & y", y="y")
    words = "".join(ElementTree.fromstring(picture).itertext())
    assert "a < b" in words
    assert "<b>" in words
    assert "nothing" not in words


def test_what_is_not_certain_is_a_band() -> None:
    sure = [Point(1, 0.5), Point(2, 0.6)]
    unsure = [Point(1, 0.5, 0.4, 0.6), Point(2, 0.6, 0.5, 0.7)]
    with_band = chart("t", [Series("one", unsure)], x="x", y="y", percent=True)
    assert 'fill-opacity="0.13"' in with_band
    assert 'fill-opacity="0.13"' not in chart("t", [Series("one", sure)], x="x", y="y", percent=True)
    assert "one: 50 % at 1" in with_band


def test_nothing_at_all_is_a_picture_too() -> None:
    ElementTree.fromstring(chart("t", [], x="x", y="y"))
    ElementTree.fromstring(chart("t", [Series("flat", [Point(3, 0), Point(3, 0)])], x="x", y="y"))
