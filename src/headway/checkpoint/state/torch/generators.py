"""Converts the state of random number generators (numpy, torch, Python) to a tree and back."""

from __future__ import annotations

import importlib
import random
import sys
import warnings
from typing import Any

from headway.checkpoint.state.libraries import is_numpy_array, is_tensor
from headway.errors import CheckpointMismatch, UsageError


def state_of(generator: Any, name: str) -> Any:
    """Return the state of a generator, as a tree of plain values and arrays. `name` is for messages."""
    import numpy as np

    if isinstance(generator, random.Random):
        version, words, gauss = generator.getstate()
        return {"kind": "python", "version": version, "words": np.array(words, "uint32"), "gauss": gauss}
    if isinstance(generator, np.random.Generator):
        return {"kind": "numpy", "bits": generator.bit_generator.state, **_seed_of(generator.bit_generator)}
    if isinstance(generator, np.random.RandomState):
        return {"kind": "numpy-legacy", "bits": generator.get_state(legacy=False)}
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(generator, torch.Generator):
        return {"kind": "torch", "device": generator.device.type, "bytes": generator.get_state().numpy().copy()}
    raise UsageError(
        f"{name} is a {type(generator).__module__}.{type(generator).__qualname__}: a stream is a torch.Generator, a "
        "numpy.random.Generator or RandomState, or a random.Random"
    )


def refuse_another(generator: Any, state: Any, name: str) -> None:
    """Raise CheckpointMismatch if a state is that of another kind of generator."""
    now = state_of(generator, name)
    saved = state if isinstance(state, dict) else {}
    for key in ("kind", "device"):
        if now.get(key) != saved.get(key):
            raise CheckpointMismatch(
                f"{name} was saved by a generator of {key} {saved.get(key)!r}, and is one of {now.get(key)!r} now"
            )
    if saved["kind"] == "numpy" and saved["bits"]["bit_generator"] != now["bits"]["bit_generator"]:
        kinds = saved["bits"]["bit_generator"], now["bits"]["bit_generator"]
        raise CheckpointMismatch(f"{name} was saved by a {kinds[0]} of numpy's, and is a {kinds[1]} now")


def restore(generator: Any, saved: Any, name: str) -> None:
    """Give a generator a state. Raises CheckpointMismatch if it is of another kind."""
    refuse_another(generator, saved, name)
    if saved["kind"] == "python":
        generator.setstate((saved["version"], tuple(map(int, as_array(saved["words"]))), saved["gauss"]))
    elif saved["kind"] == "numpy":
        generator.bit_generator.state = saved["bits"]
        if "seed" in saved and saved["seed"] != _seed_of(generator.bit_generator).get("seed"):
            _give_seed(generator.bit_generator, saved)
    elif saved["kind"] == "numpy-legacy":
        generator.set_state(saved["bits"])
    else:
        generator.set_state(importlib.import_module("torch").from_numpy(as_array(saved["bytes"]).copy()))


def _seed_of(bits: Any) -> dict[str, Any]:
    """Return the seed from which `spawn` makes the next generator, if there is one."""
    import numpy as np

    seed = bits.seed_seq
    if not isinstance(seed, np.random.SeedSequence):
        return {}
    told = {
        "entropy": _plain(seed.entropy),
        "key": list(seed.spawn_key),
        "pool": seed.pool_size,
        "spawned": seed.n_children_spawned,
    }
    return {"seed": told}


def _plain(entropy: Any) -> Any:
    """Convert entropy to plain values: a number, or a list of numbers and hexadecimal strings."""
    if isinstance(entropy, str):
        return entropy
    return list(map(_plain, entropy)) if hasattr(entropy, "__len__") else int(entropy)


def _give_seed(bits: Any, saved: Any) -> None:
    """Set the seed sequence of an existing generator. Numpy offers no other way than what unpickling uses."""
    import numpy as np

    told = saved["seed"]
    seed = np.random.SeedSequence(
        told["entropy"], spawn_key=told["key"], pool_size=told["pool"], n_children_spawned=told["spawned"]
    )
    try:
        bits.__setstate__((saved["bits"], seed))
    except TypeError:  # numpy before 2
        warnings.warn("what a generator of numpy spawns is not restored: that needs numpy 2", RuntimeWarning, stacklevel=2)


def as_array(value: Any) -> Any:
    """Convert an array of a tree to numpy."""
    return value.numpy() if is_tensor(value) and not is_numpy_array(value) else value
