"""Who writes what: everything once, by somebody who has it, and nobody much more than the others."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.checkpoint.files.manifest import Object
from headway.checkpoint.layout.boxes import Box, flat_boxes, whole
from headway.checkpoint.save.plan import Table, agree_on_values, plan_save
from headway.errors import CheckpointMismatch


def table(boxes, shape, dtype="F32"):
    return Table({"w": Object(dtype, shape, "param")}, {"w": tuple(boxes)})


@st.composite
def held(draw):
    """A shape, and what each of some ranks holds of it; together they hold all."""
    shape = tuple(draw(st.lists(st.integers(1, 5), max_size=3)))
    size = math.prod(shape)
    ranks = []
    for _ in range(draw(st.integers(1, 4))):
        start, stop = sorted((draw(st.integers(0, size)), draw(st.integers(0, size))))
        ranks.append(flat_boxes(shape, start, stop))
    if draw(st.booleans()):
        ranks.append([whole(shape)])
    else:
        half = size // 2
        ranks += [flat_boxes(shape, 0, half), flat_boxes(shape, half, size)]
    return shape, draw(st.permutations(ranks))


@given(held())
def test_every_element_is_written_once_by_a_rank_that_has_it(given_held):
    shape, ranks = given_held
    plan = plan_save([table(boxes, shape) for boxes in ranks])
    written = np.zeros(shape, int)
    for share, boxes in zip(plan.shares, ranks, strict=True):
        for name, box in share.boxes:
            assert name == "w"
            assert any(mine.holds(Box(*box)) for mine in boxes)
            written[tuple(map(slice, box.offset, box.end))] += 1
    assert (written == 1).all()


def test_what_all_hold_is_shared_evenly():
    objects = {f"w{number}": Object("F32", (100 + number,), "param") for number in range(40)}
    every = Table(objects, {name: (whole(known.shape),) for name, known in objects.items()})
    plan = plan_save([every] * 4)
    loads = [sum(box.volume for _, box in share.boxes) for share in plan.shares]
    assert sum(loads) == sum(known.shape[0] for known in objects.values())
    assert max(loads) - min(loads) <= 140


def test_a_hole_is_refused_with_its_place():
    with pytest.raises(CheckpointMismatch, match=r"w: no rank has \[2:4, 0:4\] of its shape \[4, 4\]"):
        plan_save([table([Box((0, 0), (2, 4))], (4, 4))])


def test_ranks_that_differ_in_type_or_value_are_refused():
    with pytest.raises(CheckpointMismatch, match="w: rank 1 has F16"):
        plan_save([table([whole((2,))], (2,)), table([whole((2,))], (2,), dtype="F16")])
    with pytest.raises(CheckpointMismatch, match="step: rank 1 has 8, an earlier one 7"):
        agree_on_values([{"step": 7, "a": 1}, {"step": 8}])
    assert agree_on_values([{"a": 1}, {"b": 2, "a": 1}]) == {"a": 1, "b": 2}


def test_an_empty_array_and_a_tied_one_need_no_bytes():
    objects = {"e": Object("F32", (0, 3)), "w": Object("F32", (2,)), "tied": Object("F32", (2,), alias_of="w")}
    plan = plan_save([Table(objects, {"e": (), "w": (whole((2,)),)})])
    assert dict(plan.shares[0].boxes) == {"e": whole((0, 3)), "w": whole((2,))}
    assert plan.objects["tied"].alias_of == "w"


def test_a_tensor_that_is_tied_on_one_rank_and_its_own_on_another_is_kept():
    tied = Table({"w": Object("F32", (2,)), "head": Object("F32", (2,), alias_of="w")}, {"w": (whole((2,)),)})
    own = Table({"head": Object("F32", (2,))}, {"head": (whole((2,)),)})
    for tables in ([tied, own], [own, tied]):
        assert plan_save(tables).objects["head"].alias_of == ""
