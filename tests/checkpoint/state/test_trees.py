"""Trees of values: the same on every rank, whole after a load, and refused by name where they could not be read again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from in_memory import Thing, stored
from small_net import torch

import headway as hw
from headway.checkpoint.state.values.tree import decode, encode
from headway.checkpoint.state.walk import take, take_for_load
from headway.errors import UsageError
from headway.values import MAX_DEPTH


def nested(levels: int, wrap: Any) -> Any:
    tree: Any = "end"
    for _ in range(levels):
        tree = wrap(tree)
    return tree


@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_a_set_of_sets_has_one_order_on_all_ranks(seed: str) -> None:
    code = (
        "from headway.checkpoint.state.values.tree import encode\n"
        "print(encode({frozenset('az'), frozenset('by'), frozenset('cx'), (1, frozenset('dw'))}, 'x', lambda name, leaf: None))"
    )
    run = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True)
    assert run.stdout == (
        "{'$set': [{'$frozenset': ['a', 'z']}, {'$frozenset': ['b', 'y']}, {'$frozenset': ['c', 'x']}, "
        "{'$tuple': [1, {'$frozenset': ['d', 'w']}]}]}\n"
    ), run.stderr


@pytest.mark.parametrize(
    "tree",
    [
        {np.int64(1): "a", np.int64(2): "b"},
        Counter([np.int64(1), np.int64(1), np.int64(2)]),
        {np.float32(0.5): {np.int8(1): 2}},
        {(np.int64(1), 2): np.int64(3)},
    ],
)
def test_numbers_of_numpy_may_be_keys(tree: Any) -> None:
    target = Thing(None)
    stored({"thing": Thing(tree)}).load({"thing": target})
    assert target.tree == tree
    assert [type(key) for key in target.tree] == [type(key) for key in tree]


def test_a_state_that_contains_itself_is_refused_with_the_place(tmp_path: Path) -> None:
    loop: dict[str, Any] = {"step": 1}
    loop["me"] = [loop]
    row: list[Any] = [1]
    row.append(row)
    said = "contains itself, at {}: a value that contains itself can't be kept in a checkpoint"
    for state, place in [
        (loop, "me.0"),
        ({"w": torch.ones(1), "row": row}, "row.1"),
        ({"thing": Thing(loop)}, "thing.me.0"),
        ({"thing": Thing({"a": {1: row}})}, "thing.a.1.1"),
    ]:
        with pytest.raises(UsageError, match=said.format(place)):
            take(state)
        with hw.Checkpoints(tmp_path) as checkpoints, pytest.raises(UsageError, match="contains itself"):
            next(checkpoints.steps(state, 3, every=1))
    with pytest.raises(UsageError, match=said.format("me.0")):
        take_for_load(loop, {}, {})
    row.clear()
    loop.clear()


def test_what_is_there_twice_does_not_contain_itself() -> None:
    row = [1, 2]
    take({"a": row, "b": [row, row], "thing": Thing({"a": row, "b": (row, row)})})


def test_an_error_of_the_program_stays_what_it_is() -> None:
    class Endless(Thing):
        def state_dict(self) -> Any:
            return self.state_dict()

    with pytest.raises(RecursionError):
        take({"thing": Endless(0)})


@pytest.mark.parametrize(
    "wrap",
    [lambda tree: [tree], lambda tree: {1: tree}, lambda tree: (tree,), lambda tree: {"a": tree}],
    ids=["list", "numbered", "tuple", "named"],
)
def test_what_is_kept_can_be_read_again_however_deep(wrap: Any) -> None:
    tree = nested(MAX_DEPTH, wrap)
    through = msgspec.json.decode(msgspec.json.encode(encode(tree, "x", lambda name, leaf: None)))
    assert decode(through, lambda mark, name: None) == tree
    with pytest.raises(UsageError, match=f"is nested deeper than {MAX_DEPTH} levels"):
        encode(nested(MAX_DEPTH + 2, wrap), "x", lambda name, leaf: None)
    with pytest.raises(UsageError, match=f"is nested deeper than {MAX_DEPTH} levels"):
        encode(nested(400, wrap), "x", lambda name, leaf: None)
