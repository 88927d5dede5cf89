"""Refuses copies in a state: what `state_dict()` of an object returned, or `getstate()` of a generator.

Other libraries take `{"opt": optimizer.state_dict()}`. For one save that is right. In a loop that saves the same state again and
again it is wrong: the dictionary stays what it was before the first step, so the state must hold the object itself. Such
dictionaries are recognised by their shape and refused before the training begins. (A module's dictionary holds the module's own
tensors and changes with them; only its other values don't.) Arrays into which nothing can be loaded are refused as well: the loop
would save them and could not be restarted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headway.checkpoint.state.libraries import is_numpy_array, is_tensor, local_of
from headway.checkpoint.state.parts.per_rank import PerRank
from headway.checkpoint.state.values.nesting import explain_recursion
from headway.errors import UsageError

_SCHEDULE = (
    {"last_epoch", "_step_count"},
    {"last_epoch", "_last_lr"},
    {"last_epoch", "num_bad_epochs"},
    {"_milestones", "_schedulers"},
)
_SCALER = {"scale", "growth_factor", "backoff_factor", "growth_interval"}
_MERSENNE_WORDS = 625
_TORCH_GENERATOR_BYTES = 5056


def refuse_copies(state: Any) -> None:
    """Raise UsageError for a copy in a state that is saved again and again."""
    with explain_recursion(state):
        found = next(_copies(state, ""), None)
    if found is not None:
        path, what, instead = found
        raise UsageError(
            f"{path or 'the state'} is {what}: a copy of this moment, which every save of the loop would repeat. Give {instead} "
            "itself: each save takes it as it is by then"
        )


def refuse_unwritable_arrays(state: Any, path: str = "") -> None:
    """Raise UsageError for an array that can be saved but not loaded into, so that the training could not be restarted."""
    if isinstance(state, PerRank):
        refuse_unwritable_arrays(state.value, path)
    elif isinstance(state, dict | list | tuple):
        for key, each in state.items() if isinstance(state, dict) else enumerate(state):
            refuse_unwritable_arrays(each, f"{path}.{key}" if path else str(key))
    elif is_numpy_array(state) or (is_tensor(state) and not _lacks_memory(state)):
        try:
            local_of(state, path, writable=True)
        except UsageError as error:
            error.add_note("Only what can be loaded again goes on when the training is started again")
            raise


def _lacks_memory(tensor: Any) -> bool:
    from headway.checkpoint.state.torch.tensors import lacks_memory

    return lacks_memory(tensor)


def _copies(node: Any, path: str) -> Iterator[tuple[str, str, str]]:
    """Yield where copies are, what they are copies of, and what to give instead."""
    kind = _kind(node)
    if kind is not None:
        yield path, *kind
    elif isinstance(node, PerRank):
        yield from _copies(node.value, path)
    elif isinstance(node, dict | list | tuple):
        for key, each in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _copies(each, f"{path}.{key}" if path else str(key))


def _kind(node: Any) -> tuple[str, str] | None:
    if isinstance(node, dict):
        return _kind_of_dict(node)
    if isinstance(node, tuple):
        if len(node) == 3 and node[0] in (2, 3) and isinstance(node[1], tuple) and len(node[1]) == _MERSENNE_WORDS:
            return "what random.getstate() gave", "hw.checkpoint.Rng(), or the generator in hw.checkpoint.Streams,"
        if len(node) == 5 and isinstance(node[0], str) and is_numpy_array(node[1]):
            return "what numpy's get_state() gave", "hw.checkpoint.Rng(), or the generator in hw.checkpoint.Streams,"
    if is_tensor(node) and _is_generator_state(node):
        return "the state of a generator of torch", "hw.checkpoint.Rng(), or the generator in hw.checkpoint.Streams,"
    return None


def _kind_of_dict(node: dict[Any, Any]) -> tuple[str, str] | None:
    keys = node.keys()
    groups = node.get("param_groups")
    if "state" in keys and isinstance(groups, list) and all(isinstance(each, dict) and "params" in each for each in groups):
        if not any(is_tensor(parameter) for group in groups for parameter in group["params"]):
            return "what state_dict() of an optimizer gave", "the optimizer"
    if any(keys >= marks for marks in _SCHEDULE):
        return "what state_dict() of a learning rate schedule gave", "the schedule"
    if keys >= _SCALER:
        return "what state_dict() of a gradient scaler gave", "the scaler"
    if "bit_generator" in keys and "state" in keys:
        return "the state of a generator of numpy", "hw.checkpoint.Rng(), or the generator in hw.checkpoint.Streams,"
    if hasattr(node, "_metadata") and not all(map(is_tensor, node.values())):
        return "what state_dict() of a module gave, with more than tensors in it", "the module"
    return None


def _is_generator_state(tensor: Any) -> bool:
    import torch

    if tensor.dtype != torch.uint8 or tensor.device.type != "cpu" or tuple(tensor.shape) != (_TORCH_GENERATOR_BYTES,):
        return False
    try:
        torch.Generator().set_state(tensor)
    except RuntimeError:
        return False  # the same number of bytes, but something else
    return True
