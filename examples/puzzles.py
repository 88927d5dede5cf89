"""Solve 300 puzzles, two searches racing for each. Kill it at any moment, start it again, and it goes on.

    python examples/puzzles.py                  # kill it, then the same line once more
    python examples/puzzles.py --count 30       # a taste

The puzzles come from reasoning-gym (`pip install headway[solve]`), and so does the judge. Two searches see the question of a
puzzle, as a person would read it. They run in processes of their own; the first answer wins and the other search is stopped.
For Countdown one of them is parallel itself: it hands the best looking subtrees to processes and joins their answers, as in
"Learning adaptive parallel reasoning" (Pan et al. 2025, arXiv 2504.15466) but with a search in the place of the model.

What bounds the work: a search stops by itself after TRY_NODES nodes, so which puzzles are solved depends on no clock and no
race; only who wins does. The budget of a puzzle is enough for five tries, so a search that a kill cut off can begin again. All
puzzles share one budget of nodes and of seconds of computing, spent only while the program runs. A deadline is an absolute
time, which passes while the machine is off as well; so the one here only ends a run that nobody went on with for a week.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from rich.console import Console
from rich.table import Column, Table

import headway as hw
from headway.events import CallEnded, Event, RunStarted
from strategies import SEARCHES, Nodes, countdown

TRY_NODES = 1_000_000  # for one search of one puzzle
PUZZLE_NODES = 5 * 2 * TRY_NODES  # five tries of both
RUN_NODES, RUN_SECONDS, WEEK_S = 200_000_000, 3_600, 7 * 24 * 3_600
SUBTREES, AT_A_TIME = 8, 6  # subtrees that spawn_and_join hands out; puzzles at a time


@dataclass(frozen=True)
class Family:
    share: int  # of every 300 puzzles
    config: dict[str, int]  # what reasoning-gym is asked for
    searches: tuple[str, str]


FAMILIES = {
    "countdown": Family(
        90,
        {"min_numbers": 7, "max_numbers": 7, "min_target": 1_000, "max_target": 99_999},
        ("spawn_and_join", "depth_first"),
    ),
    "sokoban": Family(
        60,
        {"min_w": 8, "max_w": 9, "min_h": 8, "max_h": 9, "min_boxes": 4, "max_boxes": 5},
        ("breadth_first", "fewest_pushes"),
    ),
    "rush_hour": Family(50, {"min_moves": 35, "max_moves": 60}, ("breadth_first", "best_first")),
    "cryptarithm": Family(40, {"min_words": 6, "max_words": 12}, ("by_columns", "by_weight")),
    "sudoku": Family(30, {"min_empty": 52, "max_empty": 56}, ("fewest_candidates", "exact_cover")),
    "zebra_puzzles": Family(30, {"num_people": 5, "num_characteristics": 5}, ("by_kind", "by_propagation")),
}


@dataclass(frozen=True)
class Effort:
    search: str
    nodes: int  # spent, whether the search won, gave up or was stopped
    seconds: float
    won: bool


@dataclass(frozen=True)
class Outcome:
    family: str
    number: int
    answer: str | None
    score: float  # 1.0 where the judge takes the answer
    efforts: list[Effort]


# --- the program -----------------------------------------------------------------------------------------------------


@hw.task
async def solve_all(count: int) -> list[Outcome]:
    """All puzzles, a few at a time, under one budget and one deadline."""
    outcomes: list[Outcome] = []
    with hw.budget(nodes=RUN_NODES, seconds=RUN_SECONDS), hw.deadline(WEEK_S, raises=False):
        async for outcome in hw.map(solve, puzzle_names(count), window=AT_A_TIME):
            outcomes.append(outcome)
    return outcomes


@hw.task
async def solve(name: tuple[str, int]) -> Outcome:
    """One puzzle: deal it, race two searches for an answer, have the answer judged."""
    family, number = name
    if hw.remaining("nodes") < AT_A_TIME * PUZZLE_NODES:  # others may be about to spend theirs
        return Outcome(family, number, None, 0.0, [])
    question, entry = await deal(family, number)
    searches = FAMILIES[family].searches[:: 1 if number % 2 else -1]  # they take turns at starting first
    racers, purses = [], []
    with hw.budget(nodes=PUZZLE_NODES):
        for search in searches:
            with hw.budget(nodes=PUZZLE_NODES / 2) as purse:  # also counts what this search and all its children spend
                racers.append(start(family, search, question))
                purses.append(purse)
    winner, answer = await first_answer(racers)
    score = await judge(family, entry, answer) if answer is not None else 0.0
    spent = [(purse.spent.get("nodes", 0), purse.spent.get("seconds", 0.0)) for purse in purses]
    efforts = [Effort(searches[i], int(nodes), seconds, won=i == winner) for i, (nodes, seconds) in enumerate(spent)]
    return Outcome(family, number, answer, score, efforts)


async def first_answer(racers: list[hw.Handle[str | None]]) -> tuple[int, str | None]:
    """The number of the winner and its answer, or -1 and None when all gave up or had no nodes left."""
    winner: tuple[int, str | None] = (-1, None)
    try:
        winner = await hw.race(*racers, accept=lambda answer: answer is not None, with_index=True)
    except* (hw.NoWinner, hw.BudgetExceeded):
        pass
    return winner


def start(family: str, search: str, question: str) -> hw.Handle[str | None]:
    return spawn_and_join(question) if search == "spawn_and_join" else run_search(family, search, question, TRY_NODES)


@hw.task(pool="process")
def run_search(family: str, search: str, question: str, nodes: int) -> str | None:
    """A search in a process of its own, until it answers or its nodes are spent."""
    with meter(nodes) as spending:
        return SEARCHES[family][search](question, spending)
    return None


@hw.task
async def spawn_and_join(question: str) -> str | None:
    """Countdown in parallel: every subtree gets a process and its share of the nodes; the first solution stops the rest."""
    _, target = countdown.parse(question)
    parts = countdown.subtrees(question, most=SUBTREES)
    _, answer = await first_answer([search_subtree(part, target, TRY_NODES // len(parts)) for part in parts])
    return answer


@hw.task(pool="process")
def search_subtree(part: countdown.Position, target: int, nodes: int) -> str | None:
    """One subtree of a Countdown puzzle, depth first."""
    with meter(nodes) as spending:
        return countdown.depth_first_below(part, target, spending)
    return None


def meter(nodes: int) -> Nodes:
    """Count nodes, book them in the ledger of the run, and stop at `nodes` or when the budget has no more."""
    return Nodes(min(nodes, hw.remaining("nodes")), book=lambda spent: hw.charge(nodes=spent))


# --- the puzzles -----------------------------------------------------------------------------------------------------


def puzzle_names(count: int) -> Iterator[tuple[str, int]]:
    """`count` puzzles, the families mixed in proportion to their shares."""
    dealt = dict.fromkeys(FAMILIES, 0)
    for _ in range(count):
        family = min(FAMILIES, key=lambda name: (dealt[name] + 1) / FAMILIES[name].share)
        yield family, dealt[family]
        dealt[family] += 1


@hw.task(pool="process")
def deal(family: str, number: int) -> tuple[str, str]:
    """Make a puzzle: its question, and as JSON all there is to know of it, the solution too, which only the judge may see."""
    entry = dataset(family)[number]
    return entry["question"], json.dumps(entry)


@hw.task(pool="process")
def judge(family: str, entry: str, answer: str) -> float:
    """The score that reasoning-gym gives to an answer."""
    return float(dataset(family).score_answer(answer, json.loads(entry)))


@cache
def dataset(family: str) -> Any:
    import reasoning_gym  # here, because it takes a second and only the workers need it

    return reasoning_gym.create_dataset(family, seed=2026, size=1_000, **FAMILIES[family].config)


# --- what a person sees ----------------------------------------------------------------------------------------------


def table_of(outcomes: list[Outcome]) -> Table:
    """Per family and search: what was solved, what it cost, who won. The cost of searches that were stopped counts too."""
    table = Table("family", "solved", "search", *(Column(title, justify="right") for title in ("wins", "nodes", "seconds")))
    for family, setup in FAMILIES.items():
        here = [outcome for outcome in outcomes if outcome.family == family]
        for search, labels in zip(setup.searches, [(family, solved(here)), ("", "")], strict=True):
            efforts = [effort for outcome in here for effort in outcome.efforts if effort.search == search]
            table.add_row(*labels, search, *costs(efforts), end_section=not labels[0])
    every = [effort for outcome in outcomes for effort in outcome.efforts]
    table.add_row("all", solved(outcomes), "", *costs(every), style="bold")
    return table


def solved(outcomes: list[Outcome]) -> str:
    return f"{sum(outcome.score == 1.0 for outcome in outcomes)} of {len(outcomes)}"


def costs(efforts: list[Effort]) -> tuple[str, str, str]:
    nodes, seconds = sum(effort.nodes for effort in efforts), sum(effort.seconds for effort in efforts)
    return f"{sum(effort.won for effort in efforts)}", f"{nodes:,}", f"{seconds:,.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Solve puzzles, two searches racing for each. Kill it and start it again.")
    parser.add_argument("--count", type=int, default=300, help="how many puzzles (default: %(default)s)")
    parser.add_argument("--store", default=".headway", help="the folder of the journal (default: %(default)s)")
    parser.add_argument("--run", help='the name of the run (default: "puzzles", or "puzzles-COUNT")')
    parser.add_argument("--fresh", action="store_true", help="begin a new run instead of going on with one")
    options = parser.parse_args()
    run = options.run or ("puzzles" if options.count == 300 else f"puzzles-{options.count}")
    run += time.strftime("-%m%d-%H%M%S") if options.fresh else ""
    console, began, solved_now = Console(), time.monotonic(), 0

    def listen(event: Event) -> None:
        nonlocal solved_now
        if isinstance(event, RunStarted) and event.recorded:
            console.print(f"{run} goes on: {event.recorded:,} results are in the journal already.", style="cyan")
        elif isinstance(event, CallEnded) and event.task == solve.name and event.status == "ok":
            solved_now += 1

    try:
        outcomes: list[Outcome] = hw.run(solve_all, options.count, run_id=run, store=options.store, progress=True, events=listen)
    except hw.Interrupted as stop:
        parser.exit(130, f"{stop}\n")
    console.print(table_of(outcomes))
    console.print(
        f"{solved_now} puzzles computed now, {len(outcomes) - solved_now} from the journal, in {time.monotonic() - began:.1f} s.\n"
        f"Every call: [bold]headway show {run} --store {options.store}",
        soft_wrap=True,
    )


if __name__ == "__main__":
    main()
