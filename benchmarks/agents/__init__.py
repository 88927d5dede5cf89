"""The catalogue of agents: what stands between a model and the world, and what was measured of it: `python -m benchmarks.agents`.

Each module lists its rows as `ROWS`, as those of `benchmarks.methods` do.
"""

from __future__ import annotations

from benchmarks.methods.catalogue import Catalogue

AGENTS = Catalogue(
    "benchmarks.agents",
    (
        ("models", "The whole protocol"),
        ("tools", "Tools"),
        ("mcp", "MCP"),
        ("agent", "The plain loop"),
        ("guard", "Guards"),
        ("integrations", "Frameworks"),
        ("example", "The example"),
    ),
    others=("__main__", "decomposed", "functions"),
)
