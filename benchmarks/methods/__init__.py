"""The catalogue of methods: what each paper claims, and what was measured here: `python -m benchmarks.methods`.

`row`, `measuring` and `page` serve the other catalogues, too.
"""

from __future__ import annotations

from benchmarks.methods.catalogue import Catalogue

METHODS = Catalogue(
    "benchmarks.methods",
    tuple((room, room.capitalize()) for room in ("search", "allocate", "schedule", "workloads")),
    others=("__main__", "catalogue", "row", "page", "measuring", "solvers"),
)
