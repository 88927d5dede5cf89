"""`ckpt show`: what is in a checkpoint, where it comes from, who wrote it and how long that took. No tensor is read."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Mapping, Sequence

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from headway.checkpoint.catalog.leases import open_leased
from headway.checkpoint.catalog.timeline import draw_timeline, straggler
from headway.checkpoint.files.manifest import Json, Manifest, Object, Phase, Segment, SegmentRef
from headway.checkpoint.files.stored import read_segment
from headway.checkpoint.layout.names import list_names
from headway.cli import console
from headway.cli.ckpt.ls import metrics
from headway.cli.ckpt.roots import open_existing, warn_passed_over
from headway.cli.commands.pictures import write_picture
from headway.errors import CheckpointError, UsageError
from headway.journal.owner import clock
from headway.observe import words
from headway.storage.backend import Backend

VALUE_WIDTH = 100


class PhaseDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What a writer did when: plan, copy, guard wait, hash or write."""

    name: str
    begin: float
    seconds: float
    nbytes: int


class WriterDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What one process wrote. `damaged`: why its segment can't be read; then nothing else of it is known."""

    writer: str
    file: str
    nbytes: int
    fragments: int
    phases: list[PhaseDocument]
    damaged: str = ""


class StragglerDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The writer that ended last, how much later than the median one, and the phase that it spent most of its time in."""

    writer: str
    behind_s: float
    phase: str
    seconds: float


class CkptShowDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`headway ckpt show --json`"""

    root: str
    step: int
    id: str
    serial: int
    created: float
    nbytes: int
    parent: str
    metrics: dict[str, float]
    layout: dict[str, Json]
    provenance: dict[str, Json]
    objects: dict[str, Object]
    values: dict[str, Json]
    writers: list[WriterDocument]
    straggler: StragglerDocument | None


def show_checkpoint(root: str, step: str, names: str, *, timeline: str | None, as_json: bool) -> None:
    backend = open_existing(root)
    with open_leased(backend, step, warn_passed_over) as (manifest, _):
        segments = [_segment(backend, ref) for ref in manifest.segments]
    phases = {each.writer: each.phases for each in segments if isinstance(each, Segment) and each.phases}
    document = _document(root, manifest, names, list(map(_writer, manifest.segments, segments)), _straggler(phases))
    if not document.objects and not document.values and (manifest.objects or manifest.values):
        there = list_names({**manifest.objects, **manifest.values}, names)
        raise UsageError(
            f"nothing in step {manifest.step} is called {names!r}, of {there}. `headway ckpt show {root} {step}` lists all"
        )
    if timeline:
        write_picture(timeline, draw_timeline(f"{root}: step {manifest.step} ({manifest.id})", phases), "--timeline")
        console.note(f"who was busy with what is in {timeline}")
    if as_json:
        console.print_json(document)
    elif not timeline:
        console.out().print(_render(document, everything=names == "*"))


def _segment(backend: Backend, ref: SegmentRef) -> Segment | str:
    """What a writer sealed, or why it can't be read: that is told, and the rest is shown."""
    try:
        return read_segment(backend, ref)
    except CheckpointError as error:
        return str(error)


def _document(
    root: str, manifest: Manifest, names: str, writers: list[WriterDocument], last: StragglerDocument | None
) -> CkptShowDocument:
    return CkptShowDocument(
        root=root,
        step=manifest.step,
        id=manifest.id,
        serial=manifest.serial,
        created=manifest.created,
        nbytes=manifest.nbytes,
        parent=manifest.parent,
        metrics=manifest.metrics,
        layout=manifest.layout,
        provenance=manifest.provenance,
        objects={name: manifest.objects[name] for name in sorted(fnmatch.filter(manifest.objects, names))},
        values={name: manifest.values[name] for name in sorted(fnmatch.filter(manifest.values, names))},
        writers=writers,
        straggler=last,
    )


def _writer(ref: SegmentRef, segment: Segment | str) -> WriterDocument:
    if isinstance(segment, str):
        name = ref.file.rpartition("/")[2].removesuffix(".json")
        return WriterDocument(writer=name, file=ref.file, nbytes=ref.data_nbytes, fragments=0, phases=[], damaged=segment)
    return WriterDocument(
        writer=segment.writer,
        file=segment.file,
        nbytes=segment.nbytes,
        fragments=len(segment.fragments),
        phases=[
            PhaseDocument(name=phase.name, begin=phase.begin, seconds=phase.seconds, nbytes=phase.nbytes)
            for phase in segment.phases
        ],
    )


def _straggler(phases: Mapping[str, Sequence[Phase]]) -> StragglerDocument | None:
    last = straggler(phases)
    if last is None:
        return None
    return StragglerDocument(writer=last.rank, behind_s=last.behind_s, phase=last.phase, seconds=last.seconds)


def _render(document: CkptShowDocument, *, everything: bool) -> RenderableType:
    parts: list[RenderableType] = []
    if everything:
        parts += [*_head(document), Text(), _writers(document.writers)]
        if document.straggler is not None and len(document.writers) > 1:
            parts.append(Text(_describe_straggler(document.straggler), style="yellow"))
        parts.append(Text())
    if document.objects:
        parts.append(_objects(document.objects))
    if document.values:
        parts += [Text(), _make_value_table("value", document.values)]
    return Group(*parts)


def _head(document: CkptShowDocument) -> list[Text]:
    head = Text(f"step {document.step}", style="bold").append(f"  {document.id}", style="dim")
    said = f"saved {clock(document.created)} ({words.age(time.time() - document.created)}), number {document.serial} of this root"
    if document.parent:
        said += f", after {document.parent}"
    arrays = f"{words.count(len(document.objects), 'array')} of {words.nbytes(document.nbytes)}"
    lines = [head, Text(said, style="dim"), Text(f"{arrays}, {words.count(len(document.values), 'value')}")]
    if document.metrics:
        lines.append(Text("metrics ").append_text(metrics(document.metrics)))
    for title, told in (("layout", document.layout), ("provenance", document.provenance)):
        lines += [Text(f"{title} {name}: {_brief(value)}") for name, value in told.items()]
    return lines


def _writers(writers: list[WriterDocument]) -> Table:
    names = list(dict.fromkeys(phase.name for writer in writers for phase in writer.phases))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("writer", no_wrap=True)
    for name in ("size", "boxes", *names):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("file")
    for writer in writers:
        seconds = {name: sum(phase.seconds for phase in writer.phases if phase.name == name) for name in names}
        told = [words.seconds(seconds[name]) if seconds[name] else "" for name in names]
        file = Text(writer.damaged, style="red") if writer.damaged else Text(writer.file, style="dim")
        table.add_row(writer.writer, words.nbytes(writer.nbytes), f"{writer.fragments:,}", *told, file)
    return table


def _describe_straggler(found: StragglerDocument) -> str:
    line = f"the last was writer {found.writer}, {words.seconds(found.behind_s)} after the median"
    return f"{line}; it spent {words.seconds(found.seconds)} on {found.phase}"


def _objects(objects: Mapping[str, Object]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("name", "kind", "type"):
        table.add_column(name, no_wrap=True)
    table.add_column("shape", justify="right", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    for name, kept in objects.items():
        size = Text(f"is {kept.alias_of}", style="dim") if kept.alias_of else Text(words.nbytes(kept.nbytes))
        table.add_row(Text(name), kept.kind, kept.dtype, "×".join(map(str, kept.shape)) or "·", size)
    return table


def _make_value_table(title: str, values: Mapping[str, Json]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(title, no_wrap=True)
    table.add_column("")
    for name, value in values.items():
        table.add_row(Text(name), Text(_brief(value)))
    return table


def _brief(value: Json) -> str:
    return words.clip(msgspec.json.encode(value).decode(), VALUE_WIDTH)
