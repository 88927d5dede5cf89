"""Labels tell calls apart, and are never worth a failed call."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import msgspec
import pydantic
import pytest

import headway as hw
from headway.engine.identity.keys import label


@dataclasses.dataclass
class Item:
    id: int
    text: str


class Row(NamedTuple):
    id: int
    text: str


class Struct(msgspec.Struct):
    id: int
    text: str


class Model(pydantic.BaseModel):
    id: int
    text: str


class Angry:
    def __repr__(self) -> str:
        raise RuntimeError("don't ask")


@pytest.mark.parametrize("kind", [Item, Row, Struct, Model])
def test_five_thousand_objects_have_five_thousand_labels(kind):
    labels = {label((kind(id=number, text="the same long text for each of them " * 3),), {}) for number in range(5000)}
    assert len(labels) == 5000
    assert max(map(len, labels)) <= 60
    assert f"{kind.__name__}(id=4711, text='the same" in "".join(labels)


@dataclasses.dataclass
class Holder:
    what: object
    more: int = 3


def test_a_label_asks_no_unknown_object_for_text():
    assert label((Holder(Angry()),), {}) == "Holder(what=Angry, more=3)"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [("{item.id}", "7"), ("{item.text} x {k}", "seven x 3"), (lambda item, k: f"#{item.id}", "#7"), ("same", "same")],
)
def test_a_task_says_its_own_label(go, tmp_path, wanted, said):
    @hw.task(label=wanted)
    async def score(item: Item, k: int = 3) -> int:
        return k

    @hw.task
    async def program() -> int:
        return await score(Item(7, "seven"))

    go(program)
    assert hw.view("run", store=tmp_path / "store").find("score")[0].label == said


@pytest.mark.parametrize("wanted", ["{item.nosuch}", lambda item: item.nosuch, lambda: "too few", "{item.id:%%%}"])
def test_a_label_that_fails_is_the_usual_one(go, tmp_path, wanted):
    @hw.task(label=wanted)
    async def score(item: Item) -> int:
        return 1

    @hw.task
    async def program() -> int:
        return await score(Item(7, "seven"))

    assert go(program) == 1
    assert hw.view("run", store=tmp_path / "store").find("score")[0].label == "Item(id=7, text='seven')"


def test_a_label_is_no_part_of_a_calls_name(go):
    ran: list[int] = []

    def edition(text: str) -> object:
        @hw.task(name="score", label=text)
        async def score(x: int) -> int:
            ran.append(x)
            return x

        @hw.task(name="program")
        async def program(stop: bool) -> int:
            value = await score(1)
            if len(ran) == 1 and text == "one {x}":
                raise RuntimeError("stop")
            return value

        return program

    with pytest.raises(RuntimeError):
        go(edition("one {x}"), False)
    assert go(edition("two {x}"), False) == 1
    assert ran == [1]


async def coroutine(item: Item) -> str:
    return "no"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (3, "a text such as"),
        ("{itm.id}", "names an argument 'itm' that it does not take; did you mean 'item'"),
        ("{item", "expected '}'"),
        (coroutine, "or a plain function"),
    ],
)
def test_a_label_that_could_never_be_used_is_refused(wanted, said):
    with pytest.raises(hw.UsageError, match=said):

        @hw.task(label=wanted)
        async def score(item: Item) -> int:
            return 1


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([Item(1, "a"), Item(2, "b")], "list of 2: Item(id=1, text='a')"),
        ((Row(1, "a"),), "tuple of 1: Row(id=1, text='a')"),
        ({"first": Item(1, "a")}, "dict of 1: 'first'=Item(id=1, text='a')"),
        ([[1, 2], [3]], "list of 2: [1, 2]"),
        ([1, 2, 3, 4, 5], "list of 5"),
        ([], "[]"),
        ({}, "dict of 0"),
        ([Angry()], "list of 1: Angry"),
    ],
)
def test_a_list_of_objects_is_told_from_its_siblings_by_its_first(value, said):
    assert label((value,), {}) == said


def test_labels_of_lists_stay_short():
    assert len(label(([Item(1, "x" * 500)],), {})) <= 60
    assert len(label(({"k" * 500: Item(1, "x" * 500)},), {})) <= 60
