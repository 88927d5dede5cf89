"""What a state is called and what is held of it: names, ties, wrappers, and what does not fit."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from in_memory import Stored, stored, stored_by
from small_net import Net, torch, trained

from headway.checkpoint.layout.declared import Layout, Numbered, Replicated, Split, Tied
from headway.checkpoint.state import fit
from headway.checkpoint.state.parts.flat import FlatOptimizer
from headway.checkpoint.state.walk import list_claimed_names, optimizers_in, take, take_for_load
from headway.errors import CheckpointMismatch, UsageError


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
        (lambda: np.zeros(3, [("a", "i1"), ("b", "f4")])["b"], "not multiples of its 4 bytes"),
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
    assert fit.find_unclaimed(kept, list_claimed_names(inventory)) == [
        "b is in the checkpoint (F64 [3]), but not in the state",
        "n is in the checkpoint (a plain value), but not in the state",
    ]
    assert fit.find_unclaimed(kept, list_claimed_names(inventory) | {"b", "n"}) == []


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
