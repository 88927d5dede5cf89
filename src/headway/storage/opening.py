"""From what names a root to its backend."""

from __future__ import annotations

from pathlib import Path

from headway.storage.backend import Backend
from headway.storage.local import LocalBackend


def open_backend(url: str | Path) -> Backend:
    """A folder (a path or `file://`), or an object store (`s3://bucket/prefix`, `gs://`, `az://`, …; needs the `objects` extra)."""
    text = str(url)
    if "://" not in text or text.startswith("file://"):
        return LocalBackend(Path(text.removeprefix("file://")))
    from headway.storage.objects import ObjectBackend  # only now: a folder needs nothing of it

    return ObjectBackend(text)
