"""Turns what people write for a root into the root they mean, or refuses it before anything is created.

A root holds hours of training. A folder that is literally called `~` or `s3:` would take checkpoints and is not what was meant; a
file where a folder should be would fail at the first save. Both are refused at once.
"""

from __future__ import annotations

import os
import re
import secrets
import warnings
from pathlib import Path, PurePath

from headway.checkpoint.files.manifest import HEAD, STEPS
from headway.errors import UsageError
from headway.storage.backend import Backend

PARTS = (STEPS, "pins", "readers", "saving", "clock", "metrics")
"""The folders of a root. Nothing else below it is looked at."""
_ONE_SLASH = re.compile(r"(s3a?|gs|gcs|az|azure|adl|abfss?|https?|memory):/(?!/)")


def root_of(root: str | PurePath, *, strict: bool = False) -> str:
    """Resolve a root to a URL, or to an absolute path with `~` expanded.

    Args:
        strict: refuse `s3:/bucket` (one slash), too, which could be meant as a folder of this name.

    Raises UsageError for what can't be a root.

    Example:
        >>> root_of("s3://bucket/runs"), root_of("/runs/../gpt")
        ('s3://bucket/runs', '/runs/../gpt')
    """
    text = os.fspath(root)
    if not text.strip():
        raise UsageError(f"the root of the checkpoints is {text!r}: name a folder, or an object store (s3://bucket/folder)")
    if "://" in text:
        return text
    if match := _ONE_SLASH.match(text):
        meant = f"{match[1]}://{text[match.end() :]}"
        if strict or isinstance(root, PurePath):  # what was a URL, before it was made a path
            raise UsageError(f"the root {text} is a folder of this machine: write {meant!r}, as text, for the object store")
        warnings.warn(
            f"the root {text} is a folder of this machine: write {meant!r} for the object store", RuntimeWarning, stacklevel=3
        )
    try:
        path = Path(text).expanduser().absolute()
    except RuntimeError as error:
        raise UsageError(f"the root {text}: {error}") from None
    _refuse_no_folder(path)
    _refuse_inside_of_another(path)
    return str(path)


def refuse_unwritable(backend: Backend) -> None:
    """Raise StoreError where a root can't be written, by writing a small file: before a training, not after its first hours."""
    probe = f"clock/{secrets.token_hex(6)}"
    backend.put(probe, b"\n")
    backend.delete([probe])


def _refuse_no_folder(path: Path) -> None:
    for each in (path, *path.parents):
        try:
            there = each.exists()
            if there and not each.is_dir():
                whose = "it" if each == path else str(each)
                raise UsageError(f"the root {path} can't be a folder: {whose} is a file")
        except OSError:  # can't be looked at: its first use will say so
            return
        if there:
            return


def _refuse_inside_of_another(path: Path) -> None:
    for parent in path.parents:
        part = path.relative_to(parent).parts[0]
        try:
            inside = part in PARTS and (parent / HEAD).is_file()
        except OSError:
            return
        if inside:
            raise UsageError(
                f"the root {path} lies in {part}/ of the checkpoints in {parent}, which are collected with all that is in there: "
                "give it a folder of its own"
            )
