"""`ckpt ls`: lists checkpoints. It reads manifests and checks file sizes, and reads no tensor."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import msgspec
from rich.table import Table
from rich.text import Text

from headway.checkpoint.catalog.leases import pins
from headway.checkpoint.catalog.listing import Damaged, flaw, manifests, newest
from headway.checkpoint.catalog.metrics import with_metrics
from headway.checkpoint.files.manifest import STEPS, Manifest
from headway.checkpoint.files.roots import PARTS
from headway.cli import console
from headway.cli.ckpt.roots import open_existing
from headway.observe import words
from headway.storage.backend import Backend
from headway.storage.opening import open_backend


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


class CallRootDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The checkpoints of one call of a run; `name` is what the call named them."""

    key: str
    task: str
    name: str
    root: str
    checkpoints: list[ListedDocument]
    unreadable: list[Damaged]


class CkptLsRunDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`headway ckpt ls RUN --json`"""

    run: str
    roots: list[CallRootDocument]


def list_checkpoints(root: str, store: str, *, as_json: bool) -> None:
    """List the checkpoints of a root; if there is no such root, those of the run of this name."""
    if "/" not in root and not Path(root).expanduser().exists():
        listed = _of_run(root, store)
        if listed is not None:
            _tell_run(listed, as_json=as_json)
            return
    document = _of_root(root)
    if as_json:
        console.print_json(document)
    else:
        _tell_root(document)


def _of_run(run_id: str, store: str) -> CkptLsRunDocument | None:
    """The checkpoints of a run's calls. Raises UnknownRun, with ids that are near, where the store has other runs."""
    from headway.journal.open import find_store
    from headway.observe.reading import read_run

    opened = find_store(store)
    if opened is None:
        return None
    with closing(opened):
        tasks = {call.key.hex(): call.task for call in read_run(opened, run_id).calls.values()}
        root = opened.checkpoint_root(run_id)
    roots: list[CallRootDocument] = []
    for key, name in _calls_in(root) if root is not None else ():
        head = f"{root}/{key}/{name}".rstrip("/")
        found = _of_root(head)
        roots.append(
            CallRootDocument(
                key=key,
                task=tasks.get(key, ""),
                name=name,
                root=head,
                checkpoints=found.checkpoints,
                unreadable=found.unreadable,
            )
        )
    return CkptLsRunDocument(run=run_id, roots=roots)


def _calls_in(root: str) -> list[tuple[str, str]]:
    """Which calls have saved below the place of a run, and under which names."""
    found = set()
    for file, _ in open_backend(root).files(""):
        key, *parts = file.split("/")
        if STEPS in parts and not any(part in PARTS for part in parts[: parts.index(STEPS)]):
            found.add((key, "/".join(parts[: parts.index(STEPS)])))
    return sorted(found)


def _tell_run(document: CkptLsRunDocument, *, as_json: bool) -> None:
    if as_json:
        console.print_json(document)
        return
    if not document.roots:
        console.note(f"no call of {document.run} has checkpoints")
    for each in document.roots:
        name = f"  {each.name}" if each.name else ""
        console.out().print(Text(f"{each.task or 'a call'}{name}  {each.key[:8]}  {each.root}", style="bold"), soft_wrap=True)
        _tell_root(CkptLsDocument(root=each.root, checkpoints=each.checkpoints, unreadable=each.unreadable, notes=[]))


def _of_root(root: str) -> CkptLsDocument:
    backend = open_existing(root)
    catalog, last, pinned = manifests(backend), newest(backend), pins(backend)
    sizes = {file: stat.nbytes for file, stat in backend.files(STEPS)}
    notes = list(last.skipped)
    listed = [
        _describe_checkpoint(each, backend, sizes, newest_id=last.manifest.id if last.manifest else "", pinned=pinned)
        for each in reversed(with_metrics(backend, catalog.checkpoints, notes.append))
    ]
    unreadable = {each.why for each in catalog.damaged}
    return CkptLsDocument(
        root=root,
        checkpoints=listed,
        unreadable=list(catalog.damaged),
        notes=[why for why in notes if why not in unreadable],
    )


def _tell_root(document: CkptLsDocument) -> None:
    if not document.checkpoints and not document.unreadable:
        console.note(f"no checkpoints in {document.root} yet")
    elif document.checkpoints:
        console.out().print(_list(document.checkpoints))
    for each in document.unreadable:
        console.out().print(f"not used: {each.why}", style="red", markup=False)
    for note in document.notes:
        console.note(note, "yellow")


def _describe_checkpoint(
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
        damaged="" if _is_plainly_whole(manifest, sizes) else flaw(backend, manifest),
    )


def _is_plainly_whole(manifest: Manifest, sizes: Mapping[str, int]) -> bool:
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
