"""Makes the folder of the examples importable, as it is for `python examples/puzzles.py`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
