"""The joins' way to the engine's decisions: a name, what was recorded under it, a new record.

Each join decides for itself what it records, and returns it again in a resumed program (a race its winner). None touches the
engine's decisions but through here. All of it runs on the engine's thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from headway.engine.call import Frame, hear_stop
from headway.journal.codec.codec import digest
from headway.journal.decisions import Told, name_asked_again

if TYPE_CHECKING:
    from headway.engine.engine import Engine

D = TypeVar("D", bound=Told)


def name_decision(frame: Frame, what: str, detail: bytes = b"") -> bytes:
    """The name of the next decision of this kind in this call, or in this one of the coroutines that it joined.

    Raises:
        HeadwayError: The call has ended, and its code goes on.
    """
    engine: Engine = frame.call.engine
    return engine.decisions.name_decision(frame, what, detail)


def recall(frame: Frame, name: bytes, kind: type[D]) -> D | None:
    """The decision recorded under this name, or None."""
    engine: Engine = frame.call.engine
    return engine.decisions.recall(frame.call, name, kind)


def recall_newest(frame: Frame, name: bytes, kind: type[D]) -> tuple[D | None, bytes]:
    """The newest decision, after earlier ones stopped holding; and the name for deciding again."""
    newest, told = None, recall(frame, name, kind)
    while told is not None:
        newest, name = told, name_asked_again(name)
        told = recall(frame, name, kind)
    return newest, name


def record(frame: Frame, name: bytes, told: Told) -> None:
    """Record a decision; a resumed program recalls it."""
    hear_stop(frame.call)
    engine: Engine = frame.call.engine
    engine.decisions.record_decision(frame.call, name, told)


def name_bounds(frame: Frame) -> bytes:
    """The budgets and the deadline around this code, as a name: it changes when somebody changes one of them. What was decided
    because of a bound holds only under that bound, so the name is part of the name of such a decision."""
    budgets, account = [], frame.scope.account
    while account is not None:
        budgets.append(sorted((unit, float(amount)) for unit, amount in account.limits.items()))
        account = account.parent
    deadline = frame.scope.deadline
    return digest(repr((budgets, None if deadline is None else deadline.at)).encode())
