"""Which of several equal calls is which, where coroutines that a call joins make them.

Equal calls of one parent are told apart by a number. In the parent's own code that is their order, which is the same in every
life. Coroutines that run side by side (`hw.gather` of helpers, a race of strategies) are branches of the call, and the order in
which branches make equal calls depends on timing. So the number that a branch's call got is recorded with its outcome, and a later
life or attempt gives the branch the same number: whoever got an answer gets it again.

A block of `hw.anytime` is a branch as well. It may end at any moment, so another life may come to less of it, or to more; what is
asked in it must not shift the numbers of what is asked behind it.

A branch is named by the joins and blocks that it is in and its place in each: `LEVEL` bytes each, so that the name of a branch
begins with that of the branch around it.

Names must not cost work. What was recorded for one branch is also given to another that asks for it, because a program may be
edited, and because workers that share a queue make a call in whichever branch has time. One thing forbids it: the branch it was
recorded for still runs, and all branches of that join have made only the calls that they made before. Then it will come for its
call, and the one that asks is given a new number. A branch that was given what was recorded for another, or that did not go the way
that it went before, has that recorded too: from then on it holds what it was given. An attempt whose branches make other calls
than those of the attempt before looks like such workers: if the run is killed in it, its branches may get each other's answers.

With blocks, three more things forbid it. A block whose end is recorded had used what it was given. The code behind such a block
goes on as it did before, so a block that comes to more takes nothing of it. And a failure may be that of a bound which is around
one of the two and not around the other.

Nothing here is looked at for a call that no branch makes and no branch has made before.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from headway.engine.identity.keys import sibling_key
from headway.journal.decisions import Moved, decision_key
from headway.journal.records import Place, Status
from headway.journal.recovery.recovered import JOIN, LEVEL, Places, RecoveredState, decode_outcome

if TYPE_CHECKING:
    from headway.engine.call import Call
    from headway.engine.decisions import Decisions

BLOCK = b"\xff\xff\xff\xff"  # in the name of a block, where that of a branch has its place in the join
LOOK = 64  # at how many recorded equal calls of other branches a call looks at most

Slot = tuple[bytes, int]
"""A branch, and which of its equal calls."""


class _Equals:
    """Calls that ask the same."""

    __slots__ = ("fresh", "recorded", "taken", "turns", "unclaimed")

    def __init__(self, ordinals: dict[Slot, int]) -> None:
        holders = {ordinal: slot for slot, ordinal in ordinals.items()}  # the last that is known to have each
        self.unclaimed = {holders[ordinal]: ordinal for ordinal in sorted(holders)}
        self.recorded = holders.keys()
        self.taken: set[int] = set()
        self.turns: dict[bytes, int] = {}
        self.fresh = 0

    def next_turn(self, branch: bytes) -> int:
        turn = self.turns.get(branch, 0)
        self.turns[branch] = turn + 1
        return turn

    def next_fresh(self) -> int:
        """The lowest number that was never given to a call."""
        while self.fresh in self.taken or self.fresh in self.recorded:
            self.fresh += 1
        return self.fresh


class Siblings:
    """The calls of one parent that has branches."""

    __slots__ = (
        "_decisions",
        "_ended",
        "_equals",
        "_joined",
        "_kept",
        "_known",
        "_ordinals",
        "_parent",
        "_steps",
        "_strayed",
        "_told",
        "open",
    )

    def __init__(self, parent: Call, known: RecoveredState, decisions: Decisions) -> None:
        self._parent = parent
        self._known = known
        self._decisions = decisions
        self._told = known.places
        self._kept = None if parent.memo is None else parent.memo.setdefault(b"P", Places())  # of earlier attempts
        self._ordinals = parent.ordinals or {}  # of the calls that were made before there were branches
        self._begin()

    def _begin(self) -> None:
        self.open: set[bytes] = set()  # branches that run
        self._ended: set[bytes] = set()  # blocks whose end an earlier life recorded
        self._equals: dict[bytes, _Equals | bytes] = {}  # by base; of a single call only the branch that made it
        self._steps: dict[bytes, int] = {}
        self._joined: dict[bytes, int] = {}  # the steps at which branches began their joins
        self._strayed: set[bytes] = set()  # joins in which a branch made another call than the one that is recorded at this step

    def begin_again(self) -> None:
        """The next attempt begins."""
        self._ordinals = {}
        self._begin()

    def begin_join(self, branch: bytes, name: bytes) -> None:
        """Note that a branch begins to branch itself."""
        if branch:
            self._joined[branch + name], _ = self._take_step(name, branch)

    def open_block(self, branch: bytes, name: bytes, *, ended: bool) -> bytes:
        """Note that the code of a branch opens a block in which its calls are numbered apart. `ended`: an earlier life recorded
        its end. Returns the branch that the block is."""
        self.begin_join(branch, name)
        inside = branch + name + BLOCK
        self.open.add(inside)
        if ended:
            self._ended.add(inside)
        return inside

    def close_block(self, inside: bytes) -> None:
        """Note that the code has left a block."""
        self.open.discard(inside)

    def place(self, base: bytes, branch: bytes) -> tuple[bytes, Place]:
        """The key of the next call that a branch makes, and its place."""
        step, as_before = self._take_step(base, branch)
        equals = self._equals.get(base)
        if equals is None and not self._was_made(base):
            self._equals[base] = branch
            ordinal, turn, held = 0, 0, False
        else:
            if not isinstance(equals, _Equals):
                equals = self._equals[base] = self._all_equal(base, equals)
            turn = equals.next_turn(branch)
            ordinal, held = self._choose(base, equals, branch, turn)
            equals.taken.add(ordinal)
        key = sibling_key(base, ordinal)
        place = Place(base, ordinal, branch, turn, step, self._joins_of(branch))
        if self._kept is not None:
            self._kept.note(place)
        if not (held and as_before) and key in self._known.outcomes:
            self._record_move(place)
        return key, place

    def _joins_of(self, branch: bytes) -> tuple[int, ...]:
        if len(branch) <= LEVEL:
            return ()
        return tuple(self._joined[branch[: end + JOIN]] for end in range(LEVEL, len(branch), LEVEL))

    def _record_move(self, place: Place) -> None:
        """Record that a branch is given what is recorded already."""
        parent = self._parent
        name = decision_key(parent.key, parent.epoch, "moved", place.base + place.branch, place.turn)
        self._decisions.record_decision(parent, name, Moved(place))

    def _take_step(self, base: bytes, branch: bytes) -> tuple[int, bool]:
        """Count what a branch does, and see whether an earlier life did the same."""
        if not branch:
            return 0, True
        step = self._steps.get(branch, 0)
        self._steps[branch] = step + 1
        before = self._told.made(branch, step)
        kept = None if self._kept is None else self._kept.made(branch, step)
        if before not in (None, base) or kept not in (None, base):
            self._strayed.update(branch[: end + JOIN] for end in range(0, len(branch), LEVEL))
        return step, before == base

    def _was_made(self, base: bytes) -> bool:
        kept = self._kept is not None and base in self._kept.ordinals
        return kept or base in self._told.ordinals or base in self._ordinals

    def _all_equal(self, base: bytes, first: bytes | None) -> _Equals:
        """What is known of the calls with this base: what was recorded, and those that were made already."""
        ordinals: dict[Slot, int] = dict(self._told.ordinals.get(base, ()))
        if self._kept is not None:
            ordinals |= self._kept.ordinals.get(base, {})
        equals = _Equals(ordinals)
        if first is not None:
            equals.taken.add(0)
            equals.turns[first] = 1
        elif count := self._ordinals.get(base, 0):
            equals.taken.update(range(count))
            equals.turns[b""] = count
        return equals

    def _choose(self, base: bytes, equals: _Equals, branch: bytes, turn: int) -> tuple[int, bool]:
        """The number of a branch's next call, and whether it held it; else it is one that is left over, or a new one. A failure is
        not handed into a block or out of one: it may be that of a bound that is not there."""
        own = equals.unclaimed.pop((branch, turn), None)
        if own is not None and own not in equals.taken:
            return own, True
        if not branch and turn not in equals.taken and turn not in equals.recorded:
            return turn, False
        for slot, ordinal in islice(equals.unclaimed.items(), LOOK):
            if ordinal not in equals.taken and not self._is_awaited(slot, ordinal, branch):
                if _crosses_block(slot[0], branch) and not self._has_result(base, ordinal):
                    continue
                del equals.unclaimed[slot]
                return ordinal, False
        return equals.next_fresh(), False

    def _has_result(self, base: bytes, ordinal: int) -> bool:
        """Whether no failure is recorded under this number."""
        found = self._known.outcomes.get(sibling_key(base, ordinal))
        return found is None or decode_outcome(found[1]).status == Status.OK

    def _is_awaited(self, slot: Slot, ordinal: int, branch: bytes) -> bool:
        """Whether the branch of a recorded call will come for it; or, in a block whose end is recorded, came for it before."""
        owner, turn = slot
        shared = _measure_common(owner, branch)
        if self._ended:
            if len(owner) == shared and branch[: shared + LEVEL] in self._ended:  # the code around it goes on as it did before
                return True
            if any(owner[:end] in self._ended for end in range(shared + LEVEL, len(owner) + 1, LEVEL)):
                return True
        if len(owner) == shared:  # the branch's own code, or that around it, which is never at work beside its branches
            return owner == branch or ordinal != turn
        return owner[: shared + LEVEL] in self.open and owner[: shared + JOIN] not in self._strayed


def _crosses_block(one: bytes, other: bytes) -> bool:
    """Whether one of two branches is in a block that the other is not in."""
    shared = _measure_common(one, other)
    levels = (branch[end + JOIN : end + LEVEL] for branch in (one, other) for end in range(shared, len(branch), LEVEL))
    return BLOCK in levels


def _measure_common(one: bytes, other: bytes) -> int:
    """The length of the branch that two branches have in common."""
    length = 0
    while one[length : length + LEVEL] == other[length : length + LEVEL] and length < min(len(one), len(other)):
        length += LEVEL
    return length
