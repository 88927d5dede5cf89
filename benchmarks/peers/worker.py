"""The process that holds one side: reads a request per line, times it, answers with a line of JSON.

    python -m benchmarks.peers.worker bare_asyncio FOLDER
    > {"kind": "fan", "calls": 1000, "warm": 100}
    < {"seconds": 0.004}

What a peer prints goes to standard error, so it cannot be taken for an answer.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from time import perf_counter, process_time
from types import ModuleType

from benchmarks import shapes


def measure(side: ModuleType, kind: str, calls: int, warm: int) -> dict[str, object]:
    """Run a shape once small and once in full; only the second is timed."""
    for size in (warm, calls):
        want = shapes.expected(kind, size)  # also builds the graph, outside the timing
        began, cpu_began = perf_counter(), process_time()
        value = side.run(kind, size)
        seconds, cpu_s = perf_counter() - began, process_time() - cpu_began
        if value != want:
            return {"error": f"{kind} of {size} calls returned {value}, not {want}"}
    facts: dict[str, object] = {"seconds": seconds, "cpu_s": cpu_s}
    if hasattr(side, "facts"):
        facts |= side.facts()
    return facts


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    try:
        side = importlib.import_module(f"benchmarks.peers.{name}")
        side.start(folder)
        answers.write(json.dumps({"ready": True, "version": side.version()}) + "\n")
    except BaseException as error:
        traceback.print_exc()
        answers.write(json.dumps({"error": f"{type(error).__name__}: {error}"}) + "\n")
        raise SystemExit(1) from error
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = measure(side, request["kind"], request["calls"], request["warm"])
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
    side.stop()


if __name__ == "__main__":
    main()
