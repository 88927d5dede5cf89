"""Plans who reads what and where it goes: a pure function of the checkpoint and of what the ranks want.

Every mismatch (`state/fit`) is reported here, before a byte is read: a tensor that the checkpoint lacks, one that nobody wants,
another type or shape, a hole. Then three questions are answered. Which blocks are needed: every block that holds a wanted element
and no other. Who verifies them: the ranks of one host share a page cache, so each block is read from the medium by one of them; the
blocks of a host, in the order of the files, are cut into runs of equal bytes, so every disk head and every object store sees large
sequential reads. Where they go: each rank fills its own pieces from all blocks that meet them.

The same inputs give the same plan in every process, so no plan is ever sent. Bytes are moved and never converted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from headway.checkpoint.files.manifest import Object
from headway.checkpoint.layout.boxes import Box
from headway.checkpoint.load.blocks import Block, Contents, StoredFragment
from headway.checkpoint.state.fit import Stored, find_misfits, find_unclaimed, refuse
from headway.checkpoint.state.inventory import Inventory

READ_BYTES = 4 << 20  # adjacent blocks are read together up to this: one block, or many small ones
READ_BLOCKS = 1024  # and never more than one `preadv` takes
COPY_BYTES_PER_S = 5e9  # for predictions: from the page cache to the caller's memory, with a hash on the way

Select = Callable[[str], bool]


class Want(msgspec.Struct, frozen=True):
    """Boxes of one object that a rank wants. `tied_to`: it shares the memory of that object and wants nothing for itself."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    boxes: tuple[Box, ...]
    tied_to: str = ""


class Fill(NamedTuple):
    """A box that goes from a fragment to piece `piece` of want `want`."""

    want: int
    piece: int
    box: Box


class Read(NamedTuple):
    """Adjacent blocks of one file."""

    segment: int
    start: int
    nbytes: int
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class RankPlan:
    """One rank's part: what it reads from the medium and verifies for its host, what it reads from the page cache to fill its
    own pieces, and which boxes of which fragment (segment number, fragment number) go where. `ties`: pairs that share memory in
    its state and are two arrays in the checkpoint, so they must be found equal, or one of them would be dropped silently."""

    rank: int
    host: str
    verify: tuple[Read, ...]
    reads: tuple[Read, ...]
    fills: Mapping[tuple[int, int], tuple[Fill, ...]]
    fill_nbytes: int
    ties: tuple[tuple[str, str], ...] = ()

    @property
    def verify_nbytes(self) -> int:
        return sum(read.nbytes for read in self.verify)


class FileShare(NamedTuple):
    """How much of a file some rank needs."""

    file: str
    nbytes: int
    needed_nbytes: int
    blocks: int


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What a load will do."""

    label: str
    files: tuple[FileShare, ...]
    ranks: Mapping[int, RankPlan]

    @property
    def read_nbytes(self) -> int:
        """Bytes read from the medium: every needed block once per host."""
        return sum(rank.verify_nbytes for rank in self.ranks.values())

    def predicted_s(self, read_bytes_per_s: float, copy_bytes_per_s: float = COPY_BYTES_PER_S) -> float:
        """Seconds that it will take, where each host reads `read_bytes_per_s` from the medium."""
        hosts: dict[str, int] = {}
        for rank in self.ranks.values():
            hosts[rank.host] = hosts.get(rank.host, 0) + rank.verify_nbytes
        slowest = max((rank.fill_nbytes for rank in self.ranks.values()), default=0)
        return max(hosts.values(), default=0) / read_bytes_per_s + slowest / copy_bytes_per_s

    def describe(self, read_bytes_per_s: float | None = None) -> str:
        """Write the plan as a table for people, with the predicted time if a bandwidth is given."""
        many = "file" if len(self.files) == 1 else "files"
        lines = [f"{self.label}: {_size(self.read_nbytes)} to read from {len(self.files)} {many}, each block once per host"]
        wide = max((len(file.file) for file in self.files), default=4)
        lines.append(f"  {'file':{wide}}  {'needed':>10}  {'of':>10}  {'blocks':>7}")
        for file in self.files:
            lines.append(f"  {file.file:{wide}}  {_size(file.needed_nbytes):>10}  {_size(file.nbytes):>10}  {file.blocks:>7}")
        wide = max((len(rank.host) for rank in self.ranks.values()), default=4)
        lines.append(f"  {'rank':>5}  {'host':{wide}}  {'reads':>10}  {'fills':>10}")
        for number in sorted(self.ranks):
            rank = self.ranks[number]
            lines.append(f"  {number:>5}  {rank.host:{wide}}  {_size(rank.verify_nbytes):>10}  {_size(rank.fill_nbytes):>10}")
        if read_bytes_per_s is not None:
            seconds = self.predicted_s(read_bytes_per_s)
            lines.append(f"  predicted: {seconds:.3g} s at {read_bytes_per_s / 1e9:.3g} GB/s from the medium to each host")
        return "\n".join(lines)


def wants_of(inventory: Inventory) -> tuple[Want, ...]:
    """List what this process wants, in the order of its holdings, and then what is tied."""
    wants = [
        Want(each.name, each.object.dtype, each.object.shape, tuple(piece.box for piece in each.pieces))
        for each in inventory.holdings
    ]
    wants += [Want(name, each.dtype, each.shape, (), each.alias_of) for name, each in inventory.aliases.items()]
    return tuple(wants)


def plan_load(
    contents: Contents,
    wants: Mapping[int, Sequence[Want]],
    hosts: Mapping[int, str],
    select: Select | None = None,
    elsewhere: Collection[str] = (),
    strict: bool = True,
) -> LoadPlan:
    """Plan a load for the ranks in `wants`, which are on `hosts`. If `strict`, everything in the checkpoint (that `select` says
    yes to) must be wanted, if not by one of these ranks then by others, whose names are `elsewhere`.

    Raises CheckpointMismatch where state and checkpoint don't fit, naming every tensor (up to ten), and CheckpointDamaged where
    the checkpoint does not hold all of what is wanted.
    """
    _refuse_misfits(contents, wants, select, elsewhere, strict)
    needed: dict[int, set[Block]] = {}
    fills: dict[int, dict[tuple[int, int], tuple[Fill, ...]]] = {}
    for rank in sorted(wants):
        needed[rank], fills[rank] = _needs(contents, wants[rank])
    shares: dict[int, list[Block]] = {}
    for host in sorted({hosts[rank] for rank in wants}):
        mates = [rank for rank in sorted(wants) if hosts[rank] == host]
        blocks = sorted(set().union(*(needed[rank] for rank in mates)))
        shares.update(zip(mates, _share_out(blocks, len(mates)), strict=True))
    plans = {
        rank: RankPlan(
            rank,
            hosts[rank],
            coalesce(shares[rank]),
            coalesce(sorted(needed[rank])),
            fills[rank],
            _nbytes(contents, fills[rank]),
            _doubtful_ties(contents, wants[rank]),
        )
        for rank in sorted(wants)
    }
    return LoadPlan(contents.label, _files(contents, set().union(*needed.values())), plans)


def _needs(contents: Contents, wants: Sequence[Want]) -> tuple[set[Block], dict[tuple[int, int], tuple[Fill, ...]]]:
    """Find the blocks that a rank needs, and what it fills from each fragment."""
    blocks: set[Block] = set()
    fills: dict[tuple[int, int], list[Fill]] = {}
    for number, want in enumerate(wants):
        for piece, box in enumerate(want.boxes):
            if not box.volume:
                continue
            for part, met in contents.meeting(contents.holder(want.name), box):
                fills.setdefault((part.segment, part.fragment), []).append(Fill(number, piece, met))
                blocks.update(part.block(at) for numbers in part.find_blocks(met) for at in numbers)
    return blocks, {where: tuple(each) for where, each in fills.items()}


def _share_out(blocks: Sequence[Block], ways: int) -> list[list[Block]]:
    """Cut blocks, in order, into runs of about equal bytes: a block goes where its middle falls."""
    total = sum(block.nbytes for block in blocks)
    shares: list[list[Block]] = [[] for _ in range(ways)]
    done = 0
    for block in blocks:
        shares[(2 * done + block.nbytes) * ways // (2 * total)].append(block)
        done += block.nbytes
    return shares


def coalesce(blocks: Iterable[Block]) -> tuple[Read, ...]:
    """Join adjacent blocks into reads. The blocks are in order."""
    reads: list[Read] = []
    run: list[Block] = []
    for block in blocks:
        if run and (
            (run[-1].segment, run[-1].end) != (block.segment, block.start)
            or block.end - run[0].start > READ_BYTES
            or len(run) == READ_BLOCKS
        ):
            reads.append(_make_read(run))
            run = []
        run.append(block)
    return (*reads, _make_read(run)) if run else tuple(reads)


def _make_read(run: Sequence[Block]) -> Read:
    return Read(run[0].segment, run[0].start, run[-1].end - run[0].start, tuple(run))


def _files(contents: Contents, blocks: set[Block]) -> tuple[FileShare, ...]:
    by_file: dict[int, list[int]] = {}
    for block in blocks:
        by_file.setdefault(block.segment, []).append(block.nbytes)
    files = ((contents.segments[number], sizes) for number, sizes in sorted(by_file.items()))
    return tuple(FileShare(file.file, file.nbytes, sum(sizes), len(sizes)) for file, sizes in files)


def _nbytes(contents: Contents, fills: Mapping[tuple[int, int], tuple[Fill, ...]]) -> int:
    return sum(fill.box.volume * contents.place(*where).itemsize for where, each in fills.items() for fill in each)


# --- what must fit ---------------------------------------------------------------------------------------------------


def _refuse_misfits(
    contents: Contents, wants: Mapping[int, Sequence[Want]], required: Select | None, elsewhere: Collection[str], strict: bool
) -> None:
    stored = Stored.of(contents.manifest)
    arrays = [(want.name, Object(want.dtype, want.shape, alias_of=want.tied_to)) for rank in sorted(wants) for want in wants[rank]]
    wrong = find_misfits(stored, arrays)
    if strict:
        claimed = {*elsewhere, *(name for name, _ in arrays), *contents.manifest.values}
        wrong += find_unclaimed(stored, claimed, required)
    refuse(stored, wrong)


def _doubtful_ties(contents: Contents, wants: Sequence[Want]) -> tuple[tuple[str, str], ...]:
    """Find what is tied in the state but has bytes of its own in the checkpoint, in other fragments or with other hashes."""
    objects = contents.manifest.objects
    ties = []
    for want in wants:
        if want.tied_to in objects and want.name in objects:
            mine, other = contents.holder(want.name), contents.holder(want.tied_to)
            if mine != other and _hashes(contents.parts(mine)) != _hashes(contents.parts(other)):
                ties.append((want.name, want.tied_to))
    return tuple(ties)


def _hashes(parts: Sequence[StoredFragment]) -> set[tuple[Box, str]]:
    return {(part.box, part.hashes) for part in parts}


def _size(nbytes: int) -> str:
    if nbytes < 1024:
        return f"{nbytes} B"
    power = min(int(math.log2(nbytes)) // 10, 4)
    return f"{nbytes / 1024**power:.2f} {'KMGT'[power - 1]}iB"
