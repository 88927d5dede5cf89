"""Threads of LangGraph in a Headway store: what LangGraph's own tests ask of a checkpointer, and what ours promises on top."""

from __future__ import annotations

import asyncio
import operator
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, interrupt
from talks import config, keep

import headway as hw
from headway.integrations.langgraph import HeadwaySaver
from headway.journal.upkeep.gc import gc


@pytest.fixture(params=["memory", "sqlite"])
def store(request: Any, tmp_path: Path) -> Iterator[Any]:
    opened = hw.MemoryStore() if request.param == "memory" else hw.SqliteStore(tmp_path / "store")
    yield opened
    opened.close()


# --- what LangGraph asks ---------------------------------------------------------------------------------------------


def test_it_passes_what_langgraph_asks_of_a_checkpointer(store: Any) -> None:
    async def savers() -> Any:
        yield HeadwaySaver(store)

    report = asyncio.run(validate(checkpointer_test(name="HeadwaySaver")(savers)))
    assert report.conformance_level() == "FULL", report.to_dict()
    assert all(result["tests_passed"] > 0 for result in report.to_dict()["results"].values())


# --- graphs, beside LangGraph's own checkpointer ----------------------------------------------------------------------


class Talk(TypedDict):
    messages: Annotated[list[Any], add_messages]
    notes: Annotated[list[str], operator.add]
    files: dict[str, str]


def talking() -> StateGraph[Any]:
    def answer(state: Talk) -> Any:
        last = state["messages"][-1].content
        return {"messages": [("assistant", f"{last}!")], "files": {**state.get("files", {}), last: "text"}}

    def note(state: Talk) -> Any:
        return {"notes": [f"{len(state['messages'])} messages"]}

    builder = StateGraph(Talk)
    builder.add_node("answer", answer)
    builder.add_node("note", note)
    builder.add_edge(START, "answer")
    builder.add_edge(START, "note")
    builder.add_edge("answer", END)
    builder.add_edge("note", END)
    return builder


def history(graph: Any, thread: str = "ada") -> list[Any]:
    """The states of a thread, without what differs between two runs of the same graph."""

    def plain(values: Any) -> Any:
        texts = [message.content for message in values.get("messages", [])]
        return {**values, "messages": texts}

    return [
        (plain(one.values), one.next, one.metadata["source"], one.metadata["step"])
        for one in graph.get_state_history(config(thread))
    ]


def test_a_graph_goes_the_same_way_as_on_langgraphs_own_checkpointer(store: Any) -> None:
    graphs = [talking().compile(checkpointer=saver) for saver in (HeadwaySaver(store), InMemorySaver())]
    for graph in graphs:
        for word in ("one", "two", "three"):
            graph.invoke({"messages": [("user", word)]}, config())
        past = list(graph.get_state_history(config()))[3].config
        forked = graph.update_state(past, {"notes": ["changed"]}, as_node="note")
        graph.invoke(None, forked)
        graph.invoke({"messages": [("user", "four")]}, config())
    assert history(graphs[0]) == history(graphs[1])
    assert len(history(graphs[0])) > 10


def test_a_new_process_finds_the_thread_where_it_was_left(store: Any) -> None:
    first = talking().compile(checkpointer=HeadwaySaver(store))
    first.invoke({"messages": [("user", "one")]}, config())
    second = talking().compile(checkpointer=HeadwaySaver(store))
    second.invoke({"messages": [("user", "two")]}, config())
    assert history(first) == history(second)
    assert history(first)[0][0]["messages"] == ["one", "one!", "two", "two!"]
    assert history(first)[0][0]["files"] == {"one": "text", "two": "text"}


def test_a_graph_waits_for_a_person_and_async_graphs_do_the_same(store: Any) -> None:
    def ask(state: Talk) -> Any:
        return {"notes": [interrupt("go on?")]}

    builder = StateGraph(Talk)
    builder.add_node("ask", ask)
    builder.add_edge(START, "ask")
    graph = builder.compile(checkpointer=HeadwaySaver(store))

    async def talk() -> Any:
        asked = await graph.ainvoke({"messages": [("user", "one")]}, config("eve"))
        return asked["__interrupt__"][0].value, await graph.ainvoke(Command(resume="yes"), config("eve"))

    asked, said = asyncio.run(talk())
    assert (asked, said["notes"]) == ("go on?", ["yes"])


def test_a_channel_of_differences_is_rebuilt_from_what_was_written(store: Any) -> None:
    class State(TypedDict):
        words: Annotated[
            list[str], DeltaChannel(lambda have, new: have + [one for part in new for one in part], snapshot_frequency=4)
        ]

    builder = StateGraph(State)
    builder.add_node("echo", lambda state: {"words": [state["words"][-1].upper()]})
    builder.add_edge(START, "echo")
    said: list[Any] = []
    for saver in (HeadwaySaver(store), InMemorySaver()):
        graph = builder.compile(checkpointer=saver)
        for word in "abcdefgh":
            graph.invoke({"words": [word]}, config())
        said.append([one.values for one in graph.get_state_history(config())])
        assert graph.get_state(config()).values["words"][-2:] == ["h", "H"]
    assert said[0] == said[1]
    fresh = HeadwaySaver(store)
    fresh.prune(["ada"])
    assert builder.compile(checkpointer=HeadwaySaver(store)).get_state(config()).values["words"] == said[1][0]["words"]


def test_nodes_of_a_graph_in_a_run_make_calls_of_the_run(tmp_path: Path) -> None:
    seen: list[str] = []
    lives: list[int] = []

    @hw.task
    async def look(word: str) -> str:
        seen.append(word)
        return word.upper()

    async def answer(state: Talk) -> Any:
        said = await look(state["messages"][-1].content)
        if not lives:
            lives.append(1)
            raise OSError("down")
        return {"notes": [said]}

    builder = StateGraph(Talk)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    with HeadwaySaver(tmp_path / "store") as saver:
        graph = builder.compile(checkpointer=saver)

        @hw.task
        async def main(*words: str) -> list[str]:
            for word in words:
                said = await graph.ainvoke({"messages": [("user", word)]}, config())
            return said["notes"]

        with pytest.raises(OSError, match="down"):
            hw.run(main, "one", "two", store=tmp_path / "store", run_id="run")
        assert hw.run(main, "one", "two", store=tmp_path / "store", run_id="run") == ["ONE", "TWO"]
    assert seen == ["one", "two"]  # what the node had called was recorded
    calls = [call.task.rpartition(".")[2] for call in hw.view("run", store=tmp_path / "store").calls]
    assert sorted(calls) == ["look", "look", "main"]


# --- values ----------------------------------------------------------------------------------------------------------

plain = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**40), 2**40), st.text(max_size=4), st.binary(max_size=4), st.floats(allow_nan=False)
)
nested = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(max_size=3), inner, max_size=4),
        st.tuples(inner, inner),
        st.sets(st.integers(0, 9)),
    ),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.dictionaries(st.sampled_from("abc"), nested, max_size=3), min_size=1, max_size=6))
def test_any_values_come_back_as_langgraphs_serializer_gives_them(values: list[dict[str, Any]]) -> None:
    serde = JsonPlusSerializer()
    store = hw.MemoryStore()
    saver, before, made = HeadwaySaver(store), None, []
    for one in values:
        before = keep(saver, one, before)
        made.append(before)
    for reader in (saver, HeadwaySaver(store)):
        for place, one in zip(made, values, strict=True):
            found = reader.get_tuple(place)
            assert found is not None
            assert found.checkpoint["channel_values"] == serde.loads_typed(serde.dumps_typed(one))


short = st.lists(st.integers(0, 1), max_size=5)


@settings(max_examples=60, deadline=None)
@given(lists=st.lists(st.tuples(short, short), min_size=1, max_size=8))
def test_lists_that_grow_shrink_and_change_anywhere_come_back_as_they_were(lists: list[tuple[list[int], list[int]]]) -> None:
    store = hw.MemoryStore()
    saver, before, made = HeadwaySaver(store), None, []
    for state, wrote in lists:
        before = keep(saver, {"a": state, "b": {str(at): one for at, one in enumerate(state)}}, before)
        saver.put_writes(before, [("a", wrote)], "task")
        made.append(before)
    for reader in (saver, HeadwaySaver(store)):
        for place, (state, wrote) in zip(made, lists, strict=True):
            found = reader.get_tuple(place)
            assert found is not None
            assert found.checkpoint["channel_values"] == {"a": state, "b": {str(at): one for at, one in enumerate(state)}}
            assert found.pending_writes == [("task", "a", wrote)]


def test_what_a_reader_does_to_a_value_does_not_change_what_is_recorded(store: Any) -> None:
    saver = HeadwaySaver(store)
    place = keep(saver, {"a": [[1]]})
    for _ in range(2):
        found = saver.get_tuple(place)
        assert found is not None
        assert found.checkpoint["channel_values"] == {"a": [[1]]}
        found.checkpoint["channel_values"]["a"][0].append(2)


def test_values_may_be_encrypted(store: Any) -> None:
    class Cipher:
        def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
            return "turned", uuid.uuid4().bytes + plaintext[::-1]

        def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
            assert ciphername == "turned"
            return ciphertext[16:][::-1]

    saver = HeadwaySaver(store, serde=EncryptedSerializer(Cipher()))
    place = keep(saver, {"a": ["a secret", "another"]}, keep(saver, {"a": ["a secret"]}))
    found = saver.get_tuple(place)
    assert found is not None
    assert found.checkpoint["channel_values"] == {"a": ["a secret", "another"]}
    assert not any(b"a secret" in item.value for item in store.items("langgraph/ada"))


def sizes(store: Any, thread: str = "ada") -> list[int]:
    return [len(item.value) + sum(len(store.get_blob(name)) for name in item.blobs) for item in store.items(f"langgraph/{thread}")]


def test_a_conversation_grows_by_what_is_said_and_not_by_what_was_said_before(store: Any) -> None:
    graph = talking().compile(checkpointer=HeadwaySaver(store))
    turns = []
    for turn in range(40):
        before = len(sizes(store))
        graph.invoke({"messages": [("user", f"{turn:04} " + 100 * "word ")]}, config())
        turns.append(sum(sizes(store)[before:]))
    assert max(turns[30:]) < 1.2 * max(turns[1:10])


# --- many at once, and after a kill ----------------------------------------------------------------------------------


def test_threads_that_share_a_checkpointer_lose_nothing(store: Any) -> None:
    saver, others = HeadwaySaver(store), HeadwaySaver(store)

    def work(which: int) -> None:
        before = None
        for step in range(8):
            mine = (saver, others)[which % 2]
            before = keep(mine, {"a": [f"{which}.{k}" for k in range(step + 1)]}, before, step=step, who=which)
            mine.put_writes(before, [("a", step)], f"task {which}")

    workers = [threading.Thread(target=work, args=(which,)) for which in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for reader in (saver, others, HeadwaySaver(store)):
        found = list(reader.list(config()))
        assert len(found) == 32
        for one in found:
            which, step = one.metadata["who"], one.metadata["step"]
            assert one.checkpoint["channel_values"] == {"a": [f"{which}.{k}" for k in range(step + 1)]}
            assert one.pending_writes == [(f"task {which}", "a", step)]


APPENDS = """
import sys
from headway.integrations.langgraph import HeadwaySaver
sys.path.insert(0, sys.argv[3])
from talks import keep

with HeadwaySaver(sys.argv[1]) as saver:
    before = None
    for step in range(10):
        before = keep(saver, {"a": [f"{sys.argv[2]}.{k}" for k in range(step + 1)]}, before, who=sys.argv[2], step=step)
        saver.put_writes(before, [("a", step)], "task")
"""


def test_processes_that_share_a_thread_lose_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", APPENDS, str(tmp_path / "store"), "one", str(Path(__file__).parent)]
    with HeadwaySaver(tmp_path / "store") as saver:
        other, before, step = subprocess.Popen(command), None, 0
        while other.poll() is None:  # it is still at it
            mine = [f"me.{k}" for k in range(step % 20 + 1)]
            before = keep(saver, {"a": mine}, before, who="me", step=step % 20)
            saver.put_writes(before, [("a", step % 20)], "task")
            step += 1
        assert other.returncode == 0
        found = list(saver.list(config()))
        assert len(found) == 10 + step
        for one in found:
            who, step = one.metadata["who"], one.metadata["step"]
            assert one.checkpoint["channel_values"] == {"a": [f"{who}.{k}" for k in range(step + 1)]}
            assert one.pending_writes == [("task", "a", step)]


def test_a_checkpoint_is_whole_though_another_process_prunes_what_it_is_made_of(store: Any) -> None:
    saver, other = HeadwaySaver(store), HeadwaySaver(store)
    old = keep(saver, {"a": ["one"], "b": {"x": 1}})
    newest = keep(saver, {"a": ["one", "two"], "b": {"x": 1}}, old)
    assert other.get_tuple(newest) is not None  # it knows the thread as it was
    saver.prune(["ada"])
    for before, values in (
        (newest, {"a": ["one", "two", "three"], "b": {"x": 1}}),
        (old, {"a": ["one", "2"], "b": {"x": 1, "y": 2}}),
    ):
        place = keep(other, values, before)
        for reader in (saver, other, HeadwaySaver(store)):
            found = reader.get_tuple(place)
            assert found is not None
            assert found.checkpoint["channel_values"] == values


def test_what_another_process_wrote_first_stays_for_all_of_them(store: Any) -> None:
    one, other = HeadwaySaver(store), HeadwaySaver(store)
    before = None
    for step in range(4):
        before = keep(one, {"a": list(range(step + 1))}, before, step=step)
        if step % 2:
            other.put_writes(before, [("a", "first")], "task")
            one.put_writes(before, [("a", "second")], "task")
        else:
            one.put_writes(before, [("a", "first")], "task")
            other.put_writes(before, [("a", "second")], "task")
        for reader in (one, other, HeadwaySaver(store)):
            found = reader.get_tuple(before)
            assert found is not None
            assert found.checkpoint["channel_values"] == {"a": list(range(step + 1))}
            assert found.pending_writes == [("task", "a", "first")]


def test_what_is_deleted_is_gone_from_the_store(store: Any) -> None:
    saver = HeadwaySaver(store)
    place = keep(saver, {"a": ["a secret"], "b": 50_000 * "x"})
    saver.put_writes(place, [("a", "another secret")], "task")
    saver.delete_thread("ada")
    assert saver.get_tuple(place) is None
    assert list(HeadwaySaver(store).list(None)) == []
    assert not any(b"secret" in item.value for item in store.items("langgraph/ada"))
    assert not any(item.blobs for item in store.items("langgraph/ada"))
    again = keep(saver, {"a": ["new"]})
    found = HeadwaySaver(store).get_tuple(again)
    assert found is not None
    assert found.checkpoint["channel_values"] == {"a": ["new"]}


def test_garbage_of_a_deleted_thread_is_collected(tmp_path: Path) -> None:
    with HeadwaySaver(tmp_path / "store") as saver:
        keep(saver, {"b": 50_000 * "x"})
        keep(saver, {"b": 50_000 * "y"}, thread="eve")
        saver.delete_thread("ada")
    with hw.SqliteStore(tmp_path / "store") as store:
        assert gc(store, now=time.time() + 1, grace_s=0.0).blobs == 1


def test_what_makes_no_sense_is_refused(store: Any) -> None:
    for name in ("", "a/b", "a\n"):
        with pytest.raises(hw.UsageError, match="a name of printable characters"):
            HeadwaySaver(store, name=name)
    with pytest.raises(hw.UsageError, match=r"prune\(strategy='newest'\): 'keep_latest' or 'delete'"):
        HeadwaySaver(store).prune(["ada"], strategy="newest")


def test_threads_of_two_applications_and_of_any_name_are_kept_apart(store: Any) -> None:
    for name in ("langgraph", "shop"):
        for thread in ("ada", "a/b", "ä %2F", ""):
            keep(HeadwaySaver(store, name=name), {"a": f"{name} {thread}"}, thread=thread)
    for name in ("langgraph", "shop"):
        saver = HeadwaySaver(store, name=name)
        found = {one.config["configurable"]["thread_id"]: one.checkpoint["channel_values"]["a"] for one in saver.list(None)}
        assert found == {thread: f"{name} {thread}" for thread in ("ada", "a/b", "ä %2F", "")}


def test_a_lost_item_is_told_of_and_not_read_as_if_it_were_whole(tmp_path: Path) -> None:
    with HeadwaySaver(tmp_path / "store") as saver:
        first = keep(saver, {"a": ["one"]})
        second = keep(saver, {"a": ["one", "two"]}, first)
    with hw.SqliteStore(tmp_path / "store") as store:
        store.erase_items("langgraph/ada", 1)  # as a repair would leave it
        with pytest.raises(hw.StoreDamaged, match="item 1 needs item 0, which is lost"):
            HeadwaySaver(store).get_tuple(second)


def test_a_copy_stands_by_itself(store: Any) -> None:
    saver = HeadwaySaver(store)
    before = None
    for step in range(4):
        before = keep(saver, {"a": list(range(step + 1))}, before, step=step)
        saver.put_writes(before, [("a", step)], "task")
    saver.copy_thread("ada", "eve")
    saver.copy_thread("ada", "eve")
    saver.delete_thread("ada")
    found = [(one.checkpoint["channel_values"]["a"], one.pending_writes) for one in HeadwaySaver(store).list(config("eve"))]
    assert found == [(list(range(step + 1)), [("task", "a", step)]) for step in reversed(range(4))]


class Model:
    """What a checkpointer must say, kept as plain values."""

    def __init__(self) -> None:
        self.puts: dict[str, tuple[dict[str, Any], str | None, int]] = {}
        self.writes: dict[str, dict[str, Any]] = {}


steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 9), st.lists(st.integers(0, 3), max_size=4)),
        st.tuples(st.just("write"), st.integers(0, 9), st.integers(0, 2)),
        st.tuples(st.just("prune"), st.just(0), st.just(0)),
        st.tuples(st.just("delete run"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("delete"), st.just(0), st.just(0)),
    ),
    max_size=14,
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=steps, turns=st.lists(st.integers(0, 1), min_size=14, max_size=14))
def test_any_history_by_two_processes_leaves_what_it_says(history: list[Any], turns: list[int]) -> None:
    store, model = hw.MemoryStore(), Model()
    savers = [HeadwaySaver(store), HeadwaySaver(store)]
    places: dict[str, Any] = {}
    for (what, which, value), turn in zip(history, turns, strict=False):
        saver = savers[turn]
        chosen = sorted(model.puts)[which % len(model.puts)] if model.puts else None
        if what == "put":
            place = keep(saver, {"a": value, "b": {"n": len(value)}}, places.get(chosen or ""), run_id=f"run {len(places) % 3}")
            name = place["configurable"]["checkpoint_id"]
            model.puts[name] = ({"a": value, "b": {"n": len(value)}}, chosen, len(places) % 3)
            places[name] = place
        elif what == "write" and chosen:
            saver.put_writes(places[chosen], [("a", value)], f"task {which % 2}")
            model.writes.setdefault(chosen, {}).setdefault(f"task {which % 2}", value)  # what a task wrote first stays
        elif what == "prune" and model.puts:
            saver.prune(["ada"])
            newest = max(model.puts)
            model.puts = {newest: model.puts[newest]}
        elif what == "delete run":
            saver.delete_for_runs([f"run {which}"])
            model.puts = {name: one for name, one in model.puts.items() if one[2] != which}
        elif what == "delete":
            saver.delete_thread("ada")
            model.puts = {}
        model.writes = {name: one for name, one in model.writes.items() if name in model.puts}
    for reader in (*savers, HeadwaySaver(store)):
        found = list(reader.list(config()))
        assert [one.checkpoint["id"] for one in found] == sorted(model.puts, reverse=True)
        for one in found:
            values, parent, _ = model.puts[one.checkpoint["id"]]
            assert one.checkpoint["channel_values"] == values
            assert (one.parent_config or {}).get("configurable", {}).get("checkpoint_id") == parent
            written = model.writes.get(one.checkpoint["id"], {})
            assert one.pending_writes == [(task, "a", value) for task, value in sorted(written.items())]
