"""Formats numbers and times for people, in one way for progress, trees, pictures and tables.

Pure functions from a number to a few characters. Nothing may parse their results: programs read `--json`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping


def seconds(value: float) -> str:
    """A duration.

    >>> [seconds(v) for v in (0.00031, 0.042, 3.14159, 12.34, 75, 7380, 200_000)]
    ['0.3 ms', '42 ms', '3.14 s', '12.3 s', '1 min 15 s', '2 h 3 min', '2 d 7 h']
    """
    if value < 0:
        return f"-{seconds(-value)}"
    if value < 0.9995:
        millis = value * 1000
        return f"{millis:.0f} ms" if millis >= 10 or millis == 0 else f"{millis:.1f} ms"
    if value < 9.995:
        return f"{value:.2f} s"
    if value < 59.95:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def age(value: float) -> str:
    """How long ago something was.

    >>> [age(v) for v in (-3, 12, 190, 9000, 400_000)]
    ['just now', '12 s ago', '3 min ago', '2 h ago', '4 d ago']
    """
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if value >= 2 * length or (value >= length and unit == "min"):
            return f"{int(value // length)} {unit} ago"
    return f"{int(value)} s ago" if value >= 1 else "just now"


def amount(value: float) -> str:
    """An amount of some unit.

    >>> [amount(v) for v in (3.0, 0.25, 4311, 1234.5678, 20_000_000, math.inf)]
    ['3', '0.25', '4,311', '1,234.6', '20 M', '∞']
    """
    if math.isinf(value) or math.isnan(value):
        return "∞" if value > 0 else str(value)
    for letter, size in (("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if abs(value) >= 10 * size:
            return f"{value / size:.4g} {letter}"
    if value == int(value):
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.1f}"
    return f"{value:.3g}"


def amounts(vector: Mapping[str, float]) -> str:
    """A vector of compute.

    >>> amounts({"tokens": 1200.0, "usd": 0.031})
    'tokens 1,200, usd 0.031'
    """
    return ", ".join(f"{unit} {amount(value)}" for unit, value in vector.items() if value)


def count(number: int, noun: str) -> str:
    """A number with its noun.

    >>> count(1, "call"), count(12_000, "call")
    ('1 call', '12,000 calls')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def names_of(names: Iterable[str], most: int = 5) -> str:
    """Names, each once, with how often it is there.

    >>> names_of(["approve", "review", "approve"])
    "'approve' (2 times), 'review'"
    """
    counts = Counter(names)
    said = [repr(name) + (f" ({number:,} times)" if number > 1 else "") for name, number in list(counts.items())[:most]]
    return ", ".join(said) + (f" and {len(counts) - most:,} more" if len(counts) > most else "")


def nbytes(number: float) -> str:
    """A size in bytes, in the unit that suits it.

    >>> nbytes(812), nbytes(20_480), nbytes(3.2e9)
    ('812 B', '20 KiB', '2.98 GiB')
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1024
    return f"{number:.3g} TiB"


def clip(text: str, width: int) -> str:
    """One line of at most `width` characters.

    >>> clip("two\\nlines that are long", 12)
    'two lines t…'
    """
    line = " ".join(text[: width * 4].split())
    return line if len(line) <= width else line[: width - 1] + "…"


def short_tasks(names: set[str]) -> dict[str, str]:
    """Task names without the program's stem, where that leaves them different.

    >>> short_tasks({"sky.answer", "sky.search"})["sky.search"], short_tasks({"a.f", "b.f"})["a.f"]
    ('search', 'a.f')
    """
    short = {name: name.rpartition(".")[2] or name for name in names}
    taken: dict[str, int] = {}
    for brief in short.values():
        taken[brief] = taken.get(brief, 0) + 1
    return {name: brief if taken[brief] == 1 else name for name, brief in short.items()}
