"""Names of calls: a call is named by what it asks, never by when it ran.

    key = H(parent key, epoch, task, explicit key or canonical arguments)
    key of a later equal sibling = H(key, its number)

Keys are 16 bytes of BLAKE2b. Every kind of name starts with its own letter, and every part of varying length but the
last is preceded by its length, so no two different questions are ever the same bytes. Changing anything here makes
every recorded result unfindable: keys are part of the store's format.

`canonical` says when two arguments are the same, `signature` when two ways to pass them are.
"""

from __future__ import annotations

import hashlib

from headway.engine.identity.canonical import canonical
from headway.engine.identity.labels import label
from headway.engine.identity.signature import Signature, Unkeyed, unkeyed
from headway.journal.codec.declared import stable_module
from headway.journal.codec.wire import pack

__all__ = [
    "Signature",
    "Unkeyed",
    "call_key",
    "canonical",
    "explicit",
    "forever_key",
    "label",
    "sibling_key",
    "stable_module",
    "unkeyed",
]

_blake2b = hashlib.blake2b


def call_prefix(parent_key: bytes, epoch: int) -> bytes:
    """What the keys of all children of one call begin with, before they are hashed."""
    return b"C" + parent_key + pack(epoch)


def task_part(task: str) -> bytes:
    """A task's name, framed so that it can't run into what follows."""
    name = task.encode()
    return pack(len(name)) + name


def hash_key(data: bytes) -> bytes:
    """The key of `call_prefix + task_part + arguments`."""
    return _blake2b(data, digest_size=16).digest()


def call_key(parent_key: bytes, epoch: int, task: str, arguments: bytes) -> bytes:
    """The name of a call: `arguments` is `Signature.canonical(...)`, or `explicit(...)` where the task has `key=`."""
    data = call_prefix(parent_key, epoch) + task_part(task) + arguments
    return _blake2b(data, digest_size=16).digest()


def sibling_key(key: bytes, ordinal: int) -> bytes:
    """The name of the `ordinal`-th call with this key under the same parent; the first is the key itself."""
    return key if ordinal == 0 else _blake2b(b"S" + key + pack(ordinal), digest_size=16).digest()


def forever_key(task: str, arguments: bytes) -> bytes:
    """The name of a call that is the same in every run, whoever asks."""
    return _blake2b(b"F" + pack(task) + arguments, digest_size=16).digest()


def explicit(key: object, task: str = "the call") -> bytes:
    """What `key=` gave, as the arguments of `call_key`; never equal to the arguments of a call without it."""
    return b"\xc1" + canonical(key, f"key= of {task}")  # 0xc1 starts no msgpack
