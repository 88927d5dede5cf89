"""`ckpt diff`: what has changed between two checkpoints."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from headway.checkpoint.files.manifest import Manifest
from headway.checkpoint.load.diff import Diff, diff
from headway.cli import console
from headway.cli.ckpt.roots import open_existing, open_one
from headway.observe import words


def compare(root: str, before: str, after: str, *, as_json: bool) -> None:
    backend = open_existing(root)
    with open_one(backend, before) as one, open_one(backend, after) as other:
        found = diff(one, other)
        title = f"{_name_checkpoint(one.manifest)} → {_name_checkpoint(other.manifest)}"
    if as_json:
        console.print_json(found)
        return
    out = console.out()
    out.print(Text(title, style="bold"))
    if found.same:
        out.print("the same state, to the last bit", style="green")
        return
    for names, mark, style in ((_list_added(found), "+", "green"), (_list_removed(found), "-", "red")):
        for name in names:
            out.print(f"{mark} {name}", style=style, markup=False)
    for recast in found.recast:
        out.print(f"! {recast.name}: {recast.before} → {recast.after}", style="yellow", markup=False)
    if found.changed:
        out.print(_make_change_table(found))
    for name in found.values_changed:
        out.print(f"~ {name} (a value)", markup=False)
    out.print(f"{words.count(len(found.equal), 'array')} equal; {words.nbytes(found.bytes_read)} read", style="dim")


def _name_checkpoint(manifest: Manifest) -> str:
    return f"step {manifest.step} ({manifest.id})"


def _list_added(found: Diff) -> tuple[str, ...]:
    return (*found.added, *found.values_added)


def _list_removed(found: Diff) -> tuple[str, ...]:
    return (*found.removed, *found.values_removed)


def _make_change_table(found: Diff) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("")
    table.add_column("changed", no_wrap=True)
    for name in ("elements", "of all", "at most by", "of the element"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in found.changed:
        share = f"{each.changed / each.elements:.2%}"
        table.add_row("~", Text(each.name), f"{each.changed:,}", share, f"{each.max_abs:.3g}", f"{each.max_relative:.2%}")
    return table
