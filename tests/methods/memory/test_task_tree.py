"""A tree of a task's parts: a prompt shows the active path, and after an edit only what depends on it is found again."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headway as hw
from headway.methods.graph import Add, EditRefused, Node, Remove, Replace, Rewire, after
from headway.methods.memory import SharedTasks, Slot, TaskTree, redo
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash

MADE: list[str] = []
TRIP = (
    TaskTree[str]()
    .add("trip", "three days in Italy")
    .add("city", "Rome", parent="trip")
    .add("hotel", parent="city")
    .add("food", parent="trip", needs=["city"])
    .add("car", "none", parent="trip")
)


@hw.task(name="tasks.work")
async def work(slot: str, path: dict[str, str]) -> str:
    MADE.append(slot)
    await hw.sleep(1)
    return f"{slot} of {sorted(path.values())}"


@hw.task(name="tasks.program")
async def program() -> list[str]:
    tree = await redo(TRIP, work)
    tree = await redo(tree.replace("city", "Turin"), work)
    return [tree["hotel"].value or "", tree["food"].value or "", *tree["hotel"].history, *tree.stale]


def test_an_active_path_is_what_a_slot_is_part_of_what_it_needs_and_itself():
    assert TRIP.active_path("food") == ("trip", "city", "food")
    assert TRIP.active_path("trip") == ("trip",)
    assert TRIP.prompt("hotel") == "trip: three days in Italy\ncity: Rome\nhotel: (to be found)"
    with pytest.raises(KeyError, match="there is no step 'train'"):
        TRIP.active_path("train")


def test_a_replaced_value_is_history_and_all_that_depends_on_it_is_stale():
    tree = TRIP.replace("hotel", "Adria").replace("food", "pasta")
    assert tree.stale == ()
    edited = tree.replace("city", "Turin")
    assert (edited["city"], edited.stale) == (Slot("Turin", "trip", ("Rome",)), ("hotel", "food"))
    assert edited.replace("car", "a small one").stale == ("hotel", "food")
    assert tree.stale == ()
    assert edited.prompt("hotel").endswith("hotel: (to be found; it was Adria)")


def test_a_rewired_slot_is_stale_and_follows_what_it_needs_now():
    tree = TRIP.replace("hotel", "Adria").replace("food", "pasta").rewire("car", ["hotel"])
    assert tree.stale == ("car",)
    assert tree.active_path("car") == ("trip", "hotel", "car")
    assert tree.replace("car", "a van").replace("city", "Turin").stale == ("hotel", "food", "car")


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda: TRIP.add("city", "Bari"), "there is a step of this id already"),
        (lambda: TRIP.add("train", needs=["ticket"]), "ticket"),
        (lambda: TRIP.replace("train", "fast"), "train: there is no such slot"),
        (lambda: TRIP.rewire("city", ["hotel"]), "a cycle"),
        (lambda: TRIP.remove("city"), "city"),
        (lambda: TRIP.apply(["city"]), "'city' is no edit"),  # type: ignore[list-item]
    ],
)
def test_an_edit_that_does_not_fit_is_refused_and_the_tree_stays(edit, said):
    with pytest.raises(hw.UsageError, match=said):
        edit()
    assert len(TRIP) == 5


def test_of_two_edits_of_one_slot_in_a_batch_the_later_counts_and_both_are_history():
    tree = TRIP.apply([Replace("city", "Turin"), Replace("city", "Milan"), Remove("car")])
    assert tree["city"] == Slot("Milan", "trip", ("Rome", "Turin"))
    assert "car" not in tree


def test_only_what_depends_on_an_edit_is_found_again_side_by_side(go, clock):
    MADE.clear()
    begun = clock.now
    ended = go(program)
    assert Counter(MADE) == {"hotel": 2, "food": 2}
    assert ended[:3] == [
        "hotel of ['Turin', 'three days in Italy']",
        "food of ['Turin', 'three days in Italy']",
        "hotel of ['Rome', 'three days in Italy']",
    ]
    assert clock.now - begun == 2.0  # two rounds of one second


def test_a_chain_of_stale_slots_is_found_in_its_order(go):
    @hw.task
    async def chain() -> Any:
        tree = TaskTree[str]().add("a", "1").add("b", needs=["a"]).add("c", needs=["b"])
        return (await redo(tree, work))["c"].value

    assert go(chain) == "c of [\"b of ['1']\"]"


def test_wherever_it_is_killed_nothing_that_was_found_is_found_again():
    whole = History(1, STEADY)
    undisturbed = whole.live(program).value
    for row in range(1, len(whole.rows())):
        history = History(1, STEADY)
        history.live(program, crash=Crash(row, "after"))
        assert history.live(program).value == undisturbed
        history.check()


def slots_of(tree: TaskTree[int]) -> dict[str, int | None]:
    return {node.id: node.does.value for node in tree.graph.nodes}


def find_all(tree: TaskTree[int], found: dict[str, int]) -> dict[str, int]:
    """What the values are where everything is found anew, in the order of the tree."""
    for slot in tree.graph.order():
        needs = [need.step for need in tree.graph[slot].needs]
        if needs:
            found[slot] = sum(found[need] for need in needs)
        else:
            value = tree[slot].value
            assert value is not None
            found[slot] = value
    return found


@given(
    st.lists(st.lists(st.integers(0, 9), max_size=3), min_size=2, max_size=10),
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 99)), max_size=6),
)
@settings(max_examples=40)
def test_after_any_edits_each_value_is_what_finding_everything_anew_gives(needs, edits):
    tree, calls = TaskTree[int](), 0
    for number, below in enumerate(needs):
        on = sorted({f"s{each % number}" for each in below}) if number else []
        tree = tree.add(f"s{number}", None if on else number, needs=on)

    def find_stale(tree: TaskTree[int]) -> TaskTree[int]:
        nonlocal calls
        while tree.stale:
            for slot in tree.graph.order():
                if slot in tree.stale:
                    calls += 1
                    value = sum(tree[name].value or 0 for name in tree.active_path(slot)[:-1])
                    tree = _set(tree, slot, value)
        return tree

    tree = find_stale(tree)
    for number, value in edits:
        slot = f"s{number % len(needs)}"
        if tree.graph[slot].needs:
            continue
        behind = len(_behind(tree, slot))
        before, tree = calls, tree.replace(slot, value)
        assert len(tree.stale) == behind
        tree = find_stale(tree)
        assert calls - before == behind
        assert slots_of(tree) == find_all(tree, {})


def _set(tree: TaskTree[int], slot: str, value: int) -> TaskTree[int]:
    """As `redo` does: the value alone, for what depends on it is stale already."""
    return TaskTree(tree.graph.apply([Replace(slot, Slot(value, tree[slot].parent))]))


def _behind(tree: TaskTree[int], slot: str) -> set[str]:
    found: set[str] = set()
    left = [slot]
    while left:
        more = set(tree.graph.dependents(left.pop())) - found
        found |= more
        left += more
    return found


def test_two_runs_that_edit_one_slot_are_one_after_the_other(go):
    tasks = SharedTasks("trip")

    @hw.task
    async def begin() -> int:
        return await tasks.edit(Add(Node("trip", Slot("Italy"))), Add(Node("city", Slot("Rome", "trip"))))

    @hw.task
    async def edit(city: str) -> str:
        await tasks.edit(Replace("city", city))
        return (await tasks.read())["city"].value

    @hw.task
    async def read() -> Any:
        return (await tasks.read())["city"]

    assert go(begin, run_id="begin") == 0
    assert [go(edit, city, run_id=city) for city in ("Turin", "Milan")] == ["Turin", "Milan"]
    assert go(read, run_id="read") == Slot("Milan", "trip", ("Rome", "Turin"))
    assert go(edit, "Turin", run_id="Turin") == "Turin"  # a run that has ended says what it said


def test_a_shared_tree_is_read_as_of_the_time_and_a_late_edit_is_told_that_it_does_not_fit(go):
    tasks = SharedTasks("trip")
    stop = [True]

    @hw.task
    async def reader() -> Any:
        await tasks.edit(Add(Node("city", Slot("Rome"))))
        tree = await tasks.read()
        if stop:
            raise RuntimeError("stop here")
        try:
            await tasks.edit(Rewire("city", after("trip")), Replace("city", "Bari"))
        except EditRefused as error:
            return tree["city"].value, str(error), "city" in await tasks.read()
        return "it was let pass"

    @hw.task
    async def other() -> None:
        await tasks.edit(Remove("city"))

    with pytest.raises(RuntimeError):
        go(reader)
    go(other, run_id="other")
    stop.clear()
    value, said, there = go(reader)
    assert (value, there) == ("Rome", False)
    assert "city: there is no such slot" in said


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: SharedTasks("trip").edit(), "give Add, Remove, Replace or Rewire"),
        (lambda: SharedTasks("trip").edit("city"), "give Add, Remove, Replace or Rewire"),  # type: ignore[arg-type]
        (lambda: redo("tree", work), "tree='tree'"),  # type: ignore[arg-type]
        (lambda: redo(TRIP, lambda slot, path: "x"), "a task, so that what it finds is recorded"),
    ],
)
def test_a_bad_call_is_refused_in_a_sentence(go, wrong, said):
    @hw.task
    async def bad() -> None:
        await wrong()

    with pytest.raises(hw.UsageError, match=said):
        go(bad)
    with pytest.raises(hw.UsageError, match="a name of printable characters"):
        SharedTasks("")
