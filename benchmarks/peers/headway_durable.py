"""Headway on a SQLite folder, fresh for every run; done when the last outcome is committed."""

from __future__ import annotations

from benchmarks.peers.headway_sides import Side

_side = Side(durable=True)
start, run, facts, version, stop = _side.start, _side.run, _side.facts, _side.version, _side.stop
