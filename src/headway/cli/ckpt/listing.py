"""`ckpt ls`: what checkpoints there are. Manifests are read, and files are counted; no tensor is looked at."""

from __future__ import annotations

import time
from collections.abc import Mapping

import msgspec
from rich.table import Table
from rich.text import Text

from headway.checkpoint.backend.base import Backend
from headway.checkpoint.catalog import Damaged, flaw, manifests, newest
from headway.checkpoint.leases import pins
from headway.checkpoint.manifest import STEPS, Manifest
from headway.cli import console
from headway.cli.ckpt.roots import existing
from headway.observe import words


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
            metrics(each.metrics),
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


def metrics(numbers: Mapping[str, float]) -> Text:
    """As people read them."""
    return Text(", ".join(f"{name} {value:.5g}" for name, value in numbers.items()))
