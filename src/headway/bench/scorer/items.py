"""Reads items from a file, and the scorer that is asked for by name.

A file has an item a line, as JSON: `{"id": …, "prompt": …, "chosen": […], "rejected": […], "subset": …}`. That is how RewardBench 2
is published, so a download of it can be read as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from headway.bench.scorer.rating import TIES, Item
from headway.errors import UsageError


def read_items(path: Path) -> list[Item]:
    """Read a file of items.

    Args:
        path: the file; empty lines are skipped.

    Returns:
        The items, in their order.

    Raises:
        UsageError: the file can't be read or has no items, or a line is no item; it names the line.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"items {path}: {said}: give a file with an item a line, as JSON") from None
    found = [_parse(line, f"items {path}, line {number}", number) for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise UsageError(f"items {path}: there are none: give a file with an item a line, as JSON")
    return found


def load_scorer(name: str) -> Callable[[str, list[str]], Any]:
    """The scorer of a name: `package.module:function`.

    Raises:
        UsageError: there is none.
    """
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise UsageError(f"scorer {name!r:.80}: name it as package.module:function, or give countdown for the value head")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"scorer {name!r:.80}: {error}") from None
    if not callable(found):
        raise UsageError(f"scorer {name!r:.80} is no function: it must be (prompt, answers) -> a score for each")
    return found  # type: ignore[no-any-return]  # what the user's module has


def _parse(line: str, where: str, number: int) -> Item:
    try:
        read: Any = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from None
    if not isinstance(read, dict):
        raise UsageError(f"{where}: an item is an object with prompt, chosen and rejected")
    prompt, subset = read.get("prompt"), read.get("subset", "")
    chosen, rejected = (_texts(read.get(name)) for name in ("chosen", "rejected"))
    if not isinstance(prompt, str) or not isinstance(subset, str) or not chosen or not rejected:
        raise UsageError(f"{where}: prompt must be a text; chosen and rejected a text or a list of texts, at least one each")
    if len(chosen) > 1 and subset != TIES:
        raise UsageError(f"{where}: {len(chosen)} chosen answers: one, but for the subset {TIES}")
    return Item(str(read.get("id", number)), prompt, chosen, rejected, subset)


def _texts(value: object) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    return tuple(texts) if isinstance(texts, list) and all(isinstance(text, str) for text in texts) else ()
