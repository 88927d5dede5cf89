"""The state of a training: saved while it runs, loadable under any layout, every byte verified. See `Checkpoints`.

The names below are imported when they are asked for: the helper process needs none of them, and most programs only some.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headway.checkpoint.checkpoints import Checkpoints as Checkpoints
    from headway.checkpoint.checkpoints import Restored as Restored
    from headway.checkpoint.lazy import OpenCheckpoint as OpenCheckpoint
    from headway.checkpoint.retention import Keep as Keep
    from headway.checkpoint.save import Save as Save

_WHERE = {
    "Checkpoints": "checkpoints",
    "Keep": "retention",
    "OpenCheckpoint": "lazy",
    "Restored": "checkpoints",
    "Save": "save",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'headway.checkpoint' has no attribute {name!r}")
    return getattr(importlib.import_module(f"headway.checkpoint.{_WHERE[name]}"), name)
