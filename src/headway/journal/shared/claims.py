"""Which run computes a shared result, and what the others do meanwhile: the rule that all stores go by.

A call of a `cache="forever"` task that is about to run claims its shared name in the store. While the claim stands, no equal call
of another run starts; when it is gone, there is a result or the next one claims. A claim has no time of its own: it stands as long
as its run's lease does, under the same fence. So it is renewed with the lease, and void at once when the run is given back or taken
over, when its process is seen to be dead, and when the lease is over. A result and the end of its claim are one transaction, so
nobody finds neither.

Two runs could wait for each other: one computes x and needs y, the other one computes y and needs x. So a run also says which of
its claims can't end before which names that it waits for. Whoever would close a circle is told so in the same transaction, and
computes the name itself, without a claim. A circle is closed by its last wait, and transactions come one after another: so somebody
sees it, and nobody hangs. A stricter rule, never to wait while others wait for one's own claims, needs no such word, but would do
work twice wherever shared tasks call shared tasks.

This file must never let a claim outlive its run's lease, and never let two runs claim one name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from headway.journal.owner import is_alive
from headway.journal.records import Lease, Row

T = TypeVar("T")
NAME_BYTES = 16
PART = 500  # names in one statement
Waits = Mapping[bytes, Sequence[bytes]]


class Wish(NamedTuple):
    """A call that is about to run."""

    name: bytes
    seen: Row | None = None  # a result that is known not to hold for the call


class Reply(NamedTuple):
    """What became of a wish. Where there is a result, nothing was claimed."""

    row: Row | None = None  # the newest result, if it is another one than was seen
    mine: bool = False  # the name is this run's: the call runs
    alone: bool = False  # waiting would close a circle: the call runs, without a claim
    left: bool = False  # an earlier claim ended with its process: what was computed under it may have happened
    by: str = ""  # who computes it


class Claim(NamedTuple):
    """A name that a run computes."""

    run: int
    fence: int
    since: float
    waits: tuple[bytes, ...] = ()  # names that others compute and that this can't end without


class Holder(NamedTuple):
    """What a store knows of a claim's run."""

    fence: int
    owner: str
    lease_until: float


class Board(NamedTuple):
    """What a store knows of the names in question."""

    rows: Mapping[bytes, Row]
    claims: dict[bytes, Claim]
    holders: Mapping[int, Holder]


class Settled(NamedTuple):
    """The answers, and what there is to write."""

    replies: list[Reply]
    put: dict[bytes, Claim]
    drop: list[bytes]
    shorten: set[int]  # runs whose lease ends too late to be true: the clock was set back


def stands(claim: Claim, holders: Mapping[int, Holder], now: float, lives: Callable[[str], bool | None]) -> bool:
    """Whether a claim counts: its run is still driven by the same driver, who lives and has been heard of in time."""
    holder = holders.get(claim.run)
    if holder is None or not holder.owner or holder.fence != claim.fence:
        return False
    return holder.lease_until > now and lives(holder.owner) is not False


def settle(
    board: Board,
    lease: Lease,
    wishes: Sequence[Wish],
    waits: Waits,
    done: Sequence[bytes],
    now: float,
    lives: Callable[[str], bool | None] = is_alive,
) -> Settled:
    """Answer the wishes of one run, and say what changes.

    Args:
        board: what is known of every name here, and of every name that the claims on these wait for.
        lease: of the run that asks.
        wishes: calls that are about to run, and those that still wait.
        waits: claims of this run, with all the names for which each waits from now on.
        done: claims of this run that ended without a result.
        now: wall clock seconds.
        lives: whether the process of an owner still runs; None where that is unknown.
    """
    claims, put, drop, shorten = dict(board.claims), dict[bytes, Claim](), list[bytes](), set[int]()
    wished = {wish.name for wish in wishes}

    def mine(name: bytes) -> bool:
        claim = claims.get(name)
        return claim is not None and (claim.run, claim.fence) == (lease.uid, lease.fence)

    for name in done:
        if mine(name) and name not in wished:
            del claims[name]
            drop.append(name)
    for name, others in waits.items():
        if mine(name) and claims[name].waits != tuple(others):
            put[name] = claims[name] = claims[name]._replace(waits=tuple(others))
    replies = []
    for name, seen in wishes:
        row, claim = board.rows.get(name), claims.get(name)
        if row is not None and row != seen:
            replies.append(Reply(row=row))
        elif claim is None or mine(name) or not stands(claim, board.holders, now, lives):
            if not mine(name):
                put[name] = claims[name] = Claim(lease.uid, lease.fence, now)
            replies.append(Reply(mine=True, left=claim is not None and (claim.run, claim.fence) != (lease.uid, lease.fence)))
        elif _closes_circle(name, claims, {above for above, others in waits.items() if name in others}, board.holders, now, lives):
            replies.append(Reply(alone=True))
        else:
            if board.holders[claim.run].lease_until > now + lease.ttl_s:
                shorten.add(claim.run)
            replies.append(Reply(by=board.holders[claim.run].owner))
    return Settled(replies, put, drop, shorten)


def _closes_circle(
    name: bytes,
    claims: Mapping[bytes, Claim],
    above: set[bytes],
    holders: Mapping[int, Holder],
    now: float,
    lives: Callable[[str], bool | None],
) -> bool:
    """Whether who computes `name` waits, directly or through others, for one of the names `above`, which wait for it."""
    seen, stack = {name}, [name]
    while above and stack:
        claim = claims.get(stack.pop())
        if claim is None or not stands(claim, holders, now, lives):
            continue
        for other in claim.waits:
            if other in above:
                return True
            if other not in seen:
                seen.add(other)
                stack.append(other)
    return False


def gather_claims(names: Iterable[bytes], find: Callable[[set[bytes]], Mapping[bytes, Claim]]) -> dict[bytes, Claim]:
    """The claims on these names and on all that they wait for."""
    found: dict[bytes, Claim] = {}
    new = set(names)
    seen = set(new)
    while new:
        more = find(new)
        found.update(more)
        new = {name for claim in more.values() for name in claim.waits} - seen
        seen |= new
    return found
