"""The tree of actions: tasks share what they have in common, and a change leaves the older tree as it was."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headway.methods.memory import Step, Trace, Tree, boxes_meet
from headway.methods.memory.actions.choosing import end_shortcuts, has_words, shared_words

ACTIONS = st.sampled_from("abc")


def trace(task: str, actions: str, keywords: tuple[str, ...] = ()) -> Trace[str]:
    return Trace(task, tuple(Step(action, f"does {action}", f"look of {task}", keywords) for action in actions))


def paths(tree: Tree[str], task: str, node: int = 0) -> set[str]:
    """All that a task did, as the tree has it."""
    edges = [edge for edge in tree.edges(node) if task in edge.tasks]
    longer = {f"{edge.step.action}{rest}" for edge in edges for rest in paths(tree, task, edge.to)}
    return longer or {""}


@given(st.lists(st.tuples(st.sampled_from(["one", "two", "three"]), st.text("abc", min_size=1, max_size=5)), max_size=12))
def test_a_tree_has_what_each_task_did_and_without_a_failed_one_what_the_others_did(done):
    tree, trees = Tree[str](), []
    for task, actions in done:
        trees.append((tree, len(tree)))
        tree = tree.add(trace(task, actions))
        nodes = tree.walk(tuple(actions))
        assert None not in nodes
    for older, size in trees:
        assert len(older) == size
    for task in {task for task, _ in done}:
        own = {actions for other, actions in done if other == task}
        longest = {actions for actions in own if not any(other != actions and other.startswith(actions) for other in own)}
        assert paths(tree, task) == longest
    assert len(tree) == len({actions[:end] for _, actions in done for end in range(1, len(actions) + 1)})
    without = tree.remove("one")
    assert len(without) == len({actions[:end] for task, actions in done if task != "one" for end in range(1, len(actions) + 1)})
    assert paths(without, "one") == {""}


def test_an_edge_keeps_the_newest_look_and_depends_on_what_all_its_tasks_have_in_common():
    tree = Tree[str]().add(trace("one", "a", ("shoes", "shop"))).add(trace("two", "a", ("shop", "hats")))
    (edge,) = tree.edges(0)
    assert (edge.step.look, edge.step.keywords, edge.tasks) == ("look of two", ("shop",), ("one", "two"))


def test_equal_actions_are_told_by_the_caller():
    def click(*box: int) -> Step[tuple[int, ...]]:
        return Step(box, "click")

    tree = Tree(boxes_meet)
    tree = tree.add(Trace("one", (click(0, 0, 10, 10),))).add(Trace("two", (click(4, 4, 14, 14),)))
    assert len(tree) == 1
    assert len(tree.add(Trace("three", (click(40, 40, 50, 50),)))) == 2


def test_shortcuts_are_at_split_nodes_whose_branches_meet_again():
    """Two branches type other words and then press the same button: that is one shortcut of length 2."""
    split = [
        Trace(task, (Step(f"type {task}", "type"), Step("press search", "press"), Step(f"take {task}", "take")))
        for task in ("shoes", "hats")
    ]
    assert Tree[str]().add(split[0]).shortcuts(0) == ()
    tree = Tree[str]().add(split[0]).add(split[1])
    assert [(each.names, each.last.step.action) for each in tree.shortcuts(0)] == [(("type",), "press search")]
    assert tree.shortcuts(0)[0].last.tasks == ("shoes", "hats")
    nodes = tree.walk(("type coats",))
    assert nodes == (0, None)
    (edge,) = end_shortcuts(("type",), nodes, tree)
    assert edge.step.action == "press search"
    assert end_shortcuts(("press",), nodes, tree) == []


def test_a_long_shortcut_goes_before_a_short_one():
    ends = [Trace(t, (Step(f"a{t}", "a"), Step(f"b{t}", "b"), Step("z", "z"))) for t in ("one", "two")]
    tree = Tree[str]().add(ends[0]).add(ends[1])
    assert [each.names for each in tree.shortcuts(0)] == [("a", "b")]


def test_an_action_depends_on_the_words_that_it_shares_with_its_task():
    assert shared_words("find red shoes in the shop", "type the shoes") == ("shoes",)
    assert has_words("look for shoes", ("shoes",))
    assert not has_words("look for hats", ("shoes",))
