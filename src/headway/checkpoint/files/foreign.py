"""Data files of other programs, which an import leaves where they are: a segment names them by an absolute path or a URL.

A backend is confined to its root, so every reader of a segment's data file asks this module where the file is.
"""

from __future__ import annotations

import os
from functools import lru_cache

from headway.storage.backend import Backend, Stat
from headway.storage.opening import open_backend


def is_foreign(file: str) -> bool:
    """Whether a data file lies outside of the root. Nobody promises that it stays."""
    return file.startswith("/") or "://" in file


def locate(backend: Backend, file: str) -> tuple[Backend, str]:
    """Find the backend that has a segment's data file, and its name there.

    Example:
        >>> from headway.storage.local import LocalBackend
        >>> locate(LocalBackend("/runs/gpt"), "/models/base.safetensors")[0].url
        '/models'
    """
    if not is_foreign(file):
        return backend, file
    if file.startswith(("/", "file://")):
        file = os.path.realpath(file.removeprefix("file://"))  # the folder that really has it
    folder, _, name = file.rpartition("/")
    return _open_once(folder or "/"), name


def stat_data(backend: Backend, file: str) -> Stat | None:
    """Look up the size and time of a segment's data file; None if it is gone."""
    owner, name = locate(backend, file)
    return owner.stat(name)


@lru_cache(64)
def _open_once(folder: str) -> Backend:
    return open_backend(folder)
