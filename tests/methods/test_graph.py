"""A plan stays a plan whatever is edited, an edit costs what it changes, and a refusal says what was wrong."""

from __future__ import annotations

import pickle
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import headway as hw
from headway.methods import graph as graphs
from headway.methods.graph import Add, EditRefused, Graph, Need, Node, Remove, Replace, Rewire, after

IDS = tuple("abcdefgh")


def plan(**needs: str) -> Graph[str]:
    """A plan from what each step needs: `plan(a="", b="a")`."""
    return Graph(tuple(Node(id, id.upper(), after(*of)) for id, of in needs.items()))


DIAMOND = plan(a="", b="a", c="a", d="bc")


def needs_of(graph: Graph[str]) -> dict[str, set[str]]:
    return {node.id: {need.step for need in node.needs} for node in graph}


def has_cycle(needs: dict[str, set[str]]) -> bool:
    """By taking away what needs nothing, as long as there is any: an oracle that knows no ranks."""
    left = dict(needs)
    while free := [id for id, of in left.items() if not of & left.keys()]:
        for id in free:
            del left[id]
    return bool(left)


def is_plan(needs: dict[str, set[str]]) -> bool:
    return all(of <= needs.keys() for of in needs.values()) and not has_cycle(needs)


NEEDS = st.sets(st.sampled_from(IDS), max_size=3)
EDITS = st.one_of(
    st.builds(lambda id, of: ("add", id, of - {id}), st.sampled_from(IDS), NEEDS),
    st.builds(lambda id, of: ("rewire", id, of - {id}), st.sampled_from(IDS), NEEDS),
    st.builds(lambda id: ("remove", id, set()), st.sampled_from(IDS)),
    st.builds(lambda id: ("replace", id, set()), st.sampled_from(IDS)),
)


def edit_of(kind: str, id: str, of: set[str]) -> graphs.Edit[str]:
    needs = after(*sorted(of))
    return {"add": Add(Node(id, "new", needs)), "rewire": Rewire(id, needs), "remove": Remove(id), "replace": Replace(id, "other")}[
        kind
    ]


@given(st.lists(st.lists(EDITS, min_size=1, max_size=5), max_size=12), st.sets(st.sampled_from(IDS), max_size=2))
def test_edits_do_what_they_say_or_nothing_and_every_graph_is_a_plan(batches, started):
    graph: Graph[str] = DIAMOND
    for batch in batches:
        model, allowed = dict(needs_of(graph)), True
        for kind, id, of in batch:
            if (kind == "add") == (id in model) or (kind != "add" and id in started):
                allowed = False
                break
            if kind == "remove":
                del model[id]
            elif kind != "replace":
                model[id] = of
        allowed = allowed and is_plan(model)
        before = graph.nodes
        edits = [edit_of(*edit) for edit in batch]
        if not allowed:
            with pytest.raises(EditRefused, match=r"Nothing of these edits was applied$"):
                graph.apply(edits, started)
            assert graph.nodes == before
        else:
            graph = graph.apply(edits, started)
            assert needs_of(graph) == model
            assert graph == Graph(graph.nodes), "the same as one that was made at once"
            order = graph.order()
            assert sorted(order) == sorted(model)
            assert all(order.index(of) < order.index(id) for id, need in model.items() for of in need)
            for id in model:
                assert set(graph.dependents(id)) == {other for other, of in model.items() if id in of}


@given(st.lists(st.tuples(st.sampled_from(IDS), NEEDS), max_size=40))
def test_single_rewirings_never_close_a_cycle_and_never_refuse_what_closes_none(wirings):
    """The check looks only at the steps between two ranks; an oracle looks at all."""
    graph: Graph[str] = Graph(tuple(Node(id, "") for id in IDS))
    for id, of in wirings:
        model = {**needs_of(graph), id: of - {id}}
        edit = Rewire(id, after(*sorted(of - {id})))
        if has_cycle(model):
            with pytest.raises(EditRefused, match="a cycle"):
                graph.apply([edit])
        else:
            graph = graph.apply([edit])
            assert needs_of(graph) == model


def test_an_older_graph_is_as_it_was():
    newer = DIAMOND.apply([Add(Node("e", "E", after("d"))), Remove("b"), Rewire("d", after("c"))])
    assert [node.id for node in DIAMOND] == ["a", "b", "c", "d"]
    assert DIAMOND.dependents("a") == ("b", "c")
    assert [node.id for node in newer] == ["a", "c", "d", "e"]
    assert newer.dependents("a") == ("c",)


def test_a_batch_may_pass_through_what_would_be_refused_alone():
    with pytest.raises(EditRefused, match="d needs it"):
        DIAMOND.apply([Remove("c")])
    assert "c" not in DIAMOND.apply([Remove("c"), Rewire("d", after("b"))])
    forward = DIAMOND.apply([Add(Node("f", "", after("g"))), Add(Node("g", "", after("d")))])
    assert forward.order()[-2:] == ("g", "f")
    turned = plan(a="", b="a").apply([Rewire("a", after("b")), Rewire("b", ())])
    assert turned.order() == ("b", "a")


def test_a_cycle_among_new_steps_is_refused_although_another_step_leads_into_it():
    edits = [Add(Node("x", "", after("d"))), Add(Node("p", "", after("x", "q"))), Add(Node("q", "", after("p")))]
    with pytest.raises(EditRefused, match="a cycle"):
        DIAMOND.apply(edits)


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        ([Add(Node("a", ""))], "add a: there is a step of this id already"),
        ([Add(Node("x", "", after("y")))], "x needs y: there is no such step"),
        ([Rewire("a", after("d"))], "a can't need d: a needs d needs [bc] needs a, a cycle"),
        ([Add(Node("x", "", after("y"))), Add(Node("y", "", after("x")))], "a cycle"),
        ([Remove("a")], "remove a: b needs it; remove or rewire that too"),
        ([Remove("x")], "remove x: there is no such step"),
        ([Replace("x", "")], "replace x: there is no such step"),
        ([Rewire("s", ())], "rewire s: it has started, and what has started can't change"),
        ([Remove("s")], "remove s: it has started"),
        ([Replace("s", "")], "replace s: it has started"),
    ],
)
def test_a_refusal_is_a_sentence_that_names_the_step(edits, said):
    graph = DIAMOND.apply([Add(Node("s", "S"))])
    with pytest.raises(EditRefused, match=said):
        graph.apply(edits, {"s"})


def test_what_is_no_plan_and_no_edit_is_refused():
    with pytest.raises(EditRefused, match="already"):
        Graph((Node("a", ""), Node("a", "")))
    with pytest.raises(EditRefused, match="no such step"):
        Graph((Node("a", "", after("b")),))
    with pytest.raises(hw.UsageError, match="is no edit"):
        DIAMOND.apply(["remove a"])  # type: ignore[list-item]
    with pytest.raises(hw.UsageError, match="can't need itself"):
        Node("a", "", after("a"))
    with pytest.raises(hw.UsageError, match="needs b twice"):
        Rewire("a", after("b", "b"))
    with pytest.raises(hw.UsageError, match="a tuple of Need"):
        Node("a", "", ("b",))  # type: ignore[arg-type]
    with pytest.raises(hw.UsageError, match="not empty"):
        Node("", "")
    with pytest.raises(KeyError, match="no step 'x' in this plan of 4"):
        DIAMOND["x"]


def test_a_step_is_ready_when_what_it_needs_has_ended_as_it_must():
    graph = Graph(
        (
            Node("a", ""),
            Node("ok", "", after("a")),
            Node("mend", "", after("a", on="failure")),
            Node("log", "", after("a", on="end")),
            Node("if", "", after("a", test="is large")),
            Node("both", "", (Need("ok"), Need("mend"))),
        )
    )
    assert graph.ready({}) == ("a",)
    assert graph.ready({}, started={"a"}) == ()
    assert graph.ready({"a": True}, holds=lambda need: need.test != "is large") == ("ok", "log")
    assert graph.ready({"a": True}) == ("ok", "log", "if")
    assert graph.ready({"a": False}) == ("mend", "log")
    assert graph.ready({"a": True}, among=graph.dependents("a")) == ("ok", "log", "if")
    assert graph.blocked({"a": True}) == ("mend", "both")
    assert graph.blocked({"a": False}) == ("ok", "if", "both")


def test_rounds_and_the_critical_path():
    graph = plan(a="", b="a", c="", d="bc", e="c")
    assert graph.rounds() == (("a", "c"), ("b", "e"), ("d",))
    seconds = {"a": 1.0, "b": 2.0, "c": 5.0, "d": 1.0, "e": 3.0}
    assert graph.critical_path(lambda node: seconds[node.id]) == (8.0, ("c", "e"))
    assert Graph[str](()).critical_path(lambda node: 1.0) == (0.0, ())


def test_the_order_hangs_on_the_order_of_adding_and_on_no_hash():
    ids = [f"step {number}" for number in range(300)]
    graph: Graph[int] = Graph()
    for number, id in enumerate(ids):
        graph = graph.apply([Add(Node(id, number))])
    assert [node.id for node in graph] == ids
    assert list(graph.order()) == ids
    assert graph.ready({}) == tuple(ids)


@hw.task
async def planned() -> Graph[str]:
    return DIAMOND.apply([Add(Node("e", "E", after("d", on="end", test="t")))])


SWITCH = {"stop": True}


@hw.task
async def program() -> tuple[Graph[str], Graph[str]]:
    graph = await planned()
    if SWITCH["stop"]:
        raise RuntimeError("stop")
    return graph, graph.apply([Remove("e")])


def test_a_graph_is_a_value_that_a_journal_keeps(go, monkeypatch):
    with pytest.raises(RuntimeError):
        go(program)
    monkeypatch.setitem(SWITCH, "stop", False)
    graph, less = go(program)
    assert graph["e"] == Node("e", "E", (Need("d", "end", "t"),))
    assert less == DIAMOND
    assert pickle.loads(pickle.dumps(graph)) == graph
    assert hash(graph) == hash(replace(graph))


class Counted(str):
    """A step's id that counts how often its hash is asked for: each look-up and change of a map asks for one."""

    asked = 0

    def __hash__(self) -> int:
        Counted.asked += 1
        return super().__hash__()

    __eq__ = str.__eq__


def work_of(size: int) -> tuple[int, int]:
    """Hashes asked for by `size` single additions and `size` single edits."""
    Counted.asked = 0
    graph: Graph[int] = Graph()
    ids = [Counted(f"step {number}") for number in range(size)]
    for number, id in enumerate(ids):
        graph = graph.apply([Add(Node(id, number, after(*ids[max(0, number - 2) : number])))])
    added = Counted.asked
    for number in range(2, size):
        graph = graph.apply([Rewire(ids[number], after(ids[number - 2]))])
    assert len(graph) == size
    return added, Counted.asked - added


def test_the_work_of_single_edits_grows_with_their_number_and_not_with_its_square():
    small, large = work_of(500), work_of(4000)
    for before, now in zip(small, large, strict=True):
        assert before * 6 < now < before * 11, "eight times the edits"


def test_old_graphs_share_what_did_not_change():
    graph: Graph[int] = Graph(tuple(Node(f"{number}", number) for number in range(4000)))
    other = graph.apply([Replace("7", 8)])
    mine, others = ({id(entry) for entry in _parts(one._index.steps)} for one in (graph, other))
    assert len(others - mine) < len(mine) / 50
    assert sys.getsizeof(graph._index) < 200


def _parts(node):
    yield node
    for branch in node._branches:
        yield from _parts(branch)
