"""The catalogue of methods: what each paper claims, and what was measured here: `python -m benchmarks.methods`.

`row`, `catalogue`, `figures`, `measuring` and `page` serve the other catalogues, too.
"""

from __future__ import annotations

from benchmarks.methods.catalogue import Catalogue

METHODS = Catalogue(
    "benchmarks.methods",
    tuple((room, room.capitalize()) for room in ("search", "allocate", "schedule", "workloads", "catalogue")),
    others=("__main__", "catalogue", "compute", "figures", "keeping", "measuring", "page", "parts", "row", "solvers"),
)
ROOMS = tuple(room for room, _ in METHODS.rooms)
