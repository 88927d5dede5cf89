"""Measures the catalogue of agents and prints it: `python -m benchmarks.agents`.

python -m benchmarks.agents                   what has no figure yet
python -m benchmarks.agents toolbox MCP       the rows whose names contain one of these, again
python -m benchmarks.agents --room tools --slow
python -m benchmarks.agents --write-docs      render docs/results/agents.md from the results kept
"""

from __future__ import annotations

import sys

from benchmarks.agents import AGENTS
from benchmarks.methods import page
from benchmarks.methods.__main__ import main

if __name__ == "__main__":
    sys.exit(main(AGENTS, page.write_agents, __doc__ or ""))
