"""Files that tests put into backends and read back."""

from __future__ import annotations

import mmap

from headway.storage.backend import Backend

MIB = 1 << 20
DATA = "steps/000000000001-a/00000.safetensors"


def names(root: Backend, folder: str = "") -> list[str]:
    return [file for file, _ in root.files(folder)]


def pages(nbytes: int) -> memoryview:
    """Memory that starts at a page, with a pattern that shows where a byte belongs."""
    memory = memoryview(mmap.mmap(-1, max(nbytes, 1)))[:nbytes]
    pattern = bytes(range(251)) * (nbytes // 251 + 1)
    memory[:] = pattern[:nbytes]
    return memory


def store(root: Backend, file: str, data: memoryview, chunk: int = MIB) -> None:
    """Write a large file the way it is promised: from one piece of memory that is used again and again."""
    writer = root.create(file, len(data))
    memory = pages(chunk)
    for at in range(0, len(data), chunk):
        part = data[at : at + chunk]
        memory[: len(part)] = part
        writer.write(memory[: len(part)])
        memory[:] = bytes(chunk)
    writer.finish()


def load(root: Backend, file: str, start: int, nbytes: int) -> bytes:
    into = bytearray(nbytes)
    root.read(file, start, memoryview(into))
    return bytes(into)
