"""Checking a program that somebody wrote: run it under many schedules, kill it at many records, and say what would hurt.

    report = check(main, "why is the sky blue?")
    assert report.ok, str(report)

The program runs in the simulator: its own code is real, and so is the engine; time, pools, disk and crashes are drawn from seeds.
So an hour of sleeping takes no time, and whatever is found happens again with the same seed. `headway check program.py:main` prints
the same as a table.
"""

from __future__ import annotations

from headway.sim.check.checker import check
from headway.sim.check.findings import Finding, Kind, Report

__all__ = ["Finding", "Kind", "Report", "check"]
