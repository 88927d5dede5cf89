"""A class that was moved or renamed: what was recorded under its old name is read as what it is now."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

import pytest

import headway as hw
from headway.engine.identity.canonical import canonical
from headway.journal.codec import declared
from headway.journal.codec.codec import decode, decode_error, encode, encode_error


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_declared", "_by_short", "_aliases", "_first_names"):
        monkeypatch.setattr(declared, name, dict(getattr(declared, name)))
    monkeypatch.setattr(declared, "_known", set(declared._known))


def made(name: str, module: str, *fields: str) -> Any:
    cls = dataclasses.make_dataclass(name, fields or ("x",), frozen=True)
    cls.__module__ = module
    return cls


def forget(*classes: Any) -> None:
    """As in a new process, in which these classes are not there."""
    for cls in classes:
        tag = declared.full_tag(cls)
        declared._declared.pop(tag, None)
        declared._by_short.pop(declared.shorten(tag), None)
        declared._known.discard(cls)


def test_a_value_recorded_under_the_old_name_is_read_as_the_class_it_is_now():
    old, new = made("Dot", "old.shapes"), made("Point", "new.figures")
    head, _ = encode(hw.register(old)(3))
    forget(old)
    with pytest.raises(hw.NotDecodable, match="Dot"):
        decode(head)
    hw.register(new, aliases=["old.shapes:Dot"])
    assert decode(head) == new(3)


def test_a_moved_class_still_names_the_calls_that_get_it():
    old, new, other = made("Dot", "old.shapes"), made("Point", "new.figures"), made("Point", "new.others")
    before = canonical(old(3))
    assert canonical(new(3)) != before
    hw.register(new, aliases=["old.shapes:Dot", "middle.shapes:Dot"])
    assert canonical(new(3)) == before
    assert canonical(other(3)) != before


def test_enums_and_errors_move_too():
    old_mood = enum.Enum("Mood", {"GLAD": 1}, module="old.moods")
    head, _ = encode(hw.register(old_mood).GLAD)
    forget(old_mood)
    new_mood = hw.register(enum.Enum("Temper", {"GLAD": 1}, module="new.moods"), aliases=["old.moods:Mood"])
    assert decode(head) is new_mood.GLAD

    old_error = type("Broken", (ValueError,), {"__module__": "old.errors"})
    record = encode_error(old_error("it broke", 7))
    new_error = hw.register(type("Cracked", (ValueError,), {"__module__": "new.errors"}), aliases=["old.errors:Broken"])
    del old_error
    found = decode_error(record)
    assert type(found) is new_error
    assert found.args == ("it broke", 7)


def test_a_resumed_run_keeps_the_results_of_calls_that_got_or_gave_a_moved_class(go):
    ran: list[int] = []

    def program_with(cls: Any) -> Any:
        @hw.task(name="moved.shift", version="1")
        async def shift(point: Any) -> Any:
            ran.append(point.x)
            return dataclasses.replace(point, x=point.x + 1)

        @hw.task(name="moved.program", version="1")
        async def program(stop: bool = False) -> int:
            value: int = (await shift(await shift(cls(1)))).x
            if len(ran) < 3:
                ran.append(0)
                raise RuntimeError("stop")
            return value

        return program

    old, new = made("Dot", "old.shapes"), made("Point", "new.figures")
    with pytest.raises(RuntimeError):
        go(program_with(hw.register(old)))
    forget(old)
    assert go(program_with(hw.register(new, aliases=["old.shapes:Dot"]))) == 3
    assert ran == [1, 2, 0]


@pytest.mark.parametrize(
    ("alias", "says"),
    [
        ("Dot", "write module:Class"),
        (3, "write module:Class"),
        ("old shapes:Dot", "write module:Class"),
        ("taken.shapes:Dot", "either"),
    ],
)
def test_an_alias_that_can_not_be_one_is_refused_and_registers_nothing(alias, says):
    hw.register(made("Dot", "taken.shapes"))
    cls = made("Point", "new.figures")
    with pytest.raises(hw.UsageError, match=says):
        hw.register(cls, aliases=["fine.shapes:Dot", alias])
    assert declared.alias_of("fine.shapes:Dot") is None
    assert cls not in declared._known


def test_a_class_that_is_made_anew_may_name_its_aliases_again():
    for _ in range(2):
        newest = hw.register(made("Point", "new.figures"), aliases=["old.shapes:Dot"])
    assert declared.resolve("old.shapes:Dot") is newest
