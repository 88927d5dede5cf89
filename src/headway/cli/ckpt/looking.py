"""`ckpt ls` and `ckpt show`: what there is, and what is in it. Only what is sealed is read, no tensor."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Mapping

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from headway.checkpoint.backend.base import Backend
from headway.checkpoint.catalog import Damaged, flaw, manifests, newest
from headway.checkpoint.leases import opened, pins
from headway.checkpoint.manifest import STEPS, Json, Manifest, Object, Phase, Segment
from headway.checkpoint.stored import read_segment
from headway.checkpoint.timeline import Straggler, draw_timeline, straggler
from headway.cli import console
from headway.cli.ckpt.roots import existing, write_picture
from headway.errors import CheckpointDamaged, NoCheckpoint, UsageError
from headway.journal.owner import clock
from headway.observe import words

VALUE_WIDTH = 100


class ListedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint in `headway ckpt ls --json`. `damaged`: what is missing or has another size; "" where nothing is seen."""

    step: int
    id: str
    serial: int
    created: float
    nbytes: int
    metrics: dict[str, float]
    parent: str
    newest: bool
    pinned: bool
    damaged: str


class CkptLsDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`headway ckpt ls --json`, the newest last. `unreadable`: folders whose manifest does not verify."""

    root: str
    checkpoints: list[ListedDocument]
    unreadable: list[Damaged]
    notes: list[str]


def list_checkpoints(root: str, *, as_json: bool) -> None:
    backend = existing(root)
    catalog, last, pinned = manifests(backend), newest(backend), pins(backend)
    sizes = {file: stat.nbytes for file, stat in backend.files(STEPS)}
    listed = [
        _listed(each, backend, sizes, newest_id=last.manifest.id if last.manifest else "", pinned=pinned)
        for each in reversed(catalog.checkpoints)
    ]
    unreadable = {each.why for each in catalog.damaged}
    document = CkptLsDocument(
        root=root,
        checkpoints=listed,
        unreadable=list(catalog.damaged),
        notes=[why for why in last.skipped if why not in unreadable],
    )
    if as_json:
        console.print_json(document)
        return
    if not listed and not catalog.damaged:
        console.note(f"no checkpoints in {root} yet")
    elif listed:
        console.out().print(_list(listed))
    for each in catalog.damaged:
        console.out().print(f"not used: {each.why}", style="red", markup=False)
    for note in document.notes:
        console.note(note, "yellow")


def _listed(
    manifest: Manifest, backend: Backend, sizes: Mapping[str, int], *, newest_id: str, pinned: frozenset[str]
) -> ListedDocument:
    return ListedDocument(
        step=manifest.step,
        id=manifest.id,
        serial=manifest.serial,
        created=manifest.created,
        nbytes=manifest.nbytes,
        metrics=manifest.metrics,
        parent=manifest.parent,
        newest=manifest.id == newest_id,
        pinned=manifest.id in pinned,
        damaged="" if _plainly_whole(manifest, sizes) else flaw(backend, manifest),
    )


def _plainly_whole(manifest: Manifest, sizes: Mapping[str, int]) -> bool:
    """Whether all files of a checkpoint are in its folder with their sizes: one listing tells, and nothing has to be opened."""
    return all(
        ref.file in sizes and sizes.get(ref.file.removesuffix(".json") + ".safetensors") == ref.data_nbytes
        for ref in manifest.segments
    )


def _list(listed: list[ListedDocument]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name, side in (("step", "right"), ("id", "left"), ("saved", "right"), ("size", "right"), ("metrics", "left")):
        table.add_column(name, justify="right" if side == "right" else "left", no_wrap=name != "metrics")
    table.add_column("parent", no_wrap=True)
    table.add_column("")
    now = time.time()
    for each in listed:
        table.add_row(
            Text(str(each.step), style="bold"),
            each.id,
            words.age(now - each.created),
            words.nbytes(each.nbytes),
            _metrics(each.metrics),
            Text(each.parent, style="dim"),
            _marks(each),
        )
    return table


def _marks(each: ListedDocument) -> Text:
    return Text(", ").join(
        Text(mark, style=style)
        for mark, style, there in (
            ("newest", "green", each.newest),
            ("pinned", "blue", each.pinned),
            (f"damaged: {each.damaged}", "red", bool(each.damaged)),
        )
        if there
    )


def _metrics(metrics: Mapping[str, float]) -> Text:
    return Text(", ".join(f"{name} {value:.5g}" for name, value in metrics.items()))


# --- show --------------------------------------------------------------------------------------------------------------


class WriterDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What one process wrote. `damaged`: why its segment can't be read; then nothing else of it is known."""

    writer: str
    file: str
    nbytes: int
    fragments: int
    phases: list[Phase]
    damaged: str = ""


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
    straggler: Straggler | None


def show_checkpoint(root: str, step: str, names: str, *, timeline: str | None, as_json: bool) -> None:
    backend = existing(root)
    with opened(backend, step) as (manifest, _):
        writers = [_writer(backend, manifest, number) for number in range(len(manifest.segments))]
    phases = {writer.writer: writer.phases for writer in writers if writer.phases}
    document = CkptShowDocument(
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
        straggler=straggler(phases),
    )
    if not document.objects and not document.values and (manifest.objects or manifest.values):
        raise UsageError(f"nothing in step {manifest.step} is called {names!r}: `headway ckpt show {root} {step}` lists all names")
    if timeline:
        write_picture(timeline, draw_timeline(f"{root}: step {manifest.step} ({manifest.id})", phases))
        console.note(f"who was busy with what is in {timeline}")
    if as_json:
        console.print_json(document)
    elif not timeline:
        console.out().print(_shown(document, everything=names == "*"))


def _writer(backend: Backend, manifest: Manifest, number: int) -> WriterDocument:
    ref = manifest.segments[number]
    try:
        segment: Segment = read_segment(backend, ref)
    except (CheckpointDamaged, NoCheckpoint) as error:
        name = ref.file.rpartition("/")[2].removesuffix(".json")
        return WriterDocument(writer=name, file=ref.file, nbytes=ref.data_nbytes, fragments=0, phases=[], damaged=str(error))
    return WriterDocument(
        writer=segment.writer,
        file=segment.file,
        nbytes=segment.nbytes,
        fragments=len(segment.fragments),
        phases=list(segment.phases),
    )


def _shown(document: CkptShowDocument, *, everything: bool) -> RenderableType:
    parts: list[RenderableType] = []
    if everything:
        parts += [*_head(document), Text(), _writers(document.writers)]
        if document.straggler is not None and len(document.writers) > 1:
            parts.append(Text(_waited_for(document.straggler), style="yellow"))
        parts.append(Text())
    if document.objects:
        parts.append(_objects(document.objects))
    if document.values:
        parts += [Text(), _named("value", document.values)]
    return Group(*parts)


def _head(document: CkptShowDocument) -> list[Text]:
    head = Text(f"step {document.step}", style="bold").append(f"  {document.id}", style="dim")
    said = f"saved {clock(document.created)} ({words.age(time.time() - document.created)}), number {document.serial} of this root"
    if document.parent:
        said += f", after {document.parent}"
    arrays = f"{words.count(len(document.objects), 'array')} of {words.nbytes(document.nbytes)}"
    lines = [head, Text(said, style="dim"), Text(f"{arrays}, {words.count(len(document.values), 'value')}")]
    if document.metrics:
        lines.append(Text("metrics ").append_text(_metrics(document.metrics)))
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


def _waited_for(found: Straggler) -> str:
    line = f"the last was writer {found.rank}, {words.seconds(found.behind_s)} after the median"
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


def _named(title: str, values: Mapping[str, Json]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(title, no_wrap=True)
    table.add_column("")
    for name, value in values.items():
        table.add_row(Text(name), Text(_brief(value)))
    return table


def _brief(value: Json) -> str:
    return words.clip(msgspec.json.encode(value).decode(), VALUE_WIDTH)
