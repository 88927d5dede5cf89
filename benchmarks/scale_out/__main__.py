"""Measures what many machines cost and prints it: `python -m benchmarks.scale_out`.

python -m benchmarks.scale_out                what has no figure yet
python -m benchmarks.scale_out fan-out limit  the rows whose names contain one of these, again
python -m benchmarks.scale_out --room agents --slow
python -m benchmarks.scale_out --write-docs   render docs/results/scale.md from the results kept
"""

from __future__ import annotations

import sys

from benchmarks.methods import page
from benchmarks.methods.__main__ import main
from benchmarks.scale_out import SCALE

if __name__ == "__main__":
    sys.exit(main(SCALE, page.write_scale, __doc__ or ""))
