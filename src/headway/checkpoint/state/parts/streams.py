"""Random number streams, named by what they belong to and never by rank.

A launcher numbers the ranks anew at each start. So a stream of random numbers belongs to the whole program (`Rng`), or to a shard
of the work (`Streams`). There is one generator for each shard: with fewer ranks each rank just has more of them, and every dropout
mask stays what it would have been (ElasWave, 2510.00606, section 4). A `Cursor`, in `cursor.py`, does the same for data.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping
from typing import Any

import xxhash

from headway.checkpoint.state.inventory_builder import InventoryBuilder
from headway.checkpoint.state.libraries import is_array
from headway.checkpoint.state.parts.source import Source
from headway.checkpoint.state.torch.generators import as_array, refuse_another, restore, state_of
from headway.checkpoint.state.values.tree import decode
from headway.errors import UsageError

_KINDS = ("python", "numpy", "torch", "cuda")
_OPTIONAL = ("torch", "cuda")  # a run may begin without them and resume with them, or the other way round


class Rng(Source):
    """The global generators of Python, numpy, and torch (and of this process's CUDA device), as a part of the state.

    All ranks must draw the same numbers. If some draw numbers of their own, they name the stream after what the numbers are for
    (`Rng("tp-1")`). That name must not be the rank if the next run may have other ranks.

    Args:
        stream: what the numbers are for, where ranks draw numbers of their own.

    Example:
        >>> state = {"rng": Rng()}
    """

    def __init__(self, stream: str = "") -> None:
        self.stream = stream

    def put_into(self, builder: InventoryBuilder, path: str) -> None:
        """Put one tree for each generator there: `rng.python`, `rng.numpy`, and `rng.torch` where torch is loaded."""
        here = _globals(builder.saved is not None)
        for kind in _KINDS:
            name = ".".join(word for word in (path, self.stream, kind) if word)
            saved = builder.saved is None or name in builder.saved.values
            if kind in here and (saved or kind not in _OPTIONAL):
                _put(builder, name, here[kind])
            elif builder.saved is not None and saved:
                builder.tree(name, None, "rng", _nothing)  # of a library or device that is not here: known, and left alone


class Streams(Source):
    """Generators by the shard of the work that they are for, in any number on each rank.

    A rank saves the generators that it has, and loads those that it has at that time.

    Args:
        generators: the generators of this rank, by the name or number of their shard.

    Raises:
        UsageError: something is no generator.

    Example:
        >>> streams = Streams.dealt(8, rank=1, ranks=4, seed=7)
        >>> list(streams)
        ['1', '5']
    """

    def __init__(self, generators: Mapping[int | str, Any]) -> None:
        self._generators = {str(key): generator for key, generator in generators.items()}
        for key in self._generators:
            if "." in key:
                raise UsageError(f"the stream {key!r} has a dot in its name")

    @classmethod
    def dealt(cls, shards: int, *, rank: int, ranks: int, seed: int, make: Callable[[int], Any] | None = None) -> Streams:
        """Deal shards to ranks, and make a generator for each shard of one rank.

        Args:
            shards: how many shards there are.
            rank: the rank.
            ranks: how many there are.
            seed: from which the seed of each shard is made.
            make: makes a generator from the seed of a shard; by default numpy's.

        Returns:
            The rank's generators.
        """
        import numpy as np

        seeds = [int(each.generate_state(1, np.uint64)[0]) for each in np.random.SeedSequence(seed).spawn(shards)]
        return cls({shard: (make or np.random.default_rng)(seeds[shard]) for shard in range(rank, shards, ranks)})

    def __getitem__(self, key: int | str) -> Any:
        """The generator of a shard."""
        return self._generators[str(key)]

    def __iter__(self) -> Any:
        return iter(self._generators)

    def __len__(self) -> int:
        return len(self._generators)

    def put_into(self, builder: InventoryBuilder, path: str) -> None:
        """Put one tree for each shard there."""
        for key, generator in self._generators.items():
            _put(builder, f"{path}.{key}" if path else key, generator)


def _put(builder: InventoryBuilder, name: str, generator: Any) -> None:
    """Put a generator's state there. The tree gets a hash of the arrays, so that a save notices ranks that disagree: it compares
    values, but not all bytes of replicas."""
    state = state_of(generator, name)
    marked = {**state, "mark": _mark(state)}
    if builder.saved is not None and name in builder.saved.values and builder.select(name):
        refuse_another(generator, decode(builder.saved.values[name], lambda mark, at: None), name)
    builder.tree(name, marked, "rng", lambda saved: restore(generator, saved, name))


def _mark(tree: Any) -> str:
    mark = xxhash.xxh3_64()
    leaves = [tree]
    while leaves:
        leaf = leaves.pop()
        if isinstance(leaf, dict):
            leaves += leaf.values()
        elif is_array(leaf):
            mark.update(as_array(leaf).tobytes())
    return mark.hexdigest()


def _globals(to_load: bool) -> dict[str, Any]:
    """List the generators of the process. A CUDA device that was not used has none to save, but can be given one."""
    import numpy as np

    found: dict[str, Any] = {"python": random._inst, "numpy": np.random.mtrand._rand}
    torch = sys.modules.get("torch")
    if torch is not None:
        found["torch"] = torch.default_generator
        if torch.cuda.is_available() and (to_load or torch.cuda.is_initialized()):
            torch.cuda.init()
            found["cuda"] = torch.cuda.default_generators[torch.cuda.current_device()]
    return found


def _nothing(value: object) -> None:
    """Take the state of a generator that is not here."""
