"""Whatever runs have left in a store is the same after it was copied to another one and back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import headway as hw
from headway.journal.decisions import Decision, Event, Item, Now, Waits
from headway.journal.records import COSTED, Attempt, Charge, Error, Kind, Outcome, Row, RunSpec, RunStatus, Signal, Start
from headway.journal.shared import items as shelves
from headway.journal.store import Store, every_run
from headway.journal.upkeep.named import blobs_of
from headway.storage.blobs import hash_blob

encode = msgspec.msgpack.encode
keys = st.integers(0, 5).map(lambda number: number.to_bytes(16, "big"))
texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=4)
blobs = st.sampled_from([b"", b"one", b"two" * 1000, b"three" * 300_000])
statuses = st.sampled_from([RunStatus.DONE, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.INTERRUPTED, None])


@st.composite
def outcomes(draw: Any) -> tuple[Row, list[bytes]]:
    named = draw(st.lists(blobs, max_size=2))
    shared = draw(st.sampled_from([b"", b"s" * 16, b"t" * 16]))
    task = draw(st.sampled_from(["demo.ask", "hw.append", "hw.snapshot"]))
    label = draw(st.sampled_from(["seen", "other", "se…"])) if task.startswith("hw.") else draw(texts)
    body = Outcome(
        task=task, label=label, status=0, started=1.0, ended=2.0, value=draw(st.binary(max_size=8)),
        blobs=tuple(map(hash_blob, named)), shared=shared,
    )  # fmt: skip
    return Row(Kind.OUTCOME | (COSTED if shared else 0), draw(keys), draw(keys), encode(body)), named


@st.composite
def others(draw: Any) -> tuple[Row, list[bytes]]:
    key, parent = draw(keys), draw(keys)
    signal = Signal(number=draw(st.integers(1, 40)), name=draw(texts), value=b"v", at=1.0)
    data = draw(blobs)
    body, kind, named = draw(
        st.sampled_from(
            [
                (Decision(Now(draw(st.floats(0, 1e9))), 1.0), Kind.DECISION, []),
                (Decision(Event(signal), 1.0), Kind.DECISION, []),
                (Decision(Waits(key, "go", None, "ask"), 1.0), Kind.DECISION, []),
                (Decision(Item(0, b"", (hash_blob(data),)), 1.0), Kind.DECISION, [data]),
                (Start("demo.ask", "x", 1, 0, 1.0), Kind.START, []),
                (Attempt("demo.ask", "x", 1, 0, 1.0, 2.0, Error("builtins:OSError", "no"), 3.0), Kind.ATTEMPT, []),
                (Charge("demo.ask", b"s" * 16, {"tokens": 1.0}), Kind.CHARGE | COSTED, []),
            ]
        )
    )
    return Row(kind, key, parent, encode(body)), named


runs = st.fixed_dictionaries(
    {
        "parts": st.lists(st.lists(outcomes() | others(), max_size=5), max_size=3),
        "signals": st.lists(st.tuples(texts, st.binary(max_size=4), st.floats(0, 1e9)), max_size=3),
        "spec": st.fixed_dictionaries({"args": st.none() | st.binary(max_size=4), "blobs": st.lists(blobs, max_size=1)}),
        "status": statuses,
        "drives": st.integers(0, 3),
        "cancel": st.booleans(),
        "floor": st.integers(0, 3),
        "cached": st.lists(st.tuples(st.sampled_from([b"s" * 16, b"t" * 16, b"u" * 16]), outcomes()), max_size=2),
    }
)
histories = st.fixed_dictionaries(
    {
        "runs": st.lists(runs, min_size=1, max_size=3),
        "items": st.lists(
            st.tuples(st.sampled_from(["seen", "other"]), st.binary(max_size=4), st.lists(blobs, max_size=1)), max_size=4
        ),
        "deleted": st.booleans(),
    }
)


def build(store: Store, history: dict[str, Any]) -> None:
    """Let runs leave this in a store."""

    def put(data: list[bytes]) -> tuple[bytes, ...]:
        for each in data:
            store.put_blob(hash_blob(each), each)
        return tuple(map(hash_blob, data))

    for number, run in enumerate(history["runs"]):
        name = f"run-{number}"
        spec = RunSpec(run_id=name, task="demo", args=run["spec"]["args"], blobs=put(run["spec"]["blobs"]), created=float(number))
        store.create_run(spec)
        for sent in run["signals"]:
            store.send_signal(name, *sent)
        for drive in range(run["drives"]):
            lease, last = store.acquire(name, f"driver {drive}", 30.0, 100.0 * drive), drive == run["drives"] - 1
            for part in run["parts"] if last else []:
                for _, named in part:
                    put(named)
                store.commit(lease, store.run(name).nrows + 1, [row for row, _ in part], 1.0)
            for key, (row, named) in run["cached"]:
                put(named)
                store.commit(lease, store.run(name).nrows + 1, [], 1.0, cache=[(key, row)])
            if not last or run["status"] is not None:
                store.release(lease, run["status"] or RunStatus.INTERRUPTED, 9.0, error_floor=run["floor"])
        if run["cancel"]:
            store.request_cancel(name, 1.0)
    for number, (name, value, named) in enumerate(history["items"]):
        store.append_items(name, [shelves.Item(number.to_bytes(16, "big"), value, put(named), "run-0", b"c" * 16, 1.0)])
    if history["deleted"]:
        store.delete_run("run-0", 1e12)


def contents(store: Store) -> object:
    """All that a store has, but for who owned a run and under which number it is kept."""
    runs = []
    for info in every_run(store):
        rows = [row for _, row in store.rows(info.uid)]
        state = msgspec.structs.replace(info, uid=0, owner="", lease_until=0.0)
        runs.append((state, rows, store.signals(info.uid)))
    named = {name for run in runs for row in run[1] for name in blobs_of(row)}
    named |= {name for run in runs for name in run[0].spec.blobs}
    cache = dict(store.cache_entries())
    collections = {one.name: store.items(one.name) for one in store.collections()}
    named |= {name for items in collections.values() for item in items for name in item.blobs}
    return runs, {name: bytes(store.get_blob(name)) for name in sorted(named)}, cache, collections


@pytest.mark.parametrize(("first", "second"), [("sqlite", "postgres"), ("postgres", "memory")])
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(history=histories)
def test_any_history_is_the_same_there_and_back(make, first, second, history):
    source, there = make(first), make(second)
    build(source, history)
    wanted = contents(source)
    report = hw.copy_runs(source, there)
    assert report.whole, report
    assert contents(there) == wanted
    again = hw.copy_runs(source, there)
    assert {run.outcome for run in again.runs} <= {"there already"}
    assert again.cached == 0
    back = make("sqlite")
    assert hw.copy_runs(there, back).whole
    assert contents(back) == wanted
    for info in every_run(there):  # a signal that is sent later is new to the run
        heard = max([signal.number for signal in there.signals(info.uid)], default=0)
        assert there.send_signal(info.spec.run_id, "later", b"", 2.0) > heard
