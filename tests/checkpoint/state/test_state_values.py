"""Arrays, plain values and objects of a state come back as they were, of every type."""

from __future__ import annotations

import math
import random
from collections import Counter, OrderedDict, namedtuple
from typing import Any

import msgspec
import numpy as np
import pytest
from gang import Gang
from hypothesis import given, settings
from hypothesis import strategies as st
from in_memory import Thing, stored, stored_by
from small_net import torch, trained

import headway as hw
from headway.checkpoint import Streams
from headway.checkpoint.layout.declared import Layout, Numbered, Split
from headway.checkpoint.state.values.tree import decode, encode
from headway.checkpoint.state.walk import take, take_for_load
from headway.errors import CheckpointMismatch, UsageError

DTYPES = ["float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int8", "uint8", "int16", "int32", "int64"]


DTYPES += ["bool", "complex64", "complex128", "uint16", "uint32", "uint64"]


DTYPES += ["float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu", "float4_e2m1fn_x2", "complex32"]


@pytest.mark.filterwarnings("ignore:ComplexHalf support")
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_element_type_of_torch_comes_back(dtype: str) -> None:
    raw = torch.randint(0, 255, (3, 4 * getattr(torch, dtype).itemsize), dtype=torch.uint8)
    source = (raw % 2).bool()[:, :4] if dtype == "bool" else raw.view(getattr(torch, dtype))
    target = torch.zeros_like(source)
    stored({"x": source}).load({"x": target})
    assert target.view(torch.uint8).tolist() == source.view(torch.uint8).tolist()


@pytest.mark.parametrize("dtype", ["float32", "bool", "uint64", "complex128", "bfloat16", "float8_e5m2"])
def test_every_element_type_of_numpy_comes_back(dtype: str) -> None:
    import ml_dtypes

    kind = np.dtype(getattr(ml_dtypes, dtype, dtype))
    source = np.arange(12).reshape(3, 4).astype(kind)
    target = np.zeros_like(source)
    stored({"x": source}).load({"x": target})
    assert source.tobytes() == target.tobytes()


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_views_of_numpy_arrays_come_back_and_leave_their_neighbours_alone(data: Any) -> None:
    base = np.arange(5 * 6 * 7, dtype="int16").reshape(5, 6, 7)
    view = data.draw(
        st.sampled_from(
            [
                np.s_[:],
                np.s_[..., ::-1],
                np.s_[::-1, 1:3],
                np.s_[1::2, ::-2, 3],
                np.s_[2, :0],
                np.s_[..., ::3],
                np.s_[1, 2, 3:4],
                np.s_[4:1:-1],
            ]
        )
    )
    axes = data.draw(st.permutations(range(base[view].ndim)))
    other = np.full_like(base, -1)
    stored({"x": base[view].transpose(axes)}).load({"x": other[view].transpose(axes)})
    expected = np.full_like(base, -1)
    expected[view] = base[view]
    np.testing.assert_array_equal(other, expected)


def test_views_of_tensors_come_back_and_leave_their_neighbours_alone() -> None:
    base, other = torch.arange(60.0).reshape(5, 12), torch.full((5, 12), -1.0)
    stored({"a": base[1:4, 2::3].t(), "b": base[0, ::2], "c": base[4]}).load(
        {"a": other[1:4, 2::3].t(), "b": other[0, ::2], "c": other[4]}
    )
    expected = torch.full((5, 12), -1.0)
    expected[1:4, 2::3], expected[0, ::2], expected[4] = base[1:4, 2::3], base[0, ::2], base[4]
    assert torch.equal(other, expected)


def test_another_view_of_the_same_memory_is_not_the_same_array() -> None:
    square, tensor = np.arange(9, dtype="float32").reshape(3, 3), torch.arange(9.0).reshape(3, 3)
    inventory = take({"a": square, "turned": square.T, "raw": square.view("int32"), "b": square[:]})
    assert [holding.name for holding in inventory.holdings] == ["a", "turned", "raw"]
    assert inventory.aliases.keys() == {"b"}
    inventory = take({"a": tensor, "turned": tensor.t(), "raw": tensor.view(torch.int32), "b": tensor[:]})
    assert [holding.name for holding in inventory.holdings] == ["a", "turned", "raw"]
    assert inventory.aliases.keys() == {"b"}


def test_zero_dimensional_and_empty_arrays_come_back() -> None:
    state = {
        "a": np.array(3.5),
        "b": np.zeros((0, 3)),
        "c": torch.tensor(7),
        "d": torch.zeros(2, 0),
        "e": np.float32(2.5),
        "f": np.int64(4),
    }
    target = {
        "a": np.array(0.0),
        "b": np.zeros((0, 3)),
        "c": torch.tensor(0),
        "d": torch.zeros(2, 0),
        "e": np.float32(0),
        "f": np.int64(0),
    }
    stored(state).load(target)
    assert (target["a"], target["c"], target["e"], target["f"]) == (3.5, 7, 2.5, 4)
    assert type(target["e"]) is np.float32


Point = namedtuple("Point", "x y")


def test_plain_values_come_back_where_they_were() -> None:
    state = {
        "step": 7,
        "seen": [1, 2.5, None],
        "pair": Point(1, (math.inf, "z")),
        "raw": b"\x00\xff",
        "big": 2**200 + 1,
        "yes": True,
    }
    target = {"step": 0, "seen": [0, 0, 0], "pair": Point(0, (0, "")), "raw": b"", "big": 0, "yes": False}
    inner = target["seen"]
    stored(state).load(target)
    assert target == state
    assert target["seen"] is inner
    assert type(target["pair"]) is Point


@pytest.mark.parametrize("then", [[], [1.5], [9, 8, 7, 6]])
@pytest.mark.parametrize("saved", [[], [1.5, 2.5], [{"loss": 1.0, "at": (3, None)}, ["x"]], [np.float32(0.5)]])
def test_a_list_of_plain_values_comes_back_with_its_length(saved: list[Any], then: list[Any]) -> None:
    target = {"w": np.zeros(2), "history": then[:]}
    inner = target["history"]
    stored({"w": np.ones(2), "history": saved}).load(target)
    assert target["history"] == saved
    assert target["history"] is inner  # whoever appends to it goes on with the same list


def test_a_list_that_was_saved_item_by_item_is_loaded_so() -> None:
    checkpoint = stored({"history": {"0": 1.5, "1": 2.5}})
    target = {"history": [0.0, 0.0]}
    checkpoint.load(target)
    assert target == {"history": [1.5, 2.5]}


@pytest.mark.parametrize("state", [(np.zeros(1), 3), (((1,),),), 3])
def test_values_that_nothing_could_be_put_back_into_are_refused(state: Any) -> None:
    with pytest.raises(UsageError, match="give a dictionary"):
        take(state)
    take((np.zeros(1), [3], {"n": 3}))  # here it can


def test_an_object_gets_the_tree_that_it_gave() -> None:
    tree = {
        "a": [1, (2, {"b": np.arange(3)})],
        3: {"$x": 1},
        "n": float("nan"),
        "t": torch.eye(2, dtype=torch.bfloat16),
        "s": {1, 2},
        "c": Counter({5: 2}),
        "z": 1 + 2j,
        "o": OrderedDict(k=np.float64(1.5)),
    }
    target = Thing({})
    stored({"thing": Thing(tree)}).load({"thing": target})
    got = target.tree
    assert math.isnan(got.pop("n"))
    assert got["a"][0] == 1
    assert got["a"][1][0] == 2
    np.testing.assert_array_equal(got["a"][1][1]["b"], np.arange(3))
    assert torch.equal(got["t"], tree["t"])
    assert (got["s"], got["z"], got[3], got["o"]) == ({1, 2}, 1 + 2j, {"$x": 1}, {"k": 1.5})
    assert got["c"] == Counter({5: 2})
    assert isinstance(got["c"], Counter)


def test_a_set_of_things_that_can_not_be_compared_comes_back() -> None:
    target = Thing({})
    stored({"thing": Thing({"seen": {1, "a", None, (2, "b")}})}).load({"thing": target})
    assert target.tree == {"seen": {1, "a", None, (2, "b")}}


def test_tensors_of_an_object_that_are_shards_are_filled_as_shards() -> None:
    whole = torch.arange(12.0).reshape(6, 2)

    def rank(number: int) -> tuple[Any, Layout]:
        return {"ema": Thing({"w": whole[3 * number :][:3].clone()})}, Layout([Split("ema.w", 0, "tp")], {"tp": (number, 2)})

    checkpoint = stored_by(2, rank)
    np.testing.assert_array_equal(checkpoint.arrays["ema.w"].view("float32"), whole.numpy())
    for number in range(2):
        state, layout = rank(number)
        before = state["ema"].tree["w"] = torch.zeros(3, 2)
        checkpoint.load(state, layout)
        assert torch.equal(state["ema"].tree["w"], whole[3 * number :][:3])
        assert not before.any()  # what it had is its own until it says otherwise
    empty = Thing({})
    checkpoint.load({"ema": empty})
    assert torch.equal(empty.tree["w"], whole)


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.binary(max_size=3)
KEYS = st.text(max_size=3) | st.integers() | st.tuples(st.integers(), st.text(max_size=2))
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3) | st.lists(inner, max_size=2).map(tuple),
)


@given(tree=TREES)
def test_a_tree_through_json_is_the_same_tree(tree: Any) -> None:
    through = msgspec.json.decode(msgspec.json.encode(encode(tree, "x", lambda name, leaf: None)))
    assert repr(decode(through, lambda mark, name: None)) == repr(tree)


def test_what_is_no_plain_value_inside_an_object_is_named() -> None:
    with pytest.raises(UsageError, match=r"thing\.a\.0 is a random\.Random"):
        take({"thing": Thing({"a": [random.Random()]})})


@pytest.mark.parametrize(
    "make", ["StepLR", "MultiStepLR", "CosineAnnealingLR", "ReduceLROnPlateau", "OneCycleLR", "SequentialLR", "LambdaLR"]
)
def test_learning_rate_schedules_go_on(make: str) -> None:
    def schedule(optimizer: Any) -> Any:
        lr = torch.optim.lr_scheduler
        return {
            "StepLR": lambda: lr.StepLR(optimizer, 2),
            "MultiStepLR": lambda: lr.MultiStepLR(optimizer, [1, 3, 3]),
            "CosineAnnealingLR": lambda: lr.CosineAnnealingLR(optimizer, 9),
            "ReduceLROnPlateau": lambda: lr.ReduceLROnPlateau(optimizer, patience=0),
            "OneCycleLR": lambda: lr.OneCycleLR(optimizer, 0.1, 20),
            "SequentialLR": lambda: lr.SequentialLR(optimizer, [lr.ConstantLR(optimizer), lr.ExponentialLR(optimizer, 0.5)], [2]),
            "LambdaLR": lambda: lr.LambdaLR(optimizer, lambda epoch: 0.9**epoch),
        }[make]()

    def go(optimizer: Any, scheduler: Any, steps: int) -> list[float]:
        seen = []
        for _ in range(steps):
            optimizer.step()
            scheduler.step(*([1.0] if make == "ReduceLROnPlateau" else []))
            seen.append(optimizer.param_groups[0]["lr"])
        return seen

    net, optimizer = trained()
    scheduler = schedule(optimizer)
    go(optimizer, scheduler, 3)
    checkpoint = stored({"model": net, "opt": optimizer, "schedule": scheduler})
    other, fresh = trained(0, 1)
    again = schedule(fresh)
    checkpoint.load({"model": other, "opt": fresh, "schedule": again})
    assert go(fresh, again, 4) == go(optimizer, scheduler, 4)


def test_extra_state_of_modules_comes_back() -> None:
    class Extra(torch.nn.Linear):
        note: Any = None

        def get_extra_state(self) -> Any:
            return self.note

        def set_extra_state(self, state: Any) -> None:
            self.note = state

    source, target = torch.nn.Sequential(Extra(1, 1)), torch.nn.Sequential(Extra(1, 1))
    source[0].note = {"amax": torch.tensor([1.0, 2.0])}
    stored({"model": source}).load({"model": target})
    assert target[0].note["amax"].tolist() == [1.0, 2.0]


def test_extra_state_of_a_numbered_layer_has_its_number_in_the_model() -> None:
    class Extra(torch.nn.Linear):
        def get_extra_state(self) -> Any:
            return 3

        def set_extra_state(self, state: Any) -> None:
            pass

    state = {"layers": torch.nn.ModuleList([Extra(1, 1)])}
    assert take(state, Layout([Numbered("layers.{}", start=5)])).values == {"layers.5._extra_state": 3}


class Schedule:
    """Takes what it gave, unless it is broken."""

    def __init__(self, broken: bool = False) -> None:
        self.broken, self.last = broken, 0

    def state_dict(self) -> Any:
        return {"last": self.last}

    def load_state_dict(self, state: Any) -> None:
        if self.broken:
            raise KeyError("not there")
        self.last = state["last"]


def test_an_object_that_does_not_take_its_state_is_named_and_so_is_what_is_loaded(tmp_path: Any) -> None:
    def state(value: int, broken: bool) -> dict[str, Any]:
        first, second, third = Schedule(), Schedule(broken), Schedule()
        first.last = second.last = third.last = value
        return {"w": np.full(2, value), "one": first, "two": second, "three": third, "n": value}

    into = state(0, True)

    def load(member: Any) -> str:
        mine = into if member.rank else state(0, False)
        try:
            hw.Checkpoints(tmp_path, ranks=member).load(into=mine)
        except (KeyError, hw.CheckpointError) as error:
            return " ".join([type(error).__name__, str(error), *getattr(error, "__notes__", ())])
        return ""

    with hw.Checkpoints(tmp_path) as ck:
        ck.save(state(7, False), 1).durable()
    other, broken = Gang(2).run(load)
    said = (
        "two did not take what was loaded, so the state is half loaded: don't go on with it. All arrays are loaded, and so are "
        "one; three, n, the plain values of the state and two are not"
    )
    assert broken.startswith("KeyError")
    assert other.startswith("CheckpointError rank 1: KeyError: 'not there'")
    assert said in broken
    assert said in other
    assert (into["w"].tolist(), into["one"].last, into["two"].last, into["three"].last, into["n"]) == ([7, 7], 7, 0, 0, 0)


def test_generators_of_another_kind_are_refused_before_anything_changes() -> None:
    checkpoint = stored({"w": np.ones(2), "s": Streams({0: np.random.default_rng(1)})})
    state = {"w": np.zeros(2), "s": Streams({0: random.Random(1)})}
    with pytest.raises(CheckpointMismatch, match=r"s\.0 was saved by a generator of kind 'numpy'"):
        take_for_load(state, checkpoint.objects, checkpoint.values)
