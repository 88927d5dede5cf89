"""A hash that stays: which questions are kept from training must never depend on a process or a version of Python."""

from __future__ import annotations


def hash_values(values: tuple[int, ...]) -> int:
    """Hash the values to a number below 2**32 that depends on them alone (FNV-1a over values)."""
    found = 2166136261
    for value in values:
        found = (found ^ value) * 16777619 % (1 << 32)
        found ^= found >> 15
    return found
