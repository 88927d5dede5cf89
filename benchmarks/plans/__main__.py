"""Measures the catalogue of plans and memory and prints it: `python -m benchmarks.plans`.

python -m benchmarks.plans                    what has no figure yet
python -m benchmarks.plans UFO DuMate         the rows whose names contain one of these, again
python -m benchmarks.plans --room memory --slow
python -m benchmarks.plans --write-docs       render docs/results/plans.md from the results kept
"""

from __future__ import annotations

import sys

from benchmarks.methods import page
from benchmarks.methods.__main__ import main
from benchmarks.plans import PLANS

if __name__ == "__main__":
    sys.exit(main(PLANS, page.write_plans, __doc__ or ""))
