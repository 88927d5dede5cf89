"""Lets the ranks of a training agree before a save, and plans who writes what.

They exchange one small message (is there a free buffer? has the layout changed? what are the plain values?). Only if the layout has
changed do they exchange tables and plan anew.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import msgspec
import xxhash

from headway.checkpoint.files.manifest import Json
from headway.checkpoint.layout.declared import Layout
from headway.checkpoint.process.collective import all_or_none
from headway.checkpoint.process.ranks import Ranks
from headway.checkpoint.save.plan import SavePlan, Table, plan_save, table_of
from headway.checkpoint.save.replicas import Agreement, write_warning
from headway.checkpoint.state.inventory import Inventory
from headway.errors import CheckpointError, CheckpointMismatch, SaveFailed, UsageError


class Word(msgspec.Struct, frozen=True):
    """What a rank tells the others at each save."""

    step: int
    id: str
    layout: str  # hash of the table
    values: dict[str, Json]
    full: str  # why no save can begin now
    lost: dict[str, str]  # saves that this rank has given up, and why


_decode_word = msgspec.msgpack.Decoder(Word).decode
_decode_table = msgspec.msgpack.Decoder(Table).decode


class _Planned(msgspec.Struct, frozen=True):
    hashes: tuple[str, ...]
    tables: tuple[Table, ...]
    balanced: bool
    plan: SavePlan


class Planned(NamedTuple):
    """The plan of who writes what, the plain values, and a warning that names what differs between ranks, if anything does."""

    plan: SavePlan
    values: dict[str, Json]
    differ: tuple[str, ...] = ()
    why: str = ""


class Planner:
    """Plans the saves of one process together with the others."""

    def __init__(self, ranks: Ranks, *, debug: bool) -> None:
        self.agreement = Agreement(ranks, debug=debug)
        self.layout: dict[str, Json] = {}  # a hint for readers
        self._ranks = ranks
        self._last: _Planned | None = None

    def agree(
        self, look: Callable[[], Inventory], step: int, full: Callable[[], str], lost: dict[str, str]
    ) -> tuple[Inventory, list[Word]]:
        """Exchange words.

        Args:
            look: finds what this rank holds of the state.
            full: says why no save can begin here now; "" if one can.
            lost: saves that this rank has given up, and why.

        Raises:
            CheckpointMismatch: the ranks save different steps.
        """
        found: list[Inventory] = []

        def say() -> bytes:
            with self._reading_the_state():
                found.append(look())
                table = xxhash.xxh3_128_hexdigest(msgspec.msgpack.encode(table_of(found[0])))
                word = Word(step, secrets.token_hex(6), table, found[0].values, full(), lost)
                return msgspec.msgpack.encode(word)  # msgpack may have no form for a string or a number

        words = [_decode_word(said) for said in all_or_none(self._ranks, say)]
        for rank, word in enumerate(words):
            if word.step != step:
                raise CheckpointMismatch(f"rank {rank} saves step {word.step}, rank {self._ranks.rank} step {step}")
        return found[0], words

    @contextmanager
    def _reading_the_state(self) -> Iterator[None]:
        """Turn what an object of the state raises into SaveFailed, once the state was saved before: it must not end the
        training."""
        try:
            yield
        except Exception as error:
            if not self.agreement.begun or isinstance(error, CheckpointError | UsageError):
                raise
            raise SaveFailed(f"the state could not be read: {type(error).__name__}: {error}") from error

    def plan(self, inventory: Inventory, layout: Layout | None, words: list[Word], *, preparing: bool = False) -> Planned:
        """Plan who writes what, as last time if all ranks hold what they held then, and merge the plain values."""
        hashes = tuple(word.layout for word in words)
        plan = self._plan(inventory, layout, hashes)
        held = [word.values for word in words]
        values, differ = self.agreement.compare(plan, inventory, held, words[0].step, preparing=preparing)
        if not differ:
            return Planned(plan, values)
        why = write_warning(differ, words[0].step, plan)
        return Planned(self._plan(inventory, layout, hashes), values, tuple(differ), why)  # parameters may come from one rank now

    def _plan(self, inventory: Inventory, layout: Layout | None, hashes: tuple[str, ...]) -> SavePlan:
        """Plan who writes what, as last time if all ranks hold what they held then."""
        balanced = self.agreement.balanced
        if self._last is None or self._last.hashes != hashes:
            mine = msgspec.msgpack.encode(table_of(inventory))
            tables = tuple(_decode_table(said) for said in self._ranks.exchange(mine))
            self._last = _Planned(hashes, tables, balanced, plan_save(tables, balanced=balanced))
            if layout is not None:
                layout.check_rules(self._last.plan.objects)
            self.layout = {"ranks": self._ranks.size, **(layout.describe() if layout is not None else {})}
        elif self._last.balanced != balanced:
            tables = self._last.tables
            self._last = _Planned(hashes, tables, balanced, plan_save(tables, balanced=balanced))
        return self._last.plan


def find_why_not(words: list[Word]) -> str:
    """Say why a save can't begin; "" if it can."""
    where = next((rank for rank, word in enumerate(words) if word.full), None)
    if where is None:
        return ""
    return words[where].full if len(words) == 1 else f"on rank {where}, {words[where].full}"
