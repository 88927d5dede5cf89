"""The comparison as a program: each cell of the grid of budgets and deadlines is a call, so a killed comparison goes on.

In a cell all policies play the same episodes: the outcome of a sample depends on the episode, the step, the choice and its number,
not on the policy. The fixed policy of a cell was chosen on other workloads, with puzzles of other seeds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import headway as hw
from headway.bench.allocate.workload import make_mcpp, make_workload

CHOSEN_ON = (101, 102, 103)  # seeds of the workloads that fixed policies are chosen on
EPISODES_CHOSEN = 8


@dataclass(frozen=True)
class Cell:
    """A workflow with a budget and a deadline, as multiples of the least."""

    graph: str
    budget: float
    deadline: float


@dataclass(frozen=True)
class CellPlayed:
    """How often each policy was done, by episodes on the workloads of some seeds; and the fixed policy that was chosen before."""

    cell: Cell
    fixed: str
    done: dict[str, list[bool]]  # of "mcpp", of the "fixed" policy and, where it was asked for, of the "paper"


@dataclass(frozen=True)
class Comparison:
    """All cells."""

    cells: list[CellPlayed]
    episodes: int
    seeds: tuple[int, ...]
    provenance: str


@hw.task
async def compare(
    graphs: Sequence[str],
    budgets: Sequence[float],
    deadlines: Sequence[float],
    seeds: Sequence[int],
    episodes: int,
    outcomes: str,
    paper: bool,
) -> Comparison:
    """Play every cell of every graph."""
    cells = [Cell(graph, budget, deadline) for graph in graphs for budget in budgets for deadline in deadlines]
    asked = [(cell, tuple(seeds), episodes, outcomes, paper) for cell in cells]
    done: list[CellPlayed] = []
    async for played in hw.map(play_cell, asked, window=8):
        done.append(played)
        hw.progress(len(done), len(cells))
    return Comparison(done, episodes, tuple(seeds), make_workload(graphs[0], seeds[0], outcomes).true.provenance)


@hw.task(pool="process", label=lambda asked: f"{asked[0].graph}, budget {asked[0].budget:g}, deadline {asked[0].deadline:g}")
def play_cell(asked: tuple[Cell, tuple[int, ...], int, str, bool]) -> CellPlayed:
    """Play one cell: choose the fixed policy on other seeds, then play it and MCPP on these."""
    cell, seeds, episodes, outcomes, paper = asked
    fixed = choose_fixed(cell, outcomes)
    done: defaultdict[str, list[bool]] = defaultdict(list)
    for seed in seeds:
        for name, of_seed in play(cell, seed, range(episodes), fixed, outcomes, paper=paper).items():
            done[name] += of_seed
    return CellPlayed(cell, fixed, dict(done))


def play(
    cell: Cell, seed: int, episodes: Sequence[int], fixed: str, outcomes: str = "", *, paper: bool = False
) -> dict[str, list[bool]]:
    """Whether MCPP and a fixed policy are done, episode by episode, on the workload of a seed."""
    workload = make_workload(cell.graph, seed, outcomes)
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
        workload = make_workload(cell.graph, seed, outcomes)
        for name, policy in workload.fixed_policies(cell.budget).items():
            for episode in range(EPISODES_CHOSEN):
                done[name] += workload.play(policy, cell.budget, cell.deadline, episode).done
    return max(done, key=lambda name: done[name])
