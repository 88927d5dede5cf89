"""`ckpt pin` and `ckpt unpin`: keep a checkpoint whatever the rules say."""

from __future__ import annotations

import msgspec

from headway.checkpoint.catalog.leases import pin, pins, unpin
from headway.checkpoint.catalog.listing import find
from headway.cli import console
from headway.cli.ckpt.roots import open_existing, warn_passed_over


class PinDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`headway ckpt pin --json` and `unpin --json`"""

    root: str
    step: int
    id: str
    pinned: bool
    changed: bool


def set_pin(root: str, step: str, *, pinned: bool, as_json: bool) -> None:
    backend = open_existing(root)
    found = find(backend, step, warn_passed_over)
    changed = (found.id in pins(backend)) != pinned
    (pin if pinned else unpin)(backend, found.id)
    if as_json:
        console.print_json(PinDocument(root=root, step=found.step, id=found.id, pinned=pinned, changed=changed))
        return
    told = (
        ("pinned: it stays until it is unpinned" if pinned else "unpinned")
        if changed
        else f"was {'' if pinned else 'not '}pinned before"
    )
    console.out().print(f"step {found.step} ({found.id}) {told}", markup=False)
