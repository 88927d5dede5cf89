"""What a state is called, what is held of it, and that it comes back: in one process, with and without torch."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from collections import Counter, OrderedDict, namedtuple
from typing import Any

import msgspec
import numpy as np
import pytest
from gang import Gang
from hypothesis import given, settings
from hypothesis import strategies as st
from in_memory import Stored, stored, stored_by

import headway as hw
from headway.checkpoint import Streams
from headway.checkpoint.layout.declared import Layout, Numbered, Replicated, Split, Tied
from headway.checkpoint.state import fit
from headway.checkpoint.state.parts.flat import Flat, FlatOptimizer
from headway.checkpoint.state.values.tree import decode, encode
from headway.checkpoint.state.walk import claimed_names, optimizers_in, take, take_for_load
from headway.errors import CheckpointMismatch, LayoutError, UsageError

torch = pytest.importorskip("torch")


class Net(torch.nn.Module):
    """Every kind of parameter and buffer."""

    def __init__(self, dtype: Any = torch.float32) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(8, 4, dtype=dtype)
        self.up = torch.nn.Linear(4, 6, dtype=dtype)
        self.down = torch.nn.Linear(6, 4, dtype=dtype)
        self.head = torch.nn.Linear(4, 8, bias=False, dtype=dtype)
        self.head.weight = self.embed.weight  # tied
        self.scale = torch.nn.Parameter(torch.tensor(1.5, dtype=dtype))  # 0-d
        self.nothing = torch.nn.Parameter(torch.zeros(0, 3, dtype=dtype))  # empty
        self.frozen = torch.nn.Parameter(torch.randn(3, dtype=dtype), requires_grad=False)
        self.register_buffer("count", torch.tensor([3, 4]))
        self.register_buffer("scratch", torch.zeros(5), persistent=False)

    def forward(self, tokens: Any) -> Any:
        return self.head(self.embed(tokens) + self.down(self.up(self.embed(tokens)).relu())) * self.scale


def trained(steps: int = 2, seed: int = 0, **options: Any) -> tuple[Net, Any]:
    torch.manual_seed(seed)
    net = Net()
    optimizer = torch.optim.AdamW(net.parameters(), **({"lr": 0.01} | options))
    train(net, optimizer, steps)
    return net, optimizer


def train(net: Any, optimizer: Any, steps: int) -> list[float]:
    losses = []
    for step in range(steps):
        optimizer.zero_grad()
        loss = net(torch.arange(6) + step % 2).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# --- names -----------------------------------------------------------------------------------------------------------


def test_names_are_the_keys_and_the_modules_own() -> None:
    net, optimizer = trained()
    inventory = take({"model": net, "opt": optimizer, "step": 2, "more": [np.zeros(2), {"x": (1, "a")}]})
    names = [holding.name for holding in inventory.holdings]
    assert "model.up.weight" in names
    assert "model.count" in names
    assert "model.scratch" not in names
    assert "more.0" in names
    assert "opt.state.model.up.weight.exp_avg" in names
    assert inventory.values["step"] == 2
    assert inventory.values["more.1.x"] == {"$tuple": [1, "a"]}
    assert inventory.values["opt.group.model.up.weight"]["lr"] == 0.01
    assert inventory.values["opt.group.model.frozen"]["betas"] == {"$tuple": [0.9, 0.999]}
    kinds = {holding.name: holding.object.kind for holding in inventory.holdings}
    assert kinds["model.up.weight"] == "param"
    assert kinds["model.count"] == "buffer"
    assert kinds["opt.state.model.up.weight.exp_avg"] == "moment"
    assert kinds["opt.state.model.up.weight.step"] == "scalar"
    assert kinds["opt.state.model.scale.exp_avg"] == "moment"
    assert kinds["more.0"] == "array"


def test_wrappers_leave_no_trace_in_names() -> None:
    net = Net()
    plain = [holding.name for holding in take({"model": net}).holdings]
    compiled = torch.compile(net, backend="eager")
    assert [holding.name for holding in take({"model": compiled}).holdings] == plain
    assert [holding.name for holding in take({"model": torch.nn.DataParallel(net)}).holdings] == plain
    assert [
        holding.name for holding in take({"model": torch.compile(torch.nn.DataParallel(net), backend="eager")}).holdings
    ] == plain
    assert [holding.name for holding in take({"model": torch.nn.DataParallel(torch.nn.DataParallel(net))}).holdings] == plain
    for wrap in (lambda part: torch.compile(part, backend="eager"), torch.nn.DataParallel):
        inner = Net()
        inner.up = wrap(inner.up)
        assert sorted(holding.name for holding in take({"model": inner}).holdings) == sorted(plain)


def nested(*words: str) -> Any:
    """A parameter under a module for each word."""
    module = torch.nn.Linear(1, 1, bias=False)
    for word in reversed(words):
        outer = torch.nn.Module()
        outer.add_module(word, module)
        module = outer
    return module


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("_fsdp_wrapped_module", "up"), "up.weight"),
        (("up", "_checkpoint_wrapped_module"), "up.weight"),
        (("_fsdp_wrapped_module", "_orig_mod", "up", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"), "up.weight"),
        (("my_orig_mod", "up"), "my_orig_mod.up.weight"),
        (("module", "up"), "module.up.weight"),  # of the author's, not of a wrapper
    ],
)
def test_only_words_of_wrappers_are_taken_out_of_names(words: tuple[str, ...], name: str) -> None:
    assert [holding.name for holding in take(nested(*words)).holdings] == [name]


def test_a_module_that_is_in_two_places_has_both_names() -> None:
    net = torch.nn.Module()
    net.one = net.two = torch.nn.Linear(2, 2)
    inventory = take({"model": net})
    assert [holding.name for holding in inventory.holdings] == ["model.one.weight", "model.one.bias"]
    assert {name: each.alias_of for name, each in inventory.aliases.items()} == {
        "model.two.weight": "model.one.weight",
        "model.two.bias": "model.one.bias",
    }


def test_a_tied_parameter_is_held_once() -> None:
    net, optimizer = trained()
    inventory = take({"model": net, "opt": optimizer})
    names = [holding.name for holding in inventory.holdings]
    assert names.count("model.embed.weight") == 1
    assert "model.head.weight" not in names
    assert inventory.aliases["model.head.weight"].alias_of == "model.embed.weight"
    same = take({"model": net, "again": net.state_dict()})
    assert same.aliases["again.up.weight"].alias_of == "model.up.weight"


def test_only_what_an_optimizer_changes_is_guarded() -> None:
    net, optimizer = trained()
    other = Net()
    inventory = take({"model": net, "opt": optimizer, "ema": other, "array": np.zeros(3)})
    for holding in inventory.holdings:
        expected = holding.name.startswith("opt.") or (holding.object.kind == "param" and holding.name.startswith("model."))
        assert holding.guarded == expected, holding.name


def test_the_state_of_an_optimizer_may_be_put_before_its_module() -> None:
    net, optimizer = trained()
    names = {holding.name for holding in take({"a": optimizer, "b": {"m": net}}).holdings}
    assert "a.state.b.m.up.weight.exp_avg" in names


def test_an_optimizer_finds_parameters_that_are_in_a_state_dict() -> None:
    net, optimizer = trained()
    names = {holding.name for holding in take({"model": net.state_dict(), "opt": optimizer}, None).holdings if holding.object.shape}
    assert "opt.state.model.up.weight.exp_avg" in names


def test_optimizers_are_found_wherever_they_are() -> None:
    net, optimizer = trained()
    flat = FlatOptimizer(optimizer, [])
    assert optimizers_in({"model": net, "opts": [optimizer, {"x": flat}]}) == [optimizer, optimizer]


# --- memory ----------------------------------------------------------------------------------------------------------

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
    ml_dtypes = pytest.importorskip("ml_dtypes")
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


def test_a_save_sees_the_memory_that_a_parameter_had_when_it_was_taken() -> None:
    parameter = torch.nn.Parameter(torch.ones(3))
    inventory = take({"p": parameter})
    before = inventory.holdings[0].memory.version()
    with torch.no_grad():
        parameter.add_(1)
    assert inventory.holdings[0].memory.version() > before
    parameter.data = torch.zeros(3)
    assert inventory.holdings[0].memory.view(inventory.holdings[0].pieces[0]).view("float32").tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda: torch.eye(2).to_sparse(), "x can't be kept.*its layout is torch.sparse"),
        (lambda: torch.empty(2, device="meta"), "meta device"),
        (lambda: torch.zeros(2, dtype=torch.complex64).conj(), "resolve_conj"),
        (lambda: np.zeros(3, "datetime64[s]"), r"x: elements of type datetime64\[s\]"),
        (lambda: np.zeros(3, ">f4"), "x: elements of type >f4"),
        (lambda: torch.zeros(4, dtype=torch.uint8).view(torch.bits8), r"x: elements of type bits8.*or give their bytes"),
        (lambda: torch.empty(4, dtype=torch.int4), r"x: elements of type int4"),
        (lambda: np.zeros(3, [("a", "i1"), ("b", "f4")])["b"], "no multiples of its 4 bytes"),
        (lambda: {1.5: 2}, r"key 1\.5"),
        (lambda: object(), "x is a builtins.object"),
    ],
)
def test_what_can_not_be_kept_is_named(value: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        take({"x": value()})


def test_memory_that_can_not_be_loaded_into_is_named() -> None:
    known = stored({"x": np.zeros((2, 3))})
    frozen = np.zeros((2, 3))
    frozen.flags.writeable = False
    for target in (frozen, np.broadcast_to(np.zeros(3), (2, 3)), torch.zeros(3, dtype=torch.float64).expand(2, 3)):
        with pytest.raises(UsageError, match="x can't be loaded into"):
            known.load({"x": target})
    assert stored({"x": torch.ones(3).expand(2, 3)}).arrays["x"].shape == (2, 3)  # but saved


def test_two_things_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match=r"two arrays of the state are called a\.b"):
        take({"a.b": np.zeros(1), "a": {"b": np.ones(1)}})
    with pytest.raises(UsageError, match=r"two values of the state are called a\.b"):
        take({"a.b": 1, "a": {"b": 2}})
    for state in ({"a.b": 1, "a": {"b": np.zeros(1)}}, {"a.b": np.zeros(1), "a": {"b": 1}}, {"a.b": np.zeros(1), "a": {"b": []}}):
        with pytest.raises(UsageError, match=r"two parts of the state are called a\.b"):
            take(state)


def test_a_mask_is_not_silently_lost() -> None:
    with pytest.raises(UsageError, match="x is a masked array"):
        take({"x": np.ma.masked_array([1.0, 2.0], mask=[False, True])})


# --- values and objects ----------------------------------------------------------------------------------------------

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


class Thing:
    """Any object with a state."""

    def __init__(self, tree: Any) -> None:
        self.tree = tree

    def state_dict(self) -> Any:
        return self.tree

    def load_state_dict(self, tree: Any) -> None:
        self.tree = tree


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


def test_an_object_that_does_not_take_its_state_is_named_and_so_is_what_is_loaded_and_what_is_not(tmp_path: Any) -> None:
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


# --- optimizers ------------------------------------------------------------------------------------------------------

OPTIMIZERS = {
    "AdamW": {},
    "SGD": {"momentum": 0.9, "lr": 0.1},
    "Adagrad": {},
    "RMSprop": {"centered": True},
    "Adafactor": {},
    "NAdam": {},
    "ASGD": {},
    "Rprop": {},
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_training_goes_on_from_a_fresh_optimizer_as_if_nothing_happened(kind: str) -> None:
    def make(seed: int) -> tuple[Net, Any]:
        torch.manual_seed(seed)
        net = Net()
        return net, getattr(torch.optim, kind)([p for p in net.parameters() if p.numel()], **OPTIMIZERS[kind])

    net, optimizer = make(0)
    train(net, optimizer, 3)
    checkpoint = stored({"model": net, "opt": optimizer})
    other, fresh = make(1)
    checkpoint.load({"model": other, "opt": fresh})
    assert train(other, fresh, 4) == train(net, optimizer, 4)


def test_nothing_is_hung_into_an_optimizer_before_accept() -> None:
    net, optimizer = trained()
    checkpoint = stored({"model": net, "opt": optimizer, "step": 5})
    other, fresh = trained(0, 1, lr=0.5)
    state = {"model": other, "opt": fresh, "step": 0}
    inventory = take_for_load(state, checkpoint.objects, checkpoint.values)
    assert (len(fresh.state), fresh.param_groups[0]["lr"], state["step"]) == (0, 0.5, 0)
    checkpoint.fill(inventory)
    assert (len(fresh.state), fresh.param_groups[0]["lr"], state["step"]) == (len(optimizer.state), 0.01, 5)
    for mine, his in zip(other.parameters(), net.parameters(), strict=True):
        for slot, value in optimizer.state.get(his, {}).items():
            assert torch.equal(fresh.state[mine][slot], value)
            assert fresh.state[mine][slot].dtype == value.dtype


def test_slots_that_are_there_are_filled_in_place_and_others_dropped() -> None:
    net, optimizer = trained(0)
    early = stored({"model": net, "opt": optimizer})  # before the first step
    train(net, optimizer, 2)
    late = stored({"model": net, "opt": optimizer})
    slot = optimizer.state[net.up.weight]["exp_avg"]
    expected = slot.clone()
    train(net, optimizer, 1)
    late.load({"model": net, "opt": optimizer})
    assert optimizer.state[net.up.weight]["exp_avg"] is slot
    assert torch.equal(slot, expected)
    early.load({"model": net, "opt": optimizer})
    assert len(optimizer.state) == 0


def test_slots_that_are_not_to_be_loaded_stay() -> None:
    net, optimizer = trained(2)
    checkpoint = stored({"model": net, "opt": optimizer})
    other, used = trained(1, 3)
    before = {slot: value.clone() for slot, value in used.state[other.up.weight].items()}
    checkpoint.load({"model": other, "opt": used}, select=lambda name: not name.endswith("exp_avg_sq"))
    after = used.state[other.up.weight]
    assert after.keys() == before.keys()
    assert torch.equal(after["exp_avg_sq"], before["exp_avg_sq"])
    assert torch.equal(after["exp_avg"], optimizer.state[net.up.weight]["exp_avg"])


def test_moments_of_a_parameter_that_the_checkpoint_does_not_know_stay() -> None:
    net, optimizer = trained(2)
    checkpoint = stored({"model": {"up": net.up}, "opt": torch.optim.AdamW(net.up.parameters())})
    before = optimizer.state[net.down.weight]["exp_avg"].clone()
    checkpoint.load({"model": net, "opt": optimizer}, strict=False)
    assert torch.equal(optimizer.state[net.down.weight]["exp_avg"], before)
    assert net.up.weight not in optimizer.state  # saved before the first step


def test_slots_that_are_no_tensors_come_back() -> None:
    def make(slots: dict[str, Any]) -> tuple[Any, Any]:
        weight = torch.nn.Parameter(torch.ones(2))
        optimizer = torch.optim.SGD([weight])
        if slots:
            optimizer.state[weight] = slots
        return weight, optimizer

    slots = {"calls": 7, "history": (1.5, {"last": torch.arange(3)}), "momentum_buffer": torch.tensor([1.0, 2.0])}
    weight, optimizer = make(slots)
    checkpoint = stored({"w": weight, "opt": optimizer})
    for here in ({}, {"calls": 1, "history": None, "momentum_buffer": torch.zeros(2), "more": 3}):
        weight, fresh = make(here)
        checkpoint.load({"w": weight, "opt": fresh})
        got = fresh.state[weight]
        assert got.keys() == slots.keys()
        assert (got["calls"], got["history"][0], got["history"][1]["last"].tolist()) == (7, 1.5, [0, 1, 2])
        assert got["momentum_buffer"].tolist() == [1.0, 2.0]


def test_how_a_group_computes_is_for_the_program_to_say() -> None:
    net, optimizer = trained(0, foreach=True, fused=None)
    checkpoint = stored({"model": net, "opt": optimizer})
    how = {"params", "param_names", "foreach", "fused", "capturable", "differentiable"}
    assert not how & checkpoint.values["opt.group.model.up.weight"].keys()
    fresh = torch.optim.AdamW(net.parameters(), lr=0.5, foreach=False, differentiable=True)
    checkpoint.load({"model": net, "opt": fresh})
    (group,) = fresh.param_groups
    assert (group["lr"], group["foreach"], group["differentiable"]) == (0.01, False, True)


def test_hyperparameters_are_regrouped() -> None:
    net, _ = trained(0)
    matrices = [p for p in net.parameters() if p.ndim > 1]
    others = [p for p in net.parameters() if p.ndim <= 1]
    two = torch.optim.AdamW([{"params": matrices, "lr": 0.2, "weight_decay": 0.3}, {"params": others, "lr": 0.1}])
    checkpoint = stored({"model": net, "opt": two})
    turned = torch.optim.AdamW([{"params": others, "lr": 9.0}, {"params": matrices[:1]}, {"params": matrices[1:], "tag": "x"}])
    checkpoint.load({"model": net, "opt": turned})
    assert [group["lr"] for group in turned.param_groups] == [0.1, 0.2, 0.2]
    assert turned.param_groups[2]["weight_decay"] == 0.3
    assert turned.param_groups[2]["betas"] == (0.9, 0.999)
    one = torch.optim.AdamW(net.parameters())
    with pytest.raises(CheckpointMismatch, match=r"opt\.param_groups\[0\] has parameters that were saved with different.*lr"):
        take_for_load({"model": net, "opt": one}, checkpoint.objects, checkpoint.values)


def test_a_learning_rate_that_is_a_tensor_is_filled_in_place() -> None:
    net, _ = trained(0)
    source = torch.optim.AdamW(net.parameters(), lr=torch.tensor(0.25))
    lr = torch.tensor(0.5)
    target = torch.optim.AdamW(net.parameters(), lr=lr)
    stored({"model": net, "opt": source}).load({"model": net, "opt": target})
    assert target.param_groups[0]["lr"] is lr
    assert lr.item() == 0.25


def test_a_parameter_that_is_not_in_the_state_is_refused() -> None:
    net, optimizer = trained(0)
    with pytest.raises(UsageError, match=r"opt: group 0 has a parameter of shape \(\) that is nowhere in the state"):
        take({"opt": optimizer})
    del net


def test_moments_follow_the_declared_layout_of_their_parameter() -> None:
    net, optimizer = trained(2)
    whole = stored({"model": net, "opt": optimizer})

    def rank(number: int) -> tuple[Any, Layout]:
        up = torch.nn.Linear(4, 3, bias=False)
        shard = torch.optim.AdamW(up.parameters())
        part = slice(3 * number, 3 * number + 3)
        up.weight.data = net.up.weight.data[part].clone()
        shard.state[up.weight] = {
            slot: value[part].clone() if value.ndim else value.clone() for slot, value in optimizer.state[net.up.weight].items()
        }
        return {"model": {"up": up}, "opt": shard}, Layout([Split("up.weight", 0, "tp")], {"tp": (number, 2)})

    parts = stored_by(2, rank)
    for name, array in parts.arrays.items():
        np.testing.assert_array_equal(array, whole.arrays[name])
    assert parts.objects["opt.state.model.up.weight.exp_avg_sq"].shape == (6, 4)
    state, layout = rank(0)
    for tensor in (state["model"]["up"].weight.data, *state["opt"].state.pop(state["model"]["up"].weight).values()):
        tensor.zero_()
    parts.load(state, layout, coords={"tp": 1})
    assert torch.equal(state["model"]["up"].weight.data, net.up.weight.data[3:])
    assert torch.equal(state["opt"].state[state["model"]["up"].weight]["exp_avg"], optimizer.state[net.up.weight]["exp_avg"][3:])


def test_slots_of_another_shape_follow_where_that_is_sure_and_are_refused_elsewhere() -> None:
    def state(rank: int, dim: int) -> tuple[Any, Layout]:
        weight = torch.nn.Parameter(torch.ones(2, 4))
        optimizer = torch.optim.Adafactor([weight])
        optimizer.state[weight] = {"row_var": torch.full((2, 1), float(rank)), "step": torch.tensor(1.0)}
        return {"w": weight, "opt": optimizer}, Layout([Split("w", dim, "tp")], {"tp": (rank, 2)})

    checkpoint = stored_by(2, lambda rank: state(rank, 0))
    assert checkpoint.arrays["opt.state.w.row_var"].view("float32").tolist() == [[0], [0], [1], [1]]
    target, layout = state(1, 0)
    target["opt"].state.clear()
    checkpoint.load(target, layout)
    assert target["opt"].state[target["w"]]["row_var"].tolist() == [[1], [1]]
    with pytest.raises(LayoutError, match=r"opt\.state\.w\.row_var has shape \(2, 1\), its parameter \(2, 4\)"):
        take(*state(0, 1))


def test_a_slot_that_may_lie_anyhow_in_a_split_parameter_is_refused() -> None:
    weight = torch.nn.Parameter(torch.ones(4, 4))
    optimizer = torch.optim.SGD([weight])
    optimizer.state[weight] = {"row_var": torch.ones(4)}
    checkpoint = stored({"w": weight, "opt": optimizer})
    shard = torch.nn.Parameter(torch.ones(2, 4))
    with pytest.raises(CheckpointMismatch, match=r"opt\.state\.w\.row_var has shape \(4,\) in .* \(4, 4\): how this follows"):
        checkpoint.load({"w": shard, "opt": torch.optim.SGD([shard])}, Layout([Split("w", 0, "tp")], {"tp": (0, 2)}))


# --- flat optimizers -------------------------------------------------------------------------------------------------


def flat_rank(net: Net, optimizer: Any, rank: int, ranks: int, empty: bool = False) -> tuple[Any, Layout | None]:
    """ZeRO-1 by hand: the module is whole, its optimizer has a range of all trainable parameters in a row, with padding."""
    shapes = {f"model.{name}": tuple(p.shape) for name, p in net.named_parameters() if p.requires_grad}
    names = [name for name in shapes if math.prod(shapes[name])]
    offsets, at = {}, 0
    for name in names:
        offsets[name] = at = -(-at // 4) * 4
        at += math.prod(shapes[name])
    each = -(-at // ranks)

    def flat(values: Any) -> Any:
        buffer = torch.full((each * ranks,), 77.0)
        for name in names:
            value = values(net.get_parameter(name.removeprefix("model.")))
            buffer[offsets[name] : offsets[name] + value.numel()] = value.detach().reshape(-1)
        return buffer[rank * each : (rank + 1) * each].clone()

    master = torch.nn.Parameter(flat(lambda p: p))
    mine = torch.optim.AdamW([master], lr=0.01)
    if not empty:
        mine.state[master] = {slot: flat(lambda p, s=slot: optimizer.state[p][s]) for slot in ("exp_avg", "exp_avg_sq")}
        mine.state[master]["step"] = optimizer.state[net.up.weight]["step"].clone()
    declared = Flat(master, {name: shapes[name] for name in names}, start=rank * each, align=4)
    return {"model": net, "opt": FlatOptimizer(mine, [declared])}, None


def test_flat_moments_are_those_of_the_parameters_and_come_back_under_other_ranks() -> None:
    net, optimizer = trained(3)
    whole = stored({"model": net, "opt": optimizer})
    flat = stored_by(3, lambda rank: flat_rank(net, optimizer, rank, 3))
    for name, array in flat.arrays.items():
        np.testing.assert_array_equal(array, whole.arrays[name], err_msg=name)
    assert {name for name in whole.arrays if name not in flat.arrays and whole.arrays[name].size} == set()
    for rank in range(2):
        (state, _), (expected, _) = flat_rank(net, optimizer, rank, 2, empty=True), flat_rank(net, optimizer, rank, 2)
        flat.load(state)
        master, other = state["opt"].optimizer.param_groups[0]["params"][0], expected["opt"].optimizer.param_groups[0]["params"][0]
        got, want = state["opt"].optimizer.state[master], expected["opt"].optimizer.state[other]
        for slot in want:
            want[slot][want[slot] == 77.0] = 0  # padding: not saved, zero in fresh memory
            assert torch.equal(got[slot], want[slot]), slot
    other, fresh = trained(0, 1)
    flat.load({"model": other, "opt": fresh}, strict=False)
    assert train(other, fresh, 3) == train(net, optimizer, 3)


def test_a_flat_buffer_may_be_every_other_element_of_something() -> None:
    base, other = torch.arange(40.0), torch.full((40,), -1.0)
    parameters = {"a": (3, 4), "b": (2,)}
    checkpoint = stored({"f": Flat(base[1::2], parameters)})
    assert checkpoint.arrays["f.a"].view("float32").tolist() == base[1:25:2].reshape(3, 4).tolist()
    checkpoint.load({"f": Flat(other[1::2], parameters)})
    expected = torch.full((40,), -1.0)
    expected[1:29:2] = base[1:29:2]
    assert torch.equal(other, expected)
    turned = np.arange(14.0)[::-1]
    assert stored({"f": Flat(turned, parameters)}).arrays["f.a"].view("float64").tolist() == turned[:12].reshape(3, 4).tolist()


def test_masters_of_flat_optimizers_are_a_slot() -> None:
    net, optimizer = trained(1)
    state, _ = flat_rank(net, optimizer, 0, 1)
    state["opt"] = FlatOptimizer(state["opt"].optimizer, state["opt"].flats, masters=True)
    checkpoint = stored(state)
    np.testing.assert_array_equal(checkpoint.arrays["opt.state.model.up.weight.master"], checkpoint.arrays["model.up.weight"])
    target, _ = flat_rank(*trained(1, 5), 0, 1, empty=True)
    target["opt"] = FlatOptimizer(target["opt"].optimizer, target["opt"].flats, masters=True)
    checkpoint.load(target)
    flat = target["opt"].flats[0]
    name, shape, begin, end, at = next(each for each in flat.ranges() if each[0] == "model.up.weight")
    assert torch.equal(flat.tensor.detach()[at : at + end - begin].reshape(shape), net.up.weight)
    holdings = {holding.name: holding.guarded for holding in take(target).holdings}
    assert holdings[name]
    assert not holdings["model.count"]


def test_parameters_that_share_a_flat_buffer_must_agree_on_their_step() -> None:
    net, optimizer = trained(2)
    optimizer.state[net.up.bias]["step"].add_(1)
    checkpoint = stored({"model": net, "opt": optimizer})
    state, _ = flat_rank(net, optimizer, 0, 1, empty=True)
    with pytest.raises(CheckpointMismatch, match=r"step is 2\.0 and opt\.state\.model\.up\.bias\.step is 3\.0, but they share"):
        checkpoint.load(state, strict=False)
    assert len(state["opt"].optimizer.state) == 0


def test_parameters_that_share_a_flat_buffer_must_have_the_same_slots() -> None:
    net, optimizer = trained(2)
    del optimizer.state[net.up.bias]["exp_avg_sq"]
    checkpoint = stored({"model": net, "opt": optimizer})
    state, _ = flat_rank(*trained(1, 5), 0, 1, empty=True)
    with pytest.raises(CheckpointMismatch, match=r"and model\.up\.bias share a flat buffer of opt, but the checkpoint has"):
        checkpoint.load(state, strict=False)


def test_moments_in_flat_buffers_are_changed_by_nobody_but_their_optimizer() -> None:
    state, _ = flat_rank(*trained(1), 0, 1)
    guarded = {holding.name: holding.guarded for holding in take(state).holdings if holding.object.kind == "moment"}
    assert guarded["opt.state.model.up.weight.exp_avg"]
    assert all(guarded.values())


def test_flat_parameters_of_fsdp1_have_the_names_and_moments_of_the_module() -> None:
    net, optimizer = trained(2)
    whole = stored({"model": net, "opt": optimizer})

    def rank(number: int) -> tuple[Any, None]:
        state, _ = flat_rank(net, optimizer, number, 2)
        declared = state["opt"].flats[0]
        short = {name.removeprefix("model."): shape for name, shape in declared.parameters.items()}
        return {"model": Flat(declared.tensor, short, declared.start, declared.align), "opt": state["opt"].optimizer}, None

    checkpoint = stored_by(2, rank)
    for name in checkpoint.arrays:
        np.testing.assert_array_equal(checkpoint.arrays[name], whole.arrays[name], err_msg=name)
    assert checkpoint.objects["model.up.weight"].kind == "param"
    assert "opt.state.model.up.weight.exp_avg" in checkpoint.arrays


def test_the_state_of_another_kind_of_optimizer_is_refused() -> None:
    net, optimizer = trained(1)
    checkpoint = stored({"model": net, "opt": optimizer})
    other = torch.optim.SGD(net.parameters(), lr=0.5, momentum=0.9)
    for strict in (True, False):
        with pytest.raises(CheckpointMismatch, match=r"saved by torch.optim.AdamW, and is a torch.optim.SGD now"):
            checkpoint.load({"model": net, "opt": other}, strict=strict)
    assert not other.state
    checkpoint.load({"model": net, "opt": other}, select=lambda name: not name.startswith("opt."))
    assert other.param_groups[0]["lr"] == 0.5


def test_hyperparameters_of_schedules_newer_versions_and_the_program_are_no_other_kind() -> None:
    net, optimizer = trained(1)
    optimizer.param_groups[0]["name"] = "all"
    checkpoint = stored({"model": net, "opt": optimizer})
    checkpoint.load({"model": net, "opt": torch.optim.AdamW(net.parameters(), lr=0.5)})  # the name comes along
    torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=4)
    del optimizer.param_groups[0]["name"], optimizer.param_groups[0]["maximize"]  # as of an older version
    stored({"model": net, "opt": optimizer}).load({"model": net, "opt": torch.optim.AdamW(net.parameters(), lr=0.5)})


# --- what does not fit -----------------------------------------------------------------------------------------------


def test_what_the_checkpoint_lacks_is_listed() -> None:
    checkpoint = stored({"a": np.zeros(2), "n": 1})
    with pytest.raises(
        CheckpointMismatch,
        match=r"b is in the state \(F64 \[3\]\), but not in the checkpoint\n  m is in .*a plain value.*\nNothing was changed",
    ):
        checkpoint.load({"a": np.zeros(2), "b": np.zeros(3), "n": 0, "m": 0})
    target = {"a": np.ones(2), "b": np.ones(3), "n": 0, "m": 5}
    checkpoint.load(target, strict=False)
    assert (target["a"].tolist(), target["b"].tolist(), target["n"], target["m"]) == ([0, 0], [1, 1, 1], 1, 5)


def test_another_shape_or_type_is_listed() -> None:
    checkpoint = stored({"a": np.zeros(2), "b": np.zeros(3)})
    with pytest.raises(CheckpointMismatch, match=r"a is an array \(F64 \[\]\) in the state and a plain value in the checkpoint"):
        stored({"a": 3}).load({"a": np.zeros(())})
    with pytest.raises(CheckpointMismatch, match=r"a is a plain value in the state and an array \(F64 \[2\]\) in the checkpoint"):
        checkpoint.load({"a": None, "b": np.zeros(3)})
    with pytest.raises(
        CheckpointMismatch,
        match=r"a is F64 \[3\] in the state and F64 \[2\] in the checkpoint\n  b is F32 \[3\] in the state and F64 \[3\]",
    ):
        checkpoint.load({"a": np.zeros(3), "b": np.zeros(3, "float32")})


def test_what_nobody_wants_is_listed_with_the_names_of_all_ranks() -> None:
    checkpoint = stored({"a": np.zeros(2), "b": np.zeros(3), "n": 1})
    inventory = take_for_load({"a": np.zeros(2)}, checkpoint.objects, checkpoint.values)
    kept = fit.Stored(checkpoint.objects, checkpoint.values)
    assert fit.find_unclaimed(kept, claimed_names(inventory)) == [
        "b is in the checkpoint (F64 [3]), but not in the state",
        "n is in the checkpoint (a plain value), but not in the state",
    ]
    assert fit.find_unclaimed(kept, claimed_names(inventory) | {"b", "n"}) == []


def test_a_selection_leaves_the_rest_alone() -> None:
    net, optimizer = trained(2)
    checkpoint = stored({"model": net, "opt": optimizer, "step": 9})
    other, fresh = trained(1, 3)
    moments = fresh.state[other.up.weight]["exp_avg"].clone()
    state = {"model": other, "opt": fresh, "step": 0, "unknown": np.zeros(2)}
    checkpoint.load(state, select=lambda name: name.startswith("model."))
    assert torch.equal(other.up.weight, net.up.weight)
    assert torch.equal(fresh.state[other.up.weight]["exp_avg"], moments)
    assert state["step"] == 0


def test_an_optimizer_that_is_not_selected_stays_as_it_is() -> None:
    net, optimizer = trained(2)
    checkpoint = stored({"model": net, "opt": optimizer})
    other = Net()
    fresh = torch.optim.AdamW(other.parameters(), lr=0.5)
    checkpoint.load({"model": other, "opt": fresh}, select=lambda name: name.startswith("model."))
    assert (len(fresh.state), fresh.param_groups[0]["lr"]) == (0, 0.5)


def test_a_stage_and_the_whole_model_are_the_same_checkpoint() -> None:
    """TP x PP by hand: layers over two stages, rows over two ranks, the last stage's head tied to the first one's embedding."""
    layers = [torch.randn(4, 3) for _ in range(4)]
    embed = torch.randn(6, 3)
    rules = [Numbered("layers.{}"), Tied("head", to="embed"), Split("layers.*", 0, "tp"), Split("embed", 0, "tp"), Replicated("*")]

    def rank(number: int) -> tuple[Any, Layout]:
        stage, tp = divmod(number, 2)
        mine = [layer[2 * tp :][:2].clone() for layer in layers[2 * stage :][:2]]
        ends = {("embed", "head")[stage]: embed[3 * tp :][:3].clone()}
        here = [Numbered("layers.{}", start=2 * stage), *rules[1:]]
        return {"model": {"layers": mine, **ends}}, Layout(here, {"tp": (tp, 2), "pp": (stage, 2)})

    tied = embed.clone()
    whole = {"model": {"layers": [torch.zeros(4, 3) for _ in range(4)], "embed": tied, "head": tied}}
    expected = stored({"model": {"layers": layers, "embed": embed, "head": embed}})
    checkpoint = stored_by(4, rank)
    assert checkpoint.arrays.keys() == expected.arrays.keys()
    checkpoint.load(whole)
    for mine, his in zip(whole["model"]["layers"], layers, strict=True):
        assert torch.equal(mine, his)
    assert torch.equal(tied, embed)
    state, layout = rank(3)
    for tensor in (*state["model"]["layers"], state["model"]["head"]):
        tensor.zero_()
    expected.load(state, layout)
    assert torch.equal(state["model"]["head"], embed[3:])
    assert torch.equal(state["model"]["layers"][1], layers[3][2:])


def test_torch_is_not_imported_for_a_state_without_it() -> None:
    program = """
import sys, numpy
from headway.checkpoint.state.walk import take, take_for_load
from headway.checkpoint.state.parts.streams import Rng, Streams
from headway.checkpoint.state.parts.cursor import Cursor
from headway.checkpoint.layout.declared import Layout, Split
class Thing:
    def state_dict(self): return {"x": numpy.ones(2)}
    def load_state_dict(self, tree): pass
streams = Streams.dealt(2, rank=0, ranks=1, seed=1)
state = {"w": numpy.zeros((4, 2)), "step": 1, "rng": Rng(), "streams": streams, "cursor": Cursor(5), "thing": Thing()}
layout = Layout([Split("w", 0, "tp")], {"tp": (0, 1)})
inventory = take(state, layout)
loading = take_for_load(state, {each.name: each.object for each in inventory.holdings}, inventory.values, layout)
for mine, his in zip(loading.holdings, inventory.holdings, strict=True):
    for piece in mine.pieces:
        mine.memory.write(piece, his.memory.view(piece))
loading.accept(inventory.values)
sys.exit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_stored_notices_holes() -> None:
    """The test's own checkpoint must be able to say no."""
    with pytest.raises(AssertionError, match="w has a hole"):
        Stored([take({"w": np.zeros((2, 2))}, Layout([Split("w", 0, "tp")], {"tp": (0, 2)}))])
