"""What a store must refuse: bytes that are not those that were written, and a store that a newer Headway wrote.

Damage is done behind the store's back, as a disk would do it. A store that lives in its object has no version, and no rows that
a disk could damage.
"""

import hashlib

import pytest

from headway.errors import StoreDamaged, StoreVersion
from headway.journal.records import RunSpec


@pytest.mark.parametrize("size", [1, 5000, 400_000])
def test_a_damaged_blob_is_named_and_never_returned_and_others_are(subject, store, size):
    data = {bytes([number]) * size: hashlib.blake2b(bytes([number]) * size, digest_size=16).digest() for number in range(2)}
    for content, digest in data.items():
        store.put_blob(digest, content)
    good, bad = data
    subject.damage_blob(store, data[bad])
    for _ in range(2):
        with pytest.raises(StoreDamaged, match=f"blob {data[bad].hex()} .*is damaged"):
            store.get_blob(data[bad])
    assert bytes(store.get_blob(data[good])) == good


def test_a_damaged_row_is_named_and_neither_it_nor_what_follows_is_returned(lasting, url, opened, make_row):
    store = opened()
    lease_of = {}
    for run_id in ("sky", "sea"):
        store.create_run(RunSpec(run_id=run_id, task="t"))
        lease_of[run_id] = store.acquire(run_id, "somebody", 30.0, 0.0)
        store.commit(lease_of[run_id], 1, [make_row(number) for number in range(1, 5)], 1.0)
    store.close()
    lasting.damage_row(url, lease_of["sky"].uid, 3)
    store = opened()
    found = []
    with pytest.raises(StoreDamaged, match=r"run 'sky' is damaged: record 3 \(call 0{31}3\)"):
        found.extend(store.rows(lease_of["sky"].uid))
    assert found in ([], [(1, make_row(1)), (2, make_row(2))])
    assert list(store.rows(lease_of["sky"].uid, after=3)) == [(4, make_row(4))]
    assert len(list(store.rows(lease_of["sea"].uid))) == 4
    with pytest.raises(StoreDamaged):
        store.fork_run(RunSpec(run_id="fork", task="t"), lease_of["sky"].uid, lambda seq, row: True)
    assert [run.spec.run_id for run in store.runs()] == ["sky", "sea"]


def test_a_store_of_a_newer_schema_is_refused_with_a_way_on_and_left_unchanged(lasting, url, opened, make_row):
    store = opened()
    store.create_run(RunSpec(run_id="sky", task="t"))
    store.commit(store.acquire("sky", "somebody", 30.0, 0.0), 1, [make_row(1)], 1.0)
    store.put_blob(hashlib.blake2b(b"blob", digest_size=16).digest(), b"blob")
    store.close()
    theirs, ours = lasting.write_newer(url)
    assert theirs > ours
    before = lasting.contents(url)
    for _ in range(2):
        with pytest.raises(StoreVersion, match=rf"written by schema {theirs}, this Headway reads schema {ours}: upgrade headway"):
            lasting.open_again(url)
        assert lasting.contents(url) == before


def test_a_store_that_outlives_its_object_says_how_to_damage_it_and_make_it_newer(lasting):
    assert None not in (lasting.damage_row, lasting.write_newer, lasting.contents)
