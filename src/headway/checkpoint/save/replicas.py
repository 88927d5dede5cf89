"""Compares what several ranks have under one name. The first rank's is saved, and a difference is always reported.

A save writes a replica once. Replicas are meant to be equal on all ranks, but nothing enforces that: a rank that draws one more
random number, or computes its own batch statistics, differs from then on. So at each save the ranks compare hashes. What the
optimizer does not change (buffers, arrays, generators) is compared whole up to 1 MiB; of larger ones, and of parameters and
moments, some elements are (`sample.py`), of parameters and moments some 64 at each save, in turn. With `debug`, all bytes of all.

A difference at the first save of a state is a mistake of the program and is refused. One that begins later must not end a training:
it gives a warning and an event. The checkpoint then has the first rank's version of every name, so it is a state that one rank was
really in. Buffers that DDP sends from its first rank before each forward may differ between two forwards; that is not reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
import xxhash

from headway.checkpoint.files.manifest import Json
from headway.checkpoint.layout.dtypes import NBYTES
from headway.checkpoint.process.collective import all_or_none
from headway.checkpoint.process.ranks import Ranks
from headway.checkpoint.save.plan import TRAINED, Replica, SavePlan, agree_on_values, merge_values
from headway.checkpoint.save.sample import sample, spread
from headway.checkpoint.state.inventory import Holding, Inventory
from headway.errors import CheckpointMismatch

WHOLE_BYTES = 1 << 20  # what the optimizer does not change is compared whole up to this
PICKED = 64  # elements of what is not compared whole
AT_ONCE = 64  # parameters and moments that are compared in one save
_SHOWN = 5
_OWN = "What each rank is to have for itself is marked: hw.checkpoint.PerRank(…)"

Differing = dict[str, tuple[int, ...]]
"""Names, and the ranks that have something else than the first rank that has it."""
Digest = Callable[[Replica, Holding], int]

_decode_digests = msgspec.msgpack.Decoder(dict[int, int]).decode


class Agreement:
    """What the ranks of a training have agreed on, and what began to differ since."""

    def __init__(self, ranks: Ranks, *, debug: bool = False) -> None:
        self.begun = False  # whether the ranks have agreed on a state
        self.balanced = True  # whether any rank may write parameters and moments; else all are the first rank's, as the rest is
        self.differing: dict[str, int] = {}  # names, and the step of the save that found it
        self._ranks = ranks
        self._debug = debug
        self._compared = 0
        self._saves = 0  # with something that differs
        self._told = 0

    def compare(
        self, plan: SavePlan, inventory: Inventory, held: Sequence[Mapping[str, Json]], step: int, *, preparing: bool = False
    ) -> tuple[dict[str, Json], list[str]]:
        """Return the values to keep, and the names that began to differ. All ranks must call it.

        Raises CheckpointMismatch where they differ from the beginning: nothing was trained yet (`preparing`), or it is no part of
        the state that training changes.
        """
        values, wrong = merge_values(held)
        if preparing or not self.begun:
            agree_on_values(held)
        wrong |= self._differing_arrays(plan, inventory)
        new = {name: ranks for name, ranks in wrong.items() if name not in self.differing}
        if preparing or not self.begun:
            may = ("buffer",) if preparing else ("buffer", *TRAINED)
            if mistakes := [name for name in new if plan.objects[name].kind not in may]:
                raise CheckpointMismatch(
                    f"{_some(mistakes)}: rank {new[mistakes[0]][0]} has other bytes than the first rank that has it, and a "
                    f"checkpoint keeps what is the same on all of them. {_OWN}"
                )
        self.begun = True
        self.differing |= dict.fromkeys(new, step)
        self._saves += bool(self.differing) and not preparing
        return values, _outermost(new)

    def forget(self) -> None:
        """Forget all differences: a load has made the ranks equal."""
        self.differing.clear()
        self._saves = self._told = 0
        self.balanced = True

    def summary(self) -> str:
        """Return the differences that were not reported since the last save."""
        if self._saves <= self._told:
            return ""
        self._told = self._saves
        first = min(self.differing.values())
        saves = "1 save" if self._saves == 1 else f"{self._saves} saves"
        return f"{_some(_outermost(self.differing))} differed between ranks from step {first} on: {saves} kept the first rank's"

    def _differing_arrays(self, plan: SavePlan, inventory: Inventory) -> Differing:
        others = [each for each in plan.replicas if each.name not in self.differing]
        trained = [each for each in others if plan.objects[each.name].kind in TRAINED]
        if not self._debug and len(trained) > AT_ONCE:
            start = self._compared * AT_ONCE % len(trained)
            trained = (trained + trained)[start : start + AT_ONCE]
        rest = [each for each in others if plan.objects[each.name].kind not in TRAINED]
        self._compared += 1
        if not trained and not rest:
            return {}
        held = {holding.name: holding for holding in inventory.holdings}
        found = _compare(self._ranks, [*rest, *trained], held, self._digest)
        self.balanced = self.balanced and not any(plan.objects[name].kind in TRAINED for name in found)
        return found

    def _digest(self, replica: Replica, holding: Holding) -> int:
        known = holding.object
        piece = next(piece for piece in holding.pieces if piece.box.holds(replica.box)).narrow(replica.box)
        all_of_it = self._debug or (known.kind not in TRAINED and replica.box.volume * NBYTES[known.dtype] <= WHOLE_BYTES)
        picked = None if all_of_it else spread(piece, PICKED, self._compared)
        return xxhash.xxh3_64_intdigest(sample(holding.memory, piece, known.dtype, picked))


def _compare(ranks: Ranks, replicas: Sequence[Replica], held: Mapping[str, Holding], digest: Digest) -> Differing:
    """Find the names whose digests differ between ranks. One hash for each set of ranks tells whether there are any at all."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for number, replica in enumerate(replicas):
        groups.setdefault(replica.ranks, []).append(number)
    mine: dict[int, int] = {}

    def say_groups() -> bytes:
        for number, replica in enumerate(replicas):
            if ranks.rank in replica.ranks:
                mine[number] = digest(replica, held[replica.name])
        own = {at: numbers for at, (who, numbers) in enumerate(groups.items()) if ranks.rank in who}
        return msgspec.msgpack.encode({at: _join_digests(mine[number] for number in numbers) for at, numbers in own.items()})

    said = [_decode_digests(each) for each in all_or_none(ranks, say_groups)]
    wrong = [numbers for at, (who, numbers) in enumerate(groups.items()) if len({said[rank][at] for rank in who}) > 1]
    if not wrong:
        return {}
    suspects = [number for numbers in wrong for number in numbers]

    def say_each() -> bytes:
        return msgspec.msgpack.encode({number: mine[number] for number in suspects if number in mine})

    said = [_decode_digests(each) for each in all_or_none(ranks, say_each)]
    found: dict[str, set[int]] = {}
    for number in suspects:
        first, *others = replicas[number].ranks
        differ = {rank for rank in others if said[rank][number] != said[first][number]}
        if differ:
            found.setdefault(replicas[number].name, set()).update(differ)
    return {name: tuple(sorted(each)) for name, each in found.items()}


def write_warning(names: Sequence[str], step: int, plan: SavePlan) -> str:
    """Write the warning for names that began to differ."""
    buffers = any(name in plan.objects and plan.objects[name].kind == "buffer" for name in names)
    ddp = "Buffers that DDP sends to all ranks may differ: give the model as DDP wraps it, and that is known. " if buffers else ""
    return (
        f"step {step}: {_some(names)} differ{'s' if len(names) == 1 else ''} between ranks: the checkpoint has what the first rank "
        "has, and a load gives that to all. Look for what only some ranks do, such as drawing a random number for a log. "
        f"{ddp}{_OWN}"
    )


def _outermost(names: Iterable[str]) -> list[str]:
    """Sort names, and leave out those that are a part of another."""
    known = set(names)
    return sorted(name for name in known if not any(name[:at] in known for at, letter in enumerate(name) if letter == "."))


def _join_digests(digests: Iterable[int]) -> int:
    joined = xxhash.xxh3_64()
    for each in digests:
        joined.update(each.to_bytes(8, "little"))
    return joined.intdigest()


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
