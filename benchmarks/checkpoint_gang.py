"""One process of a gang: `python -m benchmarks.checkpoint_gang PROGRAM RANK SIZE FOLDER NBYTES REPEATS PATIENCE_S`. Rank 0 prints
what was measured, as one line of JSON."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

from benchmarks.checkpoint_loading import columns, loading, row
from benchmarks.checkpoint_memory import memory
from benchmarks.checkpoint_saving import saving
from benchmarks.checkpoint_state import Gang

PROGRAMS = {each.__name__: each for each in (saving, loading, columns, row, memory)}


def main() -> None:
    program, rank, size, folder, nbytes, repeats, patience_s = sys.argv[1:]
    warnings.filterwarnings("ignore", category=FutureWarning)
    gang = Gang(int(rank), int(size), Path(folder))
    found = PROGRAMS[program](gang, Path(folder), int(nbytes), int(repeats), float(patience_s))
    gang.close()
    if gang.rank == 0:
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
