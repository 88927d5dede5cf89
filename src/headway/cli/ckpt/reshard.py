"""`ckpt reshard --dry-run`: predicts what each rank would read to load under another layout, and how long that takes.

A checkpoint does not depend on a layout, so there is nothing to convert: a load reshards by itself. Its cost can be known
beforehand. It comes from the same pure planner that the load will use, given how the next run splits its tensors.
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from headway.checkpoint.files.foreign import locate
from headway.checkpoint.files.manifest import Object
from headway.checkpoint.layout.boxes import Box, whole
from headway.checkpoint.layout.sharding import chunk
from headway.checkpoint.load.blocks import Contents
from headway.checkpoint.load.plan import LoadPlan, Want, plan_load
from headway.cli import console
from headway.cli.ckpt.disk import read_speed
from headway.cli.ckpt.roots import open_existing, open_one, read_size
from headway.errors import UsageError
from headway.observe import words
from headway.storage.backend import Backend


class ReshardOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The command line, as it was written."""

    root: str
    step: str
    ranks: int | None
    hosts: int
    split: list[str]
    bandwidth: str | None
    dry_run: bool
    json: bool


class RankDocument(msgspec.Struct, frozen=True, kw_only=True):
    rank: int
    host: str
    reads_nbytes: int  # from the medium; ranks of a host share the work
    fills_nbytes: int


class CkptReshardDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`headway ckpt reshard --json`. `predicted_s` is null where no bandwidth is known (`--bandwidth`)."""

    root: str
    step: int
    id: str
    reads_nbytes: int
    files: int
    bandwidth: float | None
    predicted_s: float | None
    ranks: list[RankDocument]


class Rule(NamedTuple):
    """Tensors whose names fit are split along a dimension."""

    pattern: str
    dim: int


def reshard(options: ReshardOptions) -> None:
    if not options.dry_run:
        raise UsageError(
            "a checkpoint needs no conversion: load it under the new layout, and the load reshards it. To see what that load would "
            "read and how long it would take, add --dry-run"
        )
    if options.ranks is None:
        raise UsageError("--dry-run needs --ranks N: how many processes will load it")
    if not 1 <= options.hosts <= options.ranks:
        raise UsageError(f"--hosts {options.hosts}: give 1 to {options.ranks}, as there are {words.count(options.ranks, 'rank')}")
    rules = [_rule(text) for text in options.split]
    given = float(read_size("--bandwidth", options.bandwidth)) if options.bandwidth is not None else None
    backend = open_existing(options.root)
    with open_one(backend, options.step) as checkpoint:
        contents = checkpoint.contents
        plan = _plan(contents, rules, options.ranks, options.hosts)
        bandwidth = given if given is not None else _measure_read_speed(backend, contents)
    if options.json:
        console.print_json(_document(options, contents, plan, bandwidth))
        return
    console.out().print(plan.describe(bandwidth), markup=False)
    if bandwidth is None:
        console.note("no time is predicted without a bandwidth: add --bandwidth 2GB (bytes per second to each host)")
    elif given is None:
        console.note("the bandwidth was measured on the largest file just now; give another with --bandwidth 2GB")


def _rule(text: str) -> Rule:
    pattern, _, dim = text.rpartition(":")
    if not pattern or not dim.isdecimal():
        raise UsageError(f"--split {text!r}: write 'PATTERN:DIMENSION', such as 'model.*.weight:0' or '*:0'")
    return Rule(pattern, int(dim))


def _plan(contents: Contents, rules: Sequence[Rule], ranks: int, hosts: int) -> LoadPlan:
    objects = {name: known for name, known in contents.manifest.objects.items() if not known.alias_of}
    dims = _dimensions(objects, rules)
    wants = {
        rank: [Want(name, known.dtype, known.shape, _box(known, dims[name], rank, ranks)) for name, known in objects.items()]
        for rank in range(ranks)
    }
    return plan_load(contents, wants, {rank: f"host{rank * hosts // ranks}" for rank in range(ranks)})


def _dimensions(objects: Mapping[str, Object], rules: Sequence[Rule]) -> dict[str, int | None]:
    """Along which dimension each tensor is split: by the first rule that fits and whose dimension it has, None where each rank has
    all of it. A moment is split as its parameter, if it has its shape. Raises UsageError for a rule that splits nothing."""
    found: dict[str, int | None] = {}
    used: set[Rule] = set()
    for name, known in objects.items():
        names = (name, _parameter(name, known, objects))
        fits = [rule for rule in rules if any(fnmatch.fnmatchcase(each, rule.pattern) for each in names)]
        fits = [rule for rule in fits if rule.dim < len(known.shape)]
        used.update(fits[:1])
        found[name] = fits[0].dim if fits else None
    for rule in rules:
        if rule not in used:
            deep = f" with a dimension {rule.dim} that no earlier rule splits"
            raise UsageError(f"--split '{rule.pattern}:{rule.dim}' fits none of {words.count(len(objects), 'tensor')}{deep}")
    return found


def _parameter(name: str, known: Object, objects: Mapping[str, Object]) -> str:
    """The parameter that a moment belongs to, "" for anything else."""
    parameter = name.partition(".state.")[2].rpartition(".")[0] if known.kind == "moment" else ""
    return parameter if parameter in objects and objects[parameter].shape == known.shape else ""


def _box(known: Object, dim: int | None, rank: int, ranks: int) -> tuple[Box, ...]:
    """What a rank has of a tensor: chunks are rounded up, as FSDP deals them, so the last ranks may have none."""
    if dim is None:
        return (whole(known.shape),)
    begin, end = chunk(known.shape[dim], rank, ranks)
    offset, extent = [0] * len(known.shape), list(known.shape)
    offset[dim], extent[dim] = begin, end - begin
    return (Box(tuple(offset), tuple(extent)),) if math.prod(extent) else ()


def _measure_read_speed(backend: Backend, contents: Contents) -> float | None:
    """How fast the largest file is read past the page cache; None where it can't be known beforehand (an object store)."""
    largest = max(contents.segments, key=lambda segment: segment.nbytes, default=None)
    if largest is None:
        return None
    owner, name = locate(backend, largest.file)
    path = owner.path(name)
    return read_speed(path) if path is not None else None


def _document(options: ReshardOptions, contents: Contents, plan: LoadPlan, bandwidth: float | None) -> CkptReshardDocument:
    return CkptReshardDocument(
        root=options.root,
        step=contents.manifest.step,
        id=contents.manifest.id,
        reads_nbytes=plan.read_nbytes,
        files=len(plan.files),
        bandwidth=bandwidth,
        predicted_s=plan.predicted_s(bandwidth) if bandwidth is not None else None,
        ranks=[
            RankDocument(rank=number, host=rank.host, reads_nbytes=rank.verify_nbytes, fills_nbytes=rank.fill_nbytes)
            for number, rank in sorted(plan.ranks.items())
        ],
    )
