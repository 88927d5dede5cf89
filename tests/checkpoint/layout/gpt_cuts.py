"""What each rank of a layout must have of the whole small GPT, computed the naive way: concatenate, split, pad.

This is the oracle for what `headway.checkpoint` says about layouts, so it shares nothing with it: numpy alone, no boxes, no rules.
That it is right in its turn is seen in training: all layouts begin with the cuts of one model, and their losses agree.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

VOCABULARY, PADDED, WIDTH, CONTEXT, LAYERS = 61, 64, 64, 16, 3
Q, K, V, KV_HEADS = 64, 32, 16, 2  # rows of the packed projection: 4 queries of 16, 2 keys of 16, 2 values of 8
HIDDEN, EXPERT_HIDDEN, EXPERTS = 192, 96, 4
BATCH = 8  # sequences of a step, whatever the layout: each has a lane
HALVES = 2  # of a sequence: each has random numbers of its own, so that sequence parallelism can take one of them
ALIGN = 4  # elements, of parameters in a flat buffer

Arrays = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Plan:
    """A layout of the training: how many ranks there are on each axis, and how what they share is kept.

    Ranks are numbered with `tp` innermost, then `pp`, then `dp`. The experts are split among each `ep` neighbours on the `dp` axis.
    """

    dp: int = 1
    pp: int = 1
    tp: int = 1
    ep: int = 1
    stages: tuple[tuple[int, ...], ...] = ((0, 1, 2),)
    sequence: bool = False
    shard: str = ""  # "ddp", "fsdp", "hsdp", "zero1"
    dtensors: bool = False  # tensor parallelism says by DTensors what it can say so
    tied: bool = False

    @property
    def size(self) -> int:
        return self.dp * self.pp * self.tp

    def at(self, rank: int) -> At:
        return At(self, rank // (self.tp * self.pp), rank // self.tp % self.pp, rank % self.tp)


@dataclass(frozen=True)
class At:
    """A place in a plan."""

    plan: Plan
    dp: int
    pp: int
    tp: int

    @property
    def ep(self) -> int:
        return self.dp % self.plan.ep

    @property
    def shard(self) -> tuple[int, int]:
        """Which chunk of the first dimension FSDP gives this rank."""
        return {"fsdp": (self.dp, self.plan.dp), "hsdp": (self.dp % 2, 2)}.get(self.plan.shard, (0, 1))

    @property
    def layers(self) -> tuple[int, ...]:
        return self.plan.stages[self.pp]

    @property
    def lanes(self) -> list[int]:
        """The samples of each batch that are for this rank."""
        return list(range(self.dp, BATCH, self.plan.dp))

    @property
    def halves(self) -> list[int]:
        """The parts of each sequence that are for this rank."""
        return [self.tp] if self.plan.sequence else [0, 1]

    def names(self) -> list[str]:
        """The tensors of the whole model of which this rank has any."""
        return [name for name in whole_shapes(tied=self.plan.tied) if self.has(name)]

    def has(self, name: str) -> bool:
        """Whether this rank has any of a tensor of the model."""
        words = name.split(".")
        if words[0] in ("norm", "head"):
            return LAYERS - 1 in self.layers
        if words[0] in ("embed", "positions"):
            return 0 in self.layers or (self.plan.tied and words[0] == "embed" and LAYERS - 1 in self.layers)
        if "experts" in words:
            each = EXPERTS // self.plan.ep
            if int(words[words.index("experts") + 1]) // each != self.ep:
                return False
        return int(words[1]) in self.layers


# --- names -----------------------------------------------------------------------------------------------------------


def local_name(name: str, at: At) -> str:
    """What the module of this rank calls a tensor of the whole model."""
    words = name.split(".")
    if name == "embed.weight" and 0 not in at.layers:
        return "head.weight"
    if words[0] == "layers":
        words[1] = str(at.layers.index(int(words[1])))
    if "experts" in words:
        number = words.index("experts") + 1
        words[number] = str(int(words[number]) % (EXPERTS // at.plan.ep))
    return ".".join(words)


def whole_shapes(*, tied: bool = False) -> dict[str, tuple[int, ...]]:
    """Every tensor of the model. Tied, the output projection is the embedding."""
    shapes: dict[str, tuple[int, ...]] = {"embed.weight": (VOCABULARY, WIDTH), "positions": (CONTEXT, WIDTH)}
    for layer in range(LAYERS):
        one: dict[str, tuple[int, ...]] = {
            "blend": (3,),
            "norm1.weight": (WIDTH,),
            "norm2.weight": (WIDTH,),
            "attention.qkv.weight": (Q + K + V, WIDTH),
            "attention.qkv.bias": (Q + K + V,),
            "attention.o.weight": (WIDTH, 32),
        }
        if layer == 0:
            one |= {"feed.mlp.gate_up.weight": (2 * HIDDEN, WIDTH), "feed.mlp.down.weight": (WIDTH, HIDDEN)}
        else:
            one["feed.router.weight"] = (EXPERTS, WIDTH)
        if layer == 1:
            one |= {"feed.gate_up": (EXPERTS, 2 * EXPERT_HIDDEN, WIDTH), "feed.down": (EXPERTS, WIDTH, EXPERT_HIDDEN)}
        for expert in range(EXPERTS if layer == 2 else 0):
            one[f"feed.experts.{expert}.gate_up.weight"] = (2 * EXPERT_HIDDEN, WIDTH)
            one[f"feed.experts.{expert}.down.weight"] = (WIDTH, EXPERT_HIDDEN)
        shapes |= {f"layers.{layer}.{name}": shape for name, shape in one.items()}
    return shapes | {"norm.weight": (WIDTH,)} | ({} if tied else {"head.weight": (VOCABULARY, WIDTH)})


def first_model(*, tied: bool = False) -> Arrays:
    """The model that all layouts begin with."""
    rng = np.random.default_rng(11)
    model: Arrays = {}
    for name, shape in whole_shapes(tied=tied).items():
        if "norm" in name or "blend" in name:
            model[name] = np.ones(shape, "float32")
        elif name.endswith("bias"):
            model[name] = np.zeros(shape, "float32")
        else:
            model[name] = rng.normal(0, 0.5 if name == "positions" else shape[-1] ** -0.5, shape).astype("float32")
    return model


# --- cuts ------------------------------------------------------------------------------------------------------------


def cut(name: str, whole: np.ndarray[Any, Any], at: At) -> np.ndarray[Any, Any]:
    """What this rank has of an array that has the shape of this tensor of the model, before any flattening."""
    rank, ranks = at.shard
    part = for_tp(name, whole, at)
    if "positions" in name or ranks == 1:
        return part
    each = -(-len(part) // ranks)
    return part[rank * each : (rank + 1) * each]


def for_tp(name: str, whole: np.ndarray[Any, Any], at: At) -> np.ndarray[Any, Any]:
    """What this rank computes with."""
    tp, ranks = at.tp, at.plan.tp
    if at.plan.ep > 1 and name in ("layers.1.feed.gate_up", "layers.1.feed.down"):
        whole = np.split(whole, at.plan.ep)[at.ep]
    if ranks == 1:
        return whole
    if name in ("embed.weight", "head.weight"):
        padding = np.zeros((PADDED - VOCABULARY, *whole.shape[1:]), whole.dtype)
        return np.split(np.concatenate([whole, padding]), ranks)[tp]
    if "qkv" in name:
        q, k, v = np.split(whole, [Q, Q + K])
        head = tp * KV_HEADS // ranks
        heads = min(ranks, KV_HEADS)
        return np.concatenate([np.split(q, ranks)[tp], np.split(k, heads)[head], np.split(v, heads)[head]])
    if "gate_up" in name:
        axis = 1 if name == "layers.1.feed.gate_up" else 0
        gate, up = np.split(whole, 2, axis)
        return np.concatenate([np.split(gate, ranks, axis)[tp], np.split(up, ranks, axis)[tp]], axis)
    if "down" in name or name.endswith("attention.o.weight"):
        return np.split(whole, ranks, -1)[tp]
    return whole


def flattened(parts: Iterable[np.ndarray[Any, Any]], at: At) -> np.ndarray[Any, Any]:
    """This rank's range of the flat buffer of all of them."""
    buffer = np.zeros(0, "float32")
    for part in parts:
        begin = -(-len(buffer) // ALIGN) * ALIGN
        buffer = np.concatenate([buffer, np.zeros(begin - len(buffer), "float32"), part.reshape(-1)])
    each = flat_size(len(buffer), at.plan.dp)
    buffer = np.concatenate([buffer, np.zeros(each * at.plan.dp - len(buffer), "float32")])
    return buffer[at.dp * each : (at.dp + 1) * each]


def flat_size(elements: int, ranks: int) -> int:
    """How many elements of a buffer each rank has. Odd, so that ranges begin anywhere in a row."""
    return -(-elements // ranks) | 1
