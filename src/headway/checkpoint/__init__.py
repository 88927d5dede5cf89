"""The state of a training: saved while it runs, loadable under any layout, every byte verified. See `Checkpoints`.

The names below are imported when they are asked for: the helper process needs none of them, and most programs only some.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from headway.extras import needed

if TYPE_CHECKING:
    from headway.checkpoint.checkpoints import Checkpoints as Checkpoints
    from headway.checkpoint.checkpoints import Restored as Restored
    from headway.checkpoint.cursor import Cursor as Cursor
    from headway.checkpoint.flat import Flat as Flat
    from headway.checkpoint.flat import FlatOptimizer as FlatOptimizer
    from headway.checkpoint.layout import Layout as Layout
    from headway.checkpoint.lazy import OpenCheckpoint as OpenCheckpoint
    from headway.checkpoint.per_rank import PerRank as PerRank
    from headway.checkpoint.retention import Keep as Keep
    from headway.checkpoint.rules import Numbered as Numbered
    from headway.checkpoint.rules import Pad as Pad
    from headway.checkpoint.rules import Part as Part
    from headway.checkpoint.rules import Renamed as Renamed
    from headway.checkpoint.rules import Replicated as Replicated
    from headway.checkpoint.rules import Split as Split
    from headway.checkpoint.rules import Tied as Tied
    from headway.checkpoint.save import Save as Save
    from headway.checkpoint.streams import Rng as Rng
    from headway.checkpoint.streams import Streams as Streams
    from headway.checkpoint.trained import Trained as Trained

_WHERE = {
    "Checkpoints": "checkpoints",
    "Cursor": "cursor",
    "Flat": "flat",
    "FlatOptimizer": "flat",
    "Keep": "retention",
    "Layout": "layout",
    "Numbered": "rules",
    "OpenCheckpoint": "lazy",
    "Pad": "rules",
    "Part": "rules",
    "PerRank": "per_rank",
    "Renamed": "rules",
    "Replicated": "rules",
    "Restored": "checkpoints",
    "Rng": "streams",
    "Save": "save",
    "Split": "rules",
    "Streams": "streams",
    "Tied": "rules",
    "Trained": "trained",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'headway.checkpoint' has no attribute {name!r}")
    with needed(f"headway.checkpoint.{name}"):
        return getattr(importlib.import_module(f"headway.checkpoint.{_WHERE[name]}"), name)
