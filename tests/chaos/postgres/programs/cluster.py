"""A Ray cluster on this machine for as long as standard input is open. Not a test by itself.

    python cluster.py FILE

FILE gets its address. Nothing of other clusters on this machine is touched.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ray.cluster_utils import Cluster

TRIES = 4  # on a busy machine Ray misses its own limits


def start() -> Cluster:
    for left in reversed(range(TRIES)):
        cluster = Cluster()
        try:
            cluster.add_node(num_cpus=2, include_dashboard=False, object_store_memory=80 << 20)
        except Exception:
            cluster.shutdown()
            if not left:
                raise
        else:
            return cluster
    raise AssertionError


if __name__ == "__main__":
    cluster = start()
    file = Path(sys.argv[1])
    written = file.with_suffix(".new")
    written.write_text(cluster.address)
    written.replace(file)
    sys.stdin.read()
    cluster.shutdown()
