"""Context variables that go along with calls into other processes.

Threads of this process see the context of whoever made the call. Another process sees only what is sent, and sending everything
that can be encoded would send what no one asked for (a request, a session, a lock of some library). So a variable is sent when its
owner has said so, once, where it is made:

    tenant = contextvars.ContextVar("tenant", default="nobody")
    hw.carry(tenant)

What is sent is the value that the caller's context has. It is no part of the call's name: a call that is found again is the same
call, whatever the variable holds now. What decides a result belongs among the arguments.
"""

from __future__ import annotations

import contextvars
import sys
from typing import Any

import msgspec

from headway.errors import UsageError
from headway.journal.codec import codec
from headway.journal.codec.declared import stable_module

_declared: dict[str, contextvars.ContextVar[Any]] = {}
_told: contextvars.ContextVar[dict[str, Any] | None] = contextvars.ContextVar("headway_told", default=None)


def carry(*variables: contextvars.ContextVar[Any]) -> None:
    """Send the values of context variables along with calls that run in other processes.

    Call it where the variables are made, at the top level of a module that the workers import as well. A variable without a value
    in the caller's context is not sent, so its default holds there. A value must have an encoding, as a result must.

    Args:
        variables: Which ones. Within a module their names must differ; the newest of a name counts.

    Raises:
        UsageError: for what is no context variable.

    Example:
        >>> import contextvars
        >>> tenant = contextvars.ContextVar("tenant", default="nobody")
        >>> carry(tenant)
    """
    for variable in variables:
        if not isinstance(variable, contextvars.ContextVar):
            raise UsageError(f"hw.carry({variable!r:.100}): expected a contextvars.ContextVar")
    where = stable_module(sys._getframe(1).f_globals.get("__name__", ""))
    told = _told.get() or {}
    for variable in variables:
        name = f"{where}.{variable.name}"
        _declared[name] = variable
        if name in told:  # the function that a worker runs has only now imported the module
            variable.set(told[name])


def encode_carried(context: contextvars.Context | None, task: str) -> bytes:
    """Encode the values of the declared variables in a context; empty if there are none.

    Raises NotEncodable, naming the variable.
    """
    if not _declared or context is None:
        return b""
    found = {name: context[variable] for name, variable in _declared.items() if variable in context}
    if not found:
        return b""
    encoded = codec.encode(found, where=f"the context variables of {task}")
    return msgspec.msgpack.encode((encoded.head, [bytes(part) for part in encoded.buffers]))


def context_with(data: bytes) -> contextvars.Context:
    """A context of its own for a call's function, in which the variables have the values that were sent."""
    context = contextvars.copy_context()
    put_into(context, data)
    return context


def put_into(context: contextvars.Context, data: bytes) -> None:
    """Give the variables in a context the values that were sent."""
    if data:
        head, buffers = msgspec.msgpack.decode(data, type=tuple[bytes, list[bytes]])
        context.run(_take, codec.decode(head, buffers))


def _take(told: dict[str, Any]) -> None:
    _told.set(told)
    for name, value in told.items():
        if (variable := _declared.get(name)) is not None:
            variable.set(value)
