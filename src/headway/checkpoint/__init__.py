"""The state of a training: saved while it runs, loadable under any layout, every byte verified. See `Checkpoints`.

The names below are imported when they are asked for: the helper process needs none of them, and most programs only some.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from headway.extras import explain_missing

if TYPE_CHECKING:
    from headway.checkpoint.catalog.retention import Keep as Keep
    from headway.checkpoint.checkpoints import Checkpoints as Checkpoints
    from headway.checkpoint.checkpoints import Restored as Restored
    from headway.checkpoint.layout.declared import Layout as Layout
    from headway.checkpoint.layout.rules import Numbered as Numbered
    from headway.checkpoint.layout.rules import Pad as Pad
    from headway.checkpoint.layout.rules import Part as Part
    from headway.checkpoint.layout.rules import Renamed as Renamed
    from headway.checkpoint.layout.rules import Replicated as Replicated
    from headway.checkpoint.layout.rules import Split as Split
    from headway.checkpoint.layout.rules import Tied as Tied
    from headway.checkpoint.load.lazy import OpenCheckpoint as OpenCheckpoint
    from headway.checkpoint.save.save import Save as Save
    from headway.checkpoint.state.parts.cursor import Cursor as Cursor
    from headway.checkpoint.state.parts.flat import Flat as Flat
    from headway.checkpoint.state.parts.flat import FlatOptimizer as FlatOptimizer
    from headway.checkpoint.state.parts.per_rank import PerRank as PerRank
    from headway.checkpoint.state.parts.streams import Rng as Rng
    from headway.checkpoint.state.parts.streams import Streams as Streams
    from headway.checkpoint.state.torch.trained import Trained as Trained

_WHERE = {
    "Checkpoints": "checkpoints",
    "Cursor": "state.parts.cursor",
    "Flat": "state.parts.flat",
    "FlatOptimizer": "state.parts.flat",
    "Keep": "catalog.retention",
    "Layout": "layout.declared",
    "Numbered": "layout.rules",
    "OpenCheckpoint": "load.lazy",
    "Pad": "layout.rules",
    "Part": "layout.rules",
    "PerRank": "state.parts.per_rank",
    "Renamed": "layout.rules",
    "Replicated": "layout.rules",
    "Restored": "checkpoints",
    "Rng": "state.parts.streams",
    "Save": "save.save",
    "Split": "layout.rules",
    "Streams": "state.parts.streams",
    "Tied": "layout.rules",
    "Trained": "state.torch.trained",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'headway.checkpoint' has no attribute {name!r}")
    with explain_missing(f"headway.checkpoint.{name}"):
        return getattr(importlib.import_module(f"headway.checkpoint.{_WHERE[name]}"), name)
