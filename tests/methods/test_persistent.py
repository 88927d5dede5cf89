"""A map that keeps its old versions does what a dictionary does."""

from __future__ import annotations

import pickle

from hypothesis import given
from hypothesis import strategies as st

from headway.methods.persistent import PersistentMap

KEYS = st.integers(0, 300).map(str)


@given(st.lists(st.tuples(KEYS, st.none() | st.integers()), max_size=300))
def test_it_is_a_dictionary_at_every_version(changes):
    versions: list[tuple[PersistentMap[int], dict[str, int]]] = [(PersistentMap(), {})]
    for key, value in changes:
        kept, model = versions[-1]
        if value is None:
            versions.append((kept.drop(key), {name: one for name, one in model.items() if name != key}))
        else:
            versions.append((kept.set(key, value), {**model, key: value}))
    for kept, model in versions[:: max(1, len(versions) // 20)]:
        assert {key: kept.get(key) for key in kept} == model
        assert len(kept) == len(model)
        assert ("0" in kept) == ("0" in model)
        assert kept.get("not there") is None


class Alike(str):
    """Keys that all have one hash."""

    def __hash__(self) -> int:
        return 7

    __eq__ = str.__eq__


def test_keys_of_one_hash_are_told_apart():
    kept: PersistentMap[int] = PersistentMap()
    for number in range(200):
        kept = kept.set(Alike(number), number)
    assert [kept.get(Alike(number)) for number in range(200)] == list(range(200))
    assert len(kept.drop(Alike(5))) == 199


def test_it_travels_to_another_process():
    kept: PersistentMap[int] = PersistentMap()
    for number in range(200):
        kept = kept.set(f"{number}", number)
    other = pickle.loads(pickle.dumps(kept))
    assert {key: other.get(key) for key in other} == {f"{number}": number for number in range(200)}
