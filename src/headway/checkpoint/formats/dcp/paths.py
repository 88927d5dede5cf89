"""The path of a flat name in nested dicts and lists, which torch.distributed.checkpoint needs to nest a state again.

Kept in a manifest's layout under `dcp`, and only for names that are not simply their path joined by dots.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from headway.checkpoint.files.manifest import Json

LAYOUT = "dcp"


def odd_paths(paths: Mapping[str, Iterable[str | int]]) -> dict[str, Json]:
    """Find the paths that are not simply their flat name cut at its dots."""
    listed = {name: list(path) for name, path in paths.items()}
    return {name: [*path] for name, path in listed.items() if path != name.split(".")}


def path_of(name: str, odd: Mapping[str, Json]) -> tuple[str | int, ...]:
    """Return the path that a flat name stands for."""
    path = odd.get(name)
    return tuple(part for part in path if isinstance(part, str | int)) if isinstance(path, list) else tuple(name.split("."))
