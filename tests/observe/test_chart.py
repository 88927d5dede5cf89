"""Line charts: every point that is given is shown, where it belongs, and nothing else."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ElementTree

from hypothesis import given
from hypothesis import strategies as st

from headway.observe.pictures.chart import Point, Series, chart

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


def test_series_with_the_same_points_have_one_colour_and_all_are_named() -> None:
    points, others = [Point(1, 2), Point(2, 3)], [Point(1, 2), Point(2, 4)]
    picture = chart("t", [Series("one", points), Series("two", others), Series("three", list(points))], x="x", y="y")
    swatches = [each.attrib["fill"] for each in ElementTree.fromstring(picture).iter(f"{SVG}rect") if each.get("width") == "10"]
    assert swatches[0] == swatches[2] != swatches[1]
    assert all(name in "".join(ElementTree.fromstring(picture).itertext()) for name in ("one", "two", "three"))


def paths(picture: str) -> list[list[tuple[float, float]]]:
    """The points of each line and band, in order."""
    root = ElementTree.fromstring(picture)
    found = [each.attrib["d"].strip("MZ").split("L") for each in root.iter(f"{SVG}path") if "L" in each.attrib["d"]]
    return [[(float(x), float(y)) for x, y in (point.split() for point in path)] for path in found]


def texts(picture: str) -> dict[str, tuple[float, float]]:
    """Where each text is."""
    root = ElementTree.fromstring(picture)
    return {"".join(each.itertext()): (float(each.attrib["x"]), float(each.attrib["y"])) for each in root.iter(f"{SVG}text")}


def test_a_line_goes_through_its_points_in_their_order_and_a_band_along_their_bounds() -> None:
    points = [Point(2, 0.5, 0.4, 0.7), Point(1, 0.3, 0.1, 0.5), Point(3, 0.9), Point(2.5, 0.6, low=0.1)]
    bounds = [Series(name, [Point(2, y), Point(1, below)]) for name, y, below in (("low", 0.4, 0.1), ("high", 0.7, 0.5))]
    picture = chart("t", [Series("one", points), *bounds], x="x", y="y")
    band, line, *_ = paths(picture)
    where = dots(picture)
    assert line == where[:4]
    assert band == [*where[4:6], *reversed(where[6:8])]


def test_points_are_where_the_axes_say() -> None:
    points = [Point(20, 1), Point(40, 2), Point(60, 4, label="(best)")]
    picture = chart("t", [Series("one", points)], x="across", y="up", sub="below the title")
    said, where = texts(picture), dots(picture)
    assert [said["20"][0], said["40"][0], said["60"][0]] == [x for x, _ in where]
    assert [said["1"][1] - 4, said["2"][1] - 4, said["4"][1] - 4] == [y for _, y in where]
    bottom = said["0"][1] - 4  # amounts are measured from nothing
    assert abs((bottom - where[1][1]) - 2 * (bottom - where[0][1])) < 0.05
    assert said["across"][1] > bottom
    assert said["up"][1] < where[2][1]
    assert "below the title" in said
    assert "one: 4 at 60 (best)" in picture


def test_on_an_axis_of_factors_equal_factors_are_equally_far() -> None:
    picture = chart("t", [Series("one", [Point(x, 1) for x in (1, 10, 100)])], x="x", y="y", log_x=True)
    (first, _), (second, _), (third, _) = dots(picture)
    assert abs((third - second) - (second - first)) < 0.1
    assert abs(texts(picture)["10"][0] - second) < 0.1


def test_zero_is_at_the_low_end_of_an_axis_of_factors() -> None:
    picture = chart("t", [Series("one", [Point(x, 1) for x in (0, 1, 10)])], x="x", y="y", log_x=True)
    (nothing, _), (first, _), (second, _) = dots(picture)
    assert 0 < nothing < first < second
    assert len(dots(chart("t", [Series("one", [Point(0, 1)])], x="x", y="y", log_x=True))) == 1


def test_each_series_has_a_colour_of_its_own_and_dots_unless_it_wants_none() -> None:
    several = [Series(f"number {at}", [Point(1, at), Point(2, at)], dots=at != 2) for at in range(15)]
    picture = chart("t", several, x="x", y="y")
    assert len(dots(picture)) == 28
    assert "number 14" in texts(picture)
    root = ElementTree.fromstring(picture)
    colours = [each.attrib["stroke"] for each in root.iter(f"{SVG}path") if "stroke-linejoin" in each.attrib]
    assert len(colours) == 15
    assert len(set(colours[:12])) == 12


def test_nothing_at_all_is_a_picture_too() -> None:
    ElementTree.fromstring(chart("t", [], x="x", y="y"))
    ElementTree.fromstring(chart("t", [Series("flat", [Point(3, 0), Point(3, 0)])], x="x", y="y"))
