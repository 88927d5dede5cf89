"""The picture of a plan as it ran: a bar for each step, when it was planned, what it needed, and what came of it."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from headway.observe.pictures.plan import EDGES, Came, Mark, Step, draw_steps

SVG = "{http://www.w3.org/2000/svg}"


def step(id: str, came: Came = "done", began: float | None = 1.0, ended: float = 2.0, **needs: str) -> Step:
    return Step(id, f"does {id}", came, 0.5, began, ended, needs)


def picture(*steps: Step, spoken: tuple[tuple[float, float], ...] = (), marks: tuple[Mark, ...] = ()) -> ET.Element:
    return ET.fromstring(draw_steps("a plan", steps, spoken, marks))


def titles(root: ET.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}title")]


def bar(root: ET.Element, said: str) -> tuple[float, float]:
    """Where the bar with a tooltip begins and how wide it is."""
    (found,) = (each for each in root.iter(f"{SVG}rect") if (title := each.find(f"{SVG}title")) is not None and said in title.text)
    return float(found.get("x")), float(found.get("width"))


def test_steps_are_bars_on_one_axis_of_time_with_what_became_of_each():
    root = picture(
        step("a", began=0.5, ended=1.0),
        step("b", began=1.0, ended=2.0, a="success"),
        step("c", "failed", 1.0, 1.5, a="success"),
        step("d", "skipped", None, 2.0, c="success"),
        step("e", "removed", None, 1.2),
    )
    (left, width), (left_b, width_b) = bar(root, "a: does a"), bar(root, "b: does b")
    assert left_b > left + width - 0.5
    assert 1.9 < width_b / width < 2.1
    text = "\n".join(element.text or "" for element in root.iter(f"{SVG}text"))
    assert "5 steps (2 done, 1 failed, 1 skipped, 1 removed), 1.50 s" in text
    said = "\n".join(titles(root))
    for part in ("failed, 500 ms", "skipped, never started", "removed, never started", "needs a", "planned at 0.000 s"):
        assert part in said


def test_an_edge_joins_what_was_needed_and_says_how_it_had_to_end():
    root = picture(step("a", began=0.5, ended=1.0), step("b", a="success"), step("c", a="failure"), step("d", a="end, is_long"))
    edges = [each for each in root.iter(f"{SVG}path") if each.get("fill") == "none"]
    assert [each.get("stroke-dasharray") is not None for each in edges] == [False, True, True]
    assert [each.get("stroke") == "#c62828" for each in edges] == [False, True, False]
    assert "needs a (failure)" in "\n".join(titles(root))


def test_it_shows_when_planners_spoke_and_every_edit():
    root = picture(
        step("a"), spoken=((0.0, 1.0),), marks=(Mark(0.5, "added", "a"), Mark(0.9, "refused", "remove b: <no> such step"))
    )
    assert {"a planner spoke for 1.00 s", "added: a", "refused: remove b: <no> such step"} <= set(titles(root))


def test_a_plan_of_thousands_leaves_out_no_step():
    steps = [step(f"s{place}", began=0.5, ended=1.0 + place / 1000, s0="success") for place in range(1, EDGES + 10)]
    root = picture(step("s0", began=0.5, ended=0.6), *steps)
    assert len(titles(root)) == EDGES + 10
    assert not [each for each in root.iter(f"{SVG}path") if each.get("fill") == "none"]


def test_a_plan_without_steps_has_a_picture():
    assert "0 steps (none)" in "".join(element.text or "" for element in picture().iter(f"{SVG}text"))
