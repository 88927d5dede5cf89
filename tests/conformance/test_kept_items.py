"""Durable collections: the same on every store."""

from __future__ import annotations

import itertools
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway.errors import StoreDamaged
from headway.journal.records import RunSpec
from headway.journal.shared.items import CollectionInfo, Item

numbers = itertools.count()


def item(token: int, value: bytes = b"value") -> Item:
    return Item(token.to_bytes(16, "big"), value, (), "sky", b"call", 1.5)


def test_items_are_numbered_in_the_order_in_which_they_were_appended(store):
    assert store.append_items("a", [item(1), item(2)]) == [0, 1]
    assert store.append_items("b", [item(3)]) == [0]
    assert store.append_items("a", [item(4)]) == [2]
    assert store.items("a") == [item(1), item(2), item(4)]
    assert store.items("a", after=1, until=2) == [item(2)]
    assert store.items("b", after=1) == []
    assert (store.count_items("a"), store.count_items("nothing of this name"), store.items("nothing of this name")) == (3, 0, [])
    assert store.collections() == [CollectionInfo("a", 3), CollectionInfo("b", 1)]


def test_an_item_that_is_there_keeps_its_number_and_its_value(store):
    assert store.append_items("a", [item(1, b"first"), item(2)]) == [0, 1]
    assert store.append_items("a", [item(2), item(1, b"second"), item(3), item(3)]) == [1, 0, 2, 2]
    assert store.items("a") == [item(1, b"first"), item(2), item(3)]
    assert store.append_items("b", [item(1)]) == [0]


def test_erased_items_leave_their_places_and_their_tokens(store):
    store.append_items("a", [item(1), item(2), item(3)])
    store.append_items("b", [item(1)])
    store.erase_items("a", 2)
    first, second, third = store.items("a")
    assert [first.is_lost, second.is_lost, third.is_lost] == [True, True, False]
    assert (first.token, second.token, third) == (item(1).token, item(2).token, item(3))
    assert store.append_items("a", [item(1, b"again"), item(4)]) == [0, 3]
    assert store.items("a")[0].is_lost
    assert not store.items("b")[0].is_lost
    store.erase_items("a", 99)
    assert all(one.is_lost for one in store.items("a"))
    store.erase_items("nothing of this name", 5)
    assert store.collections() == [CollectionInfo("a", 4), CollectionInfo("b", 1)]


def test_items_between_others_are_erased_alone(store):
    store.append_items("a", [item(1), item(2), item(3)])
    store.erase_items("a", 2, after=1)
    assert [each.is_lost for each in store.items("a")] == [False, True, False]
    store.erase_items("a", 2, after=2)
    store.erase_items("a", 9, after=5)
    assert store.items("a")[::2] == [item(1), item(3)]


def test_more_items_than_there_are_were_lost(store):
    store.append_items("a", [item(1)])
    with pytest.raises(StoreDamaged, match="has 1 items, and 2 were there before"):
        store.items("a", until=2)


@pytest.mark.parametrize("size", [1999, 2000, 2001, 4001])
def test_collections_of_any_size_are_read_whole(store, size):
    items = [item(number) for number in range(size)]
    assert store.append_items("a", items) == list(range(size))
    assert store.items("a") == items


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(st.integers(0, 9), max_size=6), max_size=6))
def test_any_history_of_appends_leaves_each_token_once_in_the_order_of_its_first(store, batches):
    name = f"collection {next(numbers)}"
    for batch in batches:
        store.append_items(name, [item(token) for token in batch])
    order = list(dict.fromkeys(token for batch in batches for token in batch))
    assert store.items(name) == [item(token) for token in order]


def test_openings_that_append_at_once_never_share_a_number(openings):
    numbers: list[list[int]] = [[], []]

    def work(which: int) -> None:
        store = stores[which]
        for turn in range(25):
            numbers[which] += store.append_items("a", [item(1000 * which + turn)])

    stores = [openings(), openings()]
    threads = [threading.Thread(target=work, args=(which,)) for which in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers[0] + numbers[1]) == list(range(50))
    kept = stores[0].items("a")
    assert [kept[number] for number in numbers[1]] == [item(1000 + turn) for turn in range(25)]


def test_items_outlive_their_run_and_their_opening(subject, tmp_path, make_row):

    store = subject.make(tmp_path / "store")
    store.create_run(RunSpec(run_id="sky", task="t"))
    store.append_items("a", [item(1)])
    store.delete_run("sky", 2.0)
    store = subject.reopen(store)
    assert store.append_items("a", [item(2), item(1)]) == [1, 0]
    assert store.items("a") == [item(1), item(2)]
    store.close()
