"""Headway in memory: the whole engine, and a journal that nobody keeps."""

from __future__ import annotations

from benchmarks.peers.headway_sides import Side

_side = Side(durable=False)
start, run, facts, version, stop = _side.start, _side.run, _side.facts, _side.version, _side.stop
