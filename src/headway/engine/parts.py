"""The classes an engine builds its parts from. A world may replace some of them."""

from __future__ import annotations

from typing import NamedTuple

from headway.engine.dispatch.launch import Launcher
from headway.engine.dispatch.ready import Ready
from headway.engine.outcomes.outcomes import Outcomes


class Parts(NamedTuple):
    """Parts of an engine that a world may have other kinds of."""

    ready: type[Ready] = Ready
    launcher: type[Launcher] = Launcher
    outcomes: type[Outcomes] = Outcomes
