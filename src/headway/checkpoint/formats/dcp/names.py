"""Translates the names of torch.distributed.checkpoint to those of a Headway state of modules and optimizers.

`get_state_dict` of torch names an optimizer's slots by the parameter: `opt.state.0.weight.exp_avg`, or, flattened, the same in one
word; groups are a list, or `opt.param_groups.0.weight.lr`. Here the slot is `opt.state.model.0.weight.exp_avg`, and the
hyperparameters are the value `opt.group.model.0.weight` (`optim_state`). The missing part is the model's place: the only one whose
arrays have all the names that the optimizer mentions. Words that wrappers add (`_orig_mod.`, DDP's `module.`) are removed.

Nothing is guessed. Slots by number (torch's plain `optimizer.state_dict()`) and an optimizer that fits several models keep their
names, and `notes` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Path = tuple[str | int, ...]
Number = Callable[[str], float | int | bool]
_STATE, _GROUPS = "state", "param_groups"
WORDS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")  # as in `module_state`, which needs torch
HOW = frozenset({"params", "param_names", "foreach", "fused", "capturable", "differentiable"})


@dataclass
class Optimizer:
    """What is said of one: for each slot, its parameter and the name of the slot; the hyperparameters of each parameter."""

    slots: dict[str, tuple[str, str]] = field(default_factory=dict)
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)
    numbered: bool = False

    @property
    def parameters(self) -> set[str]:
        return {parameter for parameter, _ in self.slots.values()} | set(self.groups)


@dataclass(frozen=True)
class Names:
    """What things are called. `groups`: values that take the place of those in `dropped`."""

    new: dict[str, str]
    groups: dict[str, dict[str, Any]]
    dropped: frozenset[str]
    slots: frozenset[str]
    notes: tuple[str, ...]


def headway_names(
    arrays: Iterable[str],
    values: Mapping[str, Any],
    paths: Mapping[str, Path],
    number: Number,
    rename: Callable[[str], str] = lambda name: name,
) -> Names:
    """Find the names for what is in a DCP checkpoint.

    Args:
        arrays: its arrays.
        values: what it has that is no array, by name.
        paths: where each was in the nested state.
        number: reads the one number in an array, for hyperparameters that are tensors.
        rename: gives a better name for what has its own name, and for parameters that slots are named by.
    """
    known = list(arrays)
    optimizers, dropped = _optimizers(known, values, paths, number)
    slots = {name for each in optimizers.values() for name in each.slots}
    words = _plain_words([name for name in known if name not in slots | dropped], paths)
    plain = {name: ".".join(map(str, path)) for name, path in words.items()}
    new = {name: rename(name) for name in (*known, *values)} | {name: rename(each) for name, each in plain.items()}
    groups: dict[str, dict[str, Any]] = {}
    notes: list[str] = []
    for prefix, optimizer in optimizers.items():
        its = ".".join(map(str, prefix))
        _drop_module(optimizer, set(plain.values()))
        model = _model_of(prefix, optimizer, set(plain.values()), notes)
        if model is None:
            slots -= set(optimizer.slots)
            dropped -= {name for name in dropped if paths.get(name, (name,))[: len(prefix)] == prefix}
            continue
        for name, (parameter, slot) in optimizer.slots.items():
            new[name] = _join_words(rename(_join_words(its, _STATE)), rename(_join_words(model, parameter)), slot)
        for parameter, group in optimizer.groups.items():
            groups[_join_words(rename(_join_words(its, "group")), rename(_join_words(model, parameter)))] = group
    return Names(new, groups, frozenset(dropped), frozenset(slots), tuple(notes))


def _optimizers(
    arrays: Iterable[str], values: Mapping[str, Any], paths: Mapping[str, Path], number: Number
) -> tuple[dict[Path, Optimizer], set[str]]:
    """Find the optimizers, by where they are, and what of the checkpoint is their groups."""
    found: dict[Path, Optimizer] = {}
    dropped: set[str] = set()
    listed: dict[Path, dict[int, dict[str, Any]]] = {}
    names = [*arrays, *values]
    for name in names:
        path = paths.get(name, (name,))
        if _GROUPS in path:  # a list of dictionaries; DCP goes into it where it holds tensors
            at = path.index(_GROUPS)
            inside = path[at + 1 :]
            if not inside:
                for place, group in enumerate(values[name]):
                    listed.setdefault(path[:at], {}).setdefault(place, {}).update(group)
            else:
                _put(listed.setdefault(path[:at], {}).setdefault(int(inside[0]), {}), inside[1:], _value(name, values, number))
            dropped.add(name)
        elif str(path[-1]).startswith(f"{_GROUPS}."):
            parameter, _, key = str(path[-1]).removeprefix(f"{_GROUPS}.").rpartition(".")
            group = found.setdefault(path[:-1], Optimizer()).groups.setdefault(_clean(parameter), {})
            group[key] = _value(name, values, number)
            dropped.add(name)
    for prefix, groups in listed.items():
        optimizer = found.setdefault(prefix, Optimizer())
        for place in sorted(groups):
            members = groups[place].get("params", [])
            members = [members[at] for at in sorted(members)] if isinstance(members, dict) else members
            optimizer.numbered |= any(isinstance(member, int) for member in members)
            optimizer.groups |= {_clean(str(member)): groups[place] for member in members}
    for optimizer in found.values():
        optimizer.groups = {
            parameter: {key: _rows(value) for key, value in group.items() if key not in HOW}
            for parameter, group in optimizer.groups.items()
        }
    for name in names:
        slot = _slot(paths.get(name, (name,)), found)
        if slot is not None:
            prefix, parameter, its = slot
            found[prefix].slots[name] = _clean(parameter), its
    return found, dropped


def _slot(path: Path, optimizers: Mapping[Path, Optimizer]) -> tuple[Path, str, str] | None:
    """Find the optimizer and parameter that something is a slot of, and the slot."""
    for prefix in optimizers:
        rest = path[len(prefix) :]
        if path[: len(prefix)] != prefix or not rest:
            continue
        if len(rest) == 3 and rest[0] == _STATE:
            return prefix, str(rest[1]), str(rest[2])
        if len(rest) == 1 and str(rest[0]).startswith(f"{_STATE}."):
            parameter, _, slot = str(rest[0]).removeprefix(f"{_STATE}.").rpartition(".")
            return prefix, parameter, slot
    return None


def _model_of(prefix: Path, optimizer: Optimizer, arrays: set[str], notes: list[str]) -> str | None:
    """Find the model of an optimizer: the place that has all of its parameters. None, and a note, if there is no such place."""
    its = ".".join(map(str, prefix)) or "the optimizer"
    if optimizer.numbered:
        notes.append(
            f"{its} has numbers instead of names of parameters (optimizer.state_dict() of torch): it is kept as it is, and can't "
            "be loaded into an optimizer. Save it with torch.distributed.checkpoint.state_dict.get_state_dict"
        )
        return None
    parameters = optimizer.parameters
    first = max(parameters, key=len, default="")
    places = {name.removesuffix(first).removesuffix(".") for name in arrays if name == first or name.endswith(f".{first}")}
    fits = sorted(place for place in places if all(_join_words(place, each) in arrays for each in parameters))
    beside = [place for place in fits if tuple(place.split(".")[:-1]) == prefix[:-1]]
    likely = [place for place in beside or fits if place.rpartition(".")[2] == "model"] or beside or fits
    if len(likely) != 1:
        which = f"{', '.join(likely)} have them all" if likely else f"nothing has all of them ({first}, …)"
        notes.append(f"{its} is kept as it is: of the places where its parameters could be, {which}")
        return None
    return likely[0]


def _plain_words(arrays: Iterable[str], paths: Mapping[str, Path]) -> dict[str, Path]:
    """Remove what wrappers add to names from the paths of arrays."""
    split = {name: tuple(word for part in paths.get(name, (name,)) for word in str(part).split(".")) for name in arrays}
    below: dict[Path, set[str | int]] = {}
    for path in split.values():
        for at in range(len(path) - 1):
            below.setdefault(path[:at], set()).add(path[at])
        below.setdefault(path[:-1], set()).add("")  # an array of its own
    plain: dict[str, Path] = {}
    for name, path in split.items():
        at = path.index("module") if "module" in path[:-1] else -1
        if at >= 0 and below[path[:at]] == {"module"}:  # DDP's: everything is below it
            path = (*path[:at], *path[at + 1 :])
        plain[name] = tuple(word for word in path if word not in WORDS)
    return plain


def _drop_module(optimizer: Optimizer, arrays: set[str]) -> None:
    """Remove DDP's word from names of parameters if the model's names don't have it."""
    if all(each.startswith("module.") and not any(name.endswith(each) for name in arrays) for each in optimizer.parameters):
        optimizer.slots = {name: (each.removeprefix("module."), slot) for name, (each, slot) in optimizer.slots.items()}
        optimizer.groups = {each.removeprefix("module."): group for each, group in optimizer.groups.items()}


def _clean(parameter: str) -> str:
    words = [word for word in parameter.split(".") if word not in WORDS]
    return ".".join(words)


def _put(tree: dict[Any, Any], path: Path, value: Any) -> None:
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
    tree[path[-1]] = value


def _rows(value: Any) -> Any:
    """Turn `{0: …, 1: …}`, to which DCP flattens a tuple or list such as betas, into a tuple again."""
    if isinstance(value, dict) and value and sorted(value) == list(range(len(value))):
        return tuple(value[at] for at in range(len(value)))
    return value


def _value(name: str, values: Mapping[str, Any], number: Number) -> Any:
    return values[name] if name in values else number(name)


def _join_words(*words: str) -> str:
    return ".".join(word for word in words if word)
