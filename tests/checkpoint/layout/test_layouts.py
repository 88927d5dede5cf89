"""Declared layouts against a naive oracle: an array is cut with numpy as a framework would, and must come back together."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.checkpoint.layout.boxes import hole, overlap
from headway.checkpoint.layout.declared import Layout, Numbered, Pad, Part, Renamed, Replicated, Rule, Split, Tied
from headway.checkpoint.state.inventory import Holding, Inventory
from headway.checkpoint.state.parts.flat import Flat
from headway.checkpoint.state.walk import take, take_for_load
from headway.errors import LayoutError, UsageError

PADDING = -7


# --- the oracle: slices and concatenations of numpy, nothing of ours -------------------------------------------------


def cut_naively(whole: np.ndarray, rule: Split, rank: int, ranks: int) -> np.ndarray:
    """What a rank has after one split."""
    whole = np.moveaxis(whole, rule.dim, 0)
    parts = [whole] if not rule.parts else np.split(whole, np.cumsum([size_of(part) for part in rule.parts])[:-1])
    mine = []
    for number, part in enumerate(parts):
        widths, copies = rule.widths, rule.copies
        if rule.parts and isinstance(rule.parts[number], Part):
            widths, copies = rule.parts[number].widths, rule.parts[number].copies
        if widths:
            mine.append(np.split(part, np.cumsum(widths)[:-1])[rank // copies])
        else:
            each = math.ceil(len(part) / (ranks // copies))
            mine.append(part[rank // copies * each :][:each])
    return np.ascontiguousarray(np.moveaxis(np.concatenate(mine), 0, rule.dim))


def size_of(part: int | Part) -> int:
    return part.size if isinstance(part, Part) else part


def local_naively(whole: np.ndarray, rules: list[Rule], axes: dict[str, int], at: dict[str, int]) -> np.ndarray:
    for rule in rules:
        if isinstance(rule, Split):
            whole = cut_naively(whole, rule, at[rule.axis], axes[rule.axis])
    return whole


def positions(axes: dict[str, int]) -> Iterator[dict[str, int]]:
    for at in itertools.product(*map(range, axes.values())):
        yield dict(zip(axes, at, strict=True))


def layout_at(rules: list[Rule], axes: dict[str, int], at: dict[str, int]) -> Layout:
    return Layout(rules, {axis: (at[axis], size) for axis, size in axes.items()})


def gather(whole: np.ndarray, holdings: list[Holding], replicas: str = "equal") -> None:
    """Read all pieces back: each is that part of the array, and there are no holes. Boxes overlap only as equal ones, except where
    `replicas` are "cut" differently: packed parts of which only some have copies."""
    held = np.zeros(whole.shape, bool)
    boxes = set()
    for holding in holdings:
        assert holding.object.shape == whole.shape
        for piece in holding.pieces:
            into = np.empty(piece.box.extent, f"u{whole.itemsize}")
            holding.memory.read(piece, into)
            part = tuple(map(slice, piece.box.offset, piece.box.end))
            np.testing.assert_array_equal(into.view(whole.dtype), whole[part])
            held[part] = True
            boxes.add(piece.box)
    assert held.all()
    if replicas == "equal":
        assert overlap(boxes) is None
        assert hole(whole.shape, boxes) is None


def scatter(whole: np.ndarray, inventory: Inventory) -> None:
    """Write all pieces, as loading does."""
    for holding in inventory.holdings:
        for piece in holding.pieces:
            values = np.ascontiguousarray(whole[tuple(map(slice, piece.box.offset, piece.box.end))])
            holding.memory.write(piece, values.view(f"u{whole.itemsize}"))


# --- strategies ------------------------------------------------------------------------------------------------------


@st.composite
def one_split(draw: st.DrawFn, dim: int, axis: str, ranks: int) -> tuple[int, Split]:
    """A split of any kind, and the size of the dimension that it splits."""
    kind = draw(st.sampled_from(["even", "size", "widths", "parts", "copies", "uneven parts"]))
    sizes = st.integers(0, 5)
    if kind == "even":
        return ranks * draw(sizes), Split("w", dim, axis)
    if kind == "size":
        size = draw(st.integers(0, 11))
        return size, Split("w", dim, axis, size=size)
    if kind == "widths":
        widths = tuple(draw(sizes) for _ in range(ranks))
        return sum(widths), Split("w", dim, axis, widths=widths)
    copies = draw(st.sampled_from([c for c in range(1, ranks + 1) if ranks % c == 0]))
    if kind == "copies":
        return ranks // copies * draw(sizes), Split("w", dim, axis, copies=copies)
    if kind == "parts":  # as GQA: queries on all ranks, keys and values on fewer
        q, kv = ranks * draw(st.integers(1, 3)), ranks // copies * draw(st.integers(1, 2))
        return q + 2 * kv, Split("w", dim, axis, parts=(q, Part(kv, copies=copies), Part(kv, copies=copies)))
    widths = [tuple(draw(sizes) for _ in range(ranks)) for _ in range(2)]
    return sum(map(sum, widths)), Split("w", dim, axis, parts=tuple(Part(sum(each), each) for each in widths))


@st.composite
def split_arrays(draw: st.DrawFn) -> tuple[tuple[int, ...], list[Rule], dict[str, int]]:
    """A logical shape, the rules that cut it, and the axes."""
    axes = {axis: draw(st.integers(1, 4)) for axis in ("tp", "ep", "dp")}
    ndim = draw(st.integers(1, 3))
    shape: list[int] = []
    rules: list[Rule] = []
    free = list(axes)
    for dim in range(ndim):
        number = draw(st.integers(0, min(2, len(free))))
        mine, free = free[:number], free[number:]
        if number == 1:
            size, rule = draw(one_split(dim, mine[0], axes[mine[0]]))
            rules.append(rule)
        else:  # two axes on one dimension, the outer one first
            size = draw(st.integers(1, 3))
            for axis in mine:
                size *= axes[axis]
                rules.append(Split("w", dim, axis))
        shape.append(size)
    if draw(st.booleans()) and shape[0]:
        rules.append(Pad("w", 0, draw(st.integers(1, shape[0]))))
    return tuple(shape), rules or [Replicated("w")], axes


def padded_and_logical(shape: tuple[int, ...], rules: list[Rule]) -> tuple[np.ndarray, np.ndarray]:
    padded = np.arange(math.prod(shape), dtype="int32").reshape(shape)
    logical = padded
    for rule in rules:
        if isinstance(rule, Pad):
            logical = padded[: rule.size]
            padded = padded.copy()
            padded[rule.size :] = PADDING
    return padded, logical


# --- every split comes back together ---------------------------------------------------------------------------------


@settings(deadline=None, max_examples=150)
@given(case=split_arrays(), strided=st.booleans())
def test_what_all_ranks_hold_is_the_array(case: Any, strided: bool) -> None:
    shape, rules, axes = case
    padded, logical = padded_and_logical(shape, rules)
    holdings = []
    for at in positions(axes):
        local = local_naively(padded, rules, axes, at)
        if strided:
            local = np.asfortranarray(local)[::-1][::-1]
        holdings += take({"model": {"w": local}}, layout_at(rules, axes, at)).holdings
    assert {holding.name for holding in holdings} == {"model.w"}
    copies = any(isinstance(part, Part) and part.copies > 1 for rule in rules if isinstance(rule, Split) for part in rule.parts)
    gather(logical, holdings, "cut" if copies else "equal")


@settings(deadline=None, max_examples=80)
@given(case=split_arrays())
def test_loading_fills_each_shard_and_never_its_padding(case: Any) -> None:
    shape, rules, axes = case
    padded, logical = padded_and_logical(shape, rules)
    known = take({"w": logical}).holdings[0].object
    for at in positions(axes):
        expected = local_naively(padded, rules, axes, at)
        local = np.full(expected.shape, PADDING, "int32")
        scatter(logical, take_for_load({"w": local}, {"w": known}, {}, layout_at(rules, axes, at)))
        np.testing.assert_array_equal(local, expected)


@settings(deadline=None, max_examples=100)
@given(
    shapes=st.lists(st.lists(st.integers(1, 4), min_size=0, max_size=3).map(tuple), min_size=1, max_size=5),
    ranks=st.integers(1, 5),
    align=st.integers(1, 6),
    tp=st.integers(1, 3),
    data=st.data(),
)
def test_flat_ranges_of_shards_are_the_parameters(shapes: Any, ranks: int, align: int, tp: int, data: Any) -> None:
    """ZeRO-1 on top of tensor parallelism: each TP rank has a flat buffer of its shards, of which each DP rank has a range."""
    split = [data.draw(st.booleans()) and len(shape) > 0 for shape in shapes]
    rules: list[Rule] = [Split(f"*.w{n}", 0, "tp") if split[n] else Replicated(f"*.w{n}") for n in range(len(shapes))]
    wholes = [
        np.arange(math.prod(shape) * (tp if split[n] else 1), dtype="float64").reshape(
            (shape[0] * tp, *shape[1:]) if split[n] else shape
        )
        for n, shape in enumerate(shapes)
    ]
    holdings: list[Holding] = []
    for tp_rank in range(tp):
        layout = Layout(rules, {"tp": (tp_rank, tp)})
        buffer: list[float] = []
        for n, whole in enumerate(wholes):
            local = np.split(whole, tp)[tp_rank] if split[n] else whole
            buffer += [PADDING] * (-len(buffer) % align)
            buffer += local.reshape(-1).tolist()
        buffer += [PADDING] * (-len(buffer) % ranks)
        each = len(buffer) // ranks
        parameters = {f"w{n}": shape for n, shape in enumerate(shapes)}
        for rank in range(ranks):
            tensor = np.array(buffer[rank * each : (rank + 1) * each])
            flat = Flat(tensor, parameters, start=rank * each, align=align)
            holdings += take({"opt": {"exp_avg": flat}}, layout).holdings
    for n, whole in enumerate(wholes):
        gather(whole, [holding for holding in holdings if holding.name == f"opt.exp_avg.w{n}"])


def test_packed_qkv_with_fewer_keys_than_ranks_is_written_down_as_parts() -> None:
    """Four ranks, 8 query rows, 2 key and 2 value rows: each two ranks share a key head."""
    whole = np.arange(12 * 3).reshape(12, 3)
    q, k, v = whole[:8], whole[8:10], whole[10:]
    rule = Split("*.qkv.weight", 0, "tp", parts=(8, Part(2, copies=2), Part(2, copies=2)))
    holdings = []
    for rank in range(4):
        local = np.concatenate([q[2 * rank : 2 * rank + 2], k[rank // 2 : rank // 2 + 1], v[rank // 2 : rank // 2 + 1]])
        holdings += take({"model": {"l": {"qkv": {"weight": local}}}}, Layout([rule], {"tp": (rank, 4)})).holdings
    gather(whole, holdings, "cut")


# --- names -----------------------------------------------------------------------------------------------------------


def names(state: Any, layout: Layout) -> list[str]:
    return [holding.name for holding in take(state, layout).holdings]


def test_a_stage_calls_its_layers_by_their_number_in_the_model() -> None:
    state = {"model": {"layers": [{"w": np.zeros(1)}, {"w": np.zeros(1)}], "norm": np.zeros(1)}}
    layout = Layout([Numbered("layers.{}", start=6)], {"pp": (3, 4)})
    assert names(state, layout) == ["model.layers.6.w", "model.layers.7.w", "model.norm"]


def test_an_interleaved_stage_has_layers_that_are_not_neighbours() -> None:
    state = {"model": [{"layers": [{"w": np.zeros(1)}], "embed": np.ones(2)}, {"layers": [{"w": np.zeros(1)}]}]}
    rules = [
        Numbered("model.0.layers.{}", start=0, to="model.layers.{}"),
        Numbered("model.1.layers.{}", start=4, to="model.layers.{}"),
        Renamed("model.0.*", "model.*"),
    ]
    assert names(state, Layout(rules, {"pp": (0, 2)})) == ["model.layers.0.w", "model.embed", "model.layers.4.w"]
    two = {"layers": [np.zeros(1), np.zeros(1)]}
    assert names(two, Layout([Numbered("layers.{}", numbers=(1, 5))], {"pp": (0, 2)})) == ["layers.1", "layers.5"]
    with pytest.raises(LayoutError, match=r"layers\.1.*number 1 is missing"):
        names(two, Layout([Numbered("layers.{}", numbers=(1,))]))


def test_an_expert_per_name_has_its_number_among_all_experts() -> None:
    state = {"moe": {"experts": [np.zeros((2, 2)), np.zeros((2, 2))]}}
    layout = Layout([Numbered("experts.{}", start=2)], {"ep": (1, 2)})
    assert names(state, layout) == ["moe.experts.2", "moe.experts.3"]


def test_two_tensors_that_get_one_name_are_refused() -> None:
    layout = Layout([Renamed("a.*", "c.*"), Renamed("b.*", "c.*")])
    with pytest.raises(LayoutError, match=r"a\.w and b\.w are both called c\.w"):
        take({"a": {"w": np.zeros(2)}, "b": {"w": np.ones(2)}}, layout)


def test_the_copy_of_a_tied_embedding_on_another_stage_is_the_same_object() -> None:
    whole = np.arange(8.0).reshape(4, 2)
    rules = [Tied("head.weight", to="embed.weight"), Split("embed.weight", 0, "tp", size=4)]
    holdings = []
    for rank, key in itertools.product(range(2), ("embed", "head")):
        inventory = take({"model": {key: {"weight": whole[2 * rank :][:2]}}}, Layout(rules, {"tp": (rank, 2), "pp": (0, 2)}))
        assert [holding.name for holding in inventory.holdings] == ["model.embed.weight"]
        assert key == "embed" or inventory.aliases["model.head.weight"].alias_of == "model.embed.weight"
        holdings += inventory.holdings
    gather(whole, holdings)


def test_arrays_that_are_declared_tied_must_share_memory_in_one_process() -> None:
    layout = Layout([Tied("head", to="embed")])
    with pytest.raises(LayoutError, match="head is declared to be tied to embed, but has memory of its own"):
        take({"embed": np.zeros(3), "head": np.zeros(3)}, layout)
    same = np.zeros(3)
    inventory = take({"head": same, "embed": same}, layout)
    assert [holding.name for holding in inventory.holdings] == ["embed"]
    assert list(inventory.aliases) == ["head"]


# --- what a layout refuses -------------------------------------------------------------------------------------------

TP = {"tp": (1, 2)}
STATE = {"model": {"up": {"weight": np.zeros((4, 6)), "bias": np.zeros(4)}, "norm": np.zeros(6)}}
UP = [Split("up.weight", 0, "tp"), Split("up.bias", 0, "tp")]


def test_a_rule_that_fits_nothing_is_refused_with_close_names() -> None:
    with pytest.raises(LayoutError, match=r"Split\(pattern='upp\.weight'.* fits none of 3 tensors; close to it: .*up\.weight"):
        take(STATE, Layout([*UP, Split("upp.weight", 0, "tp")], TP))


def test_on_a_stage_a_rule_may_fit_nothing_but_not_on_all_stages() -> None:
    layout = Layout([*UP, Split("embed.weight", 0, "tp")], {**TP, "pp": (1, 2)})
    inventory = take(STATE, layout)
    with pytest.raises(LayoutError, match=r"embed\.weight"):
        layout.check_rules([holding.name for holding in inventory.holdings])
    layout.check_rules(["model.embed.weight", "model.up.weight", "model.up.bias"])


def test_a_matrix_without_a_rule_is_refused_where_others_are_split() -> None:
    state = {"model": {**STATE["model"], "down": np.zeros((6, 4))}}
    with pytest.raises(LayoutError, match=r"model\.down, here of shape \(6, 4\), has no rule"):
        take(state, Layout(UP, TP))
    take(state, Layout([*UP, Replicated("*")], TP))
    take(state, Layout([*UP, Replicated("down")], TP))
    take(state, Layout(UP, {"tp": (0, 1)}))  # nothing is really split


def test_the_bias_of_a_split_weight_must_not_be_forgotten() -> None:
    with pytest.raises(LayoutError, match=r"model\.up\.bias has 4 elements here, as many as the rows of model\.up\.weight"):
        take(STATE, Layout(UP[:1], TP))


def test_sizes_that_do_not_add_up_are_named() -> None:
    with pytest.raises(LayoutError, match=r"model\.up\.weight: .*rank 1 of 2 on axis 'tp' 5 of 10 elements in dimension 0.* has 4"):
        take(STATE, Layout([Split("up.weight", 0, "tp", size=10), Replicated("*")], TP))
    with pytest.raises(LayoutError, match="leaves 20 elements of dimension 0, which has only 8"):
        take(STATE, Layout([*UP, Pad("up.weight", 0, 20)], TP))
    with pytest.raises(LayoutError, match="about dimension 2, but the tensor has shape"):
        take(STATE, Layout([Split("up.weight", 2, "tp"), Replicated("*")], TP))


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([Split("a", 0, "ep")], "axis that is not there: axes are tp"),
        ([Split("a", 0, "tp", widths=(1, 2, 3))], "3 widths for 2 chunks"),
        ([Split("a", 0, "tp", parts=(Part(4, (1, 2)),))], "the widths of a part of 4 elements sum to 3"),
        ([Split("a", 0, "tp", copies=3)], "must be a multiple"),
        ([Split("a", 0, "tp", size=4, widths=(2, 2))], "give one of size, widths and parts"),
    ],
)
def test_a_rule_that_can_not_be_right_is_refused_at_once(rules: list[Rule], message: str) -> None:
    with pytest.raises(LayoutError, match=message):
        Layout(rules, TP)


@pytest.mark.parametrize(
    "rules",
    [
        [Split("up.weight", 0, "tp"), Split("up.*", 0, "tp")],
        [Split("up.*", 0, "tp"), Replicated("up.bias")],
        [*UP, Pad("up.*", 0, 7), Pad("*.bias", 0, 7)],
    ],
)
def test_rules_that_contradict_each_other_are_refused(rules: list[Rule]) -> None:
    with pytest.raises(LayoutError, match="both fit it: make one pattern narrower"):
        take(STATE, Layout([*rules, Replicated("*")], TP))


def test_a_rank_outside_its_axis_and_an_unknown_axis_are_refused() -> None:
    with pytest.raises(LayoutError, match="rank 2 of 2"):
        Layout([], {"tp": (2, 2)})
    with pytest.raises(LayoutError, match="no axis is called ep"):
        take(STATE, Layout(UP, TP), coords={"ep": 0})


def test_one_layout_serves_all_ranks_by_their_coordinates() -> None:
    layout = Layout([Split("w", 0, "tp")], {"tp": (0, 2)})
    whole = np.arange(6.0).reshape(6, 1)
    gather(whole, [take({"w": whole[3 * r :][:3]}, layout, coords={"tp": r}).holdings[0] for r in range(2)])


def test_a_flat_buffer_that_can_not_be_as_declared_is_refused() -> None:
    with pytest.raises(LayoutError, match="one dimension"):
        take({"f": Flat(np.zeros((2, 2)), {"w": (4,)})})
    with pytest.raises(LayoutError, match="2 offsets"):
        take({"f": Flat(np.zeros(4), {"w": (4,)}, offsets=(0, 4))})
    with pytest.raises(LayoutError, match="b begins at element 3 of a flat buffer, inside"):
        take({"f": Flat(np.zeros(8), {"a": (4,), "b": (4,)}, offsets=(0, 3))})
    with pytest.raises(UsageError, match=r"two arrays of the state are called f\.w"):
        take({"f": Flat(np.zeros(8), [("w", (4,)), ("w", (4,))])})
