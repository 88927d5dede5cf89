"""Task Memory Engine: what a model must read with the active path alone, and what must be done again after an edit.

A task is drawn as a tree of 40 slots, each a part of one before it; every third needs another slot, too. A value is a sentence of 8
words. Then 20 slots get another value, one after the other, and what depends on them is found again. A token is a word.
"""

from __future__ import annotations

import random
from functools import cache
from typing import Any, NamedTuple

import headway as hw
from benchmarks.methods.row import Held, Pair, Row
from headway.methods.memory import TaskTree, redo

SLOTS, EDITS, WORDS = 40, 20, 8


class Session(NamedTuple):
    """What a session took."""

    path: int  # tokens read with the active path, over all calls
    state: int  # with the present value of every slot
    history: int  # with all that was said so far
    calls: int
    again: int  # calls where each edit does everything anew that is not an edit itself


def sentence(*seed: object) -> str:
    rng = random.Random(repr(seed))
    return " ".join(f"word{rng.randrange(5000)}" for _ in range(WORDS))


@hw.task(name="benchmarks.find_slot")
async def find_slot(slot: str, path: dict[str, str]) -> str:
    """A value that depends on what it is made from, and on nothing else."""
    return sentence(slot, sorted(path.items()))


def draw_tree(seed: int) -> TaskTree[str]:
    """A task with its goal alone known, and five slots that the user gives."""
    rng = random.Random(f"tree {seed}")
    tree = TaskTree[str]().add("goal", sentence(seed))
    for number in range(SLOTS):
        before = [f"slot {other}" for other in range(number)]
        parent = rng.choice(before) if before and rng.random() < 0.7 else "goal"
        needs = [rng.choice(before)] if before and number % 3 == 0 else []
        given = sentence(seed, number) if number % 8 == 0 else None
        tree = tree.add(f"slot {number}", given, parent=parent, needs=needs)
    return tree


@hw.task
async def run_session(seed: int) -> Session:
    """Find everything, then edit slot after slot, and find again what depends on it."""
    rng = random.Random(f"session {seed}")
    tree = draw_tree(seed)
    took = Session(0, 0, 0, 0, 0)

    async def find(tree: TaskTree[str], anew: int, said: int, took: Session) -> tuple[TaskTree[str], int, Session]:
        stale = tree.stale
        tree = await redo(tree, find_slot)
        state = sum(_tokens(f"{slot}: {tree[slot].value}") for slot in (node.id for node in tree.graph.nodes))
        paths = histories = 0
        for slot in stale:
            paths += _tokens(tree.prompt(slot)) - WORDS
            histories += said
            said += WORDS + 2
        new = Session(paths, len(stale) * state, histories, len(stale), anew)
        return tree, said, Session(*(a + b for a, b in zip(took, new, strict=True)))

    said = sum(_tokens(node.does.value or "") + 2 for node in tree.graph.nodes if node.does.value)
    tree, said, took = await find(tree, len(tree.stale), said, took)
    for edit in range(EDITS):
        slot = f"slot {rng.randrange(SLOTS)}"
        tree, said = tree.replace(slot, sentence(seed, "edit", edit)), said + WORDS + 2
        tree, said, took = await find(tree, SLOTS - 1, said, took)
    return took


def _tokens(text: str) -> int:
    return len(text.split())


@cache
def session(seed: int) -> Session:
    return hw.run(run_session, seed, store=None, progress=False)


def measure_correct(seed: int) -> Pair:
    """Slots whose value is that of a tree that was found anew from the same given values, of all; and without propagation."""
    return hw.run(compare_values, seed, store=None, progress=False)


@hw.task
async def compare_values(seed: int) -> Pair:
    """Edit given slots alone, so that the right values are known: those of a tree with the same given values, found in one go."""
    rng = random.Random(f"given {seed}")
    begun = draw_tree(seed)
    given = [node.id for node in begun.graph.nodes if node.does.value is not None]
    tree = stale = await redo(begun, find_slot)
    right = begun
    for edit in range(EDITS):
        slot, value = rng.choice(given), sentence(seed, "edit", edit)
        tree = await redo(tree.replace(slot, value), find_slot)
        right = right.replace(slot, value)
        stale = stale.replace(slot, value)
    right = await redo(right, find_slot)

    def share(found: TaskTree[str]) -> float:
        return sum(found[node.id].value == node.does.value for node in right.graph.nodes) / len(right)

    return Pair(share(tree), share(stale))


_TESTS = "tests/methods/memory/test_task_tree.py"
_COMMON: dict[str, Any] = {
    "method": "Task Memory Engine",
    "item": "memory",
    "claim": "a tree of slots, of which a prompt shows the active path, needs fewer tokens than a history and stays right",
}

ROWS: list[Row | Held] = [
    Row(
        **_COMMON,
        function="headway.methods.memory.TaskTree",
        shows="the active path takes at most a tenth of the tokens of the full history",
        baseline="all that was said so far",
        unit="tokens read in a session of 40 slots and 20 edits",
        measure=lambda seed: Pair(session(seed).path, session(seed).history),
        reached=lambda low, high: high <= 0.1,
        test=f"{_TESTS}::test_an_active_path_is_what_a_slot_is_part_of_what_it_needs_and_itself",
    ),
    Row(
        **_COMMON,
        function="headway.methods.memory.TaskTree",
        shows="the active path takes at most a fifth of the tokens of the present value of every slot",
        baseline="the present value of every slot, without history",
        unit="tokens read in a session of 40 slots and 20 edits",
        measure=lambda seed: Pair(session(seed).path, session(seed).state),
        reached=lambda low, high: high <= 0.2,
        test=f"{_TESTS}::test_an_active_path_is_what_a_slot_is_part_of_what_it_needs_and_itself",
    ),
    Row(
        **_COMMON,
        function="headway.methods.memory.redo",
        shows="an edit does at most half of the work again that doing all anew takes",
        baseline="all slots that are not edited are found anew after each edit",
        unit="slots found in a session of 40 slots and 20 edits",
        measure=lambda seed: Pair(session(seed).calls, session(seed).again),
        reached=lambda low, high: high <= 0.5,
        test=f"{_TESTS}::test_only_what_depends_on_an_edit_is_found_again_side_by_side",
    ),
    Row(
        **_COMMON,
        function="headway.methods.memory.redo",
        shows="after 20 edits every value is what finding everything anew gives",
        baseline="edits without propagation",
        unit="share of values that are right",
        compare="difference",
        measure=measure_correct,
        reached=lambda low, high: low > 0,
        test=f"{_TESTS}::test_after_any_edits_each_value_is_what_finding_everything_anew_gives",
    ),
    Held(
        item="memory",
        promise="Task Memory Engine: wherever a run is killed, nothing that was found is found again",
        tests=(f"{_TESTS}::test_wherever_it_is_killed_nothing_that_was_found_is_found_again",),
    ),
    Held(
        item="memory",
        promise="Task Memory Engine: two edits of one slot at once take effect in one order, and its history has both; one that no "
        "longer fits is told so, and a cycle, a slot twice and a missing one are refused",
        tests=(
            f"{_TESTS}::test_two_runs_that_edit_one_slot_are_one_after_the_other",
            f"{_TESTS}::test_of_two_edits_of_one_slot_in_a_batch_the_later_counts_and_both_are_history",
            f"{_TESTS}::test_a_shared_tree_is_read_as_of_the_time_and_a_late_edit_is_told_that_it_does_not_fit",
            f"{_TESTS}::test_an_edit_that_does_not_fit_is_refused_and_the_tree_stays",
        ),
    ),
]
