"""Which call a new one is: its key, and which of equal siblings it is.

A key says what is asked, by which parent, and in which place among equal calls; never when. Names are given at the moment of the
call, on the engine's thread, in the order in which the parent's own code makes its calls. `branch_siblings` sorts out the calls of
branches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.engine.call import Call, Share
from headway.engine.identity.branch_siblings import Siblings
from headway.engine.identity.keys import call_prefix, hash_key, sibling_key
from headway.engine.tasks.spec import TaskSpec
from headway.errors import UsageError
from headway.journal.records import Place
from headway.journal.recovery.recovered import RecoveredState

if TYPE_CHECKING:
    from headway.engine.decisions import Decisions


class Names:
    """Names the calls of one run."""

    def __init__(self, known: RecoveredState, decisions: Decisions) -> None:
        self._known = known
        self._decisions = decisions
        self._placed = known.places.ordinals
        self._functions: dict[
            bytes, bytes
        ] = {}  # which of several functions of one name made which call, where all calls look alike

    def name(self, spec: TaskSpec, asked: bytes, parent: Call, path: bytes) -> tuple[bytes, Place | None]:
        """The key of a call: what it asks, of whom, and its place among equal siblings; the place where it must be remembered."""
        prefix = parent.prefix
        if not prefix:
            prefix = parent.prefix = call_prefix(parent.key, parent.epoch)
        key = hash_key(prefix + spec.name_part + asked)
        if path or parent.siblings is not None or key in self._placed:
            return self.siblings_of(parent).place(key, path)
        ordinals = parent.ordinals
        if ordinals is None:
            parent.ordinals = {key: 1}
            return key, None
        ordinal = ordinals.setdefault(key, 0)
        ordinals[key] = ordinal + 1
        return sibling_key(key, ordinal) if ordinal else key, None

    def shared_name(self, call: Call, asked: bytes, above: Share) -> bytes:
        """The name of a call below one with a shared name: it has the same place among its equals as in its own key."""
        if not above.prefix:
            above.prefix = call_prefix(above.key, above.epoch)
        key = hash_key(above.prefix + call.spec.name_part + asked)
        if call.place is not None:
            return sibling_key(key, call.place.ordinal)
        if above.ordinals is None:
            above.ordinals = {}
        ordinal = above.ordinals.get(key, 0)
        above.ordinals[key] = ordinal + 1
        return sibling_key(key, ordinal)

    def siblings_of(self, parent: Call) -> Siblings:
        """Which of the calls of one parent is which, where it has branches."""
        siblings: Siblings | None = parent.siblings
        if siblings is None:
            siblings = parent.siblings = Siblings(parent, self._known, self._decisions)
        return siblings

    def check_rivals(self, spec: TaskSpec, asked: bytes, parent: Call) -> None:
        """Raises UsageError where another function of the name was asked the same: each could get the other's answers."""
        functions = self._functions
        if not spec.forever:
            x = parent.extra()
            functions = x.functions = x.functions or {}
        if functions.setdefault(hash_key(spec.name_part + asked), spec.source) != spec.source:
            where = "this run" if spec.forever else parent.describe()
            raise UsageError(
                f"{where} calls two functions of the name {spec.name} with the same arguments, and each could be given what is "
                "recorded for the other: give one of them a name= of its own, or pass as an argument what they differ in"
            )
