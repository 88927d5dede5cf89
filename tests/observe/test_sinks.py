"""Events in a file: written as they happen, and read back."""

from __future__ import annotations

import typing
from pathlib import Path

import pytest

from headway import events
from headway.errors import StoreDamaged, StoreError, StoreFull
from headway.events import CallEnded, CallSpawned, Event, RunStarted, Warned
from headway.observe.sinks import JsonlSink, read_events

EVENTS: list[Event] = [
    RunStarted(at=1.0, run_id="sky", task="answer", store=".headway", recorded=3, resumed=True),
    CallSpawned(at=1.5, key="a1", parent="", task="answer", label="'why\n?'"),
    CallEnded(at=2.0, key="a1", parent="", task="answer", status="ok", started=1.5, attempts=2, cost={"tokens": 3.0}),
    Warned(at=3.0, message="\u2028 odd"),
]


def test_events_come_back_as_they_were_written(tmp_path: Path) -> None:
    with JsonlSink(tmp_path / "new folder" / "events.jsonl") as sink:
        for event in EVENTS:
            sink(event)
    assert list(read_events(sink.path)) == EVENTS


def test_every_kind_of_event_can_be_read_back() -> None:
    kinds = {value for value in vars(events).values() if isinstance(value, type) and issubclass(value, Event)}
    assert {*typing.get_args(events.AnyEvent)} == kinds - {Event, events.CheckpointEvent}


def test_an_event_is_in_the_file_before_the_sink_is_closed(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path / "events.jsonl")
    sink(EVENTS[0])
    assert list(read_events(sink.path)) == EVENTS[:1]
    sink.flush()
    sink.close()
    sink.close()
    sink(EVENTS[1])
    assert list(read_events(sink.path)) == EVENTS[:1]


def test_a_file_with_a_torn_last_line_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with JsonlSink(path) as sink:
        sink(EVENTS[0])
    path.write_bytes(path.read_bytes() + b'{"event":"Warned","mess')
    with JsonlSink(path) as sink:
        sink(EVENTS[1])
    assert list(read_events(path)) == EVENTS[:2]


def test_a_full_disk_is_said_once_and_then_nothing_is_written() -> None:
    sink = JsonlSink("/dev/full")
    with pytest.raises(StoreFull, match=r"no more events are written to /dev/full \(No space left on device\)"):
        sink(EVENTS[0])
    sink(EVENTS[1])


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot write events to"):
        JsonlSink(tmp_path)


def test_a_line_that_is_no_event_is_named(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"event":"SomethingNewer","at":1.0}\n')
    with pytest.raises(StoreDamaged, match="line 1: not an event"):
        list(read_events(path))
