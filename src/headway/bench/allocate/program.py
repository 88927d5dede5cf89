"""The comparison as a program: each cell of the grid of budgets and deadlines is a call, so a killed comparison goes on.

In a cell all policies play the same episodes: the outcome of a sample depends on the episode, the step, the choice and its number,
not on the policy. The fixed policy of a cell was chosen on other workloads, with questions of other seeds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from statistics import fmean

import headway as hw
from headway.bench.allocate.workload import make_mcpp, make_workload

CHOSEN_ON = (101, 102, 103)  # seeds of the workloads that fixed policies are chosen on
EPISODES_CHOSEN = 8


@dataclass(frozen=True)
class Cell:
    """A workflow of a model's questions (of all where it has no name), with a budget and a deadline as multiples of the least."""

    model: str
    graph: str
    budget: float
    deadline: float


@dataclass(frozen=True)
class CellPlayed:
    """The share of episodes in which each policy was done, workload by workload; and the fixed policy that was chosen before."""

    cell: Cell
    fixed: str
    done: dict[str, list[float]]  # of "mcpp", of the "fixed" policy and, where it was asked for, of the "paper"


@dataclass(frozen=True)
class Comparison:
    """All cells, and how many episodes there are on each workload."""

    cells: list[CellPlayed]
    episodes: int
    provenance: str


@hw.task
async def compare(
    models: Sequence[str],
    graphs: Sequence[str],
    budgets: Sequence[float],
    deadlines: Sequence[float],
    seeds: Sequence[int],
    episodes: int,
    outcomes: str,
    paper: bool,
) -> Comparison:
    """Play every cell of every graph with every model's questions."""
    cells = [Cell(*each) for each in product(models, graphs, budgets, deadlines)]
    asked = [(cell, tuple(seeds), episodes, outcomes, paper) for cell in cells]
    done: list[CellPlayed] = []
    async for played in hw.map(play_cell, asked, window=8):
        done.append(played)
        hw.progress(len(done), len(cells))
    return Comparison(done, episodes, make_workload(graphs[0], seeds[0], outcomes).true.provenance)


@hw.task(pool="process", label=lambda asked: _label(asked[0]))
def play_cell(asked: tuple[Cell, tuple[int, ...], int, str, bool]) -> CellPlayed:
    """Play one cell: choose the fixed policy on other seeds, then play it and MCPP on these."""
    cell, seeds, episodes, outcomes, paper = asked
    fixed = choose_fixed(cell, outcomes)
    done: defaultdict[str, list[float]] = defaultdict(list)
    for seed in seeds:
        for name, of_seed in play(cell, seed, range(episodes), fixed, outcomes, paper=paper).items():
            done[name].append(fmean(of_seed))
    return CellPlayed(cell, fixed, dict(done))


def play(
    cell: Cell, seed: int, episodes: Sequence[int], fixed: str, outcomes: str = "", *, paper: bool = False
) -> dict[str, list[bool]]:
    """Whether MCPP and a fixed policy are done, episode by episode, on the workload of a seed."""
    workload = make_workload(cell.graph, seed, outcomes, cell.model)
    policies = {"mcpp": make_mcpp(workload), "fixed": workload.fixed_policies(cell.budget)[fixed]}
    done = {
        name: [workload.play(policy, cell.budget, cell.deadline, episode).done for episode in episodes]
        for name, policy in policies.items()
    }
    if paper:
        of_paper = make_mcpp(workload, variant="paper")
        done["paper"] = [workload.play(of_paper, cell.budget, cell.deadline, episode, cancel=False).done for episode in episodes]
    return done


def choose_fixed(cell: Cell, outcomes: str = "") -> str:
    """The fixed policy that is done most often in a cell, on the workloads that are there to choose on."""
    done: defaultdict[str, int] = defaultdict(int)
    for seed in CHOSEN_ON:
        workload = make_workload(cell.graph, seed, outcomes, cell.model)
        for name, policy in workload.fixed_policies(cell.budget).items():
            for episode in range(EPISODES_CHOSEN):
                done[name] += workload.play(policy, cell.budget, cell.deadline, episode).done
    return max(done, key=lambda name: done[name])


def _label(cell: Cell) -> str:
    return f"{cell.model} {cell.graph}, budget {cell.budget:g}, deadline {cell.deadline:g}".strip()
