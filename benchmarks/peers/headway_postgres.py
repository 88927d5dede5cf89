"""Headway on the Postgres database that HEADWAY_POSTGRES names; done when the last outcome is committed."""

from __future__ import annotations

import os

from benchmarks.peers.headway_sides import Side

_side = Side(durable=True, url=os.environ.get("HEADWAY_POSTGRES", ""))
start, run, facts, version, stop = _side.start, _side.run, _side.facts, _side.version, _side.stop
