"""Named points of a save where a test can let a process die. Nothing happens at them otherwise.

`HEADWAY_CHECKPOINT_DIE_AT=helper:before-manifest` makes the helper process kill itself with SIGKILL when it gets there.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "HEADWAY_CHECKPOINT_DIE_AT"
TRAINER = ("trainer:begun", "trainer:half-copied", "trainer:copied", "trainer:staged")
HELPER = (
    "helper:begun",
    "helper:data-half",
    "helper:before-finish",
    "helper:before-segment",
    "helper:after-segment",
    "helper:before-manifest",
    "helper:before-head",
    "helper:after-head",
)
POINTS = TRAINER + HELPER


def reach(point: str) -> None:
    """Die here if the environment says so."""
    if os.environ.get(VARIABLE) == point:
        os.kill(os.getpid(), signal.SIGKILL)
