"""Named points of a save or a load where a test can let a process die. Nothing happens at them otherwise.

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
LOAD = ("load:planned", "load:half-verified", "load:verified", "load:half-filled", "load:filled")
POINTS = TRAINER + HELPER + LOAD


def reach(point: str) -> None:
    """Die here if the environment says so."""
    if os.environ.get(VARIABLE) == point:
        os.kill(os.getpid(), signal.SIGKILL)
