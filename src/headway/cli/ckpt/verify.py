"""`ckpt verify`: checks that the bytes on disk are those that were written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from headway.checkpoint.catalog.leases import lease_for_reading
from headway.checkpoint.catalog.listing import find, manifests, newest
from headway.checkpoint.files.manifest import Manifest
from headway.checkpoint.load.verify import Report, verify
from headway.cli import console
from headway.cli.ckpt.roots import open_existing, warn_passed_over
from headway.cli.trouble import PROBLEM
from headway.errors import NoCheckpoint
from headway.observe import words
from headway.storage.backend import Backend


class VerifiedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint whose bytes were all read. `whole`: nothing is wrong with it."""

    step: int
    id: str
    whole: bool
    report: Report


class CkptVerifyDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`headway ckpt verify --json`. `unreadable`: why a checkpoint could not be verified."""

    root: str
    whole: bool
    checkpoints: list[VerifiedDocument]
    unreadable: list[str]


def verify_checkpoints(root: str, step: str, *, everything: bool, as_json: bool) -> None:
    """Raises typer.Exit where something is wrong."""
    backend = open_existing(root)
    chosen, unreadable = _choose(backend, step, everything=everything)
    done = [_verify_one(backend, manifest) for manifest in chosen]
    whole = not unreadable and all(each.whole for each in done)
    if as_json:
        console.print_json(CkptVerifyDocument(root=root, whole=whole, checkpoints=done, unreadable=list(unreadable)))
    else:
        for why in unreadable:
            console.out().print(f"damaged: {why}", style="red", markup=False)
        for each in done:
            _tell(each)
        if not whole:
            console.note(_advise(root, done), "bold")
    if not whole:
        raise typer.Exit(PROBLEM)


def _choose(backend: Backend, step: str, *, everything: bool) -> tuple[list[Manifest], tuple[str, ...]]:
    """The checkpoints to verify, and those that were passed over because they can't be read."""
    if everything:
        catalog, last = manifests(backend), newest(backend)
        unreadable = dict.fromkeys((*(each.why for each in catalog.damaged), *last.skipped))
        if not catalog.checkpoints and not unreadable:
            raise NoCheckpoint(f"{backend.url} has no checkpoint yet")
        return list(reversed(catalog.checkpoints)), tuple(unreadable)
    if step == "latest":
        last = newest(backend)
        if last.manifest is not None:
            return [last.manifest], last.skipped
    return [find(backend, step, warn_passed_over)], ()


def _verify_one(backend: Backend, manifest: Manifest) -> VerifiedDocument:
    with lease_for_reading(backend, manifest.id), _progress(manifest.step) as progress:
        report = verify(backend, manifest, progress=progress)
    return VerifiedDocument(step=manifest.step, id=manifest.id, whole=report.whole, report=report)


@contextmanager
def _progress(step: int) -> Iterator[Callable[[int, int], None] | None]:
    """A bar of bytes on stderr, where that is a terminal."""
    err = console.err()
    if not err.is_terminal:
        yield None
        return
    columns = (TextColumn("verifying step {task.fields[step]}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        bar = progress.add_task("", step=step)
        yield lambda done, total: progress.update(bar, completed=done, total=total)


def _tell(each: VerifiedDocument) -> None:
    report = each.report
    checked = f"{words.count(report.files, 'file')}, {words.count(report.blocks, 'block')}, {words.nbytes(report.nbytes)}"
    style, verdict = ("green", "whole") if each.whole else ("red", "damaged")
    line = f"step {each.step} ({each.id}): {verdict}; checked {checked} in {words.seconds(report.seconds)}"
    console.out().print(line, style=style, markup=False)
    for problem in report.problems:
        console.out().print(f"  {problem.kind}: {problem}", markup=False)


def _advise(root: str, done: list[VerifiedDocument]) -> str:
    lost = sorted({name for each in done for name in each.report.tensors})
    if not lost:
        return f"see what is there with: headway ckpt ls {root}"
    named = ", ".join(lost[:5]) + (f" and {len(lost) - 5} more" if len(lost) > 5 else "")
    try_others = f"see which others are whole: headway ckpt verify {root} --all"
    return f"what can't be loaded: {named}. Put the files back from a copy, or {try_others}"
