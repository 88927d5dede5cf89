"""Replay: what still fits is replayed, what does not look the same is decided anew, and nothing is done twice."""

from __future__ import annotations

from typing import Any

import errands
import pytest
from errands import PHONE, WORLD, generate, script, succeeded

import headway as hw
from headway.methods.memory import ByVectors, Case, Memory, Rules, Trace, Tree, World, load_tree, replay, save_trace
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash

memory = Memory("phone")
FUZZY = Rules()


@pytest.fixture(autouse=True)
def phone():
    PHONE.screen, PHONE.typed, PHONE.theme, PHONE.log = "home", "", {}, []


async def do(tasks: list[str], rules: Rules, world: Any = WORLD, tree: Any = None, check: Any = succeeded) -> list[Any]:
    """Do tasks one after the other; how each went."""
    tree, went = tree or Tree(), []
    for task in tasks:
        PHONE.screen = "home"
        ran = await replay(task, tree, world, generate, rules=rules, check=check)
        tree = ran.tree
        went.append(ran)
    return went


@pytest.fixture
def run(go):
    def start(tasks: list[str], rules: Rules = FUZZY, **options: Any) -> list[Any]:
        @hw.task(name="errand")
        async def program() -> list[Any]:
            return [(ran.generated, ran.replayed, ran.refused, ran.by_shortcut) for ran in await do(tasks, rules, **options)]

        return go(program, store=None)

    return start


def test_the_same_task_is_replayed_as_a_whole(run):
    assert run(["find shoes in shop"] * 2) == [(5, 0, 0, 0), (0, 5, 0, 0)]
    assert PHONE.log == script("find shoes in shop") * 2


def test_a_task_that_is_alike_shares_what_does_not_depend_on_its_own_words(run):
    """The second opens the same shop, but types something else; from there on it is on a branch of its own."""
    assert run(["find shoes in shop", "find hats in shop"], Rules(threshold=0.6)) == [(5, 0, 0, 0), (4, 1, 0, 0)]
    assert PHONE.log[4:] == script("find hats in shop")


def test_exact_mode_shares_with_nobody(run):
    assert run(["find shoes in shop", "find hats in shop"], Rules("exact")) == [(5, 0, 0, 0), (5, 0, 0, 0)]


def test_a_shortcut_replays_the_last_step_of_a_branch_that_nobody_took(run):
    tasks = [f"find {what} in shop" for what in ("shoes", "hats", "coats")]
    plain = run(tasks, Rules(threshold=0.6, shortcuts=False))
    short = run(tasks, Rules(threshold=0.6))
    assert plain[2] == (4, 1, 0, 0)
    assert short[2] == (2, 3, 0, 2)  # "press search" after typing, and what follows it


def test_a_step_whose_target_looks_otherwise_is_decided_anew_and_learned(go):
    task = "find shoes in shop"

    @hw.task(name="theme")
    async def three() -> list[tuple[int, int, int]]:
        first = await replay(task, Tree(), WORLD, generate)
        PHONE.screen, PHONE.theme = "home", {"shop": "dark"}
        second = await replay(task, first.tree, WORLD, generate)
        PHONE.screen = "home"
        third = await replay(task, second.tree, WORLD, generate)
        return [(ran.generated, ran.replayed, ran.refused) for ran in (first, second, third)]

    assert go(three, store=None) == [(5, 0, 0), (4, 1, 4), (0, 5, 0)]


def test_a_target_that_is_not_there_is_never_replayed(run):
    def nothing(view: Any, action: Any) -> object:
        return None

    world = World(errands.see, errands.act, nothing)
    assert run(["find shoes in shop"] * 2, world=world) == [(5, 0, 0, 0), (5, 0, 5, 0)]


def test_a_failed_task_is_taken_out_of_the_tree(run):
    went = run(["find shoes in shop"] * 2, check=lambda task, view: False)
    assert went == [(5, 0, 0, 0), (5, 0, 0, 0)]


def test_a_task_that_does_not_end_counts_as_failed(go):
    async def never(task: str, view: Any, done: tuple[str, ...]) -> str:
        return "press first"

    @hw.task
    async def program() -> Any:
        ran = await replay("find shoes in shop", Tree(), WORLD, never, steps=3)
        return ran.done, len(ran.tree), ran.generated

    assert go(program) == (False, 0, 3)


def test_a_reranker_decides_about_what_is_alike(run):
    asked = []

    async def sure(task: str, other: str, steps: int) -> float:
        asked.append((task, other, steps))
        return 0.5

    assert run(["find shoes in shop", "find hats in shop"], Rules(threshold=0.6, rerank=sure))[1] == (5, 0, 0, 0)
    assert asked[0] == ("find hats in shop", "find shoes in shop", 1)


def test_likeness_by_vectors_asks_for_a_text_of_each_level(run):
    pytest.importorskip("numpy")
    asked: list[str] = []

    async def embed(texts: list[str]) -> list[list[float]]:
        asked.extend(texts)
        return [[float("shop" in text), float("maps" in text), 0.1] for text in texts]

    tasks = ["find shoes in shop", "find hats in shop", "find hats in maps"]
    went = run(tasks, Rules(like=ByVectors(embed, "{depth} {task}")))
    assert [each[1] for each in went[:2]] == [0, 1]
    assert went[2][1] == 0
    assert "1 find hats in shop" in asked


@hw.task(name="errands.program")
async def errand() -> Any:
    """Two tasks on one phone, with what the first did kept in a memory."""
    went = []
    for task in ("find shoes in shop", "find shoes in shop"):
        await reset()
        ran = await replay(task, await load_tree(memory), WORLD, generate, check=succeeded)
        await save_trace(memory, ran)
        went.append((ran.generated, ran.replayed, ran.success))
    return went


@hw.task(name="errands.reset")
async def reset() -> None:
    PHONE.screen = "home"


def test_wherever_it_is_killed_it_goes_on_and_repeats_no_action_that_was_recorded():
    whole = History(1, STEADY)
    assert whole.live(errand).value == [(5, 0, True), (0, 5, True)]
    once = list(PHONE.log)
    for after in range(1, len(whole.rows()), 2):
        PHONE.screen, PHONE.typed, PHONE.log = "home", "", []
        history = History(1, STEADY)
        history.live(errand, crash=Crash(after, "after"))
        life = history.live(errand)
        assert life.value == [(5, 0, True), (0, 5, True)], after
        assert len(PHONE.log) - len(once) in (0, 1), f"killed after row {after}"  # one action may have been under way
        assert [action for place, action in enumerate(PHONE.log) if not place or action != PHONE.log[place - 1]] == once
        history.check()


def test_what_one_run_did_another_replays_until_it_fails_or_is_forgotten(go):
    task = "find shoes in shop"

    @hw.task
    async def once(succeeds: bool = True) -> int:
        PHONE.screen = "home"
        ran = await replay(task, await load_tree(memory), WORLD, generate, check=lambda *_: succeeds)
        await save_trace(memory, ran)
        return ran.replayed

    @hw.task
    async def clear() -> int:
        for hit in await memory.cases(kind="actions"):
            await memory.forget(hit.id)
        return len(await load_tree(memory))

    assert [go(once, run_id=f"run {n}") for n in range(3)] == [0, 5, 5]
    assert go(once, False, run_id="fails") == 5
    assert go(once, run_id="after a failure") == 0
    assert go(once, run_id="again") == 5
    assert go(clear, run_id="clear") == 0
    assert go(once, run_id="after all was forgotten") == 0


def test_a_tree_of_a_memory_is_that_of_its_traces_however_they_came_and_went(go):
    def trace(task: str) -> Case:
        return Case(task, Trace(task, (WORLD.step(task, {"screen": "a", "theme": "b"}, f"open {task}"),)), "actions")

    @hw.task
    async def program() -> list[int]:
        sizes = []
        first = await memory.put(trace("one"))
        await memory.put(trace("two"))
        sizes.append(len(await load_tree(memory)))
        await memory.put(Case("one", None, "actions", outcome="failure"))
        sizes.append(len(await load_tree(memory)))
        await memory.forget(first)
        await memory.put(trace("three"))
        sizes.append(len(await load_tree(memory)))
        sizes.append(len(await load_tree(memory, namespace="nobody's")))
        return sizes

    assert go(program) == [2, 1, 2, 0]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: replay("", Tree(), WORLD, generate), "task='': what is to be done"),
        (lambda: replay("a", "tree", WORLD, generate), "tree='tree'"),
        (lambda: replay("a", Tree(), "world", generate), "world='world'"),
        (lambda: replay("a", Tree(), WORLD, "model"), "generate='model'"),
        (lambda: replay("a", Tree(), WORLD, generate, steps=0), "steps=0"),
        (lambda: replay("a", Tree(), WORLD, generate, check=3), "check=3"),
        (lambda: replay("a", Tree(), WORLD, generate, rules="all"), "rules='all'"),
        (lambda: load_tree("phone"), "memory='phone'"),
        (lambda: save_trace(memory, "ran"), "ran='ran'"),
    ],
)
def test_a_bad_call_is_refused_before_anything_is_done(go, wrong, said):
    @hw.task
    async def program() -> None:
        await wrong()

    with pytest.raises(hw.UsageError, match=said):
        go(program)
    assert PHONE.log == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: World(lambda: None, errands.act, errands.target), "see=.*a task"),
        (lambda: World(errands.see, errands.see, errands.target), "a task with effect=True"),
        (lambda: World(errands.see, errands.act, None), "target=None"),
        (lambda: Rules("alike"), "mode='alike'"),
        (lambda: Rules(threshold=80), "threshold=80"),
        (lambda: Rules(like=None), "like=None"),
        (lambda: Rules(shortcuts=2), "shortcuts=2"),
        (lambda: Tree("same"), "same='same'"),
        (lambda: Trace("", ()), "task=''"),
        (lambda: Trace("a", ("open",)), "a list of"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_is_made(wrong, said):
    with pytest.raises(hw.UsageError, match=said):
        wrong()
