"""Several who edit one file at the same time, in worktrees of their own or all in one folder: which edits are lost in silence?"""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

from teammates import Repository

import headway as hw
from headway.methods.plan import teams

LINES, EDITORS = 60, 6


@hw.task(name="lost.edit", effect=True)
async def edit(part: str, folder: str) -> str:
    """Read, think, write: `line word`."""
    line, word = part.split()
    path = Path(folder, "a")
    text = path.read_text().splitlines()
    await hw.sleep(random.Random(part).uniform(0.02, 0.08))
    text[int(line)] = word
    path.write_text("\n".join(text) + "\n")
    return word


@hw.task(name="lost.apart")
async def edit_apart(folder: str, parts: list[str]) -> list[str]:
    """The words whose change was refused, with a record."""
    worked = await teams.in_worktrees(folder, edit, parts)
    return [part.split()[1] for part, each in zip(parts, worked, strict=True) if not each.ok]


@hw.task(name="lost.together")
async def edit_together(folder: str, parts: list[str]) -> list[str]:
    await hw.gather(*(edit(part, folder) for part in parts))
    return []


def lost(seed: int, *, apart: bool) -> float:
    """The share of edits that are neither in the file nor told of. Two of them want the same line."""
    rng = random.Random(f"edits {seed}")
    lines = rng.sample(range(0, LINES, 4), EDITORS - 1)
    parts = [f"{line} word{place}" for place, line in enumerate([*lines, lines[0]])]
    with tempfile.TemporaryDirectory() as made:
        repository = Repository(Path(made, "repository"))
        (repository.folder / "a").write_text("".join(f"line {place}\n" for place in range(LINES)))
        repository.git("commit", "--quiet", "-a", "-m", "long")
        told = hw.run(edit_apart if apart else edit_together, str(repository.folder), parts, store=None, progress=False)
        kept = (repository.folder / "a").read_text().split()
    return sum(part.split()[1] not in {*kept, *told} for part in parts) / len(parts)
