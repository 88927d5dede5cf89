"""Walks a state (nested dictionaries, lists, arrays, modules, optimizers and objects), names its parts and makes an `Inventory`.

Names come from the state's own keys, joined with dots, and from the names that a model's author gave to its parameters. No rank,
stage, wrapper or parameter number is ever in a name, so whatever the next run looks like, it asks for the same things.

- dictionaries, lists and tuples: their keys and positions; what is in them stays where it is, arrays in place
- arrays of numpy and torch, DTensors: objects
- modules, torch optimizers: see `torch/module_state.py` and `torch/optim_state.py`
- `Flat`, `FlatOptimizer`, `Rng`, `Streams`, `Cursor`, `PerRank`: what they say themselves
- anything else with `state_dict` and `load_state_dict` (a learning rate schedule, a gradient scaler): its `state_dict()`
- numbers, strings, booleans, None, bytes, members of enums: values; a list or tuple of nothing else is one value, and a list may
  have grown since

Optimizers come last, because they call parameters by the names that the other parts give. Torch is never imported for a state
without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any

from headway.checkpoint.files.manifest import Object
from headway.checkpoint.layout.declared import Layout
from headway.checkpoint.layout.placing import Placer
from headway.checkpoint.state.fit import Stored, Values, find_misfits, refuse, refuse_halves
from headway.checkpoint.state.inventory import Inventory
from headway.checkpoint.state.inventory_builder import InventoryBuilder
from headway.checkpoint.state.libraries import is_array, is_numpy_scalar, is_torch_loaded
from headway.checkpoint.state.parts.source import Source
from headway.checkpoint.state.values.kinds import put_enum
from headway.checkpoint.state.values.nesting import explain_recursion
from headway.errors import UsageError
from headway.values import is_text

_LEAVES = (bool, int, float, complex, str, bytes, type(None))


def take(
    state: Any, layout: Layout | None = None, *, coords: Mapping[str, int] | None = None, rank: int = 0, ranks: int = 1
) -> Inventory:
    """Find what this process holds of a state. Nothing is copied: the inventory sees the state's memory.

    Args:
        state: see the module.
        layout: what tensors that don't say it themselves are parts of.
        coords: this process's ranks on the layout's axes, if they differ from those in the layout.
        rank, ranks: which of how many processes this is, for `PerRank`.

    Raises:
        UsageError: something in the state can't be kept; the message names it.
        LayoutError: the layout does not fit the state.

    Example:
        >>> import numpy
        >>> inventory = take({"model": {"w": numpy.zeros((4, 2), "float32")}, "step": 3})
        >>> [holding.name for holding in inventory.holdings], inventory.values
        (['model.w'], {'step': 3})
    """
    builder = InventoryBuilder(_placer(layout, coords), rank=rank, ranks=ranks)
    with explain_recursion(state):
        put_all(state, builder)
    inventory = builder.finish()
    inventory.marks = {each.name: (each.memory.address(), each.memory.version()) for each in inventory.holdings}
    return inventory


def take_for_load(
    state: Any,
    objects: Mapping[str, Object],
    values: Values,
    layout: Layout | None = None,
    *,
    coords: Mapping[str, int] | None = None,
    select: Callable[[str], bool] | None = None,
    strict: bool = True,
    rank: int = 0,
    ranks: int = 1,
    label: str = "the checkpoint",
) -> Inventory:
    """Find what this process wants of a checkpoint with these objects and values, and where it goes. Arrays of the state are filled
    in place. What the state has no memory for yet goes into fresh memory, which `accept` attaches to the state. Until then, the
    state is not touched.

    Args:
        label: what messages call the checkpoint.
        select: which names to load; the rest of the state is left as it is.
        strict: everything that is selected in the state must be in the checkpoint. Otherwise, what is not there is left as it is.

    Raises:
        CheckpointMismatch: state and checkpoint don't fit. (What the checkpoint has and no process wants is found by
            `find_unclaimed`, which needs the names of all processes.)
    """
    wanted = select or (lambda name: True)
    stored = Stored(objects, values, label)
    builder = InventoryBuilder(_placer(layout, coords), stored, wanted, strict=strict, rank=rank, ranks=ranks)
    with explain_recursion(state):
        put_all(state, builder)
    asked = builder.finish().part(wanted)
    if strict:
        arrays = [(each.name, each.object) for each in asked.holdings]
        refuse(stored, find_misfits(stored, arrays, filter(wanted, asked.values)))
    inventory = asked if strict else asked.part(lambda name: name in objects)
    filled = {asked.aliases[each.name].alias_of for each in inventory.holdings if each.name in asked.aliases}  # by another name
    kinds = dict.fromkeys(asked.values, "") | {each.name: str(each.object.kind) for each in asked.holdings}
    kinds = {name: kind for name, kind in kinds.items() if wanted(name) and name not in filled}
    inventory.missing = {name: kind for name, kind in kinds.items() if name not in objects and name not in values}
    inventory.values = {name: each for name, each in asked.values.items() if wanted(name) and name in values}
    return inventory


def list_claimed_names(inventory: Inventory) -> set[str]:
    """List the names that an inventory wants of a checkpoint."""
    return {each.name for each in inventory.holdings} | set(inventory.aliases) | set(inventory.values)


def refuse_half_a_part(state: Any, inventory: Inventory) -> None:
    """Raise CheckpointMismatch for a part of a state of which a checkpoint has something, but not all."""
    parts = sorted({path for path, _ in _leaves(state, "", lambda path: True)}, key=len, reverse=True)

    def part_of(name: str) -> str:
        return next((part for part in parts if not part or name == part or name.startswith(f"{part}.")), "")

    refuse_halves(inventory.missing, list_claimed_names(inventory), part_of)


def optimizers_in(state: Any) -> list[Any]:
    """Find the torch optimizers of a state, whose steps change it."""
    found: list[Any] = []
    for _, leaf in _leaves(state, "", lambda path: True):
        if isinstance(leaf, Source):
            found += [each for part in leaf.parts() for each in optimizers_in(part)]
        elif _is_optimizer(leaf):
            found.append(leaf)
    return found


# --- the walk --------------------------------------------------------------------------------------------------------


def _placer(layout: Layout | None, coords: Mapping[str, int] | None) -> Placer:
    return (layout or Layout()).placer(coords)


def put_all(state: Any, builder: InventoryBuilder, root: str = "", replace: Callable[[Any], None] | None = None) -> None:
    """Put a state, or the part of one that is called `root`, into an inventory. A number or a tuple can't be filled in place;
    `replace` receives the loaded value that takes its place."""
    later: list[tuple[str, Any]] = []
    plain: set[str] = set()
    arrays: set[str] = set()
    leaves = list(_leaves(state, root, _whole_in(builder)))
    for path, leaf in leaves:
        if (isinstance(leaf, Source) and leaf.last) or _is_optimizer(leaf):
            later.append((path, leaf))
        else:
            (plain if _is_plain(leaf) or isinstance(leaf, Enum) else arrays).add(path)
            _put(leaf, builder, path)
    if both := sorted(plain & arrays):
        raise UsageError(f"two parts of the state are called {both[0]}: rename one (names of nested keys are joined with dots)")
    if builder.saved is None:
        leaves = [(path, leaf) for path, leaf in leaves if path in plain]
    _put_values(state, leaves, builder, root, replace)
    for path, leaf in later:
        if isinstance(leaf, Source):
            leaf.put_into(builder, path)
        else:
            from headway.checkpoint.state.torch.optim_state import put_optimizer

            put_optimizer(leaf, builder, path)


def _whole_in(builder: InventoryBuilder) -> Callable[[str], bool]:
    """Return a function that says whether the list or tuple at a path is one value. When saving, it always is; when loading, if the
    checkpoint has one there."""
    saved = builder.saved
    if saved is None:
        return lambda path: True
    return lambda path: _is_row(saved.values.get(builder.placer.name(path)))


def _is_row(value: Any) -> bool:
    """Whether it is a list or tuple that was saved as one value."""
    return isinstance(value, list) or (isinstance(value, dict) and list(value) == ["$tuple"])


def _leaves(node: Any, path: str, whole: Callable[[str], bool]) -> Iterator[tuple[str, Any]]:
    """Yield what is in the containers of a state, by name. A list of plain values may grow as training goes on, so it is one leaf
    and comes back with the length that it had. A tuple of plain values is one leaf too, and comes back as a tuple."""
    items: Iterator[tuple[Any, Any]]
    if path and isinstance(node, list | tuple) and _is_plain(node) and whole(path):
        yield path, node
        return
    if isinstance(node, dict):
        items = iter(node.items())
    elif isinstance(node, list | tuple):
        items = iter(enumerate(node))
    else:
        yield path, node
        return
    for key, each in items:
        if not isinstance(key, str | int):
            raise UsageError(f"{path or 'the state'} has the key {key!r}: keys of a state are strings or integers")
        if not is_text(str(key)):
            raise UsageError(f"{path or 'the state'} has the key {key!r}, which is not valid text, so it can't be in a name")
        yield from _leaves(each, f"{path}.{key}" if path else str(key), whole)


def _is_plain(node: Any) -> bool:
    """Whether there are only plain values in it."""
    if type(node) is dict:
        return all(isinstance(key, str | int) for key in node) and all(map(_is_plain, node.values()))
    if type(node) in (list, tuple):  # no classes of their own, which a value would not tell
        return all(map(_is_plain, node))
    return (isinstance(node, _LEAVES) and not isinstance(node, Enum)) or is_numpy_scalar(node)


def _put(leaf: Any, builder: InventoryBuilder, path: str) -> None:
    if isinstance(leaf, Source):
        leaf.put_into(builder, path)
    elif is_array(leaf):
        builder.array(path, leaf, "param" if _is_parameter(leaf) else "array")
    elif _is_plain(leaf) or isinstance(leaf, Enum):
        pass  # `_put_values`
    elif _is_module(leaf):
        from headway.checkpoint.state.torch.module_state import put_module

        put_module(leaf, builder, path)
    elif callable(getattr(leaf, "state_dict", None)) and callable(getattr(leaf, "load_state_dict", None)):
        builder.tree(path, leaf.state_dict(), "array", leaf.load_state_dict)
    else:
        raise UsageError(
            f"{path or 'the state'} is a {type(leaf).__module__}.{type(leaf).__qualname__}, which can't be kept in a checkpoint: a "
            "state is made of dictionaries, lists, arrays, numbers, strings, and objects with state_dict and load_state_dict"
        )


def _put_values(
    state: Any,
    leaves: list[tuple[str, Any]],
    builder: InventoryBuilder,
    root: str,
    replace: Callable[[Any], None] | None,
) -> None:
    """Keep the plain values among the leaves; when loading, put the saved ones in their places."""
    new: dict[str, Any] = {}
    if replace is None and _unfillable(state):
        raise UsageError(f"the state is {state!r}: give a dictionary, a module or another object that can be filled in place")
    for path, leaf in leaves:
        name = builder.placer.name(path)
        if put_enum(leaf, builder, name, _into(new, path)):
            continue
        if _is_plain(leaf):
            put = _into(new, path)
            builder.tree(name, leaf, "array", _refill(leaf, put) if isinstance(leaf, list) else put)
    if builder.saved is None:
        return

    def accept(_: Values) -> None:
        filled = _assign(state, root, new)
        if replace is not None and filled is not state:
            replace(filled)

    builder.then(accept, f"the plain values of {root or 'the state'}")


def _unfillable(state: Any) -> bool:
    """Whether only tuples hold one of its plain values, so that a loaded value could not be put back."""
    if isinstance(state, tuple):
        return any(map(_unfillable, state))
    return isinstance(state, _LEAVES) or is_numpy_scalar(state)


def _refill(values: list[Any], replace: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return a function that loads into a list in place, or replaces it if a tuple was saved."""

    def load(value: Any) -> None:
        if isinstance(value, list):
            values[:] = value
        else:
            replace(value)

    return load


def _into(new: dict[str, Any], path: str) -> Callable[[Any], None]:
    def load(value: Any) -> None:
        new[path] = value

    return load


def _assign(node: Any, path: str, new: Mapping[str, Any]) -> Any:
    """Put new values into the containers of a state, in place; tuples are made anew."""
    if path in new:
        return new[path]
    if isinstance(node, dict | list):
        for key, each in list(node.items() if isinstance(node, dict) else enumerate(node)):
            put = _assign(each, f"{path}.{key}" if path else str(key), new)
            if put is not each:
                node[key] = put
        return node
    if isinstance(node, tuple):
        items = [_assign(each, f"{path}.{at}" if path else str(at), new) for at, each in enumerate(node)]
        if all(map(_same, items, node)):
            return node
        return type(node)(*items) if hasattr(node, "_fields") else type(node)(items)
    return node


def _same(one: object, other: object) -> bool:
    return one is other


def _is_parameter(leaf: Any) -> bool:
    return bool(getattr(leaf, "requires_grad", False))


def _is_module(leaf: Any) -> bool:
    if not is_torch_loaded():
        return False
    from headway.checkpoint.state.torch.module_state import is_module

    return is_module(leaf)


def _is_optimizer(leaf: Any) -> bool:
    if not is_torch_loaded():
        return False
    from headway.checkpoint.state.torch.optim_state import is_optimizer

    return is_optimizer(leaf)
