"""Boxes against arrays of flags: what a box holds is what numpy says it holds."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.checkpoint.layout.boxes import Box, flat_boxes, hole, overlap, strides_of, whole

SHAPES = st.lists(st.integers(0, 5), max_size=4).map(tuple)


@st.composite
def shaped(draw, count=2):
    """A shape, and boxes in it."""
    shape = draw(SHAPES)
    boxes = []
    for _ in range(count):
        ends = [sorted((draw(st.integers(0, size)), draw(st.integers(0, size)))) for size in shape]
        boxes.append(Box(tuple(a for a, _ in ends), tuple(b - a for a, b in ends)))
    return shape, boxes


def flags(shape, *boxes):
    """How many of the boxes hold each element."""
    count = np.zeros(shape, int)
    for box in boxes:
        count[tuple(map(slice, box.offset, box.end))] += 1
    return count


@given(shaped())
def test_two_boxes_meet_in_what_both_hold(given_shape):
    shape, (a, b) = given_shape
    met = a.meet(b)
    both = flags(shape, a, b) == 2
    assert (met is None and not both.any()) or (met is not None and (flags(shape, met) == both).all())
    assert (met is None) == (b.meet(a) is None)


@given(shaped())
def test_a_box_without_another_is_disjoint_boxes_of_the_rest(given_shape):
    shape, (a, b) = given_shape
    rest = a.minus(b)
    assert (flags(shape, *rest) == ((flags(shape, a) == 1) & (flags(shape, b) == 0))).all()
    assert len(rest) <= max(1, 2 * len(shape))


@given(shaped())
def test_a_box_holds_another_whose_every_element_it_has(given_shape):
    shape, (a, b) = given_shape
    if b.volume:
        assert a.holds(b) == (flags(shape, a)[flags(shape, b) == 1] == 1).all()


@given(SHAPES, st.data())
def test_a_flat_range_is_boxes_that_follow_each_other(shape, data):
    size = math.prod(shape)
    start, stop = sorted((data.draw(st.integers(0, size)), data.draw(st.integers(0, size))))
    boxes = flat_boxes(shape, start, stop)
    elements = np.arange(size).reshape(shape)
    found = [elements[tuple(map(slice, box.offset, box.end))].ravel().tolist() for box in boxes]
    assert list(itertools.chain(*found)) == list(range(start, stop))
    assert len(boxes) <= max(1, 2 * len(shape) - 1)


def test_a_range_that_is_not_in_the_array_is_refused():
    with pytest.raises(ValueError, match="elements 3 to 7 of an array of 6"):
        flat_boxes((2, 3), 3, 7)


@given(shaped(count=4))
def test_an_overlap_is_found_where_there_is_one(given_shape):
    shape, boxes = given_shape
    found = overlap(boxes)
    assert (found is not None) == bool((flags(shape, *boxes) > 1).any())
    if found is not None:
        assert found[0].meet(found[1]) is not None


@given(shaped(count=3))
def test_a_hole_is_found_where_there_is_one(given_shape):
    shape, boxes = given_shape
    disjoint: list[Box] = []
    for box in boxes:
        parts = [box]
        for other in disjoint:
            parts = [rest for part in parts for rest in part.minus(other)]
        disjoint += parts
    missing = hole(shape, disjoint)
    left = flags(shape, *disjoint) == 0
    assert (missing is not None) == bool(left.any())
    if missing is not None:
        assert left[tuple(map(slice, missing.offset, missing.end))].all()


@given(SHAPES)
def test_strides_are_those_of_row_major_order(shape):
    if math.prod(shape):
        array = np.zeros(shape, np.uint8)
        expected = tuple(step for step, size in zip(array.strides, shape, strict=True))
        assert [s for s, n in zip(strides_of(shape), shape, strict=True) if n > 1] == [
            s for s, n in zip(expected, shape, strict=True) if n > 1
        ]


def test_a_0_d_array_has_one_box_of_one_element():
    assert whole(()).volume == 1
    assert whole(()).meet(whole(())) == whole(())
    assert whole(()).minus(whole(())) == []
    assert overlap([whole(()), whole(())]) is not None
    assert hole((), []) == whole(())
    assert hole((), [whole(())]) is None


def test_a_box_is_written_as_a_slice():
    assert str(Box((1, 8), (3, 8))) == "[1:4, 8:16]"
