"""Servers of their own for tests that hurt them: durable ones, since a crash is what they are for."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from appenders import Appender
from wounded import DURABLE, WoundedServer

from postgres_server import Server

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[WoundedServer]:
    """A server that is hurt by all tests of a file."""
    started = WoundedServer(**DURABLE)
    yield started
    started.remove()


@pytest.fixture
def make_server() -> Iterator[Callable[..., Server]]:
    """Starts servers that one test hurts."""
    started: list[WoundedServer] = []

    def make(**settings: str) -> WoundedServer:
        started.append(WoundedServer(**{**DURABLE, **settings}))
        return started[-1]

    yield make
    for one in started:
        one.remove()


@pytest.fixture
def schema() -> str:
    """A store of its own in the server: what comes after `?` in its URL."""
    return f"schema=chaos_{next(_numbers)}"


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


@pytest.fixture
def crowd() -> Iterator[list[Appender]]:
    """Appenders that are ended with the test."""
    started: list[Appender] = []
    yield started
    for one in started:
        one.ended.set()
