"""One driver of several: `python -m benchmarks.scale_out.driver URL CALLS`. Runs when told, and says when it began and ended."""

from __future__ import annotations

import json
import sys
import time

import headway as hw
from benchmarks.peers.headway_sides import fan


def main() -> None:
    url, calls = sys.argv[1], int(sys.argv[2])
    hw.run(fan, 100, store=url, progress=False)
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.monotonic()
    hw.run(fan, calls, store=url, progress=False)
    print(json.dumps([began, time.monotonic()]))


if __name__ == "__main__":
    main()
