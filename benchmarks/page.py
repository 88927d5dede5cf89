"""Renders docs/benchmarks.md from the results that were kept, so that no number on the page is typed by hand."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.checkpoint_tables import checkpoint_tables
from benchmarks.machine import Machine
from benchmarks.measure import Results
from benchmarks.overhead_tables import overhead_tables
from benchmarks.scale_tables import scale_tables
from benchmarks.shapes import SHAPES
from benchmarks.sides import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"

HEAD = """# Benchmarks

What a call costs, beside bare asyncio and six other runtimes, what stays true when a run grows, and what checkpoints
cost a training. Calls do nothing, so only the runtime is measured; with real work in them (a model's answer takes
seconds) most of these differences vanish. Each part says on which machine and day it was measured, and how much the
code has changed since. Rerun any of it:

```
python -m benchmarks.overhead            # everything below "Overhead"; makes .venv-peers for the peers on first use
python -m benchmarks.scale               # everything below "Scale"
python -m benchmarks.checkpoint          # everything below "Checkpoints"
python -m benchmarks.limits              # limits with and without a name, to the terminal
python -m benchmarks.overhead --write-docs   # this page, from benchmarks/results/*.json
```
"""

SHAPES_HEAD = """## Overhead

Each side runs in its own process, one at a time, in rounds; clusters, servers and databases are up and a small
warm-up has run before the clock starts; a number is the median of the rounds. Headway's time is the whole of `hw.run`
on a store that did not exist before: open, run, commit the last outcome with `synchronous=FULL`, close. Every side
returns a value that is checked. Peers are written in their own idioms, in `benchmarks/peers/`; where a whole shape
would take a peer too long it runs fewer calls, and is compared with Headway at that size.
"""

CHECKPOINT_HEAD = """## Checkpoints

A training of 16 Linear layers with AdamW, in fp32, on one process or sharded over two (FSDP2, gloo), beside
torch.distributed.checkpoint 2.13 with its defaults. A step takes 256 tokens, so that forward and backward take longer
than copying the state. All that is compared is measured in turns in the same processes, and a number is the median of
the rounds. *Lost* is what the steps from the call of save until the checkpoint is durable took more than as many steps
without a save. Durable means fsynced, on both sides; raw writing is one file, 16 MiB at a time from touched memory past
the page cache, then fsync. Before each load the page cache forgets the files, which is checked; ours verifies every
block before it changes anything, which costs a second copy out of the page cache; `dcp.load` verifies nothing. Raw
reading is that of our files in the same rounds, past the page cache one after another or through it in two threads,
whichever is faster. This disk is up to twice as fast in one minute as in another; where its fastest reading of all rounds
takes half of `dcp.load` or more, no load can take less. What was loaded is compared bit by bit with what was saved. Memory
is the proportional set size of all processes and their helpers, above what it was just before.
"""


def write(results: Path) -> Path:
    """Render the page from the JSON files in `results`; parts without a file are left out."""
    text = [HEAD]
    overhead, growth, saved = (results / f"{name}.json" for name in ("overhead", "scale", "checkpoint"))
    if overhead.exists():
        data = json.loads(overhead.read_text())
        text += [SHAPES_HEAD, *[f"- `{shape.name}`: {shape.words}" for shape in SHAPES.values()], ""]
        text += [_where(data, f"median of {data['repeats']} rounds"), ""]
        if data["scale"] != 1.0:
            text += [f"This was a quick run: every shape has {data['scale']:g} times the calls its name says.", ""]
        text += [table.markdown() for table in overhead_tables(Results.from_json(data))]
    if growth.exists():
        data = json.loads(growth.read_text())
        text += ["## Scale", "", _where(data, f"median of {data['repeats']}; the largest run once"), ""]
        text += [table.markdown() for table in scale_tables(data)]
    if saved.exists():
        data = json.loads(saved.read_text())
        text += [CHECKPOINT_HEAD, _where(data, f"median of {data['repeats']} rounds"), ""]
        text += [table.markdown() for table in checkpoint_tables(data)]
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text("\n".join(text).rstrip() + "\n")
    return PAGE


def _where(data: dict[str, Any], how: str) -> str:
    lines = [*Machine(**data["machine"]).lines(), f"measured on {data['when'][:10]}, {how}"]
    if changes := _changes_since(data["when"]):
        lines.append(f"when this page was made, {changes:,} commits had changed `src/headway` since")
    return "\n".join(f"- {line}" for line in lines)


def _changes_since(when: str) -> int:
    """How many commits have changed the code since a time; 0 where git can't tell."""
    command = ["git", "rev-list", "--count", "--no-merges", f"--since={when}", "HEAD", "--", "src/headway"]
    try:
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return 0
    return int(found.stdout)
