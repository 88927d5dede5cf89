"""`ckpt gc`: remove the checkpoints that no rule keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rich.table import Table
from rich.text import Text

from headway.checkpoint.catalog.collect import Report, collect
from headway.checkpoint.catalog.listing import manifests, place_of
from headway.checkpoint.catalog.metrics import read_later
from headway.checkpoint.catalog.retention import Keep
from headway.checkpoint.files.manifest import Manifest
from headway.cli import console
from headway.cli.ckpt.roots import open_existing, refuse_no_root
from headway.errors import UsageError
from headway.observe import words

EVERYTHING = 2**31


def collect_garbage(root: str, last: int | None, every: int | None, best: str | None, *, dry_run: bool, as_json: bool) -> None:
    """Without a rule every checkpoint stays, and only what crashed saves left is removed."""
    ruled = last is not None or every is not None or best is not None
    keep = Keep(last=last if last is not None else 1 if ruled else EVERYTHING, every=every, best=_best(best) if best else None)
    backend = open_existing(root)
    refuse_no_root(root, backend)
    _refuse_rule_without_match(read_later(backend).added_to(manifests(backend).checkpoints), keep)
    report = collect(backend, keep, dry_run=dry_run)
    if as_json:
        console.print_json(report)
        return
    _tell(report, ruled=ruled)


def _refuse_rule_without_match(known: Sequence[Manifest], keep: Keep) -> None:
    """Raise UsageError for a rule that fits no checkpoint: a typo, which would remove what it was meant to keep."""
    if keep.every is not None and known and not any(each.step % keep.every == 0 for each in known):
        steps = ", ".join(str(each.step) for each in known[:5])
        raise UsageError(f"--keep-every {keep.every}: no step is a multiple of it (the newest are {steps}). Nothing was removed")
    if keep.best is not None and known and not any(keep.best[0] in each.metrics for each in known):
        there = sorted({name for each in known for name in each.metrics})
        have = f"they have {', '.join(there)}" if there else "they have none"
        raise UsageError(f"--best {keep.best[0]}: no checkpoint has such a metric; {have}. Nothing was removed")


def _best(text: str) -> tuple[str, Literal["min", "max"], int]:
    """`val_loss:min:2`. The name may have colons of its own."""
    name, way, number = text.rsplit(":", 2) if text.count(":") > 1 else ["", "", ""]
    if not name or way not in ("min", "max") or not number.isdecimal() or int(number) < 1:
        raise UsageError(f"--best {text!r}: write METRIC:min:N or METRIC:max:N, such as val_loss:min:2")
    return name, "min" if way == "min" else "max", int(number)


def _tell(report: Report, *, ruled: bool) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("", "step", "id", "why"):
        table.add_column(name, justify="right" if name == "step" else "left", no_wrap=name != "why")
    kept = {each.folder: each.why for each in report.kept}
    gone = {each.folder for each in report.removed}
    for folder in sorted({*kept, *gone}):
        place = place_of(folder)
        step, id = (str(place.step), place.id) if place else ("", folder)
        if folder in gone:
            table.add_row(Text("goes", style="red"), step, id, Text("no rule keeps it", style="dim"))
        else:
            table.add_row(Text("stays", style="green"), step, id, ", ".join(kept[folder]) if ruled else "")
    if kept or gone:
        console.out().print(table)
    done = "would remove" if report.dry_run else "removed"
    files = f"{words.count(len(report.swept), 'file')}, {words.nbytes(report.nbytes)}"
    console.out().print(f"{done} {words.count(len(report.removed), 'checkpoint')}; {files}")
    for note in report.notes:
        console.note(note, "yellow")
    if not ruled:
        console.note("no rule was given, so only leftovers of crashed saves are removed: see --keep-last, --keep-every, --best")
