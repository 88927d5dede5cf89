"""Files of lines of JSON that outlive whoever writes them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def append_line(file: Path, record: dict[str, Any]) -> None:
    """Add a line that no crash takes away again."""
    number = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(number, json.dumps(record, ensure_ascii=False).encode() + b"\n")
        os.fsync(number)
    finally:
        os.close(number)


def read_lines(file: Path) -> list[dict[str, Any]]:
    """The whole lines of a file; none where there is no file."""
    text = file.read_text() if file.exists() else ""
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
