"""Writes a picture into a new file or over an older picture. A typo must not overwrite a program or a model."""

from __future__ import annotations

from pathlib import Path

from headway.errors import UsageError


def write_picture(path: str, svg: str, option: str) -> None:
    """Write an SVG. `option` is the one that named the file, for messages. Raises UsageError where it can't be written, or
    something else than a picture is there."""
    file = Path(path)
    try:
        if file.is_file() and file.stat().st_size and b"<svg" not in file.read_bytes()[:4096]:
            raise UsageError(
                f"{option} {path}: is there already and is no SVG picture, so it is not overwritten: name another file"
            )
        file.write_text(svg, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"the picture cannot be written to {path} ({error.strerror}): say where with {option} FILE") from error
