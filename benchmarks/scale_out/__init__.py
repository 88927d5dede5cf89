"""The catalogue of many machines: what one machine that is outgrown costs and keeps: `python -m benchmarks.scale_out`.

Each module lists its rows as `ROWS`, as those of `benchmarks.methods` do. `asked.py` says what was asked for; a row, or a promise,
answers it by the beginning of its name. Times are taken one row at a time (`alone`), on servers that the rows start themselves.
"""

from __future__ import annotations

from benchmarks.methods.catalogue import Catalogue

SCALE = Catalogue(
    "benchmarks.scale_out",
    (
        ("postgres", "The store in Postgres"),
        ("service", "Queues, workers and schedules"),
        ("starts", "Runs that start runs"),
        ("agents", "Agents and Ray"),
        ("calls", "Calls from workers"),
        ("simulation", "A store that lies"),
        ("proof", "Kills and injections"),
    ),
    others=("__main__", "asked", "alone", "claiming", "driver", "figures", "model", "served", "simulated"),
)
