"""A reader of checkpoints written from `docs/checkpoint-format.md` alone. It must import nothing of Headway.

If it can't read what Headway saves, the page or the code is wrong. Sections in comments are those of the page.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

BLOCK = 4194304
SIZES = {
    "BOOL": 1,
    "U8": 1,
    "U16": 2,
    "U32": 4,
    "U64": 8,
    "I8": 1,
    "I16": 2,
    "I32": 4,
    "I64": 8,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "F16": 2,
    "BF16": 2,
    "F32": 4,
    "F64": 8,
    "C64": 8,
    "C128": 16,
    "C32": 4,
    "F8_E4M3FNUZ": 1,
    "F8_E5M2FNUZ": 1,
    "F8_E8M0": 1,
    "F4_X2": 1,
}
PLACE = re.compile(r"steps/(\d{12,})-([^/]+)/manifest\.json")


class Refused(Exception):
    """What a reader must not use."""


def unseal(data: bytes) -> tuple[Any, str]:
    """Sealed files: the JSON, and its digits."""
    line, _, rest = data.partition(b"\n")
    digits = xxhash.xxh3_128_hexdigest(line)
    if rest != digits.encode() + b"\n":
        raise Refused("the seal is broken")
    return json.loads(line, parse_constant=_no_constant), digits


def _no_constant(name: str) -> Any:
    raise Refused(f"{name} is no JSON number")


@dataclass(frozen=True)
class Part:
    """A fragment that passed the checks on its geometry."""

    file: Path
    begin: tuple[int, ...]
    extent: tuple[int, ...]
    start: int
    nbytes: int
    block: int
    hashes: str


class Checkpoint:
    """Reading, 3. to 6."""

    def __init__(self, root: Path, folder: str) -> None:
        self.root = root
        self.manifest, _ = unseal((root / folder / "manifest.json").read_bytes())
        if self.manifest.get("format", 1) != 1:
            raise Refused("another format")
        if folder != f"steps/{self.manifest['step']:012d}-{self.manifest['id']}":
            raise Refused("copied or moved")
        self.segments = [self._segment(ref) for ref in self.manifest["segments"]]
        self.parts: dict[str, list[Part]] = {name: [] for name in self.manifest["objects"]}
        for segment in self.segments:
            for fragment in segment["fragments"]:
                self.parts[fragment[0]].append(self._part(segment, *fragment))
        for name, known in self.manifest["objects"].items():
            if not known.get("alias_of"):
                self._cover(name, known)

    def __getitem__(self, name: str) -> np.ndarray[Any, Any]:
        """The bytes of an array: one more dimension, of the size of an element."""
        known = self.manifest["objects"][name]
        if known.get("alias_of"):
            return self[known["alias_of"]]
        array = np.zeros((*known["shape"], SIZES[known["dtype"]]), "u1")
        for part in self.parts[name]:
            where = tuple(slice(b, b + e) for b, e in zip(part.begin, part.extent, strict=True))
            array[where] = np.frombuffer(self._verified(part), "u1").reshape(*part.extent, -1) if part.nbytes else 0
        return array

    def _segment(self, ref: dict[str, Any]) -> dict[str, Any]:
        segment, digits = unseal((self.root / ref["file"]).read_bytes())
        if digits != ref["hash"]:
            raise Refused("another segment")
        file = self.root / segment["file"]  # an absolute one stays what it is
        if file.stat().st_size != segment["nbytes"] or segment["nbytes"] != ref["data_nbytes"]:
            raise Refused("cut off")
        segment["path"] = file
        return dict(segment)

    def _part(self, segment: dict[str, Any], name: str, offset: list[int], extent: list[int], start: int, hashes: str) -> Part:
        known = self.manifest["objects"][name]
        size = SIZES[known["dtype"]]
        row = math.prod(extent[1:]) * size if extent else size
        block = BLOCK // row * row if 0 < row <= BLOCK else BLOCK
        nbytes = math.prod(extent) * size
        inside = all(b >= 0 and b + e <= n for b, e, n in zip(offset, extent, known["shape"], strict=True))
        in_file = segment["header_nbytes"] <= start and start + nbytes <= segment["nbytes"]
        if known.get("alias_of") or not inside or not in_file or len(hashes) != 32 * math.ceil(nbytes / block):
            raise Refused(f"{name}: impossible")
        return Part(segment["path"], tuple(offset), tuple(extent), start, nbytes, block, hashes)

    def _cover(self, name: str, known: dict[str, Any]) -> None:
        seen = np.zeros(known["shape"], "u1")
        for part in self.parts[name]:
            seen[tuple(slice(b, b + e) for b, e in zip(part.begin, part.extent, strict=True))] += 1
        if not (seen == 1).all():
            raise Refused(f"{name}: not covered exactly")

    def _verified(self, part: Part) -> bytes:
        with part.file.open("rb") as file:
            file.seek(part.start)
            data = file.read(part.nbytes)
        for k, at in enumerate(range(0, part.nbytes, part.block)):
            if xxhash.xxh3_128_hexdigest(data[at : at + part.block]) != part.hashes[32 * k : 32 * k + 32]:
                raise Refused(f"block {k} of {part.file} at {part.start}")
        return data


def newest(root: Path) -> Checkpoint:
    """Reading, 1."""
    try:
        head, _ = unseal((root / "HEAD").read_bytes())
        return Checkpoint(root, f"steps/{head['step']:012d}-{head['id']}")
    except (Refused, FileNotFoundError):
        found = []
        for path in root.glob("steps/*/manifest.json"):
            assert PLACE.fullmatch(path.relative_to(root).as_posix())
            try:
                manifest, _ = unseal(path.read_bytes())
            except Refused:
                continue
            found.append((manifest["serial"], path.parent.relative_to(root).as_posix()))
        return Checkpoint(root, max(found)[1])
