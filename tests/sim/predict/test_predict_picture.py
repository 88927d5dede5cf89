"""The picture of a prediction: one SVG file, readable, with the deadline and the curve in it."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from headway.sim.predict import Stage, estimate_workload, predict
from headway.sim.predict.picture import LATE, draw_prediction

SVG = "{http://www.w3.org/2000/svg}"
NOISY = estimate_workload([Stage("search", 60, 2.0, 1.0, cost={"tokens": 500})], name="sky <&> sea")


def picture(**options: object) -> tuple[str, ET.Element]:
    svg = draw_prediction(predict(NOISY, workers=8, trials=12, processes=1, **options))  # type: ignore[arg-type]
    return svg, ET.fromstring(svg)


def texts(root: ET.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def test_the_picture_shows_makespan_curve_and_cost() -> None:
    svg, root = picture()
    said = texts(root)
    assert "sky <&> sea on 8 workers" in said
    assert said.count("makespan") == 2
    assert "tokens" in said
    assert {"1", "2", "4", "8", "16", "32"} <= set(said)
    assert f'fill="{LATE}" fill-opacity="0.75"' not in svg


def test_what_comes_too_late_is_red_and_all_of_it_is() -> None:
    _, root = picture(within_s=1.0, mtbf_s=500.0)
    assert "within 1.00 s" in texts(root)
    bars = [rect for rect in root.iter(f"{SVG}rect") if "trial" in (rect.findtext(f"{SVG}title") or "")]
    assert bars
    assert all(bar.get("fill") == LATE for bar in bars)


def test_nothing_is_drawn_outside_of_the_picture() -> None:
    for options in ({}, {"within_s": 1000.0}, {"within_s": 0.01}, {"curve": ()}):
        _, root = picture(**options)
        height, width = float(root.get("height", 0)), float(root.get("width", 0))
        for rect in root.iter(f"{SVG}rect"):
            assert float(rect.get("width", 0)) >= 0
            assert float(rect.get("height", 0)) >= 0
            assert float(rect.get("x", 0)) + float(rect.get("width", 0)) <= width + 0.1
        for text in root.iter(f"{SVG}text"):
            assert 0 <= float(text.get("y", 0)) <= height
            assert 0 <= float(text.get("x", 0)) <= width


@pytest.mark.parametrize("stages", [[Stage("a", 1, 0.0)], [Stage("a", 1, 1.0)], [Stage("a", 3, 1e-6), Stage("b", 1, 1e6)]])
def test_odd_workloads_have_a_picture_too(stages: list[Stage]) -> None:
    ET.fromstring(draw_prediction(predict(estimate_workload(stages), workers=2, within_s=1.0)))
