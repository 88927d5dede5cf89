"""`headway collection`: what runs have built up together, for a person and for a program."""

from __future__ import annotations

from dataclasses import dataclass

from commandline import Folder

import headway as hw


@dataclass(frozen=True)
class Thing:
    name: str
    size: int


@hw.task
async def fill(size: int) -> None:
    for n in range(size):
        await hw.collection("things").append(Thing(f"thing {n}", n))


def test_collections_and_their_newest_items_are_shown(folder: Folder) -> None:
    hw.run(fill, 30, run_id="filled")
    assert folder.headway("collection").out.split() == ["collection", "items", "things", "30"]
    shown = folder.headway("collection", "things", "--last", "2")
    assert [line.partition("  filled")[0] for line in shown.out.splitlines()] == [
        "28  Thing(name='thing 28', size=28)",
        "29  Thing(name='thing 29', size=29)",
    ]
    assert "28 older items" in shown.err


def test_a_collection_as_json_has_who_appended_what(folder: Folder) -> None:
    hw.run(fill, 2, run_id="filled")
    assert folder.headway("collection", "--json").json["collections"] == [{"name": "things", "size": 2, "items": None}]
    told = folder.headway("collection", "things", "--json").json
    assert [(item["number"], item["value"], item["run_id"]) for item in told["items"]] == [
        (0, {"name": "thing 0", "size": 0}, "filled"),
        (1, {"name": "thing 1", "size": 1}, "filled"),
    ]


def test_a_name_that_is_no_collection_names_near_ones(folder: Folder) -> None:
    hw.run(fill, 1, run_id="filled")
    answer = folder.headway("collection", "thing")
    assert answer.code == 2
    assert "did you mean 'things'?" in answer.err


def test_a_store_without_collections_says_so(folder: Folder) -> None:
    hw.run(fill, 0)
    assert "no collections" in folder.headway("collection").err
