"""What an object, a module or an optimizer says of itself comes back with its types, or is refused by name."""

from __future__ import annotations

from collections import Counter, OrderedDict, UserDict, defaultdict
from enum import Enum, Flag, IntEnum
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from in_memory import Thing, stored

import headway as hw
from headway.checkpoint.state.walk import take
from headway.errors import CheckpointMismatch, UsageError


class Phase(IntEnum):
    WARM = 0
    MAIN = 1


class Kind(str, Enum):  # noqa: UP042  # the older way, whose str() is no value
    COSINE = "cosine"
    LINEAR = "linear"


class Way(Enum):
    BOTH = (1, 2)


class Bits(Flag):
    A = 1
    B = 2


class Point(NamedTuple):
    x: int
    y: Any


class Metres(float):
    pass


@pytest.mark.parametrize(
    ("value", "before"),
    [
        (Phase.MAIN, Phase.WARM),
        (Kind.COSINE, Kind.LINEAR),
        (Way.BOTH, Way.BOTH),
        (Bits.A | Bits.B, Bits.A),
        (Point(1, (2, [3])), Point(0, None)),
        ([Phase.MAIN, Phase.WARM, Phase.MAIN], [Phase.WARM]),
        ({Kind.COSINE: 1, Kind.LINEAR: 2}, {Kind.COSINE: 0}),
        ({"a": Point(Phase.MAIN, Kind.COSINE)}, {"a": [Phase.WARM, Kind.LINEAR], "b": Point(0, 0)}),
        (OrderedDict(a=1, b=OrderedDict(c=2)), OrderedDict(b=OrderedDict())),
        ([OrderedDict(a=1)], [OrderedDict()]),
        ((OrderedDict(a=1), 2), (OrderedDict(), 0)),
        (torch.Size([1, 2]), None),
        (Counter({"a": 2**60}), None),
    ],
)
def test_values_inside_an_object_keep_their_types(value: Any, before: Any) -> None:
    fresh = Thing({"v": before})
    stored({"x": Thing({"v": value})}).load({"x": fresh})
    assert repr(fresh.tree["v"]) == repr(value)


def test_a_dictionary_with_a_default_keeps_it() -> None:
    fresh = Thing({"v": defaultdict(list)})
    stored({"x": Thing({"v": defaultdict(list, a=[1])})}).load({"x": fresh})
    assert fresh.tree["v"]["b"] == []
    assert fresh.tree["v"]["a"] == [1]
    empty = Thing({})
    stored({"x": Thing({"v": defaultdict(list, a=[1])})}).load({"x": empty})
    assert empty.tree == {"v": {"a": [1]}}


def test_arrays_in_a_named_tuple_come_back_in_it() -> None:
    fresh = Thing({"v": Point(0, torch.zeros(2))})
    stored({"x": Thing({"v": Point(1, torch.ones(2))})}).load({"x": fresh})
    assert isinstance(fresh.tree["v"], Point)
    assert fresh.tree["v"].y.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (np.str_("a"), "str"),
        (np.bytes_(b"a"), "bytes"),
        (Metres(1), "float"),
        (UserDict(a=1), "dict"),
        (MappingProxyType({"a": 1}), "dict"),
        (type("Row", (list,), {})(), "list"),
        (type("Pair", (tuple,), {})(), "tuple"),
        ({np.str_("a"): 1}, "str"),
    ],
)
def test_what_would_come_back_as_another_type_inside_an_object_is_refused(value: Any, kind: str) -> None:
    with pytest.raises(UsageError, match=rf"x\.v.* is a .*, a kind of {kind} that would come back as a plain {kind}"):
        take({"x": Thing({"v": value})})


@pytest.mark.parametrize(
    ("value", "before", "why"),
    [
        (Phase.MAIN, 0, r"x was saved with a member of the enum Phase \(1\), and what the state has there has none of that class"),
        (Point(1, 2), (0, 0), "x was saved with the named tuple Point"),
    ],
)
def test_a_class_that_the_object_does_not_have_is_a_mismatch(value: Any, before: Any, why: str) -> None:
    with pytest.raises(CheckpointMismatch, match=why):
        stored({"x": Thing({"v": value})}).load({"x": Thing({"v": before})})


def test_a_member_or_a_field_that_a_class_lost_is_a_mismatch() -> None:
    class Lost(Enum):
        NEW = 2

    class Shorter(NamedTuple):
        x: int

    Lost.__qualname__, Shorter.__qualname__ = "Phase", "Point"
    for value, before in ((Phase.MAIN, Lost.NEW), (Point(1, 2), Shorter(1))):
        with pytest.raises(CheckpointMismatch, match="which the class of that name does not take now"):
            stored({"x": Thing({"v": value})}).load({"x": Thing({"v": before})})


class Scheduled(torch.nn.Linear):
    def __init__(self, phase: Phase, kind: Kind) -> None:
        super().__init__(1, 1)
        self.phase, self.kind = phase, kind

    def get_extra_state(self) -> Any:
        return {"phase": self.phase, "kind": self.kind}

    def set_extra_state(self, state: Any) -> None:
        self.phase, self.kind = state["phase"], state["kind"]


def test_extra_state_and_groups_keep_members_of_enums() -> None:
    def made(phase: Phase, kind: Kind) -> tuple[Any, Any]:
        model = Scheduled(phase, kind)
        groups = [{"params": list(model.parameters()), "phase": phase, "kind": kind, "more": OrderedDict(a=phase)}]
        return model, torch.optim.SGD(groups, lr=0.1)

    model, optimizer = made(Phase.MAIN, Kind.COSINE)
    other, its = made(Phase.WARM, Kind.LINEAR)
    stored({"net": model, "opt": optimizer}).load({"net": other, "opt": its})
    group = its.param_groups[0]
    assert (other.phase, other.kind) == (group["phase"], group["kind"]) == (Phase.MAIN, Kind.COSINE)
    assert all(type(each) is kind for each, kind in ((other.phase, Phase), (other.kind, Kind), (group["phase"], Phase)))
    assert group["more"] == OrderedDict(a=Phase.MAIN)
    assert type(group["more"]) is OrderedDict


LONG = 10**4300


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ({"x": "a\udcff"}, r"x is 'a\\udcff', a string that is not valid text: give its bytes"),
        ({"x": ["a", "\ud800"]}, r"x\.1 is '\\ud800'"),
        ({"x": Thing({"v": ("é\udcff",)})}, r"x\.v\.0 is 'é\\udcff'"),
        ({"x": Thing({"\udcff": 1})}, r"a key of x is '\\udcff'"),
        ({"x": {"\udcff": np.ones(1)}}, r"x has the key '\\udcff', which is not valid text"),
        ({"x": LONG}, "x is an integer of 14285 bits, which is too long"),
        ({"x": [-LONG]}, r"x\.0 is an integer"),
        ({"x": Thing({"v": {LONG - 1: LONG}})}, r"x\.v\.\d+ is an integer"),
    ],
)
def test_text_and_integers_that_no_file_has_are_refused_by_name(tmp_path: Any, state: Any, why: str) -> None:
    with hw.Checkpoints(tmp_path) as ck, pytest.raises(UsageError, match=why):
        ck.save(state, 1)


def test_what_is_just_short_enough_and_beyond_latin_comes_back() -> None:
    state = {"x": Thing({"n": [LONG - 1, 1 - LONG], "é😀": "é😀"}), "é": "😀"}
    fresh = {"x": Thing({}), "é": ""}
    stored(state).load(fresh)
    assert fresh["x"].tree == state["x"].tree
    assert fresh["é"] == "😀"
